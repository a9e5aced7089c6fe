"""Text comes out whole, whatever the borders of tokens."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.engine.detokenizer import Detokenizer

# Few letters, so that stop strings and their beginnings turn up often; characters of one to four bytes.
letters = st.sampled_from("abcé世👍")
texts = st.text(letters, max_size=30)
stops = st.lists(st.text(letters, min_size=1, max_size=4), max_size=3).map(tuple)


def cut(content: bytes, borders: list[int]) -> list[bytes]:
    ends = sorted({0, len(content), *(border % (len(content) + 1) for border in borders)})
    return [content[start:end] for start, end in pairwise(ends)]


def spell(tokens: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    """Pieces until the end or a stop string, each token's id being its place in the list."""
    detokenizer = Detokenizer(tokens.__getitem__, stop=stop)
    pieces = []
    for number in range(len(tokens)):
        pieces.append(detokenizer.push(number))
        if detokenizer.stopped:
            break
    return [*pieces, detokenizer.finish()], detokenizer.stopped


def before_stop(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The definition: read letter by letter until the text read ends in a stop string."""
    for end in range(1, len(text) + 1):
        met = [word for word in stop if text[:end].endswith(word)]
        if met:
            return text[: end - max(map(len, met))], True
    return text, False


@given(text=texts, borders=st.lists(st.integers(0, 200)), stop=stops)
def test_pieces_joined_are_the_text_before_the_stop_string(
    text: str, borders: list[int], stop: tuple[str, ...]
) -> None:
    pieces, stopped = spell(cut(text.encode(), borders), stop)
    assert ("".join(pieces), stopped) == before_stop(text, stop)
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


@given(text=texts, stop=stops)
def test_nothing_is_held_longer_than_needed(text: str, stop: tuple[str, ...]) -> None:
    """After each letter, what is held back is the beginning of a stop string."""
    detokenizer, given_out = Detokenizer([letter.encode() for letter in text].__getitem__, stop=stop), ""
    for number in range(len(text)):
        given_out += detokenizer.push(number)
        if detokenizer.stopped:
            break
        held = text[len(given_out) : number + 1]
        assert held == "" or any(word.startswith(held) and word != held for word in stop)


@given(content=st.binary(max_size=40), borders=st.lists(st.integers(0, 200)))
def test_any_bytes_give_what_decoding_at_once_gives(content: bytes, borders: list[int]) -> None:
    pieces, _ = spell(cut(content, borders))
    whole, text = content.decode("utf-8", "replace"), "".join(pieces)
    assert text == whole or (text == whole[:-1] and whole[-1] == "\N{REPLACEMENT CHARACTER}")  # a cut-off last one


def test_a_character_cut_off_at_the_end_is_left_out() -> None:
    assert spell([b"ok \xf0\x9f", b"\x91"])[0] == ["ok ", "", ""]


def test_silent_ids_have_no_text_and_do_not_part_stop_strings() -> None:
    tokens = [b"a", b"<|im_end|>", b"b", b"c"]
    detokenizer = Detokenizer(tokens.__getitem__, silent_ids={1}, stop=("ab",))
    assert [detokenizer.push(number) for number in range(4)] == ["", "", "", ""]
    assert detokenizer.stopped
    assert detokenizer.finish() == ""


@pytest.mark.parametrize(
    ("tokens", "stop", "pieces"),
    [
        ([b"one\nt", b"wo"], ("\n",), ["one", ""]),
        ([b"<", b"|", b"x"], ("<|end|>",), ["", "", "<|x", ""]),
        ([b"aa", b"ab"], ("aab",), ["", "a", ""]),
        ([b"xabc"], ("abc", "b"), ["xa", ""]),  # "b" is complete before "abc" is
        ([b"xab"], ("ab", "b"), ["x", ""]),
        ([b"ab"], (), ["ab", ""]),
    ],
)
def test_worked_cases(tokens: list[bytes], stop: tuple[str, ...], pieces: list[str]) -> None:
    assert spell(tokens, stop)[0] == pieces
