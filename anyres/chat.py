"""What users write and get back: messages with text, pictures and clips in, an answer out."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from anyres.constraints import Constraint
from anyres.errors import OptionError

__all__ = [
    "Answer",
    "AnswerStream",
    "AsyncAnswerStream",
    "ChatModel",
    "FinishReason",
    "GenerationOptions",
    "ImagePart",
    "Message",
    "Part",
    "Piece",
    "TextPart",
    "Timings",
    "TokenLogprob",
    "Usage",
    "VideoPart",
]

MOST_BIASES = 1024
FinishReason = Literal["stop", "length", "repetition"]
PixelLimit = int | Literal["checkpoint"] | None


@dataclass(frozen=True)
class TextPart:
    """Words of a message. Special tokens in it stay text."""

    text: str


@dataclass(frozen=True)
class ImagePart:
    """A picture: path, URL, `data:` URI, bytes, file object, PIL image, numpy array or EncodedImage.

    Limits are in pixels (one visual token covers 28x28 of them). `max_pixels=None` means 1,280 visual tokens or the
    checkpoint's limit, whichever is smaller; "checkpoint" means the checkpoint's limit (16,384 tokens in Qwen2-VL).
    `resized_height` and `resized_width` come together and are rounded to multiples of 28. A text part that should
    be the path of a picture is never guessed: only this type opens files.
    """

    image: Any
    min_pixels: int | None = None
    max_pixels: PixelLimit = None
    resized_height: int | None = None
    resized_width: int | None = None


@dataclass(frozen=True)
class VideoPart:
    """A clip: anything an ImagePart takes (a video file then), or a list of pictures as its frames.

    `fps` (frames taken per second, default 2.0) or `nframes`, not both; `start` and `end` in seconds;
    `min_pixels`/`max_pixels` bound one frame, `total_pixels` all of them.
    """

    video: Any
    fps: float | None = None
    nframes: int | None = None
    start: float | None = None
    end: float | None = None
    min_frames: int | None = None
    max_frames: int | None = None
    min_pixels: int | None = None
    max_pixels: PixelLimit = None
    total_pixels: int | None = None
    resized_height: int | None = None
    resized_width: int | None = None


Part = TextPart | ImagePart | VideoPart


@dataclass(frozen=True)
class Message:
    """One turn. `content` is a string or a sequence of parts.

    >>> Message("user", "hello").parts
    (TextPart(text='hello'),)
    """

    role: str
    content: str | Sequence[Part]

    @property
    def parts(self) -> tuple[Part, ...]:
        return (TextPart(self.content),) if isinstance(self.content, str) else tuple(self.content)


@dataclass(frozen=True)
class GenerationOptions:
    """How the answer is drawn. None means: as the checkpoint's generation_config.json says, else greedy.

    Penalties follow transformers and OpenAI: `repetition_penalty` divides positive logits of ids seen in prompt and
    answer; `presence_penalty` and `frequency_penalty` (-2..2) count ids of the answer only. `logprobs` asks for that
    many alternatives beside each chosen token (0: the chosen one alone). `logit_bias` maps token ids to what is added
    to their logits (-100..100, at most 1,024 of them), before the penalties; ids must be of the model's vocabulary.
    `constraint` (anyres.constraints) is what the answer must look like. `stop_loops` ends an answer that says the same
    again and again. `stop_token_ids` end an answer as the checkpoint's own ids do, which `ignore_eos` rules out; before
    `min_tokens` tokens no id ends it (neither goes with a constraint). `speculate` lets the engine guess several tokens
    ahead where that saves time; answers are the same.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    logit_bias: Mapping[int, float] | None = None
    constraint: Constraint | None = None
    stop_loops: bool = True
    speculate: bool = True
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    min_tokens: int | None = None

    def __post_init__(self) -> None:
        _require("max_tokens", self.max_tokens, 1, math.inf, whole=True)
        _require("temperature", self.temperature, 0.0, 100.0)
        _require("top_p", self.top_p, 0.0, 1.0)
        _require("top_k", self.top_k, 0, math.inf, whole=True)
        _require("min_p", self.min_p, 0.0, 1.0)
        _require("repetition_penalty", self.repetition_penalty, 0.01, 100.0)
        _require("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _require("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _require("seed", self.seed, -(2**63), 2**64 - 1, whole=True)
        _require("logprobs", self.logprobs, 0, 20, whole=True)
        if not isinstance(self.stop, tuple) or not all(isinstance(text, str) and text for text in self.stop):
            raise OptionError("stop", repr(self.stop), "a tuple of strings that are not empty")
        _require_bias(self.logit_bias)
        _require_ends(self)
        if self.constraint is not None and not isinstance(self.constraint, Constraint):
            raise OptionError("constraint", repr(self.constraint)[:80], "JsonSchema or another of anyres.constraints")


@dataclass(frozen=True)
class Usage:
    """Tokens of the prompt by kind, and of the answer.

    Of the prompt, `cached_tokens` were read from the KV cache and not computed, and `cached_visual_tokens` came from
    the vision cache (those of a picture inside `cached_tokens` are not looked up there and count in the first alone).
    """

    text_tokens: int = 0
    image_tokens: int = 0
    video_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cached_visual_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        return self.text_tokens + self.image_tokens + self.video_tokens


@dataclass(frozen=True)
class Timings:
    """Seconds spent, by stage; `wait_s` for a turn behind other requests.

    >>> Timings(prepare_s=0.25, encode_s=1.0, prefill_s=0.5, decode_s=9.0).first_token_s
    1.75
    """

    prepare_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    wait_s: float = 0.0

    @property
    def first_token_s(self) -> float:
        return self.prepare_s + self.wait_s + self.encode_s + self.prefill_s


@dataclass(frozen=True)
class TokenLogprob:
    """Natural logarithm of a token's probability, with the likeliest alternatives as (text, logprob)."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Piece:
    """Some more text of an answer under way: always whole characters. `tokens` the answer has so far; 0: not told."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Answer:
    """The reply. `finish_reason` is "stop" (the model ended it, or a stop string), "length", or "repetition" (it had
    begun to say the same again and again).

    `notes` says in words what was changed on the way in, as "photo.jpg: shrunk from 4000x3000 to 1148x840".
    """

    text: str
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    notes: tuple[str, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None

    def __str__(self) -> str:
        return self.text


class AnswerStream(Iterator[Piece]):
    """Pieces of an answer as they are made; `answer` is the whole one once the pieces have run out."""

    def __init__(self, pieces: Generator[Piece, None, Answer]) -> None:
        self._pieces = pieces
        self.answer: Answer | None = None

    def __next__(self) -> Piece:
        try:
            return next(self._pieces)
        except StopIteration as end:
            if self.answer is None:
                self.answer = end.value
            raise

    def close(self) -> None:
        """Ends the generation early."""
        self._pieces.close()


class AsyncAnswerStream(AsyncIterator[Piece]):
    """AnswerStream for `async for`; `answer` is the whole one once the pieces have run out."""

    def __init__(self, pieces: AsyncGenerator[Piece | Answer, None]) -> None:
        self._pieces = pieces
        self.answer: Answer | None = None

    async def __anext__(self) -> Piece:
        event = await anext(self._pieces)
        if isinstance(event, Answer):
            self.answer = event
            await self._pieces.aclose()
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Ends the generation early."""
        await self._pieces.aclose()


class ChatModel(Protocol):
    """Anything that answers messages: the local engine, or any OpenAI-compatible endpoint."""

    def chat(self, messages: Sequence[Message], *, options: GenerationOptions = ...) -> Answer: ...

    def stream_chat(self, messages: Sequence[Message], *, options: GenerationOptions = ...) -> AnswerStream: ...


def _require(name: str, value: float | None, low: float, high: float, *, whole: bool = False) -> None:
    if value is None:
        return
    right_type = isinstance(value, int) if whole else isinstance(value, (int, float))
    if not right_type or isinstance(value, bool) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        span = f"from {low:g}" + ("" if high == math.inf else f" to {high:g}")
        raise OptionError(name, repr(value), f"{kind} {span}")


def _require_ends(options: GenerationOptions) -> None:
    _require("min_tokens", options.min_tokens, 0, options.max_tokens or math.inf, whole=True)
    if not isinstance(options.stop_token_ids, tuple):
        raise OptionError("stop_token_ids", repr(options.stop_token_ids)[:80], "a tuple of token ids")
    for token_id in options.stop_token_ids:
        _require("stop_token_ids", token_id, 0, math.inf, whole=True)
    if options.constraint is not None and (options.ignore_eos or options.min_tokens):
        name = "ignore_eos" if options.ignore_eos else "min_tokens"
        raise OptionError(name, "given beside a constraint", "one of the two; a constraint says when an answer ends")


def _require_bias(biases: Mapping[int, float] | None) -> None:
    if biases is None:
        return
    if not isinstance(biases, Mapping) or len(biases) > MOST_BIASES:
        seen = f"{len(biases)} entries" if isinstance(biases, Mapping) else repr(biases)
        raise OptionError("logit_bias", seen, f"at most {MOST_BIASES} token ids, each with a number from -100 to 100")
    for token_id, bias in biases.items():
        if token_id is None or bias is None:
            raise OptionError("logit_bias", f"{token_id}: {bias}", "token ids, each with a number from -100 to 100")
        _require("logit_bias", token_id, 0, math.inf, whole=True)
        _require(f"logit_bias[{token_id}]", bias, -100.0, 100.0)
