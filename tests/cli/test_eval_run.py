"""`anyres eval run` from the command line: the table, VLMEvalKit's options, exit codes, what is complained about."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from anyres.cli.eval_run import values_repeated
from anyres.cli.eval_watch import watching
from anyres.evaluation.models.spec import parse_model
from anyres.evaluation.run.plan import Plan
from anyres.evaluation.run.record_file import read_records
from anyres.evaluation.run.running import run_plan
from anyres.evaluation.run.sources import find_data
from tests.cli.test_ask import Screen
from tests.evaluation.models.misbehaving import Endpoint, misbehaving
from tests.evaluation.run.choices import write_choices

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_choices(tmp_path / "MMStar.tsv", 6)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with misbehaving() as server:
        yield server


def told(result: Result) -> dict[str, Any]:
    assert result.stdout, result.stderr
    return dict(json.loads(result.stdout))


def test_a_run_with_a_control_and_a_sweep(data: Path, run: Run, tmp_path: Path) -> None:
    asked = ["eval", "run", "--data", data, "--model", "tiny", "--dtype", "float32", "--max-tokens", "4"]
    asked += ["--control", "blind", "shuffled", "--sweep", "pixels=3136,6272", "--work-dir", tmp_path / "out", "--json"]
    result = run(*asked)
    assert result.exit_code == 0, result.stderr
    results = told(result)["results"]
    assert [one["variant"] for one in results] == ["", "blind", "shuffled", "pixels=3136", "pixels=6272"]
    assert all((one["samples"], one["answered"], one["failed"]) == (6, 6, 0) for one in results)
    assert all(one["score"]["low"] <= one["score"]["value"] <= one["score"]["high"] for one in results)
    folder = tmp_path / "out" / "run" / "records" / "MMStar"
    grids = {name: read_records(folder / f"tiny{name}.jsonl") for name in ("", "@blind", "@pixels=3136")}
    assert all(one.grids_thw and one.visual_tokens for one in grids[""].values())
    assert all(not one.grids_thw and not one.visual_tokens for one in grids["@blind"].values())
    assert all(
        one.settings["media"] == [{"min_pixels": 3136, "max_pixels": 3136}] for one in grids["@pixels=3136"].values()
    )
    fewer = sum(one.visual_tokens for one in grids["@pixels=3136"].values())
    assert fewer < sum(one.visual_tokens for one in grids[""].values())
    assert f"records in {tmp_path / 'out' / 'run'}" in result.stderr


def test_a_table_and_what_was_known(data: Path, run: Run, tmp_path: Path, endpoint: Endpoint) -> None:
    model = f"served={endpoint.url}#some-model"
    asked = [
        "eval",
        "run",
        "--data",
        f"MMStar={data}",
        "--model",
        model,
        "--work-dir",
        tmp_path / "out",
        "--limit",
        "4",
    ]
    result = run(*asked)
    assert result.exit_code == 0, result.stderr
    for words in ("MMStar", "served", "95 %", "overall"):
        assert words in result.stdout
    assert sum(endpoint.tries.values()) == 4
    again = run(*asked[:-2], "--json", "--quiet")
    assert sum(endpoint.tries.values()) == 6
    assert told(again)["results"][0]["from_cache"] == 4
    assert again.stderr == ""


def test_an_endpoint_that_fails_gives_exit_code_1_and_says_so(data: Path, run: Run, tmp_path: Path) -> None:
    asked = ["eval", "run", "--data", data, "--model", "dead=http://127.0.0.1:1/v1#m", "--retry", "1"]
    result = run(*asked, "--work-dir", tmp_path / "out", "--json")
    assert result.exit_code == 1
    (one,) = told(result)["results"]
    assert (one["samples"], one["answered"], one["failed"]) == (6, 0, 6)
    assert "has no answer: EndpointError" in result.stderr
    assert "the same command asks them again" in result.stderr


def test_verbose_shows_every_answer(data: Path, run: Run, tmp_path: Path, endpoint: Endpoint) -> None:
    asked = ["eval", "run", "--data", data, "--model", f"served={endpoint.url}#some-model", "--verbose"]
    result = run(*asked, "--work-dir", tmp_path / "out", "--pack", "--reuse", "--no-cache")
    assert result.stderr.count("'an answer'") == 6
    assert "--pack has no effect" in result.stderr
    assert "--reuse has no effect" in result.stderr


def test_a_judge_and_its_failures(run: Run, tmp_path: Path, endpoint: Endpoint) -> None:
    data = tmp_path / "MMVet.tsv"
    write_choices(data, 4)
    asked = [
        "eval",
        "run",
        "--data",
        data,
        "--model",
        f"served={endpoint.url}#some-model",
        "--work-dir",
        tmp_path / "out",
    ]
    infer = run(*asked, "--mode", "infer", "--judge", "judge=http://127.0.0.1:1/v1#j")
    assert infer.exit_code == 0, infer.stderr
    assert "4 answers wait for a judge" in infer.stderr
    dead = run(*asked, "--mode", "eval", "--judge", "judge=http://127.0.0.1:1/v1#j", "--retry", "1")
    assert dead.exit_code == 1
    assert "4 not judged" in dead.stderr
    asked_before = sum(endpoint.tries.values())
    judged = run(*asked, "--mode", "all", "--judge", f"judge={endpoint.url}#j", "--json")
    assert judged.exit_code == 0, judged.stderr
    assert sum(endpoint.tries.values()) == asked_before + 4
    records = read_records(tmp_path / "out" / "run" / "records" / "MMVet" / "served.jsonl")
    assert {one.judged for one in records.values()} == {"an answer"}
    assert {one.judge for one in records.values()} == {"judge"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--data", "MMStarr"], "MMStar"),
        (["--data", "MMMU=nowhere.tsv"], "nowhere.tsv: no such file"),
        (["--mode", "both"], "--mode: 'both'; allowed: all or infer or eval"),
        (["--control", "deaf"], "--control: 'deaf'; allowed: blind or shuffled or circular"),
        (["--sweep", "colour=1"], "--sweep: 'colour=1'"),
        (["--sweep", "max_pixels=few"], "--sweep: 'max_pixels=few'"),
        (["--coordinates", "miles"], "--coordinates: 'miles'"),
        (["--model", "tiny"], "two models called tiny"),
        (["--temperature", "-1"], "temperature: -1"),
        (["--limit", "0"], "--limit"),
        (["--timeout", "0"], "timeout_s: 0"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(wrong: list[str], words: str, data: Path, run: Run, tmp_path: Path) -> None:
    result = run("eval", "run", "--data", data, "--model", "tiny", "--work-dir", tmp_path / "out", *wrong)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_a_model_that_is_not_there_is_named(data: Path, run: Run, tmp_path: Path) -> None:
    result = run("eval", "run", "--data", data, "--model", "no/such-model", "--work-dir", tmp_path / "out")
    assert result.exit_code == 1
    assert "MMStar no/such-model: no/such-model: not on this machine" in result.stderr


def test_lists_of_values() -> None:
    args = ["--data", "A", "B", "--model", "x", "--verbose", "--data", "C", "D", "E"]
    assert values_repeated(args, ("--data", "--model")) == [
        "--data", "A", "--data", "B", "--model", "x", "--verbose", "--data", "C", "--data", "D", "--data", "E"
    ]  # fmt: skip


def test_a_terminal_gets_bars(data: Path, tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen)
    plan = Plan((find_data(str(data)),), (parse_model(f"served={endpoint.url}#some-model"),))
    with watching(quiet=False, verbose=False) as watcher:
        run_plan(plan, tmp_path / "out", watcher=watcher)
    assert "6/6" in screen.getvalue()
    assert "MMStar served" in screen.getvalue()
