"""Rounds a weight so that its layer's output stays near: what one column loses, the columns after it make good.

Source: GPTQ (arXiv 2210.17323). Columns are rounded from left to right. The error of each is spread over those not
rounded yet, as far as calibration inputs show that their channels say the same: in the directions of the inverse of
X^T X. Scales are searched for group by group, from the weights as they have become.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from anyres.quant.affine import Affine
from anyres.quant.fit import STORED, fit, round_to

__all__ = ["Gram", "fit_compensated"]

SPAN = 4096  # columns whose products are kept together: bounds memory and time, which grow with its square and cube
DAMPING = 0.1  # of the mean square of a channel, added to each: directions that the inputs hardly show
GRAM_TOKENS = 4096  # rows multiplied at a time


class Gram:
    """Sums of products of what comes into a layer, X^T X, for spans of neighbouring columns."""

    def __init__(self, columns: int) -> None:
        self.tokens = 0
        width = -(-columns // -(-columns // SPAN))
        self._edges = [*range(0, columns, -(-width // 64) * 64), columns]
        self.spans = [torch.zeros(stop - start, stop - start) for start, stop in self._slices()]

    def add(self, x_TK: Tensor) -> None:
        """Counts rows, in float32 on the CPU."""
        self.tokens += len(x_TK)
        for rows_TK in x_TK.detach().split(GRAM_TOKENS):
            rows_TK = rows_TK.float().cpu()
            for (start, stop), total in zip(self._slices(), self.spans, strict=True):
                total.addmm_(rows_TK[:, start:stop].T, rows_TK[:, start:stop])

    def split(self, weight_NK: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The weight's columns of each span, and its sums."""
        for (start, stop), total in zip(self._slices(), self.spans, strict=True):
            yield weight_NK[:, start:stop], total

    def error(self, off_NK: Tensor) -> float:
        """Sum of squares that a change of the weight makes in the outputs of all rows counted."""
        return sum(float(((off @ total) * off).sum()) for off, total in self.split(off_NK))

    def _slices(self) -> list[tuple[int, int]]:
        return list(zip(self._edges, self._edges[1:], strict=False))


def fit_compensated(weight_NK: Tensor, gram: Gram, *, bits: int, group: int, unseen: Gram | None = None) -> Affine:
    """As `fit`, for the least error of the outputs on the inputs in `gram`.

    `unseen` holds other inputs: where rounding each weight by itself does better on them, that is what is given.
    """
    plain = fit(weight_NK, bits=bits, group=group)
    if gram.tokens == 0:
        return plain
    parts = [_fit_span(w_NK.float(), total, bits, group) for w_NK, total in gram.split(weight_NK)]
    codes_NK, scales_NG, minimums_NG = (torch.cat(one, dim=1) for one in zip(*parts, strict=True))
    made = Affine(codes_NK, scales_NG, minimums_NG, bits, group)
    if unseen is None or unseen.tokens == 0:
        return made
    errors = [unseen.error(one.values() - weight_NK.float()) for one in (made, plain)]
    return made if errors[0] <= errors[1] else plain


def _fit_span(weight_NK: Tensor, gram_KK: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, scales and minimums of columns whose inputs have these products."""
    w_NK, columns = weight_NK.clone(), weight_NK.shape[1]
    factor_KK = _inverse_factor(gram_KK)
    left_K = factor_KK.diagonal() ** -2  # of a channel, what the later ones do not say too
    codes_NK = torch.empty(w_NK.shape, dtype=torch.uint8)
    scales, minimums = [], []
    for start in range(0, columns, group):
        part = slice(start, min(columns, start + group))
        fitted = fit(w_NK[:, part], bits=bits, group=group, importance_K=left_K[part])
        scales.append(fitted.scales_NG)
        minimums.append(fitted.minimums_NG)
        codes_NK[:, part], missed_NS = _round_group(w_NK[:, part], fitted, factor_KK[part, part])
        w_NK[:, part.stop :] -= missed_NS @ factor_KK[part, part.stop :]
    return codes_NK, torch.cat(scales, dim=1).to(STORED), torch.cat(minimums, dim=1).to(STORED)


def _round_group(w_NS: Tensor, fitted: Affine, factor_SS: Tensor) -> tuple[Tensor, Tensor]:
    """Codes, and what each column missed by, in units of its factor. The columns of `w_NS` are changed on the way."""
    scale_N1, minimum_N1 = fitted.scales_NG.float(), fitted.minimums_NG.float()
    codes, missed_NS = torch.empty(w_NS.shape, dtype=torch.uint8), torch.empty_like(w_NS)
    for k in range(w_NS.shape[1]):
        code_N1 = round_to(w_NS[:, None, k : k + 1], scale_N1, minimum_N1, (1 << fitted.bits) - 1)[:, 0]
        off_N1 = (w_NS[:, k : k + 1] - (scale_N1 * code_N1 + minimum_N1)) / factor_SS[k, k]
        codes[:, k], missed_NS[:, k] = code_N1[:, 0], off_N1[:, 0]
        w_NS[:, k + 1 :] -= off_N1 * factor_SS[k, k + 1 :]
    return codes, missed_NS


def _inverse_factor(gram_KK: Tensor) -> Tensor:
    """U, upper triangular, with U^T U the inverse of the damped products; float64 inside."""
    damped_KK = gram_KK.double()
    mean = damped_KK.diagonal().mean()
    damped_KK.diagonal().add_(DAMPING * mean + (mean == 0))
    inverse_KK = torch.cholesky_inverse(torch.linalg.cholesky(damped_KK))
    factor_KK: Tensor = torch.linalg.cholesky(inverse_KK, upper=True)
    return factor_KK.float()
