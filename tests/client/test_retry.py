"""Which failures are repeated and when; the rule is compared with OpenAI's own client where it is installed."""

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.client.retry import is_worth_repeating, pause_s

NOW = 1_000_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.5),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": email.utils.formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "121"}, 0.5),
        ({"retry-after": "-1"}, 0.5),
        ({"retry-after": email.utils.formatdate(NOW - 30, usegmt=True)}, 0.5),
        ({"retry-after": "soon"}, 0.5),
        ({"retry-after": "nan"}, 0.5),
        ({"retry-after": "1e999"}, 0.5),
        ({"retry-after-ms": "x"}, 0.5),
    ],
)
def test_what_the_server_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert pause_s(0, headers, now=NOW, share=0.0) == pytest.approx(seconds)


def test_pauses_double_up_to_eight_seconds() -> None:
    assert [pause_s(attempt, {}, now=NOW, share=0.0) for attempt in range(7)] == [0.5, 1, 2, 4, 8, 8, 8]


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_pauses_are_never_zero_and_never_long(attempt: int, share: float) -> None:
    assert 0.375 <= pause_s(attempt, {}, now=NOW, share=share) <= 8


@given(st.integers(100, 599), st.sampled_from(["true", "false", "TRUE", "perhaps", ""]))
def test_the_header_decides_and_else_the_status(status: int, header: str) -> None:
    expected = {"true": True, "false": False}.get(header.lower(), status in (408, 409, 429) or status >= 500)
    assert is_worth_repeating(status, {"x-should-retry": header}) is expected


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=20)))
def test_any_header_gives_a_pause(headers: dict[str, str]) -> None:
    assert 0 <= pause_s(1, headers, now=NOW, share=0.5) <= 120
