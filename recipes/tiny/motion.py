"""Clips of 4 to 16 frames, two a second: direction, order, counting, coming and going, typing, bar races, timers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from recipes.tiny.assets import Assets
from recipes.tiny.clips import filmed
from recipes.tiny.conversation import about_clip, pick
from recipes.tiny.example import Example
from recipes.tiny.fonts import Face
from recipes.tiny.icon_pack import EASY, Cutout, Icon, drawn, icon_pack, paste
from recipes.tiny.regions import Region, Size, clip_dense
from recipes.tiny.things import CELL, Rgb, background, spots

__all__ = [
    "make_clip_bars",
    "make_clip_change",
    "make_clip_count",
    "make_clip_direction",
    "make_clip_order",
    "make_clip_second",
    "make_clip_timer",
    "make_clip_typing",
]

MOST_FRAMES = 16
ABSENT = 0.08
"""Share of the questions which way a thing moves that ask for one that is not there."""
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
DIAGONALS = {"up and left": (-1, -1), "up and right": (1, -1), "down and left": (-1, 1), "down and right": (1, 1)}
DIRECTION = ("Which way does the {} move?", "In which direction does the {} go?", "Where does the {} move?")
FIRST = ("Which comes first, the {} or the {}?", "What appears first, the {} or the {}?")
LAST = ("Which comes last, the {} or the {}?", "What appears last, the {} or the {}?")
ORDER = ("In which order do the things appear?", "List the things in the order in which they come.")
COUNT = ("How many things appear one after the other?", "How many different things are shown?", "Count what is shown.")
APPEARS = ("What appears?", "What comes into the picture?", "Which thing is new at the end?")
VANISHES = ("What disappears?", "What vanishes?", "Which thing is missing at the end?")
SECOND = ("In which second does the {} appear?", "The clip has two frames a second. In which second does the {} come?")
GONE = ("In which second does the {} disappear?", "The clip has two frames a second. In which second is the {} gone?")
TYPED = ("What is typed?", "What is being written?", "Read what is typed in the end.")
KEYS = ("Which letter is typed last?", "Which is the last letter that is typed?")
BARS_END = ("Which bar is the longest at the end?", "Who leads at the end?")
BARS_START = ("Which bar is the longest at the start?", "Who leads at the start?")
TIMER_END = ("What does the timer show at the end?", "Which time is shown last?")
TIMER_START = ("What does the timer show at the start?", "Which time is shown first?")
TIMER_WAY = ("Does the timer count up or down?", "Is the timer running up or down?")
BAR_COLOURS = ((214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189), (23, 190, 207))


class Stage(NamedTuple):
    """What happens: the cut-outs of each frame, the question and its answer."""

    frames: list[list[Cutout]]
    question: str
    answer: str
    metric: str = "exact"


def frame_count(rng: np.random.Generator, difficulty: float, least: int = 4) -> int:
    """An even number of frames, from `least` (4 at least) to MOST_FRAMES."""
    return 2 * int(rng.integers(least // 2, least // 2 + 1 + round((MOST_FRAMES - least) / 2 * difficulty)))


def clip_size(rng: np.random.Generator, frames: int, difficulty: float) -> Size:
    """Small while there are many frames: 8 to about 300 visual tokens in all."""
    most = max(4, 4 + round(5 * difficulty) - frames // 6)
    rows = int(rng.integers(3, most + 1))
    return CELL * rows, CELL * int(rng.integers(max(3, rows - 1), rows + 2))


def cast(
    rng: np.random.Generator, assets: Assets, rgb: Rgb, count: int, *, split: str, difficulty: float
) -> list[Cutout]:
    """`count` drawn things of different names, apart from each other."""
    pack, size = icon_pack(assets), (rgb.shape[0], rgb.shape[1])
    known = pack.icons("emoji", split=split, difficulty=difficulty)
    tone = rgb[::8, ::8].reshape(-1, 3).mean(axis=0)
    chosen = distinct(rng, known, count)
    laid = []
    for key, (icon, (x, y, radius)) in enumerate(zip(chosen, spots(rng, count, size, difficulty), strict=True)):
        cutout = drawn(rng, pack, icon, split=split, side=max(14, int(1.6 * radius)), ground=tone,
                       plain=difficulty < EASY)  # fmt: skip
        height, width = cutout.rgba.shape[:2]
        laid.append(cutout._replace(x=round(x - width / 2), y=round(y - height / 2), key=key))
    return laid


def distinct(rng: np.random.Generator, known: Sequence[Icon], count: int) -> list[Icon]:
    """`count` icons of different names."""
    assert len({icon.name for icon in known}) >= count
    found: dict[str, Icon] = {}
    while len(found) < count:
        icon = pick(rng, known)
        found.setdefault(icon.name, icon)
    return list(found.values())


def played(
    rng: np.random.Generator,
    assets: Assets,
    task: str,
    staged: Callable[[list[Cutout], int, Size], Stage],
    *,
    split: str,
    difficulty: float,
    actors: int,
    frames: int,
) -> Example:
    """Films what `staged` makes of the actors."""
    size = clip_size(rng, frames, difficulty)
    rgb = background(rng, size, difficulty)
    stage = staged(cast(rng, assets, rgb, actors, split=split, difficulty=difficulty), frames, size)
    painted = []
    for cutouts in stage.frames:
        frame = rgb.copy()
        for cutout in cutouts:
            paste(frame, cutout)
        painted.append(frame)
    taken = filmed(rng, painted, difficulty * float(rng.random()))
    dense = clip_dense([[one.region for one in cutouts] for cutouts in stage.frames], size)
    return about_clip(task, taken, (stage.question, stage.answer), dense=dense, metric=stage.metric)


# ---- drawn things ----


def make_clip_direction(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Which way a thing moves: four ways, or eight where it is hard; others may stand still. Now and then it is asked
    of a thing that is not there."""
    stranger = pick(rng, icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)).name
    absent = rng.random() < ABSENT

    def staged(actors: list[Cutout], frames: int, size: Size) -> Stage:
        ways = DIRECTIONS | (DIAGONALS if rng.random() < difficulty - 0.3 else {})
        way = pick(rng, list(ways))
        mover, rest = actors[0], actors[1:]
        shown = [[*rest, mover._replace(x=x, y=y)] for x, y in travel(rng, mover, ways[way], frames, size)]
        if absent and all(stranger != actor.name for actor in actors):
            return Stage(shown, pick(rng, DIRECTION).format(stranger), f"There is no {stranger}.")
        return Stage(shown, pick(rng, DIRECTION).format(mover.name), way)

    actors = 1 + int(rng.integers(0, 1 + round(2 * difficulty)))
    return played(rng, assets, "clip-direction", staged, split=split, difficulty=difficulty, actors=actors,
                  frames=frame_count(rng, difficulty))  # fmt: skip


def travel(
    rng: np.random.Generator, mover: Cutout, way: tuple[int, int], frames: int, size: Size
) -> list[tuple[int, int]]:
    """The corner of the mover in each frame; it crosses most of the picture and stays inside."""
    height, width = mover.rgba.shape[:2]
    room = (max(0, size[1] - width), max(0, size[0] - height))
    share = float(rng.uniform(0.6, 1))
    reach = [share * min(side for side, sign in zip(room, way, strict=True) if sign) * sign for sign in way]
    begin = []
    for at, side, step in zip((mover.x, mover.y), room, reach, strict=True):
        begin.append(min(max(at, max(0.0, -step)), side - max(0.0, step)))
    return [(round(begin[0] + reach[0] * f / (frames - 1)), round(begin[1] + reach[1] * f / (frames - 1)))
            for f in range(frames)]  # fmt: skip


def moments(rng: np.random.Generator, count: int, frames: int) -> list[int]:
    """`count` different frames at which something happens, in order; at the borders of pairs while there are enough."""
    borders = list(range(2, frames, 2))
    chances = borders if len(borders) >= count else list(range(1, frames))
    return sorted(int(one) for one in rng.choice(chances, size=count, replace=False))


def make_clip_order(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Which of two things comes first or last, or the order of all of them."""

    def staged(actors: list[Cutout], frames: int, _: Size) -> Stage:
        starts = [0, *moments(rng, len(actors) - 1, frames)]
        shown = [[one for one, start in zip(actors, starts, strict=True) if start <= f] for f in range(frames)]
        if len(actors) > 2:
            return Stage(shown, pick(rng, ORDER), ", ".join(one.name for one in actors))
        first, second = actors if rng.random() < 0.5 else actors[::-1]
        last = rng.random() < 0.5
        question = pick(rng, LAST if last else FIRST).format(first.name, second.name)
        return Stage(shown, question, f"the {actors[last].name}")

    actors = 2 + int(rng.random() < 0.2 + 0.5 * difficulty) + int(rng.random() < 0.5 * difficulty)
    return played(rng, assets, "clip-order", staged, split=split, difficulty=difficulty, actors=actors,
                  frames=frame_count(rng, difficulty))  # fmt: skip


def make_clip_change(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What comes or goes while the others stay."""

    def staged(actors: list[Cutout], frames: int, _: Size) -> Stage:
        odd, rest = actors[0], actors[1:]
        comes, at = rng.random() < 0.5, moments(rng, 1, frames)[0]
        shown = [[*rest, *([odd] * ((f >= at) == comes))] for f in range(frames)]
        return Stage(shown, pick(rng, APPEARS if comes else VANISHES), f"the {odd.name}")

    actors = 2 + int(rng.integers(0, 2 + round(2 * difficulty)))
    return played(rng, assets, "clip-change", staged, split=split, difficulty=difficulty, actors=actors,
                  frames=frame_count(rng, difficulty))  # fmt: skip


def make_clip_second(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """In which second (from 1, two frames each) a thing comes or goes."""

    def staged(actors: list[Cutout], frames: int, _: Size) -> Stage:
        odd, rest = actors[0], actors[1:]
        comes, second = rng.random() < 0.5, int(rng.integers(1, frames // 2))
        shown = [[*rest, *([odd] * ((f >= 2 * second) == comes))] for f in range(frames)]
        question = pick(rng, SECOND if comes else GONE).format(odd.name)
        return Stage(shown, question, str(second + 1), "number")

    return played(rng, assets, "clip-second", staged, split=split, difficulty=difficulty,
                  actors=1 + int(rng.integers(1, 2 + round(difficulty))),
                  frames=frame_count(rng, difficulty, 8))  # fmt: skip


def make_clip_count(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """How many different things come one after the other, each in the place of the one before."""
    frames = frame_count(rng, difficulty, 8)
    count = int(rng.integers(1, frames // 2 + 1))

    def staged(actors: list[Cutout], frames: int, _: Size) -> Stage:
        starts = [0, *moments(rng, count - 1, frames)] if count < frames // 2 else list(range(0, frames, 2))
        shown = [[actors[sum(start <= f for start in starts) - 1]] for f in range(frames)]
        return Stage(shown, pick(rng, COUNT), str(count), "number")

    return played(rng, assets, "clip-count", staged, split=split, difficulty=difficulty, actors=count, frames=frames)


# ---- drawn screens: typing, bars, timers ----


class Slide(NamedTuple):
    """One frame that is drawn with a pen: what is printed where, and filled boxes (box, colour, name)."""

    prints: list[tuple[float, float, str]]
    bars: list[tuple[tuple[float, float, float, float], tuple[int, int, int], str]]


def printer(rng: np.random.Generator, assets: Assets, split: str, script: str = "latin") -> Face:
    """A plain face of the split."""
    families = assets.families(script, split) or assets.families("latin", split)
    family = pick(rng, families)
    return pick(rng, [face for face in family if face.plain] or list(family))


def slides_clip(
    rng: np.random.Generator,
    task: str,
    slides: Sequence[Slide],
    turns: tuple[str, str],
    *,
    face: Face,
    em: int,
    size: Size,
    difficulty: float,
    metric: str = "exact",
) -> Example:
    """Films slides: dark print on light, or light on dark."""
    ground, ink = ((245, 245, 242), (25, 25, 30)) if rng.random() < 0.7 else ((28, 30, 36), (235, 235, 235))
    tint = rng.integers(-12, 10, 3)
    painted, stage, letters = [], [], []
    for slide in slides:
        picture = Image.new("RGB", (size[1], size[0]), tuple(int(g + t) for g, t in zip(ground, tint, strict=True)))
        pen, regions = ImageDraw.Draw(picture), []
        for key, (box, colour, name) in enumerate(slide.bars):
            pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
            regions.append(Region(name, box, key))
        for x, baseline, text in slide.prints:
            pen.text((x, baseline), text, fill=ink, font=face.at(em), anchor="ls")
        painted.append(np.asarray(picture, dtype=np.float32))
        stage.append(regions)
        letters.append(print_cells(slide, face, em, size))
    dense = clip_dense(stage, size, letters=tuple(cell for frame in letters[1::2] for cell in frame))
    return about_clip(task, filmed(rng, painted, difficulty * float(rng.random())), turns, dense=dense, metric=metric)


def print_cells(slide: Slide, face: Face, em: int, size: Size) -> list[str]:
    """The letters of each cell of a slide."""
    rows, columns = size[0] // CELL, size[1] // CELL
    cells = [""] * (rows * columns)
    for x, baseline, text in slide.prints:
        for place, char in enumerate(text):
            middle = x + face.at(em).getlength(text[:place]) + face.at(em).getlength(char) / 2
            row, column = int((baseline - 0.36 * em) // CELL), int(middle // CELL)
            if char != " " and 0 <= row < rows and 0 <= column < columns:
                cells[row * columns + column] += char
    return cells


def typed_text(rng: np.random.Generator, assets: Assets, split: str, face: Face, most: int) -> str:
    """One word or two of at most `most` letters in all."""
    words = [*assets.words("en", split)] if most < 4 else assets.words("en", split)
    while True:
        text = " ".join(pick(rng, words) for _ in range(int(rng.integers(1, 3))))
        if 2 < len(text) <= most and face.covers(text):
            return text


def make_clip_typing(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Letters are typed one after the other: what the text is in the end, or which letter came last."""
    face, frames = printer(rng, assets, split), frame_count(rng, difficulty)
    em = round(24 - 10 * difficulty * float(rng.random()))
    text = typed_text(rng, assets, split, face, 5 + round(13 * difficulty))
    width = CELL * max(2, -(-round(face.at(em).getlength(text + "|") + 12) // CELL))
    size = (CELL * 2, width)
    ends = np.linspace(0, len(text), frames).round().astype(int)
    base = float(rng.uniform(em + 2, size[0] - 0.4 * em))
    slides = [Slide([(6, base, text[:end] + "|" * int(end < len(text)))], []) for end in ends]
    last = rng.random() < 0.25 and text[:-1].count(text[-1]) == 0
    turns = (pick(rng, KEYS), text[-1]) if last else (pick(rng, TYPED), text)
    return slides_clip(rng, "clip-typing", slides, turns, face=face, em=em, size=size, difficulty=difficulty,
                       metric="characters")  # fmt: skip


def make_clip_bars(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Bars that grow: which one leads at the start or at the end."""
    count, frames = 2 + int(rng.integers(0, 1 + round(3 * difficulty))), frame_count(rng, difficulty)
    face, em = printer(rng, assets, split), round(18 - 5 * difficulty)
    names: dict[str, None] = {}
    while len(names) < count:
        names[typed_text(rng, assets, split, face, 6 + round(4 * difficulty)).split()[0]] = None
    size = (CELL * count, CELL * int(rng.integers(5, 7 + round(3 * difficulty))))
    left = max(face.at(em).getlength(name) for name in names) + 10
    values = raced(rng, count, frames) * (size[1] - left - 6)
    colours = [BAR_COLOURS[i] for i in rng.permutation(len(BAR_COLOURS))[:count]]
    slides = []
    for frame in values:
        rows = list(zip(names, frame, colours, strict=True))
        prints = [(4.0, place * CELL + CELL / 2 + 0.36 * em, name) for place, (name, _, _) in enumerate(rows)]
        bars = [((left, place * CELL + 5.0, left + float(value), place * CELL + CELL - 5.0), colour, f"{name} bar")
                for place, (name, value, colour) in enumerate(rows)]  # fmt: skip
        slides.append(Slide(prints, bars))
    end = rng.random() < 0.5
    leader = list(names)[int(values[-1 if end else 0].argmax())]
    turns = (pick(rng, BARS_END if end else BARS_START), leader)
    return slides_clip(rng, "clip-bars", slides, turns, face=face, em=em, size=size, difficulty=difficulty)


def raced(rng: np.random.Generator, count: int, frames: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """[frames, count] lengths 0..1 of which the longest at either end is longer by a tenth at least."""
    while True:
        begin, end = rng.uniform(0.1, 0.7, count), rng.uniform(0.2, 1.0, count)
        if all(np.sort(one)[-1] - np.sort(one)[-2] >= 0.1 for one in (begin, end)):
            return begin + (end - begin) * np.linspace(0, 1, frames)[:, None]


def make_clip_timer(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A clock with digits: what it shows first or last, or which way it runs."""
    face, frames = printer(rng, assets, split, "mono"), frame_count(rng, difficulty)
    em, up = round(30 - 8 * difficulty), rng.random() < 0.5
    begin, step = int(rng.integers(200, 3000)), int(rng.integers(1, 2 + round(8 * difficulty)))
    times = [begin + (1 if up else -1) * step * f for f in range(frames)]
    texts = [f"{time // 60:02d}:{time % 60:02d}" for time in times]
    size = (CELL * 2, CELL * max(3, -(-round(face.at(em).getlength(texts[0]) + 12) // CELL)))
    x = (size[1] - face.at(em).getlength(texts[0])) / 2
    slides = [Slide([(x, (size[0] + 0.7 * em) / 2, text)], []) for text in texts]
    turns = (
        (pick(rng, TIMER_END), texts[-1]),
        (pick(rng, TIMER_START), texts[0]),
        (pick(rng, TIMER_WAY), "up" if up else "down"),
    )[int(rng.integers(3))]
    return slides_clip(rng, "clip-timer", slides, turns, face=face, em=em, size=size, difficulty=difficulty)
