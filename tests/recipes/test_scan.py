"""Scans: a spoiled sheet keeps its size, and its points are where the picture shows them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import scan
from recipes.tiny.scan import choose_view, moved, scanned, seen_from, worn

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0.01, 1)


def sheet(height: int = 168, width: int = 224) -> np.ndarray:
    """White paper with some rows of black print."""
    frame = np.full((height, width, 3), 255, dtype=np.uint8)
    frame[30:40, 20:200], frame[60:70, 20:150] = 0, 0
    return frame


POINTS = np.array([(20.0, 30.0), (200.0, 40.0), (150.0, 70.0)])


def test_nothing_happens_at_hardness_0() -> None:
    frame, points = scanned(np.random.default_rng(0), sheet(), POINTS, 0.0)
    assert np.array_equal(frame, sheet())
    assert np.array_equal(points, POINTS)


@few
@given(seeds, levels)
def test_a_scan_keeps_size_and_points_and_repeats_itself(seed: int, hardness: float) -> None:
    frame, points = scanned(np.random.default_rng(seed), sheet(), POINTS, hardness)
    again, same = scanned(np.random.default_rng(seed), sheet(), POINTS, hardness)
    assert np.array_equal(frame, again)
    assert np.array_equal(points, same)
    assert frame.shape == (168, 224, 3)
    assert frame.dtype == np.uint8
    assert points.shape == POINTS.shape
    assert (points > 0).all()
    assert (points < (224, 168)).all()


@few
@given(seeds)
def test_the_print_stays_darker_than_its_paper(seed: int) -> None:
    """Most of a bar's middle line is darker than the paper beside it, wherever it went."""
    centres = np.array([(x, 35.0) for x in range(30, 195, 5)] + [(x, 50.0) for x in range(30, 195, 5)])
    frame, points = scanned(np.random.default_rng(seed), sheet(), centres, 1.0)
    seen = frame.mean(axis=2)[points[:, 1].astype(int), points[:, 0].astype(int)]
    ink, paper = np.split(seen, 2)
    assert np.mean(ink < paper - 20) > 0.85


@pytest.mark.parametrize("seed", range(40))
def test_points_move_with_the_picture(seed: int) -> None:
    """A dot is seen where the matrix says, to a pixel."""
    frame = np.full((168, 224, 3), 255, dtype=np.uint8)
    frame[80:83, 100:103] = 0
    rng = np.random.default_rng(seed)
    view = choose_view(rng, frame, np.array([(101.5, 81.5), (10.0, 10.0), (200.0, 150.0)]), 1.0)
    if view is None:
        return
    dark = 255.0 - seen_from(view._replace(around=(255, 255, 255)), frame).astype(float).mean(axis=2)
    ys, xs = np.mgrid[0:168, 0:224] + 0.5
    middle = np.array([(dark * xs).sum(), (dark * ys).sum()]) / dark.sum()
    assert np.abs(middle - moved(view.matrix, np.array([(101.5, 81.5)]))[0]).max() < 0.5


def test_views_are_seldom_flat_at_hardness_1() -> None:
    rng = np.random.default_rng(3)
    views = [choose_view(rng, sheet(), POINTS, 1.0) for _ in range(200)]
    assert 0.6 < np.mean([view is not None for view in views]) < 0.8
    assert choose_view(rng, sheet(), np.zeros((0, 2)), 1.0) is None


def test_points_that_would_leave_are_brought_back() -> None:
    shifted = np.array([[1.0, 0, 150], [0, 1.0, -60], [0, 0, 1]])
    seen = moved(scan.kept_inside(shifted, POINTS, (168, 224)), POINTS)
    assert (seen >= scan.EDGE - 1e-6).all()
    assert (seen <= np.array([224, 168]) - scan.EDGE + 1e-6).all()
    assert np.allclose(seen - seen[0], POINTS - POINTS[0]), "only shifted"


@given(st.lists(st.floats(-20, 20), min_size=8, max_size=8))
def test_a_homography_takes_its_corners_to_their_targets(by: list[float]) -> None:
    corners = np.array([(0.0, 0.0), (200.0, 0.0), (200.0, 100.0), (0.0, 100.0)])
    targets = corners + np.array(by).reshape(4, 2)
    assert np.allclose(moved(scan.homography(corners, targets), corners), targets, atol=1e-6)


@pytest.mark.parametrize("size", [(28, 112), (1400, 560), (1036, 1092), (560, 1400)])
def test_noise_of_every_size(size: tuple[int, int]) -> None:
    for seed in range(6):
        assert worn(np.random.default_rng(seed), np.full((*size, 3), 200, dtype=np.uint8), 1.0).shape == (*size, 3)


def test_thermal_print_is_grey_and_a_fax_has_two_tones() -> None:
    rng = np.random.default_rng(1)
    thermal = scan.as_thermal(rng, sheet())
    assert 40 < thermal[35, 100].mean() < 200
    assert thermal[10, 10].mean() > 240
    assert set(np.unique(scan.two_toned(rng, sheet()))) == {0, 255}


def test_what_colours_say_is_not_lost() -> None:
    red = np.full((84, 84, 3), 255, dtype=np.uint8)
    red[20:60, 20:60] = 220, 20, 20
    grey = [worn(np.random.default_rng(seed), red, 1.0)[40, 40].astype(int) for seed in range(60)]
    kept = [worn(np.random.default_rng(seed), red, 1.0, in_colour=True)[40, 40].astype(int) for seed in range(60)]
    assert any(np.ptp(pixel) < 40 for pixel in grey)
    assert all(pixel[0] > pixel[1] + 40 for pixel in kept)


def test_coarse_keeps_flat_paper() -> None:
    assert (scan.coarse(np.full((56, 84, 3), 90, dtype=np.uint8), 0.6) == 90).all()
