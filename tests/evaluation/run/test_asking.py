"""The loop: nothing is asked twice, nothing is lost, failures are told, whoever is killed whenever."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyres.chat import GenerationOptions, ImagePart
from anyres.disk_cache import DiskCache
from anyres.evaluation.benchmark import Settings
from anyres.evaluation.models.query import Told
from anyres.evaluation.record import TIMES, Record
from anyres.evaluation.run.answer_cache import AnswerCache
from anyres.evaluation.run.asking import Answering, Asker
from anyres.evaluation.run.judging import Judging
from anyres.evaluation.run.record_file import RecordFile, read_records
from anyres.evaluation.run.task import Overrides, Task
from anyres.evaluation.run.variant import Variant
from anyres.evaluation.sample import Sample
from tests.evaluation.run.small import EXACT, JUDGED, Adder, benchmark, sums, task

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "examples" / "heading.png"


def asked(one: Task, model: Adder, cache: AnswerCache | None = None, since: float = 0.0) -> dict[str, Record]:
    assert Asker(Answering(one, since=since), model, cache=cache).run(one.asked) == []
    return read_records(one.path)


def test_every_sample_has_a_scored_record(tmp_path: Path) -> None:
    records = asked(task(tmp_path), Adder())
    assert len(records) == 10
    one = records["7"]
    assert (one.raw, one.benchmark, one.model, one.outcome) == ("14", "Sums", "adder", "answered")
    assert one.scores == {"official": {"version": 1, "value": "14", "rule": "whole", "score": 1.0}}
    assert json.loads(one.prompt)[0]["content"][0]["text"] == "7+7="
    assert one.settings == {"max_tokens": 1024, "temperature": 0.0}
    assert (one.prompt_tokens, one.completion_tokens, one.latency_s, one.tries) == (3, 1, 0.5, 1)
    assert abs(one.at - time.time()) < 60


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    asked(task(tmp_path, 6), Adder())
    model = Adder()
    assert len(asked(task(tmp_path), model)) == 10
    assert sorted(model.asked) == ["6+6=", "7+7=", "8+8=", "9+9="]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, overrides=Overrides(max_tokens=7)),
        lambda one: replace(one, benchmark=replace(one.benchmark, settings=Settings(max_tokens=8))),
        lambda one: replace(one, samples=tuple(replace(sample, question="0+1=") for sample in one.samples)),
    ],
)
def test_whatever_changes_the_answer_is_asked_anew(change: Callable[[Task], Task], tmp_path: Path) -> None:
    first = asked(task(tmp_path), Adder())
    model = Adder()
    second = asked(change(task(tmp_path)), model)
    assert len(model.asked) == 10
    assert {one.key for one in first.values()}.isdisjoint(one.key for one in second.values())


def test_another_model_is_asked_anew(tmp_path: Path) -> None:
    asked(task(tmp_path), Adder())
    other = Adder()
    other.identity = "adder 2"
    asked(task(tmp_path), other)
    assert len(other.asked) == 10


def test_a_changed_picture_is_seen_and_a_missing_one_told(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(PICTURE.read_bytes())
    held = [
        Sample("1", "1+1=", media=(ImagePart(picture),)),
        Sample("2", "2+2=", media=(ImagePart(tmp_path / "no.png"),)),
    ]
    first = asked(task(tmp_path, samples=held), Adder())
    assert first["2"].outcome == "failed"
    assert first["2"].error.startswith("MediaError: no.png: no such file")
    assert first["2"].scores["official"] == {
        "version": 1, "value": None, "rule": f"failed: {first['2'].error}", "score": 0.0
    }  # fmt: skip
    model = Adder()
    assert asked(task(tmp_path, samples=held), model)["1"].media_sha256 == first["1"].media_sha256
    assert model.asked == []
    picture.write_bytes((ROOT / "examples" / "scan_portuguese.png").read_bytes())
    assert asked(task(tmp_path, samples=held), model)["1"].media_sha256 != first["1"].media_sha256
    assert model.asked == ["1+1="]


def failing(question: str) -> str | Told:
    return Told(None, "EndpointError: silent", tries=3) if question.startswith("3") else "1"


def test_a_failure_is_no_answer_and_the_run_goes_on(tmp_path: Path) -> None:
    records = asked(task(tmp_path), Adder(failing))
    assert len(records) == 10
    assert (records["3"].outcome, records["3"].error, records["3"].tries) == ("failed", "EndpointError: silent", 3)
    assert records["3"].scores["official"]["value"] is None
    assert [one.id for one in records.values() if one.outcome == "failed"] == ["3"]


def test_failures_are_tried_again_in_the_next_sitting_only(tmp_path: Path) -> None:
    since = time.time() - 1
    asked(task(tmp_path), Adder(failing), since=since)
    same, later = Adder(), Adder()
    assert asked(task(tmp_path), same, since=since)["3"].outcome == "failed"
    assert asked(task(tmp_path), later, since=time.time() + 1)["3"].raw == "6"
    assert (same.asked, later.asked) == ([], ["3+3="])


def test_the_cache_answers_another_run(tmp_path: Path) -> None:
    cache = AnswerCache(DiskCache(tmp_path / "cache"))
    first = asked(task(tmp_path / "a"), Adder(failing), cache)
    model = Adder(lambda _: "never")
    second = asked(task(tmp_path / "b"), model, cache)
    assert model.asked == ["3+3="], "a failure is not kept"
    for name in first:
        assert second[name].cached == (name != "3")
        assert not first[name].cached
    assert [compared(first[name]) for name in first if name != "3"] == [
        compared(second[name]) for name in first if name != "3"
    ]


def test_what_is_drawn_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    cache = AnswerCache(DiskCache(tmp_path / "cache"))
    for folder in "ab":
        model = Adder()
        asked(task(tmp_path / folder, overrides=Overrides(temperature=1.0)), model, cache)
        assert len(model.asked) == 10
    model = Adder()
    asked(task(tmp_path / "c", overrides=Overrides(temperature=1.0, seed=1)), model, cache)
    asked(task(tmp_path / "d", overrides=Overrides(temperature=1.0, seed=1)), model, cache)
    assert len(model.asked) == 10


def test_the_question_keeps_its_own_knobs_against_official_settings(tmp_path: Path) -> None:
    held = [Sample("1", "1+1=", media=(ImagePart(PICTURE, max_pixels=7840), ImagePart(PICTURE)))]
    official = replace(benchmark(), settings=Settings(max_tokens=9, min_pixels=3136, max_pixels=50176))
    one = task(tmp_path, samples=held, benchmark=official)
    parts = one.query(held[0]).messages[0].parts[:2]
    assert [(part.min_pixels, part.max_pixels) for part in parts] == [(3136, 7840), (3136, 50176)]  # type: ignore[union-attr]
    forced = replace(one, overrides=Overrides(max_pixels="checkpoint")).query(held[0])
    assert [part.max_pixels for part in forced.messages[0].parts[:2]] == ["checkpoint"] * 2  # type: ignore[union-attr]
    assert forced.options == GenerationOptions(max_tokens=9, temperature=0.0)


def test_a_sweep_below_the_official_minimum_lowers_it_and_the_record_tells(tmp_path: Path) -> None:
    held = [Sample("1", "1+1=", media=(ImagePart(PICTURE),))]
    official = replace(benchmark(), settings=Settings(min_pixels=78400))
    one = task(tmp_path, samples=held, benchmark=official, variant=Variant(knob="max_pixels", value=25088))
    asked(one, Adder())
    assert [one.settings["media"] for one in read_records(one.path).values()] == [
        [{"min_pixels": 25088, "max_pixels": 25088}]
    ]
    other = task(tmp_path, samples=held, benchmark=official, overrides=Overrides(max_pixels=25088))
    (part, _) = other.query(held[0]).messages[0].parts
    assert (part.min_pixels, part.max_pixels) == (25088, 25088)  # type: ignore[union-attr]


def compared(record: Record) -> Record:
    return replace(record, **dict.fromkeys(TIMES))  # type: ignore[arg-type]


# The judge.


def judged(one: Task, model: Adder, since: float = 0.0) -> dict[str, Record]:
    Asker(Judging(one, model.name, since=since), model).run(one.asked)
    return read_records(one.path)


def judge(answer: Callable[[str], str | Told], name: str = "judge") -> Adder:
    made = Adder(answer)
    made.name = made.identity = name
    return made


def test_a_judge_is_asked_about_answers_and_its_words_are_kept_apart(tmp_path: Path) -> None:
    one = task(tmp_path, benchmark=benchmark(EXACT, JUDGED))
    before = asked(one, Adder(failing))
    assert before["1"].scores["judge"] == {"version": 1, "value": None, "rule": "not judged", "score": 0.0}
    model = judge(lambda question: "1" if "4+4" in question else "0")
    after = judged(one, model)
    assert len(model.asked) == 9, "the failed one has no answer to judge"
    assert "4+4= 1 Right?" in model.asked
    assert (after["4"].raw, after["4"].judge, after["4"].judged) == ("1", "judge", "1")
    assert [name for name in after if after[name].scores["judge"]["score"]] == ["4"]
    assert after["4"].scores["official"] == before["4"].scores["official"]
    again = judge(lambda _: "1")
    judged(one, again)
    assert again.asked == []
    other = judge(lambda _: "1", "another judge")
    assert judged(one, other)["5"].judge == "another judge"


def test_a_judge_that_fails_is_not_replaced(tmp_path: Path) -> None:
    one = task(tmp_path, 3, benchmark=benchmark(EXACT, JUDGED))
    asked(one, Adder())
    since = time.time() - 1
    after = judged(one, judge(lambda _: Told(None, "EndpointError: HTTP 500")), since)
    for record in after.values():
        assert (record.outcome, record.judged, record.judge_error) == ("answered", None, "EndpointError: HTTP 500")
        assert record.scores["judge"]["rule"] == "judge failed: EndpointError: HTTP 500"
        assert record.scores["judge"]["value"] is None
        assert record.scores["official"]["score"] == 1.0
    quiet = judge(lambda _: "1")
    judged(one, quiet, since)
    assert quiet.asked == [], "not twice in a sitting"
    assert all(record.judged == "1" for record in judged(one, quiet, time.time() + 1).values())


# Others, and death.


def start(folder: Path, count: int, pause_s: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.evaluation.run.small", str(folder), str(count), str(pause_s)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process.stdout as said:  # type: ignore[union-attr]
        assert said.readline() == "started\n"
    return process


def lines_of(folder: Path) -> list[str]:
    """Ids of whole lines in the file, in order."""
    reader = RecordFile(task(folder).path)
    ids = [one.id for one in reader.refresh()]
    assert reader.damaged == []
    return ids


def test_processes_share_the_work_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    processes = [start(tmp_path, 120, 0.02) for _ in range(3)]
    assert [process.wait(600) for process in processes] == [0, 0, 0]
    assert sorted(lines_of(tmp_path), key=int) == [str(number) for number in range(120)]


def kill_and_resume(folder: Path, kills: int, seed: int) -> None:
    """Processes are killed at random moments of their work, one of them beside another; some leave half a line."""
    draw = random.Random(seed)
    count = 60 * kills
    for kill in range(kills):
        before = len(lines_of(folder))
        processes = [start(folder, count, 0.05) for _ in range(2 if kill == kills - 2 else 1)]
        wanted = before + draw.randint(0, 20)
        while len(lines_of(folder)) < wanted:
            time.sleep(0.002)
        time.sleep(draw.uniform(0.0, 0.05))
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if draw.random() < 0.5:  # as a kernel or disk may leave it
            with task(folder).path.open("ab") as file:
                file.write(b'{"id": "torn')
    assert 0 < len(lines_of(folder)) < count, "they were killed in the middle"
    assert start(folder, count, 0.0).wait(600) == 0
    assert sorted(lines_of(folder), key=int) == [str(number) for number in range(count)]


def test_killed_runs_go_on_without_loss_or_repetition(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 4, seed=1)


@pytest.mark.slow
def test_killed_twenty_times(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 20, seed=2)


def test_a_stop_waits_for_what_is_under_way_and_asks_no_more(tmp_path: Path) -> None:
    one, model = task(tmp_path, samples=sums(50)), Adder(pause_s=0.01)
    Asker(Answering(one), model, stop=lambda: len(model.asked) >= 8).run(one.asked)
    assert 8 <= len(model.asked) < 20
    assert len(read_records(one.path)) == len(model.asked)
