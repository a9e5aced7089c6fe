"""VLMEvalKit's TSV: pictures in base64, each written once, and rows that name the row whose picture they use.

Tab-separated with a heading, quoted where a cell holds tabs, line breaks or quotation marks. `image` is base64, the
`index` of another row, a list of these, or the name of a file; without it `image_path` names files.
"""

import base64
import binascii
import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyres.errors import DatasetError
from anyres.evaluation.data.rows import Row, list_in

__all__ = ["read_tsv"]

INDEX, IMAGE = "index", "image"
LONGEST_REFERENCE = 64  # characters, VLMEvalKit's rule
LONGEST_CELL = 2**30  # characters


def read_tsv(path: Path) -> Iterator[Row]:
    """The rows of a TSV (CSV where the name says so), their `image` a list of bytes or file names.

    A row with too many or too few cells, or a picture that is no base64, comes as a damaged row. DatasetError where the
    file as a whole cannot be read. Files are read twice where rows name the pictures of others.
    """
    wanted = {one for _, row in _cells(path) for one in _references(row)}
    pictures: dict[str, str] = {}
    if wanted:
        pictures = {row[INDEX]: row[IMAGE] for _, row in _cells(path) if row.get(INDEX) in wanted and IMAGE in row}
    for name, cells in _cells(path):
        yield _row(name, cells, pictures, folder=path.parent)


def _row(name: str, cells: dict[str, str], pictures: Mapping[str, str], *, folder: Path) -> Row:
    if None in cells or None in cells.values():
        return Row(name, {}, folder, "another number of cells than the heading has")
    if not cells.get(IMAGE):
        return Row(name, cells, folder)
    try:
        found = [_picture(item, pictures, folder) for item in _items(cells[IMAGE])]
    except (ValueError, binascii.Error) as error:
        return Row(name, cells, folder, f"image: {error}")
    return Row(name, {**cells, IMAGE: found}, folder)


def _picture(text: str, pictures: Mapping[str, str], folder: Path) -> bytes | str:
    """Follows references; one that names a row without a picture of its own would never end."""
    if len(text) <= LONGEST_REFERENCE and text in pictures:
        target = _items(pictures[text])
        if len(target) != 1 or len(target[0]) <= LONGEST_REFERENCE:
            raise ValueError(f"{text} is the index of a row without one picture")
        text = target[0]
    if len(text) <= LONGEST_REFERENCE:
        if not (folder / text).is_file():
            raise ValueError(f"{text!r} is neither the index of a row nor a file")
        return text
    return base64.b64decode(text, validate=True)


def _items(cell: str) -> list[str]:
    listed = list_in(cell)
    return [cell] if listed is None else [str(item) for item in listed]


def _references(cells: Mapping[str, Any]) -> Iterable[str]:
    image = cells.get(IMAGE) or ""
    if len(image) > LONGEST_REFERENCE and not image.startswith("["):
        return ()
    return (item for item in _items(image) if 0 < len(item) <= LONGEST_REFERENCE)


def _cells(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and cells by heading of each row."""
    csv.field_size_limit(LONGEST_CELL)  # of the whole process; readers elsewhere lose nothing by a higher one
    with _told(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="," if path.suffix.lower() == ".csv" else "\t")
        if not reader.fieldnames or len(set(reader.fieldnames)) < len(reader.fieldnames):
            raise DatasetError(str(path), f"the heading {reader.fieldnames}", "names of columns, each once")
        begin = reader.line_num + 1
        for cells in reader:
            yield f"{path.name}:{begin}", cells
            begin = reader.line_num + 1


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(str(path), f"cannot be read ({error.strerror})", "a file that can be read") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(str(path), f"not a table ({error})", "tab-separated text in UTF-8 with a heading") from None
