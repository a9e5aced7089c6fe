"""MME: two yes/no questions about each of 1,187 pictures, in 14 subtasks.

Paper: arXiv 2306.13394. Its questions end with "Please answer yes or no." and are asked as they stand.
"""

from collections.abc import Iterator
from pathlib import Path

from anyres.chat import ImagePart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Scoring, Settings
from anyres.evaluation.extraction.yes_no import mme_yes_no_of, vlmevalkit_yes_no_of
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.metrics.mme import COGNITION, PERCEPTION, summarise_mme
from anyres.evaluation.prompts import plain_prompt
from anyres.evaluation.published import README, targets
from anyres.evaluation.sample import Sample

__all__ = ["MME"]

FIELDS = 3  # picture's name, question, gold; what stands behind them, as a model's answer, is left unread
PICTURES = (".", "images")


def read_mme(path: Path) -> Iterator[Sample]:
    """The published folder: for each subtask a file of tab-separated lines, its pictures in a folder of its name."""
    for subtask in PERCEPTION + COGNITION:
        lines = path / f"{subtask}.txt"
        if lines.exists():
            yield from _subtask(lines, subtask)


def _subtask(lines: Path, subtask: str) -> Iterator[Sample]:
    for number, line in enumerate(lines.read_text("utf-8").splitlines(), 1):
        if line.strip():
            yield _sample(line, f"{lines.name}:{number}", folder=lines.with_suffix(""), subtask=subtask)


def _sample(line: str, name: str, *, folder: Path, subtask: str) -> Sample:
    fields = line.split("\t")
    if len(fields) < FIELDS or fields[2].strip().lower() not in ("yes", "no"):
        raise DatasetError(name, repr(line)[:80], "picture's name, question and Yes or No between tabs")
    picture = next((folder / place / fields[0] for place in PICTURES if (folder / place / fields[0]).exists()), None)
    if picture is None:
        raise DatasetError(name, f"no picture {fields[0]}", f"one in {folder}")
    return Sample(
        id=name.removesuffix(".txt").replace(".txt:", "/"),
        question=fields[1].strip(),
        media=(ImagePart(picture),),
        golds=(fields[2].strip().lower(),),
        cluster=f"{subtask}/{fields[0]}",
        categories={"category": subtask},
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
    settings=Settings(max_tokens=2048),
    targets=targets(1872.0, 2326.8, 2482.7, source=README, figure="total", n=2374),
    official_rows=2374,
)
