"""Talk and refusals: nothing is refused that could be told, and every refusal has a twin that is answered."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import talk
from recipes.tiny.assets import Assets
from recipes.tiny.talk_words import DEFINITIONS, SUMS, WHAT_IS
from tests.recipes.samples import Maker, check, made, media, names, question, same, tiny_assets, tokens

SPOKEN = (talk.make_talk, talk.make_sum)
SEEN = (talk.make_blurred, talk.make_empty, talk.make_untold)
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """With a pack of icons."""
    return tiny_assets(tmp_path_factory.mktemp("talk"))


@few
@given(
    st.sampled_from((*SPOKEN, *SEEN)), st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["train", "held_out"])
)
def test_every_example_holds_together(assets: Assets, maker: Maker, seed: int, difficulty: float, split: str) -> None:
    example = made(maker, assets, seed, difficulty, split)
    check(example)
    assert bool(media(example)) == (maker in SEEN)
    assert same(example, made(maker, assets, seed, difficulty, split))


@pytest.mark.parametrize("maker", SEEN)
def test_easy_pictures_are_small(assets: Assets, maker: Maker) -> None:
    assert max(tokens(made(maker, assets, seed, 0.0)) for seed in range(20)) <= 40


def test_every_kind_of_talk_comes_up(assets: Assets) -> None:
    told = Counter(made(talk.make_talk, assets, seed, 0.0).task for seed in range(300))
    assert set(told) == {"talk-define", *(f"talk-{kind}" for kind in talk.TALKS)}
    longer = [made(talk.make_talk, assets, seed, 1.0) for seed in range(60)]
    assert {len(example.messages) for example in longer} == {2, 4}


def test_ways_of_asking_are_split(assets: Assets) -> None:
    asked = {split: {question(made(maker, assets, seed, 0.0, split)) for maker in SPOKEN for seed in range(150)}
             for split in ("train", "held_out")}  # fmt: skip
    assert not asked["train"] & asked["held_out"]
    assert all(text.startswith(("Explain", "Solve", *(way[0][-1] for way in talk.TALKS.values())))
               for text in asked["held_out"])  # fmt: skip


def test_definitions_say_what_they_define() -> None:
    for word, meaning in DEFINITIONS.items():
        assert meaning.lower().startswith(f"{word} ")
        assert meaning.endswith(".")
        assert len(meaning) < 90
    assert len(WHAT_IS) >= 3
    assert len(SUMS) >= 3


def test_sums_are_right_and_split(assets: Assets) -> None:
    asked: dict[str, set[str]] = {}
    for split in ("train", "held_out"):
        for seed in range(80):
            example = made(talk.make_sum, assets, seed, 0.6, split)
            words = question(example).rstrip("?.= ").split(" ")
            a, sign, b = int(words[-3]), words[-2], int(words[-1])
            assert int(example.answer) == {"+": a + b, "-": a - b, "x": a * b}[sign]
            assert int(example.answer) >= 0
            asked.setdefault(split, set()).add(f"{a} {sign} {b}")
    assert not asked["train"] & asked["held_out"]


def test_half_of_the_words_cannot_be_read(assets: Assets) -> None:
    sharp, dull = [], []
    for seed in range(60):
        example = made(talk.make_blurred, assets, seed, 0.0)
        frame, dense = media(example)[0][0].astype(float), example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        edges = float(np.abs(np.diff(frame, axis=1)).max())
        if example.answer == talk.BLURRED:
            dull.append(edges)
            assert not any(dense.letters)
        else:
            sharp.append(edges)
            assert "".join(dense.letters) == example.answer
    assert 18 <= len(dull) <= 42
    assert np.median(dull) < 0.5 * np.median(sharp)


def test_half_of_the_pictures_are_empty(assets: Assets) -> None:
    told = [made(talk.make_empty, assets, seed, 0.2) for seed in range(60)]
    empty = [example for example in told if example.answer == talk.EMPTY]
    assert 18 <= len(empty) <= 42
    assert all(names(example) == (set() if example.answer == talk.EMPTY else {example.answer}) for example in told)
    assert {question(example) for example in empty} & {
        question(example) for example in told if example.answer != talk.EMPTY
    }


def test_a_note_tells_what_it_tells(assets: Assets) -> None:
    refused = 0
    for seed in range(60):
        example = made(talk.make_untold, assets, seed, 0.5)
        dense = example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        asked = next(key for key in talk.KEYS if key in question(example))
        printed = "".join(dense.letters)
        assert (f"{asked.capitalize()}:" in printed) == (not example.answer.startswith("It does not tell"))
        if example.answer.startswith("It does not tell"):
            refused += 1
            assert example.answer == f"It does not tell the {asked}."
            assert asked != talk.VAGUE
    assert 18 <= refused <= 42


def test_lines_are_stacked_at_their_left_edges(assets: Assets) -> None:
    wide = (np.full((28, 112, 3), 200, dtype=np.uint8), talk.Dense(letters=("a", "b", "c", "d")))
    narrow = (np.full((28, 56, 3), 90, dtype=np.uint8), talk.Dense(letters=("x", "y")))
    frame, dense = talk.stacked([wide, narrow])
    assert frame.shape == (56, 112, 3)
    assert dense.letters == ("a", "b", "c", "d", "x", "y", "", "")
    assert (frame[28:] == 90).all()
