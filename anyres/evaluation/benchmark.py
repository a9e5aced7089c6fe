"""A benchmark: where its samples come from, how they are asked, how answers are scored, what was published."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from anyres.chat import Message, PixelLimit
from anyres.evaluation.sample import Reply, Sample

__all__ = ["Benchmark", "Extraction", "Graded", "Scoring", "Settings", "Target"]


class Extraction(NamedTuple):
    """What a raw answer says, as a JSON value, and the rule that found it. None is "no answer": an outcome of its own,
    never replaced by a guess."""

    value: Any
    rule: str


class Graded(NamedTuple):
    """A sample with what was extracted and its score, 0 to 1."""

    sample: Sample
    extraction: Extraction
    score: float


Extract = Callable[[Reply, Sample], Extraction]
Grade = Callable[[Extraction, Sample], float]
Summarise = Callable[[Sequence[Graded]], Mapping[str, float]]
AskJudge = Callable[[Sample, str], tuple[Message, ...]]


@dataclass(frozen=True)
class Scoring:
    """A way to score: pure functions under a name and a version, so that old records can be scored anew.

    `name` is "official" (bug for bug what the authors' script does), "strict", "lenient" or "judge"; `about` says how
    it differs from the official one. `summarise` gives the figures of a whole run, the headline first; it must be right
    for any part of the samples, as intervals draw them with repeats. `unit` of the figures is "%" or "points".
    With `ask_judge`, a judge model is asked that about the raw answer, and `extract` reads the judge's reply. What
    was not judged has no score: a raw answer is never read as a judge's.
    """

    name: str
    version: int
    extract: Extract
    grade: Grade
    summarise: Summarise
    unit: str = "%"
    about: str = ""
    ask_judge: AskJudge | None = None


@dataclass(frozen=True)
class Settings:
    """Official settings of a run; None leaves it to the model. `fps` and `max_frames`: of clips without their own."""

    max_tokens: int = 1024
    temperature: float = 0.0
    min_pixels: int | None = None
    max_pixels: PixelLimit = None
    fps: float | None = None
    max_frames: int | None = None


@dataclass(frozen=True)
class Target:
    """A published figure: of which model, in which figure of which scoring, over how many samples, printed where."""

    model: str
    value: float
    source: str
    figure: str = "overall"
    scoring: str = "official"
    split: str = ""
    n: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. It owns its prompt; models know nothing of it.

    `read` takes a file or folder in the published layout, or VLMEvalKit's TSV, and raises DatasetError with the row's
    name for what is broken; `official_rows` is how many there are in the published split. `circular` tells that a group
    of rotations, samples of one cluster, counts as one; then `official_groups` is how many there are.
    `drawn` ones make their samples and pictures themselves: they need no data, and `read` looks at no path.
    """

    name: str
    title: str
    paper: str
    read: Callable[[Path], Iterable[Sample] | Iterator[Sample]]
    prompt: Callable[[Sample], tuple[Message, ...]]
    scorings: tuple[Scoring, ...]
    version: int = 1
    settings: Settings = field(default_factory=Settings)
    targets: tuple[Target, ...] = ()
    official_rows: int | None = None
    official_groups: int | None = None
    circular: bool = False
    aliases: tuple[str, ...] = ()
    drawn: bool = False
