"""Pictures of drawn things: name them, say whose flag it is, count them, find one, tell what stands where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.clips import natural_ground
from recipes.tiny.conversation import Frame, about_pictures, pick
from recipes.tiny.example import Dense, Example
from recipes.tiny.icon_pack import EASY, Cutout, Icon, IconPack, drawn, icon_pack, paste
from recipes.tiny.icon_words import AT, CORNERS, COUNT, EVERY, FLAG, LIST, NAME, TOTAL, WHERE
from recipes.tiny.regions import Size, counted_cells, dense_of, found
from recipes.tiny.things import CELL, Rgb, background, spots, weathered

__all__ = [
    "arranged",
    "make_flag",
    "make_icon_at",
    "make_icon_box",
    "make_icon_boxes",
    "make_icon_count",
    "make_icon_list",
    "make_icon_name",
    "scene_of",
]

LARGEST = 132
"""Pixels of the longer side of a drawing: they are packed with 64."""
MOST = 9
Maker = Callable[..., Example]


# ---- composing ----


def picture_size(rng: np.random.Generator, cells: int, difficulty: float) -> Size:
    """A picture of about `cells` visual tokens, and up to eight times as many at difficulty 1."""
    wanted = cells * 8 ** (difficulty * float(rng.random()))
    shape = float(np.exp(rng.uniform(-0.5, 0.5) * (0.4 + difficulty)))
    rows = max(2, round((wanted / shape) ** 0.5))
    return CELL * min(rows, 32), CELL * min(32, max(2, round(wanted / rows)))


def ground_of(rng: np.random.Generator, size: Size, difficulty: float) -> Rgb:
    """Plain, paper-like, graded or noisy; blobs like leaves or cloth where it is hard."""
    if rng.random() < 0.5 * difficulty:
        rgb = natural_ground(rng, size)
        return (rgb + float(rng.choice([-1, 1])) * 70) * np.float32(0.75) + np.float32(30)
    return background(rng, size, difficulty)


def pasted(
    rng: np.random.Generator,
    pack: IconPack,
    icons: Sequence[Icon],
    centres: Sequence[tuple[float, float, float]],
    rgb: Rgb,
    *,
    split: str,
    difficulty: float,
) -> list[Cutout]:
    """Pastes each icon at its (x, y, half the longer side); gives the cut-outs where they lie."""
    tone = rgb[::8, ::8].reshape(-1, 3).mean(axis=0)
    laid = []
    for number, (icon, (x, y, half)) in enumerate(zip(icons, centres, strict=True)):
        turn = float(rng.uniform(-25, 25)) * difficulty if rng.random() < difficulty else 0.0
        side = min(LARGEST, max(12, int(2 * half)))
        cutout = drawn(rng, pack, icon, split=split, side=side, ground=tone, turn=turn, plain=difficulty < EASY)
        height, width = cutout.rgba.shape[:2]
        corner = (round(x - width / 2), round(y - height / 2))
        cutout = cutout._replace(x=min(max(0, corner[0]), max(0, rgb.shape[1] - width)),
                                 y=min(max(0, corner[1]), max(0, rgb.shape[0] - height)), key=number)  # fmt: skip
        paste(rgb, cutout)
        laid.append(cutout)
    return laid


def arranged(
    rng: np.random.Generator,
    assets: Assets,
    icons: Sequence[Icon],
    size: Size,
    centres: Sequence[tuple[float, float, float]],
    *,
    split: str,
    difficulty: float,
) -> tuple[Frame, Dense, list[Cutout]]:
    """A picture of the icons at their places, with its dense teachers."""
    rgb = ground_of(rng, size, difficulty)
    laid = pasted(rng, icon_pack(assets), icons, centres, rgb, split=split, difficulty=difficulty)
    frame = weathered(rng, rgb, difficulty * float(rng.random()))
    return frame, dense_of([one.region for one in laid], size), laid


def scene_of(
    rng: np.random.Generator, assets: Assets, icons: Sequence[Icon], *, split: str, difficulty: float
) -> tuple[Frame, Dense, list[Cutout]]:
    """The icons strewn over a picture without touching."""
    size = picture_size(rng, 6 + 4 * len(icons), difficulty)
    centres = [(x, y, 0.74 * radius + 1) for x, y, radius in spots(rng, len(icons), size, difficulty)]
    return arranged(rng, assets, icons, size, centres, split=split, difficulty=difficulty)


def others(rng: np.random.Generator, icons: Sequence[Icon], but: Sequence[Icon], count: int) -> list[Icon]:
    """`count` icons, each drawn anew, none of them called like one of `but`."""
    names = {icon.name for icon in but}
    rest = [icon for icon in icons if icon.name not in names]
    return [pick(rng, rest) for _ in range(count)]


def different(rng: np.random.Generator, icons: Sequence[Icon], count: int) -> list[Icon]:
    """`count` icons of different names."""
    return [icons[i] for i in rng.choice(len(icons), size=min(count, len(icons)), replace=False)]


# ---- tasks ----


def spoken(
    rng: np.random.Generator, icon: Icon, words: Mapping[str, Sequence[str]], difficulty: float
) -> tuple[str, str, str]:
    """(language, question, name): English, and more and more other languages as it gets harder."""
    others_known = [language for language in words if language != "en" and language in icon.names]
    foreign = others_known and rng.random() < 0.5 * max(0.0, difficulty - 0.15)
    language = pick(rng, others_known) if foreign else "en"
    return language, pick(rng, words[language]), icon.names[language]


def make_icon_name(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """One drawn thing that fills most of a picture: what it is."""
    return make_alone(rng, "icon-name", NAME, assets=assets, split=split, difficulty=difficulty)


def make_flag(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """One flag: whose it is."""
    return make_alone(rng, "flag", FLAG, assets=assets, split=split, difficulty=difficulty)


def make_alone(
    rng: np.random.Generator,
    task: str,
    words: Mapping[str, Sequence[str]],
    *,
    assets: Assets,
    split: str,
    difficulty: float,
) -> Example:
    """One drawing, its name in a language."""
    kind = "flags" if task == "flag" else "emoji" if rng.random() < 0.9 else "interface"
    icon = pick(rng, icon_pack(assets).icons(kind, split=split, difficulty=difficulty))
    size = picture_size(rng, 6, difficulty)
    half = min(min(size) * float(rng.uniform(0.4 - 0.15 * difficulty, 0.48)), LARGEST / 2)
    x, y = (float(rng.uniform(half, side - half)) for side in (size[1], size[0]))
    frame, dense, _ = arranged(rng, assets, [icon], size, [(x, y, half)], split=split, difficulty=difficulty)
    language, question, name = spoken(rng, icon, words, difficulty)
    return about_pictures(task, [frame], (question, name), dense=[dense], language=language)


def make_icon_count(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """How often a thing appears, or how many things there are: every number is as likely."""
    icons = icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)
    most = 3 + int((MOST - 3) * difficulty)
    if rng.random() < 0.35:
        count = int(rng.integers(1, most + 1))
        shown, question = [pick(rng, icons) for _ in range(count)], pick(rng, TOTAL)
    else:
        asked, count = pick(rng, icons), int(rng.integers(0, most + 1))
        rest = others(rng, icons, [asked], int(rng.integers(count == 0, max(2, most - count + 1))))
        shown, question = [asked] * count + rest, pick(rng, COUNT).format(asked.name)
    frame, dense, laid = scene_of(rng, assets, shown, split=split, difficulty=difficulty)
    dense = replace(
        dense, counted=counted_cells([one.region for one in laid[:count]], (frame.shape[0], frame.shape[1]))
    )
    return about_pictures("icon-count", [frame], (question, str(count)), dense=[dense], metric="number")


def make_icon_box(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Where the only thing of a name is; one in six is not there, which is to be said."""
    icons = icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)
    asked = pick(rng, icons)
    rest = others(rng, icons, [asked], int(rng.integers(1, 3 + int(5 * difficulty))))
    there = rng.random() >= 1 / 6
    frame, dense, laid = scene_of(rng, assets, [asked] * there + rest, split=split, difficulty=difficulty)
    size = (frame.shape[0], frame.shape[1])
    answer = found(asked.name, [laid[0].box], size) if there else f"There is no {asked.name}."
    question = pick(rng, WHERE).format(asked.name)
    return about_pictures("icon-box", [frame], (question, answer), dense=[dense], metric="box" if there else "exact")


def make_icon_boxes(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Every place of a thing, from top to bottom."""
    icons = icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)
    asked, count = pick(rng, icons), int(rng.integers(1, 4 + int(2 * difficulty)))
    rest = others(rng, icons, [asked], int(rng.integers(0, 3 + int(3 * difficulty))))
    frame, dense, laid = scene_of(rng, assets, [asked] * count + rest, split=split, difficulty=difficulty)
    boxes = sorted((one.box for one in laid[:count]), key=lambda box: (box[1], box[0]))
    size = (frame.shape[0], frame.shape[1])
    answer = found(asked.name, boxes, size)
    question = pick(rng, EVERY).format(asked.name)
    dense = replace(dense, counted=counted_cells([one.region for one in laid[:count]], size))
    return about_pictures("icon-boxes", [frame], (question, answer), dense=[dense], metric="box")


def grid_of(
    rng: np.random.Generator, rows: int, columns: int, difficulty: float
) -> tuple[Size, list[tuple[float, float, float]]]:
    """A picture of rows x columns places, and where they are, row by row."""
    pitch = CELL * int(rng.integers(2, 3 + int(2 * difficulty)))
    places = []
    for row in range(rows):
        for column in range(columns):
            half = pitch * float(rng.uniform(0.34, 0.42))
            shift = (pitch / 2 - half) * rng.uniform(-0.8, 0.8, 2)
            places.append(((column + 0.5) * pitch + float(shift[0]), (row + 0.5) * pitch + float(shift[1]), half))
    return (rows * pitch, columns * pitch), places


def make_icon_list(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What stands in each place of a grid, row by row."""
    icons = icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)
    most = 2 + round(2 * difficulty)
    rows, columns = int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1))
    columns = max(columns, 2) if rows == 1 else columns
    size, places = grid_of(rng, rows, columns, difficulty)
    shown = [pick(rng, icons) for _ in places]
    frame, dense, _ = arranged(rng, assets, shown, size, places, split=split, difficulty=difficulty)
    lines = [", ".join(icon.name for icon in shown[row * columns : (row + 1) * columns]) for row in range(rows)]
    turns = (pick(rng, LIST), "\n".join(lines))
    return about_pictures("icon-list", [frame], turns, dense=[dense], metric="characters")


def make_icon_at(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What stands in a corner, or beside, above or below another thing, in a grid of different things."""
    icons = icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)
    rows, columns = (2, 2) if rng.random() > difficulty else (int(rng.integers(2, 4)), int(rng.integers(2, 4)))
    size, places = grid_of(rng, rows, columns, difficulty)
    shown = different(rng, icons, rows * columns)
    frame, dense, _ = arranged(rng, assets, shown, size, places, split=split, difficulty=difficulty)
    where, icon = neighbour(rng, shown, columns) if rng.random() < 0.5 else corner(rng, shown, columns)
    return about_pictures("icon-at", [frame], (pick(rng, AT).format(where), icon.name), dense=[dense])


def corner(rng: np.random.Generator, shown: Sequence[Icon], columns: int) -> tuple[str, Icon]:
    """A corner of the grid in words, and what stands there."""
    place = pick(rng, list(CORNERS))
    rows = len(shown) // columns
    return pick(rng, CORNERS[place]), shown[place[0] * (rows - 1) * columns + place[1] * (columns - 1)]


def neighbour(rng: np.random.Generator, shown: Sequence[Icon], columns: int) -> tuple[str, Icon]:
    """`left of the cow`, and what stands there."""
    steps = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
    rows = len(shown) // columns
    chances = [
        (words, row * columns + column, (row + down) * columns + column + right)
        for row in range(rows)
        for column in range(columns)
        for words, (down, right) in steps.items()
        if 0 <= row + down < rows and 0 <= column + right < columns
    ]
    words, anchor, target = pick(rng, chances)
    return f"{words} the {shown[anchor].name}", shown[target]
