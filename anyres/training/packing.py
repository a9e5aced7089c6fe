"""Samples of any size into packs of two budgets, LLM tokens and ViT patches, without padding and without cutting.

In a pack the samples stand one behind the other. Positions start anew with each, attention stays inside each
(`CausalAttention` over `lengths`), and no token learns the first of the next sample: targets were set sample by sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anyres.model_input import Grid, VisualInput
from anyres.training.supervision import IGNORED, TrainingSample

__all__ = ["Budget", "PackedBatch", "best_fit", "collate"]


class Budget(NamedTuple):
    """What a pack, or a sample, holds: tokens of the language model, visual ones among them, and patches."""

    tokens: int
    patches: int


@dataclass(frozen=True)
class PackedBatch:
    """One pass of the model. N runs over the learnt tokens, M over the visual ones, of all samples.

    `learnt_N` are the places in the pack whose next token is learnt, `targets_N` those tokens, `weights_N` how much
    each counts. Row i of `model.encode(pixels(), grids)` belongs to place `visual_at_M[i]`. `item_samples[j]` is the
    index of the sample that item j (`grids[j]`) belongs to.
    """

    samples: tuple[TrainingSample, ...]
    token_ids_T: Tensor
    positions_3T: Tensor
    learnt_N: Tensor
    targets_N: Tensor
    weights_N: Tensor
    visual_at_M: Tensor
    pixels_PX: Tensor | None
    normalise_CV: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.samples)

    @property
    def extras(self) -> tuple[object, ...]:
        return tuple(one.extras for one in self.samples)

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(one.tokens for one in self.samples)

    @property
    def grids(self) -> tuple[Grid, ...]:
        return tuple(grid for one in self.samples for grid in one.grids)

    @property
    def item_samples(self) -> tuple[int, ...]:
        return tuple(index for index, one in enumerate(self.samples) for _ in one.grids)

    @property
    def learnt_samples(self) -> Tensor:
        """The index of the sample that each learnt token is of."""
        return self.token_samples[self.learnt_N]

    @property
    def token_samples(self) -> Tensor:
        """The index of the sample that each token is of."""
        lengths_B = torch.tensor(self.lengths, device=self.learnt_N.device)
        return torch.arange(len(lengths_B), device=lengths_B.device).repeat_interleave(lengths_B)

    @property
    def size(self) -> Budget:
        return Budget(sum(self.lengths), sum(one.patches for one in self.samples))

    def pixels(self) -> Tensor:
        """float32 [P, X], normalised, on the device the batch is on; the same bits as at inference."""
        assert self.pixels_PX is not None, "no pictures in this pack"
        if self.pixels_PX.is_floating_point() or self.pixels_PX.device.type == "cpu":
            return _normalised(self.pixels_PX, self.normalise_CV)
        channels, values = self.normalise_CV.shape
        first_C1 = values * torch.arange(channels, device=self.pixels_PX.device, dtype=torch.int32)[:, None]
        index_PCX = self.pixels_PX.unflatten(1, (channels, -1)).int() + first_C1
        return self.normalise_CV.flatten()[index_PCX].flatten(1)

    def to(self, device: torch.device) -> "PackedBatch":
        """With its tensors on another device; pixels travel as bytes."""
        if device.type == "cpu":
            return self
        moved: dict[str, Any] = {name: one.to(device) for name, one in vars(self).items() if isinstance(one, Tensor)}
        return replace(self, **moved)


def best_fit(sizes: Sequence[Budget], budget: Budget) -> list[int]:
    """Which waiting samples make the next pack: the one that waits longest, then each time the largest that fits.

    Every size alone fits the budget. A sample is as large as its larger share of the two budgets; of equal ones the
    longer waiting is taken.

    >>> best_fit([Budget(50, 0), Budget(10, 0), Budget(20, 90), Budget(30, 20)], Budget(100, 100))
    [0, 2, 1]
    """
    if not sizes:
        return []
    shares = [max(one.tokens / budget.tokens, one.patches / budget.patches) for one in sizes]
    by_share = sorted(range(1, len(sizes)), key=lambda index: (-shares[index], index))
    chosen, tokens, patches = [0], sizes[0].tokens, sizes[0].patches
    for index in by_share:  # once too large, always too large: what is left only shrinks
        one = sizes[index]
        if tokens + one.tokens <= budget.tokens and patches + one.patches <= budget.patches:
            chosen.append(index)
            tokens, patches = tokens + one.tokens, patches + one.patches
    return chosen


def collate(samples: Sequence[TrainingSample], *, normalise_CV: Tensor) -> PackedBatch:
    """One batch of some samples; `normalise_CV` is the processor's table for pixels that are still 8-bit."""
    targets_T = np.concatenate([one.targets_T for one in samples])
    learnt_N = np.flatnonzero(targets_T != IGNORED)
    return PackedBatch(
        samples=tuple(samples),
        token_ids_T=torch.from_numpy(np.concatenate([one.ids_T for one in samples])),
        positions_3T=torch.from_numpy(np.concatenate([one.positions_3T for one in samples], axis=1)),
        learnt_N=torch.from_numpy(learnt_N),
        targets_N=torch.from_numpy(targets_T[learnt_N]),
        weights_N=torch.from_numpy(np.concatenate([one.learnt_weights for one in samples])),
        visual_at_M=torch.from_numpy(np.flatnonzero(np.concatenate([one.visual_T for one in samples]))),
        pixels_PX=_all_pixels(samples, normalise_CV),
        normalise_CV=normalise_CV,
    )


def _all_pixels(samples: Sequence[TrainingSample], normalise_CV: Tensor) -> Tensor | None:
    arrays = [torch.from_numpy(pixels) for one in samples for pixels in one.pixels]
    if not arrays:
        return None
    if len({one.dtype for one in arrays}) > 1:
        arrays = [_normalised(one, normalise_CV) for one in arrays]
    return torch.cat(arrays)


def _normalised(pixels_PX: Tensor, normalise_CV: Tensor) -> Tensor:
    if pixels_PX.is_floating_point():
        return pixels_PX
    return VisualInput("item", "image", (1, 1, len(pixels_PX)), (0, 0), (0, 0), pixels_PX, normalise_CV).patches()
