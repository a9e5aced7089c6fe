"""Whole runs of the embedded checkpoint: one process, several, from the cache; what cannot be run is named."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import anyres.engine.load
from anyres.disk_cache import DiskCache
from anyres.errors import DatasetError, EngineError, OptionError
from anyres.evaluation.models.spec import ModelSpec, parse_model
from anyres.evaluation.record import TIMES
from anyres.evaluation.run.plan import Plan, read_plan, write_plan
from anyres.evaluation.run.record_file import RecordFile
from anyres.evaluation.run.running import Watcher, run_plan
from anyres.evaluation.run.sources import DataSource, find_data
from anyres.evaluation.run.task import Overrides
from anyres.evaluation.run.variant import PLAIN, Variant
from anyres.evaluation.run.workers import Workers
from tests.evaluation.run.choices import write_choices

TINY = ModelSpec("tiny", "tiny", dtype="float32", at_once=6)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_choices(tmp_path / "MMStar.tsv", 12)


def plan_of(*data: Path, **more: Any) -> Plan:
    overrides = Overrides(max_tokens=6)
    found = tuple(find_data(str(one)) for one in data)
    return Plan(**{"data": found, "models": (TINY,), "overrides": overrides, **more})


def lines_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Every record of a run, without the fields of times, by file and id; each id once."""
    found = {}
    for path in sorted(folder.glob("records/*/*.jsonl")):
        file = RecordFile(path)
        records = file.refresh()
        assert len(records) == len(file.records)
        assert file.damaged == []
        for one in records:
            held = json.loads(one.to_line())
            found[f"{path.name} {one.id}"] = {name: held[name] for name in held if name not in TIMES}
    return found


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_second_run_comes_from_the_cache_and_loads_no_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskCache(tmp_path / "cache")
    plan = plan_of(data, variants=(PLAIN, Variant("blind")))
    first = run_plan(plan, tmp_path / "one", disk=disk)
    assert [(one.total, one.asked, one.cached, one.failed) for one in first.tallies] == [(12, 12, 0, 0)] * 2
    assert first.is_whole

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(anyres.engine.load, "load", never)
    again = run_plan(plan, tmp_path / "one", disk=disk)
    assert [(one.known, one.asked) for one in again.tallies] == [(12, 0)] * 2
    elsewhere = run_plan(plan, tmp_path / "two", disk=disk)
    assert [(one.known, one.asked, one.cached) for one in elsewhere.tallies] == [(0, 12, 12)] * 2
    assert lines_of(tmp_path / "one") == lines_of(tmp_path / "two")
    assert again.is_whole
    assert elsewhere.is_whole


def test_two_processes_give_the_records_of_one(data: Path, tmp_path: Path) -> None:
    plan = plan_of(data, variants=(PLAIN, Variant("shuffled")))
    run_plan(plan, tmp_path / "one")
    watcher = Notes()
    outcome = run_plan(plan, tmp_path / "two", processes=2, watcher=watcher)
    assert outcome.is_whole
    assert [(one.total, one.done, one.asked) for one in outcome.tallies] == [(12, 12, 12)] * 2
    one, two = lines_of(tmp_path / "one"), lines_of(tmp_path / "two")
    assert len(one) == 24
    assert one == two
    assert watcher.notes == []


def test_a_worker_that_is_killed_is_started_again(data: Path, tmp_path: Path) -> None:
    plan, said = plan_of(data), list[str]()
    with Workers(plan, tmp_path / "run", 1, since=time.time(), say=said.append) as workers:
        first = workers.pids
        os.kill(first[0], signal.SIGKILL)
        while workers.alive():
            time.sleep(0.1)
        assert workers.pids != first
        assert workers.said() == ({}, [])
    assert said == ["worker 1 was killed (SIGKILL) and is started again"]
    assert len(lines_of(tmp_path / "run")) == 12


def test_a_worker_that_is_always_killed_ends_the_run(data: Path, tmp_path: Path) -> None:
    with Workers(plan_of(data), tmp_path / "run", 1, since=time.time()) as workers:
        for _ in range(4):
            assert workers.alive()
            os.kill(workers.pids[0], signal.SIGKILL)
            time.sleep(0.05)
        with pytest.raises(EngineError, match="killed 4 times, last by SIGKILL"):
            workers.alive()


@pytest.mark.slow
def test_workers_stop_when_they_are_told(data: Path, tmp_path: Path) -> None:
    wanted = threading.Event()

    class Stops(Watcher):
        def came(self, tally: object) -> None:
            wanted.set()

    write_choices(data, 400)
    outcome = run_plan(plan_of(data), tmp_path / "run", processes=2, watcher=Stops(), stop=wanted.is_set)
    assert outcome.stopped
    assert not outcome.is_whole
    assert 0 < len(lines_of(tmp_path / "run")) < 400


def test_what_cannot_be_run_is_named_and_the_rest_goes_on(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "MMMU.tsv"
    broken.write_text("")
    with data.open("a") as file:
        file.write("3\t0\tThere twice?\tyes\tno\tA\tcounting\n")
        file.write("90\t0\tNo such gold?\tyes\tno\tE\tcounting\n")
        file.write("91\tmissing.png\tNo picture?\tyes\tno\tA\tcounting\n")
        file.write("92\t0\ttoo few cells\n")
    models = (TINY, parse_model("no/such-model"), parse_model(str(tmp_path)))
    plan = plan_of(broken, data, models=models)
    outcome = run_plan(plan, tmp_path / "run")
    assert sorted(outcome.refused) == sorted(["MMMU", "MMStar no/such-model", f"MMStar {tmp_path.name}"])
    assert "anyres pull" in str(outcome.refused["MMStar no/such-model"])
    words = " ".join(str(error) for _, error in outcome.tasks.broken)
    for part in ("id 3: there twice", "one of AB", "missing.png", "another number of cells"):
        assert part in words
    assert [one.done for one in outcome.tallies] == [12, 0, 0]
    assert not outcome.is_whole


def test_nothing_that_can_be_run_is_an_error(data: Path, tmp_path: Path) -> None:
    empty = tmp_path / "MMMU.tsv"
    empty.write_text("")
    with pytest.raises(DatasetError, match=r"MMMU\.tsv"):
        run_plan(plan_of(empty), tmp_path / "run")


def test_a_plan_is_read_as_it_was_written_and_runs_are_added(data: Path, tmp_path: Path) -> None:
    one = plan_of(data, variants=(PLAIN, Variant("blind")), limit=5, judge=parse_model("http://127.0.0.1:9/v1#j"))
    write_plan(one, tmp_path / "run")
    assert read_plan(tmp_path / "run") == one
    other = plan_of(data, models=(parse_model("b=tiny"),), variants=(Variant(knob="max_pixels", value=50176),))
    write_plan(other, tmp_path / "run")
    both = read_plan(tmp_path / "run")
    assert [spec.name for spec in both.models] == ["tiny", "b"]
    assert list(map(str, both.variants)) == ["", "blind", "max_pixels=50176"]
    assert both.data == one.data
    assert (both.limit, both.judge) == (None, one.judge)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"data": []}', '{"data": [{"no": 1}]}'])
def test_a_damaged_plan_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DatasetError, match=r"run\.json: damaged"):
        read_plan(tmp_path)


def test_no_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the folder of a run"):
        read_plan(tmp_path)


def test_data_is_found_by_name_path_or_both(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = DataSource("MMStar", str(data.resolve()))
    monkeypatch.setenv("LMUData", str(tmp_path))
    other = data.rename(tmp_path / "mmstar.tsv")
    found = replace(found, path=str(other.resolve()))
    for text in ("MMStar", "mmstar", f"MMStar={other}", str(other)):
        assert find_data(text) == found
    with pytest.raises(OptionError, match="MMStar"):
        find_data("MMStarr")
    with pytest.raises(DatasetError, match="MMMU: not in"):
        find_data("MMMU")
    with pytest.raises(DatasetError, match="no such file"):
        find_data("MMMU=nowhere.tsv")
    stray = tmp_path / "stray.tsv"
    stray.write_text("")
    with pytest.raises(OptionError, match="NAME="):
        find_data(str(stray))
    assert find_data("mmstar", tmp_path) == found
