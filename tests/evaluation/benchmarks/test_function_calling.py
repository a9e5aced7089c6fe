"""Function calls: value equality, several calls, golds that allow several values, what rows may look like."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks.function_calling import FUNCTION_CALLING
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.metrics.calls import exact_match, is_same_value, strict_match, type_match
from anyres.evaluation.sample import Reply, Sample

TOOLS = [{"name": "route", "description": "Way", "parameters": {"type": "object", "properties": {"to": {}}}}]
ROW = {"id": "1", "question": "How far?", "tools": TOOLS, "calls": [{"name": "route", "arguments": {"to": "Ulm"}}]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)


def read(folder: Path, *rows: dict[str, Any]) -> list[Sample]:
    path = folder / "calls.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return list(read_samples(FUNCTION_CALLING, path).samples)


def call(name: str, **arguments: object) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@given(json_values, json_values)
def test_equality_is_that_of_json(first: object, second: object) -> None:
    """As the text of canonical JSON, but that 1 is 1.0."""

    def canonical(value: object) -> str:
        plain = json.loads(json.dumps(value), parse_int=float)
        return json.dumps(plain, sort_keys=True).replace("-0.0", "0.0")

    assert is_same_value(first, first)
    assert is_same_value(first, second) == is_same_value(second, first)
    if canonical(first) != canonical(second):
        assert not is_same_value(first, second)
    assert is_same_value(first, json.loads(json.dumps(first)))


def test_several_calls() -> None:
    sample = Sample("1", "?", facts={"calls": [call("a", x=1), call("b", y="two")]})
    told = {
        "all": [call("a", x=1), call("b", y="two")],
        "turned": [call("b", y="two"), call("a", x=1)],
        "half": [call("a", x=1)],
        "wrong value": [call("a", x="1"), call("b", y="two")],
        "more": [call("a", x=1), call("b", y="two"), call("a", x=1)],
        "none": None,
    }
    scores = {
        name: (type_match(one, sample), exact_match(one, sample), strict_match(one, sample))
        for name, one in ((name, Extraction(value, "")) for name, value in told.items())
    }
    assert scores == {
        "all": (1, 1, 1),
        "turned": (0, 0, 1),
        "half": (0.5, 0.5, 0),
        "wrong value": (1, 0.5, 0),
        "more": (1, 1, 0),
        "none": (0, 0, 0),
    }


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"to": "Ulm"}, 1),
        ({"to": "Neu-Ulm", "by": "bus"}, 1),
        ({"to": "Ulm", "by": 3}, 0),
        ({}, 0),
        ({"to": "Ulm", "z": 1}, 0),
    ],
)
def test_golds_with_several_values(tmp_path: Path, arguments: dict[str, object], right: float) -> None:
    """As BFCL has them: "" in the list means that the argument may be left out."""
    gold = {"route": {"to": ["Ulm", "Neu-Ulm"], "by": ["bus", ""]}}
    bfcl = {"id": "1", "question": [[{"role": "user", "content": "How far?"}]], "ground_truth": [gold]}
    (sample,) = read(tmp_path, bfcl | {"function": [TOOLS[0] | {"parameters": {"type": "dict", "properties": {}}}]})
    assert sample.question == "How far?"
    assert exact_match(Extraction([{"name": "route", "arguments": arguments}], ""), sample) == right


def test_prompt_answer_and_figures(tmp_path: Path) -> None:
    wrapped = [{"type": "function", "function": TOOLS[0]}]
    one, two = read(
        tmp_path, ROW | {"image": "map.png"}, ROW | {"id": "2", "tools": wrapped, "calls": [call("route")] * 3}
    )
    system, user = FUNCTION_CALLING.prompt(one)
    assert '"name": "route"' in system.parts[0].text
    assert [type(part).__name__ for part in user.parts] == ["ImagePart", "TextPart"]
    scoring = FUNCTION_CALLING.scorings[0]
    answer = '<tool_call>\n{"name": "route", "arguments": {"to": "Ulm"}}\n</tool_call>'
    extraction = scoring.extract(Reply(answer), one)
    graded = [Graded(sample, extraction, scoring.grade(extraction, sample)) for sample in (one, two)]
    assert scoring.summarise(graded) == {"EM": 25, "TM": 50, "no call": 0}  # of four calls


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"calls": []}, "at least one call"),
        ({"calls": [{"name": "fly", "arguments": {}}]}, "a call of fly"),
        ({"calls": [{"name": "route", "arguments": "to Ulm"}]}, "a name and arguments"),
        ({"calls": "[}"}, "no JSON"),
        ({"tools": [{"name": "a b"}]}, "a name and a JSON schema"),
        ({"tools": [3]}, "objects"),
        ({"question": [[{"role": "system", "content": "x"}]]}, "no words"),
    ],
)
def test_broken_rows_are_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        read(tmp_path, ROW | change)
