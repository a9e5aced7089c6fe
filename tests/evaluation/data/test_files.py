"""Rows out of JSONL, JSON, parquet and folders; samples, where one broken row does not end the rest."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anyres.chat import Message
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import read_samples, samples_of_rows
from anyres.evaluation.sample import Sample

PUBTABNET = Path(__file__).parents[3] / "../shared/data/pubtabnet-examples"


def questions(path: Path) -> list[str]:
    return [row.text("question") for row in read_rows(path)]


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "a"}\n\n[1]\n{"question": \n{"question": "b"}\n', encoding="utf-8")
    first, second, third, last = read_rows(path)
    assert (first.text("question"), last.text("question"), last.name) == ("a", "b", "a.jsonl:5")
    for row, told in ((second, "a JSON list instead of an object"), (third, "not JSON")):
        with pytest.raises(DatasetError, match=told):
            row.text("question")


@pytest.mark.parametrize(
    "content",
    [
        [{"question": "a"}, {"question": "b"}],
        {"dataset_name": "docvqa", "data": [{"question": "a"}, {"question": "b"}]},
        {"1": {"question": "a"}, "2": {"question": "b"}},
    ],
)
def test_json(tmp_path: Path, content: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    assert questions(tmp_path / "a.json") == ["a", "b"]
    if isinstance(content, dict) and "data" not in content:
        assert [row.text("id") for row in read_rows(tmp_path / "a.json")] == ["1", "2"]


@pytest.mark.parametrize(("content", "told"), [("{", "not readable"), ("3", "a JSON int"), ('"a"', "a JSON str")])
def test_json_that_is_none(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=told):
        questions(tmp_path / "a.json")


def test_parquet_as_hubs_ship_it_in_shards(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for number, text in enumerate("ab"):
        row = {"question": text, "image": {"bytes": b"png" + text.encode(), "path": "x.png"}, "answers": ["1", "2"]}
        parquet.write_table(pyarrow.Table.from_pylist([row] * 100), tmp_path / f"test-0000{number}.parquet")
    rows = list(read_rows(tmp_path))
    assert [row.text("question") for row in rows] == ["a"] * 100 + ["b"] * 100
    assert rows[150].pictures("image")[0].image == b"pngb"
    assert rows[150].texts("answers") == ("1", "2")
    assert rows[150].name == "test-00001.parquet:51"
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match=r"bad\.parquet: not readable"):
        list(read_rows(tmp_path / "bad.parquet"))


def test_a_folder_holds_one_file_or_one_named_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="0 files that could be the data"):
        questions(tmp_path)
    (tmp_path / "one.jsonl").write_text('{"question": "a"}\n', encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"")
    assert questions(tmp_path) == ["a"]
    (tmp_path / "two.tsv").write_text("question\nb\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="one named data"):
        questions(tmp_path)
    (tmp_path / "data.tsv").write_text("question\nc\n", encoding="utf-8")
    assert questions(tmp_path) == ["c"]


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        questions(tmp_path / "none.tsv")
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"'\.txt'; allowed: \.csv"):
        questions(tmp_path / "a.txt")


@pytest.mark.skipif(not PUBTABNET.is_dir(), reason="the shared data is not here")
def test_pictures_of_real_rows_lie_beside_them() -> None:
    rows = list(read_rows(PUBTABNET / "tables.jsonl"))
    assert len(rows) == 20
    assert all(row.pictures("image")[0].image.is_file() for row in rows)


def sample_of(row: Row) -> Sample:
    return Sample(row.text("id"), row.text("question"))


def prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", sample.question),)


def read(path: Path) -> Iterator[Sample]:
    return samples_of_rows(path, sample_of)


BENCHMARK = Benchmark("own", "Own", "", read, prompt, ())


def test_broken_rows_and_ids_that_come_twice_are_set_aside_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [{"id": 1, "question": "a"}, {"id": 2}, {"id": 1, "question": "again"}, {"id": 3, "question": "b"}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{\n", encoding="utf-8")
    samples, broken = read_samples(BENCHMARK, path)
    assert [(one.id, one.question) for one in samples] == [("1", "a"), ("3", "b")]
    assert [str(one).split(";")[0] for one in broken][:2] == [
        "a.jsonl:2: question: nothing",
        "a.jsonl: id 1: there twice",
    ]
    assert "a.jsonl:5: not JSON" in str(broken[2])


def test_data_without_one_sample_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="no samples"):
        read_samples(BENCHMARK, path)
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.jsonl:1: id: nothing"):
        read_samples(BENCHMARK, path)
