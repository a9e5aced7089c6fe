"""The native kernels: linear layers of packed weights and int8 activations, and attention in 8 bits.

`linear` computes the same bits on every instruction set and with any number of threads; `reference.linear` is its plain
twin. Where there is no library, or the processor has none of its instruction sets, it takes `reference.exact_linear`.
"""

import ctypes

import torch
from torch import Tensor

from anyres.kernels.attention import attention, exact_attention, paged_attention
from anyres.kernels.library import TYPES, Isa, best_isa, instruction_sets, library, native_with
from anyres.kernels.packed import PackedWeight
from anyres.kernels.reference import exact_linear

__all__ = [
    "Isa",
    "attention",
    "best_isa",
    "exact_attention",
    "instruction_sets",
    "library",
    "linear",
    "paged_attention",
]


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
    native = native_with(chosen)
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


def _readable(x_TK: Tensor) -> Tensor:
    x_TK = x_TK.detach()
    if x_TK.dtype not in (torch.float32, torch.bfloat16):
        x_TK = x_TK.float()
    return x_TK if x_TK.stride(-1) == 1 else x_TK.contiguous()


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
