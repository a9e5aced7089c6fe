"""What the tests of all kernels ask: the same bits from every instruction set and any number of threads."""

from collections.abc import Callable

import torch
from torch import Tensor

from anyres.kernels import cpu
from anyres.kernels.cpu import Isa


def the_same(run: Callable[[Isa, int], Tensor]) -> Tensor:
    """The result of all instruction sets and 1 to 3 threads, which is one and the same."""
    results = {(isa, threads): run(isa, threads) for isa in cpu.instruction_sets() for threads in (1, 2, 3)}
    first = next(iter(results.values()))
    for key, result in results.items():
        torch.testing.assert_close(result, first, rtol=0, atol=0, equal_nan=True, msg=str(key))
    return first


def relative_error(seen: Tensor, expected: Tensor) -> float:
    return ((seen.double() - expected.double()).norm() / expected.double().norm()).item()
