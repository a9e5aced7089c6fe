"""The designs that are packed, and the packages they come from: the tables in sources/."""

from pathlib import Path
from typing import NamedTuple

from recipes.tiny.packages import Package

__all__ = ["Design", "designs", "packages", "table"]

FOLDER = Path(__file__).parent / "sources"


class Design(NamedTuple):
    """One typeface under whatever names."""

    name: str
    scripts: tuple[str, ...]
    split: str
    plain: bool
    """Ordinary enough for the easiest samples; its slanted faces never are."""
    files: tuple[str, ...]
    """`package:file pattern`, and `#n` behind it for the n-th face of a collection."""


def table(name: str) -> list[list[str]]:
    """The rows of a table in sources/, without its head."""
    return [line.split("\t") for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()[1:]]


def designs() -> list[Design]:
    """All designs; clones and metric twins are one."""
    return [
        Design(name, tuple(scripts.split(",")), split, plain == "1", tuple(files.split("; ")))
        for name, scripts, split, plain, files in table("designs.tsv")
    ]


def packages(name: str) -> list[Package]:
    """The pinned packages of a table."""
    return [Package(*row) for row in table(name)]
