"""The native attention: in 8 bits, in float32, and in float32 over a cache that is kept in blocks."""

import ctypes
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels.library import TYPES, Isa, best_isa, native_with

__all__ = ["attention", "exact_attention", "paged_attention"]

WIDEST_HEAD = 128
UNFIT = 2
"""What the native call returns where a table names memory that is not the cache's."""


class _Attention(ctypes.Structure):
    _fields_ = (
        ("q", ctypes.c_void_p),
        ("k", ctypes.c_void_p),
        ("v", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("sequences", ctypes.c_int64),
        ("q_stride", ctypes.c_int64),
        ("k_stride", ctypes.c_int64),
        ("v_stride", ctypes.c_int64),
        ("out_stride", ctypes.c_int64),
        ("heads", ctypes.c_int32),
        ("kv_heads", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("causal", ctypes.c_int32),
        ("type", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("isa", ctypes.c_int32),
        ("scale", ctypes.c_float),
    )


class _PagedAttention(ctypes.Structure):
    _fields_ = (
        ("q", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("key_scales", ctypes.c_void_p),
        ("value_scales", ctypes.c_void_p),
        ("tables", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("sequences", ctypes.c_int64),
        ("tokens", ctypes.c_int64),
        ("blocks", ctypes.c_int64),
        ("table_size", ctypes.c_int64),
        ("table_stride", ctypes.c_int64),
        ("q_stride", ctypes.c_int64),
        ("out_stride", ctypes.c_int64),
        ("heads", ctypes.c_int32),
        ("kv_heads", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("block_size", ctypes.c_int32),
        ("type", ctypes.c_int32),
        ("cache_type", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("isa", ctypes.c_int32),
        ("scale", ctypes.c_float),
    )


def attention(
    q_THC: Tensor,
    k_TKC: Tensor,
    v_TKC: Tensor,
    lengths: Sequence[int],
    *,
    causal: bool,
    threads: int | None = None,
    isa: Isa | None = None,
) -> Tensor:
    """out_THC, as `anyres.model.layers.packed_attention`: sequence i holds the next `lengths[i]` tokens.

    Queries, keys, values and weights are rounded to 8 bits; no matrix of scores is held. Heads are at most 128 wide.
    All three have one dtype, float32 or bfloat16. A machine without the kernels raises OptionError: ask `best_isa`.
    """
    return _packed("anyres_attention", (q_THC, k_TKC, v_TKC), lengths, causal=causal, threads=threads, isa=isa)


def exact_attention(
    q_THC: Tensor,
    k_TKC: Tensor,
    v_TKC: Tensor,
    lengths: Sequence[int],
    *,
    causal: bool,
    threads: int | None = None,
    isa: Isa | None = None,
) -> Tensor:
    """The same with all sums and products in float32, nothing rounded but the result."""
    return _packed("anyres_exact_attention", (q_THC, k_TKC, v_TKC), lengths, causal=causal, threads=threads, isa=isa)


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
    threads: int | None = None,
    isa: Isa | None = None,
) -> Tensor:
    """out_THC: sequence b holds the next `counts[b]` queries, of which query i sees places 0 to `starts[b] + i`.

    Place s of sequence b is place s % S of block `tables[b, s // S]`. Tables, starts and counts are int32. The cache is
    float32, bfloat16 or, with scales, int8; sums are float32, and no matrix of scores is held. A query gets the same
    bits whatever stands beside it in the call. Heads are at most 128 wide. A machine without the kernels raises
    OptionError: ask `best_isa`, and take `reference.paged_attention`.
    """
    chosen = isa if isa is not None else best_isa() or Isa.SCALAR
    native = native_with(chosen)
    tokens, heads, width = q_THC.shape
    _check_cache(q_THC, key_blocks_NKSC, value_blocks_NKSC, key_scales_NKS, value_scales_NKS)
    _check_tables(tables, starts, counts)
    q_THC = _side_by_side(q_THC)
    out_THC = torch.empty(tokens, heads, width, dtype=q_THC.dtype)
    call = _PagedAttention(
        q_THC.data_ptr(),
        out_THC.data_ptr(),
        key_blocks_NKSC.data_ptr(),
        value_blocks_NKSC.data_ptr(),
        None if key_scales_NKS is None else key_scales_NKS.data_ptr(),
        None if value_scales_NKS is None else value_scales_NKS.data_ptr(),
        tables.data_ptr(),
        starts.data_ptr(),
        counts.data_ptr(),
        len(counts),
        tokens,
        len(key_blocks_NKSC),
        tables.shape[1],
        tables.stride(0),
        q_THC.stride(0),
        heads * width,
        heads,
        key_blocks_NKSC.shape[1],
        width,
        key_blocks_NKSC.shape[2],
        TYPES[q_THC.dtype],
        TYPES[key_blocks_NKSC.dtype],
        torch.get_num_threads() if threads is None else threads,
        chosen,
        width**-0.5,
    )
    failed = native.anyres_paged_attention(ctypes.byref(call))
    assert failed != UNFIT, f"tables, starts and counts do not fit {tokens} queries and {len(key_blocks_NKSC)} blocks"
    if failed:
        raise MemoryError(f"scratch memory for attention over {tokens} tokens")
    return out_THC


def _packed(
    name: str,
    heads_of: tuple[Tensor, Tensor, Tensor],
    lengths: Sequence[int],
    *,
    causal: bool,
    threads: int | None,
    isa: Isa | None,
) -> Tensor:
    chosen = isa if isa is not None else best_isa() or Isa.SCALAR
    native = native_with(chosen)
    q_THC, k_TKC, v_TKC = (_side_by_side(x) for x in heads_of)
    tokens, heads, width = q_THC.shape
    assert sum(lengths) == tokens == len(k_TKC) == len(v_TKC), (lengths, tokens)
    assert k_TKC.shape == v_TKC.shape, (k_TKC.shape, v_TKC.shape)
    assert q_THC.dtype == k_TKC.dtype == v_TKC.dtype, q_THC.dtype
    _check_heads(q_THC)
    out_THC = torch.empty(tokens, heads, width, dtype=q_THC.dtype)
    starts = (ctypes.c_int64 * (len(lengths) + 1))(0, *itertools.accumulate(lengths))
    call = _Attention(
        q_THC.data_ptr(),
        k_TKC.data_ptr(),
        v_TKC.data_ptr(),
        out_THC.data_ptr(),
        ctypes.addressof(starts),
        len(lengths),
        q_THC.stride(0),
        k_TKC.stride(0),
        v_TKC.stride(0),
        heads * width,
        heads,
        k_TKC.shape[1],
        width,
        causal,
        TYPES[q_THC.dtype],
        torch.get_num_threads() if threads is None else threads,
        chosen,
        width**-0.5,
    )
    if getattr(native, name)(ctypes.byref(call)):
        raise MemoryError(f"scratch memory for attention over {tokens} tokens")
    return out_THC


def _check_heads(q_THC: Tensor) -> None:
    if q_THC.shape[2] > WIDEST_HEAD or q_THC.dtype not in (torch.float32, torch.bfloat16):
        seen = f"{q_THC.dtype}, {q_THC.shape[2]} wide"
        raise OptionError("attention", seen, f"float32 or bfloat16, at most {WIDEST_HEAD} wide")


def _check_cache(q_THC: Tensor, keys: Tensor, values: Tensor, key_scales: Tensor | None, scales: Tensor | None) -> None:
    _check_heads(q_THC)
    if keys.dtype not in (torch.float32, torch.bfloat16, torch.int8):
        raise OptionError("cache", str(keys.dtype), "float32, bfloat16 or int8")
    assert (keys.shape, keys.dtype) == (values.shape, values.dtype), (keys.shape, values.shape)
    assert keys.is_contiguous(), keys.stride()
    assert values.is_contiguous(), values.stride()
    assert (keys.shape[3], q_THC.shape[1] % keys.shape[1]) == (q_THC.shape[2], 0), (q_THC.shape, keys.shape)
    for one in (key_scales, scales):
        assert (one is not None) == (keys.dtype == torch.int8), "int8 and scales go together"
        assert one is None or (one.shape, one.dtype) == (keys.shape[:3], torch.float32), one.shape
        assert one is None or one.is_contiguous(), one.stride()


def _check_tables(tables: Tensor, starts: Tensor, counts: Tensor) -> None:
    assert tables.dtype == starts.dtype == counts.dtype == torch.int32, (tables.dtype, starts.dtype, counts.dtype)
    assert tables.stride(-1) == 1 or tables.shape[1] <= 1, tables.stride()
    assert starts.is_contiguous(), starts.stride()
    assert counts.is_contiguous(), counts.stride()
    assert len(tables) == len(starts) == len(counts), (len(tables), len(starts), len(counts))


def _side_by_side(x_THC: Tensor) -> Tensor:
    """The same tensor where the heads of a token lie side by side: slices of a fused projection do."""
    x_THC = x_THC.detach()
    return x_THC if x_THC.stride()[1:] == (x_THC.shape[2], 1) else x_THC.contiguous()
