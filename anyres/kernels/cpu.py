"""The native kernels: linear layers of packed weights and int8 activations, and attention in 8 bits.

`linear` computes the same bits on every instruction set and with any number of threads; `reference.linear` is its plain
twin. Where there is no library, or the processor has none of its instruction sets, it takes `reference.exact_linear`.
"""

import ctypes
import functools
import itertools
import logging
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

import torch
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels.build import LIBRARY, SOURCES, source_hash
from anyres.kernels.packed import PackedWeight
from anyres.kernels.reference import exact_linear

__all__ = ["Isa", "attention", "best_isa", "instruction_sets", "library", "linear"]

logger = logging.getLogger(__name__)

WIDEST_HEAD = 128
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


class Isa(IntEnum):
    """Instruction sets that the library has kernels for, as in native/api.h."""

    SCALAR = 0
    AVX2 = 1
    AVX_VNNI = 2
    AVX512_VNNI = 3
    NEON_DOT = 4


class _Weight(ctypes.Structure):
    _fields_ = (
        ("codes", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("minimums", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("bits", ctypes.c_int32),
        ("group", ctypes.c_int32),
        ("scales_type", ctypes.c_int32),
        ("minimums_type", ctypes.c_int32),
    )


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


class _Linear(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_void_p),
        ("y", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("tokens", ctypes.c_int64),
        ("x_stride", ctypes.c_int64),
        ("y_stride", ctypes.c_int64),
        ("x_type", ctypes.c_int32),
        ("y_type", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("isa", ctypes.c_int32),
    )


def linear(
    x_TK: Tensor,
    packed: PackedWeight,
    bias_N: Tensor | None = None,
    *,
    out_dtype: torch.dtype | None = None,
    threads: int | None = None,
    isa: Isa | None = None,
) -> Tensor:
    """y_TN = x_TK w_NK^T + bias_N, activations rounded to int8 a token and group, sums between groups in float32.

    x is float32 or bfloat16 (anything else is converted); the result has its dtype or `out_dtype`. A token with a NaN
    or an infinity comes out as NaN. `threads` is torch's number by default, `isa` the best one that there is; one that
    this machine lacks is an OptionError. Rows of x may lie apart; no other layout is taken without a copy.
    """
    chosen = best_isa() if isa is None else isa
    if chosen is None:
        return exact_linear(x_TK, packed, bias_N, out_dtype=out_dtype)
    native = _native_with(chosen)
    x_TK = _readable(x_TK)
    assert x_TK.dim() == 2, x_TK.shape
    assert x_TK.shape[1] == packed.columns, (x_TK.shape, packed.columns)
    wanted = out_dtype or x_TK.dtype
    y_TN = torch.empty(len(x_TK), packed.rows, dtype=wanted if wanted == torch.bfloat16 else torch.float32)
    bias_N = None if bias_N is None else bias_N.detach().to(torch.float32).contiguous()
    call = _Linear(
        x_TK.data_ptr(),
        y_TN.data_ptr(),
        None if bias_N is None else bias_N.data_ptr(),
        len(x_TK),
        x_TK.stride(0),
        packed.rows,
        TYPES[x_TK.dtype],
        TYPES[y_TN.dtype],
        torch.get_num_threads() if threads is None else threads,
        chosen,
    )
    if native.anyres_linear(ctypes.byref(call), ctypes.byref(_weight(packed))):
        raise MemoryError(f"scratch memory for {len(x_TK)} x {packed.columns} activations")
    return y_TN if y_TN.dtype == wanted else y_TN.to(wanted)


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
    chosen = isa if isa is not None else best_isa() or Isa.SCALAR
    native = _native_with(chosen)
    tokens, heads, width = q_THC.shape
    assert sum(lengths) == tokens == len(k_TKC) == len(v_TKC), (lengths, tokens)
    assert k_TKC.shape == v_TKC.shape, (k_TKC.shape, v_TKC.shape)
    assert q_THC.dtype == k_TKC.dtype == v_TKC.dtype, q_THC.dtype
    if width > WIDEST_HEAD or q_THC.dtype not in (torch.float32, torch.bfloat16):
        seen = f"{q_THC.dtype}, {width} wide"
        raise OptionError("attention", seen, f"float32 or bfloat16, at most {WIDEST_HEAD} wide")
    q_THC, k_TKC, v_TKC = (_side_by_side(x) for x in (q_THC, k_TKC, v_TKC))
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
    if native.anyres_attention(ctypes.byref(call)):
        raise MemoryError(f"scratch memory for attention over {tokens} tokens")
    return out_THC


@functools.cache
def library() -> ctypes.CDLL | None:
    """The native library, or None after one line in the log that says what is missing and what that costs."""
    try:
        loaded = _load(LIBRARY)
    except (OSError, _StaleError) as error:
        logger.warning(
            "no native kernels: %s; quantised models run on torch, several times slower. "
            "`python -m anyres.kernels.build` compiles them where there is a C++ compiler.",
            error,
        )
        return None
    return loaded


@functools.cache
def instruction_sets() -> tuple[Isa, ...]:
    """Those that both the library and this machine have, slowest first; empty without a library."""
    native = library()
    return () if native is None else tuple(isa for isa in Isa if native.anyres_has(isa))


@functools.cache
def best_isa() -> Isa | None:
    """The fastest instruction set here, or None where torch is faster: plain C++ is for tests."""
    fast = [isa for isa in instruction_sets() if isa != Isa.SCALAR]
    return fast[-1] if fast else None


class _StaleError(Exception):
    pass


def _load(file: Path) -> ctypes.CDLL:
    """Raises OSError where it cannot be loaded, _StaleError where its sources are not those that lie beside it."""
    if not file.exists():
        raise _StaleError("they have not been built")
    loaded = ctypes.CDLL(str(file))
    loaded.anyres_source.restype = ctypes.c_char_p
    loaded.anyres_linear.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    loaded.anyres_attention.argtypes = (ctypes.c_void_p,)
    if SOURCES.exists() and loaded.anyres_source().decode() != source_hash():
        raise _StaleError(f"{file.name} is not of the sources in {SOURCES}")
    return loaded


def _native_with(isa: Isa) -> ctypes.CDLL:
    native = library()
    if native is None or isa not in instruction_sets():
        raise OptionError("isa", isa.name, ", ".join(known.name for known in instruction_sets()) or "none here")
    return native


def _readable(x_TK: Tensor) -> Tensor:
    x_TK = x_TK.detach()
    if x_TK.dtype not in (torch.float32, torch.bfloat16):
        x_TK = x_TK.float()
    return x_TK if x_TK.stride(-1) == 1 else x_TK.contiguous()


def _side_by_side(x_THC: Tensor) -> Tensor:
    """The same tensor where the heads of a token lie side by side: slices of a fused projection do."""
    x_THC = x_THC.detach()
    return x_THC if x_THC.stride()[1:] == (x_THC.shape[2], 1) else x_THC.contiguous()


def _weight(packed: PackedWeight) -> _Weight:
    return _Weight(
        packed.codes.data_ptr(),
        packed.scales.data_ptr(),
        packed.minimums.data_ptr(),
        packed.rows,
        packed.columns,
        packed.bits,
        packed.group,
        TYPES[packed.scales.dtype],
        TYPES[packed.minimums.dtype],
    )
