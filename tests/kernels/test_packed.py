"""The order of packed weights: what goes in comes out, and what does not fit is refused by name."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from anyres.errors import CheckpointError, OptionError
from anyres.kernels.packed import PackedWeight, dequantize, from_tensors, pack, take_rows, unpack
from tests.kernels.weights import plain_weight, random_parts


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 50),
    groups=st.integers(1, 5),
    group=st.sampled_from([8, 16, 32, 64, 128, 256, 384]),
    missing=st.integers(0, 7),
    bits=st.integers(4, 8),
    half=st.booleans(),
)
def test_what_is_packed_comes_out_again(
    rows: int, groups: int, group: int, missing: int, bits: int, half: bool
) -> None:
    columns = groups * group - missing
    codes_NK, scales_NG, minimums_NG = random_parts(rows, columns, groups, bits)
    if half:
        scales_NG, minimums_NG = scales_NG.half(), minimums_NG.half()
    packed = pack(codes_NK, scales_NG, minimums_NG, bits=bits, group=group)
    again_NK, fine_scales_NG, fine_minimums_NG = unpack(packed)
    assert torch.equal(again_NK, codes_NK)
    assert packed.group <= 128
    assert fine_scales_NG.dtype == fine_minimums_NG.dtype == (torch.float16 if half else torch.float32)
    expected_NK = plain_weight(codes_NK, scales_NG, minimums_NG, group)
    assert torch.equal(dequantize(packed), expected_NK)
    ids_T = torch.randint(0, rows, (7,))
    assert torch.equal(take_rows(packed, ids_T), expected_NK[ids_T])


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 700), bits=st.integers(4, 8))
def test_a_whole_row_may_be_one_group(rows: int, columns: int, bits: int) -> None:
    """It is cut into parts of at most 128 columns, and less than 8 columns are added to each."""
    codes_NK, scales_N1, minimums_N1 = random_parts(rows, columns, 1, bits)
    packed = pack(codes_NK, scales_N1, minimums_N1, bits=bits)
    assert packed.group % 8 == 0
    assert packed.group <= 128
    assert packed.groups * packed.group < columns + 8 * packed.groups + 8
    assert torch.equal(dequantize(packed), plain_weight(codes_NK, scales_N1, minimums_N1, columns))


def test_the_order_of_four_bits_is_the_documented_one() -> None:
    """Row 17, column 13 of 24: second tile of rows, second step of 8 columns, its upper half."""
    codes_NK = torch.zeros(20, 24, dtype=torch.uint8)
    codes_NK[17, 13] = 9
    packed = pack(codes_NK, torch.ones(20, 3), torch.zeros(20, 3), bits=4)
    assert packed.codes.shape == (2, 3, 64)
    assert packed.codes.nonzero().tolist() == [[1, 1, 1 * 4 + 1]]
    assert packed.codes[1, 1, 5] == 9 << 4


def test_the_order_of_eight_bits_is_the_documented_one() -> None:
    codes_NK = torch.zeros(20, 24, dtype=torch.uint8)
    codes_NK[17, 13] = 200
    scales_NG = torch.ones(20, 3)
    scales_NG[17, 1] = 7
    packed = pack(codes_NK, scales_NG, torch.zeros(20, 3), bits=8)
    assert packed.codes.shape == (2, 6, 64)
    assert packed.codes.nonzero().tolist() == [[1, 3, 1 * 4 + 1]]
    assert packed.scales[1, 1, 1] == 7


def test_it_is_mapped_from_a_file_as_it_is(tmp_path: pytest.TempPathFactory) -> None:
    packed = pack(*random_parts(37, 96, 3, 4), bits=4)
    file = f"{tmp_path}/weight.safetensors"
    save_file(packed.tensors(), file)
    again = from_tensors("weight", load_file(file))
    assert torch.equal(dequantize(again), dequantize(packed))
    assert (again.rows, again.columns, again.bits, again.group) == (37, 96, 4, 32)


def test_nothing_is_copied_when_it_is_read() -> None:
    tensors = pack(*random_parts(16, 64, 2, 8), bits=8).tensors()
    assert from_tensors("w", tensors).codes.data_ptr() == tensors["codes"].data_ptr()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("layout", torch.tensor([2, 4, 32, 37, 96]), "layout 2"),
        ("layout", torch.tensor([1, 3, 32, 37, 96]), "3 bits"),
        ("layout", torch.tensor([1, 4, 0, 37, 96]), "groups of 0"),
        ("layout", torch.tensor([1, 4, 136, 37, 96]), "groups of 136"),
        ("layout", torch.tensor([1, 4, 32, -37, 96]), "-37 x 96"),
        ("layout", torch.tensor([1, 4, 32, 2**62, 2**62]), "x"),
        ("layout", torch.tensor([1, 4, 32, 49, 96]), "codes"),
        ("layout", torch.tensor([1, 8, 32, 37, 96]), "codes"),
        ("layout", torch.tensor([1.0, 4, 32, 37, 96]), "float32"),
        ("codes", torch.zeros(3, 12, 64, dtype=torch.int8), "int8"),
        ("codes", torch.zeros(3, 11, 64, dtype=torch.uint8), "11"),
        ("scales", torch.zeros(3, 3, 16, dtype=torch.bfloat16), "bfloat16"),
        ("minimums", torch.zeros(3, 4, 16), "minimums"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(key: str, value: Tensor, message: str) -> None:
    tensors = pack(*random_parts(37, 96, 3, 4), bits=4).tensors() | {key: value}
    with pytest.raises(CheckpointError, match=message) as caught:
        from_tensors("layers.0.weight", tensors)
    assert "layers.0.weight" in str(caught.value)


def test_missing_parts_are_named() -> None:
    with pytest.raises(CheckpointError, match="no codes, minimums"):
        from_tensors("w", {"layout": torch.zeros(5, dtype=torch.int64), "scales": torch.zeros(1)})


@pytest.mark.parametrize(
    ("shape", "groups", "bits", "group", "item"),
    [
        ((4, 64), 2, 3, None, "bits"),
        ((4, 64), 2, 9, None, "bits"),
        ((4, 64), 3, 4, None, "group"),
        ((4, 64), 2, 4, 16, "group"),
        ((4, 60), 5, 4, None, "group"),
        ((4, 64), 2, 4, 0, "group"),
        ((0, 64), 2, 4, None, "codes"),
        ((4, 0), 1, 4, None, "codes"),
    ],
)
def test_what_cannot_be_packed_is_named(
    shape: tuple[int, int], groups: int, bits: int, group: int | None, item: str
) -> None:
    codes_NK = torch.zeros(shape, dtype=torch.uint8)
    values_NG = torch.ones(shape[0], groups)
    with pytest.raises(OptionError) as caught:
        pack(codes_NK, values_NG, values_NG, bits=bits, group=group)
    assert caught.value.item == item


def test_parts_that_do_not_fit_each_other_are_named() -> None:
    codes_NK = torch.full((4, 64), 16, dtype=torch.uint8)
    two, three = torch.ones(4, 2), torch.ones(4, 3)
    with pytest.raises(OptionError, match="codes: 16; allowed: 0 to 15"):
        pack(codes_NK, two, two, bits=4)
    with pytest.raises(OptionError, match="minimums"):
        pack(codes_NK, two, three, bits=8)
    with pytest.raises(OptionError, match="scales"):
        pack(codes_NK, torch.ones(5, 2), torch.ones(5, 2), bits=8)
    with pytest.raises(OptionError, match="codes"):
        pack(codes_NK.int(), two, two, bits=8)


def test_its_size_is_that_of_its_tensors() -> None:
    packed = pack(*random_parts(32, 64, 1, 4), bits=4)
    assert isinstance(packed, PackedWeight)
    assert packed.nbytes == 32 * 64 // 2 + 2 * 4 * 32
