"""Paths of pictures and clips in what was typed: terminals write them there when a file is dropped on the window."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from anyres.processing.sniff import PICTURES, VIDEOS, sniff

__all__ = ["Dropped", "as_path", "dropped_files", "media_kind"]

Kind = Literal["image", "video"]
_HEAD = 4096  # bytes that tell the format

# A shell's word, as GNOME's terminal quotes and macOS's escapes it; an address, as Konsole's; or a Windows path.
_TOKEN = re.compile(r"""(?<!\S)(?=['"/~.]|(?i:file)://|[A-Za-z]:\\)(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+(?!\S)""")
_DRIVE = re.compile(r'"?([A-Za-z]:[\\/][^"]*)"?')


class Dropped(NamedTuple):
    """A file that stands in a line, and what it is by its bytes."""

    path: Path
    kind: Kind


def dropped_files(line: str) -> tuple[str, list[Dropped]]:
    """The line without them, and the files.

    Only what can be nothing else is taken: quoted, absolute, or beginning with ~/, ./ or ../, there, and a picture or
    clip by its bytes. All other text stays as it is.
    """
    found: list[Dropped] = []
    kept, at = [], 0
    for match, dropped in _files(line):
        kept.append(line[at : match.start()])
        at = match.end()
        found.append(dropped)
    if not found:
        return line, []
    return re.sub(r"[ \t]{2,}", " ", "".join([*kept, line[at:]])).strip(), found


def as_path(text: str) -> Path:
    r"""The path that a quoted, escaped or file:// form means.

    >>> as_path(r"/my\ pictures/a.png"), as_path("'/it'\\''s.png'"), as_path("file:///a%20b.png")
    (PosixPath('/my pictures/a.png'), PosixPath("/it's.png"), PosixPath('/a b.png'))
    """
    text = text.strip()
    drive = _DRIVE.fullmatch(text)
    if drive is not None:
        return Path(drive[1])
    if text.lower().startswith("file://"):
        parts = urlsplit(text)
        return Path(unquote(parts.path) if parts.netloc in ("", "localhost") else text)
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark alone
        words = []
    return Path(words[0] if len(words) == 1 else text).expanduser()


def media_kind(path: Path) -> Kind | None:
    """What a file is; None for other files and for what is no file."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            key = sniff(file.read(_HEAD)).key
    except (OSError, ValueError, RuntimeError):  # no permission, a name too long, a zero byte, no such user
        return None
    return "video" if key in VIDEOS else "image" if key in PICTURES else None


def _files(line: str) -> Iterator[tuple[re.Match[str], Dropped]]:
    for match in _TOKEN.finditer(line):
        try:
            path = as_path(match[0])
        except (ValueError, RuntimeError):
            continue
        kind = media_kind(path) if path.is_absolute() or "/" in match[0] else None
        if kind is not None:
            yield match, Dropped(path, kind)
