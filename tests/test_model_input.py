"""8-bit pixels become float32 by the table of their channel, whichever rows are asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from anyres.model_input import LOOKUP_ROWS, VisualInput


def item(pixels_PX: Tensor | None, table_CV: Tensor | None = None) -> VisualInput:
    return VisualInput("item", "image", (1, 2, 2), (28, 28), (28, 28), pixels_PX, table_CV)


def looked_up_one_by_one(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    a_channel = pixels.shape[1] // len(table)
    rows = [[table[column // a_channel, value] for column, value in enumerate(row)] for row in pixels]
    return np.array(rows, dtype=np.float32).reshape(pixels.shape)


@given(
    rows=st.integers(0, 9),
    channels=st.integers(1, 4),
    a_channel=st.integers(1, 5),
    start=st.integers(0, 10),
    stop=st.none() | st.integers(0, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_value_is_looked_up_in_its_channel(
    rows: int, channels: int, a_channel: int, start: int, stop: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (rows, channels * a_channel), dtype=np.uint8)
    table = rng.standard_normal((channels, 256), dtype=np.float32)
    patches = item(torch.from_numpy(pixels), torch.from_numpy(table)).patches(start, stop)
    assert patches.dtype == torch.float32
    np.testing.assert_array_equal(patches.numpy(), looked_up_one_by_one(pixels, table)[start:stop])


@pytest.mark.parametrize("rows", [LOOKUP_ROWS - 1, LOOKUP_ROWS, LOOKUP_ROWS + 1, 3 * LOOKUP_ROWS + 7])
def test_more_rows_than_are_looked_up_at_a_time(rows: int) -> None:
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, 6), dtype=np.uint8)
    table = np.random.default_rng(1).standard_normal((3, 256), dtype=np.float32)
    visual = item(torch.from_numpy(pixels), torch.from_numpy(table))
    expected = looked_up_one_by_one(pixels, table)
    np.testing.assert_array_equal(visual.patches().numpy(), expected)
    np.testing.assert_array_equal(visual.patches(5, rows - 3).numpy(), expected[5 : rows - 3])


def test_lookup_leaves_pixels_and_table_alone() -> None:
    pixels_PX, table_CV = torch.arange(12, dtype=torch.uint8).reshape(2, 6), torch.ones(3, 256)
    visual = item(pixels_PX, table_CV)
    visual.patches().zero_()
    assert pixels_PX.tolist() == [list(range(6)), list(range(6, 12))]
    assert bool((table_CV == 1).all())


def test_float32_pixels_are_given_as_they_are() -> None:
    pixels_PX = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    assert item(pixels_PX).patches().data_ptr() == pixels_PX.data_ptr()
    assert torch.equal(item(pixels_PX).patches(1, 3), pixels_PX[1:3])


@pytest.mark.parametrize(
    ("pixels_PX", "table_CV", "message"),
    [
        (None, None, "encoded already"),
        (torch.zeros(2, 6, dtype=torch.uint8), None, "uint8 pixels come with their table"),
        (torch.zeros(2, 6), torch.zeros(3, 256), "a table is for uint8 pixels"),
    ],
)
def test_halves_that_do_not_belong_together(pixels_PX: Tensor | None, table_CV: Tensor | None, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        item(pixels_PX, table_CV).patches()
