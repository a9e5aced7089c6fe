"""Where a chat's lines come from: a terminal with history, completion and several lines, or a pipe."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History

__all__ = ["PipeReader", "Reader", "TerminalReader", "Typed", "held_keys", "history_file"]

BLOCK = '"""'
OFF = ("off", "0", "no", "false")
MOST_HISTORY_BYTES = 1 << 20


class Typed(NamedTuple):
    """What was typed; a block between quotation marks is text, whatever it holds."""

    text: str
    is_block: bool = False


class Reader(Protocol):
    """Gives what is said, one turn at a time. EOFError at the end, KeyboardInterrupt for a line that was given up."""

    @property
    def interactive(self) -> bool: ...

    def read(self, prompt: str) -> Typed: ...


class PipeReader:
    """Lines of a file or pipe; several of them between lines of three quotation marks."""

    interactive = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def read(self, prompt: str) -> Typed:
        del prompt
        line = self._line()
        if not line.startswith(BLOCK):
            return Typed(line)
        lines = [line.removeprefix(BLOCK)]
        with suppress(EOFError):  # a block that is not closed ends with the file
            while not lines[-1].rstrip().endswith(BLOCK):
                lines.append(self._line())
        return _block("\n".join(lines))

    def _line(self) -> str:
        line = self._stream.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")


class TerminalReader:
    """prompt_toolkit: Enter sends, Alt-Enter or Ctrl-J begins a new line, as pasted ones do; history on disk."""

    interactive = True

    def __init__(self, commands: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> None:
        """`commands` are the slash commands with the words that may follow, or ["PATH"]."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import ColorDepth

        plain = ColorDepth.DEPTH_1_BIT if environ.get("NO_COLOR") else None
        self._session: PromptSession[str] = PromptSession(
            history=_history(history_file(environ)),
            completer=_completer(commands),
            complete_while_typing=False,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation="  ",
            color_depth=plain,
        )

    def read(self, prompt: str) -> Typed:
        text = self._session.prompt(prompt)
        if text.startswith(BLOCK):  # as those write it who know it from elsewhere
            return _block(text.removeprefix(BLOCK))
        return Typed(text)


@contextmanager
def held_keys() -> Iterator[None]:
    """Keys typed while an answer comes wait for the next prompt, unseen; Ctrl-C stops the answer as always.

    A terminal that is left alone turns Enter into a line feed, which at the prompt means a new line, and writes the
    keys into the answer.
    """
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    held = termios.tcgetattr(file)
    held[0] &= ~termios.ICRNL
    held[3] &= ~(termios.ICANON | termios.ECHO)
    held[6][termios.VMIN], held[6][termios.VTIME] = 1, 0
    termios.tcsetattr(file, termios.TCSANOW, held)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSANOW, before)


def _block(text: str) -> Typed:
    return Typed(text.rstrip().removesuffix(BLOCK).strip("\n"), is_block=True)


def history_file(environ: Mapping[str, str]) -> Path | None:
    """Where typed lines are kept: ANYRES_HISTORY names a file, or says off; else the system's place for such things."""
    chosen = environ.get("ANYRES_HISTORY", "")
    if chosen.lower() in OFF:
        return None
    if chosen:
        return Path(chosen).expanduser()
    return _state_folder(environ) / "anyres" / "chat_history"


def _state_folder(environ: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def _history(path: Path | None) -> "History":
    """Readable by its owner alone. Where it cannot be written the history lasts as long as the chat."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        _shorten(path)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _shorten(path: Path) -> None:
    """Drops the older half of a long history, from the beginning of an entry."""
    if path.stat().st_size <= MOST_HISTORY_BYTES:
        return
    data = path.read_bytes()[-MOST_HISTORY_BYTES // 2 :]
    path.write_bytes(data[data.find(b"\n# ") + 1 :])


def _keys() -> Any:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text.startswith(BLOCK) and not buffer.text.rstrip().endswith(BLOCK, len(BLOCK)):
            buffer.newline()  # an opened block ends with three quotation marks
        else:
            buffer.validate_and_handle()

    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    keys.add("enter")(send)
    keys.add("escape", "enter")(new_line)
    keys.add("c-j")(new_line)
    return keys


def _completer(commands: Mapping[str, Sequence[str]]) -> Any:
    from prompt_toolkit.completion import Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class SlashCompleter(Completer):
        """Commands, and what may follow each."""

        def get_completions(self, document: "Document", complete_event: Any) -> "Iterable[Completion]":
            return found(document, complete_event)

    def found(document: "Document", event: Any) -> "Iterable[Completion]":
        text = document.text_before_cursor
        command, space, rest = text.partition(" ")
        if not text.startswith("/") or "\n" in text:
            return
        if not space:
            yield from (Completion(name, -len(text)) for name in commands if name.startswith(text))
        elif list(commands.get(command, ())) == ["PATH"]:
            word = rest.rpartition(" ")[2]
            yield from paths.get_completions(Document(str(word), len(word)), event)
        else:
            yield from (Completion(word, -len(rest)) for word in commands.get(command, ()) if word.startswith(rest))

    return SlashCompleter()
