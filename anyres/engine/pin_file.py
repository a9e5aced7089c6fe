"""How a pinned document lies on disk: one value of the disk cache, read in pieces that are each checked.

    length of the head | SHA-256 of the head | head (JSON) | chunks

The head names the blocks, in their order, and has the length and SHA-256 of every chunk; a chunk holds the keys and
values of some blocks in all layers. So a part of a document can be read, and nothing is used that was not checked.
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from anyres.disk_cache import DiskCache

__all__ = ["KIND", "Pin", "PinFile", "PinHead", "pinned_in", "pinned_value"]

KIND, FORMAT = "prefix", 1  # FORMAT changes when the head, or what is in a chunk, does
ID_DIGITS = 12

_START = struct.Struct("<Q32s")


@dataclass(frozen=True)
class Pin:
    """A document on disk, as it is shown. `tokens` of its prompt need not be computed; `id` names it to `unpin`."""

    id: str
    title: str
    model: str
    tokens: int
    bytes: int


class PinHead(NamedTuple):
    """What a document is, the names of its full blocks of `block_size` tokens, and how many blocks a chunk holds.

    `ends` names its first so many tokens, for all places near its end where something else may follow.
    """

    title: str
    model: str
    block_size: int
    chunk_blocks: int
    tokens: int
    names: tuple[bytes, ...]
    ends: dict[int, bytes]


@dataclass(frozen=True)
class PinFile:
    """A file of the cache folder whose head is whole. `chunks` are (where it begins, bytes, SHA-256)."""

    name: str
    head: PinHead
    chunks: tuple[tuple[int, int, bytes], ...]

    @property
    def pin(self) -> Pin:
        start, count, _ = self.chunks[-1]
        return Pin(self.name[:ID_DIGITS], self.head.title, self.head.model, self.head.tokens, start + count)

    def chunk(self, disk: DiskCache, number: int) -> bytearray | None:
        """None where it is damaged; the file is deleted then."""
        start, count, digest = self.chunks[number]
        data = disk.read(self.name, start, count)
        if data is not None and hashlib.sha256(data).digest() == digest:
            return data
        disk.remove(self.name)
        return None

    def is_whole(self, disk: DiskCache) -> bool:
        """Reads and checks all of it."""
        return all(self.chunk(disk, number) is not None for number in range(len(self.chunks)))

    @staticmethod
    def open(disk: DiskCache, name: str) -> "PinFile | None":
        """None for one of another format, and for a damaged one, which is deleted."""
        data = _head_in(disk, name)
        if data is None:
            disk.remove(name)
            return None
        words = json.loads(data)
        if words["format"] != FORMAT:
            return None
        names = tuple(map(bytes.fromhex, words["names"]))
        ends = {int(tokens): bytes.fromhex(name) for tokens, name in words["ends"].items()}
        head = PinHead(**{name: words[name] for name in PinHead._fields} | {"names": names, "ends": ends})
        starts = list(accumulate((count for count, _ in words["chunks"]), initial=_START.size + len(data)))
        chunks = ((start, count, digest) for start, (count, digest) in zip(starts, words["chunks"], strict=False))
        return PinFile(name, head, tuple((start, count, bytes.fromhex(digest)) for start, count, digest in chunks))


def pinned_value(head: PinHead, chunks: Sequence[Sequence[memoryview]]) -> list[memoryview]:
    """The pieces of a value, to be written one after the other. Chunks are in pieces themselves."""
    described = [(sum(piece.nbytes for piece in chunk), _digest(chunk)) for chunk in chunks]
    names = {"names": [one.hex() for one in head.names], "ends": {at: one.hex() for at, one in head.ends.items()}}
    data = json.dumps({"format": FORMAT} | head._asdict() | names | {"chunks": described}).encode()
    start = _START.pack(len(data), hashlib.sha256(data).digest())
    return [memoryview(start + data), *(piece for chunk in chunks for piece in chunk)]


def pinned_in(disk: DiskCache) -> list[Pin]:
    """All that can be read, the longest unused first."""
    names = [entry.path.name for entry in disk.entries() if entry.kind == KIND]
    files = [PinFile.open(disk, name) for name in names]
    return [file.pin for file in files if file is not None]


def _head_in(disk: DiskCache, name: str) -> bytearray | None:
    start = disk.read(name, 0, _START.size)
    if start is None:
        return None
    length, digest = _START.unpack(start)
    data = disk.read(name, _START.size, length)
    return data if data is not None and hashlib.sha256(data).digest() == digest else None


def _digest(pieces: Sequence[memoryview]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
