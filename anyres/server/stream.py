"""Server-sent events: a response that is closed whatever happens, and the chunks of a chat answer."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from anyres.chat import Answer, Piece
from anyres.server.answering import Event, Ping, Prompt
from anyres.server.errors import api_error
from anyres.server.replies import ChatChunk, UsageReply
from anyres.server.schema import ChatRequest
from anyres.server.wording import (
    boxes_of,
    dumped,
    finish_of,
    logprobs_of,
    media_of,
    new_id,
    stop_reason_of,
    timings_of,
    usage_of,
)
from anyres.tools import CallEvent, CallReader

__all__ = ["DONE", "PING", "EventStream", "chat_chunks", "event", "first_event"]

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventStream(Response):
    """Sends what a generator gives, as it comes, and closes it at the end, also where the client has gone."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        media_type: str = "text/event-stream",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(headers={**HEADERS, **(headers or {})}, media_type=media_type)
        del self.headers["content-length"]
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        async with aclosing(self._chunks) as chunks:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def first_event(events: AsyncGenerator[Event, None]) -> tuple[Prompt, Event]:
    """Goes on to where the answer begins, so that what is wrong before it still has a status of its own."""
    try:
        prompt = await anext(events)
        assert isinstance(prompt, Prompt), "the prompt comes first"
        return prompt, await anext(events)
    except BaseException:
        await events.aclose()
        raise


def event(value: dict[str, Any]) -> bytes:
    """One event with a JSON object."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def chat_chunks(
    request: ChatRequest,
    frame: ChatChunk,
    prompt: Prompt,
    first: Event,
    rest: AsyncGenerator[Event, None],
    *,
    merge: int,
) -> AsyncGenerator[bytes, None]:
    """The stream of a chat answer. `frame` is what all chunks have in common."""
    writer = _Writer(request, frame, prompt, merge)
    async with aclosing(rest):
        try:
            for chunk in writer.opening():
                yield chunk
            for chunk in writer.take(first):
                yield chunk
            async for one in rest:
                for chunk in writer.take(one):
                    yield chunk
            for chunk in writer.closing():
                yield chunk
        except Exception as error:  # noqa: BLE001  the status is sent: the error goes into the stream
            yield event(api_error(error).body)
        yield DONE


class _Writer:
    def __init__(self, request: ChatRequest, frame: ChatChunk, prompt: Prompt, merge: int) -> None:
        self._request = request
        self._frame = dumped(frame)
        self._prompt = prompt
        self._merge = merge
        self._readers = [CallReader() if request.tools else None for _ in range(request.n or 1)]
        self._texts: list[list[str]] = [[] for _ in self._readers]
        self._answers: dict[int, Answer] = {}
        options = request.stream_options
        self._with_usage = bool(options and options.include_usage)
        self._continuous = bool(options and options.continuous_usage_stats and options.include_usage)
        self._tokens = [0] * len(self._readers)

    def opening(self) -> list[bytes]:
        named = bool(self._request.tools) and self._request.tool_choice not in (None, "auto", "none")
        delta = {"role": "assistant", "content": None if named else ""}
        return [self._chunk(number, delta) for number in range(len(self._readers))]

    def take(self, one: Event) -> list[bytes]:
        if isinstance(one, Ping):
            return [PING]
        assert not isinstance(one, Prompt), "the prompt is known"
        number, what = one
        return self._end(number, what) if isinstance(what, Answer) else self._piece(number, what)

    def closing(self) -> list[bytes]:
        if not self._with_usage:
            return []
        return [event({**self._frame, "choices": [], **self._figures()})]

    def _piece(self, number: int, piece: Piece) -> list[bytes]:
        self._texts[number].append(piece.text)
        self._tokens[number] = max(self._tokens[number], piece.tokens)
        reader = self._readers[number]
        said = reader.push(piece.text) if reader else [CallEvent("text", piece.text)]
        deltas = [_delta(one) for one in said]
        logprobs = logprobs_of(piece.logprobs) if self._request.logprobs else None
        told = logprobs.model_dump(mode="json") if logprobs else None
        if told and not deltas:
            deltas.append({})
        return [self._chunk(number, delta, logprobs=None if place else told) for place, delta in enumerate(deltas)]

    def _end(self, number: int, answer: Answer) -> list[bytes]:
        self._answers[number] = answer
        reader = self._readers[number]
        chunks = [self._chunk(number, _delta(one)) for one in reader.finish()] if reader else []
        delta: dict[str, Any] = {}
        if self._request.return_boxes:
            found = boxes_of("".join(self._texts[number]), self._prompt.visuals)
            delta["boxes"] = [one.model_dump(mode="json") for one in found]
        self._tokens[number] = answer.usage.completion_tokens
        finish = finish_of(answer, called=reader is not None and reader.calls > 0)
        reason = stop_reason_of(answer)
        more = {"stop_reason": reason} if reason else {}
        last = len(self._answers) == len(self._readers)
        figures = self._figures() if last and not self._with_usage else {}
        figures.pop("usage", None)
        return [*chunks, self._chunk(number, delta, finish=finish, more=more, figures=figures)]

    def _figures(self) -> dict[str, Any]:
        """What goes with the last chunk: usage, seconds, and how pictures were seen."""
        answers = [self._answers[number] for number in sorted(self._answers)]
        media = media_of(self._prompt.visuals, self._merge)
        return {
            "usage": self._usage(),
            "timings": timings_of(self._prompt, answers[0]).model_dump(mode="json"),
            **({"media": [one.model_dump(mode="json") for one in media]} if media else {}),
        }

    def _usage(self) -> dict[str, Any]:
        done = [self._answers[number].usage for number in sorted(self._answers)]
        reply: UsageReply = usage_of(self._prompt.usage, done)
        extra = sum(self._tokens) - reply.completion_tokens
        told = reply.model_dump(mode="json")
        told["completion_tokens"] += extra
        told["total_tokens"] += extra
        told["completion_tokens_details"]["text_tokens"] += extra
        return told

    def _chunk(
        self,
        number: int,
        delta: dict[str, Any],
        *,
        finish: str | None = None,
        logprobs: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
        figures: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish, **(more or {})}
        made = {**self._frame, "choices": [choice], **(figures or {})}
        if self._with_usage:
            made["usage"] = self._usage() if self._continuous else None
        else:
            made.pop("usage", None)
        return event(made)


def _delta(one: CallEvent) -> dict[str, Any]:
    if one.kind == "text":
        return {"content": one.text}
    if one.kind == "arguments":
        return {"tool_calls": [{"index": one.index, "function": {"arguments": one.text}}]}
    function = {"name": one.text, "arguments": ""}
    call = {"index": one.index, "id": new_id("call_"), "type": "function", "function": function}
    return {"tool_calls": [call]}
