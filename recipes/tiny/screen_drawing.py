"""Draws the parts of an interface, and keeps where each part and each letter of it lies."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw

from recipes.tiny.fonts import Face
from recipes.tiny.regions import Box, Region, Size
from recipes.tiny.screen_styles import Colour, Sheet
from recipes.tiny.things import CELL

__all__ = ["Canvas", "Widget"]

SHOWN = {"check box": ("empty check box", "ticked check box"), "switch": ("switch off", "switch on"),
         "radio button": ("radio button", "chosen radio button"), "tab": ("tab", "open tab")}  # fmt: skip


class Widget(NamedTuple):
    """A part that can be clicked. `state` is "on" or "off", or what a field holds."""

    kind: str
    label: str
    box: Box
    state: str = ""

    @property
    def region(self) -> Region:
        """Its place, named by what it looks like: `ticked check box`."""
        looks = SHOWN.get(self.kind)
        name = looks[self.state == "on"] if looks else f"{self.label} icon" if self.kind == "icon" else self.kind
        return Region(name, self.box)


@dataclass
class Canvas:
    """A picture that is being drawn with one sheet and one face; lengths are in pixels, `em` is the size of print."""

    picture: Image.Image
    sheet: Sheet
    face: Face
    em: int
    widgets: list[Widget] = field(default_factory=list)
    letters: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        """Draws into the picture."""
        return ImageDraw.Draw(self.picture)

    @property
    def row(self) -> int:
        """Height of a button or a field."""
        return round(1.9 * self.em)

    @property
    def gap(self) -> int:
        """Between two parts."""
        return max(4, round(0.5 * self.em))

    def width(self, text: str) -> int:
        """Pixels that a text takes."""
        return round(sum(advance(self.face, self.em, char) for char in text))

    def text(self, x: float, middle: float, text: str, ink: Colour) -> None:
        """Prints one line from `x` on, its capitals centred on the row `middle`."""
        baseline = round(middle + 0.36 * self.em)
        x = round(x)
        self.pen.text((x, baseline), text, fill=ink, font=self.face.at(self.em), anchor="ls")
        for char in text:
            step = advance(self.face, self.em, char)
            if char != " ":
                self.letters.append((char, x + step / 2, middle))
            x += step

    def cells(self, size: Size) -> tuple[str, ...]:
        """The letters of each cell, in reading order."""
        rows, columns = size[0] // CELL, size[1] // CELL
        cells: list[list[tuple[float, float, str]]] = [[] for _ in range(rows * columns)]
        for char, x, y in self.letters:
            if 0 <= x < size[1] and 0 <= y < size[0]:
                cells[int(y // CELL) * columns + int(x // CELL)].append((y, x, char))
        return tuple("".join(char for _, _, char in sorted(cell)) for cell in cells)

    def frame(self, box: Box, *, fill: Colour | None, outline: Colour | None, width: int = 1) -> None:
        """A rectangle with the sheet's corners."""
        radius = round(min(self.sheet.radius * self.em, (box[3] - box[1]) / 2))
        corners = (box[0], box[1], box[2] - 1, box[3] - 1)
        self.pen.rounded_rectangle(corners, radius, fill=fill, outline=outline, width=width)

    def add(self, kind: str, label: str, box: Box, state: str = "") -> Box:
        """Remembers a part."""
        self.widgets.append(Widget(kind, label, box, state))
        return box

    # ---- parts: each is drawn with its top left corner at (x, y) and tells its box ----

    def button_width(self, label: str) -> int:
        """How wide a button is."""
        return self.width(label) + round(1.6 * self.em)

    def button(self, x: int, y: int, label: str, *, primary: bool) -> Box:
        """A push button; one in the accent colour is the main one."""
        sheet, box = self.sheet, (x, y, x + self.button_width(label), y + self.row)
        ink = sheet.ink
        if sheet.button == "raised":
            self.raised(box)
        elif primary and sheet.button in ("filled", "flat"):
            self.frame(box, fill=sheet.accent, outline=None)
            ink = sheet.accent_ink
        elif sheet.button == "filled":
            self.frame(box, fill=sheet.bar if sheet.bar_ink == sheet.ink else sheet.field, outline=sheet.border)
        else:
            edge = sheet.accent if primary else sheet.border
            self.frame(box, fill=None, outline=edge, width=2 if primary else 1)
        self.text(x + 0.8 * self.em, y + self.row / 2, label, ink)
        return self.add("button", label, box)

    def raised(self, box: Box) -> None:
        """A block with a light upper left and a dark lower right edge."""
        x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
        self.pen.rectangle((x1, y1, x2, y2), fill=self.sheet.surface)
        self.pen.line([(x1, y2), (x1, y1), (x2, y1)], fill=(255, 255, 255), width=2)
        self.pen.line([(x1, y2), (x2, y2), (x2, y1)], fill=(64, 64, 64), width=2)

    def choice(self, x: int, y: int, label: str, *, kind: str, on: bool) -> Box:
        """A check box, a radio button or a switch with its label behind it."""
        side = round(1.1 * self.em) * (1 if kind != "switch" else 2)
        top, height = y + (self.row - round(1.1 * self.em)) / 2, round(1.1 * self.em)
        mark = (x, top, x + side, top + height)
        {"check box": self.tick, "radio button": self.dot, "switch": self.knob}[kind](mark, on)
        self.text(x + side + 0.5 * self.em, y + self.row / 2, label, self.sheet.ink)
        box = (x, y, x + side + round(0.5 * self.em) + self.width(label), y + self.row)
        return self.add(kind, label, box, "on" if on else "off")

    def tick(self, box: Box, on: bool) -> None:
        """The square of a check box."""
        sheet, (x1, y1, x2, y2) = self.sheet, box
        filled = on and sheet.mark in ("tick", "fill") and sheet.button != "raised"
        edge = sheet.accent if filled else sheet.muted
        small = min(3, round(0.2 * self.sheet.radius * self.em))
        fill, stroke = (sheet.accent if filled else sheet.field), max(1, self.em // 10)
        self.pen.rounded_rectangle((x1, y1, x2 - 1, y2 - 1), small, fill=fill, outline=edge, width=stroke)
        if not on or sheet.mark == "fill":
            return
        ink, stroke, s = (sheet.accent_ink if filled else sheet.ink), max(2, self.em // 7), (x2 - x1)
        if sheet.mark == "tick":
            points = [(x1 + 0.2 * s, y1 + 0.5 * s), (x1 + 0.43 * s, y1 + 0.73 * s), (x1 + 0.8 * s, y1 + 0.27 * s)]
            self.pen.line(points, fill=ink, width=stroke, joint="curve")
        else:
            a, b = 0.25 * s, 0.72 * s
            self.pen.line([(x1 + a, y1 + a), (x1 + b, y1 + b)], fill=ink, width=stroke)
            self.pen.line([(x1 + a, y1 + b), (x1 + b, y1 + a)], fill=ink, width=stroke)

    def dot(self, box: Box, on: bool) -> None:
        """The circle of a radio button."""
        x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
        edge = self.sheet.accent if on else self.sheet.muted
        self.pen.ellipse((x1, y1, x2, y2), fill=self.sheet.field, outline=edge, width=max(1, self.em // 9))
        if on:
            inset = 0.28 * (x2 - x1)
            self.pen.ellipse((x1 + inset, y1 + inset, x2 - inset, y2 - inset), fill=self.sheet.accent)

    def knob(self, box: Box, on: bool) -> None:
        """The track and the knob of a switch: to the right is on."""
        x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
        track = self.sheet.accent if on else self.sheet.muted
        self.pen.rounded_rectangle((x1, y1, x2, y2), (y2 - y1) / 2, fill=track)
        left = x2 - (y2 - y1) + 2 if on else x1 + 2
        self.pen.ellipse((left, y1 + 2, left + (y2 - y1) - 4, y2 - 2), fill=self.sheet.accent_ink if on else (255,) * 3)

    def entry(self, x: int, y: int, label: str, value: str, *, width: int, kind: str = "field") -> Box:
        """A field or a drop-down list with its label above it; the box is that of the frame alone."""
        sheet = self.sheet
        self.text(x, y + 0.6 * self.em, label, sheet.ink)
        top = y + round(1.35 * self.em)
        box = (x, top, x + width, top + self.row)
        if sheet.field_line:
            self.pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=sheet.field)
            self.pen.line([(box[0], box[3] - 1), (box[2], box[3] - 1)], fill=sheet.muted, width=2)
        else:
            self.frame(box, fill=sheet.field, outline=sheet.border)
        self.text(x + 0.5 * self.em, top + self.row / 2, value, sheet.ink)
        if kind == "list":
            right, middle, s = box[2] - 0.6 * self.em, top + self.row / 2, 0.28 * self.em
            self.pen.polygon([(right - 2 * s, middle - s / 2), (right, middle - s / 2), (right - s, middle + s)],
                             fill=sheet.muted)  # fmt: skip
        return self.add(kind, label, box, value)

    def tab(self, x: int, y: int, label: str, *, on: bool) -> Box:
        """The rider of a tab; the open one is underlined."""
        box = (x, y, x + self.width(label) + round(1.2 * self.em), y + self.row)
        self.text(x + 0.6 * self.em, y + self.row / 2, label, self.sheet.ink if on else self.sheet.muted)
        if on:
            self.pen.rectangle((box[0], box[3] - max(2, self.em // 6), box[2] - 1, box[3] - 1), fill=self.sheet.accent)
        return self.add("tab", label, box, "on" if on else "off")

    def menu(self, x: int, y: int, label: str) -> Box:
        """A word of the menu bar."""
        box = (x, y, x + self.width(label) + self.em, y + self.row)
        self.text(x + 0.5 * self.em, y + self.row / 2, label, self.sheet.ink)
        return self.add("menu", label, box)

    def icon(self, x: int, y: int, name: str, alpha: Image.Image) -> Box:
        """An icon button; `alpha` is the drawing."""
        side = self.row
        box = (x, y, x + side, y + side)
        if self.sheet.button == "raised":
            self.raised(box)
        sheet = Image.new("RGB", alpha.size, self.sheet.ink)
        self.picture.paste(sheet, (x + (side - alpha.width) // 2, y + (side - alpha.height) // 2), alpha)
        return self.add("icon", name, box)


@lru_cache(maxsize=40_000)
def advance(face: Face, em: int, char: str) -> float:
    """How far a character moves the pen."""
    return float(face.at(em).getlength(char))
