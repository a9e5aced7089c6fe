"""Files that clients have sent ahead of their questions, by random id, each owned by one key.

A file lies in a folder named by a hash of its owner; ids of another owner are not looked for there, so they read as
ids that were never given. Nothing of what a client says becomes part of a path: ids are matched before they are used.
"""

import hashlib
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from anyres.errors import AnyresError

__all__ = ["StoredFile", "UnknownFileError", "UploadError", "Uploads"]

_ID = re.compile(r"file-[0-9a-f]{32}")
_MOST_FILES = 1000  # of one owner
_MOST_NAME = 255


class UploadError(AnyresError):
    """A file cannot be taken: too large, or too many are there."""


class UnknownFileError(AnyresError):
    """No file of this id, or not of this owner."""


@dataclass(frozen=True)
class StoredFile:
    """What is known of an upload; `created` in seconds since 1970."""

    id: str
    name: str
    size: int
    created: int


class Uploads:
    """Keeps files of up to `max_bytes` below `folder`, and of one owner no more than `max_owner_bytes` together.

    A file is there, whole and on disk, once `put` has returned its id, or not at all.
    """

    def __init__(self, folder: Path, max_bytes: int, *, max_owner_bytes: int = 1 << 30) -> None:
        self.max_bytes = max_bytes
        self.max_owner_bytes = max_owner_bytes
        self.folder = folder
        self._sweep()

    def put(self, owner: str, name: str, data: bytes) -> str:
        """Stores a file, and gives its id. UploadError when it is too large, or with others too much."""
        if not data:
            raise UploadError("file", "0 bytes", f"1 to {self.max_bytes:,} bytes")
        if len(data) > self.max_bytes:
            raise UploadError("file", f"{len(data):,} bytes", f"at most {self.max_bytes:,} (--max-video-bytes)")
        there = self.files(owner)
        self._check_room(there, len(data))
        stored = StoredFile(f"file-{secrets.token_hex(16)}", name[:_MOST_NAME], len(data), int(time.time()))
        folder = self._folder_of(owner)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(folder / f"{stored.id}.bin", data)
            _write(folder / f"{stored.id}.json", json.dumps(asdict(stored)).encode())
        except OSError as error:
            raise UploadError("file", f"cannot be stored ({error.strerror})", "room on the server's disk") from None
        return stored.id

    def get(self, owner: str, file_id: str) -> bytes:
        """The file's bytes. UnknownFileError for any id that is not one of this owner's."""
        try:
            return self._path(owner, file_id, "bin").read_bytes()
        except OSError:
            raise _unknown() from None

    def describe(self, owner: str, file_id: str) -> StoredFile:
        """Name, size and time of a file. UnknownFileError as `get`."""
        try:
            return StoredFile(**json.loads(self._path(owner, file_id, "json").read_bytes()))
        except (OSError, ValueError, TypeError):  # a damaged description is as good as none
            raise _unknown() from None

    def delete(self, owner: str, file_id: str) -> None:
        """UnknownFileError as `get`."""
        try:
            self._path(owner, file_id, "json").unlink()
            self._path(owner, file_id, "bin").unlink(missing_ok=True)
        except OSError:
            raise _unknown() from None

    def files(self, owner: str) -> list[StoredFile]:
        """All of an owner's files, oldest first."""
        found = []
        for path in self._folder_of(owner).glob("file-*.json"):
            try:
                found.append(self.describe(owner, path.stem))
            except UnknownFileError:  # deleted meanwhile
                continue
        return sorted(found, key=lambda file: (file.created, file.id))

    def _sweep(self) -> None:
        """Takes away what a server that was killed has left half done."""
        for path in self.folder.glob("*/file-*"):
            if path.suffix == ".part" or (path.suffix == ".bin" and not path.with_suffix(".json").exists()):
                path.unlink(missing_ok=True)

    def _check_room(self, there: list[StoredFile], size: int) -> None:
        taken = sum(file.size for file in there)
        if len(there) >= _MOST_FILES or taken + size > self.max_owner_bytes:
            seen = f"{len(there):,} files of {taken:,} bytes stored already"
            raise UploadError("file", seen, f"{_MOST_FILES:,} files, {self.max_owner_bytes:,} bytes; delete some")

    def _folder_of(self, owner: str) -> Path:
        return self.folder / hashlib.sha256(b"anyres uploads" + owner.encode("utf-8", "surrogatepass")).hexdigest()

    def _path(self, owner: str, file_id: str, suffix: str) -> Path:
        if _ID.fullmatch(file_id) is None:
            raise _unknown()
        return self._folder_of(owner) / f"{file_id}.{suffix}"


def _unknown() -> UnknownFileError:
    return UnknownFileError("file", "no file of this id", "the id of a file uploaded with the same key")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk when it returns."""
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Else a name may be lost although its file is written; Windows opens no folders."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
