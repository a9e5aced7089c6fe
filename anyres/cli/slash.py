"""The slash commands of a chat: what each is called, takes and does."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from anyres.chat import GenerationOptions, TextPart
from anyres.cli.conversation import Conversation, attach_clip, attach_picture, load_chat, save_chat
from anyres.cli.dragging import as_path
from anyres.cli.options import MediaKnobs
from anyres.cli.preview import MODES, choose_mode
from anyres.cli.terminal import write_line
from anyres.errors import OptionError

if TYPE_CHECKING:
    from anyres.cli.chat import Chat

__all__ = ["COMMANDS", "Command", "completions", "find_command", "is_command"]

_WHOLE = ("max_tokens", "top_k", "seed", "min_pixels", "nframes", "total_pixels", "resized_height", "resized_width")
_PARTS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
_SPANS = ("fps", "start", "end")
KNOBS = (*_PARTS, *_WHOLE, *_SPANS, "max_pixels", "stop")
_NAME = re.compile(r"/(?:[A-Za-z_-]{1,32}|\?)")
_OPTION_NAMES = frozenset(one.name for one in fields(GenerationOptions))


class Command(NamedTuple):
    """`run` gets the chat and what stands behind the name."""

    name: str
    takes: str
    does: str
    run: Callable[["Chat", str], None]
    words: Sequence[str] = ()


def is_command(line: str) -> bool:
    """Whether a line is a command and not a path: /home/me/a.png has a second slash.

    >>> is_command("/help me"), is_command("/home/me/a.png"), is_command("/ 2")
    (True, False, False)
    """
    name = line.partition(" ")[0]
    return _NAME.fullmatch(name) is not None and not Path(name).exists()


def find_command(line: str) -> tuple[Command, str]:
    """The command and its argument; OptionError for one that does not exist."""
    name, _, rest = line.partition(" ")
    for command in COMMANDS:
        if command.name in (name, _ALIASES.get(name)):
            return command, rest.strip()
    close = [one.name for one in COMMANDS if one.name.startswith(name)]
    if len(close) == 1:
        return find_command(f"{close[0]} {rest}")
    raise OptionError(name, "no such command", ", ".join(close) or "/help shows them")


def completions() -> dict[str, Sequence[str]]:
    """What may follow each command, for the terminal's completion."""
    return {command.name: command.words for command in COMMANDS}


def _help(chat: "Chat", rest: str) -> None:
    del chat, rest
    width = max(len(f"{one.name} {one.takes}") for one in COMMANDS)
    for one in COMMANDS:
        write_line(f"  {f'{one.name} {one.takes}':<{width}}  {one.does}")
    write_line("")
    write_line('  Enter sends, Alt-Enter or Ctrl-J begins a new line, """ opens and closes a block.')
    write_line("  Drop files on the window to attach them. Ctrl-C stops an answer, Ctrl-D ends the chat.")


def _image(chat: "Chat", rest: str) -> None:
    for source in _sources(rest, "/image"):
        chat.attach(attach_picture(source, chat.knobs))


def _video(chat: "Chat", rest: str) -> None:
    for source in _sources(rest, "/video"):
        chat.attach(attach_clip(source, chat.knobs))


def _drop(chat: "Chat", rest: str) -> None:
    _nothing("/drop", rest)
    chat.tell(f"dropped: {', '.join(one.name for one in chat.conversation.waiting) or 'nothing was attached'}")
    chat.conversation.waiting = []


def _clear(chat: "Chat", rest: str) -> None:
    _nothing("/clear", rest)
    chat.conversation = Conversation(chat.conversation.system)
    chat.tell("a new conversation")


def _undo(chat: "Chat", rest: str) -> None:
    _nothing("/undo", rest)
    chat.tell("forgot the last question" if chat.conversation.undo() else "nothing to undo")


def _regenerate(chat: "Chat", rest: str) -> None:
    _nothing("/regenerate", rest)
    chat.regenerate()


def _history(chat: "Chat", rest: str) -> None:
    _nothing("/history", rest)
    for turn in chat.conversation.messages:
        words = [part.text if isinstance(part, TextPart) else f"[{_name(part)}]" for part in turn.parts]
        write_line(f"{turn.role}: {' '.join(words)}")


def _model(chat: "Chat", rest: str) -> None:
    if rest:
        chat.change_model(rest)
    for name in chat.model_names():
        write_line(f"{'*' if name == chat.model.name else ' '} {name}")


def _system(chat: "Chat", rest: str) -> None:
    chat.conversation.system = rest or None
    chat.tell("the system message is set" if rest else "the usual system message")


def _set(chat: "Chat", rest: str) -> None:
    name, _, value = rest.partition(" ")
    if name:
        chat.options, chat.knobs = changed(chat.options, chat.knobs, name.replace("-", "_"), value.strip())
        return
    for knob in KNOBS:
        held = getattr(chat.options if knob in _OPTION_NAMES else chat.knobs, knob)
        if held not in (None, (), 0.0):
            write_line(f"  {knob} {' '.join(map(repr, held)) if isinstance(held, tuple) else held}")


def changed(
    options: GenerationOptions, knobs: MediaKnobs, name: str, text: str
) -> tuple[GenerationOptions, MediaKnobs]:
    """Both with one knob set, or as at first where `text` is empty. Those of pictures hold for what comes next."""
    if name not in KNOBS:
        raise OptionError("/set", repr(name), ", ".join(KNOBS))
    if name in _OPTION_NAMES:
        default = getattr(GenerationOptions(), name)
        return replace(options, **{name: _value(name, text) if text else default}), knobs
    return options, replace(knobs, **{name: _value(name, text) if text else None})


def _value(name: str, text: str) -> Any:
    if name == "stop":
        return tuple(_words("/set stop", text))
    if name == "max_pixels" and text == "checkpoint":
        return text
    try:
        return int(text) if name in (*_WHOLE, "max_pixels") else float(text)
    except ValueError:
        raise OptionError(f"/set {name}", repr(text), "a number") from None


def _find(chat: "Chat", rest: str) -> None:
    chat.find(rest)


def _preview(chat: "Chat", rest: str) -> None:
    chat.mode = choose_mode(rest or "auto", chat.environ)
    chat.tell(f"preview: {chat.mode}")


def _save(chat: "Chat", rest: str) -> None:
    path = _path(rest, "/save")
    save_chat(chat.conversation, path, model=chat.model.name)
    chat.tell(f"saved: {path}")


def _load(chat: "Chat", rest: str) -> None:
    chat.conversation = load_chat(_path(rest, "/load"))
    chat.tell(f"{len(chat.conversation.turns)} messages")


def _exit(chat: "Chat", rest: str) -> None:
    del rest
    chat.done = True


_ALIASES = {"/quit": "/exit", "/bye": "/exit", "/?": "/help", "/picture": "/image", "/clip": "/video"}
COMMANDS = (
    Command("/image", "FILE...", "attach pictures: paths or addresses", _image, ("PATH",)),
    Command("/video", "FILE...", "attach clips", _video, ("PATH",)),
    Command("/drop", "", "take back what is attached and not yet sent", _drop),
    Command("/find", "WHAT", "where something is in the last picture", _find),
    Command("/regenerate", "", "answer the last question again", _regenerate),
    Command("/undo", "", "forget the last question and its answer", _undo),
    Command("/clear", "", "begin a new conversation", _clear),
    Command("/history", "", "show the conversation", _history),
    Command("/system", "[TEXT]", "set the system message; without TEXT the usual one", _system),
    Command("/set", "[NAME [VALUE]]", "show or change sampling and sizes; without VALUE as at first", _set, KNOBS),
    Command("/model", "[NAME]", "show the models, or change to one", _model),
    Command("/preview", "[HOW]", "how pictures are shown: auto, kitty, iterm2, sixel, blocks, off", _preview, MODES),
    Command("/save", "FILE", "write the conversation, with its pictures, to a file", _save, ("PATH",)),
    Command("/load", "FILE", "go on with a saved conversation", _load, ("PATH",)),
    Command("/help", "", "show this", _help),
    Command("/exit", "", "end", _exit),
)


def _sources(rest: str, command: str) -> list[Path | str]:
    """Paths, however they are quoted, and addresses."""
    one = as_path(rest)
    if rest and one.is_file():  # a name with blanks in it that nobody quoted
        return [one]
    found = [
        word if "://" in word and not word.startswith("file:") else as_path(word) for word in _words(command, rest)
    ]
    if not found:
        raise OptionError(command, "no file", f"{command} photo.jpg")
    return found


def _path(rest: str, command: str) -> Path:
    if not rest:
        raise OptionError(command, "no file", f"{command} chat.json")
    return as_path(rest)


def _words(command: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise OptionError(command, "a quotation mark without its partner", "quoted or escaped blanks") from None


def _nothing(command: str, rest: str) -> None:
    if rest:
        raise OptionError(command, repr(rest), "nothing behind it")


def _name(part: object) -> str:
    source = getattr(part, "image", None) or getattr(part, "video", None)
    name = getattr(source, "name", None)
    return str(name) if name else type(part).__name__.removesuffix("Part").lower()
