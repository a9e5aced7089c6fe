"""A task: one benchmark, asked of one model in one way. What it asks, and what a record of it holds."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from anyres.chat import GenerationOptions, ImagePart, Message, Part, PixelLimit, TextPart, VideoPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Scoring
from anyres.evaluation.models.query import AskedModel, Query, Told, media_of
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.record import Record
from anyres.evaluation.run.key import Keyed
from anyres.evaluation.run.variant import PLAIN, Variant, with_knobs
from anyres.evaluation.sample import Sample
from anyres.evaluation.scoring import graded

__all__ = ["Overrides", "Task", "scores_of"]


@dataclass(frozen=True)
class Overrides:
    """What the user wants otherwise than the benchmark has it; None leaves it as it is. Raises OptionError."""

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    min_pixels: int | None = None
    max_pixels: PixelLimit = None
    fps: float | None = None
    nframes: int | None = None

    def __post_init__(self) -> None:
        GenerationOptions(max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed)

    def to_dict(self) -> dict[str, Any]:
        """What is set, for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Task:
    """`samples` are those of the benchmark, in its order; `path` is where its records go."""

    benchmark: Benchmark
    samples: tuple[Sample, ...]
    spec: ModelSpec
    folder: Path
    variant: Variant = PLAIN
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.benchmark.name, self.spec.name, str(self.variant))))

    @property
    def path(self) -> Path:
        """records/<benchmark>/<model>[@<variant>].jsonl"""
        suffix = f"@{self.variant}" if str(self.variant) else ""
        return self.folder / "records" / self.benchmark.name / f"{self.spec.slug}{suffix}.jsonl"

    @property
    def claims_path(self) -> Path:
        """Beside the records, empty."""
        return self.path.with_name(f".{self.path.name}.lock")

    @cached_property
    def asked(self) -> tuple[Sample, ...]:
        """The samples of the variant."""
        return tuple(self.variant.samples(self.samples))

    @property
    def options(self) -> GenerationOptions:
        settings, wanted = self.benchmark.settings, self.overrides
        return GenerationOptions(
            max_tokens=wanted.max_tokens or settings.max_tokens,
            temperature=settings.temperature if wanted.temperature is None else wanted.temperature,
            seed=wanted.seed,
        )

    @property
    def judged_by(self) -> Scoring | None:
        """The scoring that needs a judge, if there is one."""
        return next((one for one in self.benchmark.scorings if one.ask_judge is not None), None)

    def query(self, sample: Sample) -> Query:
        """The benchmark's prompt with its official settings, what the user wants otherwise, and the variant's knob.

        A part of the prompt that names a knob itself keeps it against the official setting, not against the user.
        """
        messages = self.variant.messages([self._with_knobs(one) for one in self.benchmark.prompt(sample)])
        return Query(messages, self.options)

    def record(self, sample: Sample, query: Query, keyed: Keyed, told: Told, model: AskedModel) -> Record:
        """What came of it, scored at once."""
        plain = self._blank(sample, query, model, keyed)
        told_at = replace(plain, grids_thw=told.grids_thw, latency_s=round(told.latency_s, 4), tries=told.tries)
        if told.answer is None:
            return self.scored(replace(told_at, outcome="failed", error=told.error, finish_reason="failed"), sample)
        answer, usage = told.answer, told.answer.usage
        answered = replace(
            told_at,
            raw=answer.text,
            finish_reason=answer.finish_reason,
            notes=answer.notes,
            prompt_tokens=usage.prompt_tokens,
            visual_tokens=usage.image_tokens + usage.video_tokens,
            completion_tokens=usage.completion_tokens,
        )
        return self.scored(answered, sample)

    def scored(self, record: Record, sample: Sample) -> Record:
        """With what each scoring makes of it, and the time."""
        return replace(record, scores=scores_of(self.benchmark, record, sample), at=round(time.time(), 3))

    def _blank(self, sample: Sample, query: Query, model: AskedModel, keyed: Keyed) -> Record:
        return Record(
            id=sample.id,
            benchmark=self.benchmark.name,
            model=self.spec.name,
            key=keyed.key,
            prompt=model.rendered(query.messages),
            variant=str(self.variant),
            coordinates=model.coordinates,
            media_sha256=keyed.media_sha256,
            settings=self._settings(query),
            versions={"anyres": _anyres(), "benchmark": str(self.benchmark.version), **model.versions},
        )

    def _settings(self, query: Query) -> dict[str, Any]:
        """Options and knobs that are set."""
        usual = GenerationOptions()
        options = {name: value for name, value in vars(query.options).items() if value != getattr(usual, name)}
        knobs = [_knobs_of(part) for part in media_of(query.messages)]
        return {**options, **({"media": knobs} if any(knobs) else {})}

    def _with_knobs(self, message: Message) -> Message:
        return replace(message, content=tuple(map(self._part_with_knobs, message.parts)))

    def _part_with_knobs(self, part: Part) -> Part:
        if isinstance(part, TextPart):
            return part
        settings, wanted = self.benchmark.settings, self.overrides
        official: dict[str, Any] = {"min_pixels": settings.min_pixels, "max_pixels": settings.max_pixels}
        if isinstance(part, VideoPart) and part.nframes is None:
            official |= {"fps": settings.fps, "max_frames": settings.max_frames}
        unset = {name: value for name, value in official.items() if getattr(part, name) is None}
        knobs = ("min_pixels", "max_pixels", "fps", "nframes")
        forced = {name: getattr(wanted, name) for name in knobs if getattr(wanted, name) is not None}
        if "nframes" in forced:
            forced["max_frames"] = None
        return with_knobs(replace(part, **unset), forced)


def scores_of(benchmark: Benchmark, record: Record, sample: Sample) -> dict[str, dict[str, Any]]:
    """Version, value, rule and score of each scoring; what was not answered, or not judged, has no value and 0."""
    return {one.name: _score(one, record, sample) for one in benchmark.scorings}


def _score(scoring: Scoring, record: Record, sample: Sample) -> dict[str, Any]:
    scored = graded(scoring, [sample], {sample.id: record})
    rule = f"judge failed: {record.judge_error}" if record.judge_error else "not judged"
    extraction, score = (scored[0].extraction, scored[0].score) if scored else (Extraction(None, rule), 0.0)
    return {"version": scoring.version, "value": extraction.value, "rule": extraction.rule, "score": score}


def _knobs_of(part: ImagePart | VideoPart) -> dict[str, Any]:
    held: Mapping[str, Any] = vars(part)
    return {name: value for name, value in held.items() if name not in ("image", "video") and value is not None}


def _anyres() -> str:
    try:
        return version("anyres")
    except PackageNotFoundError:
        return "source tree"
