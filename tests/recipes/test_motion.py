"""Clips: what moves, comes, goes, is typed or races in the frames is what the answer says."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import motion
from recipes.tiny.assets import Assets
from recipes.tiny.icon_pack import Cutout
from recipes.tiny.places import CHANGE, MOTION
from tests.recipes.samples import SHOWN, Maker, check, made, media, names, question, same, tiny_assets, tokens

DRAWN = (motion.make_clip_direction, motion.make_clip_order, motion.make_clip_change, motion.make_clip_second,
         motion.make_clip_count)  # fmt: skip
MAKERS = (*DRAWN, motion.make_clip_typing, motion.make_clip_bars, motion.make_clip_timer)
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """With a pack of icons."""
    return tiny_assets(tmp_path_factory.mktemp("motion"))


@few
@given(st.sampled_from(MAKERS), st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["train", "held_out"]))
def test_every_example_holds_together(assets: Assets, maker: Maker, seed: int, difficulty: float, split: str) -> None:
    example = made(maker, assets, seed, difficulty, split)
    check(example)
    assert len(media(example)[0]) >= 4
    assert same(example, made(maker, assets, seed, difficulty, split))


@pytest.mark.parametrize("maker", MAKERS)
def test_easy_clips_are_small(assets: Assets, maker: Maker) -> None:
    easy = [tokens(made(maker, assets, seed, 0.0)) for seed in range(20)]
    assert np.mean(easy) <= 65
    assert max(easy) <= 80
    assert max(len(media(made(maker, assets, seed, 1.0))[0]) for seed in range(20)) >= 12


def places_of(example: object) -> np.ndarray:
    """The places of a clip."""
    dense = example.dense[0]  # type: ignore[attr-defined]
    assert dense.places is not None
    return np.asarray(dense.places)


def test_directions_are_those_of_the_motion_and_even(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(80):
        example = made(motion.make_clip_direction, assets, seed, 0.0)
        if example.answer.startswith("There is no "):
            continue
        moved = places_of(example)[:, MOTION]
        moved = moved[(moved != 0).any(axis=1)]
        right, down = moved.mean(axis=0)
        assert motion.DIRECTIONS[example.answer] == (
            (int(np.sign(right)), 0) if abs(right) > abs(down) else (0, int(np.sign(down)))
        )
        told[example.answer] += 1
    assert set(told) == set(motion.DIRECTIONS)
    assert max(told.values()) < 36
    hard = {made(motion.make_clip_direction, assets, seed, 1.0).answer for seed in range(60)}
    assert hard & set(motion.DIAGONALS)


def test_what_is_not_there_moves_nowhere(assets: Assets) -> None:
    told = [made(motion.make_clip_direction, assets, seed, 0.5) for seed in range(120)]
    absent = [one for one in told if one.answer.startswith("There is no ")]
    assert 2 <= len(absent) <= 20
    for one in absent:
        name = one.answer.removeprefix("There is no ").removesuffix(".")
        assert name in question(one)
        assert name not in names(one)


@few
@given(
    st.integers(0, 2**32), st.sampled_from([*motion.DIRECTIONS.values(), *motion.DIAGONALS.values()]),
    st.integers(4, 16), st.integers(0, 60), st.integers(0, 60),
)  # fmt: skip
def test_a_mover_stays_inside(seed: int, way: tuple[int, int], frames: int, x: int, y: int) -> None:
    mover = Cutout("", np.zeros((20, 24, 4), dtype=np.uint8), x, y)
    path = motion.travel(np.random.default_rng(seed), mover, way, frames, (84, 84))
    assert len(path) == frames
    assert all(0 <= at[0] <= 60 and 0 <= at[1] <= 64 for at in path)
    assert np.sign(path[-1][0] - path[0][0]) == way[0]
    assert np.sign(path[-1][1] - path[0][1]) == way[1]
    assert max(abs(path[-1][0] - path[0][0]), abs(path[-1][1] - path[0][1])) >= 30


def frames_with(example: object, name: str) -> list[int]:
    """The pairs of frames in which a name is told."""
    dense = example.dense[0]  # type: ignore[attr-defined]
    pairs = len(media(example)[0]) // 2  # type: ignore[arg-type]
    cells = len(dense.names) // pairs
    return [p for p in range(pairs) if any(name in cell for cell in dense.names[p * cells : (p + 1) * cells])]


def test_what_comes_first_is_seen_first(assets: Assets) -> None:
    sides: Counter[bool] = Counter()
    for seed in range(60):
        example = made(motion.make_clip_order, assets, seed, 0.0)
        if question(example) in motion.ORDER:
            order = example.answer.split(", ")
            starts = [frames_with(example, name)[0] for name in order]
            assert starts == sorted(starts)
            continue
        asked = sorted((name for name in SHOWN if name in question(example)), key=question(example).index)
        starts = [frames_with(example, name)[0] for name in asked]
        last = "last" in question(example)
        assert example.answer == f"the {asked[(starts[1] > starts[0]) == last]}"
        sides[example.answer.endswith(asked[0])] += 1
    assert 0.25 < sides[True] / sum(sides.values()) < 0.75


def test_what_changes_is_what_is_told(assets: Assets) -> None:
    for seed in range(30):
        example = made(motion.make_clip_change, assets, seed, 0.2)
        name, pairs = example.answer.removeprefix("the "), len(media(example)[0]) // 2
        seen = frames_with(example, name)
        assert 0 < len(seen) < pairs
        assert (pairs - 1 in seen) == (question(example) in motion.APPEARS)
        others = names(example) - {name}
        assert others
        assert all(len(frames_with(example, other)) == pairs for other in others)


def test_the_second_is_that_of_the_change_and_even(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(60):
        example = made(motion.make_clip_second, assets, seed, 0.0)
        name = next(name for name in SHOWN if name in question(example))
        seen = frames_with(example, name)
        comes = " appear?" in question(example) or "come?" in question(example)
        assert int(example.answer) == (seen[0] + 1 if comes else seen[-1] + 2)
        told[example.answer] += 1
    assert set(told) == {"2", "3", "4"}
    assert max(told.values()) < 35


def test_the_count_is_that_of_the_names(assets: Assets) -> None:
    told = Counter(made(motion.make_clip_count, assets, seed, 0.0).answer for seed in range(60))
    assert set(told) == {"1", "2", "3", "4"}
    for seed in range(30):
        example = made(motion.make_clip_count, assets, seed, 0.3)
        assert len(names(example)) == int(example.answer)


def test_change_is_told_only_within_a_pair(assets: Assets) -> None:
    example = made(motion.make_clip_change, assets, 3, 0.0)
    assert (places_of(example)[:, CHANGE] == 0).all()


def test_typed_text_grows_to_the_answer(assets: Assets) -> None:
    kinds: Counter[bool] = Counter()
    for seed in range(40):
        example = made(motion.make_clip_typing, assets, seed, 0.3)
        pairs, dense = len(media(example)[0]) // 2, example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        cells = len(dense.letters) // pairs
        texts = ["".join(dense.letters[p * cells : (p + 1) * cells]).replace("|", "") for p in range(pairs)]
        assert all(later.startswith(text) for text, later in pairwise(texts))
        last = question(example) in motion.KEYS
        assert (texts[-1][-1] if last else texts[-1]) == example.answer.replace(" ", "")
        kinds[last] += 1
    assert min(kinds.values()) >= 2


def test_the_leading_bar_is_the_longest(assets: Assets) -> None:
    for seed in range(30):
        example = made(motion.make_clip_bars, assets, seed, 0.2)
        frames = media(example)[0]
        frame = frames[-1 if "end" in question(example) else 0].astype(int)
        colourful = np.ptp(frame, axis=2) > 70
        lengths = colourful.reshape(frame.shape[0] // 28, 28, -1).sum(axis=(1, 2))
        dense = example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        columns = frame.shape[1] // 28
        words = ["".join(dense.letters[row * columns : (row + 1) * columns]) for row in range(len(lengths))]
        assert words[int(lengths.argmax())] == example.answer


def test_races_are_won_by_a_tenth() -> None:
    for seed in range(20):
        values = motion.raced(np.random.default_rng(seed), 4, 6)
        assert values.shape == (6, 4)
        assert values.min() >= 0
        assert values.max() <= 1
        for row in (values[0], values[-1]):
            assert np.sort(row)[-1] - np.sort(row)[-2] >= 0.1


def test_timers_run_as_they_say(assets: Assets) -> None:
    for seed in range(30):
        example = made(motion.make_clip_timer, assets, seed, 0.4)
        dense, pairs = example.dense[0], len(media(example)[0]) // 2
        assert dense is not None
        assert dense.letters is not None
        cells = len(dense.letters) // pairs
        shown = ["".join(dense.letters[p * cells : (p + 1) * cells]) for p in range(pairs)]
        seconds = [int(text[:2]) * 60 + int(text[3:]) for text in shown]
        if question(example) in motion.TIMER_END:
            assert example.answer == shown[-1]
        elif question(example) in motion.TIMER_WAY:
            assert (example.answer == "up") == (seconds[-1] > seconds[0])
        else:
            step = (seconds[1] - seconds[0]) // 2
            first = seconds[0] - step
            assert example.answer == f"{first // 60:02d}:{first % 60:02d}"


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(2, 8))
@settings(deadline=None)
def test_moments_are_different_and_at_borders_where_they_can_be(seed: int, count: int, half: int) -> None:
    found = motion.moments(np.random.default_rng(seed), count, max(4, 2 * half))
    assert found == sorted(set(found))
    assert len(found) == count
    assert all(0 < one < max(4, 2 * half) for one in found)
    if count < max(4, 2 * half) // 2:
        assert all(one % 2 == 0 for one in found)
