"""What is better known before a run than hours after: is the data whole, and what will it cost."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from anyres.chat import ImagePart, VideoPart
from anyres.errors import AnyresError, DatasetError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.data.rows import picture_cluster
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.models.query import AskedModel, Told
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Sample

__all__ = ["Findings", "Trial", "look_at_data", "try_out"]

PREVIEW = 2000  # characters of a prompt
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Findings:
    """What the data of a benchmark is like. `unreadable` are pictures and clips that do not decode, by sample."""

    benchmark: str
    data: str
    samples: tuple[Sample, ...]
    official_rows: int | None
    broken: tuple[DatasetError, ...]
    no_gold: int
    media: int
    unreadable: tuple[tuple[str, str], ...]
    preview: str
    official_groups: int | None = None

    @property
    def problems(self) -> list[str]:
        """In words; none where all is well."""
        rows = len(self.samples)
        found = []
        if self.official_rows is not None and rows != self.official_rows:
            found.append(f"{rows:,} samples, while the published benchmark has {self.official_rows:,}")
        groups = len({sample.cluster for sample in self.samples})
        if self.official_groups is not None and groups != self.official_groups:
            found.append(f"{groups:,} groups of rotations, while the published benchmark has {self.official_groups:,}")
        if self.broken:
            found.append(f"{len(self.broken):,} rows are broken, as {self.broken[0]}")
        if self.no_gold == rows:
            found.append("no sample has a published answer: scores cannot be computed here")
        elif self.no_gold:
            found.append(f"{self.no_gold:,} samples have no published answer and count as wrong")
        if self.unreadable:
            name, why = self.unreadable[0]
            found.append(f"{len(self.unreadable):,} pictures or clips cannot be read, as that of {name}: {why}")
        return found

    @property
    def remarks(self) -> list[str]:
        """What is worth knowing and may be as it should be."""
        bare = sum(not sample.media for sample in self.samples)
        if not bare:
            return []
        if bare == len(self.samples):
            return ["no sample has a picture or clip: all is asked as text"]
        return [f"{bare:,} of {len(self.samples):,} samples have neither picture nor clip"]


class Trial(NamedTuple):
    """What a few samples, spread over the data, took. Means are over those that were answered.

    `samples_per_s` is at as many questions together as a run would ask, once the model is loaded, which took
    `load_s` with its first answer. `memory_bytes` is the peak of this process so far, 0 where the model is elsewhere.
    """

    asked: int
    failed: tuple[str, ...]
    prompt_tokens: float
    visual_tokens: float
    completion_tokens: float
    samples_per_s: float
    load_s: float
    memory_bytes: int
    answers: tuple[tuple[str, str], ...]

    def seconds(self, samples: int) -> float:
        """To expect for so many samples."""
        return self.load_s + samples / self.samples_per_s if self.samples_per_s else math.inf

    def cost(self, samples: int, *, price_in: float, price_out: float) -> float:
        """In the currency of prices for a million tokens."""
        return samples * (self.prompt_tokens * price_in + self.completion_tokens * price_out) / 1e6


def look_at_data(
    benchmark: Benchmark, path: Path, *, decode: bool = True, progress: Progress = lambda *_: None
) -> Findings:
    """Reads everything and, with `decode`, decodes every picture once. DatasetError where nothing can be read."""
    samples, broken = read_samples(benchmark, path)
    parts = {picture_cluster([part]): (sample, part) for sample in samples for part in sample.media}
    unreadable = []
    for done, (sample, part) in enumerate(parts.values() if decode else (), start=1):
        progress(done, len(parts))
        if why := _flaw(part):
            unreadable.append((sample.id, why))
    return Findings(
        benchmark=benchmark.name,
        data=str(path),
        samples=samples,
        official_rows=benchmark.official_rows,
        broken=broken,
        no_gold=sum(not sample.golds for sample in samples),
        media=len(parts),
        unreadable=tuple(unreadable),
        preview=_preview(benchmark, samples[0]),
        official_groups=benchmark.official_groups,
    )


def try_out(task: Task, model: AskedModel, *, count: int = 5) -> Trial:
    """Asks `count` samples: the first alone, which loads the model, the others as a run would."""
    picked = _spread(task.asked, count)
    started = time.perf_counter()
    first = model.ask(task.query(picked[0]))
    load_s = time.perf_counter() - started
    told, per_s = [first], 1 / max(1e-9, load_s)
    if picked[1:]:
        started = time.perf_counter()
        with ThreadPoolExecutor(min(model.at_once, len(picked) - 1)) as pool:
            told += pool.map(lambda sample: model.ask(task.query(sample)), picked[1:])
        per_s = (len(picked) - 1) / max(1e-9, time.perf_counter() - started)
    return _trial(picked, told, per_s, load_s, is_here=task.spec.kind == "local")


def _trial(picked: Sequence[Sample], told: Sequence[Told], per_s: float, load_s: float, *, is_here: bool) -> Trial:
    answers = [one.answer for one in told if one.answer is not None]
    usages = [answer.usage for answer in answers]
    n = max(1, len(answers))
    return Trial(
        asked=len(told),
        failed=tuple(one.error for one in told if one.answer is None),
        prompt_tokens=sum(usage.prompt_tokens for usage in usages) / n,
        visual_tokens=sum(usage.image_tokens + usage.video_tokens for usage in usages) / n,
        completion_tokens=sum(usage.completion_tokens for usage in usages) / n,
        samples_per_s=per_s,
        load_s=load_s,
        memory_bytes=_peak_bytes() if is_here else 0,
        answers=tuple(
            (sample.id, one.answer.text) for sample, one in zip(picked, told, strict=True) if one.answer is not None
        ),
    )


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The first, the last and others at equal distances: data is often sorted by kind."""
    if count >= len(samples):
        return list(samples)
    step = (len(samples) - 1) / max(1, count - 1)
    return [samples[round(place * step)] for place in range(count)]


def _flaw(part: ImagePart | VideoPart) -> str:
    """Why it cannot be read, "" where it can; of a clip the first frame is decoded."""
    from anyres.processing.media import open_image, open_video

    try:
        if isinstance(part, ImagePart):
            open_image(part.image)
            return ""
        with open_video(part.video) as clip:
            next(clip.iter_frames([0]))
    except AnyresError as error:
        return str(error)
    return ""


def _preview(benchmark: Benchmark, sample: Sample) -> str:
    """The first prompt, pictures and clips as marks."""
    marks = {ImagePart: "<picture>", VideoPart: "<clip>"}
    lines = []
    for message in benchmark.prompt(sample):
        words = "".join(marks.get(type(part), getattr(part, "text", "")) for part in message.parts)
        lines.append(f"[{message.role}] {words}")
    return "\n".join(lines)[:PREVIEW]


def _peak_bytes() -> int:
    """Of this process, and of the GPU where one is used."""
    if sys.platform == "win32":
        return 0
    import resource

    import torch

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak + (torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0)
