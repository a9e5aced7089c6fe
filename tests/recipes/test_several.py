"""Several pictures: the right one is named, each number as often; same and different are as likely."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import several
from recipes.tiny.assets import Assets
from recipes.tiny.places import CENTRES
from recipes.tiny.printed import printed_word, unlike_words
from tests.recipes.samples import SHOWN, Maker, check, made, media, names, question, same, tiny_assets, tokens

MAKERS = (several.make_same, several.make_which, several.make_odd, several.make_new, several.make_together,
          several.make_which_word)  # fmt: skip
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """With a pack of icons."""
    return tiny_assets(tmp_path_factory.mktemp("several"))


@few
@given(st.sampled_from(MAKERS), st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["train", "held_out"]))
def test_every_example_holds_together(assets: Assets, maker: Maker, seed: int, difficulty: float, split: str) -> None:
    example = made(maker, assets, seed, difficulty, split)
    check(example)
    assert 2 <= len(media(example)) <= 3
    assert same(example, made(maker, assets, seed, difficulty, split))


@pytest.mark.parametrize("maker", MAKERS)
def test_easy_pictures_are_small(assets: Assets, maker: Maker) -> None:
    assert max(tokens(made(maker, assets, seed, 0.0)) for seed in range(20)) <= 60


def test_same_means_the_same_names(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(60):
        example = made(several.make_same, assets, seed, 0.3)
        assert (names(example, 0) == names(example, 1)) == (example.answer == "yes")
        told[example.answer] += 1
    assert 18 <= told["yes"] <= 42


def test_the_picture_that_is_named_shows_it_alone(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(80):
        example = made(several.make_which, assets, seed, 0.4)
        asked = next(name for name in SHOWN if name in question(example))
        showing = [f"Picture {n + 1}" for n in range(len(media(example))) if asked in names(example, n)]
        assert showing == ([example.answer] if example.answer.startswith("Picture") else [])
        told[example.answer.split(" ")[0] + example.answer[-1:]] += 1
    assert told["Picture1"] > 10
    assert told["Picture2"] > 10
    assert told["There."] > 2


def test_the_odd_one_is_odd_and_anywhere(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(60):
        example = made(several.make_odd, assets, seed, 0.2)
        shown = [names(example, n) for n in range(3)]
        odd = int(example.answer[-1]) - 1
        assert shown.count(shown[odd]) == 1
        assert shown.count(shown[odd - 1]) == 2
        told[example.answer] += 1
    assert len(told) == 3
    assert max(told.values()) < 32


def test_the_new_thing_is_only_in_the_second_picture(assets: Assets) -> None:
    for seed in range(20):
        example = made(several.make_new, assets, seed, 0.5)
        assert names(example, 1) - names(example, 0) == {example.answer.removeprefix("the ")}
        assert names(example, 0) < names(example, 1)


def test_things_are_counted_in_both_pictures(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(40):
        example = made(several.make_together, assets, seed, 0.3)
        there = 0
        for dense in example.dense:
            assert dense is not None
            assert dense.places is not None
            there += int(dense.places[:, CENTRES].sum())
        assert int(example.answer) == there
        told[example.answer] += 1
    assert len(told) >= 5
    assert max(told.values()) < 16


def test_the_word_is_in_the_picture_that_is_named(assets: Assets) -> None:
    for seed in range(15):
        example = made(several.make_which_word, assets, seed, 0.2)
        letters = []
        for dense in example.dense:
            assert dense is not None
            assert dense.letters is not None
            letters.append("".join(dense.letters))
        asked = question(example).rstrip("?").split(" ")[-1]
        assert letters[int(example.answer[-1]) - 1] == asked
        assert letters.count(asked) == 1


@few
@given(st.integers(0, 2**32), st.floats(0, 1), st.text("abcdefghijklmnop", min_size=3, max_size=14))
def test_a_printed_word_is_whole(assets: Assets, seed: int, difficulty: float, word: str) -> None:
    frame, dense = printed_word(np.random.default_rng(seed), word, split="train", difficulty=difficulty, assets=assets)
    assert dense.letters is not None
    assert Counter("".join(dense.letters)) == Counter(word)
    assert frame.shape[0] == 28
    assert frame.shape[1] >= 112


def test_words_are_different_and_of_the_split(assets: Assets) -> None:
    rng = np.random.default_rng(0)
    found = {split: set(unlike_words(rng, assets, split, 60, 8)) for split in ("train", "held_out")}
    assert all(len(words) == 60 for words in found.values())
    assert all(3 <= len(word) <= 8 and word.isalpha() for words in found.values() for word in words)
    assert len(found["train"] & found["held_out"]) <= 6
