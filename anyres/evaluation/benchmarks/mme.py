"""MME: two yes/no questions about each of 1,187 pictures, in 14 subtasks.

Paper: arXiv 2306.13394. Its questions end with "Please answer yes or no." and are asked as they stand.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Scoring
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.yes_no import mme_yes_no_of, vlmevalkit_yes_no_of
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.metrics.mme import COGNITION, PERCEPTION, summarise_mme
from anyres.evaluation.prompts import plain_prompt
from anyres.evaluation.published import DYNAMIC, README, REPRODUCED, targets
from anyres.evaluation.sample import Sample

__all__ = ["MME"]

HEADING = ("image_path", "question", "answer")  # what stands behind, as a model's answer, is left unread
PICTURES = (".", "images")


def read_mme(path: Path) -> Iterator[Sample]:
    """The published folder (for each subtask a file of tab-separated lines, its pictures in a folder of its name), or
    VLMEvalKit's TSV."""
    files = [path / f"{subtask}.txt" for subtask in PERCEPTION + COGNITION]
    if path.is_dir() and any(file.exists() for file in files):
        return map(_sample, _rows(file for file in files if file.exists()))
    return samples_of_rows(path, _sample)


def _rows(files: Iterable[Path]) -> Iterator[Row]:
    for file in files:
        for number, line in enumerate(_text(file).splitlines(), 1):
            if line.strip():
                yield _row(line, file, number)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(str(file), f"not readable ({error})", "a text in UTF-8") from None


def _row(line: str, file: Path, number: int) -> Row:
    fields = line.split("\t")
    subtask, name = file.stem, f"{file.name}:{number}"
    if len(fields) < len(HEADING):
        return Row(name, {}, file.parent, f"{len(fields)} fields instead of picture, question and gold between tabs")
    places = [f"{subtask}/{place}/{fields[0]}" for place in PICTURES]
    found = next((place for place in places if (file.parent / place).exists()), None)
    if found is None:
        return Row(name, {}, file.parent, f"no picture {fields[0]} in {file.with_suffix('')}")
    held = dict(zip(HEADING, fields, strict=False)) | {"image": found}
    return Row(name, held | {"index": f"{subtask}/{number}", "category": subtask}, file.parent)


def _sample(row: Row) -> Sample:
    category, question, gold = row.text("category"), row.text("question").strip(), row.text("answer").strip().lower()
    if category not in PERCEPTION + COGNITION:
        raise row.wrong(repr(category), " or ".join(PERCEPTION + COGNITION), columns=("category",))
    if gold not in ("yes", "no"):
        raise row.wrong(repr(gold), "yes or no", columns=("answer",))
    return Sample(
        id=row.optional("index") or f"{row.text('question_id')}: {question}",
        question=question,
        media=row.needed_pictures("image", "image_path"),
        golds=(gold,),
        cluster=f"{category}/{row.text('image_path', 'question_id')}",
        categories={"category": category},
    )


MME = Benchmark(
    name="MME",
    title="MME: perception and cognition",
    paper="https://arxiv.org/abs/2306.13394",
    read=read_mme,
    prompt=plain_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            mme_yes_no_of,
            is_gold,
            summarise_mme,
            unit="points",
            about="Yes or no among the first four characters, as MME's calculation.py.",
        ),
        Scoring(
            "strict",
            1,
            vlmevalkit_yes_no_of,
            is_gold,
            summarise_mme,
            unit="points",
            about="Exactly one of the words yes and no in the answer, as VLMEvalKit; 'Yes, there is no cat' is none.",
        ),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(1872.0, 2326.8, 2482.7, source=README, figure="total", n=2374),
        *targets(None, 2283.44, source=f"{REPRODUCED}#498", figure="total", scoring="strict", n=2374),
        *targets(None, 1677.37, source=f"{REPRODUCED}#498", figure="perception", scoring="strict", n=2114),
        *targets(None, 606.07, source=f"{REPRODUCED}#498", figure="cognition", scoring="strict", n=260),
    ),
    official_rows=2374,
)
