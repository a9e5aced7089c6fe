"""What paper, cameras and scanners do to a picture. Grey pictures are float32 [H, W] in 0..255."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Grey = NDArray[np.float32]
TILE = 1024


@lru_cache(maxsize=1)
def grain_tile() -> Grey:
    """Unit normal noise [TILE, 3 TILE]; pictures cut a random window out of it, which is far cheaper than drawing."""
    return np.random.default_rng(20240918).standard_normal((TILE, 3 * TILE), dtype=np.float32)


@lru_cache(maxsize=4)
def cloud_tile(cell: int) -> Grey:
    """Unit-deviation noise whose blobs are about `cell` pixels wide, [TILE, 3 TILE]."""
    seeds = np.random.default_rng(cell).standard_normal((TILE // cell + 3, 3 * TILE // cell + 3)).astype(np.float32)
    cloud = np.asarray(Image.fromarray(seeds).resize((3 * TILE, TILE), Image.Resampling.BICUBIC))
    return np.asarray(cloud / cloud.std(), dtype=np.float32)


def window(rng: np.random.Generator, tile: Grey, shape: tuple[int, int]) -> Grey:
    """A random, randomly mirrored window of `shape` (height, width) of `tile`."""
    height, width = shape
    y, x = int(rng.integers(tile.shape[0] - height)), int(rng.integers(tile.shape[1] - width))
    cutout = tile[y : y + height, x : x + width]
    return cutout[:: 1 if rng.random() < 0.5 else -1, :: 1 if rng.random() < 0.5 else -1]


def add_grain(rng: np.random.Generator, grey: Grey, deviation: float) -> Grey:
    """Sensor noise."""
    return grey + deviation * window(rng, grain_tile(), (grey.shape[0], grey.shape[1]))


def add_paper(rng: np.random.Generator, grey: Grey, deviation: float) -> Grey:
    """Stains and fibres: blobs of 4 or 12 pixels."""
    return grey + deviation * window(rng, cloud_tile(4 if rng.random() < 0.5 else 12), (grey.shape[0], grey.shape[1]))


def uneven_light(rng: np.random.Generator, grey: Grey, strength: float) -> Grey:
    """Multiplies by a slow ramp that dims one side by up to `strength` (0..1)."""
    height, width = grey.shape
    x = np.linspace(-1, 1, width, dtype=np.float32) * float(rng.uniform(-1, 1))
    y = np.linspace(-1, 1, height, dtype=np.float32) * float(rng.uniform(-0.5, 0.5))
    ramp = 1 + np.clip(x[None, :] + y[:, None], -1, 1)
    return (grey * (1 - strength * 0.5 * ramp)).astype(np.float32)


def add_specks(rng: np.random.Generator, grey: Grey, share: float) -> Grey:
    """Dust: single black or white pixels, `share` of all."""
    count = int(grey.size * share)
    flat = grey.copy().reshape(-1)
    flat[rng.integers(flat.size, size=count)] = rng.choice(np.array([0, 255], dtype=np.float32), size=count)
    return flat.reshape(grey.shape)


def blurred(grey: Grey, radius: float) -> Grey:
    """Out of focus by a Gaussian of `radius` pixels."""
    picture = Image.fromarray(as_bytes(grey)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture, dtype=np.float32)


def squeezed(grey: Grey, quality: int) -> Grey:
    """Through JPEG at `quality` and back."""
    buffer = io.BytesIO()
    Image.fromarray(as_bytes(grey)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), dtype=np.float32)


def as_bytes(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Clipped and rounded to uint8."""
    return np.asarray(np.clip(grey + 0.5, 0, 255), dtype=np.uint8)
