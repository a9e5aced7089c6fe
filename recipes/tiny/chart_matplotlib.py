"""Charts drawn by matplotlib, in its styles; needs `pip install matplotlib` and is skipped without it."""

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from recipes.tiny.chart_data import Chart
from recipes.tiny.chart_draw import Look
from recipes.tiny.example import Word
from recipes.tiny.paper import Letter, Paper

STYLES = ("default", "classic", "ggplot", "seaborn-v0_8-whitegrid", "seaborn-v0_8-darkgrid", "seaborn-v0_8-ticks",
          "fivethirtyeight", "grayscale", "tableau-colorblind10", "fast")  # fmt: skip
HELD_OUT_STYLES = ("bmh", "Solarize_Light2")
DPI = 100


@lru_cache(maxsize=1)
def has_matplotlib() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_with_matplotlib(chart: Chart, size: tuple[int, int], look: Look, *, split: str, style: int) -> Paper:
    """The chart on a sheet of `size` in the style number `style` of the split (modulo their count)."""
    mpl, text_class = import_module("matplotlib"), import_module("matplotlib.text").Text
    styles, fonts = import_module("matplotlib.style"), import_module("matplotlib.font_manager")
    names = HELD_OUT_STYLES if split == "held_out" else STYLES
    height, width = size
    points = max(6.0, look.pen.size * 0.8 * 72 / DPI)
    with mpl.rc_context(), styles.context(names[style % len(names)]):
        mpl.rcParams.update({"font.size": points, "axes.titlesize": points * 1.2, "axes.labelsize": points})
        mpl.rcParams.update({"xtick.labelsize": points, "ytick.labelsize": points, "legend.fontsize": points})
        figure = import_module("matplotlib.figure").Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="tight")
        canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        plot(axes, chart, look)
        figure.draw_without_rendering()
        for text in figure.findobj(text_class) if look.pen.face.path is not None else ():
            text.set_fontproperties(fonts.FontProperties(fname=str(look.pen.face.path), size=text.get_size()))
        canvas.draw()
        frame = np.asarray(canvas.buffer_rgba())[:, :, :3]
        texts = printed_texts(figure, canvas.get_renderer())
    paper = Paper(size, (255, 255, 255))
    paper.image.paste(Image.fromarray(np.ascontiguousarray(frame[:height, :width])))
    for text, x1, y1, x2, y2 in texts:
        remember(paper, text, (x1, height - y2, x2, height - y1))
    return paper


def plot(axes: Any, chart: Chart, look: Look) -> None:
    """Draws the marks and their names."""
    places = np.arange(len(chart.categories))
    if chart.kind == "pie":
        texts = [f"{name} {value:.0f}%" for name, value in zip(chart.categories, chart.values[0], strict=True)]
        axes.pie(chart.values[0], labels=texts, startangle=90, counterclock=False)
    elif chart.kind == "scatter":
        axes.scatter(chart.xs, chart.values[0])
        for name, x, y in zip(chart.categories, chart.xs, chart.values[0], strict=True):
            axes.annotate(name, (x, y), textcoords="offset points", xytext=(4, 4))
        axes.grid(True)
        axes.set_xlim(0, max(chart.xs) * 1.12)
        axes.set_ylim(0, max(chart.values[0]) * 1.12)
    else:
        plot_series(axes, chart, look, places)
    if chart.title:
        axes.set_title(chart.title)
    if chart.amount and chart.kind != "pie":
        (axes.set_xlabel if chart.kind == "hbar" else axes.set_ylabel)(chart.amount)


def plot_series(axes: Any, chart: Chart, look: Look, places: Any) -> None:
    """Bars or lines, with a legend where there are several series."""
    lying, width = chart.kind == "hbar", look.thick / len(chart.series)
    for index, (name, row) in enumerate(zip(chart.series, chart.values, strict=True)):
        shift = (index - (len(chart.series) - 1) / 2) * width
        if chart.kind == "line":
            axes.plot(places, row, marker="o", label=name)
            marks = None
        else:
            marks = (axes.barh if lying else axes.bar)(places + shift, row, width, label=name)
        if chart.labelled and marks is not None:
            axes.bar_label(marks, labels=[chart.text(value) for value in row])
        elif chart.labelled:
            for place, value in zip(places, row, strict=True):
                axes.annotate(chart.text(value), (place, value), textcoords="offset points", xytext=(0, 4), ha="center")
    if lying:
        axes.set_yticks(places, chart.categories)
        axes.invert_yaxis()
    else:
        axes.set_xticks(places, chart.categories)
    most = max(value for row in chart.values for value in row)
    several = len(chart.series) > 1
    (axes.set_xlim if lying else axes.set_ylim)(0, most * (1.4 if several else 1.15))  # the legend hides no mark
    if several:
        axes.legend(loc="upper right", ncols=1 if lying else len(chart.series))
    if look.grid:
        axes.grid(True, axis="x" if lying else "y")
        axes.set_axisbelow(True)


def printed_texts(figure: Any, renderer: Any) -> list[tuple[str, float, float, float, float]]:
    """(text, left, bottom, right, top) of every upright text in the figure; rows count from the bottom."""
    found = []
    for text in figure.findobj(import_module("matplotlib.text").Text):
        shown = text.get_text().strip()
        if shown and text.get_visible() and text.get_rotation() == 0:
            box = text.get_window_extent(renderer)
            found.append((shown.replace("\N{MINUS SIGN}", "-"), box.x0, box.y0, box.x1, box.y1))
    return found


def remember(paper: Paper, text: str, box: tuple[float, float, float, float]) -> None:
    """Notes words and letters of a text that lies in `box`, all letters taken as equally wide."""
    step, (left, top, _, bottom) = (box[2] - box[0]) / len(text), box
    if not (left >= -1 and top >= -1 and box[2] <= paper.width + 1 and bottom <= paper.height + 1):
        return
    start = 0
    for piece in text.split(" "):
        if piece:
            paper.words.append(Word(piece, (left + start * step, top, left + (start + len(piece)) * step, bottom)))
        for index, char in enumerate(piece):
            paper.letters.append(Letter(char, left + (start + index + 0.5) * step, (top + bottom) / 2, bottom))
        start += len(piece) + 1
