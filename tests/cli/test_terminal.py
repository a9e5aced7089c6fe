"""Nothing that is printed moves the cursor, whatever it is made of."""

import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.cli import terminal
from anyres.cli.terminal import complain, console, escape, note, status, write, write_json

ANYTHING = st.text(st.characters(), max_size=40)
HARMFUL = ("\x1b[31mred", "a\rb", "\x07", "\x9b2J", "\x7f", "\u202eexe.gpj", "\u2028", "\ud800", "\x00")


@given(ANYTHING)
def test_escaped_text_holds_no_control_characters(text: str) -> None:
    shown = escape(text)
    assert all(char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") for char in shown)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp"))))
def test_harmless_text_is_left_alone(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("text", HARMFUL)
def test_harmful_text_is_spelled_out(text: str) -> None:
    assert escape(text) != text
    assert escape(text).isprintable()
    assert "\\" in escape(text)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_json_is_one_line_and_reads_back(value: dict[str, object]) -> None:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        write_json(value)
    printed = stream.getvalue()
    assert json.loads(printed) == value
    assert printed.count("\n") == 1
    assert escape(printed) == printed


def test_json_keeps_every_language_readable(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"text": "größe 字"})
    assert capsys.readouterr().out == '{"text": "größe 字"}\n'


def test_notes_are_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note("a\nb\x1b[2J")
    complain("c\rd")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "a\\nb\\x1b[2J\nanyres: c\\rd\n"


def test_an_encoding_without_the_character_does_not_stop_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    write("5 €\n")
    assert raw.getvalue() == b"5 \\u20ac\n"


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_colours_only_on_a_terminal_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    printed = []
    for stream, no_color in ((Screen(), None), (Screen(), "1"), (io.StringIO(), None)):
        if no_color:
            monkeypatch.setenv("NO_COLOR", no_color)
        console(stream).print("[red]words[/]")
        printed.append(stream.getvalue())
        monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in printed[0]
    assert printed[1:] == ["words\n", "words\n"]


def test_no_moving_line_where_nobody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with status("Loading ...") as line:
        assert line is None
    monkeypatch.setattr(sys, "stderr", Screen())
    with status("Loading ...", quiet=True) as line:
        assert line is None
    with status("Loading \x1b[2J ...") as line:
        assert line is not None
        assert "\x1b" not in str(line.status)
    assert capsys.readouterr().err == ""


def test_public_names() -> None:
    assert terminal.__all__ == sorted(terminal.__all__)
