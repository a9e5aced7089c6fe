"""Short ways to write conversations about pictures and clips."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from recipes.tiny.example import Dense, Example, Further

__all__ = ["Frame", "about_clip", "about_pictures", "in_words", "pick"]

Frame = NDArray[np.uint8]
"""[H, W, 3]."""
Option = TypeVar("Option")


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of `options`, all as likely."""
    return options[int(rng.integers(len(options)))]


def about_pictures(
    task: str,
    frames: Sequence[Frame],
    turns: Sequence[str],
    *,
    dense: Sequence[Dense | None],
    metric: str = "exact",
    language: str = "en",
    further: Further | None = None,
) -> Example:
    """Pictures, then questions and answers in turn: `turns` is question, answer, question, answer, ..."""
    example = conversed(task, [ImagePart(frame) for frame in frames], turns, tuple(dense), (metric, language))
    return replace(example, further=further)


def about_clip(
    task: str, frames: Sequence[Frame], turns: Sequence[str], *, dense: Dense | None, metric: str = "exact"
) -> Example:
    """A clip of an even number of frames, then questions and answers in turn."""
    assert len(frames) % 2 == 0
    return conversed(task, [VideoPart(list(frames))], turns, (dense,), (metric, "en"))


def in_words(task: str, turns: Sequence[str], *, metric: str = "exact", language: str = "en") -> Example:
    """A talk without pictures."""
    return conversed(task, [], turns, (), (metric, language))


def conversed(
    task: str, media: Sequence[Part], turns: Sequence[str], dense: tuple[Dense | None, ...], kind: tuple[str, str]
) -> Example:
    """The media stand in the first turn; `kind` is (metric, language)."""
    first: str | list[Part] = [*media, TextPart(turns[0])] if media else turns[0]
    roles = ("user", "assistant") * (len(turns) // 2)
    messages = [Message(role, text) for role, text in zip(roles, (first, *turns[1:]), strict=True)]
    return Example(task, kind[1], tuple(messages), dense, kind[0])
