"""One row of a data set: what it holds, asked for by column, with its name in every complaint."""

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.sample import LETTERS

__all__ = ["Row", "picture_cluster"]


@dataclass(frozen=True)
class Row:
    """A row of a file.

    `name` tells which one (`mme.tsv:12`, the line where it begins), `values` are by column, as the file has them, and
    relative paths start at `folder`. A row that could not be read holds why in `damage`: asking it for anything raises
    that, so that one broken row does not end the file. Methods that take several columns use the first one that is not
    empty; what is missing or of the wrong type raises DatasetError.
    """

    name: str
    values: Mapping[str, Any]
    folder: Path = Path()
    damage: str = ""

    def has(self, *columns: str) -> bool:
        """Whether one of these columns holds something.

        >>> Row("a.tsv:2", {"hint": "", "A": "red"}).has("hint")
        False
        """
        return not _is_empty(self.value(*columns))

    def value(self, *columns: str) -> Any:
        """As the file has it; None where no column holds anything."""
        if self.damage:
            raise DatasetError(self.name, self.damage, "a whole row")
        held = (self.values.get(column) for column in columns)
        return next((value for value in held if not _is_empty(value)), None)

    def text(self, *columns: str) -> str:
        """Text that must be there; numbers are written as text.

        >>> Row("a.parquet:2", {"index": 3.0}).text("index")
        '3'
        """
        found = self.optional(*columns)
        if not found.strip():
            raise self.wrong("nothing", "a text", columns=columns)
        return found

    def optional(self, *columns: str) -> str:
        """Text, or "" where there is none."""
        value = self.value(*columns)
        if value is None:
            return ""
        if isinstance(value, (str, int)):
            return str(value)
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() else repr(value)
        raise self.wrong(_shown(value), "a text", columns=columns)

    def whole(self, *columns: str) -> int:
        """A whole number."""
        number = self.number(*columns)
        if not number.is_integer():
            raise self.wrong(_shown(number), "a whole number", columns=columns)
        return int(number)

    def number(self, *columns: str) -> float:
        """A finite number."""
        text = self.text(*columns)
        try:
            number = float(text)
        except ValueError:
            raise self.wrong(_shown(text), "a number", columns=columns) from None
        if number - number != 0:  # nan, inf
            raise self.wrong(text, "a finite number", columns=columns)
        return number

    def texts(self, *columns: str) -> tuple[str, ...]:
        """Several texts: a list, the text of a list, or one text; none where there is nothing.

        >>> Row("a.tsv:2", {"answers": "['4', 'four']"}).texts("answers")
        ('4', 'four')
        >>> Row("a.tsv:2", {"answers": "[sic"}).texts("answers")
        ('[sic',)
        """
        return tuple(Row(self.name, {"": item}).optional("") for item in self.items(*columns))

    def items(self, *columns: str) -> tuple[Any, ...]:
        """What a list, the text of a list, or a single value holds."""
        value = self.value(*columns)
        if isinstance(value, str):
            listed = list_in(value)
            return (value,) if listed is None else tuple(listed)
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return tuple(value)
        return () if value is None else (value,)

    def options(self) -> tuple[str, ...]:
        """Columns A, B, ... up to the first that is empty; DatasetError where one after it is not.

        >>> Row("a.tsv:2", {"A": "red", "B": "blue", "C": ""}).options()
        ('red', 'blue')
        """
        held = [self.optional(letter) for letter in LETTERS]
        count = next((place for place, text in enumerate(held) if not text), len(held))
        if late := [LETTERS[place] for place in range(count, len(held)) if held[place]]:
            raise DatasetError(self.name, f"option {late[0]} without option {LETTERS[count]}", "options without a gap")
        return tuple(held[:count])

    def letter(self, *columns: str, options: Sequence[str]) -> str:
        """The gold letter of a choice; "" where the row has none, DatasetError where it is none of the options."""
        text = self.optional(*columns).strip().upper()
        allowed = LETTERS[: len(options)]
        if text and (len(text) != 1 or text not in allowed):
            raise self.wrong(_shown(text), f"one of {allowed}", columns=columns)
        return text

    def pictures(self, *columns: str) -> tuple[ImagePart, ...]:
        """Pictures that are not opened yet: bytes, addresses or files."""
        return tuple(ImagePart(self._source(item, columns)) for item in self.items(*columns))

    def needed_pictures(self, *columns: str) -> tuple[ImagePart, ...]:
        """Pictures, of which there must be one at least."""
        found = self.pictures(*columns)
        if not found:
            raise self.wrong("nothing", "a picture", columns=columns)
        return found

    def clip(self, *columns: str) -> VideoPart:
        """A clip that is not opened yet."""
        return VideoPart(self._source(self.value(*columns), columns))

    def wrong(self, seen: str, allowed: str, *, columns: Sequence[str]) -> DatasetError:
        """The complaint about a column of this row, to be raised."""
        return DatasetError(f"{self.name}: {' or '.join(columns)}", seen, allowed)

    def _source(self, item: Any, columns: Sequence[str]) -> bytes | str | Path:
        """Of bytes, a path or address, or parquet's object of both."""
        if isinstance(item, Mapping):
            item = item.get("bytes") or item.get("path")
        if isinstance(item, bytes) and item:
            return item
        if not isinstance(item, str) or not item.strip():
            raise self.wrong(_shown(item), "a picture or clip: a path, an address or bytes", columns=columns)
        return item if item.startswith("data:") or "://" in item else self.folder / item


def list_in(text: str) -> list[Any] | None:
    """The list that a text spells in JSON or Python, None for any other text.

    >>> list_in('["a", "b"]'), list_in("[a, b]")
    (['a', 'b'], None)
    """
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def picture_cluster(media: Sequence[ImagePart | VideoPart]) -> str:
    """What samples of the same first picture or clip have in common; "" without one.

    >>> picture_cluster([ImagePart(b"abc")]) == picture_cluster([ImagePart(b"abc"), ImagePart(b"d")]) != ""
    True
    """
    if not media:
        return ""
    first = media[0]
    source = first.image if isinstance(first, ImagePart) else first.video
    return hashlib.sha256(source).hexdigest()[:16] if isinstance(source, bytes) else str(source)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
