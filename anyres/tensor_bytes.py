"""Tensors as bytes for a cache: some JSON that names them, then their values, read back without a copy."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Unpacked", "pack", "unpack"]

_ALIGN = 64  # bytes; where values begin
_LENGTH = 8  # bytes in front of the JSON that tell its length


class Unpacked(NamedTuple):
    """What `pack` was given."""

    words: dict[str, Any]
    tensors: dict[str, Tensor]


def pack(words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[memoryview]:
    """Pieces to be written one after the other; `words` are what JSON can hold. Tensors on the CPU are not copied.

    >>> [piece.nbytes for piece in pack({}, {"a": torch.zeros(3)})]
    [64, 12, 52]
    """
    shapes = {name: [str(one.dtype).removeprefix("torch."), *one.shape] for name, one in tensors.items()}
    head = json.dumps({"words": dict(words), "tensors": shapes}).encode()
    start = len(head).to_bytes(_LENGTH, "little") + head
    pieces = [memoryview(start.ljust(_padded(len(start))))]
    for one in tensors.values():
        values = one.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        pieces += [values.data, memoryview(bytes(_padded(one.nbytes) - one.nbytes))]
    return pieces


def unpack(data: memoryview) -> Unpacked:
    """What `pack` made; the tensors share their memory with `data`, which is writable.

    `data` is believed: it comes from a cache that checks what it reads.

    >>> whole = bytearray(b"".join(pack({"n": 1}, {"a": torch.arange(3)})))
    >>> unpack(memoryview(whole))
    Unpacked(words={'n': 1}, tensors={'a': tensor([0, 1, 2])})
    """
    length = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    head = json.loads(bytes(data[_LENGTH:length]))
    place, tensors = _padded(length), {}
    for name, (dtype, *shape) in head["tensors"].items():
        kind, count = getattr(torch, dtype), math.prod(shape)
        flat = torch.frombuffer(data, dtype=kind, count=count, offset=place) if count else torch.empty(0, dtype=kind)
        tensors[name] = flat.view(shape)
        place += _padded(count * kind.itemsize)
    return Unpacked(head["words"], tensors)


def _padded(count: int) -> int:
    return -(-count // _ALIGN) * _ALIGN
