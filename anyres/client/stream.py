"""A completion's bytes into replies: chunks of a stream as they come, or the whole at once."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from anyres.chat import Piece
from anyres.client.endpoint import Endpoint
from anyres.client.failure import broken_reply, error_in_stream
from anyres.client.reply import Reply, ReplyError
from anyres.client.sse import Event, EventReader
from anyres.errors import EndpointError

__all__ = ["ChunkReader", "read_completion"]

DONE = "[DONE]"


def read_completion(
    endpoint: Endpoint,
    completion: Any,
    n: int,
    *,
    started: float,
    clock: Callable[[], float],
    call_dialect: str = "hermes",
) -> list[Reply]:
    """The `n` choices of a completion that came whole."""
    _refuse_error(endpoint, completion)
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(choices, list) or len(choices) != n or not all(isinstance(one, dict) for one in choices):
        seen = f"{len(choices)} choices" if isinstance(choices, list) else "no choices"
        raise broken_reply(endpoint, seen)
    replies = []
    for choice in choices:
        reply = Reply(started, clock, call_dialect)
        _in_form(endpoint, lambda choice=choice, reply=reply: (reply.take(choice), reply.finish()))  # type: ignore[misc]
        reply.note(completion)
        replies.append(reply)
    return replies


class ChunkReader:
    """Pieces out of a stream's bytes; `reply` is what has come. EndpointError where the stream breaks off.

    `done` says that the server has said all.
    """

    def __init__(self, endpoint: Endpoint, *, clock: Callable[[], float], call_dialect: str = "hermes") -> None:
        self.reply = Reply(clock(), clock, call_dialect)
        self.done = False
        self._endpoint = endpoint
        self._events = EventReader()

    def is_whole(self, headers: Mapping[str, str]) -> bool:
        """Whether a server that was asked for a stream sends one JSON object."""
        return "json" in headers.get("content-type", "").partition(";")[0]

    def whole(self, completion: Any) -> Iterator[Piece]:
        """A completion that came in one, as pieces."""
        (self.reply,) = read_completion(
            self._endpoint,
            completion,
            1,
            started=self.reply.started,
            clock=self.reply.clock,
            call_dialect=self.reply.call_dialect,
        )
        self.done = True
        yield Piece("".join(self.reply.text), tuple(self.reply.logprobs))

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Pieces that these bytes complete."""
        try:
            events = self._events.feed(data)
        except OverflowError:
            raise broken_reply(self._endpoint, "a chunk without an end") from None
        for event in events:
            yield from self._take(event)

    def finish(self) -> Iterator[Piece]:
        """What is left at the end. A stream may end without [DONE], but not without a reason to."""
        for event in [] if self.done else self._events.finish():
            yield from self._take(event)
        if not self.done and self.reply.finish_reason is None:
            raise broken_reply(self._endpoint, f"a stream cut off after {len(''.join(self.reply.text))} characters")
        calls = self.reply.finish()
        if calls is not None:
            yield calls

    def _take(self, event: Event) -> Iterator[Piece]:
        if self.done or event.data.strip() == DONE:
            self.done = True
            return
        chunk = self._parsed(event)
        _refuse_error(self._endpoint, chunk)
        if event.name == "error" or not isinstance(chunk, dict):
            raise error_in_stream(self._endpoint, chunk)
        self.reply.note(chunk)
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, dict):
                raise broken_reply(self._endpoint, f"a {type(choice).__name__} where a choice belongs")
            if choice.get("index", 0) == 0:
                piece = _in_form(self._endpoint, lambda choice=choice: self.reply.take(choice))  # type: ignore[misc]
                yield from [piece] if piece is not None else []

    def _parsed(self, event: Event) -> Any:
        try:
            return json.loads(event.data)
        except (ValueError, RecursionError):
            raise broken_reply(self._endpoint, f"a chunk that is no JSON ({len(event.data)} characters)") from None


def _refuse_error(endpoint: Endpoint, chunk: Any) -> None:
    """OpenAI's form, and vLLM's own of before."""
    if isinstance(chunk, dict) and (chunk.get("error") or chunk.get("object") == "error"):
        raise error_in_stream(endpoint, chunk)


def _in_form(endpoint: Endpoint, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ReplyError as error:
        raise _as_broken(endpoint, error) from None


def _as_broken(endpoint: Endpoint, error: ReplyError) -> EndpointError:
    return broken_reply(endpoint, str(error))
