"""The drawing shows the very pixels the model gets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anyres.chat import ImagePart, VideoPart
from anyres.cli.patch_grid import draw_patch_grid, unpatchify
from anyres.config import ImageProcessorConfig
from anyres.processing.image import Size, image_to_visual, patchify
from anyres.processing.video import video_to_visual

CONFIG = ImageProcessorConfig()


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_unpatchify_undoes_patchify(pairs: int, rows: int, columns: int, seed: int) -> None:
    size = Size(28 * rows, 28 * columns)
    frames = np.random.default_rng(seed).integers(0, 256, (2 * pairs, *size, 3), dtype=np.uint8)
    pixels_PX = patchify(frames, count=2 * pairs, size=size, config=CONFIG)
    back = unpatchify(pixels_PX, (pairs, 2 * rows, 2 * columns), CONFIG)
    np.testing.assert_array_equal(back, frames)


def test_lines_lie_on_patch_borders_and_nowhere_else() -> None:
    visual = image_to_visual(ImagePart(Image.new("RGB", (140, 84), (10, 200, 30))), config=CONFIG)
    drawn = np.asarray(draw_patch_grid(visual, CONFIG)).astype(int)
    assert drawn.shape == (84, 140, 3)
    reddish = drawn[..., 0] > drawn[..., 1]
    assert reddish[28, 7]
    assert reddish[7, 28]
    assert not reddish[14, 7]
    assert (drawn[14, 7] > (10, 200, 30)).all()
    assert (drawn[5:9, 5:9] == (10, 200, 30)).all()
    assert (drawn[19:24, 33:38] == (10, 200, 30)).all()


@pytest.mark.parametrize(("frames", "size"), [(2, (56, 56)), (6, (168, 56)), (10, (224, 112))])
def test_a_clip_is_drawn_as_the_first_frames_of_its_pairs(frames: int, size: tuple[int, int]) -> None:
    pictures = [Image.new("RGB", (56, 56), (20 * number, 0, 200)) for number in range(frames)]
    visual = video_to_visual(VideoPart(pictures), config=CONFIG)
    sheet = draw_patch_grid(visual, CONFIG)
    assert sheet.size == size
    for pair in range(frames // 2):
        at = (56 * (pair % 4) + 7, 56 * (pair // 4) + 7)
        assert sheet.getpixel(at) == (40 * pair, 0, 200)
