"""Building the kernels, and doing without them."""

import ctypes
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from anyres.errors import OptionError
from anyres.kernels import build as building
from anyres.kernels import cpu
from anyres.kernels import library as native_library
from anyres.kernels.packed import pack
from anyres.kernels.reference import exact_linear
from tests.kernels.weights import random_parts

ROOT = Path(__file__).parents[2]
CACHED = (cpu.library, cpu.instruction_sets, cpu.best_isa)
compiles = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")
TESTED = ("test_cpu.py", "test_products.py", "test_attention.py", "test_paged_attention.py")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1")


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What is known of the library is found out anew in the test, and again after it."""
    for cached in CACHED:
        cached.cache_clear()
    yield
    for cached in CACHED:
        cached.cache_clear()


def test_a_machine_without_compiler_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert building.main() == 1
    assert capsys.readouterr().err == ("anyres: no native kernels: no C++ compiler found (c++, g++, clang++ or $CXX)\n")


@pytest.mark.parametrize("command", ["/bin/false", "/no/such/compiler"])
def test_a_compiler_that_fails_leaves_the_old_library(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", command)
    library = tmp_path / "kernels.so"
    library.write_bytes(b"old")
    with pytest.raises(building.BuildError, match=command):
        building.build(library)
    assert library.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [library]


@pytest.mark.usefixtures("forgotten")
def test_without_a_library_it_runs_on_torch_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native_library, "LIBRARY", tmp_path / "none.so")
    packed = pack(*random_parts(20, 64, 2, 4), bits=4)
    x_TK, bias_N = torch.randn(3, 64), torch.randn(20)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert torch.equal(cpu.linear(x_TK, packed, bias_N), exact_linear(x_TK, packed, bias_N))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "several times slower" in caplog.text
    assert "python -m anyres.kernels.build" in caplog.text
    assert cpu.best_isa() is None
    with pytest.raises(OptionError, match="none here"):
        cpu.linear(x_TK, packed, isa=cpu.Isa.SCALAR)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.skipif(cpu.library() is None, reason="the kernels are not built")
def test_an_instruction_set_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for isa in cpu.instruction_sets():
        cpu.best_isa.cache_clear()
        monkeypatch.setenv("ANYRES_ISA", isa.name.lower())
        assert cpu.best_isa() is isa
    cpu.best_isa.cache_clear()
    monkeypatch.setenv("ANYRES_ISA", "sse9")
    with pytest.raises(OptionError, match="ANYRES_ISA: sse9; allowed: SCALAR"):
        cpu.best_isa()


@pytest.mark.usefixtures("forgotten")
@pytest.mark.skipif(cpu.library() is None, reason="the kernels are not built")
def test_a_library_of_other_sources_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native_library, "source_hash", lambda: "0123456789abcdef")
    with caplog.at_level(logging.WARNING):
        assert cpu.best_isa() is None
    assert "is not of the sources" in caplog.text


@pytest.mark.usefixtures("forgotten")
def test_a_library_that_is_none_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "kernels.so"
    broken.write_bytes(b"\x7fELF and no more")
    monkeypatch.setattr(native_library, "LIBRARY", broken)
    with caplog.at_level(logging.WARNING):
        assert cpu.best_isa() is None
    assert "kernels.so" in caplog.text


def test_the_hash_is_that_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copied = tmp_path / "native"
    shutil.copytree(building.SOURCES, copied)
    before = building.source_hash()
    monkeypatch.setattr(building, "SOURCES", copied)
    assert building.source_hash() == before
    with (copied / "plan.h").open("a") as file:
        file.write("\n")
    assert building.source_hash() != before


@compiles
@pytest.mark.slow
def test_it_builds_with_every_instruction_set_of_this_platform(tmp_path: Path) -> None:
    library = tmp_path / "kernels.so"
    assert building.build(library) == []
    loaded = ctypes.CDLL(str(library))
    loaded.anyres_source.restype = ctypes.c_char_p
    assert loaded.anyres_source().decode() == building.source_hash()


@compiles
@pytest.mark.slow
@pytest.mark.skipif(platform.system() != "Linux", reason="the sanitizers are preloaded as on Linux")
def test_the_kernels_under_the_address_and_undefined_behaviour_sanitizers(tmp_path: Path) -> None:
    """The other tests of this folder once more, with a library that checks every access and every operation."""
    library = tmp_path / "kernels.so"
    building.build(library, SANITIZERS)
    runtime = subprocess.run(
        [building.compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = os.environ | {
        "ANYRES_TEST_KERNELS": str(library),
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    tests = [str(ROOT / "tests" / "kernels" / name) for name in TESTED]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "not fork", *tests],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
