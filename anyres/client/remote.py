"""RemoteChatModel: the same questions, answered by any endpoint that speaks OpenAI's chat API."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import httpx

from anyres.chat import (
    Answer,
    AnswerStream,
    AsyncAnswerStream,
    GenerationOptions,
    ImagePart,
    Message,
    Piece,
    PixelLimit,
    TextPart,
    VideoPart,
)
from anyres.client.body import Outgoing, chat_request, extra_fields
from anyres.client.dialect import Dialect, dialect_of_address, dialect_of_models, named_dialect
from anyres.client.endpoint import Endpoint, endpoint_from
from anyres.client.failure import broken_reply
from anyres.client.media import MediaRules
from anyres.client.reply import Reply
from anyres.client.stream import ChunkReader, read_completion
from anyres.client.wire import Patience, Wire
from anyres.constraints import ToolCalls
from anyres.errors import EndpointError, OptionError
from anyres.grounding import FIND_QUESTION, Box, find_question, parse_grounding
from anyres.question import question_of

__all__ = ["RemoteChatModel"]

AS_SERVER = GenerationOptions()
AS_USUAL = MediaRules()
CHAT = "chat/completions"
MOST_AT_ONCE = 8


class _Target(NamedTuple):
    """What is known of the server: its kind, and the model that is asked for."""

    dialect: Dialect
    model: str


class RemoteChatModel:
    """Answers messages with a model behind an OpenAI-compatible endpoint: vLLM, SGLang, llama-server, DashScope,
    OpenAI, Ollama, another anyres. Calls mean what they mean for a local model; options left out are the server's.

    `endpoint` is an address or an Endpoint; without it ANYRES_BASE_URL and ANYRES_API_KEY say where. `model=None` asks
    for the first that the server lists. `dialect` names what it takes beyond OpenAI's fields; "auto" looks at the
    address and the list of models. `media` is how pictures and clips travel. `extra_body` are fields for every request.

    Any thread may call it. Nothing is sent before the first question. Pictures are read here, and sent as bytes. Raises
    what a local model raises for bad input, and EndpointError for whatever the server does wrong.
    """

    def __init__(
        self,
        endpoint: str | Endpoint | None = None,
        *,
        model: str | None = None,
        api_key: str | None = None,
        dialect: str = "auto",
        media: MediaRules = AS_USUAL,
        extra_body: Mapping[str, Any] | None = None,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.endpoint = _endpoint(endpoint, api_key)
        self.media = media
        self._extra = extra_fields(extra_body)
        self._clock = clock
        self._wire = Wire(self.endpoint, transport, async_transport, patience or Patience())
        self._asked_dialect = None if dialect == "auto" else named_dialect(dialect)
        self._asked_model = model
        self._known: _Target | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"RemoteChatModel({self.endpoint.base_url!r}, model={self._asked_model!r})"

    @property
    def name(self) -> str:
        """The model's name at the endpoint; asks for it where none was given."""
        return self._asked_model or self._target().model

    @property
    def dialect(self) -> str:
        """What kind of server it is, as far as it can be told."""
        return self._target().dialect.name

    def models(self) -> list[str]:
        """Names of the models that the endpoint serves."""
        return [str(one["id"]) for one in self._list_models()]

    def close(self) -> None:
        """Closes connections that are kept open."""
        self._wire.close()

    def __enter__(self) -> "RemoteChatModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self,
        picture: Any,
        question: str,
        *,
        video: Any = None,
        options: GenerationOptions = AS_SERVER,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        fps: float | None = None,
        nframes: int | None = None,
        start: float | None = None,
        end: float | None = None,
        total_pixels: int | None = None,
    ) -> Answer:
        """The answer to a question about a picture, a list of pictures, or (`picture=None`) a video or nothing."""
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
        return self.chat([question_of(picture, question, knobs)], options=options)

    def stream(
        self,
        picture: Any,
        question: str,
        *,
        video: Any = None,
        options: GenerationOptions = AS_SERVER,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        fps: float | None = None,
        nframes: int | None = None,
        start: float | None = None,
        end: float | None = None,
        total_pixels: int | None = None,
    ) -> AnswerStream:
        """Like `ask`, in pieces of text as they come; `stream.answer` is the whole one at the end."""
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
        return self.stream_chat([question_of(picture, question, knobs)], options=options)

    def chat(self, messages: Sequence[Message], *, options: GenerationOptions = AS_SERVER) -> Answer:
        """The next turn of a conversation, in one piece."""
        return self.chat_n(messages, 1, options=options)[0]

    def chat_n(self, messages: Sequence[Message], n: int, *, options: GenerationOptions = AS_SERVER) -> list[Answer]:
        """`n` answers to one prompt. The usage of each is what servers tell: the prompt, and the answers of all."""
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= 128:
            raise OptionError("n", repr(n), "a whole number from 1 to 128")
        started = self._clock()
        outgoing = self._outgoing(messages, options, stream=False, n=n)
        sent = self._clock()
        with self._wire.open("POST", CHAT, outgoing.fields) as response:
            self._check_ignored(response.headers, outgoing)
            completion = self._wire.read_json(response)
        replies = read_completion(
            self.endpoint, completion, n, started=sent, clock=self._clock, call_dialect=_call_dialect(options)
        )
        return [_finished(one, outgoing, options, prepare_s=sent - started, streamed=False) for one in replies]

    def stream_chat(self, messages: Sequence[Message], *, options: GenerationOptions = AS_SERVER) -> AnswerStream:
        """The next turn in pieces. Bad input is refused here; the request leaves when the first piece is asked for.

        `close` ends it, and the server sees the connection closed.
        """
        started = self._clock()
        outgoing = self._outgoing(messages, options, stream=True)
        return AnswerStream(self._pieces(outgoing, options, prepare_s=self._clock() - started))

    def chat_batch(
        self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions = AS_SERVER
    ) -> list[Answer]:
        """The next turn of each conversation, eight at a time. Where one fails its error is raised."""
        self._target()  # once, not by every thread
        with ThreadPoolExecutor(min(MOST_AT_ONCE, max(1, len(conversations)))) as pool:
            asked = [pool.submit(self.chat, messages, options=options) for messages in conversations]
            try:
                return [one.result() for one in asked]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    async def achat(self, messages: Sequence[Message], *, options: GenerationOptions = AS_SERVER) -> Answer:
        """`chat` for an event loop. Cancelling it closes the connection."""
        started = self._clock()
        outgoing = await asyncio.to_thread(self._outgoing, messages, options, stream=False)
        sent = self._clock()
        async with self._wire.aopen(CHAT, outgoing.fields) as response:
            self._check_ignored(response.headers, outgoing)
            completion = await self._wire.aread_json(response)
        (reply,) = read_completion(
            self.endpoint, completion, 1, started=sent, clock=self._clock, call_dialect=_call_dialect(options)
        )
        return _finished(reply, outgoing, options, prepare_s=sent - started, streamed=False)

    def astream(self, messages: Sequence[Message], *, options: GenerationOptions = AS_SERVER) -> AsyncAnswerStream:
        """`stream_chat` for an event loop; bad input is refused when the first piece is asked for."""
        return AsyncAnswerStream(self._apieces(messages, options))

    def find(
        self,
        picture: Any,
        what: str,
        *,
        question: str = FIND_QUESTION,
        options: GenerationOptions = AS_SERVER,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
    ) -> list[Box]:
        """Where something is in a picture: boxes in pixels of the picture, upright and not resized.

        The model must be one of the Qwen2-VL family: coordinates are read as thousandths.
        """
        from anyres.processing.media import open_image

        words = find_question(what, question)
        part = ImagePart(picture, min_pixels, max_pixels, resized_height, resized_width)
        part = picture if isinstance(picture, ImagePart) else part
        upright = open_image(part.image).picture
        part = replace(part, image=upright) if _once(part.image) else part
        answer = self.ask_for_places(part, words, options=options)
        boxes = parse_grounding(answer.text).boxes
        return [box.to_pixels(width=upright.width, height=upright.height) for box in boxes]

    def ask_for_places(self, part: ImagePart, question: str, *, options: GenerationOptions = AS_SERVER) -> Answer:
        """`ask`, and servers that leave out Qwen2-VL's marks of boxes are told to write them."""
        marks = self._target().dialect.keeps_marks
        with_marks = self._with_extra({**marks, **self._extra})
        return with_marks.chat([Message("user", (part, TextPart(question)))], options=options)

    def _with_extra(self, extra: Mapping[str, Any]) -> "RemoteChatModel":
        """The same endpoint and connections with other fields of its own."""
        other = object.__new__(RemoteChatModel)
        vars(other).update(vars(self) | {"_extra": dict(extra)})
        return other

    def _pieces(
        self, outgoing: Outgoing, options: GenerationOptions, *, prepare_s: float
    ) -> Generator[Piece, None, Answer]:
        reader = ChunkReader(self.endpoint, clock=self._clock, call_dialect=_call_dialect(options))
        with self._wire.open("POST", CHAT, outgoing.fields) as response:
            self._check_ignored(response.headers, outgoing)
            if reader.is_whole(response.headers):
                yield from reader.whole(self._wire.read_json(response))
            else:
                for data in response.iter_bytes():
                    yield from reader.feed(data)
                    if reader.done:
                        break
                yield from reader.finish()
        return _finished(reader.reply, outgoing, options, prepare_s=prepare_s, streamed=True)

    async def _apieces(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece | Answer, None]:
        started = self._clock()
        outgoing = await asyncio.to_thread(self._outgoing, messages, options, stream=True)
        prepare_s = self._clock() - started
        reader = ChunkReader(self.endpoint, clock=self._clock, call_dialect=_call_dialect(options))
        async with self._wire.aopen(CHAT, outgoing.fields) as response:
            self._check_ignored(response.headers, outgoing)
            if reader.is_whole(response.headers):
                for piece in reader.whole(await self._wire.aread_json(response)):
                    yield piece
            else:
                async for data in response.aiter_bytes():
                    for piece in reader.feed(data):
                        yield piece
                    if reader.done:
                        break
                for piece in reader.finish():
                    yield piece
        yield _finished(reader.reply, outgoing, options, prepare_s=prepare_s, streamed=True)

    def _outgoing(
        self, messages: Sequence[Message], options: GenerationOptions, *, stream: bool, n: int = 1
    ) -> Outgoing:
        target = self._target()
        return chat_request(
            messages,
            options,
            model=target.model,
            dialect=target.dialect,
            rules=self.media,
            stream=stream,
            n=n,
            extra=self._extra,
        )

    def _check_ignored(self, headers: Mapping[str, str], outgoing: Outgoing) -> None:
        """anyres tells which fields it passed over; an option without effect is an error, as it is locally."""
        ignored = [name.strip() for name in headers.get("x-ignored-fields", "").split(",")]
        ours = [name for name in ignored if name in outgoing.fields and name not in self._extra]
        if ours:
            raise EndpointError(self.endpoint.base_url, f"passed over {', '.join(ours)}", "an endpoint that takes it")

    def _target(self) -> _Target:
        """Found out once, and again after a failure."""
        with self._lock:
            if self._known is None:
                self._known = self._find_out()
            return self._known

    def _find_out(self) -> _Target:
        dialect = self._asked_dialect or dialect_of_address(self.endpoint.base_url)
        if dialect is not None and self._asked_model is not None:
            return _Target(dialect, self._asked_model)
        try:
            listed = self._list_models()
        except EndpointError as error:
            if self._asked_model is None or error.status not in (404, 405, 501):
                raise
            listed = []
        if self._asked_model is None and not listed:
            raise EndpointError(self.endpoint.base_url, "a list of 0 models", "a model's name (model, --model)")
        return _Target(dialect or dialect_of_models(listed), self._asked_model or str(listed[0]["id"]))

    def _list_models(self) -> list[dict[str, Any]]:
        raw = self._wire.get("models")
        listed = raw.get("data") if isinstance(raw, dict) else None
        if not isinstance(listed, list) or not all(isinstance(one, dict) and "id" in one for one in listed):
            raise broken_reply(self.endpoint, "no list of models")
        return listed


def _endpoint(given: str | Endpoint | None, api_key: str | None) -> Endpoint:
    if isinstance(given, Endpoint):
        return given if api_key is None else replace(given, api_key=api_key)
    found = endpoint_from(given, api_key, os.environ)
    if found is None:
        raise OptionError("endpoint", "None, and ANYRES_BASE_URL is not set", "an address as http://127.0.0.1:8000/v1")
    return found


def _call_dialect(options: GenerationOptions) -> str:
    """How calls of tools are written into the text."""
    return options.constraint.dialect if isinstance(options.constraint, ToolCalls) else "hermes"


def _finished(
    reply: Reply, outgoing: Outgoing, options: GenerationOptions, *, prepare_s: float, streamed: bool
) -> Answer:
    answer = reply.answer(prepare_s=prepare_s, streamed=streamed, with_logprobs=options.logprobs is not None)
    return replace(answer, notes=(*outgoing.notes, *answer.notes))


def _once(source: object) -> bool:
    """Whether it can be read once only, or may be another picture the second time."""
    return isinstance(source, str) or hasattr(source, "read")
