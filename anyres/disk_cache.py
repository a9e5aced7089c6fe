"""A folder of values that were costly to make: bounded in bytes, shared by processes, never believed without a check.

    <folder>/limit               a number of bytes, where `anyres cache --limit` has set one
    <folder>/<64 digits>.<kind>  an entry (disk_entry.py)
    <folder>/*.tmp               an entry on its way, locked by who writes it

An entry appears under its name only when it is whole and on the disk. What is cut short, edited, renamed, of another
version or unreadable counts as not there and is deleted. Where the disk is full or read-only nothing is kept, which is
said once in the log. Times of files only tell which entry was used last; a clock that jumps spoils nothing.
"""

import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from anyres.disk_entry import (
    DamagedError,
    entry_size,
    identity_of,
    is_abandoned,
    is_entry,
    read_entry,
    read_part,
    write_entry,
)
from anyres.errors import OptionError

__all__ = ["DEFAULT_BYTES", "CacheStats", "DiskCache", "Entry", "cache_folder", "open_cache"]

logger = logging.getLogger(__name__)

Buffer = bytes | bytearray | memoryview

DEFAULT_BYTES = 4 * 2**30
LASTING = ("prefix",)  # kinds that somebody asked to keep: they give way to one another, and to nothing else
PENDING_BYTES = 2**30  # waiting to be written; what comes on top of that is not kept
OFF = ("off", "0", "no", "false")
ON = ("on", "1", "yes", "true")

_ATTEMPTS = 3
_LATEST_NS = 2**62  # the year 2116: a file of a later one had its time set by hand, and counts as the oldest


class CacheStats(NamedTuple):
    """What was asked of a cache since it was opened. `rebuilt` entries were damaged, `failed` ones not written."""

    hits: int = 0
    misses: int = 0
    written: int = 0
    rebuilt: int = 0
    evicted: int = 0
    failed: int = 0


class Entry(NamedTuple):
    """A file of the folder. `used_ns` orders entries by their last use."""

    path: Path
    bytes: int
    used_ns: int

    @property
    def kind(self) -> str:
        return self.path.suffix[1:]


class DiskCache:
    """Values by kind and key. `max_bytes=None` takes the folder's own limit; `clock_ns` is the wall clock.

    Several threads and processes may use one folder.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.folder = folder
        self.max_bytes = read_limit(folder) if max_bytes is None else max_bytes
        self._clock_ns = clock_ns
        self._last_ns: int | None = None
        self._stats = CacheStats()
        self._warned = False
        self._lock = Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._writes: list[Future[bool]] = []
        self._pending_bytes = 0

    @property
    def stats(self) -> CacheStats:
        return self._stats

    def get(self, kind: str, key: bytes) -> memoryview | None:
        """The value, in memory of its own; None where there is none that can be trusted."""
        path = self._path(kind, key)
        try:
            value = read_entry(path, identity_of(kind, key), self.max_bytes)
        except (FileNotFoundError, NotADirectoryError):
            self._count(misses=1)
            return None
        except (OSError, DamagedError) as error:
            logger.debug("%s: %s; it is made again", path.name, error)
            with suppress(OSError):
                path.unlink()
            self._count(misses=1, rebuilt=1)
            return None
        with suppress(OSError):  # a read-only disk
            self._touch(path)
        self._count(hits=1)
        return value

    def names(self, kind: str) -> list[str]:
        """File names of a kind's entries, whole or not; in no order."""
        try:
            return [name for name in os.listdir(self.folder) if name.endswith(f".{kind}")]  # noqa: PTH208  many
        except OSError:
            return []

    def name_of(self, kind: str, key: bytes) -> str:
        """Of the file that holds this value, if there is one."""
        return self._path(kind, key).name

    def read(self, name: str, start: int, count: int) -> bytearray | None:
        """Bytes of the value in a file of `names`, which are not checked: that is for whoever reads a value in parts.

        None where the file is not there, of another version, renamed, cut short, or ends before.
        """
        path = self.folder / name
        try:
            return read_part(path, self.max_bytes, start, count)
        except (OSError, DamagedError) as error:
            logger.debug("%s: %s", name, error)
            return None

    def use(self, name: str) -> None:
        """What is read in parts was used now."""
        with suppress(OSError):
            self._touch(self.folder / name)

    def remove(self, name: str) -> bool:
        """Deletes one entry; False where that cannot be done, or it is gone."""
        try:
            (self.folder / name).unlink()
        except OSError:
            return False
        return True

    def put(self, kind: str, key: bytes, value: Sequence[Buffer]) -> bool:
        """Keeps a value, given in pieces, and makes room for it; False where it is not kept. Never raises OSError."""
        pieces = [memoryview(piece).cast("B") for piece in value]
        size = entry_size(pieces)
        if size > self.max_bytes or not self._make_room(size, lasting=kind in LASTING):
            return False
        try:
            self._write(self._path(kind, key), identity_of(kind, key), pieces)
        except OSError as error:
            self._warn(error)
            self._count(failed=1)
            return False
        self._count(written=1)
        return True

    def put_later(self, kind: str, key: bytes, value: Sequence[Buffer]) -> None:
        """Like `put`, from a thread that ends before the program does; `value` must not change meanwhile."""
        size = sum(memoryview(piece).nbytes for piece in value)
        with self._lock:
            if self._pending_bytes + size > PENDING_BYTES:
                return
            self._pending_bytes += size
            self._writer = self._writer or ThreadPoolExecutor(1, thread_name_prefix="anyres-disk-cache")
            self._writes = [write for write in self._writes if not write.done()]
            self._writes.append(self._writer.submit(self._put_now, kind, key, value, size))

    def flush(self) -> None:
        """Waits for all that was put before."""
        with self._lock:
            writes = self._writes
        for write in writes:
            write.result()

    def entries(self) -> list[Entry]:
        """What the folder holds, the longest unused first."""
        found = [Entry(path, status.st_size, _used_ns(status)) for path, status in self._files() if is_entry(path)]
        return sorted(found, key=lambda entry: (entry.used_ns, entry.path.name))

    def clear(self, kind: str | None = None) -> int:
        """Deletes all entries, or those of a kind; the bytes that were freed."""
        return sum(self._delete(entry) for entry in self.entries() if kind in (None, entry.kind))

    def set_limit(self, max_bytes: int) -> None:
        """Bounds the folder from now on, for every process that opens it; OptionError where that cannot be written."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _limit_file(self.folder).write_text(f"{max_bytes}\n")
        except OSError as error:
            raise OptionError(
                str(self.folder), f"cannot be written ({error.strerror})", "a folder of your own"
            ) from None
        self.max_bytes = max_bytes
        self._make_room(0, lasting=True)

    def _put_now(self, kind: str, key: bytes, value: Sequence[Buffer], size: int) -> bool:
        try:
            return self.put(kind, key, value)
        finally:
            with self._lock:
                self._pending_bytes -= size

    def _path(self, kind: str, key: bytes) -> Path:
        return self.folder / f"{identity_of(kind, key).hex()}.{kind}"

    def _write(self, path: Path, identity: bytes, pieces: Sequence[memoryview]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(8).hex()}.tmp")
            try:
                write_entry(temporary, identity, pieces)
                self._touch(temporary)
                temporary.replace(path)
            except FileNotFoundError:  # somebody cleared the folder meanwhile
                if attempt == _ATTEMPTS:
                    raise
            else:
                return
            finally:
                with suppress(OSError):
                    temporary.unlink()

    def _make_room(self, size: int, *, lasting: bool) -> bool:
        """Deletes the longest unused entries, lasting ones only for lasting ones and last, and what dead writers left.

        Deletes none, and says False, where that is not enough.
        """
        entries = self.entries()
        self._sweep()
        missing = size + sum(entry.bytes for entry in entries) - self.max_bytes
        passing = [entry for entry in entries if entry.kind not in LASTING]
        candidates = passing + [entry for entry in entries if lasting and entry.kind in LASTING]
        if missing > sum(entry.bytes for entry in candidates):
            return False
        for entry in candidates:
            if missing <= 0:
                break
            missing -= entry.bytes
            self._delete(entry)
            self._count(evicted=1)
        return True

    def _sweep(self) -> None:
        for path, _ in self._files():
            if path.suffix == ".tmp" and is_abandoned(path):
                with suppress(OSError):
                    path.unlink()

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        try:
            paths = list(self.folder.iterdir())
        except OSError:
            return
        for path in paths:
            with suppress(OSError):  # deleted by another process
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield path, status

    def _delete(self, entry: Entry) -> int:
        try:
            entry.path.unlink()
        except OSError:
            return 0
        return entry.bytes

    def _touch(self, path: Path) -> None:
        """Its last use is now: later than every other so far, and the time of day where the clock agrees."""
        with self._lock:
            if self._last_ns is None:
                self._last_ns = max((entry.used_ns for entry in self.entries()), default=0)
            self._last_ns = min(max(self._clock_ns(), self._last_ns + 1), _LATEST_NS - 1)
            os.utime(path, ns=(self._last_ns, self._last_ns))

    def _count(self, **more: int) -> None:
        with self._lock:
            self._stats = self._stats._replace(
                **{name: getattr(self._stats, name) + number for name, number in more.items()}
            )

    def _warn(self, error: OSError) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        logger.log(level, "%s: nothing can be kept there (%s); going on without", self.folder, error.strerror or error)


def cache_folder() -> Path:
    """Where caches belong on this system: $XDG_CACHE_HOME or ~/.cache, ~/Library/Caches, %LOCALAPPDATA%."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "anyres" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "anyres"
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".cache") / "anyres"


def open_cache(wanted: "bool | str | Path | DiskCache | None" = None, *, otherwise: bool = False) -> DiskCache | None:
    """The cache that is asked for: an open one, a folder, True (the system's place), False (none).

    None leaves it to the environment variable ANYRES_CACHE, which holds a folder, `on` or `off`, and without it to
    `otherwise`.
    """
    chosen = wanted if wanted is not None else os.environ.get("ANYRES_CACHE", "").strip() or otherwise
    if isinstance(chosen, DiskCache):
        return chosen
    if isinstance(chosen, str) and chosen.lower() in OFF + ON:
        chosen = chosen.lower() in ON
    if isinstance(chosen, bool):
        return DiskCache(cache_folder()) if chosen else None
    return DiskCache(Path(chosen).expanduser())


def read_limit(folder: Path) -> int:
    """The folder's limit in bytes; 4 GiB where none was set, or what was set cannot be read."""
    try:
        return max(0, int(_limit_file(folder).read_text()[:32]))
    except (OSError, ValueError):
        return DEFAULT_BYTES


def _limit_file(folder: Path) -> Path:
    return folder / "limit"


def _used_ns(status: os.stat_result) -> int:
    return status.st_mtime_ns if 0 <= status.st_mtime_ns < _LATEST_NS else 0
