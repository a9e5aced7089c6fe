"""Draws the curves of a run: `python -m recipes.tiny curve RUN OUT.png`, RUN its folder or its curve.csv.

Above the losses, below what was right on held-out content, then the levels of the groups, where a run has them.
"""

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anyres.errors import DatasetError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "draw", "main", "panels", "read_curve", "smoothed"]

WINDOW = 15
"""Rows over which the losses are smoothed; the rows themselves stay behind in a pale colour."""
LOSSES, VALID, LEVEL, TOLD = "loss", "valid ", "level ", "told "
COUNTED = ("step", "samples", "seconds", "tokens", "learnt_tokens", "patches", "samples_per_s", "share", "difficulty",
           "gradient_norm", "valid seconds")  # fmt: skip
"""Columns that say how far or how fast a run is."""
INCH, DOTS = 4.2, 110


class Panel(NamedTuple):
    """Some columns that share an axis from `low` to `high`, None where the figures decide."""

    title: str
    columns: tuple[str, ...]
    low: float | None = 0.0
    high: float | None = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m recipes.tiny curve", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("out", type=Path, metavar="OUT.png")
    options = parser.parse_args(arguments)
    figure = draw(read_curve(options.run), title=str(options.run))
    figure.savefig(options.out, dpi=DOTS)
    print(options.out)


def read_curve(run: Path) -> dict[str, list[float]]:
    """The columns of curve.csv, NaN where a row has no figure; DatasetError where there is nothing to draw."""
    path = run / "curve.csv" if run.is_dir() else run
    if not path.is_file():
        raise DatasetError(str(path), "no such file", "the folder of a run, or its curve.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DatasetError(str(path), "no rows", "a curve of one row at least")
    names = [name for name in rows[0] if name]
    return {name: [number(row[name]) for row in rows] for name in names}


def number(text: str | None) -> float:
    """
    >>> number("0.5"), number("")
    (0.5, nan)
    """
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def panels(curve: Mapping[str, Sequence[float]]) -> list[Panel]:
    """What is drawn of a curve."""
    names = [name for name in curve if name not in COUNTED and any(map(math.isfinite, curve[name]))]
    losses = tuple(name for name in names if LOSSES in name)
    valid = tuple(name for name in names if name.startswith(VALID))
    told = tuple(name for name in names if name.startswith(TOLD))
    found = [
        Panel("loss", losses, None, None),
        Panel("right on held-out content", valid),
        Panel("tokens of training answers told right", told),
        Panel("level of difficulty", tuple(name for name in names if name.startswith(LEVEL))),
    ]
    return [panel for panel in found if panel.columns]


def draw(curve: Mapping[str, Sequence[float]], *, title: str) -> "Figure":
    """The panels one below the other, over samples where they are counted, else over steps."""
    from matplotlib.figure import Figure

    shown = panels(curve)
    figure = Figure(figsize=(11, INCH * max(1, len(shown))), layout="constrained")
    figure.suptitle(title)
    axis = "samples" if "samples" in curve else "step"
    for place, panel in enumerate(shown):
        axes = figure.add_subplot(len(shown), 1, place + 1)
        draw_panel(axes, panel, curve, axis)
    return figure


def draw_panel(axes: "Axes", panel: Panel, curve: Mapping[str, Sequence[float]], axis: str) -> None:
    """The curves of one panel; figures that are only in some rows are joined across the others."""
    smooth = panel.high is None
    for place, name in enumerate(panel.columns):
        pairs = zip(curve[axis], curve[name], strict=True)
        points = [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        label, colour, line = name.removeprefix(VALID).removeprefix(LEVEL).removeprefix(TOLD), f"C{place % 10}", "-"
        if place >= 10:
            line = "--"
        if smooth:
            axes.plot(xs, ys, color=colour, alpha=0.25, linewidth=0.7)
            ys = smoothed(ys)
        axes.plot(xs, ys, line, color=colour, label=label, linewidth=1.4, marker="" if smooth else ".", markersize=4)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(axis)
    axes.set_ylim(panel.low, None if panel.high is None else panel.high * 1.02)
    if smooth and all(value > 0 for name in panel.columns for value in curve[name] if math.isfinite(value)):
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2 if len(panel.columns) > 8 else 1, loc="center left", bbox_to_anchor=(1.0, 0.5))


def smoothed(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """The mean of each value and the ones before it, `window` in all.

    >>> smoothed([1.0, 3.0, 5.0], 2)
    [1.0, 2.0, 4.0]
    """
    starts = (max(0, end - window) for end in range(1, len(values) + 1))
    return [sum(values[start:end]) / (end - start) for end, start in enumerate(starts, 1)]


if __name__ == "__main__":
    main()
