"""Our packed files with bytes changed or missing, and disks that fill up: a named error, or what was written."""

import json
import resource
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyres.errors import CheckpointError
from anyres.kernels.reference import exact_linear
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model, save_model
from anyres.quant.card import Probe, log_probabilities
from anyres.quant.load import load_checkpoint
from anyres.quant.quantise import quantise
from tests.oracle import prompt, tiny_config, tiny_model

FILE = "model.safetensors"
PRINTED = b'0123456789abcdefghijklmnopqrstuvwxyzABFIU[]{}":,._- '
fuzzed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "small"
    save_model(tiny_model(tiny_config()), folder)
    return folder


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "int8"
    write(source, folder)
    return folder


def write(source: Path, folder: Path) -> None:
    model = load_model(source)
    quantise(source, folder, to="int8", model=model, probes=[probe(model)], compute=exact_linear)


def probe(model: Qwen2VL) -> Probe:
    return Probe(prompt(model.config, [12]), 4)


@pytest.fixture(scope="module")
def right(made: Path) -> torch.Tensor:
    return said(made)


def said(folder: Path) -> torch.Tensor:
    model = load_checkpoint(folder, device=torch.device("cpu"), dtype=torch.float32, compute=exact_linear)
    with torch.no_grad():
        return log_probabilities(model, probe(model))


def with_file(made: Path, folder: Path, data: bytes) -> Path:
    """A folder of its own, so that no file is changed while another model maps it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns(FILE))
    (folder / FILE).write_bytes(data)
    return folder


def header_bytes(data: bytes) -> int:
    return 8 + int(struct.unpack("<Q", data[:8])[0])


@fuzzed
@given(chosen=st.data())
def test_a_changed_header_is_an_error_or_means_the_same(
    chosen: st.DataObject, made: Path, right: torch.Tensor, tmp_path: Path
) -> None:
    data = bytearray((made / FILE).read_bytes())
    used = len(bytes(data[: header_bytes(data)]).rstrip())
    for _ in range(chosen.draw(st.integers(1, 3))):
        data[chosen.draw(st.integers(0, used - 1))] = chosen.draw(st.sampled_from(PRINTED) | st.integers(0, 255))
    folder = with_file(made, tmp_path / "changed", bytes(data))
    try:
        answer = said(folder)
    except CheckpointError:
        return
    assert torch.equal(answer, right)


@fuzzed
@given(chosen=st.data())
def test_changed_layouts_are_errors(chosen: st.DataObject, made: Path, right: torch.Tensor, tmp_path: Path) -> None:
    """Five numbers tell what a layer's bytes mean: none of them can be another without being noticed."""
    data = bytearray((made / FILE).read_bytes())
    start = header_bytes(data)
    entries = json.loads(data[8:start])
    layouts = sorted(name for name in entries if name.endswith(".layout"))
    first = start + entries[chosen.draw(st.sampled_from(layouts))]["data_offsets"][0]
    place, value = first + chosen.draw(st.integers(0, 39)), chosen.draw(st.integers(0, 255))
    same = data[place] == value
    data[place] = value
    folder = with_file(made, tmp_path / "changed", bytes(data))
    if same:
        assert torch.equal(said(folder), right)
        return
    with pytest.raises(CheckpointError):
        said(folder)


@fuzzed
@given(chosen=st.data())
def test_nothing_else_than_a_named_error_comes_of_any_damage(chosen: st.DataObject, made: Path, tmp_path: Path) -> None:
    data = bytearray((made / FILE).read_bytes())
    for _ in range(chosen.draw(st.integers(0, 8))):
        data[chosen.draw(st.integers(0, len(data) - 1))] = chosen.draw(st.integers(0, 255))
    end = chosen.draw(st.just(len(data)) | st.integers(0, len(data)))
    more = chosen.draw(st.binary(max_size=9))
    folder = with_file(made, tmp_path / "changed", bytes(data[:end]) + more)
    try:
        said(folder)
    except CheckpointError as error:
        named = str(error)
    else:
        named = str(folder)
        assert (end, more) == (len(data), b"")
    assert str(folder) in named


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 10**12, 0, 7])
def test_a_header_of_no_possible_size_is_named(size: int, made: Path, tmp_path: Path) -> None:
    data = (made / FILE).read_bytes()
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        said(with_file(made, tmp_path / "changed", struct.pack("<Q", size) + data[8:]))


HOSTILE = {
    "offsets that overflow": {"data_offsets": [0, 2**64 - 1]},
    "offsets past the end": {"data_offsets": [0, 10**15]},
    "offsets that run back": {"data_offsets": [64, 0]},
    "a negative count": {"shape": [-1, 4]},
    "sizes whose product overflows": {"shape": [2**32, 2**32, 2**32]},
    "an unknown type": {"dtype": "F3"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_named(what: str, made: Path, tmp_path: Path) -> None:
    data = (made / FILE).read_bytes()
    entries = json.loads(data[8 : header_bytes(data)])
    name = "model.layers.0.mlp.up_proj.weight.codes"
    entries[name] |= HOSTILE[what]
    header = json.dumps(entries).encode()
    changed = struct.pack("<Q", len(header)) + header + data[header_bytes(data) :]
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        said(with_file(made, tmp_path / "changed", changed))


@pytest.mark.parametrize(
    "section", [{"bits": None}, {"bits": {"decoder": 4}}, {"bits": {"decoder": 3, "vision": 8, "tables": 8}}]
)
def test_a_config_without_the_bits_is_named(section: dict[str, object], made: Path, tmp_path: Path) -> None:
    folder = with_file(made, tmp_path / "changed", (made / FILE).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] |= section
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"quantization_config: bits"):
        said(folder)


@pytest.fixture
def small_disk() -> Iterator[int]:
    """No file may grow beyond this: the system refuses the write, as a full disk does."""
    before, limit = resource.getrlimit(resource.RLIMIT_FSIZE), 40_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_system_refuses_leaves_nothing(
    source: Path, made: Path, tmp_path: Path, small_disk: int
) -> None:
    assert (made / FILE).stat().st_size > small_disk
    with pytest.raises(CheckpointError, match="cannot be written"):
        write(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
