"""Curves as CSV and TensorBoard events, and the report of bad rows."""

import csv
import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.training.curves import Curves, Quarantine
from anyres.training.loader import Rejection
from anyres.training.preparing import Rejected
from anyres.training.tensorboard import EventFile, crc32c

GOLDEN = Path(__file__).parents[1] / "goldens" / "tensorboard_events.json.gz"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_figure_becomes_a_column(tmp_path: Path) -> None:
    curves = Curves(tmp_path, step=0)
    curves.add(1, {"loss": 2.0})
    curves.add(2, {"loss": 1.5, "box": 0.25})
    curves.add(3, {"box": 0.125})
    curves.close()
    assert rows(tmp_path) == [
        {"step": "1", "loss": "2", "box": ""},
        {"step": "2", "loss": "1.5", "box": "0.25"},
        {"step": "3", "loss": "", "box": "0.125"},
    ]


@pytest.mark.parametrize("torn", ["", "4,0.", "\n", "5"])
def test_going_on_drops_later_and_torn_rows(tmp_path: Path, torn: str) -> None:
    curves = Curves(tmp_path, step=0)
    for step in (1, 2, 3):
        curves.add(step, {"loss": float(step)})
    curves.close()
    with (tmp_path / "curve.csv").open("a") as file:
        file.write(torn)
    curves = Curves(tmp_path, step=2)
    curves.add(3, {"loss": 30.0})
    curves.close()
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [("1", "1"), ("2", "2"), ("3", "30")]


def rejection(number: int, row: int) -> Rejection:
    return Rejection(number, Rejected(row, f"a.jsonl:{row + 1}", "MediaError", "größe: 0; allowed: 1"))


def test_quarantine_names_each_row_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, cursor=0)
    quarantine.add([rejection(4, 4), rejection(7, 2)])
    quarantine.add([rejection(14, 4)])
    lines = [json.loads(line) for line in quarantine.path.read_text(encoding="utf-8").splitlines()]
    assert lines == [
        {"number": n, "row": r, "name": f"a.jsonl:{r + 1}", "error": "MediaError", "reason": "größe: 0; allowed: 1"}
        for n, r in ((4, 4), (7, 2))
    ]


def test_going_on_reports_again_what_is_met_again(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, cursor=0)
    quarantine.add([rejection(4, 4), rejection(7, 2)])
    with quarantine.path.open("a") as file:
        file.write('{"number": 9, "ro')
    again = Quarantine(tmp_path, cursor=7)
    again.add([rejection(7, 2), rejection(8, 4)])
    assert [json.loads(line)["number"] for line in again.path.read_text().splitlines()] == [4, 7]


@pytest.mark.parametrize(
    ("data", "checksum"),  # RFC 3720, section B.4
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"", 0)],
)
def test_checksums_of_the_standard(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def test_events_are_the_bytes_of_tensorboard(tmp_path: Path) -> None:
    """What tensorboard 2.x's own writer makes of the same values (tests/goldens/make_tensorboard_events.py)."""
    golden = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    clock = iter(golden["times"])
    file = EventFile(tmp_path, step=golden["start"], clock=lambda: next(clock))
    for step, scalars in golden["scalars"]:
        file.add(step, scalars)
    file.close()
    assert [one.hex() for one in records(file.path)] == golden["records"]


def records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield data[: 16 + length]
        data = data[16 + length :]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.dictionaries(st.text(min_size=1), st.floats(width=32)))))
def test_every_record_has_its_length_and_checksums(events: list[tuple[int, dict[str, float]]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        file = EventFile(Path(name), step=0)
        for step, scalars in events:
            file.add(step, scalars)
        file.close()
        found = list(records(file.path))
    assert len(found) == 2 + len(events)
    for record in found:
        assert masked(record[:8]) == record[8:12]
        assert masked(record[12:-4]) == record[-4:]


def masked(data: bytes) -> Any:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
