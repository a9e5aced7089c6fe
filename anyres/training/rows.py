"""Rows of datasets in the two common forms: LLaMA-Factory's sharegpt, and OpenAI's messages.

Sharegpt rows hold `conversations` of `{"from": "human", "value": "<image>What is this?"}`, or `messages` of
`{"role": "user", "content": ...}`, with the pictures and clips of their marks in `images` and `videos`. In OpenAI's
form the content is a list of parts, as the server and `messages_from_dicts` take it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from anyres.errors import MessageError
from anyres.processing.template import messages_from_dicts
from anyres.training.supervision import TrainingExample

__all__ = ["example_of_row"]

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
TOOL_ROLES = ("function_call", "function", "observation", "tool")
TURN_KEYS = ("conversations", "messages")
NAME_KEYS = (("from", "value"), ("role", "content"))
LISTS = {"<image>": ("images", "image"), "<video>": ("videos", "video")}
MARK = re.compile("(" + "|".join(LISTS) + ")")
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|data:", re.IGNORECASE)


def example_of_row(raw: object, *, name: str, folder: Path) -> TrainingExample:
    """The example in a row; relative pictures are looked for in `folder`.

    MessageError, whose item begins with `name`, for a row of neither form, for marks that do not count the pictures,
    and for what is not trained on yet: tools and audio.

    >>> row = {"conversations": [{"from": "human", "value": "<image>Read."}, {"from": "gpt", "value": "No."}]}
    >>> example_of_row(row, name="a.json:1", folder=Path())
    Traceback (most recent call last):
        ...
    anyres.errors.MessageError: a.json:1: <image>: 1 marks and 0 items in images; allowed: as many marks as items
    """
    try:
        return TrainingExample(name, tuple(_messages(raw, folder)))
    except MessageError as error:
        raise MessageError(f"{name}: {error.item}", error.seen, error.allowed) from None


def _messages(raw: object, folder: Path) -> list[Message]:
    if not isinstance(raw, Mapping):
        raise MessageError("row", f"a JSON {type(raw).__name__}", "an object with conversations or messages")
    for key in ("tools", "audios"):
        if raw.get(key):
            raise MessageError(key, "not empty", f"no {key}: they are not trained on yet")
    turns = _turns(raw)
    if any(isinstance(_content(turn), list) for turn in turns):
        messages = [_with_files(one, folder) for one in messages_from_dicts(turns)]
    else:
        messages = list(_marked(turns, raw, folder))
    return [*_system(raw, messages), *messages]


def _turns(raw: Mapping[str, Any]) -> list[Any]:
    keys = [key for key in TURN_KEYS if key in raw]
    if len(keys) != 1:
        raise MessageError("row", f"keys {sorted(map(str, raw))[:8]}", f"one of {', '.join(TURN_KEYS)}")
    turns = raw[keys[0]]
    if not isinstance(turns, list) or not turns:
        raise MessageError(keys[0], repr(turns)[:60], "a list of turns")
    for number, turn in enumerate(turns):
        _check_turn(turn, f"{keys[0]}[{number}]")
    return turns


def _check_turn(turn: object, item: str) -> None:
    names = isinstance(turn, Mapping) and any(set(pair) <= turn.keys() for pair in NAME_KEYS)
    if not isinstance(turn, Mapping) or not names:
        raise MessageError(item, repr(turn)[:60], "an object with from and value, or role and content")
    role = turn.get("role", turn.get("from"))
    if role in TOOL_ROLES or turn.get("tool_calls"):
        raise MessageError(f"{item}: role", repr(role), "no tool calls: they are not trained on yet")
    if role not in ROLES:
        raise MessageError(f"{item}: role", repr(role), " or ".join(ROLES))
    if not isinstance(_content(turn), (str, list)):
        raise MessageError(item, f"content of type {type(_content(turn)).__name__}", "a text or a list of parts")


def _content(turn: Mapping[str, Any]) -> Any:
    return turn["content"] if "content" in turn else turn["value"]


def _system(raw: Mapping[str, Any], messages: list[Message]) -> list[Message]:
    system = raw.get("system") or ""
    if not isinstance(system, str):
        raise MessageError("system", repr(system)[:60], "a text")
    if system and messages[0].role == "system":
        raise MessageError("system", "a system text beside a system turn", "one of them")
    return [Message("system", system)] if system else []


def _marked(turns: list[Any], raw: Mapping[str, Any], folder: Path) -> Iterator[Message]:
    """Turns whose texts hold a mark for each picture and clip of the row's lists."""
    items = {mark: _items(raw, keys) for mark, keys in LISTS.items()}
    for mark, listed in items.items():
        count = sum(_content(turn).count(mark) for turn in turns)
        if count != len(listed):
            seen = f"{count} marks and {len(listed)} items in {LISTS[mark][0]}"
            raise MessageError(mark, seen, "as many marks as items")
    waiting = {mark: iter(listed) for mark, listed in items.items()}
    for turn in turns:
        role = ROLES[turn.get("role", turn.get("from"))]
        pieces = [piece for piece in MARK.split(_content(turn)) if piece]
        parts = [_part(piece, waiting, folder) for piece in pieces]
        yield Message(role, parts if MARK.search(_content(turn)) else _content(turn))


def _items(raw: Mapping[str, Any], keys: tuple[str, ...]) -> list[Any]:
    """The row's pictures or clips; a single one may stand without a list around it."""
    held = [raw[key] for key in keys if raw.get(key)]
    if not held:
        return []
    if len(held) > 1 or not isinstance(held[0], (str, list)):
        raise MessageError(keys[0], repr(held)[:60], "one list of paths")
    items = held[0] if isinstance(held[0], list) else [held[0]]
    for item in items:
        frames = item if isinstance(item, list) and keys[0] == "videos" else [item]
        if not all(isinstance(one, str) and one for one in frames):
            raise MessageError(keys[0], repr(item)[:60], "paths")
    return items


def _part(piece: str, waiting: Mapping[str, Iterator[Any]], folder: Path) -> Part:
    if piece == "<image>":
        return ImagePart(_place(next(waiting[piece]), folder))
    return VideoPart(_place(next(waiting[piece]), folder)) if piece == "<video>" else TextPart(piece)


def _with_files(message: Message, folder: Path) -> Message:
    return (
        message
        if isinstance(message.content, str)
        else Message(message.role, tuple(_with_file(part, folder) for part in message.content))
    )


def _with_file(part: Part, folder: Path) -> Part:
    if isinstance(part, ImagePart):
        return replace(part, image=_place(part.image, folder))
    return replace(part, video=_place(part.video, folder)) if isinstance(part, VideoPart) else part


def _place(source: Any, folder: Path) -> Any:
    """Where a picture is: addresses and whole paths as they are."""
    if isinstance(source, list):
        return [_place(one, folder) for one in source]
    if not isinstance(source, str) or ADDRESS.match(source):
        return source
    return str(folder / source)
