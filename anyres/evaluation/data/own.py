"""Your own data as a benchmark: five lines of YAML, no class, nothing to register.

    name: receipts
    data: receipts.jsonl
    question: "What is the {field}? Answer with the value alone."
    answer: value
    metric: anls

docs/evaluation.md lists every key.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from anyres.chat import ImagePart, Message, VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Extract, Grade, Scoring, Settings, Summarise
from anyres.evaluation.choices import gold_letter, options_of
from anyres.evaluation.data.download import download, is_address
from anyres.evaluation.data.picture_size import picture_size
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.letters import letter_of
from anyres.evaluation.extraction.places import box_or_list_of, point_of
from anyres.evaluation.extraction.short_answer import answer_as_it_is, short_answer_of, stripped_answer
from anyres.evaluation.extraction.yes_no import yes_no_of
from anyres.evaluation.metrics.anls import anls_of
from anyres.evaluation.metrics.boxes import is_hit, is_inside
from anyres.evaluation.metrics.containment import holds_gold
from anyres.evaluation.metrics.exact import is_gold, summarise_mean
from anyres.evaluation.metrics.relaxed import lenient_relaxed_of
from anyres.evaluation.metrics.teds import teds
from anyres.evaluation.metrics.text import same_words
from anyres.evaluation.metrics.vqa import vqa_accuracy_of
from anyres.evaluation.prompts import asked, choice_prompt, plain_prompt
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["ENDINGS", "METRICS", "OwnSpec", "own_benchmark", "read_spec"]

ENDINGS = (".yaml", ".yml")
COLUMN = re.compile(r"\{([^{}\n]+)\}")
MOST_BYTES = 100_000
IDS = ("id", "index", "question_id")
PICTURES = ("image", "image_path", "images")
BOXES = ("box", "point")


class Metric(NamedTuple):
    """How an answer is read and scored, in words and in functions."""

    about: str
    extract: Extract
    grade: Grade
    summarise: Summarise = summarise_mean


def _teds(extraction: Any, sample: Sample) -> float:
    return max((teds(extraction.value, gold) for gold in sample.golds), default=0.0)


METRICS: dict[str, Metric] = {
    "anls": Metric("likeness of the whole answer in characters, 0 below one half", stripped_answer, anls_of),
    "box": Metric("the first box overlaps the gold [x1, y1, x2, y2] by half", box_or_list_of, is_hit),
    "choice": Metric("the letter of the option", letter_of, is_gold),
    "contains": Metric("a gold is part of the answer, without case", answer_as_it_is, holds_gold),
    "exact": Metric("the answer is a gold, but for case, blanks and a full stop", short_answer_of, same_words),
    "number": Metric("a number within 5 % of the gold, or the same words", short_answer_of, lenient_relaxed_of),
    "point": Metric("the first point lies in the gold box [x1, y1, x2, y2]", point_of, is_inside),
    "table": Metric("likeness of an HTML table to the gold one (TEDS)", answer_as_it_is, _teds),
    "vqa": Metric("agreement with ten people's answers", stripped_answer, vqa_accuracy_of),
    "yes_no": Metric("yes or no", yes_no_of, is_gold),
}


@dataclass(frozen=True)
class OwnSpec:
    """What the YAML says. Columns may be lists, of which the first that holds something counts. `question` is a text
    in which `{column}` stands for a row's value; `prompt` the same for what surrounds it, with `{question}`."""

    name: str
    data: str
    metric: str
    question: str = "{question}"
    answer: tuple[str, ...] = ("answer",)
    prompt: str = ""
    image: tuple[str, ...] = PICTURES
    video: tuple[str, ...] = ("video",)
    id: tuple[str, ...] = IDS
    category: tuple[str, ...] = ("category",)
    cluster: tuple[str, ...] = ()
    max_tokens: int = 1024
    min_pixels: int | None = None
    max_pixels: int | None = None
    checksum: str = ""
    title: str = ""
    paper: str = ""
    rows: int | None = None


def own_benchmark(path: Path, *, cache: Path | None = None) -> Benchmark:
    """The benchmark of a YAML file, whose `read` takes that file. DatasetError, naming the key, for what is wrong.

    Data behind an address is fetched into `cache`, else beside the YAML.
    """
    spec = read_spec(path)
    metric = METRICS[spec.metric]
    return Benchmark(
        name=spec.name,
        title=spec.title or spec.name,
        paper=spec.paper,
        read=_Read(spec, path.parent, cache or path.parent),
        prompt=_Prompt(spec),
        scorings=(Scoring(spec.metric, 1, metric.extract, metric.grade, metric.summarise, about=metric.about),),
        settings=Settings(max_tokens=spec.max_tokens, min_pixels=spec.min_pixels, max_pixels=spec.max_pixels),
        official_rows=spec.rows,
    )


def read_spec(path: Path) -> OwnSpec:
    """Checked key by key."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DatasetError(str(path), "too large", f"at most {MOST_BYTES:,} bytes of YAML")
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(str(path), f"cannot be read ({error.strerror})", "a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        seen = " ".join(str(error).split())[:200]
        raise DatasetError(str(path), f"not YAML ({seen})", "lines of `key: value`") from None
    if not isinstance(raw, Mapping):
        raise DatasetError(str(path), f"a YAML {type(raw).__name__}", "lines of `key: value`")
    known = {one.name: one for one in fields(OwnSpec)}
    for key in raw:
        if key not in known:
            raise DatasetError(f"{path.name}: {key}", "an unknown key", ", ".join(known))
    for key in ("name", "data", "metric"):
        if key not in raw:
            raise DatasetError(f"{path.name}: {key}", "missing", "name, data and metric")
    return _valid(OwnSpec(**{key: _value(path, key, value) for key, value in raw.items()}), path)


def _value(path: Path, key: str, value: Any) -> Any:
    """Of the type that the key has."""
    default = getattr(OwnSpec, key, "")
    if isinstance(default, tuple):
        names = [value] if isinstance(value, str) else value
        if isinstance(names, list) and names and all(isinstance(name, str) and name for name in names):
            return tuple(names)
        raise DatasetError(f"{path.name}: {key}", repr(value)[:60], "a column, or a list of columns")
    if isinstance(default, str):
        fits, allowed = isinstance(value, str), "a text"
    else:
        fits, allowed = isinstance(value, int) and not isinstance(value, bool) and value > 0, "a whole number from 1"
    if not fits:
        raise DatasetError(f"{path.name}: {key}", repr(value)[:60], allowed)
    return value


def _valid(spec: OwnSpec, path: Path) -> OwnSpec:
    if spec.metric not in METRICS:
        raise DatasetError(f"{path.name}: metric", repr(spec.metric), ", ".join(METRICS))
    if not re.fullmatch(r"[\w][\w .+-]{0,63}", spec.name):
        raise DatasetError(f"{path.name}: name", repr(spec.name), "letters, digits, blanks, . + - and _, at most 64")
    if spec.prompt and "{question}" not in spec.prompt:
        raise DatasetError(f"{path.name}: prompt", repr(spec.prompt)[:60], "a text with {question} in it")
    return spec


class _Read:
    """Reads the data that a YAML file names."""

    def __init__(self, spec: OwnSpec, folder: Path, cache: Path) -> None:
        self._spec, self._folder, self._cache = spec, folder, cache

    def __call__(self, path: Path) -> Iterable[Sample]:
        del path
        data = self._spec.data
        place = download(data, self._cache, digest=self._spec.checksum) if is_address(data) else self._folder / data
        return samples_of_rows(place, lambda row: _sample(row, self._spec))


class _Prompt:
    """The question of a sample with its pictures; options are listed where there are any and `prompt` is not given."""

    def __init__(self, spec: OwnSpec) -> None:
        self._spec = spec

    def __call__(self, sample: Sample) -> tuple[Message, ...]:
        if self._spec.prompt:
            return asked(sample, self._spec.prompt.replace("{question}", sample.question))
        return choice_prompt(sample) if sample.options else plain_prompt(sample)


def _sample(row: Row, spec: OwnSpec) -> Sample:
    is_choice = spec.metric == "choice"
    options = options_of(row) if is_choice else ()
    media = _media(row, spec)
    sample = Sample(
        id=row.optional(*spec.id) or row.name,
        question=_filled(spec.question, row),
        media=media,
        options=options,
        golds=(_letter(row, spec, options),) if is_choice else _golds(row, spec),
        cluster=row.optional(*spec.cluster) if spec.cluster else picture_cluster(media),
        categories={"category": row.text(*spec.category)} if row.has(*spec.category) else {},
    )
    if not all(sample.golds):
        return replace(sample, golds=())
    return replace(sample, facts=_box(row, spec, media)) if spec.metric in BOXES else sample


def _media(row: Row, spec: OwnSpec) -> tuple[ImagePart | VideoPart, ...]:
    clips = (row.clip(*spec.video),) if row.has(*spec.video) else ()
    return (*row.pictures(*spec.image), *clips)


def _filled(template: str, row: Row) -> str:
    """Each `{column}` by its text; braces around anything else stay."""

    def text(found: re.Match[str]) -> str:
        return row.text(found[1]) if found[1] in row.values else found[0]

    filled = COLUMN.sub(text, template).strip()
    if template == "{question}" and filled == template:
        raise row.wrong("nothing", "a column question, or `question:` in the YAML", columns=("question",))
    return filled


def _golds(row: Row, spec: OwnSpec) -> tuple[str, ...]:
    if spec.metric in BOXES:
        return (str(row.value(*spec.answer)),) if row.has(*spec.answer) else ()
    golds = row.texts(*spec.answer)
    if spec.metric != "yes_no":
        return golds
    if any(gold.strip().lower() not in ("yes", "no") for gold in golds):
        raise row.wrong(repr(golds)[:60], "yes or no", columns=spec.answer)
    return tuple(gold.strip().lower() for gold in golds)


def _letter(row: Row, spec: OwnSpec, options: tuple[str, ...]) -> str:
    """Of a letter, a number of the option from 0 on, or the option's own text."""
    if not options:
        raise row.wrong("nothing", "columns A, B, ..., or a list", columns=("options", "choices"))
    gold = row.optional(*spec.answer).strip()
    if gold in options and gold.upper() not in LETTERS[: len(options)]:
        return LETTERS[options.index(gold)]
    return gold_letter(replace(row, values={**row.values, "answer": row.value(*spec.answer)}), options)


def _box(row: Row, spec: OwnSpec, media: tuple[ImagePart | VideoPart, ...]) -> dict[str, Any]:
    numbers = [Row(row.name, {"box": item}).number("box") for item in row.items(*spec.answer)]
    if len(numbers) != 4 or numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        raise row.wrong(repr(numbers), "[x1, y1, x2, y2] in pixels", columns=spec.answer)
    if not media or not isinstance(media[0], ImagePart):
        raise row.wrong("nothing", "a picture for the box", columns=spec.image)
    width, height = picture_size(row, media[0])
    return {"box": numbers, "width": width, "height": height}
