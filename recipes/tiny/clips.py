"""Clips of four frames, two temporal patches: what came first, which way, whether anything moves, what changed."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.tiny import noise
from recipes.tiny.places import ABSENT, MOTION, NOBODY, STEP, Places, changes, places_of, referent_of, still
from recipes.tiny.things import CELL, NAMES, Rgb, Thing, background, cells_of, dressed, paint, placed, posed, spots

CLIP_SIZES = ((84, 84), (112, 112))
LARGER, LARGEST = 0.3, 8
"""Share of the hardest clips that are larger, and their most cells along a side."""
FRAMES = 4
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
FIRST_QUESTIONS = (
    "Which came first, the {} or the {}?",
    "Which appeared first, the {} or the {}?",
    "What came first, the {} or the {}?",
)
LAST_QUESTIONS = ("Which came last, the {} or the {}?", "Which appeared last, the {} or the {}?")
MOTION_QUESTIONS = ("Which way does the {} move?", "In which direction does the {} move?", "Where does the {} go?")
MOVES_QUESTIONS = ("Does anything move?", "Is anything moving?", "Is there any motion in the clip?")
APPEAR_QUESTIONS = ("What appears?", "What comes into the picture?", "Which thing appears?")
VANISH_QUESTIONS = ("What disappears?", "What vanishes?", "Which thing disappears?")


class Clip(NamedTuple):
    """FRAMES pictures uint8 [H, W, 3], a question, its answer, and names and places per cell of each pair of frames."""

    frames: list[NDArray[np.uint8]]
    question: str
    answer: str
    cells: list[list[str]]
    places: Places
    referent: tuple[float, ...]


Stage = list[list[Thing]]
"""The things seen in each frame."""
SOMETHING = (*NOBODY[:4], 1.0)
"""A referent that is there, but is not told where."""


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def cast(rng: np.random.Generator, count: int, ground: Rgb, difficulty: float) -> list[Thing]:
    """`count` things of different names that hardly overlap."""
    size = (ground.shape[0], ground.shape[1])
    names = [str(name) for name in rng.choice(np.array(NAMES), size=count, replace=False)]
    places = spots(rng, count, size, difficulty)
    return [
        dressed(rng, posed(rng, name, spot, difficulty), ground, difficulty)
        for name, spot in zip(names, places, strict=True)
    ]


def change_frame(rng: np.random.Generator, difficulty: float) -> int:
    """The frame at which something changes: the pair boundary while it is easy, any of 1..3 later."""
    return 2 if rng.random() > 0.6 * difficulty else int(rng.integers(1, FRAMES))


def stage_order(rng: np.random.Generator, ground: Rgb, difficulty: float) -> tuple[Stage, str, str]:
    """Two things come one after the other; the first one may be gone when the second comes."""
    first, second, *bystanders = cast(rng, 2 + int(rng.random() < 0.3 * difficulty), ground, difficulty)
    start = 1 if rng.random() < 0.3 * difficulty else 0
    change = max(start + 1, change_frame(rng, difficulty))
    stays = rng.random() < 0.5
    stage = [
        bystanders + [first] * (start <= f and (stays or f < change)) + [second] * (f >= change) for f in range(FRAMES)
    ]
    left, right = (first, second) if rng.random() < 0.5 else (second, first)
    last = rng.random() < 0.3
    question = pick(rng, LAST_QUESTIONS if last else FIRST_QUESTIONS).format(left.name, right.name)
    return stage, question, f"the {(second if last else first).name}"


def stage_motion(rng: np.random.Generator, ground: Rgb, difficulty: float) -> tuple[Stage, str, str]:
    """One thing moves straight to a side; another one may stand still."""
    height, width = ground.shape[:2]
    mover, *rest = cast(rng, 1 + int(rng.random() < 0.6 * difficulty), ground, difficulty)
    direction = pick(rng, tuple(DIRECTIONS))
    dx, dy = DIRECTIONS[direction]
    reach = mover.radius + 2
    step = min(float(rng.uniform(6, 14)), (width - 2 * reach) / (FRAMES - 1), (height - 2 * reach) / (FRAMES - 1))
    travel = step * (FRAMES - 1)
    x = float(np.clip(mover.x, reach + travel * (dx < 0), width - reach - travel * (dx > 0)))
    y = float(np.clip(mover.y, reach + travel * (dy < 0), height - reach - travel * (dy > 0)))
    stage = [[*rest, replace(mover, x=x + dx * step * f, y=y + dy * step * f)] for f in range(FRAMES)]
    return stage, pick(rng, MOTION_QUESTIONS).format(mover.name), direction


def stage_change(rng: np.random.Generator, ground: Rgb, difficulty: float) -> tuple[Stage, str, str]:
    """One thing appears or disappears while the others stay."""
    odd, *rest = cast(rng, int(rng.integers(1, 3 + int(2 * difficulty))), ground, difficulty)
    appears, change = rng.random() < 0.5, change_frame(rng, difficulty)
    stage = [rest + [odd] * ((f >= change) == appears) for f in range(FRAMES)]
    return stage, pick(rng, APPEAR_QUESTIONS if appears else VANISH_QUESTIONS), f"the {odd.name}"


def stage_moves(rng: np.random.Generator, ground: Rgb, difficulty: float) -> tuple[Stage, str, str]:
    """Shapes of which one moves in any direction, or none does."""
    height, width = ground.shape[:2]
    things = cast(rng, int(rng.integers(1, 4)), ground, difficulty)
    moves = rng.random() < 0.5
    turn, step = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(4, 11)) * moves
    mover, rest = things[0], things[1:]
    dx, dy = step * float(np.cos(turn)), step * float(np.sin(turn))
    dx, dy = (-dx if mover.x > width / 2 and dx > 0 else dx), (-dy if mover.y > height / 2 and dy > 0 else dy)
    stage = [[*rest, replace(mover, x=mover.x + dx * f, y=mover.y + dy * f)] for f in range(FRAMES)]
    return stage, pick(rng, MOVES_QUESTIONS), "yes" if moves else "no"


STAGES = {"order": stage_order, "motion": stage_motion, "change": stage_change, "moves": stage_moves}


def natural_ground(rng: np.random.Generator, size: tuple[int, int]) -> Rgb:
    """Blobs of several sizes in related colours: the look of foliage, cloth or a street out of focus."""
    base, rgb = rng.uniform(40, 200, 3), np.zeros((*size, 3), dtype=np.float32)
    for cell, strength in ((40, 35), (12, 18), (4, 8)):
        tint = rng.uniform(0.5, 1, 3).astype(np.float32)
        rgb += strength * float(rng.random()) * noise.window(rng, noise.cloud_tile(cell), size)[:, :, None] * tint
    return rgb + base.astype(np.float32)


def blob(rng: np.random.Generator, side: int) -> tuple[Rgb, Rgb]:
    """A soft-edged textured patch: coverage [side, side] and colours [side, side, 3]."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    wobble = 0.12 * noise.window(rng, noise.cloud_tile(12), (side, side))
    distance = np.hypot(x * float(rng.uniform(1, 1.6)), y * float(rng.uniform(1, 1.6))) + wobble
    return np.clip((1 - distance) * side / 8, 0, 1).astype(np.float32), natural_ground(rng, (side, side))


def natural_moves(rng: np.random.Generator, size: tuple[int, int]) -> tuple[list[Rgb], str, str, Places]:
    """A textured patch before a textured ground, which moves or does not; with the motion in each cell."""
    ground = natural_ground(rng, size)
    side = int(rng.integers(22, min(size) * 11 // 20))
    mask, colours = blob(rng, side)
    moves = rng.random() < 0.5
    turn, step = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(4, 11)) * moves
    x, y = float(rng.uniform(side / 2, size[1] - side / 2)), float(rng.uniform(side / 2, size[0] - side / 2))
    dx, dy = step * float(np.cos(turn)), step * float(np.sin(turn))
    dx, dy = (-dx if (x > size[1] / 2) == (dx > 0) else dx), (-dy if (y > size[0] / 2) == (dy > 0) else dy)
    frames, places = [], still(FRAMES // 2 * (size[0] // CELL) * (size[1] // CELL))
    by_pair = places.reshape(FRAMES // 2, -1, places.shape[1])
    for f in range(FRAMES):
        cover = placed(mask, x + dx * f, y + dy * f, size)
        patch = placed(colours, x + dx * f, y + dy * f, size)
        frames.append(ground + cover[:, :, None] * (patch - ground))
        shares = cover.reshape(size[0] // CELL, CELL, size[1] // CELL, CELL).mean(axis=(1, 3)).reshape(-1)
        by_pair[f // 2, shares >= 0.1, MOTION] = dx / STEP, dy / STEP
    return frames, pick(rng, MOVES_QUESTIONS), "yes" if moves else "no", places


def filmed(rng: np.random.Generator, frames: list[Rgb], hardness: float) -> list[NDArray[np.uint8]]:
    """A camera's own changes: one focus and light for the clip, grain and flicker of each frame, jpeg."""
    radius = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.4 * hardness else 0.0
    grain = float(rng.uniform(0, 10)) * hardness if rng.random() < 0.7 else 0.0
    flicker = float(rng.uniform(0, 5)) * hardness if rng.random() < 0.4 else 0.0
    quality = int(rng.integers(45, 92)) if rng.random() < 0.3 * hardness else 0
    taken = []
    for rgb in frames:
        frame = noise.blurred(rgb, radius) if radius else rgb
        frame = frame + float(rng.uniform(-flicker, flicker))
        if grain:
            frame = frame + grain * noise.window(rng, noise.grain_tile(), (rgb.shape[0], rgb.shape[1]))[:, :, None]
        taken.append(noise.as_bytes(noise.squeezed(frame, quality) if quality else frame))
    return taken


def pair_cells(stage: Stage, size: tuple[int, int]) -> list[list[str]]:
    """Names per cell of every pair: a thing counts where it is in the pair's second frame, or else in its first."""
    cells = []
    for first, second in zip(stage[::2], stage[1::2], strict=True):
        names = {thing.name for thing in second}
        cells += cells_of([*second, *(thing for thing in first if thing.name not in names)], size)
    return cells


def pair_places(stage: Stage, size: tuple[int, int]) -> Places:
    """Boxes, motion and change per cell of every pair; a thing that goes within a pair counts where it was."""
    tables = []
    for first, second in zip(stage[::2], stage[1::2], strict=True):
        names = {thing.name for thing in second}
        seen = [*second, *(thing for thing in first if thing.name not in names)]
        tables.append(places_of(seen, size, changes(first, second)))
    return np.concatenate(tables)


def referent_in(stage: Stage, words: str) -> Thing | None:
    """The thing that is named, where it was last."""
    named = [thing for things in stage for thing in things if thing.name in words]
    return named[-1] if named else None


def clip_size(rng: np.random.Generator, difficulty: float) -> tuple[int, int]:
    """One of CLIP_SIZES; more and more often a larger one as it gets harder."""
    if rng.random() < LARGER * difficulty:
        return CELL * int(rng.integers(4, LARGEST + 1)), CELL * int(rng.integers(4, LARGEST + 1))
    return CLIP_SIZES[int(rng.integers(len(CLIP_SIZES)))]


def make_clip(rng: np.random.Generator, *, task: str, difficulty: float, size: tuple[int, int] | None) -> Clip:
    """A clip for one of STAGES; a quarter of the clips is easier than `difficulty`, half of "moves" has no shapes."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    size = size or clip_size(rng, difficulty)
    hardness = difficulty * float(rng.random()) ** 0.5
    if task == "moves" and rng.random() < 0.2 + 0.4 * difficulty:
        rough, question, answer, places = natural_moves(rng, size)
        return Clip(
            filmed(rng, rough, max(0.3, hardness)),
            question,
            answer,
            [[] for _ in places],
            places,
            SOMETHING if answer == "yes" else ABSENT,
        )
    ground = background(rng, size, difficulty)
    stage, question, answer = STAGES[task](rng, ground, difficulty)
    painted = []
    for things in stage:
        frame = ground.copy()
        for thing in things:
            paint(rng, frame, thing)
        painted.append(frame)
    if task == "moves":
        referent = referent_of(stage[-1][-1], size) if answer == "yes" else ABSENT
    else:
        named = referent_in(stage, question if task == "motion" else answer)
        referent = referent_of(named, size) if named else NOBODY
    frames = filmed(rng, painted, hardness)
    return Clip(frames, question, answer, pair_cells(stage, size), pair_places(stage, size), referent)
