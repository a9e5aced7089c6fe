"""Writes safetensors files tensor by tensor: what is written is in memory only while it is written.

The format has its header first, so room is kept for it and filled at the end; blanks after the JSON are allowed.
"""

import json
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.model.weights import INDEX_FILE, SINGLE_FILE

__all__ = ["CheckpointWriter"]

NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.uint8: "U8",
    torch.int32: "I32",
    torch.int64: "I64",
}
ALIGNMENT = 64  # of the first tensor, and of every one whose size is a multiple of it: a cache line
ENTRY_BYTES = 200  # of the header, for a tensor, beside its name


class CheckpointWriter:
    """The weights of a folder in files of about `shard_bytes`; use it in a `with`, which writes the last headers.

    Small tensors wait for the end of their file, so that large ones stay aligned. `names` are all that will come, for
    the size of the headers. Errors of the disk are CheckpointErrors.
    """

    def __init__(self, folder: Path, names: list[str], *, shard_bytes: int = 4_000_000_000) -> None:
        self.bytes = 0
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._header_bytes = -(-(sum(ENTRY_BYTES + len(name) for name in names) + 1024) // ALIGNMENT) * ALIGNMENT
        self._shards: list[_Shard] = []

    def __enter__(self) -> Self:
        return self

    def add(self, name: str, tensor: Tensor) -> None:
        try:
            if not self._shards or self._shards[-1].bytes > self._shard_bytes:
                self._finish_last()
                number = len(self._shards) + 1
                self._shards.append(_Shard(self._folder / f"part-{number}.safetensors", self._header_bytes))
            self._shards[-1].add(name, tensor.detach().contiguous().cpu())
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        self.bytes += tensor.nbytes

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            for shard in self._shards:
                with suppress(OSError):  # what is left to write cannot be; the error that is under way says so
                    shard.file.close()
            return
        try:
            self._finish_last()
            self._name_shards()
        except OSError as problem:
            raise _unwritable(self._folder, problem) from None

    def _finish_last(self) -> None:
        if self._shards:
            self._shards[-1].finish()

    def _name_shards(self) -> None:
        """The published names, which tell how many there are; an index where there are several."""
        count = len(self._shards)
        weight_map: dict[str, str] = {}
        for number, shard in enumerate(self._shards, 1):
            name = SINGLE_FILE if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
            shard.path.replace(self._folder / name)
            weight_map |= dict.fromkeys(shard.entries, name)
        if count > 1:
            index = {"metadata": {"total_size": self.bytes}, "weight_map": weight_map}
            (self._folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


class _Shard:
    def __init__(self, path: Path, header_bytes: int) -> None:
        self.path = path
        self.bytes = 0
        self.entries: dict[str, dict[str, object]] = {}
        self.file: IO[bytes] = path.open("wb")
        self._room = header_bytes
        self._small: dict[str, Tensor] = {}
        self.file.seek(ALIGNMENT + header_bytes)

    def add(self, name: str, tensor: Tensor) -> None:
        if tensor.nbytes % ALIGNMENT:
            self._small[name] = tensor
        else:
            self._write(name, tensor)

    def finish(self) -> None:
        if self.file.closed:
            return
        for name, tensor in sorted(self._small.items(), key=lambda one: -one[1].element_size()):
            self._write(name, tensor)
        header = json.dumps({"__metadata__": {"format": "pt"}, **self.entries}, separators=(",", ":")).encode()
        room = self._room + ALIGNMENT - 8
        assert len(header) <= room, "the header outgrew its place"
        self.file.seek(0)
        self.file.write(struct.pack("<Q", room) + header.ljust(room))
        self.file.flush()
        self.file.close()
        self._small = {}

    def _write(self, name: str, tensor: Tensor) -> None:
        place: dict[str, object] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape)}
        self.entries[name] = place | {"data_offsets": [self.bytes, self.bytes + tensor.nbytes]}
        self.file.write(tensor.flatten().view(torch.uint8).numpy().data)  # tofile() passes over a disk that is full
        self.bytes += tensor.nbytes


def _unwritable(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(str(folder), f"cannot be written ({error})", "a folder with room to write in")
