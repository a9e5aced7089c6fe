"""What the commands print: answers and tables on stdout, everything said about them on stderr.

Text of models and names of files may hold escape sequences that move the cursor or rewrite lines. They are printed as
`\\x1b`, never sent to the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status
    from rich.text import Text

__all__ = [
    "cell",
    "complain",
    "console",
    "drop_stdout",
    "escape",
    "note",
    "status",
    "write",
    "write_json",
    "write_line",
    "write_table",
]

# C0 and C1 control characters but tab and line feed, half surrogate pairs, and marks that reverse the reading order.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
PIPE_COLUMNS = 160  # width of a table that no terminal bounds


def escape(text: str) -> str:
    """Text that a terminal shows and does not obey; tabs and line ends stay.

    >>> escape("a\\x1b[2Jb\\r\\n")
    'a\\\\x1b[2Jb\\\\r\\n'
    """
    return _UNSAFE.sub(_spelled, text)


def write(text: str) -> None:
    """Text to stdout at once; characters that its encoding lacks are spelled out."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(escape(text).encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def write_line(text: str) -> None:
    """A line to stdout."""
    write(f"{text}\n")


def write_json(value: Any) -> None:
    """One JSON value on one line of stdout; what a terminal would obey is in JSON's own \\u notation."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    write_line(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def write_table(table: "RenderableType") -> None:
    """A Rich table to stdout: coloured on a terminal, plain in a pipe. Its cells are made by `cell`."""
    screen = console(sys.stdout)
    with screen.capture() as captured:
        screen.print(table)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(captured.get().encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def cell(text: str) -> "Text":
    """A cell of a table: no markup and nothing that a terminal obeys."""
    from rich.text import Text

    return Text(escape(text))


def note(text: str) -> None:
    """A line to stderr, whatever the text holds: its line ends are escaped too."""
    line = escape(text).replace("\n", "\\n")
    sys.stderr.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
    sys.stderr.flush()


def complain(text: str) -> None:
    """The one line that tells what was wrong."""
    note(f"anyres: {text}")


def console(stream: Any = None) -> "Console":
    """A Rich console; NO_COLOR, pipes and dumb terminals get plain text."""
    from rich.console import Console

    stream = stream or sys.stderr
    plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS
    return Console(file=stream, highlight=False, color_system=None if plain else "auto", width=width)


@contextmanager
def status(text: str, *, quiet: bool = False) -> Iterator["Status | None"]:
    """A line on stderr that moves while something takes its time; None where nobody watches."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with console().status(escape(text)) as shown:
        yield shown


def drop_stdout() -> None:
    """After the reader has gone: what is still buffered goes nowhere instead of failing at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _spelled(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
