"""Rounds weights to codes with the scale and minimum of each group chosen for the least error.

For every group: the range is clipped a little more at each try, weights are rounded, and scale and minimum are solved
again for those codes by least squares; the best try wins. Where calibration pictures were given, errors count by
`importance_K`, the mean square of what each input channel carries: the error of the layer's output, not of its weights.
"""

import torch
from torch import Tensor

from anyres.quant.affine import Affine

__all__ = ["fit", "round_to"]

CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # of the group's range
REFITS = 2
CHUNK_VALUES = 1 << 20  # weights fitted at a time: bounds the memory, about 30 bytes each
STORED = torch.float16  # of scales and minimums


def fit(weight_NK: Tensor, *, bits: int, group: int, importance_K: Tensor | None = None, search: bool = True) -> Affine:
    """Codes of 0..2^bits - 1 and float16 scales and minimums. K may be any number; the last group is filled up.

    `search=False` takes the whole range of each group as it is.
    """
    rows, columns = weight_NK.shape
    padded = -(-columns // group) * group
    weights = _weights(importance_K, columns, padded)
    chunk = max(1, CHUNK_VALUES // padded)
    codes = torch.empty(rows, padded, dtype=torch.uint8)
    scales, minimums = (torch.empty(rows, padded // group, dtype=STORED) for _ in range(2))
    for start in range(0, rows, chunk):
        w = torch.nn.functional.pad(weight_NK[start : start + chunk].float(), (0, padded - columns), value=torch.nan)
        w_RGg = _filled(w.unflatten(1, (-1, group)))
        part = slice(start, start + len(w))
        fitted = _fit_groups(w_RGg, weights.view(-1, group), (1 << bits) - 1, CLIPS if search else CLIPS[:1])
        codes[part], scales[part], minimums[part] = fitted[0].flatten(1), fitted[1], fitted[2]
    return Affine(codes[:, :columns], scales, minimums, bits, group)


def round_to(w_RGg: Tensor, scale_RG: Tensor, minimum_RG: Tensor, top: int) -> Tensor:
    """The code 0..top next to each weight, as float32."""
    step = scale_RG.where(scale_RG > 0, 1.0)[..., None]
    return ((w_RGg - minimum_RG[..., None]) / step).round_().clamp_(0, top)


def _weights(importance_K: Tensor | None, columns: int, padded: int) -> Tensor:
    """How much each column's error counts; 0 for what fills the last group, and something for channels never seen."""
    weights = torch.ones(columns) if importance_K is None else importance_K.float().clamp(min=0)
    mean = weights.mean()
    weights = weights / mean.where(mean > 0, 1.0) + 1e-3
    return torch.nn.functional.pad(weights, (0, padded - columns))


def _filled(w_RGg: Tensor) -> Tensor:
    """The columns beyond K repeat the group's first, so that they widen no range."""
    return torch.where(w_RGg.isnan(), w_RGg[..., :1], w_RGg)


def _fit_groups(w: Tensor, weights: Tensor, top: int, clips: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor]:
    low, high = w.amin(-1), w.amax(-1)
    best: tuple[Tensor, Tensor, Tensor] | None = None
    best_error = torch.full_like(low, torch.inf)
    for clip in clips:
        middle, half = (low + high) / 2, (high - low) / 2 * clip
        tried = _refine(w, weights, top, scale=2 * half / top, minimum=middle - half)
        error = _error(w, weights, *tried)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best = tried if best is None else _pick(better, tried, best)
    assert best is not None, "there is at least one clip"
    return best


def _refine(w: Tensor, weights: Tensor, top: int, *, scale: Tensor, minimum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rounds, solves for scale and minimum, rounds again; both are stored in float16 before the last rounding."""
    for _ in range(REFITS):
        scale, minimum = _solve(w, weights, round_to(w, scale, minimum, top), scale, minimum)
    scale, minimum = scale.to(STORED).float(), minimum.to(STORED).float()
    return round_to(w, scale, minimum, top).to(torch.uint8), scale, minimum


def _solve(w: Tensor, weights: Tensor, codes: Tensor, scale: Tensor, minimum: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted least squares of w = scale * code + minimum; groups of one code keep what they have."""
    total = weights.sum(-1)
    mean_code, mean_w = (codes * weights).sum(-1) / total, (w * weights).sum(-1) / total
    code_off, w_off = codes - mean_code[..., None], w - mean_w[..., None]
    spread = (weights * code_off * code_off).sum(-1)
    solved = (weights * code_off * w_off).sum(-1) / spread.where(spread > 0, 1.0)
    usable = (spread > 0) & (solved > 0)
    scale = torch.where(usable, solved, scale)
    return scale, torch.where(usable, mean_w - scale * mean_code, minimum)


def _error(w: Tensor, weights: Tensor, codes: Tensor, scale: Tensor, minimum: Tensor) -> Tensor:
    off = codes.float().mul_(scale[..., None]).add_(minimum[..., None]).sub_(w)
    return (weights * off * off).sum(-1)


def _pick(better: Tensor, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    codes = torch.where(better[..., None], first[0], second[0])
    return codes, torch.where(better, first[1], second[1]), torch.where(better, first[2], second[2])
