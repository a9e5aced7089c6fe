"""How a run of benchmarks is watched: bars on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anyres.cli.terminal import console, escape, note
from anyres.evaluation.run.running import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from anyres.evaluation.run.tally import Tally

__all__ = ["line_of", "watching"]

LINE_EVERY_S = 10.0
SHOWN = 60  # characters of an answer


@contextmanager
def watching(*, quiet: bool, verbose: bool) -> Iterator[Watcher]:
    """Whoever stands at this terminal."""
    if quiet:
        yield Watcher()
        return
    if verbose or not sys.stderr.isatty():
        yield _Lines(verbose=verbose)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    words = TextColumn("{task.description}", markup=False)
    with Progress(words, BarColumn(), MofNCompleteColumn(), console=console()) as bars:
        yield _Bars(bars)


def line_of(tally: "Tally") -> str:
    """As `MME tiny  61.2 ± 2.1 %  3 failed  12.3/s  0:02:40 left`."""
    parts = [tally.task.title]
    figure = tally.figure()
    if figure is not None:
        unit = tally.task.benchmark.scorings[0].unit.replace("points", "")
        interval = figure[1]
        parts.append(f"{interval.value:.1f} ± {(interval.high - interval.low) / 2:.1f} {unit}".rstrip())
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.left_s is not None:
        parts.append(f"{tally.per_s:.1f}/s")
        if tally.done < tally.total:
            parts.append(f"{_clock(tally.left_s)} left")
    return "  ".join(parts)


class _Lines(Watcher):
    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._told: dict[str, float] = {}

    def note(self, text: str) -> None:
        note(text)

    def reading(self, text: str) -> None:
        del text

    def came(self, tally: "Tally") -> None:
        now = time.monotonic()
        if self._verbose:
            self._answers(tally)
        last = self._told.setdefault(tally.task.title, 0.0)
        if now - last >= LINE_EVERY_S or tally.done == tally.total:
            self._told[tally.task.title] = now
            note(f"{tally.done}/{tally.total}  {line_of(tally)}")

    def _answers(self, tally: "Tally") -> None:
        for record in tally.latest:
            said = record.raw if record.outcome == "answered" else record.error
            scores = "  ".join(f"{name} {one['score']:g} ({one['rule']})" for name, one in record.scores.items())
            note(f"{tally.task.title} {record.id}: {said!r}  {scores}")


class _Bars(Watcher):
    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._shown: dict[str, TaskID] = {}

    def begin(self, tallies: "Sequence[Tally]") -> None:
        for tally in tallies:
            title = escape(tally.task.title)
            self._shown[tally.task.title] = self._bars.add_task(title, total=tally.total, completed=tally.done)

    def note(self, text: str) -> None:
        self._bars.console.print(escape(text), markup=False)

    def came(self, tally: "Tally") -> None:
        shown = self._shown[tally.task.title]
        self._bars.update(shown, description=escape(line_of(tally)), completed=tally.done)


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
