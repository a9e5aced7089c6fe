"""Answers out of what a server sends, whole or in chunks: text, calls, logprobs, usage, timings."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from anyres.chat import Answer, FinishReason, Piece, Timings, TokenLogprob, Usage
from anyres.client.calls import calls_as_text
from anyres.tools import Call

__all__ = ["Reply", "ReplyError"]

_REASONS: Mapping[str, FinishReason] = {"length": "length", "max_tokens": "length", "repetition": "repetition"}
_CHARACTERS_KEPT = 64 << 20


class ReplyError(ValueError):
    """What came is not in OpenAI's form; the words say what of it."""


@dataclass
class _Call:
    name: str = ""
    arguments: str = ""


@dataclass
class Reply:
    """One choice of a completion. Give `take` the whole of it, or each chunk's part of it.

    `started` is when the request was sent, on the clock `clock`. `call_dialect` is how calls of tools are written.
    """

    started: float
    clock: Callable[[], float]
    call_dialect: str = "hermes"
    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
    _calls: dict[int, _Call] = field(default_factory=dict)
    _server_timings: Timings | None = None
    _first_at: float | None = None
    _characters: int = 0

    def note(self, chunk: Mapping[str, Any]) -> None:
        """What stands beside the choices."""
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        if isinstance(chunk.get("timings"), dict):
            self._server_timings = _timings(chunk["timings"])
        shrunk = [_text(one.get("note")) for one in _dicts(chunk.get("media"))]  # anyres tells
        self.notes = tuple(dict.fromkeys((*self.notes, *filter(None, shrunk))))

    def take(self, choice: Mapping[str, Any]) -> Piece | None:
        """The choice's new text, if there is any. ReplyError where it is none."""
        said = choice.get("delta") or choice.get("message") or {}
        if not isinstance(said, dict):
            raise ReplyError(f"a {type(said).__name__} where a message belongs")
        self._take_calls(said.get("tool_calls"))
        self._take_reason(choice.get("finish_reason"), choice.get("stop_reason"))
        logprobs = _logprobs(choice.get("logprobs"))
        self.logprobs += logprobs
        text = _text(said.get("content")) + _text(said.get("refusal"))
        return self._piece(text, logprobs)

    def finish(self) -> Piece | None:
        """The calls of tools as text, once all of their arguments are there."""
        calls = [Call(call.name, call.arguments) for _, call in sorted(self._calls.items())]
        self._calls = {}
        if not calls:
            return None
        gap = "\n" if self.text and not "".join(self.text[-1:]).endswith("\n") else ""
        return self._piece(gap + calls_as_text(calls, self.call_dialect), ())

    def answer(self, *, prepare_s: float, streamed: bool, with_logprobs: bool) -> Answer:
        """The whole answer. Where the server tells no timings they are what was measured here."""
        timings = self._server_timings or self._measured(streamed)
        return Answer(
            text="".join(self.text),
            finish_reason=_REASONS.get(self.finish_reason or "", "stop"),
            usage=self.usage,
            timings=replace(timings, prepare_s=prepare_s),
            notes=self.notes,
            logprobs=tuple(self.logprobs) if with_logprobs else None,
        )

    def _measured(self, streamed: bool) -> Timings:
        now = self.clock()
        first = now if self._first_at is None else self._first_at
        return (
            Timings(prefill_s=first - self.started, decode_s=now - first)
            if streamed
            else Timings(decode_s=now - self.started)
        )

    def _piece(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> Piece | None:
        if not text and not logprobs:
            return None
        if self._first_at is None:
            self._first_at = self.clock()
        self._characters += len(text)
        if self._characters > _CHARACTERS_KEPT:
            raise ReplyError(f"an answer of more than {_CHARACTERS_KEPT:,} characters")
        self.text.append(text)
        return Piece(text, logprobs)

    def _take_reason(self, reason: object, why: object) -> None:
        if isinstance(reason, str) and reason:
            self.finish_reason = "repetition" if why == "repetition" else reason  # anyres tells that beside it
        if reason == "content_filter":
            self.notes += ("the endpoint's filter ended the answer",)

    def _take_calls(self, calls: object) -> None:
        if calls is None:
            return
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise ReplyError("tool_calls that are no list of objects")
        for place, call in enumerate(calls):
            index = call.get("index")
            held = self._calls.setdefault(index if isinstance(index, int) else place, _Call())
            function = call.get("function") if isinstance(call.get("function"), dict) else {}
            held.name += _text(function.get("name"))
            held.arguments += _text(function.get("arguments"))


def _text(content: object) -> str:
    """A string; of a list of parts, which some servers send, the texts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    raise ReplyError(f"a {type(content).__name__} where text belongs")


def _usage(raw: Mapping[str, Any]) -> Usage:
    """Tokens by kind where the server tells them apart; else all of the prompt counts as text."""
    details = raw.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    image, video = _count(details.get("image_tokens")), _count(details.get("video_tokens"))
    return Usage(
        text_tokens=max(0, _count(raw.get("prompt_tokens")) - image - video),
        image_tokens=image,
        video_tokens=video,
        completion_tokens=_count(raw.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens")),
    )


def _timings(raw: Mapping[str, Any]) -> Timings | None:
    """As llama-server and anyres tell them, in milliseconds."""
    if not any(_number(raw.get(name)) for name in ("prompt_ms", "predicted_ms")):
        return None
    return Timings(
        encode_s=_number(raw.get("vision_ms")) / 1000,
        prefill_s=_number(raw.get("prompt_ms")) / 1000,
        decode_s=_number(raw.get("predicted_ms")) / 1000,
        wait_s=_number(raw.get("queue_ms")) / 1000,
    )


def _logprobs(raw: object) -> tuple[TokenLogprob, ...]:
    content = raw.get("content") if isinstance(raw, dict) else None
    if content is None:
        return ()
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ReplyError("logprobs that are no list of objects")
    return tuple(
        TokenLogprob(*_spoken(one), top=tuple(map(_spoken, _dicts(one.get("top_logprobs"))))) for one in content
    )


def _spoken(raw: Mapping[str, Any]) -> tuple[str, float]:
    value = raw.get("logprob")
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    return _text(raw.get("token")), float(value) if number and value is not None else -math.inf


def _dicts(raw: object) -> list[dict[str, Any]]:
    return [one for one in raw if isinstance(one, dict)] if isinstance(raw, list) else []


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _number(value: object) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return max(0.0, float(value)) if number else 0.0  # type: ignore[arg-type]
