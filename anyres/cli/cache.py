"""`anyres cache`: what is kept on disk to save time, and how much of it there may be."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyres.cli.options import Json
from anyres.cli.terminal import cell, write_json, write_line, write_table
from anyres.errors import OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from anyres.disk_cache import DiskCache

__all__ = ["cache"]

WORDS = {
    "vision": "visual tokens of pictures and clips",
    "frames": "decoded frames of clips",
    "prefix": "keys and values of pinned documents",
    "speed": "how fast models run here",
}


def cache(
    limit: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Keep at most so much from now on, as 4GB or 500MB.")
    ] = None,
    unpin: Annotated[str | None, typer.Option(metavar="ID", help="Delete a pinned document; or: all.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all that is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Shows what anyres keeps on disk so that it need not be computed twice, and bounds or deletes it.

    It is kept in ANYRES_CACHE where that names a folder, else where this system keeps caches; ANYRES_CACHE=off keeps
    nothing. What is damaged is never used, and the longest unused goes first; documents that were pinned (anyres pin)
    give way only to others that are.

    Examples:

        anyres cache

        anyres cache --limit 2GB

        anyres cache --unpin 3f2a9c

        anyres cache --clear
    """
    from anyres.disk_cache import open_cache

    opened = open_cache(otherwise=True)
    if limit is not None:
        _bound(opened, limit)
    freed = opened.clear() if opened is not None and clear else None
    if unpin is not None:
        freed = (freed or 0) + _unpin(opened, unpin)
    found = _as_dict(opened) | ({} if freed is None else {"freed_bytes": freed})
    if as_json:
        write_json(found)
        return
    if opened is None:
        write_line("off (ANYRES_CACHE)")
        return
    if found["kinds"]:
        write_table(_table(found))
    if found["pins"]:
        write_table(_pin_table(found["pins"]))
    write_line(f"{found['folder']}: {_size(found['bytes'])} of at most {_size(found['limit_bytes'])}")
    if freed is not None:
        write_line(f"deleted: {_size(freed)}")


def _bound(opened: "DiskCache | None", limit: str) -> None:
    from anyres.engine.memory import parse_memory

    if opened is None:
        raise OptionError("--limit", "given, but ANYRES_CACHE is off", "with a cache")
    try:
        opened.set_limit(parse_memory(limit))
    except OptionError as error:
        raise OptionError("--limit", error.seen, error.allowed) from None


def _unpin(opened: "DiskCache | None", wanted: str) -> int:
    """By the first digits of an id; returns the bytes that are free now."""
    from anyres.engine.pin_file import KIND, pinned_in

    if opened is not None and wanted == "all":
        return opened.clear(KIND)
    pins = [] if opened is None else pinned_in(opened)
    found = [pin for pin in pins if wanted and pin.id.startswith(wanted)]
    if opened is None or len(found) != 1:
        raise OptionError("--unpin", repr(wanted), ", ".join([*(pin.id for pin in pins), "all"]))
    freed = [entry for entry in opened.entries() if entry.path.name.startswith(found[0].id)]
    return sum(entry.bytes for entry in freed if opened.remove(entry.path.name))


def _as_dict(opened: "DiskCache | None") -> dict[str, Any]:
    from anyres.engine.pin_file import pinned_in

    if opened is None:
        return {"folder": None, "bytes": 0, "limit_bytes": 0, "kinds": {}, "pins": []}
    kinds: dict[str, dict[str, int]] = {}
    for entry in opened.entries():
        kind = kinds.setdefault(entry.kind, {"entries": 0, "bytes": 0})
        kind["entries"] += 1
        kind["bytes"] += entry.bytes
    total = sum(kind["bytes"] for kind in kinds.values())
    return {
        "folder": str(opened.folder),
        "bytes": total,
        "limit_bytes": opened.max_bytes,
        "kinds": kinds,
        "pins": [asdict(pin) for pin in pinned_in(opened)],
    }


def _table(found: dict[str, Any]) -> "Table":
    from rich.table import Table

    table = Table("kept", "entries", "size", box=None, pad_edge=False)
    for kind, counts in sorted(found["kinds"].items()):
        table.add_row(cell(WORDS.get(kind, kind)), f"{counts['entries']:,}", _size(counts["bytes"]))
    return table


def _pin_table(pins: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table("pin", "document", "model", "tokens", "size", box=None, pad_edge=False)
    for pin in pins:
        names = (cell(pin[name]) for name in ("id", "title", "model"))
        table.add_row(*names, f"{pin['tokens']:,}", _size(pin["bytes"]))
    return table


def _size(count: int) -> str:
    """
    >>> _size(0), _size(29_410_176), _size(9_800_000_000)
    ('0.0 MB', '29.4 MB', '9.8 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
