"""`anyres models`: the checkpoints on this machine."""

from typing import TYPE_CHECKING

from anyres.cli.options import Json
from anyres.cli.terminal import cell, write_json, write_table

if TYPE_CHECKING:
    from rich.table import Table

    from anyres.model.hub import LocalModel

__all__ = ["models"]


def models(as_json: Json = False) -> None:
    """Lists the checkpoints on this machine: the embedded one, and those that were pulled.

    The first column is what --model takes.

    Examples:

        anyres models

        anyres models --json
    """
    from anyres.model.hub import list_models

    found = list_models()
    if as_json:
        write_json([one._asdict() | {"path": str(one.path)} for one in found])
    else:
        write_table(_table(found))


def _table(found: "list[LocalModel]") -> "Table":
    from rich.table import Table

    table = Table("name", "parameters", "size", "path", box=None, pad_edge=False)
    for one in found:
        parameters = "damaged" if one.parameters is None else f"{one.parameters / 1e6:,.1f} M"
        table.add_row(cell(one.name), parameters, f"{one.bytes / 1e6:,.1f} MB", cell(str(one.path)))
    return table
