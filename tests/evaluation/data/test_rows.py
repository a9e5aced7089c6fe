"""Columns of a row: what they hold, in whichever form, and what is said about the ones that are wrong."""

from pathlib import Path
from typing import Any

import pytest

from anyres.chat import ImagePart, VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.data.rows import Row, picture_cluster


def row(**values: Any) -> Row:
    return Row("a.jsonl:3", values, Path("data"))


def test_the_first_column_that_holds_something_counts() -> None:
    one = row(question="", text="Which?", other="no", nothing=float("nan"))
    assert one.text("question", "nothing", "text", "other") == "Which?"
    assert one.optional("question") == ""
    assert one.has("question", "text")
    assert not one.has("nothing", "absent")
    assert one.value("absent") is None


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (3, "3"), (3.0, "3"), (0.25, "0.25"), (0, "0"), ("  x ", "  x ")]
)
def test_numbers_are_written_as_text(value: object, text: str) -> None:
    assert row(v=value).text("v") == text


def test_numbers() -> None:
    assert row(v="4").whole("v") == 4
    assert row(v=0.5).number("v") == 0.5
    for wrong in ("x", "nan", "inf", "0.5"):
        with pytest.raises(DatasetError, match=r"a\.jsonl:3: v: .*allowed: a "):
            row(v=wrong).whole("v")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["a", 1], ("a", "1")),
        ('["a", "b"]', ("a", "b")),
        ("['it''s', 2.0]", ("its", "2")),
        ("[a, b]", ("[a, b]",)),
        ("plain", ("plain",)),
        ("[" * 500 + "]" * 500, ("[" * 500 + "]" * 500,)),
        (None, ()),
        ([], ()),
    ],
)
def test_lists_come_in_several_forms(value: object, texts: tuple[str, ...]) -> None:
    assert row(v=value).texts("v") == texts


@pytest.mark.parametrize("value", [{"a": 1}, b"bytes", [1]])
def test_what_is_no_text_is_told(value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.jsonl:3: v: .*allowed: a text"):
        row(v=value).text("v")


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")])
def test_what_is_missing_is_told(value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.jsonl:3: question or text: nothing; allowed: a text"):
        row(question=value).text("question", "text")


def test_options_end_at_the_first_that_is_empty() -> None:
    assert row(A="x", B=2, C=None).options() == ("x", "2")
    assert row().options() == ()
    with pytest.raises(DatasetError, match="option C without option B"):
        row(A="x", C="z").options()


def test_the_gold_letter_is_one_of_the_options() -> None:
    assert row(answer=" b ").letter("answer", options=("x", "y")) == "B"
    assert row().letter("answer", options=("x", "y")) == ""
    for wrong in ("C", "AB", "1"):
        with pytest.raises(DatasetError, match=r"answer: .*allowed: one of AB"):
            row(answer=wrong).letter("answer", options=("x", "y"))


def test_pictures_are_bytes_addresses_or_files_beside_the_data() -> None:
    one = row(image=["a.png", "https://example.org/b.png", b"png", {"bytes": b"gif", "path": None}, {"path": "c.png"}])
    sources = [part.image for part in one.pictures("image")]
    assert sources == [Path("data/a.png"), "https://example.org/b.png", b"png", b"gif", Path("data/c.png")]
    assert row().pictures("image") == ()
    assert row(video="a.mp4").clip("video") == VideoPart(Path("data/a.mp4"))


@pytest.mark.parametrize("value", [3, {"bytes": b""}, [None], " "])
def test_what_is_no_picture_is_told(value: object) -> None:
    with pytest.raises(DatasetError, match=r"a\.jsonl:3: image: .*allowed: a picture or clip"):
        row(image=value).pictures("image")


def test_a_damaged_row_says_so_whatever_is_asked() -> None:
    damaged = Row("a.jsonl:3", {}, damage="not JSON")
    for ask in (damaged.has, damaged.text, damaged.optional, damaged.pictures, damaged.items):
        with pytest.raises(DatasetError, match=r"a\.jsonl:3: not JSON; allowed: a whole row"):
            ask("question")
    with pytest.raises(DatasetError):
        damaged.options()


def test_clusters_are_the_first_picture() -> None:
    assert picture_cluster([]) == ""
    assert picture_cluster([ImagePart(Path("a.png"))]) == "a.png"
    assert picture_cluster([VideoPart("a.mp4")]) == "a.mp4"
    assert picture_cluster([ImagePart(b"a")]) != picture_cluster([ImagePart(b"b")])
