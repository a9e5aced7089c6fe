"""Endpoints that misbehave: asked again within a budget, recorded as no answer, and the run goes on."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anyres.chat import Message
from anyres.evaluation.models.opening import open_model
from anyres.evaluation.models.query import Query
from anyres.evaluation.models.remote import RemoteModel, RetryBudget
from anyres.evaluation.models.spec import ModelSpec, parse_model
from anyres.evaluation.record import Record
from anyres.evaluation.run.asking import Answering, Asker
from anyres.evaluation.run.record_file import read_records
from anyres.evaluation.sample import Sample
from tests.evaluation.models.misbehaving import Endpoint, misbehaving
from tests.evaluation.run.small import task


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with misbehaving() as server:
        yield server


def spec_of(url: str, **more: object) -> ModelSpec:
    return replace(parse_model(f"{url}#some-model"), timeout_s=0.4, **more)  # type: ignore[arg-type]


def records_of(folder: Path, model: RemoteModel, questions: list[str]) -> dict[str, Record]:
    mine = task(folder, samples=[Sample(one, one) for one in questions])
    try:
        assert Asker(Answering(mine), model).run(mine.asked) == []
    finally:
        model.close()
    return read_records(mine.path)


def test_failures_are_repeated_then_recorded_and_the_run_goes_on(endpoint: Endpoint, tmp_path: Path) -> None:
    questions = ["fine", "429 until 3", "500 until 2", "500", "429", "silent", "garbage", "cut", "400", "fine too"]
    pauses: list[float] = []
    records = records_of(tmp_path, RemoteModel(spec_of(endpoint.url), sleep=pauses.append), questions)
    assert set(records) == set(questions)
    assert {name for name, one in records.items() if one.outcome == "answered"} == {
        "fine", "fine too", "429 until 3", "500 until 2"
    }  # fmt: skip
    assert records["429 until 3"].raw == "an answer"
    assert {name: one.tries for name, one in records.items()} == {
        "fine": 1, "fine too": 1, "429 until 3": 3, "500 until 2": 2, "500": 3, "429": 3, "silent": 3,
        "garbage": 1, "cut": 3, "400": 1,
    }  # fmt: skip
    assert endpoint.tries["silent"] == endpoint.tries["500"] == 3
    for name, words in {"500": "HTTP 500", "429": "HTTP 429", "silent": "silent for 0.4 s", "400": "HTTP 400"}.items():
        assert words in records[name].error
        assert records[name].scores["official"]["value"] is None
    assert "no JSON" in records["garbage"].error
    assert "broke off" in records["cut"].error
    assert len(pauses) == 2 + 1 + 2 + 2 + 2 + 2


def test_a_refused_connection_is_told(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    records = records_of(tmp_path, RemoteModel(spec_of(url), sleep=lambda _: None), ["a", "b"])
    assert [one.tries for one in records.values()] == [3, 3]
    assert all("cannot be reached" in one.error for one in records.values())


def test_a_spent_budget_repeats_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    """A dead endpoint must not hold up a run of thousands with pauses."""
    questions = [f"500 until {1000 + number}" for number in range(40)]
    model = RemoteModel(spec_of(endpoint.url, retry_budget=10, at_once=1), sleep=lambda _: None)
    records = records_of(tmp_path, model, questions)
    assert len(records) == 40
    assert sum(one.tries for one in records.values()) == sum(endpoint.tries.values()) == 50
    assert all("HTTP 500" in one.error for one in records.values())


def test_nothing_is_below_an_empty_budget() -> None:
    budget = RetryBudget(2)
    assert [budget.spend(), budget.spend(), budget.spend(), budget.left] == [True, False, False, 0]


def test_what_is_told_of_an_answer(endpoint: Endpoint) -> None:
    model = open_model(parse_model(endpoint.url))
    told = model.ask(Query((Message("user", "fine"),)))
    model.close()
    assert told.answer is not None
    assert (told.answer.text, told.answer.usage.completion_tokens, told.tries, told.error) == ("an answer", 2, 1, "")
    assert told.latency_s > 0
    assert model.identity == f"{endpoint.url} some-model"
    assert json.loads(model.rendered((Message("user", "hello"),)))[0]["role"] == "user"


def test_questions_are_put_together(endpoint: Endpoint, tmp_path: Path) -> None:
    questions = [f"silent until {1000 + number}" for number in range(8)]
    records_of(tmp_path, RemoteModel(spec_of(endpoint.url, tries=1)), questions)
    assert endpoint.most_silent > 1


def test_keys_are_in_no_record(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYRES_API_KEY", "a-key-of-mine")
    records_of(tmp_path, RemoteModel(spec_of(endpoint.url), sleep=lambda _: None), ["fine", "500"])
    assert all("a-key-of-mine" not in path.read_text() for path in tmp_path.rglob("*.jsonl"))
