"""PubTabNet: the HTML of a table in a picture of a scientific article, scored with TEDS.

Paper: Zhong et al., arXiv 1911.10683, whose script the scoring "official" equals to the last digits. The Qwen2-VL paper
gives no figure for it. "structure" leaves out what cells say; "cells" counts cells that are right where they stand.
Answers in Markdown are read too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Scoring, Settings
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.tables import table_of
from anyres.evaluation.metrics.exact import summarise_mean
from anyres.evaluation.metrics.table_cells import cell_counts
from anyres.evaluation.metrics.teds import teds
from anyres.evaluation.sample import Sample

__all__ = ["PUBTABNET", "grade_cells", "grade_structure", "grade_teds"]

PROMPT = (
    "Write the table in this picture as HTML: table, thead, tbody, tr and td, with colspan and rowspan where cells are "
    "joined, and nothing else."
)
FOLDERS = ("", "train", "val", "test", "images")


def read_pubtabnet(path: Path) -> Iterable[Sample]:
    """The published JSONL (`filename`, `html` with tokens) with its folders of pictures, or rows with `image` and
    `html` as text."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    named = row.text("image", "filename")
    places = [row.folder / folder / named for folder in (*FOLDERS, row.optional("split"))]
    picture = next((place for place in places if place.is_file()), None)
    if picture is None:
        raise row.wrong(f"no picture {named}", f"one in {row.folder}", columns=("image", "filename"))
    html = row.value("html")
    gold = html if isinstance(html, str) else _joined(row, html)
    spans = "colspan" in gold or "rowspan" in gold
    return Sample(
        id=row.text("id", "imgid", "filename"),
        question=PROMPT,
        media=(ImagePart(picture),),
        golds=(gold,),
        cluster=str(picture),
        categories={"category": "complex" if spans else "simple"},
    )


def _joined(row: Row, html: Any) -> str:
    """The page that the tokens of structure and cells make."""
    try:
        structure = list(html["structure"]["tokens"])
        cells = iter(["".join(cell["tokens"]) for cell in html["cells"]])
        body = "".join(next(cells) + tag if tag == "</td>" else tag for tag in structure)
    except (TypeError, KeyError, StopIteration):
        raise row.wrong("no tokens", "html as text, or its tokens and cells", columns=("html",)) from None
    return f"<html><body><table>{body}</table></body></html>"


def pubtabnet_prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", (*sample.media, TextPart(sample.question))),)


def grade_teds(extraction: Extraction, sample: Sample) -> float:
    """TEDS; 0 without a table."""
    return teds(extraction.value, sample.golds[0]) if extraction.value else 0.0


def grade_structure(extraction: Extraction, sample: Sample) -> float:
    """TEDS of tags and spans alone."""
    return teds(extraction.value, sample.golds[0], structure_only=True) if extraction.value else 0.0


def grade_cells(extraction: Extraction, sample: Sample) -> float:
    """Right cells over those of the larger table."""
    return cell_counts(extraction.value, sample.golds[0]).accuracy if extraction.value else 0.0


PUBTABNET = Benchmark(
    name="PubTabNet",
    title="PubTabNet: tables of articles as HTML",
    paper="https://arxiv.org/abs/1911.10683",
    read=read_pubtabnet,
    prompt=pubtabnet_prompt,
    scorings=(
        Scoring("official", 1, table_of, grade_teds, summarise_mean, about="TEDS as the authors' script."),
        Scoring("structure", 1, table_of, grade_structure, summarise_mean, about="TEDS of tags and spans alone."),
        Scoring("cells", 1, table_of, grade_cells, summarise_mean, about="Right cells over those of the larger table."),
    ),
    settings=Settings(max_tokens=4096),
    official_rows=9115,
)
