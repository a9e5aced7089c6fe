"""What the data factory of version 1 gives: a conversation, and what its pictures are known to hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyres.chat import Message, TextPart

__all__ = ["Box", "Dense", "Example", "Further", "Word", "asked_further", "question_of"]

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""


class Word(NamedTuple):
    """A run of letters without a blank, and the box of its ink."""

    text: str
    box: Box


SHORT = 8
"""Characters up to which one answer may be that of several questions."""
Further = Callable[[np.random.Generator], tuple[str, str] | None]


@dataclass(frozen=True)
class Dense:
    """What lies in each 28x28 cell of one picture or clip: teachers of the vision encoder.

    Cells run row by row, for clips frame pair by frame pair, and there are as many as visual tokens, so the picture's
    sides are multiples of 28.
    """

    letters: Sequence[str] | None = None
    """Of each cell, the characters whose centres lie in it, in reading order; "" where there are none."""
    names: Sequence[Sequence[str]] | None = None
    """Of each cell, the names of the things in it, the largest first."""
    places: NDArray[np.float32] | None = None
    """[M, COLUMNS] of recipes/tiny/places.py."""
    counted: Sequence[int] | None = None
    """Of each cell of a still, how many of the things that the question is about have their centre in it."""
    words: Sequence[Word] | None = None
    """All that is printed, in the order in which it was."""


@dataclass(frozen=True)
class Example:
    """One conversation that ends with the assistant's answer; every assistant turn is learnt.

    Pictures are ImagePart(uint8 [H, W, 3]), clips VideoPart(list of such frames); their limits travel in the parts.
    """

    task: str
    """A row of the card: `line`, `page`, `table-markdown`, ..."""
    language: str
    """ISO 639-1 of what is to be read or said, or "" where there is none."""
    messages: tuple[Message, ...]
    dense: tuple[Dense | None, ...]
    """One for each picture or clip, in their order."""
    metric: str
    """How an answer is scored: exact, characters, json, cells, box, point, number."""
    further: Further | None = None
    """Draws another question about the same picture with its answer, None where there is none left."""

    @property
    def answer(self) -> str:
        """The text of the last turn."""
        content = self.messages[-1].content
        assert isinstance(content, str)
        return content

    @property
    def answers(self) -> tuple[str, ...]:
        """The texts of all turns of the assistant."""
        return tuple(str(one.content) for one in self.messages if one.role == "assistant")


def asked_further(example: Example, rng: np.random.Generator, most: int, most_characters: int) -> Example:
    """The example with up to `most` more questions, as long as its answers stay within the characters.

    A picture costs as much to read for one question as for four. Neither a question nor a long answer comes again.
    """
    further, messages = example.further, list(example.messages)
    if further is None:
        return example
    asked = {question_of(messages[0]), *long(example.answer)}
    for _ in range(most):
        turn = further(rng)
        left = most_characters - sum(len(str(one.content)) for one in messages if one.role == "assistant")
        if turn is None or turn[0] in asked or turn[1] in asked or len(turn[1]) > left:
            continue
        asked |= {turn[0], *long(turn[1])}
        messages += [Message("user", turn[0]), Message("assistant", turn[1])]
    return replace(example, messages=tuple(messages))


def long(answer: str) -> tuple[str, ...]:
    """The answer, where it is one that no other question should have."""
    return (answer,) if len(answer) > SHORT else ()


def question_of(message: Message) -> str:
    """The text of a turn."""
    return " ".join(part.text for part in message.parts if isinstance(part, TextPart))
