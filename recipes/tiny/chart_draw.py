"""Charts drawn with Pillow: quick, small and clean."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from recipes.tiny.chart_data import Chart
from recipes.tiny.example import Box
from recipes.tiny.paper import Colour, Paper, Pen, Theme, as_colour

FINE = 3
"""Shapes are drawn this much larger and shrunk, so that edges are smooth."""


def palette(codes: str) -> tuple[Colour, ...]:
    """Colours from their hexadecimal codes.

    >>> palette("ff7f0e 000001")
    ((255, 127, 14), (0, 0, 1))
    """
    return tuple(as_colour(list(bytes.fromhex(code))) for code in codes.split())


PALETTES = (
    palette("1f77b4 ff7f0e 2ca02c d62728 9467bd 8c564b e377c2 17becf"),
    palette("4285f4 db4437 f4b400 0f9d58 ab47bc 00acc1 ff7043 9e9d24"),
    palette("1e1e1e 787878 b4b4b4 d8d8d8"),
    palette("8dd3c7 fb8072 80b1d3 fdb462 b3de69 bc80bd fccde5 bebada"),
    palette("1b5e20 b71c1c 0d47a1 f57f17 4a148c 006060 880e4f 3e2723"),
)
HELD_OUT_PALETTES = (palette("00798c d1495b edae49 66a182 2e4057 805a78 f0803c 5a96c8"),)


class Look(NamedTuple):
    """How a chart is drawn."""

    pen: Pen
    theme: Theme
    palette: tuple[Colour, ...]
    grid: bool
    axis: bool
    """Whether the value axis has numbers."""
    frame: str
    """none, corner (left and bottom), box."""
    thick: float
    """Share of its room that a bar fills."""
    legend: str
    """Beside a pie or above several series: "side" or "top"."""


class Plot(NamedTuple):
    """The area of the marks, and the range of values it spans."""

    box: Box
    low: float
    high: float
    step: float

    def at(self, value: float, along: bool = False) -> float:
        """The pixel of a value: a row, or along the picture's width a column."""
        share = (value - self.low) / (self.high - self.low)
        return (
            self.box[0] + share * (self.box[2] - self.box[0])
            if along
            else self.box[3] - share * (self.box[3] - self.box[1])
        )


def nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 x 10^n with which `count` steps cover `span`.

    >>> nice_step(18, 4), nice_step(90, 5)
    (5.0, 20.0)
    """
    raw = span / count
    power = 10.0 ** np.floor(np.log10(raw))
    return float(next(power * part for part in (1, 2, 5, 10) if power * part >= raw * 0.999))


def tick_text(value: float, step: float) -> str:
    """A number of the axis."""
    return f"{value:.1f}" if step < 1 else f"{value:.0f}"


def ticks(plot: Plot) -> list[float]:
    """The numbers of the value axis."""
    return [plot.low + plot.step * i for i in range(round((plot.high - plot.low) / plot.step) + 1)]


def scale(chart: Chart, box: Box, room_for_ticks: float) -> Plot:
    """The plot whose axis starts at 0 and ends at the next tick above the largest value."""
    most = max(value for row in chart.values for value in row)
    step = nice_step(most, max(2, min(6, int(room_for_ticks))))
    step = max(step, 10.0**-chart.places) if chart.places == 0 else step
    return Plot(box, 0.0, step * float(np.ceil(most / step - 1e-9)), step)


def draw_chart(chart: Chart, size: tuple[int, int], look: Look) -> Paper | None:
    """The chart on a sheet of `size`; None where its texts have no room."""
    paper = Paper(size, look.theme.paper)
    em, pen = look.pen.size, look.pen
    top = 0.4 * em
    if chart.title:
        if pen.width(chart.title) > size[1] - em:
            return None
        paper.write(chart.title, (size[1] / 2, pen.baseline(top, 1.3 * em)), pen, anchor="m")
        top += 1.5 * em
    if len(chart.series) > 1:
        if not draw_legend(paper, chart, top, look):
            return None
        top += 1.5 * em
    area = (0.4 * em, top, size[1] - 0.5 * em, size[0] - 0.4 * em)
    if area[3] - area[1] < 3 * em:
        return None
    if chart.kind == "pie":
        return draw_pie(paper, chart, area, look)
    if chart.kind == "hbar":
        return draw_hbars(paper, chart, area, look)
    return draw_upright(paper, chart, area, look)


def draw_legend(paper: Paper, chart: Chart, top: float, look: Look) -> bool:
    """The names of the series in a line; False where they are too long."""
    pen, em = look.pen, look.pen.size
    width = sum(pen.width(name) + 1.9 * em for name in chart.series)
    if width > paper.width - em:
        return False
    x = (paper.width - width) / 2
    for name, colour in zip(chart.series, look.palette, strict=False):
        paper.fill((x, top + 0.3 * em, x + 0.8 * em, top + 1.1 * em), colour)
        paper.write(name, (x + 1.1 * em, pen.baseline(top, 1.4 * em)), pen)
        x += pen.width(name) + 1.9 * em
    return True


class Shapes:
    """A picture FINE times as large on which smooth shapes are drawn; `onto` puts it on the sheet."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.image = paper.image.resize((paper.width * FINE, paper.height * FINE), Image.Resampling.NEAREST)
        self.draw = ImageDraw.Draw(self.image)

    def onto(self) -> None:
        """Replaces the sheet's picture by the shapes."""
        small = self.image.resize((self.paper.width, self.paper.height), Image.Resampling.BOX)
        self.paper.image.paste(small)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        """A broken line."""
        self.draw.line([(x * FINE, y * FINE) for x, y in points], fill=colour, width=round(width * FINE), joint="curve")

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle."""
        self.draw.ellipse(
            [FINE * (x - radius), FINE * (y - radius), FINE * (x + radius), FINE * (y + radius)], fill=colour
        )


def draw_axis(paper: Paper, plot: Plot, look: Look, *, along: bool) -> None:
    """Numbers and lines of the value axis, at the left or (`along`) below."""
    pen, em, (left, top, right, bottom) = look.pen, look.pen.size, plot.box
    for value in ticks(plot):
        place = plot.at(value, along)
        if look.grid:
            ends = ((place, top), (place, bottom)) if along else ((left, place), (right, place))
            paper.rule(*ends, look.theme.fill)
        if look.axis and along:
            paper.write(tick_text(value, plot.step), (place, pen.baseline(bottom, 1.3 * em)), pen, anchor="m")
        elif look.axis:
            paper.write(tick_text(value, plot.step), (left - 0.35 * em, place + pen.rise / 2), pen, anchor="r")


def draw_frame(paper: Paper, box: Box, look: Look) -> None:
    """The lines around the plot."""
    left, top, right, bottom = box
    if look.frame == "box":
        paper.outline((left, top, right + 1, bottom + 1), look.theme.rule)
    elif look.frame == "corner":
        paper.rule((left, top), (left, bottom), look.theme.rule)
        paper.rule((left, bottom), (right, bottom), look.theme.rule)


def below_amount(paper: Paper, chart: Chart, area: Box, pen: Pen) -> Box:
    """What is left of the area below the name of what is measured."""
    left, top, right, bottom = area
    if not chart.amount:
        return area
    paper.write(chart.amount, (left, pen.baseline(top, 1.2 * pen.size)), pen)
    return left, top + 1.3 * pen.size, right, bottom


def draw_upright(paper: Paper, chart: Chart, area: Box, look: Look) -> Paper | None:
    """Bars, lines or points over a horizontal axis of categories (or numbers)."""
    pen, em = look.pen, look.pen.size
    left, top, right, bottom = below_amount(paper, chart, area, pen)
    top += 1.0 * em if chart.labelled or chart.kind == "scatter" else 0.5 * em
    bottom -= 1.4 * em
    probe = scale(chart, area, (bottom - top) / (1.8 * em))
    if look.axis:
        left += max(pen.width(tick_text(value, probe.step)) for value in ticks(probe)) + 0.4 * em
    plot = Plot((left, top, right, bottom), probe.low, probe.high, probe.step)
    slot = (right - left) / len(chart.categories)
    if bottom - top < 2 * em or (chart.kind != "scatter" and widest(chart, pen) + 0.4 * em > slot):
        return None
    draw_axis(paper, plot, look, along=False)
    if chart.kind == "scatter":
        return draw_points(paper, chart, plot, look)
    for index, name in enumerate(chart.categories):
        paper.write(name, (left + (index + 0.5) * slot, pen.baseline(bottom + 0.1 * em, 1.3 * em)), pen, anchor="m")
    if chart.kind == "bar":
        draw_bars(paper, chart, plot, look, slot)
    else:
        draw_lines(paper, chart, plot, look, slot)
    draw_frame(paper, plot.box, look)
    return paper


def widest(chart: Chart, pen: Pen) -> float:
    """The widest name of a category or, where they are printed, value."""
    texts = [*chart.categories, *(chart.text(v) for row in chart.values for v in row if chart.labelled)]
    return max(pen.width(text) for text in texts)


def colour_of(look: Look, chart: Chart, series: int, index: int) -> Colour:
    """Series have colours of their own; the bars of a single one share it unless the legend says otherwise."""
    if len(chart.series) > 1 or look.legend == "top":
        return look.palette[series]
    return look.palette[index % len(look.palette)]


def draw_bars(paper: Paper, chart: Chart, plot: Plot, look: Look, slot: float) -> None:
    """Upright bars, those of several series side by side."""
    width = slot * look.thick / len(chart.series)
    for series, row in enumerate(chart.values):
        for index, value in enumerate(row):
            x = plot.box[0] + (index + 0.5) * slot + (series - len(chart.series) / 2) * width
            y = plot.at(value)
            paper.fill((x, y, x + width, plot.box[3]), colour_of(look, chart, series, index))
            if chart.labelled:
                paper.write(chart.text(value), (x + width / 2, y - 0.2 * look.pen.size), look.pen, anchor="m")


def draw_lines(paper: Paper, chart: Chart, plot: Plot, look: Look, slot: float) -> None:
    """A broken line with dots for each series."""
    shapes = Shapes(paper)
    for row, colour in zip(chart.values, look.palette, strict=False):
        points = [(plot.box[0] + (index + 0.5) * slot, plot.at(value)) for index, value in enumerate(row)]
        shapes.line(points, colour, max(1.0, look.pen.size / 8))
        for x, y in points:
            shapes.dot(x, y, look.pen.size / 5, colour)
    shapes.onto()
    for index, value in enumerate(chart.values[0] if chart.labelled else ()):
        x = plot.box[0] + (index + 0.5) * slot
        paper.write(chart.text(value), (x, plot.at(value) - 0.55 * look.pen.size), look.pen, anchor="m")


def draw_points(paper: Paper, chart: Chart, plot: Plot, look: Look) -> Paper | None:
    """Points with their names, over a horizontal axis of numbers that are all printed."""
    em, pen, (left, top, right, bottom) = look.pen.size, look.pen, plot.box
    most = max(chart.xs)
    step = nice_step(most, max(2, int((right - left) / (2.5 * em))))
    across = Plot((left, top, right - em, bottom), 0.0, step * float(np.ceil(most / step - 1e-9)), step)
    for value in ticks(across):
        paper.write(
            tick_text(value, step), (across.at(value, True), pen.baseline(bottom + 0.1 * em, 1.3 * em)), pen, anchor="m"
        )
        if look.grid:
            paper.rule((across.at(value, True), top), (across.at(value, True), bottom), look.theme.fill)
    spots = [(across.at(x, True), plot.at(y)) for x, y in zip(chart.xs, chart.values[0], strict=True)]
    if any(np.hypot(a - c, b - d) < 1.3 * em for i, (a, b) in enumerate(spots) for c, d in spots[:i]):
        return None
    shapes = Shapes(paper)
    for x, y in spots:
        shapes.dot(x, y, max(2.0, em / 4.5), look.palette[0])
    shapes.onto()
    for (x, y), name in zip(spots, chart.categories, strict=True):
        paper.write(name, (x, y - 0.4 * em), pen, anchor="m")
    draw_frame(paper, plot.box, look._replace(frame="corner" if look.frame == "none" else look.frame))
    return paper


def draw_hbars(paper: Paper, chart: Chart, area: Box, look: Look) -> Paper | None:
    """Bars that lie, with the categories at their left."""
    pen, em = look.pen, look.pen.size
    left, top, right, bottom = below_amount(paper, chart, area, pen)
    left += max(pen.width(name) for name in chart.categories) + 0.5 * em
    right -= (max(pen.width(chart.text(v)) for v in chart.values[0]) + 0.4 * em) if chart.labelled else em
    bottom -= 1.4 * em if look.axis else 0.0
    slot = (bottom - top) / len(chart.categories)
    if slot < 1.15 * em or right - left < 3 * em:
        return None
    plot = scale(chart, (left, top, right, bottom), (right - left) / (2.6 * em))
    draw_axis(paper, plot, look, along=True)
    height = slot * look.thick / len(chart.series)
    for index, name in enumerate(chart.categories):
        middle = top + (index + 0.5) * slot
        paper.write(name, (left - 0.4 * em, middle + pen.rise / 2), pen, anchor="r")
        for series, row in enumerate(chart.values):
            y, x = middle + (series - len(chart.series) / 2) * height, plot.at(row[index], along=True)
            paper.fill((left, y, x, y + height), colour_of(look, chart, series, index))
            if chart.labelled:
                paper.write(chart.text(row[index]), (x + 0.3 * em, middle + pen.rise / 2), pen)
    draw_frame(paper, plot.box, look._replace(frame="corner") if chart.labelled else look)
    return paper


def draw_pie(paper: Paper, chart: Chart, area: Box, look: Look) -> Paper | None:
    """Slices from the top, clockwise, with a legend at the right that names each with its share."""
    pen, em = look.pen, look.pen.size
    left, top, right, bottom = area
    texts = [f"{name} {value:.0f}%" for name, value in zip(chart.categories, chart.values[0], strict=True)]
    legend = max(pen.width(text) for text in texts) + 1.3 * em
    size = min(right - left - legend - 0.5 * em, bottom - top)
    if size < 2.5 * em or len(texts) * 1.25 * em > bottom - top:
        return None
    shapes, angle = Shapes(paper), -90.0
    y = (top + bottom - size) / 2
    for value, colour in zip(chart.values[0], look.palette, strict=False):
        box = [FINE * side for side in (left, y, left + size, y + size)]
        shapes.draw.pieslice(box, angle, angle + 3.6 * value, fill=colour, outline=look.theme.paper, width=FINE)
        angle += 3.6 * value
    if look.frame == "box":
        hole = size * 0.28
        shapes.dot(left + size / 2, y + size / 2, hole, look.theme.paper)
    shapes.onto()
    x, pitch = left + size + 0.6 * em, min(1.6 * em, (bottom - top) / len(texts))
    start = (top + bottom - pitch * len(texts)) / 2
    for index, (text, colour) in enumerate(zip(texts, look.palette, strict=False)):
        line = start + index * pitch
        paper.fill((x, line + 0.3 * pitch, x + 0.7 * em, line + 0.3 * pitch + 0.7 * em), colour)
        paper.write(text, (x + 1.0 * em, pen.baseline(line, pitch)), pen)
    return paper
