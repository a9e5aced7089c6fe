"""The native kernels beside their plain twins: the same bits on every instruction set, with any number of threads."""

import math
import os
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels import cpu, reference
from anyres.kernels.cpu import Isa
from anyres.kernels.packed import PackedWeight, from_tensors, pack
from tests.kernels.everywhere import the_same
from tests.kernels.weights import random_parts

built = pytest.mark.skipif(cpu.library() is None, reason="the kernels are not built")
BITS = st.integers(4, 8)


def packed_weight(
    rows: int, columns: int, groups: int, bits: int, *, half: bool = False, seed: int = 0
) -> PackedWeight:
    codes_NK, scales_NG, minimums_NG = random_parts(rows, columns, groups, bits, seed=seed)
    if half:
        scales_NG, minimums_NG = scales_NG.half(), minimums_NG.half()
    return pack(codes_NK, scales_NG, minimums_NG, bits=bits)


def everywhere(x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None) -> Tensor:
    """The result of all instruction sets and 1 to 3 threads, which is one and the same."""
    return the_same(lambda isa, threads: cpu.linear(x_TK, packed, bias_N, isa=isa, threads=threads))


@built
@settings(max_examples=80, deadline=None)
@given(
    tokens=st.integers(0, 14),
    rows=st.integers(1, 150),
    groups=st.integers(1, 4),
    group=st.sampled_from([8, 16, 24, 32, 40, 64, 128]),
    bits=BITS,
    half=st.booleans(),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_linear_is_its_plain_twin(
    tokens: int, rows: int, groups: int, group: int, bits: int, half: bool, biased: bool, seed: int
) -> None:
    packed = packed_weight(rows, groups * group, groups, bits, half=half, seed=seed)
    x_TK, bias_N = torch.randn(tokens, groups * group), torch.randn(rows) if biased else None
    torch.testing.assert_close(
        everywhere(x_TK, packed, bias_N), reference.linear(x_TK, packed, bias_N), rtol=1e-6, atol=1e-6
    )


@built
@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 5), rows=st.integers(1, 40), columns=st.integers(1, 300), bits=BITS)
def test_whole_rows_of_any_length(tokens: int, rows: int, columns: int, bits: int) -> None:
    packed = packed_weight(rows, columns, 1, bits)
    x_TK = torch.randn(tokens, columns)
    torch.testing.assert_close(everywhere(x_TK, packed), reference.linear(x_TK, packed), rtol=1e-6, atol=1e-6)


@built
@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 9), bits=BITS, highest=st.booleans(), sign=st.sampled_from([-127.0, 127.0, 0.0]))
def test_the_largest_sums_do_not_overflow(tokens: int, bits: int, highest: bool, sign: float) -> None:
    """All codes at an end of their range and all activations at theirs: sums that 16 bits only just hold."""
    codes_NK = torch.full((16, 256), 2**bits - 1 if highest else 0, dtype=torch.uint8)
    packed = pack(codes_NK, torch.ones(16, 2), torch.zeros(16, 2), bits=bits)
    x_TK = torch.full((tokens, 256), sign) if sign else torch.tensor([127.0, -127.0]).repeat(tokens, 128)
    assert torch.equal(everywhere(x_TK, packed).double(), x_TK.double() @ codes_NK.double().T)


@built
@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_sums_are_exact(bits: int) -> None:
    codes_NK, scales_NG, _ = random_parts(33, 384, 3, bits)
    packed = pack(codes_NK, torch.ones_like(scales_NG), torch.zeros_like(scales_NG), bits=bits)
    x_TK = torch.randint(-127, 128, (15, 384)).float()
    x_TK[:, ::128] = 127
    assert torch.equal(everywhere(x_TK, packed).double(), x_TK.double() @ codes_NK.double().T)


@built
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_activations_at_all(data: st.DataObject) -> None:
    """Zeros of both signs, denormals, the largest floats, NaN, infinities: the twin's result."""
    packed = packed_weight(17, 48, 3, data.draw(BITS))
    values = data.draw(st.lists(st.floats(width=32), min_size=96, max_size=96))
    x_TK = torch.tensor(values).view(2, 48)
    torch.testing.assert_close(
        everywhere(x_TK, packed), reference.linear(x_TK, packed), rtol=1e-6, atol=1e-30, equal_nan=True
    )


@built
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", [0, 100, 191])
def test_what_is_not_finite_is_seen_in_every_output_of_its_token(value: float, column: int) -> None:
    packed = packed_weight(70, 192, 3, 4)
    x_TK = torch.randn(9, 192)
    x_TK[5, column] = value
    broken_T = (~everywhere(x_TK, packed).isfinite()).sum(dim=1)
    assert broken_T.tolist() == [0, 0, 0, 0, 0, 70, 0, 0, 0]


@built
@pytest.mark.parametrize("part", ["scales", "minimums"])
def test_a_broken_weight_is_seen(part: str) -> None:
    packed = packed_weight(20, 64, 2, 4)
    getattr(packed, part)[1, 1, 3] = math.nan  # row 19
    assert everywhere(torch.randn(3, 64), packed).isnan().any(dim=0).nonzero().flatten().tolist() == [19]


@built
@pytest.mark.parametrize("shift", [1, 3, 7])
def test_codes_may_lie_at_any_address(shift: int) -> None:
    packed = packed_weight(40, 128, 2, 4, half=True)
    tensors = packed.tensors()
    memory = torch.zeros(tensors["codes"].numel() + 64, dtype=torch.uint8)
    moved = memory[shift : shift + tensors["codes"].numel()].view(tensors["codes"].shape)
    moved.copy_(tensors["codes"])
    halves = torch.zeros(tensors["scales"].numel() + 64, dtype=torch.float16)
    scales = halves[shift : shift + tensors["scales"].numel()].view(tensors["scales"].shape)
    scales.copy_(tensors["scales"])
    again = from_tensors("w", tensors | {"codes": moved, "scales": scales})
    assert again.codes.data_ptr() % 2 == (memory.data_ptr() + shift) % 2
    x_TK = torch.randn(600 * 128 + 7)[7:].view(600, 128)[:7]
    assert torch.equal(everywhere(x_TK, again), everywhere(x_TK.clone(), packed))


@built
def test_rows_of_activations_may_lie_apart() -> None:
    packed = packed_weight(40, 64, 1, 8)
    wide_TK = torch.randn(6, 200)
    assert torch.equal(everywhere(wide_TK[::2, 30:94], packed), everywhere(wide_TK[::2, 30:94].clone(), packed))
    turned_TK = torch.randn(64, 5).T
    assert torch.equal(everywhere(turned_TK, packed), everywhere(turned_TK.contiguous(), packed))


@built
@settings(max_examples=30, deadline=None)
@given(tokens=st.integers(1, 7), rows=st.integers(1, 40), bits=BITS)
def test_bfloat16_in_and_out_is_the_rounded_float32(tokens: int, rows: int, bits: int) -> None:
    packed = packed_weight(rows, 64, 1, bits)
    x_TK = torch.randn(tokens, 64).bfloat16()
    y_TN = everywhere(x_TK, packed)
    assert y_TN.dtype == torch.bfloat16
    assert torch.equal(y_TN, everywhere(x_TK.float(), packed).bfloat16())
    assert torch.equal(cpu.linear(x_TK, packed, out_dtype=torch.float32), everywhere(x_TK.float(), packed))


@built
def test_bfloat16_keeps_nan_and_infinity() -> None:
    packed = packed_weight(16, 64, 1, 4)
    packed.scales.fill_(3e38)
    packed.minimums.fill_(0)
    x_TK = torch.full((2, 64), 1e4)
    x_TK[1, 5] = math.nan
    y_TN = everywhere(x_TK.bfloat16(), packed)
    assert y_TN[0].isinf().all()
    assert y_TN[1].isnan().all()


@built
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_dtypes_are_converted(dtype: torch.dtype) -> None:
    packed = packed_weight(16, 64, 1, 4)
    x_TK, bias_N = torch.randn(3, 64).half(), torch.randn(16, dtype=dtype)
    y_TN = cpu.linear(x_TK.to(dtype), packed, bias_N, out_dtype=dtype)
    assert y_TN.dtype == dtype
    assert torch.equal(y_TN, everywhere(x_TK.float(), packed, bias_N.float()).to(dtype))


def test_an_instruction_set_that_is_not_here_is_named() -> None:
    missing = [isa for isa in Isa if isa not in cpu.instruction_sets()]
    assert missing  # no machine has both NEON and AVX
    with pytest.raises(OptionError, match=missing[0].name):
        cpu.linear(torch.randn(1, 64), packed_weight(16, 64, 1, 4), isa=missing[0])


@built
def test_python_threads_at_the_same_time() -> None:
    """One call has the helpers, the others do without: nobody waits, nobody reads another's activations."""
    packed = packed_weight(300, 256, 4, 4)
    inputs = [torch.randn(20, 256) for _ in range(4)]
    expected = [everywhere(x_TK, packed) for x_TK in inputs]
    wrong: list[int] = []

    def repeat(index: int) -> None:
        results = (cpu.linear(inputs[index], packed, threads=3) for _ in range(100))
        wrong.extend(index for y_TN in results if not torch.equal(y_TN, expected[index]))

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@built
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own() -> None:
    packed = packed_weight(300, 256, 4, 4)
    x_TK = torch.randn(20, 256)
    expected_TN = cpu.linear(x_TK, packed, threads=3)
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(cpu.linear(x_TK, packed, threads=3), expected_TN) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
