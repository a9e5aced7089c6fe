"""Lines, scenes and clips as examples: what is told is what is there."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import clips, scenes, shapes
from recipes.tiny.assets import Assets
from tests.recipes.samples import Maker, check, made, media, names, question, same, tokens

MAKERS = (shapes.make_line, shapes.make_shapes, shapes.make_shape_clip)
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def assets() -> Assets:
    """Without packs."""
    return Assets.open(Path(__file__).parent)


@few
@given(st.sampled_from(MAKERS), st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["train", "held_out"]))
def test_every_example_holds_together(assets: Assets, maker: Maker, seed: int, difficulty: float, split: str) -> None:
    example = made(maker, assets, seed, difficulty, split)
    check(example)
    assert same(example, made(maker, assets, seed, difficulty, split))


def test_easy_ones_are_small(assets: Assets) -> None:
    """A line is at most eight times as wide as it is high, whatever fonts there are."""
    for maker in (shapes.make_shapes, shapes.make_shape_clip):
        assert max(tokens(made(maker, assets, seed, 0.0)) for seed in range(20)) <= 40
    for seed in range(40):
        ((line,),) = media(made(shapes.make_line, assets, seed, 0.0))
        assert line.shape[1] <= 8 * line.shape[0]


def test_all_tasks_come_up(assets: Assets) -> None:
    scenes_told = Counter(made(shapes.make_shapes, assets, seed).task for seed in range(120))
    clips_told = Counter(made(shapes.make_shape_clip, assets, seed).task for seed in range(80))
    assert set(scenes_told) == {f"shape-{task}" for task in scenes.PLANS}
    assert set(clips_told) == {f"shape-{task}" for task in clips.STAGES}
    assert max(scenes_told.values()) < 40
    assert 25 < scenes_told["shape-box"] <= scenes_told["shape-count"], "of thirteen parts three and four"


def test_a_scene_is_told_as_it_was_drawn(assets: Assets) -> None:
    example = made(shapes.make_shapes, assets, 5, 0.4)
    rng = np.random.default_rng(5)
    task = scenes.drawn_task(rng)
    scene = scenes.make_scene(rng, task=task, difficulty=0.4, size=None)
    assert example.task == f"shape-{task}"
    assert question(example) == scene.asked[0].question
    assert np.array_equal(media(example)[0][0], scene.frame)
    assert names(example) == {name for cell in scene.cells for name in cell}


def test_the_letters_of_a_line_spell_it(assets: Assets) -> None:
    for seed in range(20):
        example = made(shapes.make_line, assets, seed, 0.3)
        dense = example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        assert example.metric == "characters"
        assert set("".join(dense.letters)) == set(example.answer.replace(" ", ""))
