"""What was said in a chat so far, what waits to be sent, and both in a file."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from anyres.cli.named_bytes import NamedBytes
from anyres.cli.options import MediaKnobs
from anyres.errors import AnyresError, MessageError, OptionError

__all__ = ["Attachment", "Conversation", "attach_clip", "attach_picture", "load_chat", "save_chat"]

VERSION = 1
MOST_BYTES = 256 << 20  # of a saved chat


class Attachment(NamedTuple):
    """A picture or clip for the next question, and what it is called."""

    name: str
    part: ImagePart | VideoPart
    size: str = ""


@dataclass
class Conversation:
    """Turns of a chat; `waiting` goes with the next question."""

    system: str | None = None
    turns: list[Message] = field(default_factory=list)
    waiting: list[Attachment] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """All that the model is told."""
        return ([] if self.system is None else [Message("system", self.system)]) + self.turns

    @property
    def last_picture(self) -> Any:
        """The picture that was attached last; None without one."""
        parts = [part for turn in self.turns for part in turn.parts] + [one.part for one in self.waiting]
        return next((part for part in reversed(parts) if isinstance(part, ImagePart)), None)

    def ask(self, text: str) -> list[Attachment]:
        """Adds a question with what waits, which is given back."""
        sent, self.waiting = self.waiting, []
        parts: list[Part] = [one.part for one in sent]
        self.turns.append(Message("user", (*parts, TextPart(text)) if parts else text))
        return sent

    def take_back(self, sent: list[Attachment]) -> None:
        """Undoes `ask` where no answer came."""
        self.turns.pop()
        self.waiting = sent + self.waiting

    def undo(self) -> bool:
        """Forgets the last question and its answer; whether there was one."""
        asked = [number for number, turn in enumerate(self.turns) if turn.role == "user"]
        if asked:
            del self.turns[asked[-1] :]
        return bool(asked)

    def reopen(self) -> bool:
        """Forgets the last answer alone, so that it can be given again; whether there was one."""
        if self.turns and self.turns[-1].role == "assistant":
            self.turns.pop()
        return bool(self.turns)


def attach_picture(source: Any, knobs: MediaKnobs) -> Attachment:
    """Reads a picture now, so that it stays what it was. MediaError where it is none."""
    from anyres.processing.media import DEFAULT_LIMITS, read_bytes
    from anyres.processing.picture import open_picture

    name, data = read_bytes(source, kind="image", limits=DEFAULT_LIMITS)
    picture = open_picture(data, name=name, max_pixels=DEFAULT_LIMITS.max_image_pixels)
    return Attachment(name, knobs.image_part(NamedBytes(name, data)), f"{picture.width}x{picture.height}")


def attach_clip(source: Any, knobs: MediaKnobs) -> Attachment:
    """Opens a clip to see that it is one. MediaError where it is not."""
    from anyres.processing.media import DEFAULT_LIMITS, open_video, read_bytes

    held: Any = source
    if not isinstance(source, Path):
        held = NamedBytes(*read_bytes(source, kind="video", limits=DEFAULT_LIMITS))
    with open_video(held) as clip:
        name, size = clip.name, f"{clip.width}x{clip.height}, {clip.duration_s:.1f} s"
    return Attachment(name, knobs.video_part(held), size)


def save_chat(conversation: Conversation, path: Path, *, model: str) -> None:
    """A JSON file with everything in it: pictures and clips as data, so that it can be sent to others."""
    turns = [{"role": turn.role, "content": [_as_dict(part) for part in turn.parts]} for turn in conversation.turns]
    whole = {"anyres_chat": VERSION, "model": model, "system": conversation.system, "messages": turns}
    text = json.dumps(whole, ensure_ascii=False, indent=1)
    if len(text) > MOST_BYTES:
        raise OptionError("/save", f"a chat of {len(text):,} bytes", f"at most {MOST_BYTES:,}")
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OptionError("/save", f"{path} cannot be written ({_why(error)})", "a file in a folder") from None


def load_chat(path: Path) -> Conversation:
    """Reads what `save_chat` wrote. Only data in the file itself counts: paths and addresses in it are refused."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        raw = json.loads(data) if len(data) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError("/load", f"{path} cannot be read ({_why(error)})", "a file that /save wrote") from None
    if not isinstance(raw, dict) or raw.get("anyres_chat") != VERSION or not isinstance(raw.get("messages"), list):
        raise OptionError("/load", f"{path} is no saved chat", "a file that /save wrote")
    system = raw.get("system")
    if system is not None and not isinstance(system, str):
        raise OptionError("/load", f"{path}: a system message that is no text", "a file that /save wrote")
    return Conversation(system, [_turn(one, f"{path.name}: messages[{at}]") for at, one in enumerate(raw["messages"])])


def _turn(raw: Any, item: str) -> Message:
    from anyres.processing.template import messages_from_dicts

    parts = raw.get("content") if isinstance(raw, Mapping) else None
    for part in parts if isinstance(parts, list) else ():
        for key in ("image", "video", "image_url", "video_url"):
            value = part.get(key) if isinstance(part, Mapping) else None
            frames = value if isinstance(value, list) else [value]
            if value is not None and not all(isinstance(one, str) and one.startswith("data:") for one in frames):
                raise MessageError(item, "a picture or clip that is not in the file", "data: URLs")
    try:
        return messages_from_dicts([raw])[0]
    except AnyresError as error:
        raise MessageError(f"{item}{error.item.removeprefix('messages[0]')}", error.seen, error.allowed) from None


def _as_dict(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    kind = "image" if isinstance(part, ImagePart) else "video"
    source = part.image if isinstance(part, ImagePart) else part.video
    knobs = {one.name: getattr(part, one.name) for one in fields(part)[1:]}
    return {"type": kind, kind: _data(source, kind)} | {
        name: value for name, value in knobs.items() if value is not None
    }


def _data(source: Any, kind: str) -> str:
    if isinstance(source, str):
        return source  # of a chat that was loaded
    data = source.getvalue() if isinstance(source, NamedBytes) else _read(source)
    return f"data:{kind}/x-any;base64,{base64.b64encode(data).decode('ascii')}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OptionError("/save", f"{path.name} cannot be read any more ({_why(error)})", "the clip") from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
