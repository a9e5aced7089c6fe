"""The shipped files: small, whole, without pickles, and what damaged ones give."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.errors import CheckpointError
from anyres.parity.goldens import SHIPPED, ragged, read_goldens, split

FILES = ("ids.npz", "logits.npz", "positions.npz", "processing.npz")


def test_shipped_files_are_small() -> None:
    assert sorted(path.name for path in SHIPPED.iterdir()) == sorted(FILES)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 300_000


@pytest.mark.parametrize("name", FILES)
def test_shipped_files_read(name: str) -> None:
    arrays = read_goldens(SHIPPED / name)
    assert arrays
    assert all(array.dtype.kind in "iufU" for array in arrays.values())


@given(st.lists(st.lists(st.integers(-5, 5), max_size=6), min_size=1))
def test_ragged_rows_come_back(rows: list[list[int]]) -> None:
    arrays = ragged("a", [np.array(row, dtype=np.int64) for row in rows])
    assert [row.tolist() for row in split(arrays, "a")] == rows


def test_damaged_files_are_told(tmp_path: Path) -> None:
    whole = (SHIPPED / "ids.npz").read_bytes()
    path = tmp_path / "golden.npz"
    with pytest.raises(CheckpointError, match="no such file"):
        read_goldens(path)
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-30], whole[:60] + b"\xff" * 40 + whole[100:]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"golden\.npz: damaged"):
            read_goldens(path)
    with pytest.raises(CheckpointError):
        read_goldens(tmp_path)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "golden.npz", trap=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CheckpointError, match="without pickles"):
        read_goldens(tmp_path / "golden.npz")
