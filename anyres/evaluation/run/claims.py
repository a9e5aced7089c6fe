"""Who asks which sample: a lock on one byte of an empty file for each, which the system takes away from the dead.

There is no queue to hand out, no lease that may run out too early or too late, and nothing to clean up: processes that
share a folder share the work, whoever started them, and what a killed one was at is free at once.
"""

import hashlib
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["Claims"]

PLACES = 2**47  # bytes that a file system lets one lock; two of a million samples share one with a chance of 0.4 %


class Claims:
    """What this process has claimed. To be used by one thread, and opened once for a file: the system's locks belong
    to the process, and closing one handle of the file would give up all of them.

    On Windows there is no such lock, and every claim is granted: one process at a time.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, name: str) -> bool:
        """Whether it is ours now; False while another process has it."""
        if sys.platform == "win32":
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def give(self, name: str) -> None:
        """Others may have it."""
        if sys.platform != "win32":
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(name))

    def close(self) -> None:
        """Gives up everything."""
        os.close(self._file)


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()[:8]) % PLACES
