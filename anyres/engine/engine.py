"""LocalChatModel: a checkpoint on this machine that answers messages."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from collections.abc import Sequence as Run
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from anyres.chat import (
    Answer,
    AnswerStream,
    AsyncAnswerStream,
    GenerationOptions,
    ImagePart,
    Message,
    Piece,
    PixelLimit,
    VideoPart,
)
from anyres.config import Qwen2VLConfig
from anyres.engine.checkpoint import choose_paged_attention
from anyres.engine.core import Engine
from anyres.engine.embedding import Pooling, embed_prompt
from anyres.engine.given import check_prompt, encode_picture
from anyres.engine.listen import answers_of, listen_async, pieces_of
from anyres.engine.loop import EngineLoop
from anyres.engine.options import EngineOptions, EngineStats, Turn
from anyres.engine.pairing import draft_model
from anyres.engine.pin_file import Pin
from anyres.engine.pinned import Pins
from anyres.engine.pinning import pin_prompt, unpin_prompt
from anyres.engine.request import GenerationDefaults
from anyres.engine.runner import Report, Runner
from anyres.engine.sequences import SequenceMaker
from anyres.engine.ticket import Ticket
from anyres.engine.vision_cache import VisionCache, weights_id
from anyres.errors import OptionError
from anyres.grounding import FIND_QUESTION, Box, find_question, parse_grounding
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import EncodedImage, ModelInput
from anyres.processing.processor import Processor
from anyres.question import question_of

__all__ = ["LocalChatModel"]

AS_CHECKPOINT = GenerationOptions()
ONE_TOKEN = GenerationOptions(max_tokens=1)
NEXT = Turn()


class LocalChatModel:
    """Answers messages with a model in this process. Holds no conversation: each call is given all of its own.

    Any thread may call it, and any number at once: requests run together, in a thread that is there while they are.
    What one call was given is kept for the next: pictures encoded, and the beginning that prompts have in common.
    `processor.prepare(messages)` shows what a prompt becomes; `config` has the checkpoint's sizes.
    """

    def __init__(
        self,
        model: Qwen2VL,
        processor: Processor,
        *,
        defaults: GenerationDefaults,
        name: str = "model",
        runner: Runner | None = None,
        engine: EngineOptions | None = None,
        vision_cache: VisionCache | None = None,
        draft: Qwen2VL | None = None,
        draft_vision_cache: VisionCache | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = model
        self.draft = draft
        self.processor = processor
        self.defaults = defaults
        self.name = name
        self.vision_cache = VisionCache() if vision_cache is None else vision_cache
        self._runner = runner or Runner(model)
        self._clock = clock
        disk, options = processor.cache, engine or EngineOptions()
        self._pins = None if disk is None else Pins(disk, model, options, model_name=name)
        core = Engine(
            self._runner,
            options,
            vision_cache=self.vision_cache,
            draft=None if draft is None else draft_model(draft, draft_vision_cache, options),
            paged_attention=choose_paged_attention(model, options),
            pins=self._pins,
            clock=clock,
        )
        self._loop = EngineLoop(core)
        self._sequences = SequenceMaker(model, processor.tokenizer, defaults, capacity=core.capacity)

    @property
    def config(self) -> Qwen2VLConfig:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    @property
    def stats(self) -> EngineStats:
        """What runs now, and what was computed and reused so far."""
        return self._loop.stats

    @property
    def alive(self) -> bool:
        """Whether requests are answered: False after `close()`, or should the engine's thread have died."""
        return self._loop.alive

    @property
    def kv_cap_bytes(self) -> int:
        """Memory that keys and values of all requests may take."""
        engine, draft = self._loop.engine, self.draft
        beside = None if draft is None else (draft.config.text, draft.dtype)
        each = engine.options.block_bytes(self.config.text, self.dtype, beside=beside)
        return engine.capacity // engine.options.block_size * each

    def close(self) -> None:
        """Ends what is under way, with an EngineError, and takes no more."""
        self._loop.close()

    def ask(
        self,
        picture: Any,
        question: str,
        *,
        video: Any = None,
        options: GenerationOptions = AS_CHECKPOINT,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        fps: float | None = None,
        nframes: int | None = None,
        start: float | None = None,
        end: float | None = None,
        total_pixels: int | None = None,
        report: Report | None = None,
    ) -> Answer:
        """The answer to a question about a picture, a list of pictures, or (`picture=None`) a video or nothing.

        The sizes hold for the pictures, and for the frames of the video; `fps` and the rest for the video. Items that
        need their own are given as ImagePart or VideoPart, which are taken as they are.
        """
        knobs = VideoPart(
            video,
            fps=fps,
            nframes=nframes,
            start=start,
            end=end,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            resized_height=resized_height,
            resized_width=resized_width,
        )
        return self.chat([question_of(picture, question, knobs)], options=options, report=report)

    def stream(
        self,
        picture: Any,
        question: str,
        *,
        video: Any = None,
        options: GenerationOptions = AS_CHECKPOINT,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        fps: float | None = None,
        nframes: int | None = None,
        start: float | None = None,
        end: float | None = None,
        total_pixels: int | None = None,
        report: Report | None = None,
    ) -> AnswerStream:
        """Like `ask`, in pieces of text as they are made; `stream.answer` is the whole one at the end."""
        knobs = VideoPart(
            video,
            fps=fps,
            nframes=nframes,
            start=start,
            end=end,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            resized_height=resized_height,
            resized_width=resized_width,
        )
        return self.stream_chat([question_of(picture, question, knobs)], options=options, report=report)

    def chat(
        self,
        messages: Run[Message] | ModelInput,
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
        turn: Turn = NEXT,
    ) -> Answer:
        """The next turn of a conversation. `turn`: who goes first, and how long it may take (DeadlineError).

        Who has prepared the messages already may give the `ModelInput`.
        """
        return self.chat_batch([messages], options=options, report=report, turn=turn)[0]

    def stream_chat(
        self,
        messages: Run[Message],
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
        turn: Turn = NEXT,
    ) -> AnswerStream:
        """The next turn in pieces. Bad input is refused here, before the first piece is asked for.

        It runs from the first piece on, read or not; `close` ends it.
        """
        return AnswerStream(pieces_of(self._loop, self._ticket(messages, options, turn), report))

    def chat_batch(
        self,
        conversations: Run[Run[Message] | ModelInput],
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
        turn: Turn = NEXT,
    ) -> list[Answer]:
        """The next turn of each conversation; they may differ in length. Answers are those of `chat` one by one.

        They run together, as many as the engine has room for; timings are those of the passes a conversation took part
        in. Where one fails its error is raised and the others end.
        """
        return answers_of(self._loop, [self._ticket(messages, options, turn) for messages in conversations], report)

    def chat_n(
        self,
        messages: Run[Message],
        n: int,
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
        turn: Turn = NEXT,
    ) -> list[Answer]:
        """`n` answers to one prompt, which is read once; with a seed the i-th draws with `seed + i`."""
        most = self._loop.engine.options.limits.running
        if not isinstance(n, int) or not 1 <= n <= most:
            raise OptionError("n", repr(n), f"a whole number from 1 to {most}")
        ticket = self._ticket(messages, options, turn)
        seeds = [None if options.seed is None else options.seed + i for i in range(n)]
        prompt = ticket.sequence.prompt
        ticket.siblings = tuple(
            Ticket(self._sequences.make(prompt, replace(options, seed=seed)), turn) for seed in seeds[1:]
        )
        return answers_of(self._loop, [ticket], report)

    async def achat(
        self,
        messages: Run[Message],
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
        turn: Turn = NEXT,
    ) -> Answer:
        """`chat` for an event loop. Cancelling it ends the request."""
        stream = self.astream(messages, options=options, report=report, turn=turn)
        async for _ in stream:
            pass
        assert stream.answer is not None, "the pieces have run out"
        return stream.answer

    def astream(
        self,
        messages: Run[Message] | ModelInput,
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
        turn: Turn = NEXT,
    ) -> AsyncAnswerStream:
        """`stream_chat` for an event loop; bad input is refused when the first piece is asked for.

        Who has prepared the messages already, or has token ids, may give the `ModelInput`.
        """
        return AsyncAnswerStream(self._apieces(messages, options, report, turn))

    def encode(
        self,
        picture: Any,
        *,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        report: Report | None = None,
    ) -> EncodedImage:
        """A picture through the vision encoder, to be asked about many times: it goes wherever a picture goes.

        An ImagePart is taken as it is, with its own sizes.
        """
        part = ImagePart(picture, min_pixels, max_pixels, resized_height, resized_width)
        part = picture if isinstance(picture, ImagePart) else part
        (visual,) = self._prepared([Message("user", (part,))]).visuals
        return encode_picture(self._runner, self.vision_cache, visual, encoder=self.encoder_id, report=report)

    def embed(self, messages: Run[Message] | ModelInput, *, pooling: Pooling = "mean") -> torch.Tensor:
        """A vector of what the messages show and say: float32 [D] of length 1, the pooled last hidden states.

        Pictures, clips and texts are in one space. The checkpoints were not trained for it: see docs/serving.md.
        """
        return embed_prompt(self._runner, self.vision_cache, self._prepared(messages), pooling=pooling)

    def find(
        self,
        picture: Any,
        what: str,
        *,
        question: str = FIND_QUESTION,
        options: GenerationOptions = AS_CHECKPOINT,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        report: Report | None = None,
    ) -> list[Box]:
        """Where something is in a picture, as `find(photo, "the Save button")`: boxes in pixels of the picture.

        Pixels are those of the picture as it is, upright and not resized; `Box.to_stored` gives those of a file that is
        turned by EXIF. [] where the answer names no box, as when the thing is not there; what of it cannot be read is
        left out. `question` holds {} where the name goes. Raises OptionError for an empty name, and what `encode` does.
        """
        words = find_question(what, question)
        seen = self.encode(
            picture,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            resized_height=resized_height,
            resized_width=resized_width,
            report=report,
        )
        answer = self.ask(seen, words, options=options, report=report)
        height, width = seen.original_size
        return [box.to_pixels(width=width, height=height) for box in parse_grounding(answer.text).boxes]

    def pin(self, messages: Run[Message], *, report: Report | None = None, turn: Turn = NEXT) -> Pin | None:
        """Keeps what prompts begin with on disk, so that questions behind it start at once, also in other programs.

        That is a document: pictures, clips and words, as `[Message("user", (ImagePart("report.png"),))]`; what is asked
        later goes behind them. Sizes, system message, dtype and `EngineOptions` have to be the same then. None where
        the disk does not take it; OptionError without a cache folder.
        """
        return pin_prompt(self._loop, self._pins, self._ticket(messages, ONE_TOKEN, turn), messages, report)

    def unpin(self, messages: Run[Message], *, turn: Turn = NEXT) -> bool:
        """Deletes what `pin` has kept of these messages; False where that is nothing."""
        return unpin_prompt(self._loop, self._pins, self._ticket(messages, ONE_TOKEN, turn))

    @property
    def pins(self) -> list[Pin]:
        """What is on disk for this model."""
        return [] if self._pins is None else self._pins.pins

    @cached_property
    def encoder_id(self) -> str:
        """Tells the weights of this vision encoder from others."""
        return weights_id(self.model.visual, self.config.vision)[:16]

    def _prepared(self, messages: Run[Message] | ModelInput) -> ModelInput:
        prompt = messages if isinstance(messages, ModelInput) else self.processor.prepare(messages)
        check_prompt(prompt, self.config, lambda: self.encoder_id)  # named by a look at all of its weights
        return prompt

    def _ticket(self, messages: Run[Message] | ModelInput, options: GenerationOptions, turn: Turn) -> Ticket:
        """A request up to where the engine takes it over. A full engine refuses it before pictures are opened."""
        self._loop.refuse_if_full()
        started = self._clock()
        ticket = Ticket(self._sequences.make(self._prepared(messages), options), turn)
        ticket.sequence.spend(prepare_s=self._clock() - started)
        return ticket

    async def _apieces(
        self, messages: Run[Message] | ModelInput, options: GenerationOptions, report: Report | None, turn: Turn
    ) -> AsyncGenerator[Piece | Answer, None]:
        ticket = await asyncio.to_thread(self._ticket, messages, options, turn)
        async with aclosing(listen_async(self._loop, ticket, report)) as events:
            async for event in events:
                yield event
