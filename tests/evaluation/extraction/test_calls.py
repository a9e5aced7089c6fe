"""Calls in every way that models write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.extraction.calls import calls_in
from anyres.tools import Call, calls_text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)
names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
some_calls = st.lists(st.tuples(names, st.dictionaries(st.text(max_size=5), json_values, max_size=3)), min_size=1)


@given(some_calls)
def test_what_is_written_in_the_tool_dialect_is_read(calls: list[tuple[str, dict[str, object]]]) -> None:
    text = calls_text([Call(name, json.dumps(arguments)) for name, arguments in calls])
    assert calls_in(f"Sure.\n{text}").value == [{"name": name, "arguments": arguments} for name, arguments in calls]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('✿FUNCTION✿: a.b\n✿ARGS✿: {"x": [1]}\n✿RESULT✿: 3', [("a.b", {"x": [1]})]),
        ('✿FUNCTION✿: f\n✿ARGS✿: {"x": 1}\n✿FUNCTION✿: g\n✿ARGS✿: {}', [("f", {"x": 1}), ("g", {})]),
        ('*FUNCTION*: f\n*ARGS*: {"x": 1}', [("f", {"x": 1})]),
        ("✿FUNCTION✿: f\n✿ARGS✿: x = 1", [("f", None)]),  # the name counts for TM
        ('{"name": "f", "arguments": {"x": 1}}', [("f", {"x": 1})]),
        (
            '```json\n[{"name": "f", "parameters": {}}, {"function": "g", "args": {"y": 2}}]\n```',
            [("f", {}), ("g", {"y": 2})],
        ),
        ('{"action": "tap", "point": [1, 2]}', [("tap", {"point": [1, 2]})]),
        ('{"x": 1}', None),
        ("f(1)", None),
        ("", None),
    ],
)
def test_other_ways(text: str, value: list[tuple[str, object]] | None) -> None:
    told = calls_in(text)
    assert told.value == (None if value is None else [{"name": name, "arguments": given} for name, given in value])


@given(st.text('{}[]":, name✿FUNCTION✿ARGS1', max_size=60))
def test_any_answer_is_read(text: str) -> None:
    told = calls_in(text)
    assert told.value is None or all(set(call) == {"name", "arguments"} for call in told.value)


def test_hostile_answers_end() -> None:
    assert calls_in('{"a":' * 20000).value is None
    assert len(calls_in('{"name": "f", "arguments": {}}' * 5000).value) == 100
