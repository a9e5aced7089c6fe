"""Where keys and values lie: one pool of blocks a layer, as numbers of the model's kind or rounded to 8 bits.

S counts the places of a block, N blocks of the pool, B tables side by side, Z layers.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from anyres.config import TextConfig

__all__ = ["DenseStore", "Int8Store", "Pools", "Store", "block_bytes"]

LARGEST = 127


class Pools(NamedTuple):
    """Those of one layer; int8 ones have a scale for each place and head."""

    keys_NKSC: Tensor
    values_NKSC: Tensor
    key_scales_NKS: Tensor | None = None
    value_scales_NKS: Tensor | None = None


class Store(Protocol):
    """Pools of blocks [N, K, S, C], keys and values of every layer."""

    @property
    def blocks(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    def pools(self, layer: int) -> Pools: ...

    def grow(self, blocks: int) -> None:
        """Makes the pools larger; new places hold zeros."""

    def write(self, layer: int, places: tuple[Tensor, Tensor], k_TKC: Tensor, v_TKC: Tensor) -> tuple[Tensor, Tensor]:
        """Stores tokens at (block, place) and returns them as they will be read."""

    def read(self, layer: int, heads_BKN: Tensor) -> tuple[Tensor, Tensor]:
        """keys_BKSC and values_BKSC of whole tables; `heads_BKN` counts block * K + head."""

    def copy(self, sources: Tensor, targets: Tensor) -> None:
        """Whole blocks, in all layers."""

    def wipe(self, blocks: Tensor) -> None:
        """Zeros: a place that is masked out counts 0 times its value, and 0 times a NaN is NaN."""

    def export(self, blocks: Tensor) -> dict[str, Tensor]:
        """A copy of what these blocks hold in all layers, on the CPU; blocks are the second axis."""

    def restore(self, blocks: Tensor, kept: Mapping[str, Tensor]) -> None:
        """Puts back what `export` of such a store gave, bit for bit, into as many blocks."""


class DenseStore:
    """In `dtype`, which may be narrower than the model's."""

    def __init__(self, config: TextConfig, block_size: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self._shape = (config.num_key_value_heads, block_size, config.head_dim)
        empty = torch.zeros(0, *self._shape, device=device, dtype=dtype)
        self.keys_NKSC = [empty] * config.num_hidden_layers
        self.values_NKSC = [empty] * config.num_hidden_layers

    @property
    def blocks(self) -> int:
        return len(self.keys_NKSC[0])

    @property
    def bytes(self) -> int:
        return sum(pool.nbytes for pool in (*self.keys_NKSC, *self.values_NKSC))

    def pools(self, layer: int) -> Pools:
        return Pools(self.keys_NKSC[layer], self.values_NKSC[layer])

    def grow(self, blocks: int) -> None:
        for pools in (self.keys_NKSC, self.values_NKSC):
            _grow(pools, blocks)

    def write(self, layer: int, places: tuple[Tensor, Tensor], k_TKC: Tensor, v_TKC: Tensor) -> tuple[Tensor, Tensor]:
        blocks_T, places_T = places
        keys_NKSC, values_NKSC = self.keys_NKSC[layer], self.values_NKSC[layer]
        kept = k_TKC.to(keys_NKSC.dtype), v_TKC.to(keys_NKSC.dtype)
        keys_NKSC[blocks_T, :, places_T], values_NKSC[blocks_T, :, places_T] = kept
        return kept[0].to(k_TKC.dtype), kept[1].to(v_TKC.dtype)

    def read(self, layer: int, heads_BKN: Tensor) -> tuple[Tensor, Tensor]:
        return _side_by_side(self.keys_NKSC[layer], heads_BKN), _side_by_side(self.values_NKSC[layer], heads_BKN)

    def copy(self, sources: Tensor, targets: Tensor) -> None:
        for pool in (*self.keys_NKSC, *self.values_NKSC):
            pool[targets] = pool[sources]

    def wipe(self, blocks: Tensor) -> None:
        for pool in (*self.keys_NKSC, *self.values_NKSC):
            pool[blocks] = 0

    def export(self, blocks: Tensor) -> dict[str, Tensor]:
        return {"keys_ZNKSC": _taken(self.keys_NKSC, blocks), "values_ZNKSC": _taken(self.values_NKSC, blocks)}

    def restore(self, blocks: Tensor, kept: Mapping[str, Tensor]) -> None:
        _put_back(self.keys_NKSC, blocks, kept["keys_ZNKSC"])
        _put_back(self.values_NKSC, blocks, kept["values_ZNKSC"])


class Int8Store:
    """Each token's key and value in whole 127ths of the largest value of its head."""

    def __init__(self, config: TextConfig, block_size: int, *, device: torch.device) -> None:
        self.codes = DenseStore(config, block_size, device=device, dtype=torch.int8)
        shape = (0, config.num_key_value_heads, block_size)
        self.key_scales_NKS = [torch.zeros(shape, device=device) for _ in range(config.num_hidden_layers)]
        self.value_scales_NKS = [torch.zeros(shape, device=device) for _ in range(config.num_hidden_layers)]

    @property
    def blocks(self) -> int:
        return self.codes.blocks

    @property
    def bytes(self) -> int:
        return self.codes.bytes + sum(pool.nbytes for pool in (*self.key_scales_NKS, *self.value_scales_NKS))

    def pools(self, layer: int) -> Pools:
        return Pools(*self.codes.pools(layer)[:2], self.key_scales_NKS[layer], self.value_scales_NKS[layer])

    def grow(self, blocks: int) -> None:
        self.codes.grow(blocks)
        for pools in (self.key_scales_NKS, self.value_scales_NKS):
            _grow(pools, blocks)

    def write(self, layer: int, places: tuple[Tensor, Tensor], k_TKC: Tensor, v_TKC: Tensor) -> tuple[Tensor, Tensor]:
        blocks_T, places_T = places
        (k, k_scales_TK), (v, v_scales_TK) = _rounded(k_TKC), _rounded(v_TKC)
        self.codes.write(layer, places, k, v)
        self.key_scales_NKS[layer][blocks_T, :, places_T] = k_scales_TK
        self.value_scales_NKS[layer][blocks_T, :, places_T] = v_scales_TK
        return (k * k_scales_TK[..., None]).to(k_TKC.dtype), (v * v_scales_TK[..., None]).to(v_TKC.dtype)

    def read(self, layer: int, heads_BKN: Tensor) -> tuple[Tensor, Tensor]:
        keys_BKSC, values_BKSC = self.codes.read(layer, heads_BKN)
        key_scales = _side_by_side(self.key_scales_NKS[layer][..., None], heads_BKN)
        return keys_BKSC * key_scales, values_BKSC * _side_by_side(self.value_scales_NKS[layer][..., None], heads_BKN)

    def copy(self, sources: Tensor, targets: Tensor) -> None:
        self.codes.copy(sources, targets)
        for pool in (*self.key_scales_NKS, *self.value_scales_NKS):
            pool[targets] = pool[sources]

    def wipe(self, blocks: Tensor) -> None:
        self.codes.wipe(blocks)
        for pool in (*self.key_scales_NKS, *self.value_scales_NKS):
            pool[blocks] = 0

    def export(self, blocks: Tensor) -> dict[str, Tensor]:
        return self.codes.export(blocks) | {
            "key_scales_ZNKS": _taken(self.key_scales_NKS, blocks),
            "value_scales_ZNKS": _taken(self.value_scales_NKS, blocks),
        }

    def restore(self, blocks: Tensor, kept: Mapping[str, Tensor]) -> None:
        self.codes.restore(blocks, kept)
        _put_back(self.key_scales_NKS, blocks, kept["key_scales_ZNKS"])
        _put_back(self.value_scales_NKS, blocks, kept["value_scales_ZNKS"])


def block_bytes(config: TextConfig, block_size: int, dtype: torch.dtype) -> int:
    """Bytes of one block in all layers.

    >>> block_bytes(TextConfig(), 16, torch.bfloat16)  # 2B: 28 KiB a token
    458752
    """
    scale = torch.float32.itemsize if dtype == torch.int8 else 0
    head = config.head_dim * dtype.itemsize + scale
    return 2 * config.num_hidden_layers * config.num_key_value_heads * block_size * head


def _grow(pools: list[Tensor], blocks: int) -> None:
    """One layer after the other, so that only one pool is there twice."""
    for layer, old in enumerate(pools):
        new = old.new_zeros(blocks, *old.shape[1:])
        new[: len(old)] = old
        pools[layer] = new


def _side_by_side(pool_NKSC: Tensor, heads_BKN: Tensor) -> Tensor:
    """The blocks of each head one behind the other, in one copy."""
    return pool_NKSC.flatten(0, 1)[heads_BKN].flatten(2, 3)


def _taken(pools: list[Tensor], blocks: Tensor) -> Tensor:
    return torch.stack([pool[blocks].cpu() for pool in pools])


def _put_back(pools: list[Tensor], blocks: Tensor, kept: Tensor) -> None:
    for pool, values in zip(pools, kept, strict=True):
        pool[blocks] = values.to(pool.device)


def _rounded(x_TKC: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and float32 scales. A NaN or infinity in a head makes all of it NaN."""
    x_TKC = x_TKC.float()
    scales_TK = x_TKC.abs().amax(-1) / LARGEST
    steps_TK1 = torch.where(scales_TK > 0, scales_TK, 1.0)[..., None]
    codes_TKC = (x_TKC / steps_TK1).round().clamp(-LARGEST, LARGEST).nan_to_num().to(torch.int8)
    return codes_TKC, torch.where(scales_TK.isfinite(), scales_TK, torch.nan)
