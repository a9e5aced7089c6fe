"""The circular control's figure, and parquet files, from the command line to the scores."""

import json
from pathlib import Path
from typing import Any

import pytest

from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.record import Record
from anyres.evaluation.run.plan import Plan, write_plan
from anyres.evaluation.run.record_file import RecordFile, read_records
from anyres.evaluation.run.sources import DataSource
from anyres.evaluation.run.variant import variant_of
from tests.cli.conftest import Run
from tests.evaluation.models.misbehaving import misbehaving
from tests.evaluation.run.choices import PICTURES, ROOT, write_choices

ALWAYS, ONCE = {"0", "1", "2"}, {"3", "4"}  # of six questions; 5 is never right


def figures(folder: Path, run: Run) -> dict[str, Any]:
    """Of the only entry, by scoring."""
    found = run("eval", "report", folder, "--form", "json", "--draws", "1000", "--json")
    assert found.exit_code == 0, found.stderr
    (benchmark,) = json.loads(found.stdout)["benchmarks"]
    (entry,) = benchmark["entries"]
    return {name: scoring["figures"] for name, scoring in entry["scorings"].items()}


def test_a_question_counts_if_it_is_right_in_every_rotation(run: Run, tmp_path: Path) -> None:
    """The interval is over the six questions, of which three each are about one picture: drawing the two pictures would
    give a third to two thirds."""
    data = write_choices(tmp_path / "MMStar.tsv", 6)
    source, spec, circular = DataSource("MMStar", str(data)), ModelSpec("made-up", "nowhere"), variant_of("circular")
    write_plan(Plan((source,), (spec,), (circular,)), tmp_path / "run")
    records = []
    for sample in circular.samples(read_samples(source.open(), data).samples):
        question, _, rotation = sample.id.partition("#circular")
        is_right = question in ALWAYS or (question in ONCE and rotation == "0")
        raw = sample.golds[0] if is_right else "AB"["BA".index(sample.golds[0])]
        records.append(Record(sample.id, "MMStar", spec.name, "key", "?", variant="circular", raw=raw))
    assert len(records) == 12
    RecordFile(tmp_path / "run/records/MMStar/made-up@circular.jsonl").append(records)
    official = figures(tmp_path / "run", run)["official"]
    assert official["overall"]["value"] == pytest.approx(50)
    assert official["rows"]["value"] == pytest.approx(100 * 8 / 12)
    assert official["overall"]["low"] < 33
    assert official["overall"]["high"] > 67


def test_parquet_is_looked_at_asked_and_scored(run: Run, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {
            "id": f"row {number}",
            "image": {"bytes": (ROOT / "examples" / name).read_bytes(), "path": None},
            "question": "answer",
            "answer": gold,
        }
        for number, (name, gold) in enumerate(zip(PICTURES, (["yes", "an answer"], ["no"]), strict=True))
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "own.yaml").write_text("name: own\ndata: rows.parquet\nmetric: exact\n", encoding="utf-8")
    found = run("eval", "preflight", "--data", tmp_path / "own.yaml", "--json")
    (told,) = json.loads(found.stdout)
    assert (found.exit_code, told["samples"], told["media"], told["problems"]) == (0, 2, 2, [])
    with misbehaving() as endpoint:
        asked = ("eval", "run", "--data", tmp_path / "own.yaml", "--model", f"served={endpoint.url}#some-model")
        found = run(*asked, "--work-dir", tmp_path / "out", "--quiet")
    assert found.exit_code == 0, found.stderr
    records = read_records(tmp_path / "out/run/records/own/served.jsonl")
    assert {name: len(one.media_sha256) for name, one in records.items()} == {"row 0": 1, "row 1": 1}
    assert figures(tmp_path / "out/run", run)["exact"]["overall"]["value"] == pytest.approx(50)
