"""`anyres eval prepare`, `preflight`, `import` and `export` on real data and on data with every fault."""

import json
from pathlib import Path

import pytest
from PIL import Image

from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.vlmevalkit import read_results
from tests.cli.conftest import Run
from tests.evaluation.shipped import DATA, QUESTIONS, needs_data

TSV = DATA / "mmbench-samples/mmbench_en_circular.tsv"
OWN = "name: own\ndata: rows.jsonl\nmetric: exact\n"


def own(folder: Path, *rows: object) -> Path:
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "own.yaml").write_text(OWN, encoding="utf-8")
    return folder / "own.yaml"


@needs_data
def test_a_prepared_folder_is_found_by_the_name_of_its_benchmark(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "data/MMBench_DEV_EN"
    found = run("eval", "prepare", str(TSV), "--out", str(out), "--json")
    told = json.loads(found.stdout)
    assert (told["rows"], told["pictures"], told["damaged"]) == (78, 20, [])
    looked = run("eval", "preflight", "--data", "MMBench_DEV_EN", "--data-dir", str(tmp_path / "data"), "--json")
    (told,) = json.loads(looked.stdout)
    assert (told["samples"], told["media"], told["no_gold"], told["unreadable"]) == (78, 20, 0, [])
    assert looked.exit_code == bool(told["problems"])
    assert all("while the published benchmark has" in text for text in told["problems"])
    assert "[user] <picture>Question: " in told["preview"]
    wrong = run("eval", "prepare", str(TSV), "-o", str(tmp_path / "x"), "--checksum", "0" * 32)
    assert (wrong.exit_code, "md5" in wrong.stderr) == (2, True)
    assert "not empty" in run("eval", "prepare", str(TSV), "-o", str(out)).stderr


def test_every_fault_of_data_is_told(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "fine.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    path = own(
        tmp_path,
        {"id": 1, "question": "a", "answer": "x", "image": "fine.png"},
        {"id": 2, "question": "b", "answer": "x", "image": "bad.png"},
        {"id": 3, "question": "c", "image": "none.png"},
        {"id": 1, "question": "again", "answer": "x"},
        {"id": 5},
    )
    found = run("eval", "preflight", "--data", str(path), "--json")
    (told,) = json.loads(found.stdout)
    assert found.exit_code == 1
    assert (told["samples"], told["media"], told["no_gold"]) == (3, 3, 1)
    assert [name for name, _ in told["unreadable"]] == ["2", "3"]
    assert any("id 1: there twice" in text for text in told["broken"])
    words = " / ".join(told["problems"])
    assert "2 rows are broken" in words
    assert "1 samples have no published answer" in words
    assert "2 pictures or clips cannot be read" in words
    shown = run("eval", "preflight", "--data", str(path), "--no-decode").stdout
    assert "cannot be read" not in shown
    assert "    [user] <picture>a" in shown


def test_questions_without_pictures_are_a_remark_and_no_problem(run: Run, tmp_path: Path) -> None:
    words = {"question": "a", "answer": "x"}
    path = own(tmp_path, {"id": 1, **words}, {"id": 2, **words})
    found = run("eval", "preflight", "--data", str(path))
    assert (found.exit_code, "  no sample has a picture or clip" in found.stdout) == (0, True)
    Image.new("RGB", (8, 8)).save(tmp_path / "fine.png")
    own(tmp_path, {"id": 1, **words}, {"id": 2, **words, "image": "fine.png"})
    found = run("eval", "preflight", "--data", str(path), "--json")
    (told,) = json.loads(found.stdout)
    assert (found.exit_code, told["problems"]) == (0, [])
    assert told["remarks"] == ["1 of 2 samples have neither picture nor clip"]
    own(tmp_path, {"id": 2, **words, "image": "fine.png"})
    (told,) = json.loads(run("eval", "preflight", "--data", str(path), "--json").stdout)
    assert told["remarks"] == []


@needs_data
def test_the_shipped_questions_of_mathvista_are_text(run: Run) -> None:
    found = run("eval", "preflight", "--data", f"MathVista={QUESTIONS}", "--json")
    (told,) = json.loads(found.stdout)
    assert (told["media"], told["problems"]) == (0, [])
    assert told["remarks"] == ["no sample has a picture or clip: all is asked as text"]


def test_five_samples_tell_what_the_run_takes(run: Run, tmp_path: Path, checkpoint: Path) -> None:
    rows = [{"id": n, "question": f"What is number {n}?", "answer": "x"} for n in range(40)]
    path = own(tmp_path, *rows)
    (tmp_path / "own.yaml").write_text(OWN + "max_tokens: 4\n", encoding="utf-8")
    words = ("eval", "preflight", "--data", str(path), "--model", str(checkpoint), "--limit", "30")
    found = run(*words, "--price-in", "2", "--price-out", "8", "--json")
    assert found.exit_code == 0, found.stdout
    trial = json.loads(found.stdout)[0]["trial"]
    assert (trial["asked"], trial["failed"], trial["samples_of_the_run"]) == (5, [], 30)
    assert [name for name, _ in trial["answers"]] == ["0", "10", "20", "29", "39"]
    assert 0 < trial["completion_tokens"] <= 4
    assert trial["tokens_read"] == round(30 * trial["prompt_tokens"])
    assert trial["cost"] == pytest.approx(
        30 * (2 * trial["prompt_tokens"] + 8 * trial["completion_tokens"]) / 1e6, abs=1e-4
    )
    assert trial["seconds"] > trial["load_s"]
    assert trial["memory_bytes"] > 1e8
    assert "about 0:00:" in run(*words).stdout


def test_a_model_that_fails_is_told(run: Run, tmp_path: Path) -> None:
    path = own(tmp_path, {"id": 1, "question": "a", "answer": "x"})
    (tmp_path / "own.yaml").write_text(f"{OWN}rows: 7\n", encoding="utf-8")
    found = run("eval", "preflight", "--data", str(path), "--model", "http://127.0.0.1:9/v1#none", "--json")
    (told,) = json.loads(found.stdout)
    assert found.exit_code == 1
    assert told["problems"][0] == "1 samples, while the published benchmark has 7"
    assert "1 of 1 samples were not answered" in told["problems"][1]


def test_pictures_that_one_trains_on_are_found(run: Run, tmp_path: Path) -> None:
    photos = Path(__file__).parents[2] / "examples"
    photo = Image.open(photos / "scan_portuguese.png").convert("RGB")
    other = next(path for path in sorted(photos.glob("*.png")) if path.name != "scan_portuguese.png")
    (tmp_path / "train").mkdir()
    photo.resize((photo.width * 2 // 3, photo.height * 2 // 3)).save(tmp_path / "train/copy.jpg", quality=70)
    Image.new("RGB", (64, 64), "white").save(tmp_path / "train/white.png")
    photo.save(tmp_path / "a.png")
    Image.open(other).save(tmp_path / "b.png")
    Image.new("RGB", (32, 32), "white").save(tmp_path / "c.png")
    path = own(tmp_path, *({"id": name, "question": "?", "answer": "x", "image": f"{name}.png"} for name in "abc"))
    found = run("eval", "preflight", "--data", str(path), "--leaks", str(tmp_path / "train"), "--json")
    (told,) = json.loads(found.stdout)
    assert [(name, Path(file).name) for name, file, _ in told["leaks"]] == [("a", "copy.jpg")]
    assert told["problems"] == ["1 samples have their picture in that folder"]


@needs_data
@pytest.mark.parametrize("form", ["xlsx", "tsv", "json"])
def test_results_of_the_other_kit_go_in_and_out(run: Run, tmp_path: Path, form: str) -> None:
    """The gold column as predictions gives 20 of 20 groups; one failure and one formula cost a group each."""
    rows = gold_predictions()
    rows[0]["prediction"], rows[1]["prediction"] = "=1+1", "Failed to obtain answer via API. timed out"
    (tmp_path / "in.json").write_text(json.dumps([*rows, {"index": 77, "prediction": "A"}]), encoding="utf-8")
    words = ("--data", f"MMBench_DEV_EN={TSV}", "--work-dir", str(tmp_path))
    found = run("eval", "import", str(tmp_path / "in.json"), *words, "--model", "gold")
    assert found.exit_code == 0, found.stderr
    assert "78 of 78 samples" in found.stderr
    assert "index 77 is not in the data" in found.stderr
    exported = run("eval", "export", str(tmp_path / "imported"), "-o", str(tmp_path / "out"), "--form", form)
    path = Path(exported.stdout.strip())
    assert path == tmp_path / f"out/gold/gold_MMBench_EN.{form}"
    back = {row.text("index"): row.text("prediction") for row in read_results(path)}
    assert len(back) == 78
    assert back[str(rows[0]["index"])] == "=1+1"
    again = run("eval", "import", str(path), *words, "--model", "again")
    assert again.exit_code == 0, again.stderr
    told = json.loads(run("eval", "compare", str(tmp_path / "imported"), "--draws", "100", "--json").stdout)
    for entry in told["benchmarks"][0]["entries"]:
        assert entry["scorings"]["official"]["figures"]["overall"]["value"] == pytest.approx(100 * 18 / 20)
        assert entry["counts"]["failed"] == 1
    twice = run("eval", "import", str(path), *words, "--model", "again")
    assert (twice.exit_code, "is there already" in twice.stderr) == (2, True)


def gold_predictions() -> list[dict[str, object]]:
    return [{"index": row.whole("index"), "prediction": row.text("answer")} for row in read_rows(TSV)]


def test_files_that_are_no_results(run: Run, tmp_path: Path) -> None:
    path = own(tmp_path, {"id": 1, "question": "a", "answer": "x"})
    (tmp_path / "other.json").write_text('[{"id": 1}]', encoding="utf-8")
    (tmp_path / "bad.xlsx").write_bytes(b"PK nothing")
    (tmp_path / "stray.json").write_text('[{"index": 9, "prediction": "x"}]', encoding="utf-8")
    for name, told in (("other.json", "columns id"), ("bad.xlsx", "not readable"), ("stray.json", "no index in")):
        found = run("eval", "import", str(tmp_path / name), "--data", str(path), "--model", "x")
        assert (found.exit_code, told in found.stderr) == (2, True), found.stderr
    assert run("eval", "export", str(tmp_path), "-o", str(tmp_path), "--form", "pdf").exit_code == 2
