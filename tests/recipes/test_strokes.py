"""Clips of characters that are written: strokes in their order, counted and named."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.errors import MissingDependencyError
from recipes.tiny.assets import TEXTS, Assets
from recipes.tiny.pack_strokes import common_characters, packed, place, stroke_text
from recipes.tiny.strokes import ASSET, Written, letters_of, make_clip_strokes, paint, parsed, way_of, written
from tests.recipes.samples import check, made, same

TEN = Written("十", (((20, 120), (235, 118)), ((128, 10), (127, 245))))
LINES = [
    "train\t十\t20,120 235,118;128,10 127,245",
    "held_out\t一\t10,120 240,118",
    "train\t二\t60,70 190,68;20,190 235,189",
]


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    (tmp_path / ASSET).write_bytes(lzma.compress("\n".join(LINES).encode()))
    return Assets.open(tmp_path)


def test_splits_have_their_own_characters(assets: Assets) -> None:
    path = assets.folder / ASSET
    assert [one.char for one in written(path, "train")] == ["十", "二"]
    assert [one.char for one in written(path, "held_out")] == ["一"]
    assert written(path, "train")[0] == TEN


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_every_sample_is_whole(assets: Assets, split: str) -> None:
    kinds = set()
    for seed in range(30):
        example = made(make_clip_strokes, assets, seed, seed / 30, split)
        check(example)
        known = {one.char: one for one in written(assets.folder / ASSET, split)}
        kinds.add(example.task)
        if example.task == "clip-strokes-which":
            assert example.answer in known
        elif example.task == "clip-strokes-count":
            assert int(example.answer) in {len(one.strokes) for one in known.values()}
        else:
            assert example.answer in ("horizontal", "vertical")
    assert kinds == {"clip-strokes-which", "clip-strokes-count", "clip-strokes-way"}


def test_same_seed_same_clip(assets: Assets) -> None:
    assert same(made(make_clip_strokes, assets, 3), made(make_clip_strokes, assets, 3))


def test_strokes_come_in_their_order_and_stay(assets: Assets) -> None:
    first, second, third = paint(np.random.default_rng(0), TEN, [0, 1, 2], 84)
    ground = first[0, 0]
    marked = [np.abs(frame - ground).max(axis=2) > 60 for frame in (first, second, third)]
    assert marked[0].sum() == 0
    assert (marked[2] | ~marked[1]).all()
    rows, columns = np.nonzero(marked[1])
    assert np.ptp(columns) > 4 * np.ptp(rows), "the horizontal one comes first"
    assert marked[2].sum() > 1.6 * marked[1].sum()


def test_the_character_is_told_where_it_is_whole() -> None:
    assert letters_of(TEN, [0, 1, 2, 2], 2) == ("", "", "", "", "", "", "", "十")


@pytest.mark.parametrize(
    ("stroke", "way"),
    [
        ([(10, 100), (240, 95)], "horizontal"),
        ([(120, 5), (122, 120), (121, 240)], "vertical"),
        ([(200, 20), (60, 200)], "falling left"),
        ([(60, 20), (200, 200)], "falling right"),
        ([(100, 100), (120, 120)], "dot"),
        ([(20, 20), (200, 20), (200, 200)], ""),
        ([(20, 200), (200, 60)], ""),
    ],
)
def test_ways_of_strokes(stroke: list[tuple[int, int]], way: str) -> None:
    assert way_of(stroke) == way


@given(st.lists(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=2), min_size=1, max_size=9))
def test_what_is_packed_is_read_back(strokes: list[list[tuple[int, int]]]) -> None:
    text = ";".join(" ".join(f"{x},{y}" for x, y in stroke) for stroke in strokes)
    assert parsed(text) == tuple(tuple(stroke) for stroke in strokes)


@given(st.floats(-300, 2000))
def test_packed_places_are_in_the_square(value: float) -> None:
    assert 0 <= place(value) <= 255


def test_a_pack_that_is_not_built_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"strokes.txt.xz.*recipes.tiny.pack"):
        made(make_clip_strokes, Assets.open(tmp_path))


def test_packing_takes_common_characters_of_few_strokes(tmp_path: Path) -> None:
    page = "train\tzh\tdoc\tparagraph\t二一一人，二一。"
    (tmp_path / TEXTS).write_bytes(lzma.compress(page.encode()))
    characters = list(common_characters(Assets.open(tmp_path)))
    assert characters == ["一", "二", "人"]
    medians = {"一": [[[0, 388], [1024, 388]]], "人": [[[0, 0], [1, 1]]] * 16}
    for char, told in medians.items():
        (tmp_path / f"{char}.json").write_text(json.dumps({"medians": told}))
    (line,) = packed(iter(characters), tmp_path)
    assert line.split("\t")[1:] == ["一", stroke_text(medians["一"])]
    assert line.split("\t")[2] == "0,128 255,128"
