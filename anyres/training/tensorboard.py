"""Scalars in the file format TensorBoard reads, written without TensorBoard: machines that train may not have it.

A file is a chain of records, each a length, its checksum, an Event message of protocol buffers, and that one's checksum
(tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto).
"""

import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["EventFile", "crc32c"]

POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
MASK_DELTA = 0xA282EAD8  # masked_crc32c of the format
WALL_TIME, STEP, FILE_VERSION, SUMMARY, SESSION_LOG = 1, 2, 3, 5, 7  # fields of Event
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
STARTED = 1  # SessionLog.SessionStatus.START


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


CRC_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC_TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


class EventFile:
    """One run's event file in `folder`; a run that goes on writes another, which takes the place of later steps."""

    def __init__(self, folder: Path, *, step: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        now = clock()
        self.path = folder / f"events.out.tfevents.{int(now):010d}.{os.uname().nodename}.{os.getpid()}.{step}"
        self._file = self.path.open("wb")
        self._write(_bytes(FILE_VERSION, b"brain.Event:2"))
        self._write(_number(STEP, step) + _bytes(SESSION_LOG, _number(1, STARTED)))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Some curves' values at a step."""
        values = b"".join(_bytes(1, _bytes(1, name.encode()) + _float(2, value)) for name, value in scalars.items())
        self._write(_number(STEP, step) + _bytes(SUMMARY, values))

    def close(self) -> None:
        self._file.close()

    def _write(self, event: bytes) -> None:
        event = _key(WALL_TIME, FIXED64) + struct.pack("<d", self._clock()) + event
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))
        self._file.flush()


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF)


def _key(field: int, wire: int) -> bytes:
    return bytes([field << 3 | wire])


def _number(field: int, value: int) -> bytes:
    return _key(field, VARINT) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _key(field, FIXED32) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first.

    >>> _varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
