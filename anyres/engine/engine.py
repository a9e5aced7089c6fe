"""LocalChatModel: a checkpoint on this machine that answers messages, and `load`, which makes one."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from collections.abc import Sequence as Run
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anyres.chat import (
    Answer,
    AnswerStream,
    GenerationOptions,
    ImagePart,
    Message,
    Part,
    Piece,
    PixelLimit,
    TextPart,
    VideoPart,
)
from anyres.config import Qwen2VLConfig
from anyres.engine.checkpoint import open_checkpoint
from anyres.engine.detokenizer import Detokenizer
from anyres.engine.device import choose_device
from anyres.engine.kv_cache import KVCache
from anyres.engine.request import GenerationDefaults, Sequence, silent_ids
from anyres.engine.runner import Report, Runner
from anyres.engine.sampler import Sampler
from anyres.errors import ContextLengthError, OptionError
from anyres.grounding import FIND_QUESTION, Box, find_question, parse_grounding
from anyres.model.hub import resolve
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import EncodedImage, ModelInput, VisualInput
from anyres.processing.processor import Processor, prompt_usage

__all__ = ["LocalChatModel", "load"]

AS_CHECKPOINT = GenerationOptions()
MAX_BATCH = 16  # sequences that chat_batch decodes together
FIRST_ANSWER_PLACES = 256  # places of the KV cache set aside for an answer at first; it grows by doubling


def load(
    name: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype | None = None,
    memory: str | int | None = None,
) -> "LocalChatModel":
    """The embedded checkpoint, a folder, a .gguf file, or a hub name that `anyres pull` has fetched.

    Quantised ones (ours, GPTQ, AWQ, bitsandbytes' nf4, GGUF) are computed with in the bits they are kept in.
    `device="auto"` takes CUDA where there is one. `dtype=None` means bfloat16 on CUDA, and on a CPU float32 or
    bfloat16, whichever this processor multiplies faster. `memory="8GB"` chooses what weights are kept in and how large
    pictures may be so that all fits, and says so in the log; dense weights are quantised as they are loaded where they
    must be. Raises ModelNotFoundError, CheckpointError, and OptionError where nothing fits.
    """
    path = resolve(name)
    place = choose_device(device)
    model, processor = open_checkpoint(path, device=place, dtype=dtype, memory=memory)
    defaults = GenerationDefaults.from_folder(path if path.is_dir() else path.parent, model.config, processor.tokenizer)
    return LocalChatModel(model, processor, defaults=defaults, name=str(name or path.name))


class LocalChatModel:
    """Answers messages with a model in this process. Holds no conversation: each call is given all of its own.

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
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = model
        self.processor = processor
        self.defaults = defaults
        self.name = name
        self._runner = runner or Runner(model)
        self._clock = clock
        self._silent_ids = silent_ids(processor.tokenizer)
        self._banned_V = self._never_drawn()

    @property
    def config(self) -> Qwen2VLConfig:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

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
        return self.chat([_question(picture, question, knobs)], options=options, report=report)

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
        return self.stream_chat([_question(picture, question, knobs)], options=options, report=report)

    def chat(
        self, messages: Run[Message], *, options: GenerationOptions = AS_CHECKPOINT, report: Report | None = None
    ) -> Answer:
        """The next turn of a conversation."""
        return self.chat_batch([messages], options=options, report=report)[0]

    def stream_chat(
        self, messages: Run[Message], *, options: GenerationOptions = AS_CHECKPOINT, report: Report | None = None
    ) -> AnswerStream:
        """The next turn in pieces. Bad input is refused here, before the first piece is asked for."""
        return AnswerStream(self._pieces(self._sequence(messages, options), report))

    def chat_batch(
        self,
        conversations: Run[Run[Message]],
        *,
        options: GenerationOptions = AS_CHECKPOINT,
        report: Report | None = None,
    ) -> list[Answer]:
        """The next turn of each conversation; they may differ in length. Answers are those of `chat` one by one.

        Up to 16 run together and the next one starts when one ends; timings are those of the passes a conversation
        took part in.
        """
        sequences = [self._sequence(messages, options) for messages in conversations]
        for _ in self._generate(sequences, report):
            pass
        return [sequence.answer() for sequence in sequences]

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
        (visual_MD,) = self._runner.encode([visual], report=report)
        return EncodedImage(
            name=visual.name,
            kind=visual.kind,
            grid_thw=visual.grid_thw,
            original_size=visual.original_size,
            resized_size=visual.resized_size,
            visual_MD=visual_MD,
            note=visual.note,
            encoder=self.encoder_id,
        )

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

    @cached_property
    def encoder_id(self) -> str:
        """Tells the weights of this vision encoder from others: a hash over values from every tensor."""
        digest = hashlib.sha256(repr(self.config.vision).encode())
        for weight in self.model.visual.state_dict().values():
            some = weight.detach().flatten()[:: max(1, weight.numel() // 64)]
            digest.update(some.float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _prepared(self, messages: Run[Message]) -> ModelInput:
        prompt = self.processor.prepare(messages)
        for visual in prompt.visuals:
            self._check_encoded(visual)
        return prompt

    def _check_encoded(self, visual: VisualInput) -> None:
        encoder = visual.encoder if isinstance(visual, EncodedImage) else None
        if visual.visual_MD is not None and encoder != self.encoder_id:
            allowed = f"one that encode() of this model made ({self.encoder_id})"
            raise OptionError(visual.name, f"encoded by another checkpoint ({encoder})", allowed)

    def _sequence(self, messages: Run[Message], options: GenerationOptions) -> Sequence:
        started = self._clock()
        prompt = self._prepared(messages)
        tokenizer = self.processor.tokenizer
        sequence = Sequence(
            prompt,
            usage=prompt_usage(prompt, spatial_merge_size=self.config.vision.spatial_merge_size),
            sampler=Sampler(self.defaults.resolve(options), prompt.token_ids_T, self._banned_V),
            detokenizer=Detokenizer(tokenizer.token_bytes, silent_ids=self._silent_ids, stop=options.stop),
            tokenizer=tokenizer,
            max_tokens=self.defaults.max_tokens(options, self._room(prompt)),
            eos_token_ids=self.defaults.eos_token_ids,
        )
        sequence.spend(prepare_s=self._clock() - started)
        return sequence

    def _room(self, prompt: ModelInput) -> int:
        """Tokens an answer may have before positions run out."""
        limit, used = self.config.text.max_position_embeddings, len(prompt.token_ids_T) + prompt.rope_delta
        if used >= limit:
            raise ContextLengthError("prompt", f"{used} positions", f"below {limit}, to leave room for an answer")
        return limit - used

    def _pieces(self, sequence: Sequence, report: Report | None) -> Generator[Piece, None, Answer]:
        for _, piece in self._generate([sequence], report):
            yield piece
        return sequence.answer()

    def _generate(self, sequences: Run[Sequence], report: Report | None) -> Iterator[tuple[Sequence, Piece]]:
        """Runs all sequences to their end: whoever waits is prefilled as soon as there is room, then all decode."""
        places = max(
            (len(one.prompt.token_ids_T) + min(one.max_tokens, FIRST_ANSWER_PLACES) for one in sequences), default=1
        )
        cache = self._runner.new_cache(sequences=min(len(sequences), MAX_BATCH) or 1, places=places)
        waiting, live = deque(sequences), list[Sequence]()
        while waiting or live:
            new = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH - len(live)))]
            live += new
            yield from self._prefill(cache, new, report) if new else self._decode(cache, live)
            for sequence in live:
                if sequence.finish_reason:
                    cache.drop(sequence.cache_name)
            live = [sequence for sequence in live if not sequence.finish_reason]

    def _prefill(self, cache: KVCache, new: Run[Sequence], report: Report | None) -> list[tuple[Sequence, Piece]]:
        started = self._clock()
        visuals = [visual for sequence in new for visual in sequence.prompt.visuals]
        encoded = self._runner.encode(visuals, report=report)
        between = self._clock()
        pieces = _take(new, self._runner.prefill(cache, new, encoded, report=report))
        for sequence in new:
            sequence.spend(encode_s=between - started, prefill_s=self._clock() - between)
        return pieces

    def _decode(self, cache: KVCache, live: Run[Sequence]) -> list[tuple[Sequence, Piece]]:
        started = self._clock()
        pieces = _take(live, self._runner.decode(cache, live))
        for sequence in live:
            sequence.spend(decode_s=self._clock() - started)
        return pieces

    def _never_drawn(self) -> Tensor:
        """Ids with no place in an answer: those without a token, and special tokens other than ends and boxes."""
        vocab_size = self.config.text.vocab_size
        banned_V = torch.arange(vocab_size) >= self.processor.tokenizer.vocab_size
        for token_id in self._silent_ids - self.defaults.eos_token_ids:
            banned_V[token_id] = True
        return banned_V.to(self.device)


def _question(picture: Any, question: str, knobs: VideoPart) -> Message:
    """One user turn: the pictures, the video, the words. `knobs` holds the video and what `ask` was told beside it."""
    pictures = [] if picture is None else list(picture) if isinstance(picture, (list, tuple)) else [picture]
    parts: list[Part] = [_image_part(one, knobs) for one in pictures]
    if isinstance(knobs.video, VideoPart):
        parts.append(knobs.video)
    elif knobs.video is not None:
        parts.append(knobs)
    else:
        _refuse_video_knobs(knobs)
    return Message("user", (*parts, TextPart(question)))


def _image_part(picture: Any, knobs: VideoPart) -> ImagePart:
    if isinstance(picture, ImagePart):
        return picture
    return ImagePart(picture, knobs.min_pixels, knobs.max_pixels, knobs.resized_height, knobs.resized_width)


def _refuse_video_knobs(knobs: VideoPart) -> None:
    for name in ("fps", "nframes", "start", "end", "total_pixels"):
        if getattr(knobs, name) is not None:
            raise OptionError(name, f"{getattr(knobs, name)}, without a video", "only beside video=")


def _take(sequences: Run[Sequence], logits_BV: Tensor) -> list[tuple[Sequence, Piece]]:
    taken = [(sequence, sequence.take(logits_V)) for sequence, logits_V in zip(sequences, logits_BV, strict=True)]
    return [(sequence, piece) for sequence, piece in taken if piece is not None]
