"""What a model is asked, what came of it, and what a model has to be for that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, VideoPart
from anyres.evaluation.sample import Coordinates

Grid = tuple[int, int, int]

__all__ = ["AskedModel", "Query", "Told", "media_of"]


@dataclass(frozen=True)
class Query:
    """One question with its pictures, and how the answer is drawn."""

    messages: tuple[Message, ...]
    options: GenerationOptions = field(default_factory=GenerationOptions)


class Told(NamedTuple):
    """What came of a query: an answer, or in words why there is none.

    `grids_thw` are those of the pictures and clips where the model tells them. `tries` counts how often it was asked.
    """

    answer: Answer | None
    error: str = ""
    grids_thw: tuple[Grid, ...] = ()
    latency_s: float = 0.0
    tries: int = 1


class AskedModel(Protocol):
    """A model under evaluation, or a judge. `ask` may be called by `at_once` threads together.

    Nothing is loaded and nothing sent before the first `ask`. `identity` tells apart whatever may answer differently:
    weights, precision, library; with the query it decides the answer. `coordinates` are what its boxes are in.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def coordinates(self) -> Coordinates: ...
    @property
    def at_once(self) -> int: ...
    @property
    def versions(self) -> Mapping[str, str]: ...

    def rendered(self, messages: Sequence[Message]) -> str:
        """The prompt as this model is given it, pictures and clips as placeholders."""
        ...

    def ask(self, query: Query) -> Told:
        """Tells what the query or the model did wrong; raises AnyresError where the model cannot be asked at all."""
        ...

    def close(self) -> None: ...


def media_of(messages: Sequence[Message]) -> list[ImagePart | VideoPart]:
    """Pictures and clips in their order."""
    return [part for message in messages for part in message.parts if isinstance(part, (ImagePart, VideoPart))]
