"""What is packed comes back, whatever its shape and dtype."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from anyres.tensor_bytes import pack, unpack

DTYPES = [torch.uint8, torch.int8, torch.int64, torch.float32, torch.bfloat16, torch.float16, torch.bool]
SHAPES = st.lists(st.integers(0, 5), max_size=4)


@given(st.lists(st.tuples(st.sampled_from(DTYPES), SHAPES), max_size=4), st.dictionaries(st.text(), st.integers()))
def test_there_and_back(kinds: list[tuple[torch.dtype, list[int]]], words: dict[str, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"tensor {number}": torch.randint(0, 2, shape, generator=generator).to(dtype)
        for number, (dtype, shape) in enumerate(kinds)
    }
    found = unpack(memoryview(bytearray(b"".join(pack(words, tensors)))))
    assert found.words == words
    assert list(found.tensors) == list(tensors)
    for name, one in tensors.items():
        assert found.tensors[name].dtype == one.dtype
        assert found.tensors[name].shape == one.shape
        assert torch.equal(found.tensors[name], one)


def test_values_are_not_copied_and_lie_on_whole_lines_of_memory() -> None:
    one, other = torch.zeros(5), torch.zeros(7)
    head, values, rest, *_ = pack({}, {"one": one, "other": other})
    assert head.nbytes % 64 == 0
    assert (values.nbytes + rest.nbytes) % 64 == 0
    one[0] = 3
    assert bytes(values[:4]) == one[:1].numpy().tobytes()


def test_what_is_not_laid_out_in_order_is_packed_in_order() -> None:
    turned = torch.arange(6).view(2, 3).T
    data = memoryview(bytearray(b"".join(pack({}, {"a": turned}))))
    assert torch.equal(unpack(data).tensors["a"], turned)
