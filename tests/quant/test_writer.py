"""The writer of safetensors: what it writes is read by the library itself, and lies where kernels want it."""

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from anyres.errors import CheckpointError
from anyres.quant.writer import CheckpointWriter

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int32, torch.int64]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 9), max_size=3)), min_size=1, max_size=8)
)
def test_the_library_reads_back_what_was_written(parts: list[tuple[torch.dtype, list[int]]], tmp_path: Path) -> None:
    tensors = {f"t{i}": (torch.rand(shape) * 99).to(dtype) for i, (dtype, shape) in enumerate(parts)}
    with CheckpointWriter(tmp_path, list(tensors)) as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
    read = load_file(tmp_path / "model.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())
    assert writer.bytes == sum(tensor.nbytes for tensor in tensors.values())


def test_large_tensors_are_aligned_whatever_comes_between(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path, ["a", "b", "c"]) as writer:
        writer.add("a", torch.zeros(5, dtype=torch.int64))
        writer.add("b", torch.ones(64, dtype=torch.uint8))
        writer.add("c", torch.ones(32))
    content = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 64 == 0
    assert header["b"]["data_offsets"][0] % 64 == 0
    assert header["c"]["data_offsets"][0] % 64 == 0
    assert max(header, key=lambda name: header[name].get("data_offsets", [-1])[0]) == "a"


def test_several_files_have_an_index(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path, list("abc"), shard_bytes=100) as writer:
        for name in "abc":
            writer.add(name, torch.full((64,), 1.5))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: f"model-0000{i}-of-00003.safetensors" for i, name in enumerate("abc", 1)}
    assert index["metadata"]["total_size"] == 3 * 256
    with safe_open(tmp_path / "model-00002-of-00003.safetensors", framework="pt") as file:
        assert list(file.keys()) == ["b"]


def test_a_disk_that_refuses_is_a_checkpoint_error(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, match="cannot be written"),
        CheckpointWriter(tmp_path / "gone", ["a"]) as writer,
    ):
        writer.add("a", torch.ones(4))


def test_an_error_of_the_caller_is_passed_on(tmp_path: Path) -> None:
    def fail() -> None:
        with CheckpointWriter(tmp_path, ["a"]) as writer:
            writer.add("a", torch.ones(64))
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert not (tmp_path / "model.safetensors").exists()
