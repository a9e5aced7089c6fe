"""Files of records: whole lines only, whoever dies; many writers; what is no record is named."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.errors import DatasetError
from anyres.evaluation.record import Record
from anyres.evaluation.run.record_file import RecordFile, read_records


def record(name: str, raw: str = "") -> Record:
    return Record(name, "sums", "adder", "key", "prompt", raw=raw)


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a" / "b.jsonl")
    file.append([record("1"), record("2", "two\nlines\u2028\x85")])
    reader = RecordFile(file.path)
    assert [one.id for one in reader.refresh()] == ["1", "2"]
    assert reader.refresh() == []
    file.append([record("3")])
    assert [one.id for one in reader.refresh()] == ["3"]
    assert reader.records["2"].raw == "two\nlines\u2028\x85"
    assert len(file.path.read_bytes().split(b"\n")) == 4


def test_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    """JSON of an endpoint may hold one; no file in UTF-8 can."""
    file = RecordFile(tmp_path / "a.jsonl")
    file.append([record("1", "\ud83d")])
    assert read_records(file.path)["1"].raw == "\ud83d"


def test_the_newest_of_a_sample_counts(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a.jsonl")
    file.append([record("1", "old"), record("2")])
    file.append([record("1", "new")])
    assert {name: one.raw for name, one in read_records(file.path).items()} == {"1": "new", "2": ""}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_left_of_a_last_line_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A writer killed after any byte of its line."""
    file = RecordFile(tmp_path_factory.mktemp("torn") / "a.jsonl")
    file.append(
        [record(str(number), "x" * data.draw(st.integers(0, 300))) for number in range(data.draw(st.integers(0, 3)))]
    )
    whole = file.path.read_bytes()
    line = record("torn", "y" * data.draw(st.sampled_from([0, 5, 70_000, 140_000]))).to_line().encode()
    file.path.write_bytes(whole + line[: data.draw(st.integers(0, len(line)))])
    RecordFile(file.path).append([record("next")])
    assert file.path.read_bytes() == whole + record("next").to_line().encode() + b"\n"


def test_a_line_under_way_is_not_read_yet(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a.jsonl")
    line = record("1").to_line().encode() + b"\n"
    file.path.write_bytes(line[:40])
    assert file.refresh() == []
    file.path.write_bytes(line)
    assert [one.id for one in file.refresh()] == ["1"]


def test_lines_that_are_no_records_are_named(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a.jsonl")
    file.append([record("1")])
    with file.path.open("ab") as raw:
        raw.write(b"\0\0\0\n\xff\xfe\n" + json.dumps({"id": "2"}).encode() + b"\n")
    file.append([record("3")])
    reader = RecordFile(file.path)
    assert [one.id for one in reader.refresh()] == ["1", "3"]
    assert [text.split(": ")[0].rpartition(":")[2] for text in reader.damaged] == ["2", "3", "4"]


def _write(path: Path, writer: int, count: int) -> None:
    file = RecordFile(path)
    for number in range(count):
        file.append([record(f"{writer}-{number}", "z" * (number % 7) * 1000)])


def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(path, writer, 40)) for writer in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.exitcode for one in writers] == [0, 0, 0]
    reader = RecordFile(path)
    assert len(reader.refresh()) == len(reader.records) == 120
    assert reader.damaged == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    with pytest.raises(DatasetError, match=r"a.jsonl: cannot be written \(No space left"):
        RecordFile(tmp_path / "a.jsonl").append([record("1")])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DatasetError, match="cannot be written"):
        RecordFile(tmp_path / "a.jsonl").append([record("1")])
