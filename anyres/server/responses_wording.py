"""Answers as `/v1/responses` tells them: items of output, and the typed events of a stream."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from anyres.chat import Answer, Piece
from anyres.server.answering import Event, Ping, Prompt
from anyres.server.errors import api_error
from anyres.server.stream import PING
from anyres.server.wording import boxes_of, new_id
from anyres.tools import CallEvent, CallReader

__all__ = ["ResponseReply", "ResponseWriter", "response_events"]

Json = dict[str, Any]


class InputDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int
    text_tokens: int
    image_tokens: int
    video_tokens: int


class OutputDetails(BaseModel):
    reasoning_tokens: int = 0


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int


class ResponseReply(BaseModel):
    """Fields of the request come back beside these."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: int
    model: str
    status: Literal["completed", "incomplete", "in_progress", "failed"]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    output: list[dict[str, Any]]
    usage: ResponseUsage | None


class ResponseWriter:
    """One answer, whole or as events. `frame` is what all states of the response have in common."""

    def __init__(self, frame: Json, *, reads_calls: bool, boxes: bool) -> None:
        self._frame = frame
        self._reader = CallReader() if reads_calls else None
        self._boxes = boxes
        self._number = -1
        self._output: list[Json] = []
        self._open: Json | None = None  # the item under way

    def whole(self, prompt: Prompt, answer: Answer) -> Json:
        list(self._said(answer.text, last=True))
        list(self._closed(answer.text, prompt))
        return self._response(prompt, answer)

    def opening(self) -> Iterator[bytes]:
        response = self._state("in_progress")
        yield self._event("response.created", response=response)
        yield self._event("response.in_progress", response=response)

    def piece(self, text: str) -> Iterator[bytes]:
        yield from self._said(text, last=False)

    def closing(self, prompt: Prompt, answer: Answer) -> Iterator[bytes]:
        yield from self._said("", last=True)
        yield from self._closed(answer.text, prompt)
        response = self._response(prompt, answer)
        yield self._event(f"response.{response['status']}", response=response)

    def failing(self, error: Exception) -> Iterator[bytes]:
        told = api_error(error)
        failure = {"code": told.code or "server_error", "message": told.message}
        yield self._event("error", code=told.code, message=told.message, param=told.param)
        yield self._event("response.failed", response={**self._state("failed"), "error": failure})

    def _said(self, text: str, *, last: bool) -> Iterator[bytes]:
        if self._reader is None:
            events = [CallEvent("text", text)] if text else []
        else:
            events = [*self._reader.push(text), *(self._reader.finish() if last else ())]
        for event in events:
            if event.kind == "name":
                yield from self._closed()
                yield from self._opened(_call(event.text))
            elif event.kind == "arguments":
                assert self._open is not None, "a name comes before arguments"
                self._open["arguments"] += event.text
                yield self._item_event("response.function_call_arguments.delta", delta=event.text)
            elif self._open is None or self._open["type"] == "message" or event.text.strip():
                yield from self._text(event.text)

    def _text(self, text: str) -> Iterator[bytes]:
        if self._open is None or self._open["type"] != "message":
            yield from self._closed()
            yield from self._opened(_message())
            part = self._part()
            yield self._item_event("response.content_part.added", content_index=0, part={**part})
        part = self._part()
        part["text"] += text
        yield self._item_event("response.output_text.delta", content_index=0, delta=text, logprobs=[])

    def _part(self) -> Json:
        assert self._open is not None, "a message is under way"
        part: Json = self._open["content"][0]
        return part

    def _opened(self, item: Json) -> Iterator[bytes]:
        self._open = item
        self._output.append(item)
        empty = {**item, "content": []} if item["type"] == "message" else {**item}
        yield self._event("response.output_item.added", output_index=len(self._output) - 1, item=empty)

    def _closed(self, text: str = "", prompt: Prompt | None = None) -> Iterator[bytes]:
        """The item under way is complete; with a prompt the whole answer is, which says something at least."""
        if prompt is not None and not self._output:
            yield from self._text("")
        if self._open is None:
            return
        item = self._open
        item["status"] = "completed"
        if item["type"] == "message":
            part = self._part()
            if prompt is not None and self._boxes:
                item["boxes"] = [one.model_dump(mode="json") for one in boxes_of(text, prompt.visuals)]
            yield self._item_event("response.output_text.done", content_index=0, text=part["text"], logprobs=[])
            yield self._item_event("response.content_part.done", content_index=0, part={**part})
        else:
            yield self._item_event("response.function_call_arguments.done", arguments=item["arguments"])
        yield self._event("response.output_item.done", output_index=len(self._output) - 1, item={**item})
        self._open = None

    def _response(self, prompt: Prompt, answer: Answer) -> Json:
        cut = answer.finish_reason == "length"
        usage = prompt.usage
        details = InputDetails(
            cached_tokens=answer.usage.cached_tokens,
            cache_write_tokens=usage.prompt_tokens - answer.usage.cached_tokens,
            text_tokens=usage.text_tokens,
            image_tokens=usage.image_tokens,
            video_tokens=usage.video_tokens,
        )
        told = ResponseUsage(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=details,
            output_tokens=answer.usage.completion_tokens,
            total_tokens=usage.prompt_tokens + answer.usage.completion_tokens,
        )
        state = self._state("incomplete" if cut else "completed")
        reason = {"reason": "max_output_tokens"} if cut else None
        return {**state, "incomplete_details": reason, "usage": told.model_dump(mode="json")}

    def _state(self, status: str) -> Json:
        empty = {"status": status, "error": None, "incomplete_details": None, "usage": None}
        return {**self._frame, **empty, "output": [{**item} for item in self._output]}

    def _item_event(self, kind: str, **fields: Any) -> bytes:
        assert self._open is not None, "an item is under way"
        return self._event(kind, item_id=self._open["id"], output_index=len(self._output) - 1, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        value = {"type": kind, "sequence_number": self._number, **fields}
        told = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return f"event: {kind}\ndata: {told}\n\n".encode()


async def response_events(
    writer: ResponseWriter, prompt: Prompt, first: Event, rest: AsyncGenerator[Event, None]
) -> AsyncGenerator[bytes, None]:
    """The stream of one answer."""
    async with aclosing(rest):
        try:
            for chunk in writer.opening():
                yield chunk
            for chunk in _taken(writer, prompt, first):
                yield chunk
            async for one in rest:
                for chunk in _taken(writer, prompt, one):
                    yield chunk
        except Exception as error:  # noqa: BLE001  the status is sent: the error goes into the stream
            for chunk in writer.failing(error):
                yield chunk


def _taken(writer: ResponseWriter, prompt: Prompt, one: Event) -> Iterator[bytes]:
    if isinstance(one, Ping):
        yield PING
    elif isinstance(one, tuple):
        what = one[1]
        yield from writer.piece(what.text) if isinstance(what, Piece) else writer.closing(prompt, what)


def _message() -> Json:
    text = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": "in_progress", "content": [text]}


def _call(name: str) -> Json:
    ids = {"id": new_id("fc_"), "call_id": new_id("call_")}
    return {**ids, "type": "function_call", "name": name, "arguments": "", "status": "in_progress"}
