"""The reader of GGUF headers: what a file says is held against the bytes that are there."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyres.errors import CheckpointError
from anyres.quant.gguf import is_gguf, read_gguf

U32, U64 = "<I", "<Q"


def text(value: str) -> bytes:
    return struct.pack(U64, len(value.encode())) + value.encode()


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    sizes = b"".join(struct.pack(U64, size) for size in reversed(shape))
    return text(name) + struct.pack(U32, len(shape)) + sizes + struct.pack(U32, kind) + struct.pack(U64, offset)


def file_of(
    *,
    values: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    data: int = 0,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    tensor_count, value_count = counts or (len(tensors), len(values))
    head = b"GGUF" + struct.pack(U32, version) + struct.pack(U64, tensor_count) + struct.pack(U64, value_count)
    body = head + b"".join(values) + b"".join(tensors)
    return body + bytes(-len(body) % 32) + bytes(data)


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack(U32, 4) + struct.pack(U32, value)


def array(key: str, kind: int, count: int, content: bytes) -> bytes:
    return text(key) + struct.pack(U32, 9) + struct.pack(U32, kind) + struct.pack(U64, count) + content


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


GOOD = file_of(
    values=(
        number("a.number", 7),
        text("a.text") + struct.pack(U32, 8) + text("words"),
        text("a.truth") + struct.pack(U32, 7) + b"\1",
        array("some.floats", 6, 2, struct.pack("<2f", 0.5, -1.0)),
        array("some.words", 8, 2, text("x") + text("")),
    ),
    tensors=(tensor("one", (2, 32), 0, 0), tensor("two", (1, 64), 8, 256)),
    data=256 + 68,
)


def test_values_and_places_are_read(tmp_path: Path) -> None:
    file = read_gguf(written(tmp_path, GOOD))
    assert file.values == {
        "a.number": 7,
        "a.text": "words",
        "a.truth": True,
        "some.floats": [0.5, -1.0],
        "some.words": ["x", ""],
    }
    assert file.tensors["one"].shape == (2, 32)
    assert file.tensors["two"].start - file.tensors["one"].start == 256
    assert file.tensors["two"].bytes == 68
    assert len(file.raw("two")) == 68


def test_a_tensor_s_bytes_are_those_at_its_place(tmp_path: Path) -> None:
    content = GOOD[:-68] + bytes(range(68))
    file = read_gguf(written(tmp_path, content))
    assert np.array_equal(file.raw("two"), np.arange(68, dtype=np.uint8))


def test_only_files_that_start_as_one_are_gguf(tmp_path: Path) -> None:
    assert is_gguf(written(tmp_path, GOOD))
    assert not is_gguf(written(tmp_path, b"PK" + GOOD))
    assert not is_gguf(tmp_path)


HUGE = 2**64 - 1
BAD = {
    "empty": (b"", "0 bytes"),
    "another kind of file": (b"\x89PNG" + bytes(60), "starts with"),
    "big endian": (GOOD[:4] + struct.pack(">I", 3) + GOOD[8:], "version 50331648"),
    "version 1": (file_of(version=1), "version 1"),
    "more tensors than there are bytes": (file_of(counts=(HUGE, 0)), f"{HUGE} tensors"),
    "more values than there are bytes": (file_of(counts=(0, 2**40)), "values"),
    "a key longer than the file": (file_of(values=(struct.pack(U64, HUGE) + b"x" * 40,)), "bytes at byte"),
    "a text of a negative length": (
        file_of(values=(text("k") + struct.pack(U32, 8) + struct.pack("<q", -1) + b"x" * 40,)),
        "bytes at byte",
    ),
    "an array longer than the file": (file_of(values=(array("k", 0, 2**62, b"x" * 40),)), "values in k"),
    "an array whose bytes overflow": (file_of(values=(array("k", 10, 2**61, b"x" * 40),)), "values in k"),
    "an array of arrays": (file_of(values=(array("k", 9, 1, bytes(40)),)), "an array of type 9"),
    "a type that does not exist": (file_of(values=(text("k") + struct.pack(U32, 13) + bytes(40),)), "type 13"),
    "the same key twice": (file_of(values=(number("k", 1), number("k", 2)), data=64), "two values named 'k'"),
    "an alignment of 0": (file_of(values=(number("general.alignment", 0),), data=64), "general.alignment: 0"),
    "an odd alignment": (file_of(values=(number("general.alignment", 33),), data=64), "general.alignment: 33"),
    "no dimensions": (file_of(tensors=(tensor("t", (), 0, 0),), data=64), "t: 0 dimensions"),
    "a hundred dimensions": (file_of(tensors=(tensor("t", (1,) * 100, 0, 0),)), "t: 100 dimensions"),
    "a size of 0": (file_of(tensors=(tensor("t", (0, 32), 0, 0),), data=64), "sizes above 0"),
    "sizes whose product overflows": (file_of(tensors=(tensor("t", (2**40, 2**40), 0, 0),), data=64), "from byte"),
    "a type of blocks we lack": (file_of(tensors=(tensor("t", (1, 256), 10, 0),), data=256), "ggml type 10"),
    "half a block": (file_of(tensors=(tensor("t", (1, 48), 8, 0),), data=64), "a multiple of 32"),
    "an offset past the end": (file_of(tensors=(tensor("t", (1, 16), 0, 64),), data=64), "within the file"),
    "an offset that overflows": (file_of(tensors=(tensor("t", (1, 16), 0, HUGE - 31),), data=64), "within the file"),
    "an offset out of line": (file_of(tensors=(tensor("t", (1, 4), 0, 4),), data=64), "a multiple of 32"),
    "a tensor cut off": (file_of(tensors=(tensor("t", (1, 16), 0, 0),), data=63), "within the file"),
    "two of a name": (file_of(tensors=(tensor("t", (8,), 0, 0), tensor("t", (8,), 0, 32)), data=64), "two tensors"),
    "two in one place": (file_of(tensors=(tensor("a", (16,), 0, 0), tensor("b", (8,), 0, 32)), data=64), "overlaps"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_named(name: str, tmp_path: Path) -> None:
    content, words = BAD[name]
    with pytest.raises(CheckpointError, match=words):
        read_gguf(written(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_gguf(tmp_path / "none.gguf")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_bytes_are_changed_it_reads_or_says_why_not(edits: list[tuple[int, int]], tmp_path: Path) -> None:
    content = bytearray(GOOD)
    for place, value in edits:
        content[place] = value
    path = written(tmp_path, bytes(content))
    try:
        file = read_gguf(path)
    except CheckpointError:
        return
    for name, info in file.tensors.items():
        assert info.start + info.bytes <= len(content)
        assert len(file.raw(name)) == info.bytes


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, len(GOOD) - 1))
def test_a_file_cut_off_anywhere_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        read_gguf(written(tmp_path, GOOD[:length]))
