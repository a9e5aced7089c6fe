"""Messages, options and answers: what they hold and what they refuse."""

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres import errors
from anyres.chat import Answer, AnswerStream, GenerationOptions, ImagePart, Message, Piece, TextPart, Timings, Usage
from anyres.errors import AnyresError, OptionError


def test_a_string_is_one_text_part() -> None:
    assert Message("user", "hi").parts == (TextPart("hi"),)


def test_parts_keep_their_order() -> None:
    parts = [TextPart("a"), ImagePart("x.png"), TextPart("b")]
    assert Message("user", parts).parts == tuple(parts)


def test_what_is_spent_before_the_first_token() -> None:
    """Generating is not part of it; waiting for other requests is."""
    assert Timings(1, 2, 4, decode_s=8, wait_s=16).first_token_s == 23


def test_prompt_tokens_are_the_sum_of_their_kinds() -> None:
    assert Usage(text_tokens=3, image_tokens=4, video_tokens=5, completion_tokens=9).prompt_tokens == 12


def pieces(*texts: str) -> Generator[Piece, None, Answer]:
    for text in texts:
        yield Piece(text)
    return Answer("".join(texts), "stop")


def test_a_stream_ends_with_its_answer() -> None:
    stream = AnswerStream(pieces("Hel", "lo"))
    assert stream.answer is None
    assert [str(piece) for piece in stream] == ["Hel", "lo"]
    assert stream.answer is not None
    assert str(stream.answer) == "Hello"


def test_a_finished_stream_stays_finished_and_keeps_its_answer() -> None:
    stream = AnswerStream(pieces("x"))
    list(stream)
    assert list(stream) == []
    assert stream.answer == Answer("x", "stop")


def test_closing_a_stream_ends_it() -> None:
    stream = AnswerStream(pieces("a", "b"))
    next(stream)
    stream.close()
    assert list(stream) == []


WRONG_OPTIONS: list[tuple[str, object]] = [
    ("max_tokens", 0),
    ("max_tokens", 1.5),
    ("max_tokens", True),
    ("temperature", -0.1),
    ("temperature", float("nan")),
    ("temperature", "hot"),
    ("top_p", 1.01),
    ("top_k", -1),
    ("min_p", 2),
    ("repetition_penalty", 0.0),
    ("repetition_penalty", float("inf")),
    ("presence_penalty", 2.5),
    ("frequency_penalty", -3),
    ("seed", 1.0),
    ("seed", 2**64),
    ("stop", ("",)),
    ("stop", "text"),
    ("logprobs", 21),
    ("logit_bias", [1, 2]),
    ("logit_bias", {-1: 1.0}.keys()),
]


@pytest.mark.parametrize(("name", "value"), WRONG_OPTIONS)
def test_wrong_options_are_named(name: str, value: object) -> None:
    with pytest.raises(OptionError) as caught:
        GenerationOptions(**{name: value})
    assert caught.value.item == name
    assert repr(value) in caught.value.seen


@pytest.mark.parametrize(
    ("biases", "item"),
    [
        ({-1: 1.0}, "logit_bias"),
        ({"5": 1.0}, "logit_bias"),
        ({None: 1.0}, "logit_bias"),
        ({5: None}, "logit_bias"),
        ({5: 101}, "logit_bias[5]"),
        ({5: float("nan")}, "logit_bias[5]"),
        (dict.fromkeys(range(1025), 1.0), "logit_bias"),
    ],
)
def test_wrong_biases_are_named(biases: dict[object, object], item: str) -> None:
    with pytest.raises(OptionError) as caught:
        GenerationOptions(logit_bias=biases)  # type: ignore[arg-type]
    assert caught.value.item == item


@given(st.floats(0, 100), st.floats(0, 1), st.integers(0, 10**9), st.integers(1, 10**9))
def test_options_in_range_are_taken(temperature: float, top_p: float, top_k: int, max_tokens: int) -> None:
    options = GenerationOptions(temperature=temperature, top_p=top_p, top_k=top_k, max_tokens=max_tokens)
    assert (options.temperature, options.top_p, options.top_k, options.max_tokens) == (
        temperature,
        top_p,
        top_k,
        max_tokens,
    )


def test_every_error_is_an_anyres_error_and_says_item_seen_and_allowed() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(kind, AnyresError) for kind in kinds)
    for kind in kinds:
        error = kind("photo.png", "0 bytes", "a picture")
        assert str(error) == "photo.png: 0 bytes; allowed: a picture"
        assert (error.item, error.seen, error.allowed) == ("photo.png", "0 bytes", "a picture")
