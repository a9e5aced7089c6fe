"""A picture of the cases as a path: drawn when it is first opened, and never for reading or scoring samples."""

import atexit
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import PIL

from anyres.disk_cache import open_cache

__all__ = ["DrawnPicture"]

KIND = "drawn"
HERE = Path(__file__).parent
_lock = Lock()


@dataclass(frozen=True)
class DrawnPicture(os.PathLike[str]):
    """Picture `number` of those that `draw` draws. Its file is this process's; the cache keeps it for others."""

    name: str
    number: int
    draw: Callable[[int], bytes]

    def __str__(self) -> str:
        return f"{self.name}-{self.number}"

    def __fspath__(self) -> str:
        path = _folder() / str(self)
        with _lock:
            if not path.exists():
                path.write_bytes(self._file())
        return str(path)

    def _file(self) -> bytes:
        cache = open_cache(otherwise=True)
        key = hashlib.sha256(f"{_drawer()} {self}".encode()).digest()
        kept = cache.get(KIND, key) if cache is not None else None
        if kept is not None:
            return bytes(kept)
        drawn = self.draw(self.number)
        if cache is not None:
            cache.put(KIND, key, [drawn])
        return drawn


@lru_cache(maxsize=1)
def _folder() -> Path:
    """Of this process, gone with it."""
    made = tempfile.TemporaryDirectory(prefix="anyres-drawn-")
    atexit.register(made.cleanup)
    return Path(made.name)


@lru_cache(maxsize=1)
def _drawer() -> str:
    """Changes with all that decides a picture: our code and font, and what they draw with."""
    digest = hashlib.sha256(f"{PIL.__version__} {np.__version__}".encode())
    for path in sorted((*HERE.glob("*.py"), *HERE.glob("*.otf"), HERE.parent / "metrics" / "arithmetic.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
