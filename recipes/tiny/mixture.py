"""What version 1 learns, and how much of each: an example is a pure function of (seed, number, levels so far).

Every group of tasks has a level of difficulty of its own, which the run lets rise while answers are right. Documents
come in as reading gets better: who cannot read a line learns nothing from a receipt.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anyres.errors import MissingDependencyError
from anyres.processing.tokenizer import Tokenizer
from anyres.training.supervision import TrainingExample, place_ids
from recipes.tiny.assets import Assets
from recipes.tiny.example import Example, asked_further
from recipes.tiny.levels import Levels
from recipes.tiny.taught import Taught, read_classes, taught
from recipes.tiny.vocabulary import spelled_ids

__all__ = [
    "GROUPS",
    "READING",
    "TASKS",
    "Mixture",
    "Task",
    "answer_ids",
    "example_of",
    "group_of",
    "missing",
    "opened_assets",
]

READING, LINES = "line", ("line", "script")
"""The group whose level lets the others in: clean lines of Latin script; those whose pictures are one line."""
LEFTWARDS = ("ar",)
"""Languages that are read from right to left: the order of their cells is not taught."""
OPENING = 0.1
"""By how much it rises between the first samples of a task and its whole share."""
TRICKLE = 0.002
"""Part of its share that a task has before it is let in, so that its level is known."""
FIRST_TOKEN = 4.0
"""How many later ones the first token of an answer counts for, where it decides: yes or no, there or not, how many."""
LONG = 16
"""Characters from which on the tokens of an answer count less, as the root of its length."""
MOST_FURTHER, MOST_CHARACTERS = 3, 600
"""Questions about a picture beside its first one, and the characters of all their answers."""
GROUPS: Mapping[str, float] = {
    "line": 0.6, "script": 0.6, "page": 0.92, "table": 0.92, "bill": 0.92, "chart": 0.75, "sum": 0.85, "thing": 0.7,
    "game": 0.7, "shape": 0.7, "clip": 0.7, "screen": 0.7, "several": 0.75, "talk": 0.85,
}  # fmt: skip
"""Of each group, the share of tokens told right above which it gets harder. Boxes, JSON and phrases have many tokens
that anyone would guess."""


class Task(NamedTuple):
    """A maker of examples, `recipes.tiny.<module>.<maker>`.

    `share` is its part of the samples once everything is learnt, which it begins to have at the level `opens` of
    reading. `spelled`: its answers are print, and spelled letter by letter, so that each token answers to one place in
    the picture; others are in the tokenizer's usual pieces. `decides`: the first token of an answer counts FIRST_TOKEN
    times.
    """

    group: str
    module: str
    maker: str
    share: float
    opens: float = 0.0
    spelled: bool = False
    decides: bool = True

    @property
    def name(self) -> str:
        """`receipt` of `make_receipt`."""
        return self.maker.removeprefix("make_").replace("_", "-")

    @property
    def ordered(self) -> bool:
        """Whether its pictures are one line of print."""
        return self.group in LINES


TASKS: tuple[Task, ...] = (
    Task("line", "shapes", "make_line", 0.14, spelled=True, decides=False),
    Task("script", "reading", "make_reading", 0.16, opens=0.15, spelled=True, decides=False),
    Task("page", "pages", "make_page", 0.1, opens=0.3, spelled=True, decides=False),
    Task("table", "tables", "make_table", 0.08, opens=0.3, spelled=True, decides=False),
    Task("bill", "receipts", "make_receipt", 0.09, opens=0.25, spelled=True, decides=False),
    Task("chart", "charts", "make_chart", 0.06, opens=0.3),
    Task("sum", "arithmetic", "make_arithmetic", 0.06, opens=0.1, spelled=True, decides=False),
    Task("sum", "formulas", "make_formula", 0.012, opens=0.2, spelled=True, decides=False),
    Task("game", "clocks", "make_clock", 0.012),
    Task("game", "calendars", "make_calendar", 0.008, opens=0.2),
    Task("game", "games", "make_dice", 0.008),
    Task("game", "games", "make_cards", 0.008),
    Task("shape", "shapes", "make_shapes", 0.1),
    Task("clip", "shapes", "make_shape_clip", 0.05),
    Task("thing", "icons", "make_icon_name", 0.03),
    Task("thing", "icons", "make_flag", 0.01),
    Task("thing", "icons", "make_icon_count", 0.025),
    Task("thing", "icons", "make_icon_box", 0.04),
    Task("thing", "icons", "make_icon_boxes", 0.015),
    Task("thing", "icons", "make_icon_list", 0.015),
    Task("thing", "icons", "make_icon_at", 0.015),
    Task("clip", "motion", "make_clip_direction", 0.01),
    Task("clip", "motion", "make_clip_order", 0.01),
    Task("clip", "motion", "make_clip_change", 0.01),
    Task("clip", "motion", "make_clip_second", 0.005),
    Task("clip", "motion", "make_clip_count", 0.005),
    Task("clip", "motion", "make_clip_typing", 0.005, opens=0.3),
    Task("clip", "motion", "make_clip_bars", 0.005, opens=0.3),
    Task("clip", "motion", "make_clip_timer", 0.005, opens=0.3),
    Task("clip", "strokes", "make_clip_strokes", 0.005, opens=0.2),
    Task("screen", "screens", "make_ui_box", 0.03, opens=0.3),
    Task("screen", "screens", "make_ui_point", 0.02, opens=0.3),
    Task("screen", "screens", "make_ui_state", 0.01, opens=0.3),
    Task("screen", "screens", "make_ui_field", 0.01, opens=0.3),
    Task("screen", "screens", "make_ui_next", 0.01, opens=0.4),
    Task("several", "several", "make_same", 0.005, opens=0.2),
    Task("several", "several", "make_which", 0.005, opens=0.2),
    Task("several", "several", "make_odd", 0.005, opens=0.2),
    Task("several", "several", "make_new", 0.005, opens=0.2),
    Task("several", "several", "make_together", 0.005, opens=0.2),
    Task("several", "several", "make_which_word", 0.005, opens=0.3),
    Task("talk", "talk", "make_talk", 0.01),
    Task("talk", "talk", "make_sum", 0.005),
    Task("talk", "talk", "make_blurred", 0.01, opens=0.1),
    Task("talk", "talk", "make_empty", 0.005),
    Task("talk", "talk", "make_untold", 0.01, opens=0.2),
)
Maker = Callable[..., Example]


@dataclass(frozen=True)
class Mixture:
    """The source of a run's examples, without end. `levels` and `classes` are files in the folder of the run;
    `languages` those of what is to be read, all of them when there are none."""

    tasks: tuple[Task, ...]
    levels: Path
    classes: Path
    block: int
    seed: int = 0
    split: str = "train"
    assets: Path | None = None
    languages: tuple[str, ...] = ()

    @property
    def length(self) -> int | None:
        return None

    def example(self, index: int) -> TrainingExample:
        """The example of a number, named `line/line#7`: the group, the row of the card, the number."""
        levels = _levels(self.levels).of_block(index // self.block)
        rng = np.random.default_rng([self.seed, index])
        shares = shares_at(self.tasks, levels[READING])
        task = self.tasks[int(rng.choice(len(self.tasks), p=shares))]
        difficulty = levels[task.group] * float(rng.random()) ** 0.7
        assets = opened_assets(self.assets)
        example = example_of(
            task, rng, split=self.split, difficulty=difficulty, assets=assets, languages=self.languages
        )
        example = asked_further(example, rng, int(rng.integers(MOST_FURTHER + 1)), MOST_CHARACTERS)
        ordered = task.ordered and example.language not in LEFTWARDS
        extras = taught(example, read_classes(self.classes), spelled=task.spelled, ordered=ordered)
        name = f"{task.group}/{example.task}#{index}"
        length = sum(map(len, example.answers)) / len(example.answers)
        weight = min(1.0, LONG / max(1.0, length)) ** 0.5
        first = FIRST_TOKEN if task.decides else 1.0
        return TrainingExample(name, example.messages, extras, weight, first)


def group_of(name: str) -> str:
    """The group of an example, by its name.

    >>> group_of("bill/receipt-json#12")
    'bill'
    """
    return name.partition("/")[0]


def shares_at(tasks: Sequence[Task], reading: float) -> list[float]:
    """The share of each task at a level of reading; they add up to 1.

    >>> early = Task("line", "shapes", "make_line", 0.3), Task("bill", "receipts", "make_receipt", 0.1, opens=0.3)
    >>> [round(one, 3) for one in shares_at(early, 0.0)], [round(one, 3) for one in shares_at(early, 0.4)]
    ([0.999, 0.001], [0.75, 0.25])
    """
    let_in = [min(1.0, max(TRICKLE, (reading - one.opens) / OPENING)) if one.opens else 1.0 for one in tasks]
    shares = np.array([one.share * part for one, part in zip(tasks, let_in, strict=True)])
    return [float(one) for one in shares / shares.sum()]


def example_of(
    task: Task,
    rng: np.random.Generator,
    *,
    split: str,
    difficulty: float,
    assets: Assets,
    languages: Sequence[str] = (),
) -> Example:
    """One example of a task; with `languages` the first that is of one of them, or of none."""
    make = _maker(task.module, task.maker)
    while True:
        example = make(rng, split=split, difficulty=difficulty, assets=assets)
        if not languages or example.language in ("", *languages):
            return example


def answer_ids(text: str, tokenizer: Tokenizer, extras: object) -> list[int]:
    """Ids of an answer, one character at a time where the example says so; what marks places is one token each."""
    assert isinstance(extras, Taught)
    spell = partial(spelled_ids, tokenizer=tokenizer)
    return place_ids(text, tokenizer, spell if extras.spelled else tokenizer.encode_text)


def missing(tasks: Sequence[Task], assets: Assets) -> dict[Task, str]:
    """The tasks that cannot be made here, and why: no such module yet, or its pack is not built."""
    told = {}
    for task in tasks:
        try:
            example_of(task, np.random.default_rng(0), split="train", difficulty=0.0, assets=assets)
        except (ImportError, AttributeError, MissingDependencyError) as error:
            told[task] = str(error)
    return told


@lru_cache(maxsize=2)
def opened_assets(folder: Path | None) -> Assets:
    """The assets, opened once a process."""
    return Assets.open(folder)


@lru_cache(maxsize=4)
def _levels(path: Path) -> Levels:
    return Levels(path, tuple(GROUPS))


@cache
def _maker(module: str, maker: str) -> Maker:
    found: Maker = getattr(importlib.import_module(f"recipes.tiny.{module}"), maker)
    return found
