"""Pages: everything asked is on the page, where it is said to be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.grounding import parse_grounding
from recipes.tiny import layout, pages
from recipes.tiny.assets import Assets, Block
from recipes.tiny.example import Example, Word
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.paper import Paper, Pen, theme
from tests.recipes.samples import letters, picture, question

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1)
FACE = builtin_fonts().train[0][0]
STYLE = layout.Style(
    body=FACE, bold=FACE, em=16, heading=22, leading=1.4, measure=200, columns=1, margin=10, gap=6, indent=12,
    justified=False, centred=False, coloured=False, close=False,
)  # fmt: skip
BLOCKS = (
    Block("heading", "How to read"),
    Block("paragraph", "Open the book and look at the first page; then read it slowly, word by word."),
    Block("item", "1. Turn the page."),
)


def made(assets: Assets, seed: int, difficulty: float, split: str = "train") -> Example:
    """A sample of a seed of its own."""
    return pages.make_page(np.random.default_rng(seed), split=split, difficulty=difficulty, assets=assets)


@few
@given(seeds, levels, st.sampled_from(("train", "held_out")))
def test_every_page_is_well_formed_and_repeats_itself(plain: Assets, seed: int, difficulty: float, split: str) -> None:
    example, again = made(plain, seed, difficulty, split), made(plain, seed, difficulty, split)
    assert (example.answer, question(example)) == (again.answer, question(again))
    assert np.array_equal(picture(example), picture(again))
    height, width, _ = picture(example).shape
    assert (height % 28, width % 28) == (0, 0)
    assert height * width // 784 <= 1300
    assert example.task in pages.TASKS
    assert example.answer


@few
@given(seeds, levels)
def test_what_is_read_is_on_the_page(plain: Assets, seed: int, difficulty: float) -> None:
    example = made(plain, seed, difficulty)
    if example.task == "page":
        assert letters(example) == Counter("".join(example.answer.split()))
    elif example.metric == "characters":
        assert not set("".join(example.answer.split())) - set(letters(example))


@few
@given(seeds, levels)
def test_a_box_holds_the_text_that_is_searched(plain: Assets, seed: int, difficulty: float) -> None:
    tries = (made(plain, seed + number, difficulty) for number in range(100))
    example = next(one for one in tries if one.task == "page-find" and one.metric == "box")
    height, width, _ = picture(example).shape
    (box,) = parse_grounding(example.answer).boxes
    assert box.label in question(example)
    low = box.to_pixels(width=width, height=height)
    assert low.x2 > low.x1
    assert low.y2 > low.y1
    (dense,) = example.dense
    assert dense is not None
    assert dense.letters is not None
    columns = width // 28
    inside = "".join(
        cell
        for index, cell in enumerate(dense.letters)
        if low.x1 - 28 < index % columns * 28 < low.x2 and low.y1 - 28 < index // columns * 28 < low.y2
    )
    assert not set(box.label.replace(" ", "")) - set(inside)


def test_a_searched_text_is_nearly_always_in_one_line(plain: Assets) -> None:
    examples = [one for one in (made(plain, seed, 0.5) for seed in range(80)) if one.metric == "box"]
    in_one = []
    for example in examples:
        (box,) = parse_grounding(example.answer).boxes
        height, width, _ = picture(example).shape
        pixels = box.to_pixels(width=width, height=height)
        (dense,) = example.dense
        assert dense is not None
        assert dense.words is not None
        middles = [((x1 + x2) / 2, (y1 + y2) / 2, y2 - y1) for _, (x1, y1, x2, y2) in dense.words]
        found = [(y, tall) for x, y, tall in middles if pixels.x1 < x < pixels.x2 and pixels.y1 < y < pixels.y2]
        heights, sizes = zip(*found, strict=True)
        in_one.append(max(heights) - min(heights) < 0.7 * max(sizes))
    assert len(in_one) > 5
    assert np.mean(in_one) > 0.85


def test_easy_pages_are_small(plain: Assets) -> None:
    sizes = [picture(made(plain, seed, 0.0)).size // 3 // 784 for seed in range(60)]
    assert np.median(sizes) <= 40
    assert max(sizes) <= 70


def test_pages_that_are_not_hard_have_large_print_and_long_lines_too(plain: Assets) -> None:
    """As scans have them: letters as wide as a cell, and lines that end far from where the next begins."""
    examples = [made(plain, seed, 0.3) for seed in range(80)]
    words = [one.dense[0].words for one in examples if one.dense[0] is not None]
    tall = [max(y2 - y1 for _, (_, y1, _, y2) in told) for told in words if told]
    widths = [picture(one).shape[1] // 28 for one in examples]
    lines = [len({round(y2 / 14) for _, (_, _, _, y2) in told}) for told in words if told]
    assert 8 < sum(one > 35 for one in tall) < 60
    assert sum(wide >= 18 and count > 1 for wide, count in zip(widths, lines, strict=True)) > 5
    longest = [max(line_lengths(told)) for told in words if told]
    assert sum(one > 28 for one in longest) > 8


def line_lengths(words: Sequence[Word]) -> list[int]:
    """Characters of each line: words are told in the order of print, and a line begins left of the word before it."""
    lengths, last = [0], 0.0
    for text, (x1, _, _, _) in words:
        if x1 < last:
            lengths.append(0)
        lengths[-1] += len(text) + 1
        last = x1
    return lengths


def test_all_tasks_come_and_some_texts_are_absent(plain: Assets) -> None:
    examples = [made(plain, seed, 0.4) for seed in range(250)]
    assert {example.task for example in examples} == set(pages.TASKS)
    absent = [example for example in examples if example.answer.startswith('There is no "')]
    assert absent
    for example in absent:
        wanted = example.answer.removeprefix('There is no "').removesuffix('".')
        assert wanted in question(example)


def test_hard_pages_may_be_large(plain: Assets) -> None:
    sizes = [picture(made(plain, seed, 1.0)).size // 3 // 784 for seed in range(60)]
    assert max(sizes) > 200


# ---- layout ----


def test_blocks_follow_each_other_and_none_overlaps() -> None:
    page = layout.laid_out(BLOCKS, STYLE)
    baselines = [line.y for line in page.lines]
    assert baselines == sorted(baselines)
    assert all(after - before >= 16 for before, after in pairwise(baselines))
    assert [line.block for line in page.lines] == sorted(line.block for line in page.lines)
    assert page.height > baselines[-1]


def test_two_columns_stand_beside_each_other() -> None:
    page = layout.laid_out([BLOCKS[0], BLOCKS[1], BLOCKS[1], BLOCKS[2]], replace(STYLE, columns=2))
    lefts = {round(line.x) for line in page.lines if line.block == 2}
    assert max(lefts) >= 200
    assert page.width >= 420
    assert page.height < layout.laid_out([BLOCKS[0], BLOCKS[1], BLOCKS[1], BLOCKS[2]], STYLE).height


@few
@given(st.lists(st.text("abcdefgh,.", min_size=1, max_size=12), min_size=1, max_size=12), st.floats(40, 300))
def test_wrapping_loses_nothing(words: list[str], width: float) -> None:
    text = " ".join(words)
    lines = layout.wrapped(text, Pen(FACE, 16, (0, 0, 0)), width, STYLE)
    assert " ".join(line for line, _, _ in lines).split() == text.split()


def test_close_scripts_break_anywhere_but_before_a_full_stop() -> None:
    text = "打开系统设置。然后选择网络Linux连接。"
    lines = [line for line, _, _ in layout.wrapped(text, Pen(FACE, 16, (0, 0, 0)), 60, replace(STYLE, close=True))]
    assert "".join(lines) == text
    assert len(lines) > 2
    assert not any(line[0] in layout.NO_START for line in lines)
    assert any("Linux" in line for line in lines)


def test_a_target_over_a_lines_end_has_a_span_in_both() -> None:
    text = "one two three four five six seven"
    spans = [
        (line[low:high])
        for line, _, (low, high) in layout.wrapped(text, Pen(FACE, 16, (0, 0, 0)), 90, STYLE, "two three four")
        if high > low
    ]
    assert "".join("".join(spans).split()) == "twothreefour"


def test_filling_tells_which_words_are_the_targets() -> None:
    rng = np.random.default_rng(0)
    page = layout.laid_out(BLOCKS, STYLE, "first page")
    paper = Paper((280, 280), (255, 255, 255))
    cuts = layout.fill(paper, page, STYLE, theme(rng, 0), (0, 0))
    found = [word.text for cut in cuts for word in paper.words[cut.target : cut.target_end]]
    assert " ".join(found) == "first page"
    lines = [" ".join(word.text for word in paper.words[cut.start : cut.end]) for cut in cuts]
    whole = "".join(block.text for block in BLOCKS)
    assert "".join("".join(lines).split()) == "".join(whole.split())


def test_justified_lines_reach_the_right_edge() -> None:
    page = layout.laid_out([BLOCKS[1]], replace(STYLE, justified=True))
    ends = [layout.end_of(line) for line in page.lines[:-1]]
    assert max(ends) - min(ends) < 3


@given(st.text("abc. ", min_size=1, max_size=60), st.integers(4, 40))
def test_shorter_is_shorter(text: str, length: int) -> None:
    short = pages.shorter(text, length, "en")
    first = text.partition(" ")[0]
    assert len(short) <= max(length, len(first))
    assert text.replace("  ", " ").startswith(short[:3]) or short in text or not short
