"""Coloured shapes: their outlines, colours, places in a picture and the cells they lie in."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from recipes.tiny import noise

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring", "heart")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 30, 35),
    "green": (35, 150, 55),
    "blue": (35, 75, 215),
    "yellow": (245, 222, 45),
    "orange": (245, 135, 20),
    "purple": (130, 45, 170),
    "black": (18, 18, 18),
    "white": (250, 250, 250),
    "brown": (115, 68, 30),
    "grey": (132, 132, 132),
    "pink": (250, 150, 195),
}
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
TURN = {"circle": 180, "ring": 180, "square": 12, "diamond": 10, "triangle": 30, "star": 36, "cross": 20, "heart": 25}
"""Degrees a shape may turn without becoming another one (a square on its corner is a diamond)."""
SUPERSAMPLING = 4
CELL, SLOTS = 28, 4
Rgb = NDArray[np.float32]


@dataclass(frozen=True)
class Thing:
    """A coloured shape. `x`, `y` (centre), `radius` in pixels, `angle` in degrees; `shade` is the colour as painted."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    angle: float = 0.0
    stretch: float = 1.0
    shade: tuple[int, int, int] | None = None
    outline: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """`red circle`."""
        return f"{self.colour} {self.shape}"


def corners(shape: str) -> NDArray[np.float64]:
    """The polygon of a shape inside of the unit circle, [N, 2], y down."""
    if shape == "square":
        return np.array([(-0.74, -0.74), (0.74, -0.74), (0.74, 0.74), (-0.74, 0.74)])
    if shape == "triangle":
        return np.array([(0, -1), (0.866, 0.5), (-0.866, 0.5)])
    if shape == "diamond":
        return np.array([(0, -1), (0.66, 0), (0, 1), (-0.66, 0)])
    if shape == "cross":
        arm = np.array([(-0.3, -0.95), (0.3, -0.95), (0.3, -0.3)])
        quarter = np.array([(0, 1), (-1, 0)])
        return np.concatenate([arm @ np.linalg.matrix_power(quarter, turns) for turns in range(4)])
    turns = np.linspace(0, 2 * np.pi, 11 if shape == "star" else 49)[:-1]
    if shape == "star":
        reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return np.stack([np.sin(turns) * reach, -np.cos(turns) * reach], axis=1)
    if shape == "heart":
        y = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
        return np.stack([16 * np.sin(turns) ** 3, -y - 2.5], axis=1) / 17.5
    return np.stack([np.sin(turns), -np.cos(turns)], axis=1) * 0.92


@lru_cache(maxsize=256)
def coverage(thing: Thing, grow: float = 0.0) -> Rgb:
    """How much of each pixel the thing covers, 0..1, in a square window of 2 * ceil(radius) + 4 pixels around it."""
    side = 2 * int(np.ceil(thing.radius)) + 4
    turn = np.deg2rad(thing.angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = corners(thing.shape) * (thing.radius + grow) * np.array([thing.stretch, 1 / thing.stretch])
    points = ((points @ matrix.T) + side / 2) * SUPERSAMPLING
    mask = Image.new("L", (side * SUPERSAMPLING,) * 2)
    pen = ImageDraw.Draw(mask)
    pen.polygon([(float(x), float(y)) for x, y in points], fill=255)
    if thing.shape == "ring":
        middle = side * SUPERSAMPLING / 2
        hole = (points - middle) * (0.55 - 2 * grow / thing.radius) + middle
        pen.polygon([(float(x), float(y)) for x, y in hole], fill=0)
    return np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32) / np.float32(255)


def overlap(window: Rgb, x: float, y: float, size: tuple[int, int]) -> tuple[tuple[slice, slice], Rgb]:
    """Where a window centred on (x, y) meets a picture of `size` (height, width), and the part of it that does."""
    left, top = round(x - window.shape[1] / 2), round(y - window.shape[0] / 2)
    x0, y0 = min(max(left, 0), size[1]), min(max(top, 0), size[0])
    x1, y1 = max(x0, min(left + window.shape[1], size[1])), max(y0, min(top + window.shape[0], size[0]))
    return (slice(y0, y1), slice(x0, x1)), window[y0 - top : y1 - top, x0 - left : x1 - left]


def placed(window: Rgb, x: float, y: float, size: tuple[int, int]) -> Rgb:
    """The window with its centre at (x, y) of an empty picture of `size` (height, width); what sticks out is lost."""
    field = np.zeros((*size, *window.shape[2:]), dtype=np.float32)
    where, part = overlap(window, x, y, size)
    if part.size:
        field[where] = part
    return field


def field_of(thing: Thing, size: tuple[int, int]) -> Rgb:
    """Coverage of the thing, outline included, over a whole picture, float32 [H, W] in 0..1."""
    return placed(coverage(thing, 1.3 if thing.outline else 0.0), thing.x, thing.y, size)


def paint(rng: np.random.Generator, rgb: Rgb, thing: Thing, *, texture: float = 0.0) -> None:
    """Paints the thing over `rgb` in place; `texture` mottles its colour by so much."""
    size = (rgb.shape[0], rgb.shape[1])
    layers = [(thing.outline, 1.3)] * bool(thing.outline) + [(thing.shade or COLOURS[thing.colour], 0.0)]
    for colour, grow in layers:
        where, part = overlap(coverage(thing, grow), thing.x, thing.y, size)
        if not part.size:
            continue
        tone = np.array(colour, dtype=np.float32)
        if texture and not grow:
            tone = tone + texture * noise.window(rng, noise.cloud_tile(12), part.shape)[:, :, None]
        rgb[where] += part[:, :, None] * (tone - rgb[where])


def box_of(thing: Thing, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The painted extent (x1, y1, x2, y2) in pixels, where half of a pixel is covered."""
    field = field_of(thing, size) >= 0.5
    xs, ys = np.flatnonzero(field.any(axis=0)), np.flatnonzero(field.any(axis=1))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def cells_of(things: list[Thing], size: tuple[int, int]) -> list[list[str]]:
    """Names per cell: things that cover 30 % of it or have their largest part there; at most SLOTS, largest first."""
    rows, columns = size[0] // CELL, size[1] // CELL
    cells: list[list[tuple[float, str]]] = [[] for _ in range(rows * columns)]
    for thing in things:
        shares = field_of(thing, size).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3)).reshape(-1)
        for cell in np.flatnonzero((shares >= 0.3) | (np.arange(len(shares)) == shares.argmax())):
            cells[cell].append((-float(shares[cell]), thing.name))
    return [[name for _, name in sorted(cell)[:SLOTS]] for cell in cells]


def background(rng: np.random.Generator, size: tuple[int, int], difficulty: float) -> Rgb:
    """Plain, paper-like, graded or noisy, light or dark: float32 [H, W, 3]."""
    dark = rng.random() < 0.2
    base = rng.uniform(0, 60, 3) if dark else 255 - rng.uniform(0, 30 + 40 * difficulty) - rng.uniform(0, 22, 3)
    rgb = np.broadcast_to(base.astype(np.float32), (*size, 3)).copy()
    kind = rng.random()
    if kind < 0.35:
        rgb += float(rng.uniform(2, 4 + 10 * difficulty)) * noise.window(rng, noise.cloud_tile(12), size)[:, :, None]
    elif kind < 0.6:
        ramp = noise.uneven_light(rng, np.ones(size, dtype=np.float32), float(rng.uniform(0, 0.4)))
        rgb = rgb * ramp[:, :, None]
    elif kind < 0.75:
        rgb += float(rng.uniform(1, 3 + 8 * difficulty)) * noise.window(rng, noise.grain_tile(), size)[:, :, None]
    return rgb


def dressed(rng: np.random.Generator, thing: Thing, ground: Rgb, difficulty: float) -> Thing:
    """The thing with a shade of its colour, and an outline where it would hardly stand out from the ground."""
    spread = 6 + 14 * difficulty
    base = np.array(COLOURS[thing.colour], dtype=np.float64)
    if thing.colour in ("black", "white", "grey"):
        shade = np.clip(base + rng.uniform(-spread, spread), 0, 255)
    else:
        shade = np.clip(base + rng.uniform(-spread, spread, 3), 0, 255)
    mean = ground[::8, ::8].reshape(-1, 3).mean(axis=0)
    faint = float(np.abs(mean - shade).max()) < 95
    light = float(mean.mean()) > 128
    edge = (35, 35, 35) if light else (225, 225, 225)
    outline = edge if faint or rng.random() < 0.15 * difficulty else None
    red, green, blue = (int(value) for value in shade)
    return Thing(thing.shape, thing.colour, thing.x, thing.y, thing.radius, thing.angle, thing.stretch,
                 (red, green, blue), outline)  # fmt: skip


def spots(
    rng: np.random.Generator, count: int, size: tuple[int, int], difficulty: float
) -> list[tuple[float, float, float]]:
    """(x, y, radius) of `count` things that hardly overlap and lie wholly inside of the picture."""
    height, width = size
    largest = min(0.36 * min(size), 0.62 * (height * width / count) ** 0.5)
    smallest = max(9.0, largest * (0.7 - 0.35 * difficulty))
    found: list[tuple[float, float, float]] = []
    tries = 0
    while len(found) < count:
        tries += 1
        radius = max(8.0, float(rng.uniform(smallest, max(smallest, largest))) * 0.98 ** (tries // 4))
        x, y = float(rng.uniform(radius + 2, width - radius - 2)), float(rng.uniform(radius + 2, height - radius - 2))
        if all(np.hypot(x - a, y - b) > 0.95 * (radius + r) + 2 for a, b, r in found):
            found.append((x, y, radius))
        elif tries > 150:
            found, tries = [], 0
            largest, smallest = largest * 0.8, smallest * 0.8
    return found


def posed(rng: np.random.Generator, name: str, spot: tuple[float, float, float], difficulty: float) -> Thing:
    """The thing called `name` at (x, y, radius), turned and stretched a little."""
    colour, shape = name.split(" ")
    turn = TURN[shape] * (0.3 + 0.7 * difficulty)
    x, y, radius = spot
    stretch = float(rng.uniform(1 - 0.1 * difficulty, 1 + 0.1 * difficulty))
    return Thing(shape, colour, x, y, radius / max(stretch, 1 / stretch), float(rng.uniform(-turn, turn)), stretch)


def weathered(rng: np.random.Generator, rgb: Rgb, hardness: float) -> NDArray[np.uint8]:
    """What a camera adds: blur, uneven light, grain, JPEG; uint8 [H, W, 3]."""
    size = (rgb.shape[0], rgb.shape[1])
    if rng.random() < 0.4 * hardness:
        rgb = noise.blurred(rgb, float(rng.uniform(0.3, 1.1)))
    if rng.random() < 0.4 * hardness:
        rgb = rgb * noise.uneven_light(rng, np.ones(size, dtype=np.float32), float(rng.uniform(0, 0.35)))[:, :, None]
    if rng.random() < 0.6 * hardness:
        rgb = rgb + noise.add_grain(rng, np.zeros(size, dtype=np.float32), float(rng.uniform(0, 10)))[:, :, None]
    if rng.random() < 0.3 * hardness:
        rgb = noise.squeezed(rgb, int(rng.integers(45, 92)))
    return noise.as_bytes(rgb)
