"""Sizes, resize, normalisation and patch order, against qwen-vl-utils 0.0.8 (goldens) and transformers (imported)."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as transformers_smart_resize

from anyres.chat import ImagePart, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.model_input import VisualInput
from anyres.processing.image import Size, image_to_visual, normalise_table, patchify, smart_resize, target_size
from anyres.processing.media import open_image
from anyres.processing.video import video_to_visual

GOLDENS = Path(__file__).parents[1] / "goldens" / "vision.npz"
CONFIG = ImageProcessorConfig()


def guarded(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    """What qwen-vl-utils 0.0.8 would give if it kept a side of at least 28 while shrinking."""
    shrink = math.sqrt(height * width / max_pixels)
    return max(28, math.floor(height / shrink / 28) * 28), max(28, math.floor(width / shrink / 28) * 28)


def test_sizes_equal_qwen_vl_utils() -> None:
    rows = np.load(GOLDENS)["sizes"].tolist()
    assert len(rows) >= 2000
    kinds = {"equal": 0, "refused": 0, "guarded": 0}
    for height, width, low, high, *expected in rows:
        if expected == [-1, -1]:
            kinds["refused"] += 1
            with pytest.raises(MediaError, match="aspect ratio"):
                smart_resize(height, width, min_pixels=low, max_pixels=high)
            continue
        if 0 in expected:
            expected = list(guarded(height, width, high))
            kinds["guarded"] += 1
        kinds["equal"] += 1
        assert list(smart_resize(height, width, min_pixels=low, max_pixels=high)) == expected, (height, width)
    assert kinds["equal"] >= 2000
    assert kinds["refused"] >= 50
    assert kinds["guarded"] >= 10


@pytest.mark.parametrize(
    ("original", "limits", "expected", "tokens"),
    [
        ((1365, 2048), {}, (1372, 2044), 3577),
        ((42, 42), {}, (56, 56), 4),
        ((70, 70), {}, (56, 56), 4),
        ((1, 1), {}, (56, 56), 4),
        ((26, 28), {}, (56, 84), 6),
        ((500, 19), {}, (504, 28), 18),
        ((1, 200), {}, (28, 196), 7),
        ((10, 100), {}, (28, 112), 4),
        ((1080, 1920), {}, (1092, 1932), 2691),
        ((1080, 1920), {"max_pixels": 602112}, (560, 1008), 720),
        ((4032, 3024), {}, (4032, 3024), 15552),
        ((4032, 3024), {"max_pixels": 1003520}, (1148, 840), 1230),
        ((8000, 6000), {}, (4116, 3080), 16170),
        ((100, 100), {"min_pixels": 200704}, (448, 448), 256),
        ((360, 640), {"min_pixels": 100352, "max_pixels": 602112}, (364, 644), 299),
        ((690, 15420), {}, (700, 15428), 13775),
        ((28, 5600), {"max_pixels": 100352}, (28, 4480), 160),
        ((690, 15420), {"max_pixels": 12544}, (28, 504), 18),
    ],
)
def test_golden_sizes(
    original: tuple[int, int], limits: dict[str, int], expected: tuple[int, int], tokens: int
) -> None:
    size = smart_resize(*original, **limits)  # type: ignore[arg-type]
    assert size == expected
    assert size.height // 28 * (size.width // 28) == tokens


def test_ratio_of_exactly_200_passes_and_more_is_refused() -> None:
    assert smart_resize(1, 200) == (28, 196)
    assert smart_resize(10000, 50) == (10000 // 28 * 28, 56)
    with pytest.raises(MediaError, match=r"strip.png: 201x1 pixels, aspect ratio 201; allowed: at most 200"):
        smart_resize(1, 201, name="strip.png")
    with pytest.raises(MediaError, match=r"aspect ratio 200\.9"):
        smart_resize(2009, 10)


@given(
    st.integers(1, 6000),
    st.integers(1, 6000),
    st.integers(3136, 50_000),
    st.integers(100_000, 13_000_000),
    st.sampled_from([14, 28, 56]),
)
def test_sizes_are_multiples_within_limits(height: int, width: int, low: int, high: int, factor: int) -> None:
    if max(height, width) > 200 * min(height, width):
        return
    size = smart_resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
    assert size.height % factor == 0
    assert size.width % factor == 0
    assert min(size) >= factor
    assert size.height * size.width <= high or min(size) == factor
    assert size.height * size.width >= low or max(height, width) * min(height, width) > high


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_resized_size_is_a_fixed_point(height: int, width: int) -> None:
    """The second pass of the reference changes nothing while the first result lies within its limits."""
    if max(height, width) <= 200 * min(height, width):
        size = smart_resize(height, width)
        assert target_size(size, config=CONFIG, min_pixels=1, max_pixels=10**9) == size


@given(st.integers(100, 9000), st.integers(100, 9000), st.integers(1, 50_000_000), st.integers(1, 50_000_000))
def test_checkpoint_limits_apply_last(height: int, width: int, low: int, high: int) -> None:
    """As transformers' rule run on what qwen-vl-utils gives."""
    low, high = min(low, high), max(low, high)
    first = smart_resize(height, width, min_pixels=low, max_pixels=high)
    if max(first) <= 200 * min(first):
        expected = transformers_smart_resize(*first, min_pixels=3136, max_pixels=12845056)
        assert target_size(Size(height, width), config=CONFIG, min_pixels=low, max_pixels=high) == expected


def test_normalisation_is_bit_equal_for_every_value() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    processor = Qwen2VLImageProcessor()
    scaled = processor.rescale(ramp, scale=1 / 255)
    expected = processor.normalize(scaled, mean=processor.image_mean, std=processor.image_std)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(normalise_table(CONFIG).numpy(), expected.reshape(256, 3).T)


MODES = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "HSV",
    "I",
    "I;16",
    "I;16B",
    "F",
)


def random_picture(mode: str, rng: np.random.Generator) -> Image.Image:
    height, width = (int(side) for side in rng.integers(15, 260, size=2))
    noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    smooth = noise.resize((width // 9 + 1, height // 9 + 1)).resize((width, height))
    picture = noise if rng.random() < 0.3 else smooth
    if mode == "PA":
        return picture.convert("P").convert("PA")
    if mode in ("I;16", "I;16B"):
        return Image.fromarray(np.asarray(picture.convert("L")).astype(">u2" if mode[-1] == "B" else "<u2") * 256)
    if mode in ("LA", "RGBA", "La", "RGBa"):
        picture.putalpha(noise.getchannel("R"))
        straight = picture.convert("LA" if mode[0] == "L" else "RGBA")
        return straight if straight.mode == mode else straight.convert(mode)
    return picture.convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_pixels_are_bit_equal_to_transformers(mode: str) -> None:
    """12 pictures of each of 17 modes, 204 in all. How modes become RGB is tested with the door."""
    rng = np.random.default_rng(MODES.index(mode))
    processor = Qwen2VLImageProcessor(min_pixels=CONFIG.min_pixels, max_pixels=CONFIG.max_pixels)
    for _ in range(12):
        picture = random_picture(mode, rng)
        expected = processor(images=open_image(picture).picture, return_tensors="pt")
        visual = image_to_visual(ImagePart(picture), config=CONFIG)
        assert [list(visual.grid_thw)] == expected["image_grid_thw"].tolist()
        assert visual.pixels_PX is not None
        assert visual.pixels_PX.dtype == torch.uint8
        assert visual.patches().dtype == torch.float32
        assert torch.equal(visual.patches(), expected["pixel_values"])


@pytest.mark.parametrize(("low", "high"), [(3136, 50_000), (150_000, 400_000), (3136, 12845056)])
def test_pixels_are_bit_equal_with_limits(low: int, high: int) -> None:
    rng = np.random.default_rng(3)
    picture = Image.fromarray(rng.integers(0, 256, (431, 299, 3), dtype=np.uint8))
    processor = Qwen2VLImageProcessor(min_pixels=low, max_pixels=high)
    visual = image_to_visual(ImagePart(picture, min_pixels=low, max_pixels=high), config=CONFIG)
    expected = processor(images=picture, return_tensors="pt")["pixel_values"]
    assert torch.equal(visual.patches(), expected)


def test_frames_are_bit_equal_to_transformers() -> None:
    """Several frames through the same processor: pairs, and the last one repeated where their number is odd."""
    rng = np.random.default_rng(4)
    processor = Qwen2VLImageProcessor(min_pixels=CONFIG.min_pixels, max_pixels=CONFIG.max_pixels)
    for count in (2, 3, 4):
        frames = [Image.fromarray(rng.integers(0, 256, (56, 84, 3), dtype=np.uint8)) for _ in range(count)]
        expected, grid = processor._preprocess(
            frames,
            do_resize=True,
            size={"shortest_edge": 3136, "longest_edge": 12845056},
            resample=Image.Resampling.BICUBIC,
            do_rescale=True,
            rescale_factor=1 / 255,
            do_normalize=True,
            image_mean=processor.image_mean,
            image_std=processor.image_std,
            patch_size=14,
            temporal_patch_size=2,
            merge_size=2,
        )
        ours = video_to_visual(VideoPart(frames), config=CONFIG)
        assert grid == ours.grid_thw == (-(-count // 2), 4, 6)
        np.testing.assert_array_equal(ours.patches().numpy(), expected)


@pytest.mark.parametrize(("patch", "merge", "depth"), [(14, 2, 2), (7, 2, 2), (4, 3, 2), (14, 1, 3)])
def test_patch_order(patch: int, merge: int, depth: int) -> None:
    """The view and permutation that the reference is described by, for other sizes of patch as well."""
    config = replace(CONFIG, patch_size=patch, merge_size=merge, temporal_patch_size=depth)
    rows, columns, count = 2, 3, 2 * depth
    size = Size(rows * config.factor, columns * config.factor)
    frames = np.random.default_rng(5).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    table = normalise_table(config).numpy()
    values_TCHW = np.stack([table[channel][frames[..., channel]] for channel in range(3)], axis=1)
    view = values_TCHW.reshape(2, depth, 3, rows, merge, patch, columns, merge, patch)
    expected = view.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(2 * rows * columns * merge**2, -1)
    pixels_PX = patchify(frames, count=count, size=size, config=config)
    grid = (2, rows * merge, columns * merge)
    visual = VisualInput("", "video", grid, size, size, pixels_PX, normalise_CV=normalise_table(config))
    np.testing.assert_array_equal(visual.patches().numpy(), expected)


def grey(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), (90, 120, 150))


def size_of(part: ImagePart, config: ImageProcessorConfig = CONFIG) -> tuple[int, int]:
    return image_to_visual(part, config=config).resized_size


def test_default_budget_and_its_note() -> None:
    picture = grey(2000, 1500)
    visual = image_to_visual(ImagePart(picture), config=CONFIG)
    assert visual.resized_size == (840, 1148)
    assert visual.original_size == (1500, 2000)
    assert visual.note == "image: shrunk from 2000x1500 to 1148x840"
    roomy = replace(CONFIG, max_pixels=1_500_000)
    assert size_of(ImagePart(picture, max_pixels="checkpoint"), roomy) == smart_resize(1500, 2000, max_pixels=1_500_000)
    assert size_of(ImagePart(picture, max_pixels=1_200_000)) == smart_resize(1500, 2000, max_pixels=1_200_000)
    assert size_of(ImagePart(picture), replace(CONFIG, max_pixels=100_352)) == (252, 364)
    assert image_to_visual(ImagePart(grey(999, 1001)), config=CONFIG).note == ""


def test_min_pixels_above_the_default_budget_wins() -> None:
    height, width = size_of(ImagePart(grey(100, 100), min_pixels=2_000_000))
    assert 2_000_000 <= height * width <= CONFIG.max_pixels


def test_max_pixels_below_the_checkpoints_minimum() -> None:
    assert size_of(ImagePart(grey(300, 300), max_pixels=784)) == (56, 56)


def test_asked_size_is_rounded_and_kept_within_the_checkpoints_limits() -> None:
    visual = image_to_visual(ImagePart(grey(300, 30), resized_height=100, resized_width=200), config=CONFIG)
    assert visual.resized_size == (112, 196)
    assert visual.note == ""
    small = replace(CONFIG, max_pixels=50_176)
    assert size_of(ImagePart(grey(300, 30), resized_height=9999, resized_width=9999), small) == (224, 224)
    assert size_of(ImagePart(grey(300, 1), resized_height=56, resized_width=56)) == (56, 56)


@pytest.mark.parametrize("sides", [(1, 1), (1, 28), (27, 27), (3, 3)])
def test_small_pictures_are_enlarged(sides: tuple[int, int]) -> None:
    height, width = size_of(ImagePart(grey(*sides)))
    assert height * width >= CONFIG.min_pixels


BAD_OPTIONS = [
    ({"min_pixels": 0}, "min_pixels: 0; allowed: a whole number from 1"),
    ({"max_pixels": -5}, 'max_pixels: -5; allowed: a whole number from 1 or "checkpoint"'),
    ({"max_pixels": True}, "max_pixels: True"),
    ({"max_pixels": float("nan")}, "max_pixels: nan"),
    ({"max_pixels": "huge"}, "max_pixels: 'huge'"),
    ({"min_pixels": "checkpoint"}, "min_pixels: 'checkpoint'"),
    ({"min_pixels": 1000.0}, "min_pixels: 1000.0"),
    (
        {"min_pixels": 9000, "max_pixels": 8000},
        "min_pixels: 9000, above max_pixels = 8000; allowed: at most max_pixels",
    ),
    ({"resized_height": 56}, "resized_height, resized_width: only one of them; allowed: both or none"),
    ({"resized_width": 56}, "resized_height, resized_width: only one of them; allowed: both or none"),
    ({"resized_height": 0, "resized_width": 56}, "resized_height: 0"),
    ({"resized_height": 1, "resized_width": 201}, "resized_height, resized_width: 1 and 201; allowed: a ratio"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        image_to_visual(ImagePart(grey(50, 50), **options), config=CONFIG)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_encoded_picture_passes_through() -> None:
    encoded = VisualInput("cat.png", "image", (1, 4, 4), (50, 50), (56, 56), visual_MD=torch.zeros(4, 8))
    assert image_to_visual(ImagePart(encoded), config=CONFIG) is encoded
    with pytest.raises(OptionError, match="already encoded"):
        image_to_visual(ImagePart(encoded, max_pixels=5000), config=CONFIG)
