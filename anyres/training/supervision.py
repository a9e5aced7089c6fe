"""A conversation to token ids and what is learnt of them: the words of the assistant, found by where the template put
them and never by searching token ids, so a user who writes "assistant" is not taken for one."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anyres.chat import ImagePart, Message, VideoPart
from anyres.errors import MessageError, OptionError
from anyres.model_input import Grid, VisualInput
from anyres.processing.image import normalise_table
from anyres.processing.processor import MediaPart, Processor, Run
from anyres.processing.template import Segment, SpecialToken, render
from anyres.processing.tokenizer import Tokenizer

__all__ = [
    "IGNORED",
    "AnswerIds",
    "Span",
    "TrainingExample",
    "TrainingSample",
    "answer_ids",
    "patch_count",
    "spans",
    "supervise",
]

IGNORED = -100
"""Target of a token that is followed by nothing to learn."""
ANSWERING = "assistant"
# What Qwen2-VL writes around the name and the place of a thing; no other special token may be learnt as an answer.
PLACE_TOKENS = re.compile(r"(<\|(?:object_ref|box|quad)_(?:start|end)\|>)")
TURN_START, TURN_END = SpecialToken("<|im_start|>"), SpecialToken("<|im_end|>")

AnswerIds = Callable[[str, Tokenizer, object], list[int]]
"""(text of an answer, tokenizer, the example's extras) -> token ids"""


@dataclass(frozen=True)
class TrainingExample:
    """A conversation to learn from: every assistant turn is learnt.

    `name` is what errors and reports call it. `extras` is the caller's own and travels with the sample untouched.
    `weight` is how often each of its learnt tokens counts, against 1 for others, and `first_weight` how often, times
    that, the first token of each answer: the one that says yes or no, there or not, how many.
    """

    name: str
    messages: tuple[Message, ...]
    extras: object = None
    weight: float = 1.0
    first_weight: float = 1.0


class Span(NamedTuple):
    """A piece of the template; `role` is "words" for an answer's text, "end" for what closes an answer."""

    segment: Segment
    role: str = ""


@dataclass(frozen=True)
class TrainingSample:
    """An example as the model reads it, in arrays that are cheap to send from one process to another.

    `targets_T[i]` is the id that follows token i where that id is learnt, else IGNORED. `pixels` holds for each grid
    uint8 [P, X], values that the processor's table normalises, or float32, normalised.
    """

    name: str
    ids_T: NDArray[np.int64]
    targets_T: NDArray[np.int64]
    positions_3T: NDArray[np.int64]
    visual_T: NDArray[np.bool_]
    grids: tuple[Grid, ...]
    pixels: tuple[NDArray[np.uint8] | NDArray[np.float32], ...]
    weight: float
    extras: object
    first_weight: float = 1.0

    @property
    def learnt_weights(self) -> NDArray[np.float32]:
        """How often each learnt token counts."""
        learnt_T = self.targets_T != IGNORED
        first_T = learnt_T & ~np.append(False, learnt_T[:-1])
        weights_T: NDArray[np.float64] = self.weight * np.where(first_T, self.first_weight, 1.0)
        weights: NDArray[np.float32] = weights_T[learnt_T].astype(np.float32)
        return weights

    @property
    def tokens(self) -> int:
        return len(self.ids_T)

    @property
    def patches(self) -> int:
        return patch_count(self.grids)


def answer_ids(text: str, tokenizer: Tokenizer, extras: object) -> list[int]:
    """Ids of an answer; `<|box_start|>` and the other tokens for places become themselves, all else is plain text."""
    del extras
    return place_ids(text, tokenizer, tokenizer.encode_text)


def place_ids(text: str, tokenizer: Tokenizer, encode: Callable[[str], list[int]]) -> list[int]:
    """Ids of an answer whose plain text goes through `encode`; tokens for places become themselves."""
    ids: list[int] = []
    for piece in PLACE_TOKENS.split(text):
        special = PLACE_TOKENS.fullmatch(piece)
        ids.extend([tokenizer.special_id(piece)] if special else encode(piece))
    return ids


def supervise(
    example: TrainingExample, processor: Processor, *, answer_ids: AnswerIds = answer_ids, learn_newline: bool = True
) -> TrainingSample:
    """The sample of an example, through the door that prompts at inference go through.

    An answer is tokenised apart from what is before it, because a prompt ends there when the model answers. Learnt
    are its tokens, `<|im_end|>` and, as in LLaMA-Factory and Qwen's own scripts, the line end (`learn_newline`).
    Raises MessageError for a conversation that has nothing to learn, and all that `Processor.prepare` raises.
    """
    for name in ("weight", "first_weight"):
        if not 0 < (value := getattr(example, name)) < float("inf"):
            raise OptionError(f"{example.name}: {name}", repr(value), "a number above 0")
    pieces = list(spans(example.messages))
    runs = [_run(one, example, processor, answer_ids) for one in pieces]
    prompt = processor.assemble(runs)
    lengths = _lengths(runs, prompt.visuals, processor.config.vision.merge_area)
    learnt = [one.role != "" and (learn_newline or one.segment != "\n") for one in pieces]
    learnt_T = np.repeat(np.array(learnt), lengths)
    ids_T = prompt.token_ids_T.numpy()
    targets_T = np.append(np.where(learnt_T[1:], ids_T[1:], IGNORED), IGNORED)
    if (targets_T == IGNORED).all():
        raise MessageError(f"{example.name}: messages", "nothing to learn", "at least one turn of the assistant")
    return TrainingSample(
        name=example.name,
        ids_T=ids_T,
        targets_T=targets_T,
        positions_3T=prompt.positions_3T.numpy(),
        visual_T=np.repeat(np.array([isinstance(run, MediaPart) for run in runs]), lengths),
        grids=tuple(visual.grid_thw for visual in prompt.visuals),
        pixels=tuple(_pixels(visual, processor) for visual in prompt.visuals),
        weight=example.weight,
        extras=example.extras,
        first_weight=example.first_weight,
    )


def spans(messages: tuple[Message, ...]) -> Iterator[Span]:
    r"""The template's pieces, with those of answers marked; an answer is cut off from the line that opens its turn.

    >>> for span in list(spans((Message("system", ""), Message("assistant", "hi"))))[4:]:
    ...     print(span)
    Span(segment=SpecialToken(token='<|im_start|>'), role='')
    Span(segment='assistant\n', role='')
    Span(segment='hi', role='words')
    Span(segment=SpecialToken(token='<|im_end|>'), role='end')
    Span(segment='\n', role='end')
    """
    answering, before = False, None
    for segment in render(messages, add_generation_prompt=False):
        if before == TURN_START:
            role, _, words = str(segment).partition("\n")
            answering = role == ANSWERING
            yield from _opening(str(segment), role, words)
        elif answering and (segment == TURN_END or before == TURN_END):
            yield Span(segment, "end")
            answering = segment == TURN_END
        elif answering:
            raise MessageError("messages", "a picture or clip in an assistant turn", "pictures in user turns")
        else:
            yield Span(segment)
        before = segment


def patch_count(grids: tuple[Grid, ...]) -> int:
    """Patches of some pictures and clips.

    >>> patch_count(((1, 4, 6), (2, 2, 2)))
    32
    """
    return sum(t * h * w for t, h, w in grids)


def _opening(segment: str, role: str, words: str) -> Iterator[Span]:
    if role != ANSWERING:
        yield Span(segment)
        return
    yield Span(f"{role}\n")
    if words:
        yield Span(words, "words")


def _run(span: Span, example: TrainingExample, processor: Processor, answer_ids: AnswerIds) -> Run:
    if isinstance(span.segment, (ImagePart, VideoPart)):
        return span.segment
    if span.role == "words":
        return answer_ids(str(span.segment), processor.tokenizer, example.extras)
    return processor.ids(span.segment)


def _lengths(runs: list[Run], visuals: tuple[VisualInput, ...], merge_area: int) -> list[int]:
    rest = iter(visuals)
    return [
        patch_count((next(rest).grid_thw,)) // merge_area if isinstance(one, MediaPart) else len(one) for one in runs
    ]


def _pixels(visual: VisualInput, processor: Processor) -> NDArray[np.uint8] | NDArray[np.float32]:
    if visual.pixels_PX is None:
        raise MessageError(visual.name, "encoded already", "a picture or clip with its pixels")
    same = visual.normalise_CV is not None and torch.equal(visual.normalise_CV, normalise_table(processor.image_config))
    pixels: NDArray[np.uint8] | NDArray[np.float32] = (visual.pixels_PX if same else visual.patches()).numpy()
    return pixels
