"""Style sheets of drawn interfaces: colours, corners, how buttons and marks look. Two are never trained on."""

from typing import NamedTuple

import numpy as np

__all__ = ["SHEETS", "Sheet", "sheet_for"]

Colour = tuple[int, int, int]


class Sheet(NamedTuple):
    """How an interface looks; `radius` of corners in ems, `button` is "filled", "outlined", "raised" or "flat"."""

    name: str
    desktop: Colour
    surface: Colour
    ink: Colour
    muted: Colour
    border: Colour
    field: Colour
    accent: Colour
    accent_ink: Colour
    radius: float
    button: str
    bar: Colour
    """Ground of the title bar; `bar_ink` is readable on it."""
    bar_ink: Colour
    mark: str = "tick"
    """What a ticked check box shows: "tick", "cross" or "fill"."""
    field_line: bool = False
    """Fields have only a line below instead of a frame."""
    held_out: bool = False


WHITE, BLACK = (255, 255, 255), (20, 20, 20)
SHEETS = (
    Sheet("light", (222, 228, 236), WHITE, (33, 37, 41), (108, 117, 125), (206, 212, 218), WHITE, (13, 110, 253),
          WHITE, 0.35, "filled", (240, 242, 245), (33, 37, 41)),
    Sheet("dark", (13, 17, 23), (33, 38, 45), (230, 237, 243), (139, 148, 158), (72, 79, 88), (13, 17, 23),
          (35, 134, 54), WHITE, 0.35, "filled", (22, 27, 34), (230, 237, 243)),
    Sheet("material", (236, 230, 240), (255, 251, 254), (28, 27, 31), (73, 69, 79), (121, 116, 126), (231, 224, 236),
          (103, 80, 164), WHITE, 0.9, "filled", (103, 80, 164), WHITE, field_line=True),
    Sheet("outline", (245, 245, 240), (252, 252, 250), (30, 30, 30), (110, 110, 110), (40, 40, 40), WHITE,
          (200, 60, 40), WHITE, 0.0, "outlined", (252, 252, 250), (30, 30, 30), mark="cross"),
    Sheet("blue grey", (69, 90, 100), (236, 239, 241), (38, 50, 56), (96, 125, 139), (144, 164, 174), WHITE,
          (0, 121, 107), WHITE, 0.15, "filled", (55, 71, 79), WHITE),
    Sheet("terminal", (0, 0, 0), (16, 20, 16), (120, 240, 140), (70, 150, 85), (60, 130, 75), (0, 0, 0),
          (120, 240, 140), (0, 20, 0), 0.0, "outlined", (20, 40, 22), (120, 240, 140), mark="cross"),
    Sheet("warm", (250, 240, 228), (255, 252, 246), (67, 52, 40), (140, 120, 100), (214, 196, 172), (255, 255, 252),
          (217, 119, 6), WHITE, 0.6, "filled", (254, 243, 224), (67, 52, 40)),
    Sheet("night blue", (15, 23, 42), (30, 41, 59), (226, 232, 240), (148, 163, 184), (71, 85, 105), (15, 23, 42),
          (56, 189, 248), (8, 20, 40), 0.5, "outlined", (2, 6, 23), (226, 232, 240), mark="fill"),
    Sheet("flat green", (200, 230, 201), (245, 250, 245), (27, 60, 32), (90, 120, 95), (165, 200, 168), WHITE,
          (46, 125, 50), WHITE, 0.0, "flat", (46, 125, 50), WHITE, field_line=True),
    Sheet("contrast", (0, 0, 0), (0, 0, 0), WHITE, (210, 210, 210), WHITE, (0, 0, 0), (255, 230, 0), BLACK, 0.1,
          "outlined", (0, 0, 60), WHITE, mark="cross"),
    Sheet("classic grey", (0, 128, 128), (192, 192, 192), BLACK, (90, 90, 90), (128, 128, 128), WHITE, (0, 0, 128),
          WHITE, 0.0, "raised", (0, 0, 128), WHITE, held_out=True),
    Sheet("rose", (255, 228, 236), (255, 246, 249), (80, 20, 45), (160, 100, 125), (235, 175, 200), WHITE,
          (219, 39, 119), WHITE, 0.8, "outlined", (157, 23, 77), WHITE, mark="fill", held_out=True),
)  # fmt: skip


def sheet_for(rng: np.random.Generator, split: str) -> Sheet:
    """A sheet of the split, sometimes in another accent colour."""
    chances = [sheet for sheet in SHEETS if sheet.held_out == (split == "held_out")]
    sheet = chances[int(rng.integers(len(chances)))]
    if sheet.accent_ink == WHITE and rng.random() < 0.4:
        red, green, blue = (int(value) for value in rng.integers(10, 150, 3))
        sheet = sheet._replace(accent=(red, green, blue))
    return sheet
