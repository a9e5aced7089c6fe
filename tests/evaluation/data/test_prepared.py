"""A prepared folder gives the same samples as the file it was made from, with each picture once."""

import json
from pathlib import Path

import pytest

from anyres.errors import DatasetError
from anyres.evaluation.benchmarks import benchmark_of
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.prepared import prepare
from anyres.evaluation.data.samples import read_samples
from tests.evaluation.shipped import DATA, needs_data

TSV = DATA / "mmbench-samples/mmbench_en_circular.tsv"


@needs_data
def test_the_shipped_table(tmp_path: Path) -> None:
    counted: list[int] = []
    made = prepare(TSV, tmp_path / "MMBench", tell=counted.append)
    assert (made.rows, made.pictures, made.damaged, counted[-1]) == (78, 20, (), 78)
    benchmark = benchmark_of("MMBench_DEV_EN")
    before, after = read_samples(benchmark, TSV), read_samples(benchmark, made.folder)
    assert [one.id for one in before.samples] == [one.id for one in after.samples]
    for old, new in zip(before.samples, after.samples, strict=True):
        assert (old.question, old.options, old.golds) == (new.question, new.options, new.golds)
        assert old.media[0].image == new.media[0].image.read_bytes()  # type: ignore[union-attr]
    assert all(path.suffix == ".jpg" for path in (made.folder / "pictures").iterdir())


def test_parquet_and_files_beside_the_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = [
        {"id": 1, "image": {"bytes": b"GIF89a", "path": None}, "file": "cat.png", "answers": ["cat.", "x"]},
        {"id": 2, "image": {"bytes": b"GIF89a", "path": None}, "file": "none.png", "answers": []},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    made = prepare(tmp_path / "a.parquet", tmp_path / "new")
    first, second = read_rows(made.folder)
    assert made.pictures == 1
    assert first.pictures("image")[0].image == second.pictures("image")[0].image
    assert first.pictures("image")[0].image.read_bytes() == b"GIF89a"
    assert first.values["file"] == str(tmp_path / "cat.png")
    assert second.values["file"] == "none.png"
    assert first.texts("answers") == ("cat.", "x")


def test_damaged_rows_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1}\n{\n{"id": 2}\n', encoding="utf-8")
    made = prepare(tmp_path / "a.jsonl", tmp_path / "new")
    assert made.rows == 2
    assert made.damaged[0].startswith("a.jsonl:2: not JSON")
    assert [json.loads(line) for line in (made.folder / "data.jsonl").read_text().splitlines()] == [
        {"id": 1},
        {"id": 2},
    ]


def test_nothing_half_made_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.jsonl:1: not JSON"):
        prepare(tmp_path / "a.jsonl", tmp_path / "new")
    with pytest.raises(DatasetError, match="not empty"):
        prepare(tmp_path / "a.jsonl", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.jsonl"]
