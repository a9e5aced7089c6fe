"""The header of a GGUF file, llama.cpp's container: its values, and where each tensor lies.

Nothing in the file is believed: every count, length and offset is held against the bytes that are really there before
anything is set aside for it. Layout: docs/gguf.md of ggml, versions 2 and 3, little endian.
"""

import mmap
import struct
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyres.errors import CheckpointError

__all__ = ["BLOCKS", "GGUF", "Block", "TensorInfo", "Value", "is_gguf", "read_gguf"]

Value = int | float | bool | str | list["Value"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER_BYTES = 1 << 26  # vocabularies and merges of 150,000 entries take 5 MB
MAX_ITEMS = 1 << 22  # values of one array
MAX_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32
STRING, ARRAY, BOOL = 8, 9, 7
NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", BOOL: "<B", 10: "<Q", 11: "<q", 12: "<d"}
LEAST_VALUE_BYTES = 8 + 4 + 1  # a key's length, a type, a byte
LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8  # a name's length, dimensions, one of them, a type, an offset


class Block(NamedTuple):
    """How a type stores a run of values."""

    name: str
    values: int
    bytes: int


BLOCKS = {  # by ggml's number of the type
    0: Block("F32", 1, 4),
    1: Block("F16", 1, 2),
    2: Block("Q4_0", 32, 18),
    8: Block("Q8_0", 32, 34),
    12: Block("Q4_K", 256, 144),
    14: Block("Q6_K", 256, 210),
    30: Block("BF16", 1, 2),
}


class TensorInfo(NamedTuple):
    """`shape` as torch has it, the width last; `start` counts from the file's first byte."""

    name: str
    shape: tuple[int, ...]
    block: Block
    start: int

    @property
    def bytes(self) -> int:
        return prod(self.shape) // self.block.values * self.block.bytes


@dataclass(frozen=True)
class GGUF:
    """A file's values and tensors."""

    path: Path
    values: dict[str, Value]
    tensors: dict[str, TensorInfo]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The tensor's bytes [bytes], mapped from the file."""
        info = self.tensors[name]
        return np.memmap(self.path, np.uint8, "c", offset=info.start, shape=(info.bytes,))


def is_gguf(path: Path) -> bool:
    """Whether the file starts as one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_gguf(path: Path) -> GGUF:
    """The header; CheckpointError names what in it cannot be."""
    size = path.stat().st_size if path.is_file() else 0
    if size < len(MAGIC):
        raise CheckpointError(str(path), f"{size} bytes" if path.is_file() else "no such file", "a GGUF file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _read(path, _Cursor(content, str(path)))


class _Cursor:
    """Reads on through the header, never past its end."""

    def __init__(self, content: mmap.mmap, item: str) -> None:
        self.item = item
        self.size = len(content)
        self.end = min(self.size, MAX_HEADER_BYTES)
        self.place = 0
        self._content = content

    def left(self) -> int:
        return self.end - self.place

    def take(self, count: int, what: str) -> bytes:
        if count > self.left():
            raise CheckpointError(self.item, f"{what} of {count} bytes at byte {self.place}", self._room())
        self.place += count
        return self._content[self.place - count : self.place]

    def number(self, form: str, what: str) -> int | float:
        value: int | float = struct.unpack(form, self.take(struct.calcsize(form), what))[0]
        return value

    def count(self, what: str, *, least_bytes: int, most: int = MAX_ITEMS) -> int:
        """How many of something follow, each of which takes at least so many bytes."""
        value = int(self.number("<Q", what))
        if value > most or value * least_bytes > self.left():
            raise CheckpointError(self.item, f"{value} {what}", f"at most {most}, within the file's {self.size} bytes")
        return value

    def text(self, what: str) -> str:
        length = int(self.number("<Q", f"length of {what}"))
        return self.take(length, what).decode("utf-8", "replace")

    def _room(self) -> str:
        return f"within {self.end} bytes of header" if self.end < self.size else f"within the file's {self.size} bytes"


def _read(path: Path, cursor: _Cursor) -> GGUF:
    _check_start(cursor)
    tensor_count = cursor.count("tensors", least_bytes=LEAST_TENSOR_BYTES)
    value_count = cursor.count("values", least_bytes=LEAST_VALUE_BYTES)
    values: dict[str, Value] = {}
    for _ in range(value_count):
        key = cursor.text("a key")
        if key in values:
            raise CheckpointError(cursor.item, f"two values named {key[:80]!r}", "one")
        values[key] = _value(cursor, int(cursor.number("<I", f"type of {key[:80]}")), key[:80])
    rows = [_tensor_row(cursor) for _ in range(tensor_count)]
    return GGUF(path, values, _placed(cursor, rows, _alignment(cursor, values)))


def _check_start(cursor: _Cursor) -> None:
    magic = cursor.take(len(MAGIC), "the mark")
    if magic != MAGIC:
        raise CheckpointError(cursor.item, f"starts with {magic!r}", "GGUF")
    version = cursor.number("<I", "the version")
    if version not in VERSIONS:
        raise CheckpointError(cursor.item, f"GGUF version {version}", "2 or 3, little endian")


def _value(cursor: _Cursor, kind: int, key: str) -> Value:
    if kind == STRING:
        return cursor.text(key)
    if kind == ARRAY:
        return _array(cursor, key)
    if kind not in NUMBERS:
        raise CheckpointError(f"{cursor.item}: {key}", f"type {kind}", "one of GGUF's 13 types")
    number = cursor.number(NUMBERS[kind], key)
    return bool(number) if kind == BOOL else number


def _array(cursor: _Cursor, key: str) -> list[Value]:
    """Flat: arrays of arrays are in no model's file."""
    kind = int(cursor.number("<I", f"type of {key}"))
    if kind == STRING:
        return [cursor.text(key) for _ in range(cursor.count(f"strings in {key}", least_bytes=8))]
    if kind not in NUMBERS:
        raise CheckpointError(f"{cursor.item}: {key}", f"an array of type {kind}", "an array of numbers or strings")
    size = struct.calcsize(NUMBERS[kind])
    count = cursor.count(f"values in {key}", least_bytes=size)
    return list(struct.unpack(f"<{count}{NUMBERS[kind][1]}", cursor.take(size * count, key)))


def _alignment(cursor: _Cursor, values: dict[str, Value]) -> int:
    alignment = values.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 8 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise CheckpointError(f"{cursor.item}: general.alignment", repr(alignment)[:80], "a power of two from 8 on")
    return alignment


def _tensor_row(cursor: _Cursor) -> TensorInfo:
    """`start` still counts from the first tensor."""
    name = cursor.text("a tensor's name")
    item = f"{cursor.item}: {name[:80]}"
    dimensions = int(cursor.number("<I", f"dimensions of {name[:80]}"))
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise CheckpointError(item, f"{dimensions} dimensions", f"1 to {MAX_DIMENSIONS}")
    shape = tuple(int(cursor.number("<Q", f"shape of {name[:80]}")) for _ in range(dimensions))[::-1]
    kind = int(cursor.number("<I", f"type of {name[:80]}"))
    if kind not in BLOCKS:
        raise CheckpointError(item, f"ggml type {kind}", ", ".join(block.name for block in BLOCKS.values()))
    info = TensorInfo(name, shape, BLOCKS[kind], int(cursor.number("<Q", f"offset of {name[:80]}")))
    if min(shape) < 1 or shape[-1] % info.block.values:
        allowed = f"sizes above 0, the last a multiple of {info.block.values}"
        raise CheckpointError(item, f"{info.block.name} {list(shape)}", allowed)
    return info


def _placed(cursor: _Cursor, rows: list[TensorInfo], alignment: int) -> dict[str, TensorInfo]:
    """Offsets from the file's start; each tensor inside the file, and no two in the same place."""
    first = -(-cursor.place // alignment) * alignment
    placed: dict[str, TensorInfo] = {}
    for row in rows:
        info = row._replace(start=first + row.start)
        item = f"{cursor.item}: {info.name[:80]}"
        if info.name in placed:
            raise CheckpointError(item, "two tensors of that name", "one")
        if row.start % alignment or info.start + info.bytes > cursor.size:
            seen = f"{info.bytes} bytes from byte {info.start} on"
            raise CheckpointError(item, seen, f"a multiple of {alignment} within the file's {cursor.size} bytes")
        placed[info.name] = info
    ordered = sorted(placed.values(), key=lambda info: info.start)
    for before, after in pairwise(ordered):
        if before.start + before.bytes > after.start:
            raise CheckpointError(
                f"{cursor.item}: {after.name[:80]}", f"overlaps {before.name[:80]}", "bytes of its own"
            )
    return placed
