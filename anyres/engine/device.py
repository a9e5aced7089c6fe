"""Where a model runs and in which numbers, when the user does not say."""

import time
from collections.abc import Callable

import torch

from anyres.errors import OptionError

__all__ = ["choose_device", "choose_dtype", "faster_cpu_dtype"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CLEAR_GAIN = 1.5  # how much faster bfloat16 must be to be worth its three digits


def choose_device(device: str | torch.device) -> torch.device:
    """`"auto"` is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError:
        raise OptionError("device", repr(device), "auto, cpu, cuda, cuda:0 ...") from None


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """None is bfloat16 on a GPU, and on a CPU what it multiplies faster.

    >>> choose_dtype("float16", torch.device("cpu"))
    torch.float16
    """
    if dtype is None:
        return faster_cpu_dtype() if device.type == "cpu" else torch.bfloat16
    known = DTYPES.get(str(dtype).removeprefix("torch."))
    if known is None:
        raise OptionError("dtype", repr(dtype), ", ".join(DTYPES))
    return known


def faster_cpu_dtype(*, clock: Callable[[], float] = time.perf_counter) -> torch.dtype:
    """bfloat16 on processors that multiply it clearly faster than float32 (AMX, AVX512-BF16), else float32."""
    seconds = {dtype: _product_s(dtype, clock) for dtype in (torch.float32, torch.bfloat16)}
    return torch.bfloat16 if CLEAR_GAIN * seconds[torch.bfloat16] < seconds[torch.float32] else torch.float32


def _product_s(dtype: torch.dtype, clock: Callable[[], float], *, rows: int = 64, width: int = 512) -> float:
    left, right = torch.ones(rows, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        started = clock()
        torch.mm(left, right)
        best = min(best, clock() - started)
    return best
