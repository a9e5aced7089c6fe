"""What scanners, cameras and thermal printers do to a whole sheet, and where its points lie afterwards."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from recipes.tiny import noise

__all__ = ["Points", "View", "choose_view", "moved", "scanned", "seen_from", "worn"]

Frame = NDArray[np.uint8]
Points = NDArray[np.float64]
"""[N, 2] of x, y in pixels."""
EDGE = 2.0
"""Pixels that are kept between a sheet's points and the picture's border."""


class View(NamedTuple):
    """How a sheet lies before the lens: a homography [3, 3] from its pixels to the picture's, and what is around it."""

    matrix: NDArray[np.float64]
    around: tuple[int, int, int]


def scanned(
    rng: np.random.Generator, frame: Frame, points: Points, hardness: float, *, in_colour: bool = False
) -> tuple[Frame, Points]:
    """The sheet uint8 [H, W, 3] as a picture of the same size, spoiled by `hardness` (0..1), and its points there.

    No point leaves the picture. At hardness 0 nothing happens at all; `in_colour` sheets do not turn grey.
    """
    if hardness <= 0:
        return frame, points
    view = choose_view(rng, frame, points, hardness)
    if view is not None:
        frame, points = seen_from(view, frame), moved(view.matrix, points)
    return worn(rng, frame, hardness, in_colour=in_colour), points


# ---- where things lie ----


def choose_view(rng: np.random.Generator, frame: Frame, points: Points, hardness: float) -> View | None:
    """Sometimes None (flat), mostly a slight turn, now and then a camera held askew."""
    draw = float(rng.random())
    if draw > 0.7 * hardness or not len(points):
        return None
    height, width = frame.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    angle = float(rng.normal(0, 1.2)) * hardness * min(1.0, 6 * height / width)
    targets = turned(corners, np.radians(np.clip(angle, -4, 4)), (width / 2, height / 2))
    paper = tuple(int(value) for value in np.median(np.concatenate([frame[0], frame[-1]]), axis=0))
    if draw < 0.25 * hardness:
        targets = targets + rng.uniform(-0.05, 0.05, (4, 2)) * hardness * (width, height)
        if rng.random() < 0.5:
            paper = tuple(int(value) for value in rng.integers(20, 200, 3))
    matrix = homography(corners, targets)
    return View(kept_inside(matrix, points, (height, width)), (paper[0], paper[1], paper[2]))


def turned(points: Points, angle: float, centre: tuple[float, float]) -> Points:
    """The points turned by `angle` (radians) around `centre`."""
    spin = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((points - centre) @ spin + centre, dtype=np.float64)


def homography(sources: Points, targets: Points) -> NDArray[np.float64]:
    """The [3, 3] matrix that takes four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(sources.tolist(), targets.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved: list[float] = np.linalg.solve(np.array(rows), np.array(values)).tolist()
    return np.array([*solved, 1.0]).reshape(3, 3)


def moved(matrix: NDArray[np.float64], points: Points) -> Points:
    """Where the matrix takes the points.

    >>> moved(np.array([[1.0, 0, 5], [0, 1, 0], [0, 0, 1]]), np.array([[2.0, 3.0]])).tolist()
    [[7.0, 3.0]]
    """
    lifted = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:])


def kept_inside(matrix: NDArray[np.float64], points: Points, size: tuple[int, int]) -> NDArray[np.float64]:
    """The matrix, followed by as much shrinking and shifting as keeps all points inside of a picture of `size`."""
    seen = moved(matrix, points)
    low, high = seen.min(axis=0), seen.max(axis=0)
    room = np.array([size[1], size[0]]) - 2 * EDGE
    scale = float(min(1.0, *(room / np.maximum(high - low, 1e-6))))
    low, high = low * scale, high * scale
    shift = np.clip(0.0, EDGE - low, np.maximum(EDGE - low, EDGE + room - high))
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]]) @ matrix


def seen_from(view: View, frame: Frame) -> Frame:
    """The sheet through the view's matrix."""
    inverse = np.linalg.inv(view.matrix)
    inverse /= inverse[2, 2]
    picture = Image.fromarray(frame)
    data = tuple(float(value) for value in inverse.reshape(-1)[:8])
    how = (Image.Transform.PERSPECTIVE, data, Image.Resampling.BICUBIC)
    return np.asarray(picture.transform(picture.size, *how, fillcolor=view.around))


# ---- what becomes of the print ----


def worn(rng: np.random.Generator, frame: Frame, hardness: float, *, in_colour: bool = False) -> Frame:
    """Soft lenses, poor paper, bad light, noise and JPEG; each now and then, and the more the harder."""
    soft = False
    if rng.random() < 0.45 * hardness:
        frame, soft = coarse(frame, float(rng.uniform(1 - 0.4 * hardness, 1))), True
    if rng.random() < 0.35 * hardness:
        soft = True
        radius = float(rng.uniform(0.2, 0.25 + 0.55 * hardness))
        frame = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))
    shade = shading(rng, (frame.shape[0], frame.shape[1]), hardness)
    if rng.random() < 0.12 * hardness and not in_colour:
        frame = as_thermal(rng, frame)
    elif rng.random() < 0.4 * hardness:
        frame = faded(rng, frame, hardness)
    if shade is not None:
        frame = noise.as_bytes(frame * shade[:, :, None])
    if rng.random() < 0.5 * hardness:
        frame = grained(rng, frame, 13 * hardness)
    if rng.random() < 0.07 * hardness and shade is None and not (soft or in_colour):
        frame = two_toned(rng, frame)
    if rng.random() < 0.4 * hardness:
        frame = through_jpeg(frame, int(rng.integers(30, 92)))
    return frame


def coarse(frame: Frame, share: float) -> Frame:
    """Down to `share` of its resolution and up again: a scan of fewer dots to the inch."""
    height, width = frame.shape[:2]
    small = Image.fromarray(frame).resize((max(1, round(width * share)), max(1, round(height * share))))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def shading(rng: np.random.Generator, size: tuple[int, int], hardness: float) -> noise.Grey | None:
    """What light and paper leave of each pixel [H, W] in 0..1; None where nothing is to be seen of them."""
    shade = None
    if rng.random() < 0.4 * hardness:
        shade = noise.uneven_light(rng, np.ones(size, dtype=np.float32), float(rng.uniform(0.05, 0.45)))
    if rng.random() < 0.35 * hardness:
        blobs = spread(rng, noise.cloud_tile(4 if rng.random() < 0.4 else 12), size)
        paper = np.float32(1) - np.float32(rng.uniform(0.004, 0.025)) * np.abs(blobs)
        shade = paper if shade is None else shade * paper
    if rng.random() < 0.15 * hardness:
        fold = creased(rng, size)
        shade = fold if shade is None else shade * fold
    return shade


def spread(rng: np.random.Generator, tile: noise.Grey, size: tuple[int, int]) -> noise.Grey:
    """A window of `tile` of any size: turned where the picture is tall, stretched where it is larger than the tile."""
    height, width = size
    if height < tile.shape[0] and width < tile.shape[1]:
        return noise.window(rng, tile, size)
    if width < tile.shape[0] and height < tile.shape[1]:
        return noise.window(rng, tile, (width, height)).T
    half = Image.fromarray(np.ascontiguousarray(spread(rng, tile, (height // 2, width // 2))))
    return np.asarray(half.resize((width, height)), dtype=np.float32)


def creased(rng: np.random.Generator, size: tuple[int, int]) -> noise.Grey:
    """A fold across the sheet: one side a little darker, and a thin shadow along it."""
    height, width = size
    slope, start = float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.1, 0.9)) * width
    across = np.arange(width, dtype=np.float32)[None, :] - (
        start + slope * np.arange(height, dtype=np.float32)[:, None]
    )
    dark, line = float(rng.uniform(0, 0.12)), float(rng.uniform(0.03, 0.2))
    return np.asarray(1 - dark * (across > 0) - line * np.exp(-((across / 2) ** 2)), dtype=np.float32)


def as_thermal(rng: np.random.Generator, frame: Frame) -> Frame:
    """Grey print on yellowish or white paper, with pale streaks where the head is worn."""
    grey = np.asarray(Image.fromarray(frame).convert("L"), dtype=np.float32)
    streaks = np.ones(grey.shape[1], dtype=np.float32)
    pale = rng.random(grey.shape[1]) < 0.015
    streaks[pale] = rng.uniform(0.3, 0.8, np.count_nonzero(pale))
    left = 1 - float(rng.uniform(0.15, 0.5))
    inked = (255 - grey) * streaks[None, :] * left
    paper = np.array([255, 253, 255 - float(rng.uniform(0, 25))], dtype=np.float32)
    return noise.as_bytes(paper - inked[:, :, None] * np.array([1, 0.98, 0.9 + 0.1 * float(rng.random())], np.float32))


def faded(rng: np.random.Generator, frame: Frame, hardness: float) -> Frame:
    """Less contrast, and the tint of a lamp."""
    contrast = float(rng.uniform(1 - 0.5 * hardness, 1))
    floor = float(rng.uniform(0, 1)) * (1 - contrast) * 255
    tint = 1 - rng.uniform(0, 0.1, 3).astype(np.float32) * hardness
    return noise.as_bytes((frame * np.float32(contrast) + np.float32(floor)) * tint)


def grained(rng: np.random.Generator, frame: Frame, most: float) -> Frame:
    """Sensor noise and, seldom, dust."""
    grain = spread(rng, noise.grain_tile(), (frame.shape[0], frame.shape[1])) * np.float32(rng.uniform(1, 1 + most))
    if rng.random() < 0.2:
        dust = rng.integers(grain.size, size=int(grain.size * float(rng.uniform(0, 0.002))))
        grain = grain.copy()
        grain.reshape(-1)[dust] += rng.choice(np.array([-255, 255], dtype=np.float32), size=len(dust))
    return noise.as_bytes(frame + grain[:, :, None])


def two_toned(rng: np.random.Generator, frame: Frame) -> Frame:
    """Black and white only, as a fax or a photocopy; the threshold lies between paper and ink."""
    grey = np.asarray(Image.fromarray(frame).convert("L"))
    dark, light = np.percentile(grey, (1, 70))
    limit = dark + (light - dark) * float(rng.uniform(0.45, 0.65))
    return np.repeat(np.where(grey > limit, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)


def through_jpeg(frame: Frame, quality: int) -> Frame:
    """Through JPEG in colour and back."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
