"""Keys and values of the tokens so far, in blocks; who holds which block is not decided here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from anyres.config import TextConfig
from anyres.engine.kv_store import DenseStore, Int8Store, Store
from anyres.model.layers import packed_attention

__all__ = ["KVCache", "PagedAttention"]

FIRST_BLOCKS = 64  # of the pool; it doubles when a table names a block beyond


class PagedAttention(Protocol):
    """A native attention over blocks: query i of sequence b sees places 0 to starts[b] + i. Returns out_THC.

    Scales come with int8 blocks. What a query gets must not depend on what stands beside it in the call.
    """

    def __call__(
        self,
        q_THC: Tensor,
        key_blocks_NKSC: Tensor,
        value_blocks_NKSC: Tensor,
        tables: Tensor,
        starts: Tensor,
        counts: Tensor,
        *,
        key_scales_NKS: Tensor | None = None,
        value_scales_NKS: Tensor | None = None,
    ) -> Tensor: ...


@dataclass
class _Group:
    """Some sequences of a pass, whose attention takes the same way. `rows_T` are their tokens; None: all there are."""

    starts: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    tables: list[Sequence[int]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    rows_T: Tensor | None = None
    tables_BN: Tensor = field(default_factory=lambda: torch.zeros(0, 0))  # padded with block 0
    masks: list[Tensor | None] = field(default_factory=list)

    @property
    def ends(self) -> list[int]:
        return [start + count for start, count in zip(self.starts, self.counts, strict=True)]

    def add(self, start: int, count: int, table: Sequence[int], first_row: int) -> None:
        self.starts.append(start)
        self.counts.append(count)
        self.tables.append(table)
        self.rows += range(first_row, first_row + count)


class KVCache:
    """A pool of blocks. `attend` is what the decoder calls in each layer.

    A pass is `begin(...)`, then the model's forward with `attend`; it can be run again. `kept_as` is the dtype of what
    is kept: the model's, a narrower one, or int8. The pool grows as tables name higher blocks.
    """

    def __init__(
        self,
        config: TextConfig,
        *,
        device: torch.device,
        dtype: torch.dtype,
        kept_as: torch.dtype | None = None,
        block_size: int = 16,
        paged_attention: PagedAttention | None = None,
    ) -> None:
        self.block_size = block_size
        self.store: Store = (
            Int8Store(config, block_size, device=device)
            if kept_as == torch.int8
            else DenseStore(config, block_size, device=device, dtype=kept_as or dtype)
        )
        self._heads = config.num_key_value_heads
        self._device = device
        self._dtype = dtype
        self._paged_attention = paged_attention
        self._native_spans: tuple[Tensor, ...] = ()
        self._written = (torch.zeros(0, dtype=torch.long),) * 2
        self._groups = self._fresh, self._later, self._single, self._paged = _Group(), _Group(), _Group(), _Group()

    def begin(self, tables: Sequence[Sequence[int]], starts: Sequence[int], counts: Sequence[int]) -> None:
        """What the next pass holds: `counts[i]` new tokens, packed in this order, behind the `starts[i]` of table i."""
        self._groups = self._fresh, self._later, self._single, self._paged = _Group(), _Group(), _Group(), _Group()
        places: list[int] = []
        for table, start, count in zip(tables, starts, counts, strict=True):
            used = table[: -(-(start + count) // self.block_size)]
            self._reserve(1 + max(used))
            self._group_of(start, count).add(start, count, used, len(places))
            places += _places(used, start, count, self.block_size)
        places_T = torch.tensor(places, device=self._device)
        self._written = places_T // self.block_size, places_T % self.block_size
        for group in self._groups:
            self._prepare(group, len(places))

    def attend(self, layer: int, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> Tensor:
        """Stores the new keys and values, and lets each query see its own sequence up to itself.

        Rows beyond those of the pass are padding: they are not stored, and get zeros.
        """
        tokens = len(self._written[0])
        if len(q_THC) > tokens:
            out_THC = self.attend(layer, q_THC[:tokens], k_TKC[:tokens], v_TKC[:tokens])
            return F.pad(out_THC, (0, 0, 0, 0, 0, len(q_THC) - tokens))
        k_TKC, v_TKC = self.store.write(layer, self._written, k_TKC, v_TKC)
        out_THC = torch.empty_like(q_THC)
        if (fresh := self._fresh).counts:
            q, k, v = (_some(x, fresh) for x in (q_THC, k_TKC, v_TKC))
            out_THC = _put(out_THC, fresh, packed_attention(q, k, v, fresh.counts, causal=True))
        for group, attend in ((self._later, self._continue), (self._single, self._decode), (self._paged, self._native)):
            if group.counts:
                out_THC = _put(out_THC, group, attend(layer, _some(q_THC, group)))
        return out_THC

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Whole blocks, (from, to)."""
        if pairs:
            self._reserve(1 + max(target for _, target in pairs))
            sources, targets = torch.tensor(pairs, device=self._device).T
            self.store.copy(sources, targets)

    def wipe(self, blocks: Sequence[int]) -> None:
        """Zeros in place of values that went wrong: they would spoil whoever gets the block next.

        Blocks that were never written, as when a pass ended before it began, are left out.
        """
        written = [block for block in blocks if block < self.store.blocks]
        self.store.wipe(torch.tensor(written, dtype=torch.long, device=self._device))

    def export(self, blocks: Sequence[int]) -> dict[str, Tensor]:
        """A copy of what full blocks hold, for `restore` in any cache of the same kind."""
        return self.store.export(torch.tensor(blocks, device=self._device))

    def restore(self, blocks: Sequence[int], kept: Mapping[str, Tensor]) -> None:
        """Fills blocks with what `export` gave for as many, bit for bit."""
        self._reserve(1 + max(blocks))
        self.store.restore(torch.tensor(blocks, device=self._device), kept)

    def _group_of(self, start: int, count: int) -> _Group:
        if self._paged_attention is not None:
            return self._paged
        if not start and count > 1:
            return self._fresh
        return self._single if count == 1 else self._later

    def _reserve(self, blocks: int) -> None:
        if blocks > self.store.blocks:
            self.store.grow(max(FIRST_BLOCKS, blocks, 2 * self.store.blocks))

    def _prepare(self, group: _Group, tokens: int) -> None:
        """What all layers of a pass need alike."""
        if len(group.rows) < tokens:
            group.rows_T = torch.tensor(group.rows, device=self._device)
        if group is self._fresh or not group.counts:
            return
        longest = max(map(len, group.tables))
        padded = [[*table, *[0] * (longest - len(table))] for table in group.tables]
        group.tables_BN = torch.tensor(padded, device=self._device)
        if group is self._paged:
            spans = (group.tables_BN, torch.tensor(group.starts), torch.tensor(group.counts))
            self._native_spans = tuple(one.to(torch.int32) for one in spans)
        elif group is self._single:
            group.masks = [self._single_mask(group)]
        elif group is self._later:
            group.masks = self._later_masks(group)

    def _heads_of(self, tables_BN: Tensor) -> Tensor:
        """Rows of a pool whose blocks and heads are one axis: [B, K, N]."""
        return tables_BN[:, None] * self._heads + torch.arange(self._heads, device=self._device)[:, None]

    def _single_mask(self, group: _Group) -> Tensor | None:
        if len(set(group.starts)) == 1:
            return None
        starts_B111 = torch.tensor(group.starts, device=self._device)[:, None, None, None]
        return torch.arange(max(group.ends), device=self._device) <= starts_B111

    def _later_masks(self, group: _Group) -> list[Tensor | None]:
        spans = zip(group.starts, group.counts, strict=True)
        return [
            torch.ones(count, start + count, dtype=torch.bool, device=self._device).tril(start)
            for start, count in spans
        ]

    def _decode(self, layer: int, q_BHC: Tensor) -> Tensor:
        """One token of each sequence in one call. Query heads that share a key head are its rows: no key is copied."""
        group = self._single
        read = self.store.read(layer, self._heads_of(group.tables_BN))
        keys_BKSC, values_BKSC = (x[:, :, : max(group.ends)].to(q_BHC.dtype) for x in read)
        q_BKGC = q_BHC.unflatten(1, (self._heads, -1))
        out_BKGC = F.scaled_dot_product_attention(q_BKGC, keys_BKSC, values_BKSC, attn_mask=group.masks[0])
        return out_BKGC.flatten(1, 2)

    def _continue(self, layer: int, q_THC: Tensor) -> Tensor:
        """Further tokens of sequences, one by one: each over those it holds and itself."""
        group = self._later
        outs: list[Tensor] = []
        for i, q_LHC in enumerate(q_THC.split(group.counts)):
            read = self.store.read(layer, self._heads_of(group.tables_BN[i, : len(group.tables[i])][None]))
            keys_KSC, values_KSC = (x[0, :, : group.ends[i]].to(q_THC.dtype) for x in read)
            outs.append(_attend_one(q_LHC, keys_KSC, values_KSC, group.masks[i]))
        return torch.cat(outs)

    def _native(self, layer: int, q_THC: Tensor) -> Tensor:
        assert self._paged_attention is not None
        pools = self.store.pools(layer)
        return self._paged_attention(
            q_THC,
            pools.keys_NKSC,
            pools.values_NKSC,
            *self._native_spans,
            key_scales_NKS=pools.key_scales_NKS,
            value_scales_NKS=pools.value_scales_NKS,
        )


def _attend_one(q_LHC: Tensor, keys_KSC: Tensor, values_KSC: Tensor, mask_LS: Tensor | None) -> Tensor:
    q_KGLC = q_LHC.unflatten(1, (len(keys_KSC), -1)).permute(1, 2, 0, 3)
    group = q_KGLC.shape[1]
    keys_KGSC, values_KGSC = (x[:, None].expand(-1, group, -1, -1) for x in (keys_KSC, values_KSC))
    out_KGLC = F.scaled_dot_product_attention(q_KGLC, keys_KGSC, values_KGSC, attn_mask=mask_LS)
    return out_KGLC.permute(2, 0, 1, 3).flatten(1, 2)


def _places(table: Sequence[int], start: int, count: int, size: int) -> list[int]:
    """Numbers of places in a pool: block * size + place.

    >>> _places([5, 2], 3, 2, 4)
    [23, 8]
    """
    return [table[at // size] * size + at % size for at in range(start, start + count)]


def _some(x_THC: Tensor, group: _Group) -> Tensor:
    return x_THC if group.rows_T is None else x_THC[group.rows_T]


def _put(out_THC: Tensor, group: _Group, part_THC: Tensor) -> Tensor:
    if group.rows_T is None:
        return part_THC
    out_THC[group.rows_T] = part_THC
    return out_THC
