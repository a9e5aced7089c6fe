"""Chains of calculation and JSON, as answers write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.extraction.chains import chains_in
from anyres.evaluation.extraction.json_answers import json_in

objects = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("line", "chain"),
    [
        ("175-75+25 =100+25 =125", [None, ["175-75+25", "100+25", "125"]]),
        ("1. 175-75+25=125", [1, ["175-75+25", "125"]]),
        ("(12) 630×[840÷(240-212)] = 630 x 30 = 18900", [12, ["630×[840÷(240-212)]", "630×30", "18900"]]),
        ("**3.** 725 - (125 + 237) = 363.", [3, ["725-(125+237)", "363"]]),
        (r"4) $(114+166) \div 35 = 280 \div 35 = 8$", [4, ["(114+166)÷35", "280÷35", "8"]]),
        ("10、8100/4/75=27", [10, ["8100÷4÷75", "27"]]),
        ("5. The result is 102 * 99 = 10,098", [5, ["10,098"]]),
        ("12+24 = 36 apples", [None, ["12+24"]]),
    ],
)
def test_lines(line: str, chain: list[object]) -> None:
    expected = [chain] if len(chain[1]) > 1 else None  # type: ignore[arg-type]
    assert chains_in(line).value == expected


def test_lines_that_go_on() -> None:
    told = chains_in("Let me see.\n1. 8+2×125\n2. 5+25×44 = 5+1100\n   = 1105\n\nDone: all = well")
    assert told.value == [[2, ["5+25×44", "5+1100", "1105"]]]
    assert chains_in("").value is None


@given(st.text("0123456789+-*/=().x \n[]", max_size=80))
def test_any_answer_is_read(text: str) -> None:
    assert chains_in(text).value is None or all(len(parts) > 1 for _, parts in chains_in(text).value)
    json_in(text)


@given(objects | st.lists(objects, min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_json_comes_back(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    for around in ("{}", "Here:\n```json\n{}\n```\nas asked", "Result [sic] 1: {} Done {{sic}}"):
        assert json_in(around.format(text)).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('[{"a": 1}, {"a": 2}, {"a', [{"a": 1}, {"a": 2}]),
        ('```json\n[{"a": 1},', [{"a": 1}]),
        ('{"rows": [{"a": 1}, {"a": 2},]}', [{"a": 1}, {"a": 2}]),  # a comma too many
        ("{'a': 1}", None),
        ("[1, 2]", None),
        ("{}", {}),
        ("", None),
        ("{" * 5000, None),
    ],
)
def test_broken_json(text: str, value: object) -> None:
    assert json_in(text).value == value
