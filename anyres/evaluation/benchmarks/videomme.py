"""Video-MME: 2,700 questions about 900 clips from eleven seconds to an hour, with and without subtitles.

Paper: Fu et al., arXiv 2405.21075. Subtitles are those that are shown at the times of the frames which the official
settings take.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from anyres.chat import Message, VideoPart
from anyres.evaluation.benchmark import Benchmark, Graded
from anyres.evaluation.choices import choice_scorings
from anyres.evaluation.clips import CLIPS, clip_file, clip_prompt, frame_times, read_srt, shown
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.metrics.exact import by_category
from anyres.evaluation.metrics.groups import percent
from anyres.evaluation.published import targets
from anyres.evaluation.sample import Sample

__all__ = ["VIDEO_MME", "VIDEO_MME_SUBTITLES"]

PAPER = "arXiv 2409.12191v2, table 4"
DURATIONS = ("short", "medium", "long")
SUBTITLES = ("subtitle", "subtitles", "")


def read_videomme(path: Path) -> Iterable[Sample]:
    """The hub's parquet or VLMEvalKit's TSV; clips in `data` or `video`, subtitles in `subtitle`, named by videoID."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    options = tuple(_without_letter(option) for option in row.texts("options", "candidates"))
    if len(options) < 2:
        raise row.wrong(f"{len(options)} options", "at least two", columns=("options",))
    gold = row.letter("answer", options=options)
    name = row.text("videoID", "video", "video_id")
    clip = clip_file(row, name)
    return Sample(
        id=row.text("question_id", "index"),
        question=row.text("question"),
        media=(VideoPart(clip),),
        options=options,
        golds=(gold,) if gold else (),
        cluster=name,
        categories={kind: row.optional(kind) for kind in ("duration", "domain", "sub_category", "task_type")},
        facts={"subtitles": str(_subtitles(row, clip.stem))},
    )


def _without_letter(option: str) -> str:
    """`A. red.` -> `red.`"""
    return option[2:].strip() if option[:1].isupper() and option[1:2] in (".", ")") else option


def _subtitles(row: Row, name: str) -> Path:
    paths = [row.folder / folder / f"{name}.srt" for folder in SUBTITLES]
    return next((path for path in paths if path.is_file()), paths[0])


def with_subtitles_prompt(sample: Sample) -> tuple[Message, ...]:
    """With what is said while the frames are shown; clips without a file of subtitles have none, as in the data."""
    file = Path(sample.facts["subtitles"])
    if not file.is_file():
        return clip_prompt(sample)
    (clip,) = (part for part in sample.media if isinstance(part, VideoPart))
    words = shown(read_srt(file.read_text("utf-8-sig", errors="replace")), frame_times(clip))
    return clip_prompt(sample, words)


def summarise_videomme(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent overall, then of short, medium and long clips, of domains and of kinds of questions."""
    durations = by_category(graded, "duration")
    ordered = {str(name): durations[name] for name in DURATIONS if name in durations}
    domains, kinds = by_category(graded, "domain"), by_category(graded, "task_type")
    return {"overall": percent(graded), **ordered, **durations, **domains, **kinds}


VIDEO_MME = Benchmark(
    name="Video-MME",
    title="Video-MME without subtitles",
    paper="https://arxiv.org/abs/2405.21075",
    read=read_videomme,
    prompt=clip_prompt,
    scorings=choice_scorings(summarise_videomme),
    settings=CLIPS,
    targets=targets(55.6, 63.3, 71.2, source=PAPER, n=2700),
    official_rows=2700,
    aliases=("VideoMME",),
)
VIDEO_MME_SUBTITLES = Benchmark(
    name="Video-MME_subs",
    title="Video-MME with subtitles",
    paper="https://arxiv.org/abs/2405.21075",
    read=read_videomme,
    prompt=with_subtitles_prompt,
    scorings=choice_scorings(summarise_videomme),
    settings=CLIPS,
    targets=targets(60.4, 69.0, 77.8, source=PAPER, n=2700),
    official_rows=2700,
    aliases=("VideoMME_subs", "Video-MME-w-subs"),
)
