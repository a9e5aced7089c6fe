"""A verdict follows from the differences alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.parity.result import CheckResult, compared


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 10), min_size=1), st.floats(0, 10))
def test_verdict(differences: dict[str, float], allowed: float) -> None:
    result = compared("a", "b", differences, allowed=allowed)
    assert result.cases == len(differences)
    assert result.worst == max(differences.values())
    assert result.differing == sum(value > allowed for value in differences.values())
    assert result.verdict == ("DIFFERS" if result.worst > allowed else "equal")
    assert (result.detail in differences and differences[result.detail] > allowed) == bool(result.differing)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_differ(bad: float) -> None:
    result = compared("a", "b", {"good": 0.0, "bad": bad, "fair": 1.0}, allowed=5.0)
    assert result.verdict == "DIFFERS"
    assert result.detail == "bad"
    assert not result.worst <= 5.0


def test_no_cases_is_no_success() -> None:
    assert CheckResult("a", "b", 0).verdict == "no golden"
