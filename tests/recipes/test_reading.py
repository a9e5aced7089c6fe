"""Reading: the answer is what is printed, in every language there are faces for."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import TextPart
from recipes.tiny import assets as packs
from recipes.tiny import reading
from recipes.tiny.assets import Assets
from recipes.tiny.example import Example
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.paper import Paper, theme
from tests.recipes.samples import picture

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1)


def made(assets: Assets, seed: int, difficulty: float, split: str = "train") -> Example:
    """A sample of a seed of its own."""
    return reading.make_reading(np.random.default_rng(seed), split=split, difficulty=difficulty, assets=assets)


@few
@given(seeds, levels, st.sampled_from(("train", "held_out")))
def test_every_sample_is_well_formed_and_repeats_itself(
    plain: Assets, seed: int, difficulty: float, split: str
) -> None:
    example, again = made(plain, seed, difficulty, split), made(plain, seed, difficulty, split)
    assert (example.answer, example.messages[0].parts[1]) == (again.answer, again.messages[0].parts[1])
    assert np.array_equal(picture(example), picture(again))
    height, width, channels = picture(example).shape
    assert (height % 28, width % 28, channels) == (0, 0, 3)
    assert width >= 112
    assert height <= 84
    assert example.task in ("line", "word", "number", "date", "code")
    assert example.metric in ("characters", "exact")
    assert example.answer == example.answer.strip() != ""
    assert "\n" not in example.answer
    assert isinstance(example.messages[0].parts[1], TextPart)


@few
@given(seeds, levels)
def test_cells_hold_each_letter_of_the_answer_once(plain: Assets, seed: int, difficulty: float) -> None:
    example = made(plain, seed, difficulty)
    (dense,) = example.dense
    assert dense is not None
    assert dense.letters is not None
    height, width, _ = picture(example).shape
    assert len(dense.letters) == height * width // 784
    assert sorted("".join(dense.letters)) == sorted(example.answer.replace(" ", ""))


@pytest.mark.parametrize("difficulty", [0.0, 0.5])
def test_easy_print_is_small_in_tokens_and_large_in_letters(plain: Assets, difficulty: float) -> None:
    examples = [made(plain, seed, difficulty) for seed in range(80)]
    tokens = [len(example.dense[0].letters) for example in examples if example.dense[0] and example.dense[0].letters]
    share = [len(example.answer.replace(" ", "")) / count for example, count in zip(examples, tokens, strict=True)]
    assert max(tokens) <= 3 * 21, "three rows of 20 cells and a margin"
    assert np.median(tokens) < 20
    assert 0.5 < np.median(share) < (1.6 if difficulty == 0 else 2.6)


def test_all_kinds_and_languages_come(plain: Assets) -> None:
    examples = [made(plain, seed, 0.3) for seed in range(150)]
    assert {example.task for example in examples} == {"line", "word", "number", "date", "code"}
    assert {"en", "de", "fr", "es"} <= {example.language for example in examples}
    assert "zh" not in {example.language for example in examples}, "no Chinese faces without the packs"


def test_the_print_is_there(plain: Assets) -> None:
    """Cells with letters differ from an empty one."""
    for seed in range(20):
        example = made(plain, seed, 0.0)
        frame, (dense,) = picture(example), example.dense
        assert dense is not None
        assert dense.letters is not None
        for index, letters in enumerate(dense.letters):
            y, x = divmod(index, frame.shape[1] // 28)
            if letters.strip(".,'`-_:·*°^~\""):
                assert np.ptp(frame[28 * y : 28 * y + 28, 28 * x : 28 * x + 28].astype(int)) > 60


@given(seeds, st.sampled_from(("number", "price", "date")))
def test_eastern_amounts_and_dates(seed: int, kind: str) -> None:
    text = reading.eastern(np.random.default_rng(seed), kind)
    assert re.search(r"\d", text)
    assert len(text) <= 20


@few
@given(seeds, st.integers(3, 40), st.sampled_from(sorted(reading.KINDS)))
def test_texts_keep_about_to_their_length(plain: Assets, seed: int, length: int, kind: str) -> None:
    text = reading.text_of(np.random.default_rng(seed), kind, "en", split="train", length=length, assets=plain)
    if kind in ("prose", "words", "name", "code"):
        assert len(text) <= length + 7


def test_arabic_is_one_joined_run() -> None:
    """A line that runs to the left is drawn in one piece, so that its words keep their order."""
    drawn: list[str] = []

    class Spy(Paper):
        def word(self, text: str, at: tuple[float, float], pen: object) -> tuple[float, float, float, float]:
            drawn.append(text)
            return (0, 0, 0, 0)

    rng = np.random.default_rng(0)
    face = builtin_fonts().train[0][0]
    setting = reading.Print(1, 20, 5.0, 10)
    reading.print_line(rng, Spy((28, 280), (255, 255, 255)), "افتح الملف", face, setting, theme(rng, 0))
    assert drawn == ["افتح الملف"]


def test_questions_fit_the_kind_and_the_language() -> None:
    rng = np.random.default_rng(0)
    asked = {reading.question_for(rng, "date", "zh") for _ in range(60)}
    assert "What is the date?" in asked
    assert asked & set(reading.QUESTIONS["zh"])
    assert reading.question_for(rng, "prose", "pt") in reading.QUESTIONS["en"]


@pytest.mark.skipif(
    not all((packs.FOLDER / name).is_file() for name in (packs.FONTS, packs.TEXTS)),
    reason="needs the packs of python -m recipes.tiny.pack",
)
def test_with_the_packs_other_scripts_come_too() -> None:
    opened = Assets.open()
    found = {made(opened, seed, 0.4, split).language for seed in range(120) for split in packs.SPLITS}
    assert {"zh", "ru", "ja", "ko", "vi"} <= found
