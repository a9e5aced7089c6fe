"""A question of a benchmark with its gold, and what was replied to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from anyres.chat import ImagePart, VideoPart

__all__ = ["LETTERS", "Coordinates", "Reply", "Sample"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Coordinates = Literal["thousandths", "pixels", "unit"]
"""What a model's boxes are in: [0, 1000), pixels of the original picture, or [0, 1]. Declared, never guessed."""

NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Sample:
    """One question.

    `options` stand in the order of the letters A, B, ...; `golds` are the answers that are right, any of them, empty
    where they are not published. `cluster` is what belongs together when an interval is drawn: the picture or clip
    (the id where it is empty). `facts` is what else the benchmark needs to prompt and to score, as JSON values.
    """

    id: str
    question: str
    media: tuple[ImagePart | VideoPart, ...] = ()
    options: tuple[str, ...] = ()
    golds: tuple[str, ...] = ()
    cluster: str = ""
    categories: Mapping[str, str] = field(default_factory=lambda: NONE)
    facts: Mapping[str, Any] = field(default_factory=lambda: NONE)

    @property
    def letters(self) -> str:
        """The letters of its options.

        >>> Sample("1", "Which?", options=("red", "green", "blue")).letters
        'ABC'
        """
        return LETTERS[: len(self.options)]


class Reply(NamedTuple):
    """What an extraction reads: the raw answer, why it ended, and what its boxes are in."""

    text: str
    finish_reason: str = "stop"
    coordinates: Coordinates = "thousandths"
