"""`anyres eval report`, `rescore` and `compare`: three real models' answers on MathVista as a run on the disk."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.record import Record
from anyres.evaluation.run.plan import Plan, write_plan
from anyres.evaluation.run.record_file import RecordFile
from anyres.evaluation.run.sources import DataSource
from tests.cli.conftest import Run
from tests.evaluation.shipped import DATA, MODELS, QUESTIONS, lines, mathvista, needs_data

pytestmark = needs_data
PART = 100  # of the 1,000 answers of each model


def written(folder: Path, model: str, records: list[Record], *, variant: str = "") -> None:
    spec = ModelSpec(model.replace(" ", "-"), "nowhere")
    write_plan(Plan((DataSource("MathVista", str(QUESTIONS)),), (spec,)), folder)
    suffix = f"@{variant}" if variant else ""
    RecordFile(folder / f"records/MathVista/{spec.slug}{suffix}.jsonl").append(
        [replace(one, model=spec.name, variant=variant, benchmark="MathVista") for one in records]
    )


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "shipped"
    for answers in mathvista():
        written(folder, answers.model, list(answers.records.values())[:PART])
    return folder


def right(stem: str) -> list[bool]:
    """What the source project says of each answer."""
    return [one["correct"] for one in lines(DATA / f"mathvista-testmini/outputs_{stem}.jsonl")[:PART]]


def test_a_report_in_every_form(run: Run, shipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = run("eval", "report", str(shipped), "--out", str(out), "--draws", "100")
    assert found.exit_code == 0, found.stderr
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md", "scores.json", "csv", "report.xlsx"}
    assert f"{100 * sum(right('bard')) / PART:.1f} % [" in found.stdout
    assert "Model against model" in found.stdout
    told = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    (benchmark,) = told["benchmarks"]
    judged = {one["model"]: one["scorings"]["judge"]["figures"]["overall"] for one in benchmark["entries"]}
    assert {name: one["value"] for name, one in judged.items()} == {
        name.replace(" ", "-"): pytest.approx(100 * sum(right(stem)) / PART) for stem, name in MODELS.items()
    }
    assert all(one["low"] < one["value"] < one["high"] for one in judged.values())
    assert f"3 models, {3 * PART} answers" in (out / "report.md").read_text(encoding="utf-8")
    with (out / "csv/samples.csv").open(encoding="utf-8-sig", newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == 1 + 3 * 3 * PART


def test_one_form_and_json(run: Run, shipped: Path, tmp_path: Path) -> None:
    found = run("eval", "report", str(shipped), "-o", str(tmp_path), "--form", "md", "--draws", "100", "--json")
    told = json.loads(found.stdout)
    assert told["written"] == [str(tmp_path / "report.md")]
    assert told["benchmarks"][0]["entries"][0]["counts"]["asked"] == PART
    wrong = run("eval", "report", str(shipped), "-o", str(tmp_path), "--form", "pdf", "--draws", "100")
    assert (wrong.exit_code, "'pdf'; allowed: html, md, json, csv, xlsx" in wrong.stderr) == (2, True)


def test_rescoring_tells_what_a_changed_rule_changes(run: Run, tmp_path: Path) -> None:
    answers = mathvista()[0]
    first, second, *rest = list(answers.records.values())[:20]
    old = {"judge": {"version": 0, "value": "9", "rule": "an older one", "score": 1.0}}
    same = {"judge": {"version": 1, "value": "x", "rule": "judge", "score": 0.0}}
    folder = tmp_path / "old"
    written(folder, "Bard", [replace(first, scores=old), replace(second, scores=same), *rest])
    before = (folder / "records/MathVista/Bard.jsonl").read_bytes()
    found = run("eval", "rescore", str(folder), "--draws", "100", "--json")
    (told,) = json.loads(found.stdout)
    (change,) = told["changed"]
    assert (change["sample"], change["before"], change["now"]) == ("1", 1.0, 0.0)
    assert (change["version_before"], change["version_now"], change["rule_before"]) == (0, 1, "an older one")
    assert json.loads((folder / "scores.json").read_text())["benchmarks"][0]["entries"][0]["counts"]["asked"] == 20
    assert (folder / "records/MathVista/Bard.jsonl").read_bytes() == before, "records stay as they are"
    shown = run("eval", "rescore", str(folder), "--draws", "100")
    assert "an older one" in shown.stdout
    assert "1 scores are others" in shown.stderr


def test_comparing_two_of_three_models(run: Run, shipped: Path) -> None:
    names = ("--model", "Bard", "--model", "LLaVA-LLaMA-2-13B")
    found = run("eval", "compare", str(shipped), *names, "--draws", "200", "--json")
    told = json.loads(found.stdout)
    judged = [one for one in told["benchmarks"][0]["comparisons"] if one["scoring"] == "judge"]
    (one,) = judged
    pairs = list(zip(right("bard"), right("llava_llama_2_13b"), strict=True))
    wins, losses = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    assert (one["n"], one["wins"], one["losses"], one["ties"]) == (PART, wins, losses, PART - wins - losses)
    assert one["value"] == pytest.approx(100 * (wins - losses) / PART)
    official = [one for one in told["benchmarks"][0]["comparisons"] if one["scoring"] == "official"]
    assert len(told["flips"]) == official[0]["wins"] + official[0]["losses"]
    shown = run("eval", "compare", str(shipped), *names, "--draws", "200", "--flips", "3")
    assert "samples differ; --flips shows more" in shown.stderr
    wrong = run("eval", "compare", str(shipped), "--model", "GPT")
    assert (wrong.exit_code, "'GPT'; allowed: Bard, LLaVA-LLaMA-2-13B, random-guess" in wrong.stderr) == (2, True)


def test_the_same_model_in_two_runs_keeps_apart(run: Run, tmp_path: Path) -> None:
    """Before and after a change, in folders of their own."""
    records = list(mathvista()[0].records.values())[:20]
    written(tmp_path / "before", "Bard", records)
    written(tmp_path / "after", "Bard", [replace(one, raw="", judged="") for one in records])
    found = run("eval", "compare", str(tmp_path / "before"), str(tmp_path / "after"), "--draws", "100", "--json")
    one = json.loads(found.stdout)["benchmarks"][0]["comparisons"][0]
    assert (one["first"], one["second"]) == ("Bard", "Bard [after]")
    assert one["value"] > 0


def test_bad_input_is_one_line(run: Run, tmp_path: Path) -> None:
    found = run("eval", "report", str(tmp_path))
    assert found.exit_code == 2
    assert "run.json: cannot be read" in found.stderr
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert "damaged" in run("eval", "rescore", str(tmp_path)).stderr
    folder = tmp_path / "empty"
    write_plan(Plan((DataSource("MathVista", str(QUESTIONS)),), (ModelSpec("x", "x"),)), folder)
    assert "no records" in run("eval", "report", str(folder)).stderr
    lone = tmp_path / "lone"
    written(lone, "Bard", list(mathvista()[0].records.values())[:3])
    assert "no two models with a sample in common" in run("eval", "compare", str(lone)).stderr
    with (lone / "records/MathVista/Bard.jsonl").open("a") as file:
        file.write("{torn\n")
    assert "not a record" in run("eval", "report", str(lone), "--form", "md", "--draws", "100").stderr


def test_data_that_went_away_is_told(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "questions.jsonl"
    data.write_bytes(QUESTIONS.read_bytes())
    folder = tmp_path / "run"
    write_plan(Plan((DataSource("MathVista", str(data)),), (ModelSpec("Bard", "x"),)), folder)
    data.unlink()
    found = run("eval", "report", str(folder))
    assert (found.exit_code, "no such file or folder" in found.stderr) == (2, True)
