"""Parts that the vision encoder and the language model share: packed attention and rotary positions.

Shape letters of anyres/model:
    T packed tokens of all sequences     P patches             M merged visual tokens (P/4)
    N any run of rows                    X 1176 values a patch D width
    H query heads                        K key/value heads     C width of a head
    B sequences                          L length of one       F width of the MLP
    V vocabulary                         3 the (t, h, w) axes
"""

import functools
import inspect
from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["packed_attention", "rotary_frequencies", "rotate"]

SHORT = 256
"""Longest sequence whose scores are kept for a backward pass on a CPU; docs/decisions.md has the figures."""


def rotary_frequencies(width: int, theta: float, device: torch.device) -> Tensor:
    """`width/2` angular frequencies theta^(-2k/width), float32.

    >>> rotary_frequencies(4, 10_000.0, torch.device("cpu"))
    tensor([1.0000, 0.0100])
    """
    exponents = torch.arange(0, width, 2, dtype=torch.int64, device=device).float() / width
    return 1.0 / (theta**exponents)


def rotate(x_THC: Tensor, cos_TC: Tensor, sin_TC: Tensor) -> Tensor:
    """Turns channel pairs (i, i + C/2) of every head by the angle of the token's position."""
    first, second = x_THC.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return x_THC * cos_TC[:, None] + turned * sin_TC[:, None]


def packed_attention(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: Sequence[int], *, causal: bool) -> Tensor:
    """Attention inside each of the packed sequences, none across them. Returns out_THC.

    Sequence i holds the next `lengths[i]` tokens. No mask of T x T is built: equally long sequences go through one
    batched call, others one by one, so memory grows with the longest sequence and not with the pack. On a GPU, in 16
    bits, others go through one call too.
    """
    if len(set(lengths)) > 1 and _fits_one_call(q_THC, k_TKC, v_TKC):
        return _attend_in_one_call(q_THC, k_TKC, v_TKC, lengths, causal)
    group = q_THC.shape[1] // k_TKC.shape[1]
    if group > 1:
        k_TKC, v_TKC = (x.repeat_interleave(group, dim=1) for x in (k_TKC, v_TKC))
    if len(set(lengths)) == 1:
        q, k, v = (x.unflatten(0, (len(lengths), lengths[0])).transpose(1, 2) for x in (q_THC, k_TKC, v_TKC))
        short_and_trained = q.requires_grad and q.device.type == "cpu" and lengths[0] <= SHORT
        attend = _attend_plainly if short_and_trained else F.scaled_dot_product_attention
        out_BHLC: Tensor = attend(q, k, v, is_causal=causal)
        return out_BHLC.transpose(1, 2).flatten(0, 1)
    sequences = zip(*(x.split(list(lengths)) for x in (q_THC, k_TKC, v_TKC)), strict=True)
    return torch.cat([_attend_one(q, k, v, causal) for q, k, v in sequences])


def _fits_one_call(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> bool:
    """FlashAttention: 16 bits, heads of up to 256 channels in eights."""
    narrow = q_THC.dtype in (torch.bfloat16, torch.float16) and q_THC.dtype == k_TKC.dtype == v_TKC.dtype
    width = q_THC.shape[2]
    return q_THC.is_cuda and narrow and width <= 256 and width % 8 == 0 and _has_one_call(q_THC.device)


@functools.cache
def _has_one_call(device: torch.device) -> bool:
    """Whether this torch has it in the form that is called here, and the GPU compute capability 8 or later."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    known = {"window_size", "enable_gqa"} <= set(inspect.signature(varlen_attn).parameters)
    built = torch.backends.cuda.is_flash_attention_available()
    return known and built and torch.cuda.get_device_capability(device) >= (8, 0)


def _attend_in_one_call(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: Sequence[int], causal: bool) -> Tensor:
    from torch.nn.attention import varlen

    cu_seqlens = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=q_THC.device)
    longest, window = max(lengths), (-1, 0 if causal else -1)
    spans = (cu_seqlens, cu_seqlens, longest, longest)
    out_THC = varlen.varlen_attn(q_THC, k_TKC, v_TKC, *spans, window_size=window, enable_gqa=True)
    assert isinstance(out_THC, Tensor)
    return out_THC


def _attend_plainly(q_BHLC: Tensor, k_BHLC: Tensor, v_BHLC: Tensor, is_causal: bool) -> Tensor:
    """With the matrix of scores in memory: on CPUs the fused call's backward pass is slower up to a length of SHORT."""
    scores_BHLL = (q_BHLC * q_BHLC.shape[-1] ** -0.5) @ k_BHLC.transpose(-1, -2)
    if is_causal:
        length = scores_BHLL.shape[-1]
        later_LL = torch.ones(length, length, dtype=torch.bool, device=scores_BHLL.device).triu(1)
        scores_BHLL = scores_BHLL.masked_fill(later_LL, -torch.inf)
    exact = torch.promote_types(scores_BHLL.dtype, torch.float32)
    weights_BHLL: Tensor = scores_BHLL.softmax(-1, dtype=exact).to(v_BHLC.dtype)
    return weights_BHLL @ v_BHLC


def _attend_one(q_LHC: Tensor, k_LHC: Tensor, v_LHC: Tensor, causal: bool) -> Tensor:
    """For training on a CPU in float32: bfloat16 is no faster there, and compiles anew for each length (20 ms)."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q_LHC, k_LHC, v_LHC))
    if not (q.requires_grad and q.device.type == "cpu"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)[0].transpose(0, 1)
    with torch.autocast("cpu", enabled=False):
        out_HLC = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=causal)[0]
    return out_HLC.transpose(0, 1).to(v.dtype)
