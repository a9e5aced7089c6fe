"""The plain twins of the native kernels, in torch: the same arithmetic, rounded at the same places.

`linear` is what the tests hold the native one against; it is slow. Where there is no compiler, `exact_linear` is the
path to take: it is faster and rounds no activations. Shape letters as in packed.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from anyres.kernels.packed import PackedWeight, dequantize, unpack

__all__ = [
    "QuantizedActivations",
    "attention",
    "exact_linear",
    "layer_norm",
    "linear",
    "paged_attention",
    "quantize_activations",
    "quick_gelu",
    "rms_norm",
    "swiglu",
]

LARGEST = 127
SMALLEST = 2.0**-100
"""A group whose largest value is below this (8e-31) counts as zeros: 127 / 2^-100 is still a float32."""
QUICK_GELU_SLOPE = 1.702
KEYS = 64
"""Keys whose attention weights are rounded together."""
BLOCK_BYTES = 64 * 2**20
"""`exact_linear` holds about this much of the dequantised weight at a time."""


class QuantizedActivations(NamedTuple):
    """Whole numbers from -127 to 127 [T, G, group], and the value of a 1 in each group, float32 [T, G]."""

    codes_TGS: Tensor
    scales_TG: Tensor


def quantize_activations(x_TK: Tensor, group: int) -> QuantizedActivations:
    """Rounds each group of each token to whole 1/127ths of its largest value, ties to even.

    A group that holds a NaN or an infinity has scale NaN and codes 0, so that all that is computed from it is NaN.

    >>> quantize_activations(torch.tensor([[-254.0, 2.0, 3.0, 5.0]]), 4)
    QuantizedActivations(codes_TGS=tensor([[[-127.,    1.,    2.,    2.]]]), scales_TG=tensor([[2.]]))
    """
    padded_TK = F.pad(x_TK.float(), (0, -x_TK.shape[1] % group))
    x_TGS = padded_TK.unflatten(1, (-1, group))
    largest_TG = x_TGS.abs().amax(-1)
    finite_TG = x_TGS.isfinite().all(-1)
    used_TG = finite_TG & (largest_TG >= SMALLEST)
    # Not `LARGEST / largest_TG`: torch takes the reciprocal and multiplies, which rounds twice.
    steps_TG = torch.where(used_TG, torch.full_like(largest_TG, LARGEST) / largest_TG, 0.0)
    codes_TGS = (torch.where(used_TG[..., None], x_TGS, 0.0) * steps_TG[..., None]).round().clamp(-LARGEST, LARGEST)
    scales_TG = torch.where(used_TG, largest_TG / LARGEST, 0.0)
    return QuantizedActivations(codes_TGS, torch.where(finite_TG, scales_TG, torch.nan))


def linear(
    x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None, *, out_dtype: torch.dtype | None = None
) -> Tensor:
    """y_TN = x_TK w_NK^T + bias_N with activations rounded to int8: exact sums in a group, float32 between groups."""
    x = quantize_activations(x_TK, packed.group)
    codes_NK, scales_NG, minimums_NG = unpack(packed)
    codes_NGS = _padded(codes_NK, packed).float()
    scales_GN, minimums_GN = scales_NG.float().T, minimums_NG.float().T
    y_TN = x_TK.new_zeros(len(x_TK), packed.rows, dtype=torch.float32)
    for g in range(packed.groups):
        x_TS, scale_T1 = x.codes_TGS[:, g], x.scales_TG[:, g, None]
        y_TN = _multiply_add(x_TS @ codes_NGS[:, g].T, scale_T1 * scales_GN[g], y_TN)
        y_TN = _multiply_add(x_TS.sum(-1, keepdim=True) * scale_T1, minimums_GN[g], y_TN)
    y_TN = y_TN if bias_N is None else y_TN + bias_N.float()
    return y_TN.to(out_dtype or x_TK.dtype)


def rms_norm(x_TK: Tensor, weight_K: Tensor, eps: float) -> Tensor:
    """In float32."""
    x_TK = x_TK.float()
    return x_TK * (x_TK.square().mean(-1, keepdim=True) + eps).rsqrt() * weight_K.float()


def layer_norm(x_TK: Tensor, weight_K: Tensor, bias_K: Tensor, eps: float) -> Tensor:
    """In float32."""
    return F.layer_norm(x_TK.float(), weight_K.shape, weight_K.float(), bias_K.float(), eps)


def quick_gelu(x_TK: Tensor) -> Tensor:
    """In float32."""
    return x_TK.float() * torch.sigmoid(QUICK_GELU_SLOPE * x_TK.float())


def swiglu(gate_up_TX: Tensor) -> Tensor:
    """silu(first half) * second half, in float32."""
    gate_TF, up_TF = gate_up_TX.float().chunk(2, dim=-1)
    return F.silu(gate_TF) * up_TF


def exact_linear(
    x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None, *, out_dtype: torch.dtype | None = None
) -> Tensor:
    """y_TN = x_TK w_NK^T + bias_N in the dtype of x_TK, activations as they are; weights come in blocks of rows."""
    tiles = max(1, BLOCK_BYTES // (4 * 16 * packed.groups * packed.group))
    parts = [x_TK @ dequantize(block).to(x_TK.dtype).T for block in _blocks(packed, tiles)]
    y_TN = torch.cat(parts, dim=1)
    y_TN = y_TN if bias_N is None else y_TN + bias_N.to(y_TN.dtype)
    return y_TN.to(out_dtype or x_TK.dtype)


def attention(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: Sequence[int], *, causal: bool) -> Tensor:
    """out_THC: attention in each sequence, with all four of its operands rounded to 8 bits as the native kernel does.

    Queries and keys a token and head, keys after their mean is taken off (a softmax ignores it); values a channel and
    block of 64 keys; weights a query and block of 64 keys. Whole matrices of scores: for tests.
    """
    group = q_THC.shape[1] // k_TKC.shape[1]
    packs = zip(*(x.float().split(list(lengths)) for x in (q_THC, k_TKC, v_TKC)), strict=True)
    outs = [
        torch.stack(
            [_attend_head(q[:, h], k[:, h // group], v[:, h // group], causal) for h in range(q.shape[1])], dim=1
        )
        for q, k, v in packs
    ]
    return torch.cat(outs).to(q_THC.dtype)


def paged_attention(
    q_THC: Tensor,
    key_blocks_NKSC: Tensor,
    value_blocks_NKSC: Tensor,
    tables: Tensor,
    starts: Tensor,
    counts: Tensor,
    *,
    key_scales_NKS: Tensor | None = None,
    value_scales_NKS: Tensor | None = None,
) -> Tensor:
    """out_THC, as `cpu.paged_attention`: each sequence's blocks are gathered, and its queries attended in float32."""
    keys_NKSC, values_NKSC = (
        blocks.float() if scales is None else blocks.float() * scales[..., None]
        for blocks, scales in ((key_blocks_NKSC, key_scales_NKS), (value_blocks_NKSC, value_scales_NKS))
    )
    outs = []
    spans = zip(tables.long(), starts.tolist(), q_THC.float().split(counts.tolist()), strict=True)
    for table, start, q_LHC in spans:
        length = start + len(q_LHC)
        used = table[: -(-length // keys_NKSC.shape[2])]
        k_HSC, v_HSC = (
            x[used]
            .transpose(1, 2)
            .flatten(0, 1)[:length]
            .repeat_interleave(q_LHC.shape[1] // x.shape[1], 1)
            .transpose(0, 1)
            for x in (keys_NKSC, values_NKSC)
        )
        seen_LS = torch.ones(len(q_LHC), length, dtype=torch.bool).tril(start)
        outs.append(
            F.scaled_dot_product_attention(q_LHC.transpose(0, 1), k_HSC, v_HSC, attn_mask=seen_LS).transpose(0, 1)
        )
    return torch.cat(outs).to(q_THC.dtype) if outs else q_THC.clone()


def _attend_head(q_LC: Tensor, k_LC: Tensor, v_LC: Tensor, causal: bool) -> Tensor:
    scale = q_LC.shape[1] ** -0.5
    scores_LL = _rounded(q_LC * scale) @ _rounded(k_LC - k_LC.mean(0)).T
    if causal:
        scores_LL = scores_LL.masked_fill(torch.ones_like(scores_LL).triu(1) > 0, -torch.inf)
    weights_LS = F.pad((scores_LL - scores_LL.amax(1, keepdim=True)).exp(), (0, -len(k_LC) % KEYS))
    weights_LS = _rounded(weights_LS.unflatten(1, (-1, KEYS))).flatten(1)[:, : len(k_LC)]
    values_CS = F.pad(v_LC.T, (0, -len(k_LC) % KEYS)).unflatten(1, (-1, KEYS))
    return weights_LS @ _rounded(values_CS).flatten(1)[:, : len(k_LC)].T / weights_LS.sum(1, keepdim=True)


def _rounded(x: Tensor) -> Tensor:
    """x as 127ths of the largest value of each last axis."""
    rounded = quantize_activations(x.flatten(0, -2), x.shape[-1])
    return (rounded.codes_TGS * rounded.scales_TG[..., None]).view(x.shape)


def _blocks(packed: PackedWeight, tiles: int) -> list[PackedWeight]:
    """The same matrix as several, each of at most `tiles` tiles of 16 rows."""
    parts = zip(*(x.split(tiles) for x in (packed.codes, packed.scales, packed.minimums)), strict=True)
    return [
        PackedWeight(packed.bits, packed.group, min(packed.rows - 16 * tiles * i, 16 * tiles), packed.columns, *part)
        for i, part in enumerate(parts)
    ]


def _padded(codes_NK: Tensor, packed: PackedWeight) -> Tensor:
    stored = packed.groups * packed.group
    codes_NGS: Tensor = F.pad(codes_NK, (0, stored - packed.columns)).unflatten(1, (packed.groups, packed.group))
    return codes_NGS


def _multiply_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b + c rounded once, as the processors' instruction does: two float32 multiply exactly in float64."""
    return (a.double() * b.double() + c.double()).float()
