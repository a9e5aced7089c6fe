"""The card of the embedded checkpoint as a benchmark: its held-out questions, asked of any model.

`python -m recipes.tiny questions DIR` writes them, always the same ones, as JSONL and PNG files: they are drawn by the
recipe and come with no package. Figures are rows of the card; overall is their unweighted mean.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring, Settings
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.metrics.examination import METRICS, weight
from anyres.evaluation.metrics.groups import mean
from anyres.evaluation.sample import Reply, Sample

__all__ = ["TINY_CARD"]

KNOBS = ("min_pixels", "max_pixels", "fps", "nframes", "total_pixels")


def read_tiny_card(path: Path) -> Iterable[Sample]:
    """The folder, or its data.jsonl."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    metric = row.text("metric")
    if metric not in METRICS:
        raise row.wrong(repr(metric), ", ".join(METRICS), columns=("metric",))
    turns, media = _turns(row)
    questions = [part["text"] for turn in turns for part in turn["parts"] if "text" in part]
    return Sample(
        id=row.text("id"),
        question=questions[-1] if questions else "",
        media=media,
        golds=(row.text("answer"),),
        categories={"category": row.text("row"), "l2-category": row.optional("language")},
        facts={
            "turns": turns,
            "metric": metric,
            "wanted": {"answer": row.text("answer"), **(row.value("wanted") or {})},
        },
    )


def _turns(row: Row) -> tuple[list[dict[str, Any]], tuple[ImagePart | VideoPart, ...]]:
    """The conversation, its pictures and clips as numbers of the media that are given beside it."""
    turns: list[dict[str, Any]] = []
    media: list[ImagePart | VideoPart] = []
    for turn in row.items("messages"):
        if not isinstance(turn, Mapping) or not isinstance(turn.get("parts"), list):
            raise row.wrong(repr(turn)[:80], "objects with role and parts", columns=("messages",))
        parts = []
        for part in turn["parts"]:
            medium = _medium(row, part)
            parts.append({"text": str(part.get("text", ""))} if medium is None else {"media": len(media)})
            media += [] if medium is None else [medium]
        turns.append({"role": str(turn.get("role", "user")), "parts": parts})
    if not turns:
        raise row.wrong("nothing", "at least one message", columns=("messages",))
    return turns, tuple(media)


def _medium(row: Row, part: Any) -> ImagePart | VideoPart | None:
    if not isinstance(part, Mapping):
        raise row.wrong(repr(part)[:80], "objects with text, image or frames", columns=("messages",))
    knobs = {name: part[name] for name in KNOBS if name in part}
    if "image" in part:
        return replace(ImagePart(row.folder / str(part["image"])), **knobs)
    if "frames" in part:
        return replace(VideoPart([str(row.folder / str(frame)) for frame in part["frames"]]), **knobs)
    return None


def tiny_card_prompt(sample: Sample) -> tuple[Message, ...]:
    return tuple(
        Message(turn["role"], [_part(sample, part) for part in turn["parts"]]) for turn in sample.facts["turns"]
    )


def _part(sample: Sample, part: Mapping[str, Any]) -> Part:
    if "media" not in part:
        return TextPart(part["text"])
    medium = sample.media[part["media"]] if part["media"] < len(sample.media) else None
    return TextPart("") if medium is None else medium


def whole_answer(reply: Reply, sample: Sample) -> Extraction:
    """The answer without blanks around it; an empty one is none."""
    text = reply.text.strip()
    return Extraction(text or None, "the whole answer")


def grade_answer(extraction: Extraction, sample: Sample) -> float:
    """By the question's own metric; below 0 where more edits are needed than there are characters."""
    return METRICS[sample.facts["metric"]](extraction.value or "", sample.facts["wanted"])


def summarise_rows(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent: the mean of the rows, then each; in rows that count characters, of all characters, and 0 at least."""
    names = list(dict.fromkeys(one.sample.categories["category"] for one in graded))
    rows = {name: _row([one for one in graded if one.sample.categories["category"] == name]) for name in names}
    return {"overall": mean(list(rows.values())), **rows}


def _row(graded: Sequence[Graded]) -> float:
    weights = [weight(one.sample.facts["metric"], one.sample.facts["wanted"]) for one in graded]
    right = sum(one.score * count for one, count in zip(graded, weights, strict=True))
    return 100 * min(1.0, max(0.0, right / sum(weights)))


TINY_CARD = Benchmark(
    name="TinyCard",
    title="The embedded checkpoint's card",
    paper="https://arxiv.org/abs/2409.12191",
    read=read_tiny_card,
    prompt=tiny_card_prompt,
    scorings=(
        Scoring("official", 1, whole_answer, grade_answer, summarise_rows, about="As recipes/tiny scores its card."),
    ),
    settings=Settings(max_tokens=600),
    aliases=("tiny-card",),
)
