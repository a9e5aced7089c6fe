"""Keys and values of the tokens so far, for several sequences of different lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from anyres.config import TextConfig
from anyres.model.layers import packed_attention

__all__ = ["KVCache"]


@dataclass(frozen=True)
class _Step:
    """What one pass through the model adds: `counts[i]` tokens to row `rows[i]`, which holds `starts[i]` already."""

    rows: tuple[int, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def fresh(self) -> bool:
        return not any(self.starts)

    @property
    def decodes(self) -> bool:
        return all(count == 1 for count in self.counts)

    @property
    def longest(self) -> int:
        return max(start + count for start, count in zip(self.starts, self.counts, strict=True))


class KVCache:
    """The cache of one batch. `attend` is what the decoder calls in each layer.

    A pass is `begin(...)`, the model's forward with `attend`, `advance()`. Nothing counts as kept before `advance`, so
    a pass can be run again. Rows and places are allocated ahead and doubled when they run out. S counts places.
    """

    def __init__(
        self, config: TextConfig, *, device: torch.device, dtype: torch.dtype, sequences: int = 1, places: int = 256
    ) -> None:
        shape = (sequences, config.num_key_value_heads, places, config.head_dim)
        # Zeros, for a place that is masked out counts 0 times its value, and 0 times the NaN of fresh memory is NaN.
        layers = range(config.num_hidden_layers)
        self._keys_BKSC = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self._values_BKSC = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self._device = device
        self._lengths: list[int] = []  # of each row in use; rows in use are always the first ones
        self._row_of: dict[int, int] = {}
        self._added = 0
        self._step = _Step((), (), ())
        self._order_B: Tensor | None = None
        self._rows_B = self._places_B = torch.zeros(0, dtype=torch.long)
        self._masks: tuple[Tensor | None, ...] = ()

    @property
    def places(self) -> int:
        """Tokens a sequence can hold before the next doubling."""
        return self._keys_BKSC[0].shape[2]

    def add(self) -> int:
        """A new empty sequence; the number returned names it from now on."""
        if len(self._lengths) == len(self._keys_BKSC[0]):
            self._grow(2 * len(self._lengths), self.places)
        name, self._added = self._added, self._added + 1
        self._row_of[name] = len(self._lengths)
        self._lengths.append(0)
        return name

    def drop(self, sequence: int) -> None:
        """Forgets a sequence. The last row moves to its place, so that decoding never reads rows in between."""
        row, last = self._row_of.pop(sequence), len(self._lengths) - 1
        if row != last:
            kept = self._lengths[last]
            for cache_BKSC in (*self._keys_BKSC, *self._values_BKSC):
                cache_BKSC[row, :, :kept] = cache_BKSC[last, :, :kept]
            self._lengths[row] = kept
            self._row_of = {name: row if at == last else at for name, at in self._row_of.items()}
        self._lengths.pop()

    def length(self, sequence: int) -> int:
        """Tokens kept of a sequence."""
        return self._lengths[self._row_of[sequence]]

    def begin(self, sequences: Sequence[int], counts: Sequence[int]) -> None:
        """Says what the next pass holds: `counts[i]` new tokens of `sequences[i]`, packed in this order."""
        rows = tuple(self._row_of[sequence] for sequence in sequences)
        self._step = step = _Step(rows, tuple(self._lengths[row] for row in rows), tuple(counts))
        if step.longest > self.places:
            self._grow(len(self._keys_BKSC[0]), _doubled(self.places, step.longest))
        if step.decodes:
            self._prepare_decode(step)
        else:
            spans = zip(step.starts, step.counts, strict=True)
            self._masks = tuple(self._later_mask(start, count) for start, count in spans)

    def advance(self) -> None:
        """The tokens of the pass are kept."""
        for row, start, count in zip(self._step.rows, self._step.starts, self._step.counts, strict=True):
            self._lengths[row] = start + count

    def attend(self, layer: int, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> Tensor:
        """Stores the new keys and values, and lets each query see its own sequence up to itself."""
        if self._step.decodes:
            return self._decode(layer, q_THC, k_TKC, v_TKC)
        counts = list(self._step.counts)
        packs = list(zip(*(x.split(counts) for x in (q_THC, k_TKC, v_TKC)), strict=True))
        for row, start, (_, k_LKC, v_LKC) in zip(self._step.rows, self._step.starts, packs, strict=True):
            self._keys_BKSC[layer][row, :, start : start + len(k_LKC)] = k_LKC.transpose(0, 1)
            self._values_BKSC[layer][row, :, start : start + len(v_LKC)] = v_LKC.transpose(0, 1)
        if self._step.fresh:
            return packed_attention(q_THC, k_TKC, v_TKC, counts, causal=True)
        return torch.cat([self._continue(layer, i, q_LHC) for i, (q_LHC, _, _) in enumerate(packs)])

    def _prepare_decode(self, step: _Step) -> None:
        self._rows_B = torch.tensor(step.rows, device=self._device)
        self._places_B = torch.tensor(step.starts, device=self._device)
        whole = sorted(step.rows) == list(range(len(step.rows)))
        self._order_B = self._rows_B.argsort() if whole else None
        ordered_B = self._places_B if self._order_B is None else self._places_B[self._order_B]
        mask_B11S = torch.arange(step.longest, device=self._device) <= ordered_B[:, None, None, None]
        self._masks = (None if len(set(step.starts)) == 1 else mask_B11S,)

    def _decode(self, layer: int, q_BHC: Tensor, k_BKC: Tensor, v_BKC: Tensor) -> Tensor:
        """One token of every sequence in one call. Query heads that share a key head are its rows: no key is copied."""
        keys_BKSC, values_BKSC = self._keys_BKSC[layer], self._values_BKSC[layer]
        keys_BKSC[self._rows_B, :, self._places_B] = k_BKC
        values_BKSC[self._rows_B, :, self._places_B] = v_BKC
        q_BKGC = q_BHC.unflatten(1, (keys_BKSC.shape[1], -1))
        if self._order_B is None:  # some rows sit this pass out
            keys_BKSC, values_BKSC = keys_BKSC[self._rows_B], values_BKSC[self._rows_B]
        else:
            q_BKGC = q_BKGC[self._order_B]
        window = slice(len(q_BKGC)), slice(None), slice(self._step.longest)
        out_BKGC = F.scaled_dot_product_attention(
            q_BKGC, keys_BKSC[window], values_BKSC[window], attn_mask=self._masks[0]
        )
        out_BHC = out_BKGC.flatten(1, 2)
        return out_BHC if self._order_B is None else out_BHC[self._rows_B]

    def _continue(self, layer: int, index: int, q_LHC: Tensor) -> Tensor:
        """Attention of further tokens of one sequence over those it holds and themselves."""
        row, longest = self._step.rows[index], self._step.starts[index] + self._step.counts[index]
        keys_KSC, values_KSC = (cache[layer][row, :, :longest] for cache in (self._keys_BKSC, self._values_BKSC))
        q_KGLC = q_LHC.unflatten(1, (len(keys_KSC), -1)).permute(1, 2, 0, 3)
        group = q_KGLC.shape[1]
        keys_KGSC, values_KGSC = (x[:, None].expand(-1, group, -1, -1) for x in (keys_KSC, values_KSC))
        out_KGLC = F.scaled_dot_product_attention(q_KGLC, keys_KGSC, values_KGSC, attn_mask=self._masks[index])
        return out_KGLC.permute(2, 0, 1, 3).flatten(1, 2)

    def _later_mask(self, start: int, count: int) -> Tensor | None:
        if count == 1 or self._step.fresh:
            return None
        return torch.ones(count, start + count, dtype=torch.bool, device=self._device).tril(start)

    def _grow(self, rows: int, places: int) -> None:
        for caches in (self._keys_BKSC, self._values_BKSC):
            for layer, old_BKSC in enumerate(caches):
                caches[layer] = old_BKSC.new_zeros(rows, old_BKSC.shape[1], places, old_BKSC.shape[3])
                caches[layer][: len(old_BKSC), :, : old_BKSC.shape[2]] = old_BKSC


def _doubled(size: int, needed: int) -> int:
    while size < needed:
        size *= 2
    return size
