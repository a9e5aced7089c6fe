"""The rows of drawn interfaces: buttons, boxes to tick, fields, tabs, icons, laid out column by column."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from recipes.tiny.assets import Assets
from recipes.tiny.conversation import pick
from recipes.tiny.icon_pack import drawing, has_icons, icon_pack
from recipes.tiny.phrases import contact, moment, name, number, price
from recipes.tiny.screen_drawing import Canvas
from recipes.tiny.screen_words import labels

__all__ = ["ROWS", "Screen", "buttons", "check_boxes", "fields", "lists", "radio_buttons", "switches", "tabs"]

VALUES = (name, number, price, moment, contact)


@dataclass
class Screen:
    """An interface that grows row by row in one column or more: what it draws with, and the labels it has used."""

    rng: np.random.Generator
    canvas: Canvas
    assets: Assets
    split: str
    language: str
    difficulty: float
    tops: list[int]
    """Where the next row of each column begins."""
    column: int = 0
    used: set[str] = field(default_factory=set)

    @property
    def y(self) -> int:
        """Where the next row begins."""
        return self.tops[self.column]

    @property
    def left(self) -> int:
        """Where rows begin."""
        return self.canvas.gap * 2 + self.column * self.canvas.picture.width // len(self.tops)

    @property
    def right(self) -> int:
        """Where rows end."""
        return (self.column + 1) * self.canvas.picture.width // len(self.tops) - self.canvas.gap * 2

    def label(self, room: float) -> str:
        """A label that is not on the screen yet and takes at most `room` pixels; "" where none is found."""
        for _ in range(8):
            text = drawn_label(self.rng, self.assets, self.language, self.split)
            fits = text not in self.used and self.canvas.width(text) <= room and self.canvas.face.covers(text)
            if fits and text:
                self.used.add(text)
                return text
        return ""

    def advance(self, height: int) -> None:
        """Goes on below a row of `height`."""
        self.tops[self.column] += height + self.canvas.gap


def drawn_label(rng: np.random.Generator, assets: Assets, language: str, split: str) -> str:
    """A usual label, or any word of the language, the frequent ones more often, which nobody can guess."""
    words = assets.words(language, split)
    if words and rng.random() < 0.5:
        word = words[int(len(words) * rng.random() ** 2)]
        return word[:1].upper() + word[1:]
    return pick(rng, labels(language, split))


# ---- rows: each adds parts below what is there; a row for which there is no room stays away ----


def buttons(screen: Screen) -> None:
    """One to three push buttons, the first or the last in the accent colour."""
    rng, canvas, x = screen.rng, screen.canvas, screen.left
    count = int(rng.integers(1, 4))
    chosen = int(rng.integers(count))
    for place in range(count):
        text = screen.label(screen.right - x - 1.6 * canvas.em)
        if not text:
            break
        x = round(canvas.button(x, screen.y, text, primary=place == chosen)[2]) + canvas.gap
    if x > screen.left:
        screen.advance(canvas.row)


def choices(screen: Screen, kind: str) -> None:
    """One to three check boxes or switches, each on half of the time, or radio buttons of which one is on."""
    rng, canvas = screen.rng, screen.canvas
    count = int(rng.integers(1, 3 + round(screen.difficulty))) + (kind == "radio button")
    chosen = int(rng.integers(count))
    for place in range(count):
        text = screen.label(screen.right - screen.left - 2.8 * canvas.em)
        on = place == chosen if kind == "radio button" else rng.random() < 0.5
        if text:
            canvas.choice(screen.left, screen.y, text, kind=kind, on=bool(on))
            screen.advance(canvas.row - canvas.gap)
    screen.advance(0)


def check_boxes(screen: Screen) -> None:
    """Check boxes."""
    choices(screen, "check box")


def switches(screen: Screen) -> None:
    """Switches."""
    choices(screen, "switch")


def radio_buttons(screen: Screen) -> None:
    """Radio buttons."""
    choices(screen, "radio button")


def entry(screen: Screen, kind: str) -> None:
    """A field or a drop-down list that holds something, or nothing once in seven."""
    rng, canvas = screen.rng, screen.canvas
    width = round((screen.right - screen.left) * float(rng.uniform(0.75, 1)))
    text, room = screen.label(width), width - (1 if kind == "field" else 2.4) * canvas.em
    if not text:
        return
    value = ""
    if kind == "list":
        value = screen.label(room)
    elif rng.random() < 6 / 7:
        value = value_for(screen, room)
    canvas.entry(screen.left, screen.y, text, value, width=width, kind=kind)
    screen.advance(round(1.35 * canvas.em) + canvas.row)


def value_for(screen: Screen, room: float) -> str:
    """What somebody typed: a name, a number, an address, a date, or words; cut to `room` pixels."""
    rng, canvas = screen.rng, screen.canvas
    words = screen.assets.words("en", screen.split)
    if words and rng.random() < 0.5:
        text = " ".join(pick(rng, words) for _ in range(int(rng.integers(1, 3))))
    else:
        text = " ".join(pick(rng, VALUES)(rng, screen.split, 16).split())
    text = "".join(char for char in text if canvas.face.covers(char))
    while canvas.width(text) > room:
        text = text[:-1]
    return text.strip()


def fields(screen: Screen) -> None:
    """A field."""
    entry(screen, "field")


def lists(screen: Screen) -> None:
    """A drop-down list."""
    entry(screen, "list")


def bar(screen: Screen, draw: Callable[[int, str, bool], int], room: float) -> None:
    """Two to five labelled parts side by side, as there is room; one is the open one. Nothing where one fits."""
    texts, x = list[str](), screen.left
    while len(texts) < 5 and (text := screen.label(screen.right - x - room)):
        texts.append(text)
        x += round(screen.canvas.width(text) + room)
    chosen, x = int(screen.rng.integers(max(1, len(texts)))), screen.left
    if len(texts) < 2:
        return
    for place, text in enumerate(texts):
        x = draw(x, text, place == chosen)
    screen.advance(screen.canvas.row)


def tabs(screen: Screen) -> None:
    """A row of tabs."""
    canvas = screen.canvas
    bar(screen, lambda x, text, on: round(canvas.tab(x, screen.y, text, on=on)[2]), 1.2 * canvas.em)


def menus(screen: Screen) -> None:
    """A menu bar."""
    canvas = screen.canvas
    bar(screen, lambda x, text, _: round(canvas.menu(x, screen.y, text)[2]), canvas.em)


def icons(screen: Screen) -> None:
    """A row of icon buttons of one drawing style; nothing where there is no pack."""
    if not has_icons(screen.assets):
        return
    rng, canvas, pack = screen.rng, screen.canvas, icon_pack(screen.assets)
    known = pack.icons("interface", split=screen.split, difficulty=screen.difficulty)
    style = pick(rng, sorted({style for icon in known for style in pack.styles(icon, screen.split)}))
    suitable = [icon for icon in known if style in icon.styles and icon.name not in screen.used]
    count = min(len(suitable), int(rng.integers(2, 6)), (screen.right - screen.left) // (canvas.row + canvas.gap))
    side = round(1.3 * canvas.em)
    for place, at in enumerate(rng.choice(len(suitable), size=count, replace=False)):
        icon = suitable[at]
        screen.used.add(icon.name)
        alpha = drawing(pack, f"interface/{style}/{icon.key}.webp").getchannel("A").copy()
        alpha.thumbnail((side, side), Image.Resampling.BICUBIC)
        canvas.icon(screen.left + place * (canvas.row + canvas.gap), screen.y, icon.name, alpha)
    if count:
        screen.advance(canvas.row)


def heading(screen: Screen) -> None:
    """A line of text that is no part to click."""
    canvas = screen.canvas
    text = screen.label(screen.right - screen.left)
    canvas.text(screen.left, screen.y + canvas.row / 2, text, canvas.sheet.muted)
    screen.advance(canvas.row)


ROWS: tuple[Callable[[Screen], None], ...] = (
    buttons, buttons, check_boxes, switches, radio_buttons, fields, fields, lists, tabs, menus, icons, icons, heading,
)  # fmt: skip
