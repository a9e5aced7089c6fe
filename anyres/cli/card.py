"""`anyres card`: what a checkpoint was measured to do, as it says of itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyres.cli.options import Json
from anyres.cli.terminal import cell, write_json, write_line, write_table
from anyres.errors import CheckpointError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["card"]

CARD, CARD_TEXT = "card.json", "CARD.md"
WORDS = {"name": "what", "task": "what"}
"""Headings of columns whose key says less."""
SHARES = ("figure", "target", "blind", "commonest", "low", "high")
"""Keys of a row whose values are shares, 0 to 1; those of "readers" are, too."""


def card(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", show_default=False, help="tiny, a folder, or a pulled org/name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prints the card of a checkpoint: what it was measured to do on content it never saw, and what it cannot do.

    The card is card.json and CARD.md in the folder of the checkpoint, written when it was measured.

    Examples:

        anyres card

        anyres card runs/v1/step-00010000

        anyres card --json
    """
    from anyres.model.hub import resolve

    folder = resolve(model)
    if as_json:
        write_json(read_card(folder))
    elif (folder / CARD).is_file():
        found = read_card(folder)
        write_table(_table(found["rows"]))
        if notes := str(found.get("notes", "")).strip():
            write_line(f"\n{notes}")
    else:
        write_line(read_text(folder).rstrip("\n"))


def read_card(folder: Path) -> dict[str, Any]:
    """The object in card.json: `rows` is a list of objects. CheckpointError where it is none."""
    path = folder / CARD
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(str(folder), "no card", f"a folder with {CARD} or {CARD_TEXT}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(str(path), f"not readable ({error})", "JSON") from None
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row for row in rows):
        raise CheckpointError(str(path), "no list of rows", "an object with `rows`, each an object")
    return dict(found)


def read_text(folder: Path) -> str:
    """CARD.md, for checkpoints that have only that."""
    path = folder / CARD_TEXT
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(str(folder), "no card", f"a folder with {CARD} or {CARD_TEXT}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(str(path), f"not readable ({error})", "text in UTF-8") from None


def _table(rows: list[dict[str, Any]]) -> "Table":
    """A column for every key that some row has a value for."""
    from rich.table import Table

    flat = [_flat(row) for row in rows]
    keys = [key for key in dict.fromkeys(key for row in flat for key in row) if any(row.get(key) for row in flat)]
    table = Table(box=None, pad_edge=False)
    for place, key in enumerate(keys):
        table.add_column(cell(WORDS.get(key, key)), justify="left" if place == 0 else "right")
    for row in flat:
        table.add_row(*(cell(row.get(key) or "-") for key in keys))
    return table


def _flat(row: dict[str, Any]) -> dict[str, str]:
    """The cells of a row by their heading; other readers have one each.

    >>> _flat({"task": "line", "figure": 0.971, "samples": 60, "readers": {"tesseract": 0.5}, "target": None})
    {'task': 'line', 'figure': '97.1 %', 'samples': '60', 'target': '', 'tesseract': '50.0 %'}
    """
    readers = row.get("readers")
    named = readers if isinstance(readers, dict) else {}
    plain = {key: _shown(value, share=key in SHARES) for key, value in row.items() if key != "readers"}
    return plain | {str(name): _shown(value, share=True) for name, value in named.items()}


def _shown(value: Any, *, share: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | float):
        return f"{100 * value:.1f} %" if share else f"{value:g}"
    return json.dumps(value, ensure_ascii=False)
