"""A file of records: only appended to, by any number of processes, each line on the disk before the next is asked for.

Whoever is killed while writing leaves a line without its end. The next writer, who holds the file's lock and so knows
that nobody is writing, cuts it off.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from anyres.errors import DatasetError
from anyres.evaluation.record import Record

if sys.platform != "win32":
    import fcntl

__all__ = ["RecordFile", "read_records"]

PIECE = 2**16


class RecordFile:
    """The records of one benchmark, model and variant.

    `records` holds the newest of every sample as far as `refresh` has read; `damaged` names lines that are no records,
    which count as not there. Of a sample that was asked again, as after a failure, the older lines stay in the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self.damaged: list[str] = []
        self._read_to = 0
        self._lines = 0

    def refresh(self) -> list[Record]:
        """Reads what came since the last time, in its order. A line that is still being written is left for later."""
        data = self._new_bytes()
        found: list[Record] = []
        for line in data.split(b"\n")[:-1]:
            self._lines += 1
            record = self._parsed(line)
            if record is not None:
                found.append(record)
                self.records[record.id] = record
        self._read_to += len(data)
        return found

    def append(self, records: Sequence[Record]) -> None:
        """On the disk when it returns. DatasetError where the disk does not take it; nothing is left of them then."""
        lines = b"".join(record.to_line().encode("utf-8", "backslashreplace") + b"\n" for record in records)
        try:
            is_new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                _append(file, lines)
            finally:
                os.close(file)
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            allowed = "a folder with room to write in"
            raise DatasetError(str(self.path), f"cannot be written ({error.strerror})", allowed) from None

    def _new_bytes(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def _parsed(self, line: bytes) -> Record | None:
        name = f"{self.path}:{self._lines}"
        try:
            return Record.from_line(line.decode("utf-8"), name)
        except UnicodeDecodeError:
            self.damaged.append(f"{name}: not UTF-8")
        except DatasetError as error:
            self.damaged.append(f"{name}: {error.seen}")
        return None


def read_records(path: Path) -> dict[str, Record]:
    """The newest record of every sample, in the order of the file; {} where there is none.

    >>> read_records(Path("no such file.jsonl"))
    {}
    """
    file = RecordFile(path)
    file.refresh()
    return file.records


def _append(file: int, lines: bytes) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)  # ends with the descriptor, or with the process
    end = _cut_torn_line(file)
    try:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, end)
        raise


def _cut_torn_line(file: int) -> int:
    """The file's length, once what comes behind its last line end is gone."""
    size = os.fstat(file).st_size
    start = size
    while start:
        start, stop = max(0, start - PIECE), start
        found = os.pread(file, stop - start, start).rfind(b"\n")
        if found >= 0:
            start += found + 1
            break
    if start < size:
        os.ftruncate(file, start)
    return start


def _sync_folder(folder: Path) -> None:
    """So that the file itself is still there after a power cut."""
    if sys.platform == "win32":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
