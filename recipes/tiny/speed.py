"""How fast the data factory is on one core: `python -m recipes.tiny speed --tasks line page --seconds 1`.

Samples and visual tokens a second of CPU time, for each family of tasks and difficulty the median of several repeats
of different samples, made as training makes them but for the resizing and tokenizing that follow.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import SPLITS, Assets
from recipes.tiny.mixture import OPENING, Task, example_of, missing, opened_assets, shares_at
from recipes.tiny.preview import DIFFICULTIES, chosen_tasks, visual_tokens

__all__ = ["Rate", "main", "measure", "mixed", "parser", "table"]

WARM = 3
"""Samples of each kind before the clock starts: faces, packs and noise are loaded with the first ones."""


class Rate(NamedTuple):
    """What one core makes of a task at a difficulty in a second."""

    task: str
    difficulty: float
    samples_per_s: float
    tokens_per_s: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    assets = opened_assets(options.assets)
    tasks = chosen_tasks(options.tasks)
    absent = missing(tasks, assets)
    tasks = tuple(task for task in tasks if task not in absent)
    rates = []
    for task in tasks:
        for difficulty in options.difficulties:
            maker = samples(task, difficulty, split=options.split, assets=assets)
            repeats = [measure(maker, seconds=options.seconds) for _ in range(options.repeats)]
            rates.append(Rate(f"{task.group} {task.name}", difficulty, *map(median, zip(*repeats, strict=True))))
    print(table(rates))
    if options.tasks is None:
        print("\n".join(mixed(rates, tasks)))
    for task, reason in absent.items():
        print(f"left out: {task.group} {task.name} ({reason})")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.tiny speed",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--tasks", nargs="+", help="groups or names, as in recipes/tiny/mixture.py; all when absent")
    parser.add_argument("--difficulties", type=float, nargs="+", default=list(DIFFICULTIES), help="0 to 1")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each repeat, in CPU time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--assets", type=Path, help="folder of the packs; recipes/tiny/assets when absent")
    return parser


def samples(task: Task, difficulty: float, *, split: str, assets: Assets) -> Iterator[int]:
    """The visual tokens of one example after the other; the first WARM are made at once."""
    rng = np.random.default_rng(0)
    for _ in range(WARM):
        example_of(task, rng, split=split, difficulty=difficulty, assets=assets)
    while True:
        yield visual_tokens(example_of(task, rng, split=split, difficulty=difficulty, assets=assets))


def measure(
    maker: Iterator[int], *, seconds: float, clock: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """(samples, visual tokens) a second, over at least `seconds` and one sample; the first sample is not counted."""
    next(maker)
    count, tokens, began = 0, 0, clock()
    while True:
        tokens += next(maker)
        count += 1
        passed = clock() - began
        if passed >= seconds and passed > 0:
            return count / passed, tokens / passed


def table(rates: Sequence[Rate]) -> str:
    """Markdown: a row for each task, two columns for each difficulty.

    >>> print(table([Rate("line line", 0.5, 40.0, 801.2)]))
    | task | samples/s at 0.5 | tokens/s at 0.5 |
    |---|---|---|
    | line line | 40 | 801 |
    """
    difficulties = sorted({rate.difficulty for rate in rates})
    known = {(rate.task, rate.difficulty): rate for rate in rates}
    head = [f"samples/s at {one:g} | tokens/s at {one:g}" for one in difficulties]
    lines = [f"| task | {' | '.join(head)} |", "|---" * (1 + 2 * len(difficulties)) + "|"]
    for task in dict.fromkeys(rate.task for rate in rates):
        cells = [known[task, one] for one in difficulties]
        shown = [f"{rounded(rate.samples_per_s)} | {rounded(rate.tokens_per_s)}" for rate in cells]
        lines.append(f"| {task} | {' | '.join(shown)} |")
    return "\n".join(lines)


def rounded(rate: float) -> str:
    """Three digits.

    >>> rounded(1234.5), rounded(12.345), rounded(0.5)
    ('1,230', '12.3', '0.5')
    """
    return f"{float(f'{rate:.3g}'):,.10g}"


def mixed(rates: Iterable[Rate], tasks: Sequence[Task]) -> list[str]:
    """Samples and tokens a second of the whole mixture, once all tasks have their full share, at each difficulty."""
    shares = dict(zip((f"{task.group} {task.name}" for task in tasks), shares_at(tasks, 1.0 + OPENING), strict=True))
    lines = []
    by_difficulty: dict[float, list[Rate]] = {}
    for rate in rates:
        by_difficulty.setdefault(rate.difficulty, []).append(rate)
    for difficulty, found in sorted(by_difficulty.items()):
        seconds = sum(shares[rate.task] / rate.samples_per_s for rate in found)
        tokens = sum(shares[rate.task] * rate.tokens_per_s / rate.samples_per_s for rate in found)
        lines.append(f"the mixture at {difficulty:g}: {1 / seconds:.1f} samples/s, {tokens / seconds:,.0f} tokens/s")
    return lines


if __name__ == "__main__":
    main()
