"""Tool calls in the Hermes form: told, written back, and read in any pieces."""

import json
import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import TextPart
from anyres.constraints import Tool
from anyres.tools import Call, CallEvent, CallReader, calls_text, read_calls, results_parts, tools_prompt

ADD = Tool("add", {"type": "object", "properties": {"a": {"type": "integer"}}}, "Adds.")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(max_size=6), JSON, max_size=4)
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)


def events_of(pieces: Iterable[str]) -> list[CallEvent]:
    reader = CallReader()
    return [*(event for piece in pieces for event in reader.push(piece)), *reader.finish()]


def joined(events: Iterable[CallEvent]) -> tuple[str, list[tuple[str, str]]]:
    said, calls = "", []
    for event in events:
        if event.kind == "text":
            said += event.text
        elif event.kind == "name":
            assert event.index == len(calls)
            calls.append((event.text, ""))
        else:
            name, before = calls[event.index]
            calls[event.index] = (name, before + event.text)
    return said, calls


def test_the_prompt_is_that_of_qwen25() -> None:
    text = tools_prompt([ADD, Tool("now")])
    assert text.startswith("# Tools\n\nYou may call one or more functions to assist with the user query.\n\n")
    lines = text.partition("<tools>\n")[2].partition("\n</tools>")[0].splitlines()
    assert [json.loads(line)["function"]["name"] for line in lines] == ["add", "now"]
    assert json.loads(lines[0]) == {
        "type": "function",
        "function": {"name": "add", "description": "Adds.", "parameters": ADD.parameters},
    }
    assert text.endswith('<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>')


@given(st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=4), st.randoms())
def test_calls_are_read_in_any_pieces(calls: list[tuple[str, dict[str, object]]], cuts: object) -> None:
    written = [Call(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in calls]
    text = "Let me see.\n" + calls_text(written)
    assert read_calls(text) == ("Let me see.", written)
    places = sorted({0, len(text), *(cuts.randrange(len(text)) for _ in range(12))})  # type: ignore[attr-defined]
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert joined(events_of(pieces)) == joined(events_of([text])) == joined(events_of(text))


@given(st.text(alphabet='<tool_call>{}"\\/na me:,\n', max_size=120))
def test_no_text_is_lost_and_no_order_invented(text: str) -> None:
    said, calls = joined(events_of(text))
    assert (said, calls) == joined(events_of([text]))
    if not calls:
        assert said == text


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "<tool_call>",
        "<tool_cal",
        "a < b and <tool_call",
        '<tool_call>\n{"name": "add"}\n</tool_call>',
        '<tool_call>\n{"name": "a b", "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"arguments": {}, "name": "add"}\n</tool_call>',
        "<tool_call>\nadd(1)\n</tool_call> and more",
        "<tool_call>" * 3,
        "<tool_call>" + " " * 1000 + '{"name": "add", "arguments": {}}',
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert read_calls(text) == (text, [])
    assert joined(events_of(text)) == (text, [])


def test_a_call_that_is_cut_off_is_given_as_far_as_it_came() -> None:
    assert read_calls('<tool_call>\n{"name": "add", "arguments": {"a": "x') == ("", [Call("add", '{"a": "x')])


def test_braces_in_strings_do_not_end_the_arguments() -> None:
    text = calls_text([Call("f", '{"a": "}\\"}\\\\", "b": [{"c": "]"}]}')])
    assert read_calls(text)[1] == [Call("f", '{"a": "}\\"}\\\\", "b": [{"c": "]"}]}')]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>" * 95_000,
        "<tool_call>\n{" * 80_000,
        '<tool_call>\n{"name": "a", "arguments": ' + "{" * 1_000_000,
        '<tool_call>\n{"name": "a", "arguments": {"' + "\\" * 1_000_000,
        "<" * 1_000_000,
        '{"name": "' * 100_000,
    ],
)
def test_a_megabyte_meant_to_be_slow_is_read_in_no_time(text: str) -> None:
    """T22. Linear, so a hundred times as much takes a hundred times as long: 10 MB would be a second."""
    started = time.process_time()
    said, calls = read_calls(text)
    assert time.process_time() - started < 5  # a quadratic reader takes minutes
    assert len(calls) <= 1
    assert calls or said == text


def test_results_make_one_turn() -> None:
    assert results_parts([[TextPart("4")], [TextPart("5")]]) == (
        TextPart("<tool_response>\n"),
        TextPart("4"),
        TextPart("\n</tool_response>"),
        TextPart("\n<tool_response>\n"),
        TextPart("5"),
        TextPart("\n</tool_response>"),
    )
