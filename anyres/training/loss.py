"""The loss of one pack, and the seam for a second teacher."""

import threading
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.training.packing import PackedBatch

__all__ = ["Auxiliary", "PackLoss", "StepTotals", "Tap", "pack_loss"]


class Auxiliary(Protocol):
    """A module (`nn.Module`, trained and saved with the model, not exported) whose loss is added.

    `loss` gets the visual tokens, the decoder's hidden tokens after the tapped layer (all T of them, None without a
    tap) and the batch, whose `extras` hold what the caller's examples carried. It gives the mean over the pack's visual
    tokens, times any weight, and figures for the curves. Packs without pictures are not shown to it.
    """

    def loss(
        self, visual_MD: Tensor, tapped_TD: Tensor | None, batch: PackedBatch
    ) -> tuple[Tensor, Mapping[str, float]]: ...


class StepTotals(NamedTuple):
    """Of all packs of a step: the weight of the learnt tokens, and the visual tokens."""

    weight: float
    visual_tokens: int

    @staticmethod
    def of(packs: tuple[PackedBatch, ...]) -> "StepTotals":
        return StepTotals(
            sum(float(pack.weights_N.double().sum()) for pack in packs), sum(len(pack.visual_at_M) for pack in packs)
        )


class PackLoss(NamedTuple):
    """`total` is what is differentiated; `answers` the part of it that is the answers'; figures of the auxiliary.

    `told_B` is the share of each sample's learnt tokens that are the likeliest where they stand.
    """

    total: Tensor
    answers: Tensor
    figures: Mapping[str, float]
    told_B: Tensor


class Tap:
    """The output of a decoder layer in the last pass of each thread."""

    def __init__(self, model: Qwen2VL, layer: int) -> None:
        self._hidden: dict[int, Tensor] = {}
        model.model.layers[layer].register_forward_hook(self._keep)

    def take(self) -> Tensor:
        return self._hidden.pop(threading.get_ident())

    def _keep(self, layer: nn.Module, given: tuple[object, ...], hidden_TD: Tensor) -> None:
        del layer, given
        self._hidden[threading.get_ident()] = hidden_TD


def pack_loss(
    model: Qwen2VL,
    batch: PackedBatch,
    totals: StepTotals,
    *,
    auxiliary: Auxiliary | None = None,
    tap: Tap | None = None,
) -> PackLoss:
    """The pack's share of the step's loss: its sum over learnt tokens, divided by the weight of the whole step.

    The shares of all packs add up to the mean over the step, however the samples are dealt out to packs.
    """
    visual_MD = model.encode(batch.pixels(), batch.grids) if batch.grids else None
    embeds_TD = model.embed(batch.token_ids_T, visual_MD)
    hidden_TD = model(embeds_TD, batch.positions_3T, CausalAttention(batch.lengths))
    logits_NV = model.head(hidden_TD.index_select(0, batch.learnt_N))
    loss_N = F.cross_entropy(logits_NV, batch.targets_N, reduction="none")
    answers = (loss_N * batch.weights_N).sum() / totals.weight
    tapped_TD = tap.take() if tap is not None else None
    told_B = _told(logits_NV.detach(), batch)
    if auxiliary is None or visual_MD is None:
        return PackLoss(answers, answers.detach(), {}, told_B)
    extra, figures = auxiliary.loss(visual_MD, tapped_TD, batch)
    share = len(visual_MD) / totals.visual_tokens
    return PackLoss(answers + share * extra, answers.detach(), figures, told_B)


def _told(logits_NV: Tensor, batch: PackedBatch) -> Tensor:
    right_N = (logits_NV.argmax(-1) == batch.targets_N).float()
    sums_2B = right_N.new_zeros(2, len(batch.samples))
    sums_2B.index_add_(1, batch.learnt_samples, torch.stack([right_N, torch.ones_like(right_N)]))
    return sums_2B[0] / sums_2B[1]
