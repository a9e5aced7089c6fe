"""RefCOCO, RefCOCO+ and RefCOCOg: the box of what an expression describes; a hit overlaps by half of the union.

Papers: Kazemzadeh et al., ReferItGame (EMNLP 2014); Yu et al., arXiv 1608.00272; Mao et al., arXiv 1511.02283. Every
expression is a question of its own; figures are of splits, and overall is their unweighted mean.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from anyres.chat import Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Scoring, Target
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.picture_size import picture_size
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import each_of
from anyres.evaluation.extraction.places import box_of, box_or_list_of
from anyres.evaluation.metrics.boxes import is_hit, summarise_by_split
from anyres.evaluation.published import DYNAMIC, SIZES
from anyres.evaluation.sample import Sample
from anyres.grounding import find_question

__all__ = ["REFCOCO"]

DATASET = re.compile(r"refcoco(?:[_-]?(\+|plus|p(?![a-z])|g))?", re.IGNORECASE)
SPLIT = re.compile(r"(?<![a-z])(test_?a|test_?b|test|val)(?![a-z])", re.IGNORECASE)
PROMPT = re.compile(r"bounding box|<ref>|coordinates", re.IGNORECASE)
SPLITS = {"testa": "testA", "testb": "testB", "test": "test", "val": "val"}
EDGES = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
CORNERS = ("bbox_xyxy", "box")
PAPER = "arXiv 2409.12191v2, table 6"
PUBLISHED = {
    "refcoco_val": (87.6, 91.7, 93.2),
    "refcoco_testA": (90.6, 93.6, 95.3),
    "refcoco_testB": (82.3, 87.3, 90.7),
    "refcoco+_val": (79.0, 85.8, 90.1),
    "refcoco+_testA": (84.9, 90.5, 93.8),
    "refcoco+_testB": (71.0, 79.5, 85.6),
    "refcocog_val": (81.2, 87.3, 89.9),
    "refcocog_test": (80.3, 87.8, 90.4),
}


def read_refcoco(path: Path) -> Iterable[Sample]:
    """The hub's parquet (`answer` lists the expressions, `bbox` is [x, y, width, height] in pixels), Qwen-VL's JSONL
    (`sent`, `bbox` two corners), VLMEvalKit's TSV (`bbox_x1` ...), or own rows with `expression` and `bbox_xyxy`.

    The split is told by columns `dataset` and `split`, or by the names of folder and file."""
    return each_of(map(_samples, read_rows(path)))


def _samples(row: Row) -> Sequence[Sample]:
    pictures = row.pictures("image", "image_path", "file_name")
    expressions = _expressions(row)
    if not pictures or not expressions:
        raise row.wrong("nothing", "a picture and an expression", columns=("image", "expression"))
    width, height = picture_size(row, pictures[0])
    box = _corners(row)
    name = row.optional("question_id", "index", "id", "ref_id") or row.name
    split = _split(row)
    ids = [f"{split}/{name}"] if len(expressions) == 1 else [f"{split}/{name}/{i}" for i in range(len(expressions))]
    return [
        Sample(
            id=own,
            question=expression,
            media=pictures[:1],
            golds=(str(box),),
            cluster=picture_cluster(pictures),
            categories={"split": split},
            facts={"width": width, "height": height, "box": box},
        )
        for own, expression in zip(ids, expressions, strict=True)
    ]


def _expressions(row: Row) -> tuple[str, ...]:
    """The hub lists them under `answer`; in VLMEvalKit's TSV that is the box, and the question has the words."""
    if row.has("expression", "sentence", "sent"):
        return row.texts("expression", "sentence", "sent")
    return row.texts("question") if row.has(*EDGES) else row.texts("answer", "question")


def _corners(row: Row) -> list[float]:
    """Two corners in pixels, from the columns that each layout has."""
    if row.has(*EDGES):
        x, y, right, bottom = (row.number(name) for name in EDGES)
    else:
        column = next((name for name in CORNERS if row.has(name)), "bbox")
        numbers = [Row(row.name, {column: item}).number(column) for item in row.items(column)]
        if len(numbers) != 4:
            raise row.wrong(f"{len(numbers)} numbers", "four", columns=(column,))
        x, y, right, bottom = numbers
        if column == "bbox" and not row.has("sent"):
            right, bottom = x + right, y + bottom
    if right <= x or bottom <= y:
        raise row.wrong(f"{[x, y, right, bottom]}", "a box with an area", columns=("bbox",))
    return [x, y, right, bottom]


def _split(row: Row) -> str:
    """By its columns, else the split by the file's name, and the data set by that or the two folders around it."""
    file = row.name.rsplit(":", 1)[0]
    columns = f"{row.optional('dataset')}/{row.optional('split')}"
    dataset = _last(DATASET, (columns, file, "/".join(row.folder.parts[-2:])))
    split = _last(SPLIT, (columns, file))
    name = "refcoco" + {"": "", "g": "g"}.get(dataset, "+")
    return f"{name}_{SPLITS[split.replace('_', '')]}" if split else name


def _last(pattern: re.Pattern[str], texts: Sequence[str]) -> str:
    """What the pattern finds last in the first text where it finds anything."""
    found = next((found for text in texts if (found := pattern.findall(text))), [""])
    return str(found[-1]).lower()


def refcoco_prompt(sample: Sample) -> tuple[Message, ...]:
    """`Find the ...`, which makes the published checkpoints write boxes (QwenLM/Qwen3-VL#342); a question that is a
    prompt already stays as it is."""
    ready = PROMPT.search(sample.question) is not None
    text = sample.question if ready else find_question(sample.question)
    return (Message("user", (*sample.media, TextPart(text))),)


REFCOCO = Benchmark(
    name="RefCOCO",
    title="RefCOCO, RefCOCO+, RefCOCOg: the box of an expression",
    paper="https://arxiv.org/abs/1608.00272",
    read=read_refcoco,
    prompt=refcoco_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            box_of,
            is_hit,
            summarise_by_split,
            about="IoU of at least 0.5 of the first box, in the coordinates that are declared; malformed: none.",
        ),
        Scoring(
            "lenient",
            1,
            box_or_list_of,
            is_hit,
            summarise_by_split,
            about="Also a list [x1, y1, x2, y2], in the same coordinates.",
        ),
    ),
    settings=replace(DYNAMIC, max_tokens=128),
    targets=tuple(
        Target(model, value, PAPER, figure=split, split=split)
        for split, values in PUBLISHED.items()
        for model, value in zip(SIZES, values, strict=True)
    ),
    aliases=("RefCOCO+", "RefCOCOg"),
)
