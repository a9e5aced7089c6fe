"""Qwen2-VL's prompt format (ChatML): messages to special tokens, text, pictures and clips, in order.

The result is a list of segments rather than one string, so that words of a user can never act as special tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from anyres.errors import MessageError

__all__ = ["ROLES", "Segment", "SpecialToken", "messages_from_dicts", "render"]

ROLES = ("system", "user", "assistant", "tool")
DEFAULT_SYSTEM = "You are a helpful assistant."  # chat_template.json of Qwen2-VL


@dataclass(frozen=True)
class SpecialToken:
    """A token that only the template writes, as `<|im_start|>`."""

    token: str


Segment = SpecialToken | str | ImagePart | VideoPart

_TURN_START, _TURN_END = SpecialToken("<|im_start|>"), SpecialToken("<|im_end|>")
_VISION_START, _VISION_END = SpecialToken("<|vision_start|>"), SpecialToken("<|vision_end|>")


def render(
    messages: Sequence[Message], *, add_generation_prompt: bool = True, add_vision_id: bool = False
) -> list[Segment]:
    """The prompt's segments; neighbouring text is one string, because tokens may span its joints.

    A conversation that does not begin with a system message gets the usual one; an empty system message prevents
    that. `add_vision_id` writes `Picture 1: ` and `Video 1: ` before each item, to speak of them by number.
    Raises MessageError for an empty conversation, an unknown role or content of another type.

    >>> render([Message("system", ""), Message("user", "hi")], add_generation_prompt=False)[4:]
    [SpecialToken(token='<|im_start|>'), 'user\\nhi', SpecialToken(token='<|im_end|>'), '\\n']
    """
    _check(messages)
    segments: list[Segment] = []
    for piece in _pieces(messages, add_generation_prompt=add_generation_prompt, add_vision_id=add_vision_id):
        last = segments[-1] if segments else None
        if isinstance(piece, str) and isinstance(last, str):
            segments[-1] = last + piece
        elif piece != "":
            segments.append(piece)
    return segments


def messages_from_dicts(conversation: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Messages in the form of OpenAI or qwen-vl-utils.

    Content is a string or a list of `{"type": "text", "text": ...}`, `{"type": "image", "image": ...}`,
    `{"type": "image_url", "image_url": {"url": ...}}`, `{"type": "video", "video": ...}` and `video_url`; pictures and
    clips take the fields of ImagePart and VideoPart as further keys. MessageError names any other key.

    >>> messages_from_dicts([{"role": "user", "content": [{"type": "image", "image": "a.png", "max_pixels": 784}]}])[0]
    Message(role='user', content=(ImagePart(image='a.png', min_pixels=None, max_pixels=784, resized_height=None, \
resized_width=None),))
    """
    if isinstance(conversation, (str, Mapping)) or not isinstance(conversation, Sequence):
        raise MessageError("messages", _seen(conversation), "a list of messages")
    return [_message(raw, f"messages[{number}]") for number, raw in enumerate(conversation)]


def _pieces(messages: Sequence[Message], *, add_generation_prompt: bool, add_vision_id: bool) -> Iterator[Segment]:
    if messages[0].role != "system":
        yield from (_TURN_START, f"system\n{DEFAULT_SYSTEM}", _TURN_END, "\n")
    seen = {"Picture": 0, "Video": 0}
    for message in messages:
        yield from (_TURN_START, f"{message.role}\n")
        for part in message.parts:
            if isinstance(part, TextPart):
                yield part.text
                continue
            name = "Picture" if isinstance(part, ImagePart) else "Video"
            seen[name] += 1
            if add_vision_id:
                yield f"{name} {seen[name]}: "
            yield from (_VISION_START, part, _VISION_END)
        yield from (_TURN_END, "\n")
    if add_generation_prompt:
        yield from (_TURN_START, "assistant\n")


def _check(messages: Sequence[Message]) -> None:
    if isinstance(messages, (str, Mapping)) or not isinstance(messages, Sequence):
        raise MessageError("messages", _seen(messages), "a list of Message")
    if not messages:
        raise MessageError("messages", "an empty conversation", "at least one message")
    for number, message in enumerate(messages):
        _check_message(message, f"messages[{number}]")


def _check_message(message: object, item: str) -> None:
    if not isinstance(message, Message):
        raise MessageError(item, _seen(message), "a Message (see messages_from_dicts for dictionaries)")
    if message.role not in ROLES:
        raise MessageError(f"{item}.role", repr(message.role), " or ".join(ROLES))
    content: object = message.content
    if isinstance(content, str):
        return
    if isinstance(content, (bytes, Mapping)) or not isinstance(content, Sequence):
        raise MessageError(f"{item}.content", _seen(content), "a string or a list of parts")
    for number, part in enumerate(content):
        _check_part(part, f"{item}.content[{number}]")


def _check_part(part: object, item: str) -> None:
    if not isinstance(part, (TextPart, ImagePart, VideoPart)):
        raise MessageError(item, _seen(part), "a TextPart, ImagePart or VideoPart")
    if isinstance(part, TextPart) and not isinstance(part.text, str):
        raise MessageError(f"{item}.text", _seen(part.text), "a string")


def _message(raw: object, item: str) -> Message:
    if not isinstance(raw, Mapping):
        raise MessageError(item, _seen(raw), 'a dictionary with "role" and "content"')
    _only(raw, ("role", "content"), item)
    if "role" not in raw or "content" not in raw:
        raise MessageError(item, f"keys {sorted(raw)}", '"role" and "content"')
    content = raw["content"]
    if isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
        content = tuple(_part(part, f"{item}.content[{number}]") for number, part in enumerate(content))
    message = Message(raw["role"], content)
    _check_message(message, item)
    return message


# What an item's `type` makes of it, or the key that holds it where there is no type.
_KINDS: Mapping[str, type[TextPart] | type[ImagePart] | type[VideoPart]] = {
    "image": ImagePart,
    "image_url": ImagePart,
    "video": VideoPart,
    "video_url": VideoPart,
    "text": TextPart,
}
_HOLDERS = {TextPart: ("text",), ImagePart: ("image", "image_url"), VideoPart: ("video", "video_url")}
_SAME_KNOB = {"video_start": "start", "video_end": "end"}  # names of qwen-vl-utils


def _part(raw: object, item: str) -> Part:
    if not isinstance(raw, Mapping):
        raise MessageError(item, _seen(raw), 'a dictionary with a "type"')
    kind = raw.get("type", next((key for key in _KINDS if key in raw), None))
    if not isinstance(kind, str) or kind not in _KINDS:
        raise MessageError(f"{item}.type", repr(kind), " or ".join(_KINDS))
    part = _KINDS[kind]
    held = [key for key in _HOLDERS[part] if key in raw]
    if len(held) != 1:
        raise MessageError(item, f"keys {sorted(map(str, raw))}", f"one of {', '.join(_HOLDERS[part])}")
    value = raw[held[0]] if part is TextPart else _source(raw[held[0]], f"{item}.{held[0]}")
    built = part(value, **_knobs(raw, part, item))
    _check_part(built, item)
    return built


def _knobs(raw: Mapping[str, Any], part: type[Part], item: str) -> dict[str, Any]:
    """Keys beside the type and the picture, under the names of the part's fields."""
    names = [field.name for field in fields(part)[1:]]
    aliases = {alias: name for alias, name in _SAME_KNOB.items() if name in names}
    _only(raw, ("type", *_HOLDERS[part], *names, *aliases), item)
    knobs: dict[str, Any] = {}
    for key, value in raw.items():
        name = aliases.get(key, key)
        if name in knobs:
            raise MessageError(f"{item}.{key}", f"a second value for {name}", "one")
        if name in names:
            knobs[name] = value
    return knobs


def _source(value: Any, item: str) -> Any:
    """What a key holds, or the address in OpenAI's `{"url": ...}`."""
    if not isinstance(value, Mapping):
        return value
    _only(value, ("url",), item)
    if not isinstance(value.get("url"), str):
        raise MessageError(f"{item}.url", _seen(value.get("url")), "a string")
    return value["url"]


def _only(raw: Mapping[str, Any], allowed: Sequence[str], item: str) -> None:
    for key in raw:
        if key not in allowed:
            raise MessageError(f"{item}.{key}", "an unknown key", ", ".join(allowed))


def _seen(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
