"""What tells a checkpoint from any other: the content of its files, without opening it as a model."""

import hashlib
from pathlib import Path

from anyres.disk_cache import DiskCache
from anyres.errors import CheckpointError

__all__ = ["checkpoint_id"]

KIND = "digest"
DECISIVE = (".safetensors", ".json", ".txt", ".gguf", ".model", ".jinja")


def checkpoint_id(path: Path, disk: DiskCache | None = None) -> str:
    """SHA-256 over the names and contents of a checkpoint's files; those on `disk` are not read twice."""
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.suffix in DECISIVE)
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(f"{file.name} ".encode() + _digest(file, disk))
    except OSError as error:
        raise CheckpointError(str(path), f"cannot be read ({error.strerror})", "files that can be read") from None
    return digest.hexdigest()


def _digest(file: Path, disk: DiskCache | None) -> bytes:
    status = file.stat()
    key = f"{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode()
    kept = None if disk is None else disk.get(KIND, key)
    if kept is not None:
        return bytes(kept)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").digest()
    if disk is not None:
        disk.put(KIND, key, [digest])
    return digest
