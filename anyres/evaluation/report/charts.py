"""Charts as SVG of our own: bars with intervals, a radar, a curve of scores over visual tokens.

Colours are the page's: `var(--m0)` and on for the models. Numbers stand beside what is drawn, so nothing is told by
colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from anyres.evaluation.report.results import Entry, Result
from anyres.evaluation.report.tables import figure_words
from anyres.evaluation.statistics import Interval

__all__ = ["COLOURS", "bars", "curve", "make_charts", "radar"]

COLOURS = 8
WIDE, BAR, GAP, LABEL, NUMBERS = 680, 18, 8, 190, 150  # in the SVG's units
RADAR = 320
LEAST_AXES, MOST_AXES = 3, 16
MARK = "="


class Bar(NamedTuple):
    name: str
    figure: Interval
    colour: int


class Line(NamedTuple):
    """Points of a curve: where, and the figure there."""

    name: str
    points: tuple[tuple[float, Interval], ...]
    colour: int


class Spoke(NamedTuple):
    """An axis of a radar: what, the value at its end, and the value of each model, None where there is none."""

    name: str
    end: float
    values: tuple[float | None, ...]


def make_charts(results: Sequence[Result]) -> list[str]:
    """All that the results have enough for."""
    names = list(dict.fromkeys(entry.answers.model for result in results for entry in result.entries))
    charts = [bars(result, names) for result in results if result.plain]
    spokes = _over_benchmarks(results, names)
    if len(spokes) >= LEAST_AXES and _whole(spokes, names):
        charts.append(radar("All benchmarks", spokes, names))
    for result in results:
        spokes = _over_categories(result, names)
        if LEAST_AXES <= len(spokes) <= MOST_AXES:
            charts.append(radar(f"{result.benchmark.title}: by part", spokes, names))
    return charts + [curve(result, names) for result in results if _lines(result, names)]


def bars(result: Result, names: Sequence[str]) -> str:
    """A bar for each model in the headline of the first scoring, its interval on it, published targets as lines."""
    scoring = result.official
    held = [
        Bar(entry.answers.model, figure, names.index(entry.answers.model))
        for entry in result.plain
        if (figure := entry.by[scoring.name].headline) is not None
    ]
    headline = next((name for entry in result.plain for name in entry.by[scoring.name].figures), "")
    published = [one for one in result.benchmark.targets if (one.scoring, one.figure) == (scoring.name, headline)]
    end = _end([bar.figure.high for bar in held] + [one.value for one in published], scoring.unit)
    scale = (WIDE - LABEL - NUMBERS) / end
    rows = [_bar(bar, place, scale, scoring.unit) for place, bar in enumerate(held)]
    high = len(held) * (BAR + GAP) + GAP
    for one in published:
        x = LABEL + one.value * scale
        tip = f"{escape(one.model)}: {one.value:g}, {escape(one.source)}"
        rows.append(f'<line class="target" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{high}"><title>{tip}</title></line>')
    label = f"{result.benchmark.title}, {scoring.name} {headline}"
    return _figure(label, WIDE, high, rows, note="Dashed: published figures." if published else "")


def radar(title: str, spokes: Sequence[Spoke], names: Sequence[str]) -> str:
    """A spoke for each benchmark or category, an outline for each model that has a figure on all of them: a missing one
    is no zero."""
    middle, reach = RADAR * 0.8, RADAR * 0.36
    ways = [(math.sin(turn), -math.cos(turn)) for turn in (2 * math.pi * k / len(spokes) for k in range(len(spokes)))]
    parts = [f'<circle class="grid" cx="{middle:.1f}" cy="{RADAR / 2}" r="{reach * k / 4:.1f}"/>' for k in range(1, 5)]
    for (x, y), spoke in zip(ways, spokes, strict=True):
        end = _place(middle, x, y, reach)
        parts.append(f'<line class="grid" x1="{middle:.1f}" y1="{RADAR / 2}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>')
        parts.append(_spoke_label(spoke, middle, x, y, reach))
    whole = _whole(spokes, names)
    for place in whole:
        values = [spoke.values[place] or 0.0 for spoke in spokes]
        parts.append(_outline(names[place], place, values, spokes, ways, middle, reach))
    ends = {spoke.end for spoke in spokes}
    note = f"The rim is {ends.pop():g}." if len(ends) == 1 else "Each spoke has a scale of its own."
    shown = [names[place] for place in whole]
    return _figure(title, int(RADAR * 1.6), RADAR, parts, legend=shown, colours=whole, note=note)


def curve(result: Result, names: Sequence[str]) -> str:
    """Scores over mean visual tokens, the tokens on a logarithmic scale."""
    lines = _lines(result, names)
    left, bottom, wide, high = 60, 250, WIDE - 90, 230
    reached = [x for line in lines for x, _ in line.points]
    low, top = math.log(max(1.0, min(reached))), math.log(max(2.0, max(reached)))
    end = _end([figure.high for line in lines for _, figure in line.points], result.official.unit)

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log(max(1.0, x)) - low) / ((top - low) or 1)
        return left + share * wide, bottom - y / end * high

    parts = [_rule(left, wide, bottom - high * k / 4, f"{end * k / 4:g}") for k in range(5)]
    parts += [
        f'<text class="tick" x="{at(x, 0)[0]:.1f}" y="{bottom + 18}" text-anchor="middle">{x:,}</text>'
        for x in dict.fromkeys(round(x) for x in reached)
    ]
    for line in lines:
        places = [(*at(x, figure.value), figure, x) for x, figure in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
        parts.append(f'<polyline class="outline" style="stroke:var(--m{line.colour % COLOURS})" points="{path}"/>')
        parts += [
            _dot(line, (x, y), (at(0, figure.low)[1], at(0, figure.high)[1]), figure, tokens)
            for x, y, figure, tokens in places
        ]
    title = f"{result.benchmark.title}: score over visual tokens"
    return _figure(title, WIDE, 285, parts, legend=[line.name for line in lines], colours=[one.colour for one in lines])


def _bar(bar: Bar, place: int, scale: float, unit: str) -> str:
    y = GAP + place * (BAR + GAP)
    wide, low, high = (max(0.0, value) * scale for value in (bar.figure.value, bar.figure.low, bar.figure.high))
    middle, colour = y + BAR / 2, bar.colour % COLOURS
    return (
        f'<text class="label" x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(_short(bar.name))}</text>'
        f'<rect x="{LABEL}" y="{y}" width="{wide:.1f}" height="{BAR}" style="fill:var(--m{colour})"/>'
        f'<path class="whisker" d="M{LABEL + low:.1f} {middle}H{LABEL + high:.1f}'
        f'M{LABEL + low:.1f} {y + 4}v{BAR - 8}M{LABEL + high:.1f} {y + 4}v{BAR - 8}"/>'
        f'<text x="{WIDE}" y="{y + 13}" text-anchor="end">{escape(figure_words(bar.figure, unit))}</text>'
    )


def _spoke_label(spoke: Spoke, middle: float, x: float, y: float, reach: float) -> str:
    place = _place(middle, x, y, reach + 12)
    anchor = "middle" if abs(x) < 0.2 else "start" if x > 0 else "end"
    return (
        f'<text class="tick" x="{place[0]:.1f}" y="{place[1] + 4:.1f}" text-anchor="{anchor}">'
        f"{escape(_short(spoke.name))}<title>0 to {spoke.end:g}</title></text>"
    )


def _whole(spokes: Sequence[Spoke], names: Sequence[str]) -> list[int]:
    """Models that have a figure on every spoke."""
    return [place for place in range(len(names)) if all(spoke.values[place] is not None for spoke in spokes)]


def _outline(
    name: str,
    colour: int,
    values: Sequence[float],
    spokes: Sequence[Spoke],
    ways: Sequence[tuple[float, float]],
    middle: float,
    reach: float,
) -> str:
    pairs = zip(ways, spokes, values, strict=True)
    places = [_place(middle, x, y, reach * value / spoke.end) for (x, y), spoke, value in pairs]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    style = f"stroke:var(--m{colour % COLOURS})"
    return f'<polygon class="outline" style="{style}" points="{points}"><title>{escape(name)}</title></polygon>'


def _place(middle: float, x: float, y: float, reach: float) -> tuple[float, float]:
    return middle + x * reach, RADAR / 2 + y * reach


def _dot(line: Line, at: tuple[float, float], whisker: tuple[float, float], figure: Interval, tokens: float) -> str:
    (x, y), (low, high) = at, whisker
    colour = f"var(--m{line.colour % COLOURS})"
    tip = f"{escape(line.name)}: {figure.value:.1f} at {tokens:,.0f} tokens"
    return (
        f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill:{colour}"><title>{tip}</title></circle>'
    )


def _rule(left: float, wide: float, y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _figure(
    title: str,
    wide: int,
    high: int,
    parts: Iterable[str],
    *,
    legend: Sequence[str] = (),
    colours: Sequence[int] = (),
    note: str = "",
) -> str:
    keys = "".join(
        f'<li><i style="background:var(--m{colour % COLOURS})"></i>{escape(name)}</li>'
        for name, colour in zip(legend, colours or range(len(legend)), strict=True)
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {wide} {high}" style="max-width:{wide}px" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
        + (f"<ul class=legend>{keys}</ul>" if keys else "")
        + (f"<p class=note>{escape(note)}</p>" if note else "")
        + "</figure>"
    )


def _end(values: Sequence[float], unit: str) -> float:
    """The end of a scale: 100 for percent, else a round number above all values."""
    largest = max([value for value in values if math.isfinite(value)], default=0.0)
    if unit == "%" and largest <= 100:
        return 100.0
    if largest <= 0:
        return 1.0
    step = float(10.0 ** math.floor(math.log10(largest)))
    return math.ceil(largest / step) * step


def _short(name: str) -> str:
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return last if len(last) <= 28 else f"{last[:27]}…"


def _over_benchmarks(results: Sequence[Result], names: Sequence[str]) -> list[Spoke]:
    found = []
    for result in results:
        figures = {one.answers.model: one.by[result.official.name].headline for one in result.plain}
        values = [None if (figure := figures.get(name)) is None else figure.value for name in names]
        if any(value is not None for value in values):
            end = _end([value for value in values if value is not None], result.official.unit)
            found.append(Spoke(result.benchmark.name, end, tuple(values)))
    return found


def _over_categories(result: Result, names: Sequence[str]) -> list[Spoke]:
    """All figures of the first scoring but its headline."""
    figures = {one.answers.model: one.by[result.official.name].figures for one in result.plain}
    parts = list(dict.fromkeys(name for held in figures.values() for name in list(held)[1:]))
    reached = [one.value for held in figures.values() for one in list(held.values())[1:]]
    end = min(_end(reached, result.official.unit), math.ceil(max([1.0, *reached]) / 10) * 10)
    return [
        Spoke(
            part, end, tuple(None if (one := figures.get(name, {}).get(part)) is None else one.value for name in names)
        )
        for part in parts
    ]


def _lines(result: Result, names: Sequence[str]) -> list[Line]:
    """Of models with figures at two budgets or more."""
    found = []
    for colour, name in enumerate(names):
        ways = [one for one in result.entries if one.answers.model == name and _is_way(one)]
        points = sorted(
            (one.visual_tokens, figure)
            for one in ways
            if (figure := one.by[result.official.name].headline) is not None and one.visual_tokens
        )
        if len(points) > 1:
            found.append(Line(name, tuple(points), colour))
    return found


def _is_way(entry: Entry) -> bool:
    return not entry.answers.variant or MARK in entry.answers.variant
