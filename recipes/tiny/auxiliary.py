"""The dense teachers of the embedded checkpoint: heads that training drops afterwards."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.tiny.batches import IGNORED, LONGEST, Batch, per_question
from recipes.tiny.factory import CLASSES
from recipes.tiny.lines import SLOTS
from recipes.tiny.places import BOX, CENTRES, CHANGE, COLOUR, MOTION, PRESENCE, SHAPE
from recipes.tiny.scenes import MOST
from recipes.tiny.things import COLOURS, SHAPES

__all__ = ["AuxiliaryHead", "Tapped"]

Figures = dict[str, float]
MOST_CENTRES = 2
MOST_CELLS = 12
"""Rows or columns of a picture of things, less one."""
SIDE = 7
"""Rows or columns of the largest picture of things, and the tokens from a question's end to its answer."""
PARTS = slice(5, 9)
TOLD_BOX, TOLD_CENTRES, TOLD_MOTION = slice(0, 4), slice(4, 5 + MOST_CENTRES), slice(5 + MOST_CENTRES, 8 + MOST_CENTRES)


class Tapped(NamedTuple):
    """Hidden states within the decoder: of the visual tokens after an early layer; of the SIDE tokens up to the one
    where the answer begins, after that and after a later one; and after the later one, where each of the answers'
    tokens is told, and their samples."""

    visual_MD: Tensor
    early_BSD: Tensor
    late_BSD: Tensor
    late_ND: Tensor
    sample_N: Tensor


class AuxiliaryHead(nn.Module):
    """What lies in each visual token's 28x28 cell, and where.

    Names: SLOTS classes from left to right, the last class meaning nothing. Of print, the place in the answer. Of
    things, the box, the number of centres, the colour and shape of what is centred there, and the motion. All these are
    told from the vision encoder's output. Where a cell lies in the picture, only the decoder can know: its visual
    tokens tell the box measured from the top left corner (of what comes after them they know nothing, so not in parts
    of the picture). Where the answer begins, an early layer tells the picture's rows and columns, and all tokens
    between question and answer what the question names. A later one tells for each token of the answer whether that
    is there, and where: from the corner in cells, and in parts of the picture. There, each of the tokens between
    question and answer also has a row of the picture to count: how many of the things that the question is about
    have their centre in each of its cells, and in all of them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, SLOTS * (len(CLASSES) + 1))
        self.order = nn.Linear(width, LONGEST)
        self.places = nn.Linear(width, TOLD_MOTION.stop)
        self.centred = nn.Linear(width, len(COLOURS) + 1 + len(SHAPES) + 1)
        self.decoder_norm = nn.LayerNorm(width)
        self.absolute = nn.Linear(width, 4)
        self.sizes = nn.Linear(width, 2 * MOST_CELLS)
        self.asked = nn.Linear(width, len(COLOURS) + 1 + len(SHAPES) + 1)
        self.late_norm = nn.LayerNorm(width)
        self.referent = nn.Linear(width, 9)
        self.row_cells = nn.Linear(width, SIDE * (MOST_CENTRES + 1))
        self.row_counts = nn.Linear(width, MOST + 1)
        self.row_number = nn.Linear(width, 1)
        nn.init.zeros_(self.row_number.weight)

    def loss(self, visual_MD: Tensor, batch: Batch, tapped: Tapped | None = None) -> tuple[Tensor, Figures]:
        """Loss summed over the slots of a cell, plus that of the order and of the places; the shares told right."""
        assert batch.cells_MS is not None
        normed_MD = self.norm(visual_MD)
        logits = self.out(normed_MD).view(-1, len(CLASSES) + 1)
        target = torch.where(batch.cells_MS < 0, len(CLASSES), batch.cells_MS).flatten()
        full = target < len(CLASSES)
        figures = {"cells": float((logits.argmax(-1) == target)[full].float().mean())}
        loss = SLOTS * F.cross_entropy(logits, target)
        figures["aux"] = loss.item()
        if batch.order_M is not None:
            order = self.order(normed_MD)
            known = batch.order_M != IGNORED
            loss = loss + F.cross_entropy(order, batch.order_M, ignore_index=IGNORED)
            figures["order"] = float((order.argmax(-1) == batch.order_M)[known].float().mean())
        if batch.places_MX is not None:
            for name, part in self._place_losses(normed_MD, batch.places_MX).items():
                loss = loss + part
                figures[name] = part.item()
        if batch.places_MX is not None and tapped is not None:
            for name, part in (self._position_losses(tapped, batch) | self._question_losses(tapped, batch)).items():
                loss = loss + part
                figures[name] = part.item()
        if batch.spread_BM is not None and tapped is not None:
            for name, part in self._count_losses(tapped, batch.spread_BM, batch).items():
                loss = loss + part
                figures[name] = part.item()
        return loss, figures

    def _place_losses(self, normed_MD: Tensor, places_MX: Tensor) -> dict[str, Tensor]:
        told = self.places(normed_MD).float()
        centres = F.cross_entropy(told[:, TOLD_CENTRES], places_MX[:, CENTRES].clamp(max=MOST_CENTRES).long())
        colours, shapes = self.centred(normed_MD).float().split((len(COLOURS) + 1, len(SHAPES) + 1), dim=-1)
        kinds = ((colours, COLOUR), (shapes, SHAPE))
        centred = [_cross_entropy(logits, _class_ids(places_MX[:, column])) for logits, column in kinds]
        losses = {"centres": centres, "centred": 2 * torch.stack(centred).sum()}
        boxed = places_MX[:, BOX].isfinite().all(-1)
        if boxed.any():
            losses["box"] = 0.5 * F.smooth_l1_loss(told[boxed, TOLD_BOX], places_MX[boxed, BOX], beta=0.1)
        filmed = places_MX[:, CHANGE].isfinite()
        if filmed.any():
            wanted = places_MX[filmed, MOTION.start : CHANGE + 1]
            losses["motion"] = F.smooth_l1_loss(told[filmed, TOLD_MOTION], wanted, beta=0.1)
        return losses

    def _position_losses(self, tapped: Tapped, batch: Batch) -> dict[str, Tensor]:
        assert batch.places_MX is not None
        rows, columns = batch.grid[1] // 2, batch.grid[2] // 2
        cell = torch.arange(len(batch.places_MX)) % (rows * columns)
        middle = torch.stack([cell % columns, cell // columns], dim=-1).repeat(1, 2) + 0.5
        wanted = per_question(batch.places_MX[:, BOX] + middle, batch)
        boxed = wanted.isfinite().all(-1)
        told = self.absolute(self.decoder_norm(tapped.visual_MD[boxed])).float()
        sizes = self.sizes(self.decoder_norm(tapped.early_BSD[:, -1])).float().unflatten(-1, (2, MOST_CELLS))
        size = torch.tensor([rows, columns]).expand(len(sizes), 2)
        return {
            "absolute": 0.5 * F.smooth_l1_loss(told, wanted[boxed], beta=0.1) if boxed.any() else 0 * told.sum(),
            "size": 0.1 * F.cross_entropy(sizes.flatten(0, 1), size.flatten()),
        }

    def _question_losses(self, tapped: Tapped, batch: Batch) -> dict[str, Tensor]:
        named = self.asked(self.decoder_norm(tapped.early_BSD)).float().flatten(0, 1)
        wanted = batch.asked_B7[:, :2].long().repeat_interleave(SIDE, dim=0)
        colours, shapes = named.split((len(COLOURS) + 1, len(SHAPES) + 1), dim=-1)
        losses = {"asked": 0.2 * _cross_entropy(colours, wanted[:, 0]) + 0.2 * _cross_entropy(shapes, wanted[:, 1])}
        referent = batch.asked_B7[tapped.sample_N, 2:]
        told = self.referent(self.late_norm(tapped.late_ND)).float()
        known, there = referent[:, PRESENCE].isfinite(), referent[:, BOX].isfinite().all(-1)
        if known.any():
            losses["there"] = F.binary_cross_entropy_with_logits(told[known, PRESENCE], referent[known, PRESENCE])
        if there.any():
            box = referent[there, BOX]
            size = torch.tensor([batch.grid[2], batch.grid[1]] * 2) / 2
            losses["referent"] = 0.5 * F.smooth_l1_loss(told[there, BOX], box, beta=0.1)
            losses["parts"] = 2 * F.smooth_l1_loss(told[there, PARTS], box / size, beta=0.02)
        return losses

    def _count_losses(self, tapped: Tapped, spread_BM: Tensor, batch: Batch) -> dict[str, Tensor]:
        rows, columns = batch.grid[1] // 2, batch.grid[2] // 2
        late_BSD = self.late_norm(tapped.late_BSD)
        cells = self.row_cells(late_BSD).float().unflatten(-1, (SIDE, -1))[:, :rows, :columns]
        wanted_BRC = spread_BM.unflatten(-1, (rows, columns))
        in_rows_BS = F.pad(wanted_BRC.sum(-1), (0, SIDE - rows))
        counts = self.row_counts(late_BSD).float()
        numbers_BS = self.row_number(late_BSD).float().squeeze(-1)
        return {
            "spread": 0.5 * _sum_of_each(cells, wanted_BRC.clamp(max=MOST_CENTRES)),
            "rows": _sum_of_each(counts, in_rows_BS),
            "numbers": SIDE * F.smooth_l1_loss(numbers_BS, in_rows_BS.float(), beta=0.1),
            "total": F.smooth_l1_loss(numbers_BS.sum(-1), in_rows_BS.sum(-1).float(), beta=0.1),
        }


def _sum_of_each(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy summed over the classified of one question, mean over questions, which are the first axis."""
    return F.cross_entropy(logits.flatten(0, -2), wanted.flatten(), reduction="sum") / len(wanted)


def _class_ids(column_M: Tensor) -> Tensor:
    """NaN, which stands for what is not known, as IGNORED."""
    return torch.where(column_M.isnan(), IGNORED, column_M).long()


def _cross_entropy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """The sum over known targets divided by all, so that no known one gives 0."""
    return F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORED, reduction="sum") / len(targets_N)
