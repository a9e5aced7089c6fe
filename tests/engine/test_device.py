"""Device and dtype where the user names none."""

from collections.abc import Iterator
from itertools import accumulate

import pytest
import torch

from anyres.engine.device import choose_device, choose_dtype, faster_cpu_dtype
from anyres.errors import OptionError


def clock_of(*seconds: float) -> Iterator[float]:
    """A clock that reads 0, a, a, a+b, ... : each product takes the next of `seconds`."""
    for total, spent in zip(accumulate(seconds), seconds, strict=True):
        yield total - spent
        yield total


@pytest.mark.parametrize(
    ("float32_s", "bfloat16_s", "expected"),
    [(1.0, 0.5, torch.bfloat16), (1.0, 0.9, torch.float32), (1.0, 7.0, torch.float32)],
)
def test_the_clearly_faster_dtype_wins(float32_s: float, bfloat16_s: float, expected: torch.dtype) -> None:
    # The best of four products counts: the others are slow here.
    times = clock_of(*[99, float32_s, 99, 99], *[99, 99, 99, bfloat16_s])
    assert faster_cpu_dtype(clock=lambda: next(times)) == expected


def test_auto_takes_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto") == torch.device(expected)
    assert choose_device("cuda:1") == torch.device("cuda", 1)


def test_dtypes_by_name() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert choose_dtype(None, cuda) == torch.bfloat16
    assert choose_dtype(None, cpu) in (torch.bfloat16, torch.float32)
    assert choose_dtype(torch.float16, cpu) == choose_dtype("float16", cuda) == torch.float16


def test_what_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="device: 'gpu'; allowed: auto, cpu"):
        choose_device("gpu")
    with pytest.raises(OptionError, match="dtype: 'half'; allowed: float32, bfloat16, float16"):
        choose_dtype("half", torch.device("cpu"))
