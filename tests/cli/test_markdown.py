"""Rendered answers: what they cover is counted as a terminal counts it, and nothing in them is obeyed."""

import io
import os
import sys
from unittest.mock import patch

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.cli.markdown import has_markdown, redraw, rows_of

SIZE = os.terminal_size((40, 20))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(text: str, size: os.terminal_size = SIZE) -> str:
    stream = Screen()
    environ = {"TERM": "xterm-256color", "COLUMNS": str(size.columns), "LINES": str(size.lines)}
    with patch.object(sys, "stdout", stream), patch.dict(os.environ, environ):
        redraw(text)
    return stream.getvalue()


def on_terminal(written: str) -> list[str]:
    screen = pyte.Screen(*SIZE)
    pyte.Stream(screen).feed(written.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display]


LETTERS = st.sampled_from("abc é\n")


@given(st.text(LETTERS, max_size=120), st.integers(3, 30))
def test_rows_are_those_of_a_terminal(text: str, columns: int) -> None:
    screen = pyte.Screen(columns, 200)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    assert rows_of(text, columns) == screen.cursor.y + 1


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("**a**", True),
        ("# A", True),
        ("- a", True),
        ("1. a", True),
        ("`a`", True),
        ("| a | b |", True),
        ("plain words", False),
        ("2 * 3", False),
        ("a_b_c", False),
        ("", False),
        ("3.5", False),
        ("#1", False),
    ],
)
def test_what_is_markdown(text: str, marked: bool) -> None:
    assert has_markdown(text) is marked


def test_a_table_is_drawn_over_its_letters() -> None:
    text = "| name | total |\n|---|---|\n| tea | 3.50 |"
    lines = on_terminal(f"> What?\n{text}\n" + drawn(text) + "> next")
    assert lines[0] == "> What?"
    assert not any("|---|" in line for line in lines)
    assert any("tea" in line and "3.50" in line and "|" not in line for line in lines)
    assert lines.count("> next") == 1


def test_wrapped_lines_are_covered_whole() -> None:
    text = "**bold** " + "word " * 30
    lines = on_terminal(f"> What?\n{text}\n" + drawn(text) + "> next")
    assert lines[0] == "> What?"
    assert "*" not in "".join(lines)
    assert "".join(lines).count("bold") == 1


def test_plain_and_long_answers_are_left_alone() -> None:
    assert drawn("plain") == ""
    assert drawn("**a**\n" * 30) == ""


HOSTILE = (
    "**a** \x1b]0;title\x07 \x1b[2J \x9b31m [link](javascript:alert(1)) ![i](http://a.example/x.png) <b>x</b> \u202e"
)


def test_nothing_in_an_answer_is_obeyed() -> None:
    written = drawn(HOSTILE)
    assert "\x1b]" not in written  # no title, no link that a terminal makes clickable
    assert "\x07" not in written
    assert "\x9b" not in written
    assert "\u202e" not in written
    assert "\\x1b[2J" in written
