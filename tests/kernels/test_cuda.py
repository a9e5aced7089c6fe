"""The GPU's kernels: results (in a process of its own), what Triton's compiler makes of them, what is done without."""

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from anyres.engine.checkpoint import choose_compute
from anyres.kernels import cpu, cuda
from anyres.kernels.packed import pack
from anyres.kernels.reference import exact_linear
from tests.kernels.weights import random_parts

HERE = Path(__file__).parent
GPU = torch.device("cuda")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
SHARED_BYTES = 99 * 1024
"""Of a block on the least of the GPUs of compute capability 8 and 9 (8.6)."""


@pytest.fixture(autouse=True)
def _nothing_tried() -> None:
    cuda.is_usable.cache_clear()


def run_products(**environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "cuda_products.py")],
        cwd=HERE.parents[1],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@needs_triton
def test_products_in_the_interpreter() -> None:
    run_products(TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.gpu
def test_products_on_a_gpu() -> None:
    run_products(TRITON_INTERPRET="0")


def compiled(name: str, kind: str, capability: int, fixed: dict[str, int], *, warps: int = 4) -> object:
    """For that capability, with activations of `kind`; no GPU is needed. Pointers and sizes are multiples of 16."""
    from triton import compiler
    from triton.backends.compiler import GPUTarget

    from anyres.kernels import triton_linear

    kernel = getattr(triton_linear, name)
    pointers = {"words": "*i32", "parts": "*fp32", "scales": "*fp16", "minimums": "*fp16"}
    pointers |= dict.fromkeys(("x", "bias", "out"), f"*{kind}")
    names = kernel.arg_names
    fixed = {key: value for key, value in fixed.items() if key in names}
    aligned = set(names) - set(fixed) - {"tokens", "groups", "split_steps", "splits"}
    source = compiler.ASTSource(
        fn=kernel,
        signature={key: "constexpr" if key in fixed else pointers.get(key, "i32") for key in names},
        constexprs={(names.index(key),): value for key, value in fixed.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i, key in enumerate(names) if key in aligned},
    )
    return compiler.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})


def fixed_by(shape: cuda._Shape, *, bits: int, group: int) -> dict[str, int]:
    return {
        "HELD": 8 if bits == 4 else 4,
        "GROUP": group,
        "BIASED": True,
        "TOKENS": shape.tokens,
        "STEPS": shape.steps,
        "TILES": shape.tiles,
        "WIDEN": False,
        "VALUES": cuda.SPLIT_VALUES,
    }


compiles = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="nothing is compiled in the interpreter"
)


@needs_triton
@compiles
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("tokens", "kind", "bits"),
    [(1, "bf16", 4), (1, "fp32", 8), (16, "bf16", 8), (128, "fp16", 4), (128, "bf16", 8), (32, "fp32", 4)],
)
def test_the_compiler_takes_them_without_spilling(
    tokens: int, kind: str, bits: int, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads of codes are 16 bytes a thread, products of 16-bit numbers go through the matrix units."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    group = 64 if bits == 4 else 128
    packed = pack(*random_parts(16, 128, 1, bits), bits=bits)
    shape = cuda._shape_of(tokens, packed, KINDS[kind], 132)
    name = "one_token" if tokens == 1 else "many_tokens"
    made = compiled(name, kind, capability, fixed_by(shape, bits=bits, group=group), warps=shape.warps)
    ptx = made.asm["ptx"]
    assert made.metadata.shared <= SHARED_BYTES
    assert not spilled(made.asm["cubin"], tmp_path)
    assert "cp.async.cg.shared.global" in ptx
    units = "wgmma.mma_async" if capability == 90 and tokens >= 64 else "mma.sync"
    assert (units in ptx) == (name == "many_tokens" and kind != "fp32")


@needs_triton
@compiles
@pytest.mark.parametrize("name", ["one_token", "many_tokens", "add_splits"])
def test_the_compiler_takes_sizes_of_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton makes constants of numbers that are 1: the first product that `is_usable` tries is one by one."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    packed = pack(*random_parts(1, 1, 1, 4), bits=4)
    shape = cuda._shape_of(1 if name == "one_token" else 2, packed, torch.float32, 132)
    ones = dict.fromkeys(("rows", "columns", "groups", "steps", "x_stride", "values"), 1)
    compiled(name, "fp32", 90, ones | fixed_by(shape, bits=4, group=8))
    compiled(name, "fp32", 90, fixed_by(shape, bits=4, group=8))


def spilled(cubin: bytes, folder: Path) -> int:
    """Bytes of local memory that a thread has."""
    from triton.knobs import nvidia

    (folder / "kernel.cubin").write_bytes(cubin)
    tool = nvidia.cuobjdump.path
    told = subprocess.run([tool, "-res-usage", folder / "kernel.cubin"], capture_output=True, text=True, check=True)
    found = [word for word in (told.stdout + told.stderr).split() if word.startswith(("STACK:", "LOCAL:"))]
    assert found
    return sum(int(word.partition(":")[2]) for word in found)


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter does compute on a CPU")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not cuda.is_usable(torch.device("cpu"))
        assert not cuda.is_usable(torch.device("cpu"))
    assert len(caplog.records) == 1
    assert "no Triton kernels on cpu" in caplog.text


def test_without_triton(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "anyres.kernels.triton_linear", raising=False)
    assert choose_compute(GPU) is exact_linear
    assert choose_compute(GPU) is exact_linear
    assert len(caplog.records) == 1
    assert "triton" in caplog.text


@needs_triton
def test_on_an_old_gpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert choose_compute(GPU) is exact_linear
    assert "compute capability 7.5" in caplog.text


def test_each_device_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "is_usable", lambda device: True)
    monkeypatch.setattr(cuda.is_usable, "cache_clear", lambda: None, raising=False)
    assert choose_compute(GPU) is cuda.linear
    assert choose_compute(torch.device("cpu")) is cpu.linear
    assert choose_compute(torch.device("mps")) is exact_linear
