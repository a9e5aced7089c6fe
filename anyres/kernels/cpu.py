"""The native kernels: linear layers of packed weights and int8 activations, with what stands between them.

`linear` computes the same bits on every instruction set and with any number of threads; `reference.linear` is its plain
twin. Where there is no library, or the processor has none of its instruction sets, it takes `reference.exact_linear`.
"""

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels.attention import attention, exact_attention, paged_attention
from anyres.kernels.library import TYPES, Isa, best_isa, instruction_sets, library, native_with
from anyres.kernels.packed import PackedWeight
from anyres.kernels.reference import exact_linear

__all__ = [
    "Before",
    "BeforeKind",
    "Isa",
    "Products",
    "attention",
    "best_isa",
    "exact_attention",
    "instruction_sets",
    "library",
    "linear",
    "paged_attention",
    "rotate_",
]

MOST_WEIGHTS = 4
"""Of one native call, as in native/cpu.cpp."""


class BeforeKind(IntEnum):
    """What happens to a row before it is rounded and multiplied, as in native/api.h."""

    RMS_NORM = 1
    LAYER_NORM = 2
    QUICK_GELU = 3
    SWIGLU = 4


class Before(NamedTuple):
    """A norm, with its weights in float32, or a gate. SWIGLU takes rows of gate and up, side by side."""

    kind: BeforeKind
    weight_K: Tensor | None = None
    bias_K: Tensor | None = None
    eps: float = 0.0


class _Weight(ctypes.Structure):
    _fields_ = (
        ("codes", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("minimums", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
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
        ("added", ctypes.c_void_p),
        ("norm_weight", ctypes.c_void_p),
        ("norm_bias", ctypes.c_void_p),
        ("tokens", ctypes.c_int64),
        ("x_stride", ctypes.c_int64),
        ("y_stride", ctypes.c_int64),
        ("added_stride", ctypes.c_int64),
        ("x_type", ctypes.c_int32),
        ("y_type", ctypes.c_int32),
        ("before", ctypes.c_int32),
        ("norm_eps", ctypes.c_float),
        ("threads", ctypes.c_int32),
        ("isa", ctypes.c_int32),
    )


class _Rotate(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_void_p),
        ("cosines", ctypes.c_void_p),
        ("sines", ctypes.c_void_p),
        ("tokens", ctypes.c_int64),
        ("x_stride", ctypes.c_int64),
        ("heads", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("x_type", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("isa", ctypes.c_int32),
    )


class _Run(NamedTuple):
    """Weights that one native call takes: those in a row whose groups are alike. `first` is their first row of y."""

    weights: ctypes.Array[_Weight]
    first: int


class Products:
    """Linear layers with one input, and what comes before them, in one native call; in several where groups differ.

    Raises OptionError for weights of different columns. Nothing is copied: tensors are held where they are.
    """

    def __init__(self, parts: Sequence[tuple[PackedWeight, Tensor | None]], *, before: Before | None = None) -> None:
        seen = {packed.columns for packed, _ in parts}
        if len(seen) != 1 or len(parts) > MOST_WEIGHTS:
            raise OptionError("weights", f"{len(parts)}, columns {sorted(seen)}", "1 to 4 of the same columns")
        self._columns = seen.pop()
        self._input_columns = self._columns * (2 if before and before.kind == BeforeKind.SWIGLU else 1)
        self._before = before
        self._parts = [(packed, None if bias_N is None else _floats(bias_N)) for packed, bias_N in parts]
        self._norm = [None if x_K is None else _floats(x_K) for x_K in (before[1:3] if before else (None, None))]
        self._runs = list(_runs(self._parts))
        self.rows = tuple(packed.rows for packed, _ in parts)

    def __call__(
        self,
        x_TK: Tensor,
        added_TN: Tensor | None = None,
        *,
        out_dtype: torch.dtype | None = None,
        threads: int | None = None,
        isa: Isa | None = None,
    ) -> Tensor:
        """y_TN: the rows of all weights side by side, plus `added_TN`, which has the dtype of the result."""
        chosen = best_isa() or Isa.SCALAR if isa is None else isa
        native = native_with(chosen)
        x_TK = _readable(x_TK)
        assert x_TK.dim() == 2, x_TK.shape
        assert x_TK.shape[1] == self._input_columns, (x_TK.shape, self._input_columns)
        wanted = out_dtype or x_TK.dtype
        y_TN = torch.empty(len(x_TK), sum(self.rows), dtype=wanted if wanted == torch.bfloat16 else torch.float32)
        if added_TN is not None:
            added_TN = _readable(added_TN)
            assert (added_TN.shape, added_TN.dtype) == (y_TN.shape, y_TN.dtype), (added_TN.shape, added_TN.dtype)
        for run in self._runs:
            skipped = run.first * y_TN.element_size()
            call = _Linear(
                x_TK.data_ptr(),
                y_TN.data_ptr() + skipped,
                None if added_TN is None else added_TN.data_ptr() + skipped,
                _place(self._norm[0]),
                _place(self._norm[1]),
                len(x_TK),
                x_TK.stride(0),
                y_TN.shape[1],
                0 if added_TN is None else added_TN.stride(0),
                TYPES[x_TK.dtype],
                TYPES[y_TN.dtype],
                self._before.kind if self._before else 0,
                self._before.eps if self._before else 0.0,
                torch.get_num_threads() if threads is None else threads,
                chosen,
            )
            if native.anyres_linear(ctypes.byref(call), run.weights, len(run.weights)):
                raise MemoryError(f"scratch memory for {len(x_TK)} x {self._columns} activations")
        return y_TN if y_TN.dtype == wanted else y_TN.to(wanted)


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
    if isa is None and best_isa() is None:
        return exact_linear(x_TK, packed, bias_N, out_dtype=out_dtype)
    return Products([(packed, bias_N)])(x_TK, out_dtype=out_dtype or x_TK.dtype, threads=threads, isa=isa)


def rotate_(
    x_TX: Tensor,
    cos_TC: Tensor,
    sin_TC: Tensor,
    *,
    heads: int,
    threads: int | None = None,
    isa: Isa | None = None,
) -> None:
    """Turns the first `heads` heads of every row in place, as `anyres.model.layers.rotate` does: the same bits.

    Rows are float32 or bfloat16, with the heads at their beginning; tables are float32.
    """
    chosen = best_isa() or Isa.SCALAR if isa is None else isa
    width = cos_TC.shape[1]
    assert x_TX.shape[1] >= heads * width, (x_TX.shape, heads, width)
    assert x_TX.stride(1) == 1 or x_TX.shape[1] <= 1, x_TX.stride()
    assert cos_TC.shape == sin_TC.shape == (len(x_TX), width), (cos_TC.shape, sin_TC.shape)
    cos_TC, sin_TC = _floats(cos_TC), _floats(sin_TC)
    call = _Rotate(
        x_TX.data_ptr(),
        cos_TC.data_ptr(),
        sin_TC.data_ptr(),
        len(x_TX),
        x_TX.stride(0),
        heads,
        width,
        TYPES[x_TX.dtype],
        torch.get_num_threads() if threads is None else threads,
        chosen,
    )
    native_with(chosen).anyres_rotate(ctypes.byref(call))


def _runs(parts: Sequence[tuple[PackedWeight, Tensor | None]]) -> Iterator[_Run]:
    first = 0
    for _, alike in itertools.groupby(parts, key=lambda part: part[0].group):
        run = list(alike)
        yield _Run((_Weight * len(run))(*(_weight(packed, bias_N) for packed, bias_N in run)), first)
        first += sum(packed.rows for packed, _ in run)


def _floats(x: Tensor) -> Tensor:
    return x.detach().to(torch.float32).contiguous()


def _place(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _readable(x_TK: Tensor) -> Tensor:
    x_TK = x_TK.detach()
    if x_TK.dtype not in (torch.float32, torch.bfloat16):
        x_TK = x_TK.float()
    return x_TK if x_TK.stride(-1) == 1 else x_TK.contiguous()


def _weight(packed: PackedWeight, bias_N: Tensor | None) -> _Weight:
    return _Weight(
        packed.codes.data_ptr(),
        packed.scales.data_ptr(),
        packed.minimums.data_ptr(),
        _place(bias_N),
        packed.rows,
        packed.columns,
        packed.bits,
        packed.group,
        TYPES[packed.scales.dtype],
        TYPES[packed.minimums.dtype],
    )
