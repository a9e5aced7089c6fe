"""A file of a cache's folder: 64 bytes of header, the value, SHA-256 of both.

It is written under another name, locked meanwhile, and renamed once it is whole and on the disk. The header holds what
the file is named by, so that one that was renamed is not taken for another.
"""

import hashlib
import os
import stat
import struct
import sys
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

if sys.platform != "win32":  # where an open file cannot be deleted in the first place
    import fcntl

__all__ = [
    "DamagedError",
    "entry_size",
    "identity_of",
    "is_abandoned",
    "is_entry",
    "read_entry",
    "read_part",
    "write_entry",
]

_MAGIC = b"anyres\r\n"
_VERSION = 1
_HEADER = struct.Struct("<8sI32sQ12x")  # 64 bytes, so that a value's numbers lie where processors like them
_TRAILER = hashlib.sha256().digest_size
_PIECE = 2**24


class DamagedError(Exception):
    """A file is not a whole entry of this version."""


def identity_of(kind: str, key: bytes) -> bytes:
    """What a file is named by, and holds, so that one that was renamed is not taken for another."""
    return hashlib.sha256(f"{kind} {len(key)} ".encode() + key).digest()


def entry_size(pieces: Sequence[memoryview]) -> int:
    """Of a file that holds these."""
    return _HEADER.size + sum(map(len, pieces)) + _TRAILER


def read_entry(path: Path, identity: bytes, max_bytes: int) -> memoryview:
    """The value, in memory of its own; OSError, or DamagedError for what is no whole entry of this name."""
    with _opened(path) as file:
        size = _size_of(file, max_bytes)
        whole = _filled(file, size)
    _check_header(whole, identity, size)
    if hashlib.sha256(whole[:-_TRAILER]).digest() != whole[-_TRAILER:]:
        raise DamagedError("its checksum is another one")
    return whole[_HEADER.size : -_TRAILER]


def read_part(path: Path, max_bytes: int, start: int, count: int) -> bytearray:
    """Bytes of the value, which are not checked; the header and the length are."""
    with _opened(path) as file:
        size = _size_of(file, max_bytes)
        _check_header(_filled(file, _HEADER.size), _identity_in(path), size)
        if start < 0 or count < 0 or start + count > size - _HEADER.size - _TRAILER:
            raise DamagedError("it ends before")
        file.seek(_HEADER.size + start)
        part = _filled(file, count)
        return part.obj  # type: ignore[return-value]


def _opened(path: Path) -> FileIO:
    return FileIO(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)))


def _size_of(file: FileIO, max_bytes: int) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or not _HEADER.size + _TRAILER <= status.st_size <= max_bytes:
        raise DamagedError("not an entry")
    return status.st_size


def _filled(file: FileIO, count: int) -> memoryview:
    """So many bytes, in memory of their own."""
    whole, filled = memoryview(bytearray(count)), 0
    while filled < count and (more := file.readinto(whole[filled : filled + _PIECE])):
        filled += more
    if filled < count:
        raise DamagedError("cut short")
    return whole


def _check_header(whole: memoryview, identity: bytes, size: int) -> None:
    if _HEADER.unpack_from(whole) != (_MAGIC, _VERSION, identity, size - _HEADER.size - _TRAILER):
        raise DamagedError("of another version, cut short or renamed")


def _identity_in(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.stem)
    except ValueError:
        raise DamagedError("renamed") from None


def write_entry(path: Path, identity: bytes, pieces: Sequence[memoryview]) -> None:
    """A new file, locked while it is written, and on the disk afterwards."""
    header = _HEADER.pack(_MAGIC, _VERSION, identity, sum(map(len, pieces)))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        digest = hashlib.sha256()
        for piece in (memoryview(header), *pieces):
            digest.update(piece)
            _write_piece(file, piece)
        _write_piece(file, memoryview(digest.digest()))
        os.fsync(file)
    finally:
        os.close(file)


def _write_piece(file: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(file, piece[:_PIECE]) :]


def is_abandoned(path: Path) -> bool:
    """Nobody holds its lock."""
    if sys.platform == "win32":
        return True
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_entry(path: Path) -> bool:
    """By its name."""
    return len(path.stem) == 2 * _TRAILER and path.suffix not in ("", ".tmp")
