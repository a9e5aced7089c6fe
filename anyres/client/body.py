"""A conversation and its options as the body of a chat request."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from anyres.chat import GenerationOptions, ImagePart, Message, Part, TextPart, VideoPart
from anyres.client.calls import split_calls
from anyres.client.clips import video_parts
from anyres.client.dialect import BEYOND_OPENAI, Dialect
from anyres.client.forms import form_fields
from anyres.client.media import MediaRules, Sent, picture_parts
from anyres.errors import MessageError, OptionError
from anyres.processing.template import render

__all__ = ["Outgoing", "chat_request"]

OWN_FIELDS = ("messages", "model", "n", "stream", "stream_options")
_SAMPLING = ("temperature", "top_p", "seed")
_PENALTIES = ("presence_penalty", "frequency_penalty")
UNSET = GenerationOptions()


class Outgoing(NamedTuple):
    """The body, and what was changed on the way in words."""

    fields: dict[str, Any]
    notes: tuple[str, ...]


def chat_request(
    messages: Sequence[Message],
    options: GenerationOptions,
    *,
    model: str,
    dialect: Dialect,
    rules: MediaRules,
    stream: bool,
    n: int = 1,
    extra: Mapping[str, Any] | None = None,
) -> Outgoing:
    """Raises MessageError, MediaError, OptionError and ConstraintError, all before anything is sent."""
    render(messages)  # its checks: an empty conversation, unknown roles, content of another type
    _check_count(messages, rules)
    fields = {"model": model, **_option_fields(options, dialect), **form_fields(options.constraint, dialect)}
    fields |= extra_fields(extra)
    turns, notes = _turns(messages, rules, dialect)
    fields |= {"messages": turns} | ({"n": n} if n > 1 else {})
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return Outgoing(fields, notes)


def extra_fields(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields of the user's own; not those that the answer is read by."""
    for name in OWN_FIELDS:
        if name in (extra or {}):
            raise OptionError(f"extra_body: {name}", "set", f"fields other than {', '.join(OWN_FIELDS)}")
    return dict(extra or {})


def _option_fields(options: GenerationOptions, dialect: Dialect) -> dict[str, Any]:
    fields = {name: getattr(options, name) for name in _SAMPLING if getattr(options, name) is not None}
    fields |= {name: getattr(options, name) for name in _PENALTIES if getattr(options, name) != 0}
    for name in BEYOND_OPENAI:
        value, unset = getattr(options, name), getattr(UNSET, name)
        if value != unset and name not in dialect.draws:
            raise OptionError(name, repr(value), f"{unset!r}; an endpoint of dialect {dialect.name} does not know it")
        fields |= {dialect.draws[name]: value} if value != unset else {}
    if options.max_tokens is not None:
        fields[dialect.max_tokens] = options.max_tokens
    if options.stop:
        fields["stop"] = list(options.stop)
    if options.logprobs is not None:
        fields |= {"logprobs": True} | ({"top_logprobs": options.logprobs} if options.logprobs else {})
    if options.logit_bias:
        fields["logit_bias"] = {str(token_id): bias for token_id, bias in options.logit_bias.items()}
    if not options.stop_loops and dialect.name == "anyres":
        fields["stop_loops"] = False
    return fields


def _check_count(messages: Sequence[Message], rules: MediaRules) -> None:
    parts = [part for message in messages for part in message.parts]
    for name, kind, most in (("pictures", ImagePart, rules.most_images), ("clips", VideoPart, rules.most_videos)):
        count = sum(isinstance(part, kind) for part in parts)
        if most is not None and count > most:
            raise MessageError("messages", f"{count} {name}", f"at most {most} in a conversation with this endpoint")


def _turns(
    messages: Sequence[Message], rules: MediaRules, dialect: Dialect
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    turns: list[dict[str, Any]] = []
    notes: list[str] = []
    open_ids: list[str] = []
    for number, message in enumerate(messages):
        sent = _content(message, rules, dialect)
        notes += sent.notes
        turn: dict[str, Any] = {"role": message.role, "content": _plain(sent.parts)}
        if message.role == "tool":
            turn["tool_call_id"] = _next_id(open_ids, number)
        elif _is_answered(messages, number):
            turn |= _with_calls(message, number)
            open_ids = [call["id"] for call in turn["tool_calls"]]
        turns.append(turn)
    return turns, tuple(notes)


def _content(message: Message, rules: MediaRules, dialect: Dialect) -> Sent:
    sent = [_sent(part, rules, dialect) for part in message.parts]
    return Sent(tuple(part for one in sent for part in one.parts), tuple(note for one in sent for note in one.notes))


def _sent(part: Part, rules: MediaRules, dialect: Dialect) -> Sent:
    if isinstance(part, TextPart):
        return Sent(({"type": "text", "text": part.text},))
    return picture_parts(part, rules, dialect) if isinstance(part, ImagePart) else video_parts(part, rules, dialect)


def _plain(parts: Sequence[dict[str, Any]]) -> Any:
    """A string where there is nothing but text, which every server takes."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return list(parts)


def _is_answered(messages: Sequence[Message], number: int) -> bool:
    """Whether results of its calls follow an assistant's message."""
    rest = messages[number + 1 : number + 2]
    return messages[number].role == "assistant" and bool(rest) and rest[0].role == "tool"


def _with_calls(message: Message, number: int) -> dict[str, Any]:
    text, calls = split_calls("".join(part.text for part in message.parts if isinstance(part, TextPart)))
    if not calls:
        raise MessageError(f"messages[{number + 1}]", "a tool's result after no call", "one after <tool_call>")
    fields = [
        {"id": f"call_{number}_{place}", "type": "function", "function": asdict(call)}
        for place, call in enumerate(calls)
    ]
    return {"content": text or None, "tool_calls": fields}


def _next_id(open_ids: list[str], number: int) -> str:
    if not open_ids:
        raise MessageError(f"messages[{number}]", "more results than calls", "one result of each call, in their order")
    return open_ids.pop(0)
