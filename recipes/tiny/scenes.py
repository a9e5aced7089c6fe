"""Pictures of a few coloured shapes, and what can be asked about them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.tiny.places import ABSENT, NOBODY, Places, Referent, Spread, places_of, referent_of, spread
from recipes.tiny.things import (
    CELL,
    COLOURS,
    NAMES,
    SHAPES,
    Thing,
    background,
    box_of,
    cells_of,
    dressed,
    paint,
    posed,
    spots,
    weathered,
)  # fmt: skip

SCENE_SIZES = ((112, 112), (140, 140), (168, 168), (112, 168), (168, 112), (84, 196), (196, 84))
LARGER, LARGEST = 0.5, 24
"""Share of the hardest scenes that are larger than SCENE_SIZES, and their most cells along a side."""
MOST = 6
FURTHER, BOXES = 3, 0.4
"""Questions about a scene beside the one that it was made for, and the share of them that ask for a box."""
COLOUR_QUESTIONS = (
    "What colour is the {}?",
    "What color is the {}?",
    "Which colour does the {} have?",
    "Name the colour of the {}.",
)
SHAPE_QUESTIONS = (
    "What shape is the {} thing?",
    "What is the {} thing?",
    "Which shape is {}?",
    "Name the shape that is {}.",
)
COUNT_QUESTIONS = (
    "How many {} are there?",
    "How many {} do you see?",
    "Count the {}.",
    "How many {} are in the picture?",
)
Shares = tuple[float, float, float, float]
KINDS: Shares = (0.3, 0.3, 0.25, 0.15)
"""What counts are of: all things, those of a shape, those of a colour, those of both."""
KINDS_OF_SOME: Shares = (0.0, 0.45, 0.35, 0.2)
BOX_QUESTIONS = ("Where is the {}?", "Find the {}.", "Give the box of the {}.", "Locate the {}.")
PRESENT_QUESTIONS = ("Is there a {}?", "Do you see a {}?", "Does the picture show a {}?")


class Asked(NamedTuple):
    """A question, its answer, and what it is about, as `referent_of` tells it and cell by cell."""

    question: str
    answer: str
    referent: Referent
    spread: Spread | None = None


class Scene(NamedTuple):
    """A picture uint8 [H, W, 3], what is asked about it first and further, and what lies in its cells, and where."""

    frame: NDArray[np.uint8]
    asked: list[Asked]
    cells: list[list[str]]
    places: Places


class Plan(NamedTuple):
    """What a question needs: the things to paint, what to ask, and the names that it is about.

    The answer may need their places.
    """

    names: list[str]
    question: str
    answer: str
    about: list[str]


def pick(rng: np.random.Generator, options: tuple[str, ...] | list[str]) -> str:
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def plural(noun: str) -> str:
    """`crosses`, `hearts`, `things`."""
    return noun + ("es" if noun.endswith("s") else "s")


def crowd(difficulty: float) -> int:
    """The largest number of things at a difficulty: 3 to MOST."""
    return min(MOST, 3 + int(4 * difficulty))


def others(rng: np.random.Generator, count: int, names: list[str]) -> list[str]:
    """`count` of the allowed names, each drawn anew."""
    return [names[i] for i in rng.integers(len(names), size=count)] if names else []


def plan_colour(rng: np.random.Generator, difficulty: float) -> Plan:
    """The colour of the only thing of a shape."""
    colour, shape = pick(rng, [*COLOURS]), pick(rng, SHAPES)
    rest = others(rng, int(rng.integers(crowd(difficulty))), [n for n in NAMES if not n.endswith(" " + shape)])
    return Plan([f"{colour} {shape}", *rest], pick(rng, COLOUR_QUESTIONS).format(shape), colour, [f"{colour} {shape}"])


def plan_shape(rng: np.random.Generator, difficulty: float) -> Plan:
    """The shape of the only thing of a colour."""
    colour, shape = pick(rng, [*COLOURS]), pick(rng, SHAPES)
    rest = others(rng, int(rng.integers(crowd(difficulty))), [n for n in NAMES if not n.startswith(colour + " ")])
    return Plan([f"{colour} {shape}", *rest], pick(rng, SHAPE_QUESTIONS).format(colour), shape, [f"{colour} {shape}"])


def countable(rng: np.random.Generator, name: str, *, kinds: Shares = KINDS) -> tuple[list[str], str]:
    """The names, `name` among them, that one noun covers: all things, those of its shape, its colour, or both."""
    colour, shape = name.split(" ")
    return [
        ([*NAMES], "things"),
        ([n for n in NAMES if n.endswith(" " + shape)], plural(shape)),
        ([n for n in NAMES if n.startswith(colour + " ")], f"{colour} things"),
        ([name], f"{colour} {plural(shape)}"),
    ][int(rng.choice(4, p=kinds))]


def plan_count(rng: np.random.Generator, difficulty: float) -> Plan:
    """How many things, or things of a colour, of a shape, or of both: 0 to 6, nearly evenly."""
    colour, shape = pick(rng, [*COLOURS]), pick(rng, SHAPES)
    asked, noun = countable(rng, f"{colour} {shape}")
    most = crowd(difficulty)
    count = int(rng.integers(1 if noun == "things" else 0, most + 1))
    rest = others(
        rng, int(rng.integers(1 if count == 0 else 0, max(1, most - count) + 1)), [n for n in NAMES if n not in asked]
    )
    names = others(rng, count, asked) + rest[: MOST - count]
    return Plan(names, pick(rng, COUNT_QUESTIONS).format(noun), str(count), asked)


def plan_most(rng: np.random.Generator, difficulty: float) -> Plan:
    """A count of things of a kind that nearly all are of; none, one or two others, often alike, are what makes the
    difference."""
    asked, noun = countable(rng, f"{pick(rng, [*COLOURS])} {pick(rng, SHAPES)}", kinds=KINDS_OF_SOME)
    most = crowd(difficulty)
    there = int(rng.integers(min(4, most), most + 1))
    few = int(rng.integers(3))
    near = [one for name in asked for one in rivals(rng, name, few) if one not in asked]
    rest = others(rng, few, near or [n for n in NAMES if n not in asked])
    names = others(rng, there - few, asked) + rest
    return Plan(names, pick(rng, COUNT_QUESTIONS).format(noun), str(there - few), asked)


def rivals(rng: np.random.Generator, name: str, count: int) -> list[str]:
    """Things that are not `name`, half of them sharing its colour or its shape."""
    colour, shape = name.split(" ")
    near = [n for n in NAMES if n != name and (n.startswith(colour + " ") or n.endswith(" " + shape))]
    return [pick(rng, near if rng.random() < 0.5 else [n for n in NAMES if n != name]) for _ in range(count)]


def box_answer(called: str, box: str) -> str:
    """A box as Qwen2-VL writes it."""
    return f"<|object_ref_start|>{called}<|object_ref_end|><|box_start|>{box}<|box_end|>"


def plan_box(rng: np.random.Generator, difficulty: float) -> Plan:
    """Where the only thing of a name is; `{box}` stands in the answer until it is placed."""
    name = pick(rng, NAMES)
    rest = rivals(rng, name, int(rng.integers(crowd(difficulty))))
    shape = name.split(" ")[1]
    called = shape if rng.random() < 0.3 and not any(n.endswith(" " + shape) for n in rest) else name
    return Plan([name, *rest], pick(rng, BOX_QUESTIONS).format(called), box_answer(called, "{box}"), [name])


def plan_absent(rng: np.random.Generator, difficulty: float) -> Plan:
    """Asks for a thing that is not there, in the words of the other tasks."""
    name = pick(rng, NAMES)
    rest = rivals(rng, name, int(rng.integers(1, crowd(difficulty) + 1)))
    shape = name.split(" ")[1]
    if rng.random() < 0.3 and not any(n.endswith(" " + shape) for n in rest):
        questions = COLOUR_QUESTIONS if rng.random() < 0.6 else BOX_QUESTIONS
        return Plan(rest, pick(rng, questions).format(shape), f"There is no {shape}.", [])
    return Plan(rest, pick(rng, BOX_QUESTIONS).format(name), f"There is no {name}.", [])


def plan_present(rng: np.random.Generator, difficulty: float) -> Plan:
    """Whether a thing is there: yes half of the time, with near misses on both sides."""
    name = pick(rng, NAMES)
    there = rng.random() < 0.5
    rest = rivals(rng, name, int(rng.integers(0 if there else 1, crowd(difficulty) + (0 if there else 1))))
    return Plan([name] * there + rest, pick(rng, PRESENT_QUESTIONS).format(name), "yes" if there else "no", [name])


PLANS = {
    "colour": plan_colour,
    "shape": plan_shape,
    "count": plan_count,
    "most": plan_most,
    "box": plan_box,
    "absent": plan_absent,
    "present": plan_present,
}


SHARES = {"box": 3.0, "count": 4.0, "most": 2.0}
"""How often a question of a kind comes, beside one of the other kinds: what is learnt last comes most."""


def drawn_task(rng: np.random.Generator) -> str:
    """One of PLANS."""
    shares = np.array([SHARES.get(task, 1.0) for task in PLANS])
    return [*PLANS][int(rng.choice(len(PLANS), p=shares / shares.sum()))]


def box_text(thing: Thing, size: tuple[int, int]) -> str:
    """`(x1,y1),(x2,y2)`, integers 0..999 of the whole picture."""
    height, width = size
    x1, y1, x2, y2 = box_of(thing, size)
    scaled = [
        min(999, round(value * 1000 / side)) for value, side in ((x1, width), (y1, height), (x2, width), (y2, height))
    ]
    return "({},{}),({},{})".format(*scaled)


def make_scene(rng: np.random.Generator, *, task: str, difficulty: float, size: tuple[int, int] | None) -> Scene:
    """A scene for one of PLANS; a quarter of the scenes is easier than `difficulty`."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    size = size or scene_size(rng, difficulty)
    plan = PLANS[task](rng, difficulty)
    ground = background(rng, size, difficulty)
    places = spots(rng, len(plan.names), size, difficulty)
    things = [
        dressed(rng, posed(rng, name, spot, difficulty), ground, difficulty)
        for name, spot in zip(plan.names, places, strict=True)
    ]
    for thing in things:
        paint(rng, ground, thing, texture=12 * difficulty if rng.random() < 0.3 * difficulty else 0.0)
    frame = weathered(rng, ground, difficulty * float(rng.random()))
    answer = plan.answer.replace("{box}", box_text(things[0], size)) if task == "box" else plan.answer
    unnamed = ABSENT if task in ("absent", "present") else NOBODY
    there = task not in ("count", "most", "absent") and plan.answer != "no"
    referent = referent_of(things[0], size) if there else unnamed
    first = Asked(plan.question, answer, referent, spread(things, plan.about, size))
    return Scene(frame, [first, *further(rng, things, size)], cells_of(things, size), places_of(things, size))


def scene_size(rng: np.random.Generator, difficulty: float) -> tuple[int, int]:
    """One of SCENE_SIZES; more and more often a larger one as it gets harder."""
    if rng.random() < LARGER * difficulty:
        height, width = (max(6, round(LARGEST * float(rng.random()) ** 0.5)) for _ in range(2))
        return CELL * height, CELL * width
    return SCENE_SIZES[int(rng.integers(len(SCENE_SIZES)))]


def further(rng: np.random.Generator, things: list[Thing], size: tuple[int, int]) -> list[Asked]:
    """FURTHER questions about a painted scene: how many there are of a kind, and where the only one of a name is."""
    there = [thing.name for thing in things]
    single = [thing for thing in things if there.count(thing.name) == 1]
    found = []
    for _ in range(FURTHER):
        if single and rng.random() < BOXES:
            thing = single[int(rng.integers(len(single)))]
            question = pick(rng, BOX_QUESTIONS).format(thing.name)
            answer, where = box_answer(thing.name, box_text(thing, size)), spread(things, [thing.name], size)
            found.append(Asked(question, answer, referent_of(thing, size), where))
        else:
            drawn = [countable(rng, pick(rng, there if rng.random() < 0.8 else NAMES)) for _ in range(3)]
            counts = [sum(name in covered for name in there) for covered, _ in drawn]
            chosen = counts.index(max(counts)) if rng.random() < 0.5 else 0
            (covered, noun), count = drawn[chosen], counts[chosen]
            question = pick(rng, COUNT_QUESTIONS).format(noun)
            found.append(Asked(question, str(count), NOBODY, spread(things, covered, size)))
    return found
