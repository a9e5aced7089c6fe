"""The packed icons, emoji and flags: what each is called, who draws it, and cut-outs to paste into pictures."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from recipes.tiny.assets import Assets
from recipes.tiny.conversation import pick
from recipes.tiny.pack_icons import ASSET
from recipes.tiny.regions import Box, Region
from recipes.tiny.things import Rgb

__all__ = ["EASY", "Cutout", "Icon", "IconPack", "drawing", "drawn", "has_icons", "icon_pack", "paste"]

MONOCHROME = ("fluent-emoji-high-contrast", "emojione-monotone")
"""Styles in black only, which are printed in an ink that suits the ground; so are all of the kind `interface`."""
FIRST = 24
"""Icons of a kind that are known at difficulty 0."""
EASY = 0.25
"""Difficulty below which things are drawn in colour."""
FAINT = 70.0
"""Levels between an icon's mean colour and the ground's, below which it gets a border like a sticker's."""
OPAQUE = 128


class Icon(NamedTuple):
    """What can be drawn: `names` by language (ISO 639-1), and the styles that draw it."""

    kind: str
    key: str
    names: Mapping[str, str]
    group: str
    styles: tuple[str, ...]

    @property
    def name(self) -> str:
        """In English."""
        return self.names["en"]


class Cutout(NamedTuple):
    """A drawing ready to be pasted: uint8 [h, w, 4], its corner at (x, y); the window is just as large as the ink."""

    name: str
    rgba: NDArray[np.uint8]
    x: int
    y: int
    key: int = 0

    @property
    def box(self) -> Box:
        """x1, y1, x2, y2 in pixels."""
        return self.x, self.y, self.x + self.rgba.shape[1], self.y + self.rgba.shape[0]

    @property
    def region(self) -> Region:
        """Its name and place."""
        return Region(self.name, self.box, self.key)


@dataclass(frozen=True, eq=False)
class IconPack:
    """The opened pack. `kinds` are emoji, flags and interface, each in the order in which they are learnt."""

    kinds: Mapping[str, tuple[Icon, ...]]
    held_out: frozenset[str]
    files: zipfile.ZipFile

    def icons(self, kind: str, *, split: str, difficulty: float) -> tuple[Icon, ...]:
        """The icons of a kind that the split's styles draw: the first FIRST at difficulty 0, all at 1."""
        known = known_icons(self, kind, split)
        last = FIRST + (len(self.kinds[kind]) - FIRST) * difficulty**1.5
        return tuple(icon for place, icon in known if place < last)

    def styles(self, icon: Icon, split: str, *, plain: bool = False) -> tuple[str, ...]:
        """The styles of a split that draw the icon; `plain` leaves out those in black only."""
        found = tuple(style for style in icon.styles if (style in self.held_out) == (split == "held_out"))
        return tuple(style for style in found if style not in MONOCHROME) if plain else found


@lru_cache(maxsize=64)
def known_icons(pack: IconPack, kind: str, split: str) -> tuple[tuple[int, Icon], ...]:
    """(place in the order, icon) of what a split draws."""
    return tuple((place, icon) for place, icon in enumerate(pack.kinds[kind]) if pack.styles(icon, split))


def icon_pack(assets: Assets) -> IconPack:
    """The pack of these assets; MissingDependencyError says how to build it."""
    if not has_icons(assets):
        assets.read(ASSET)
    return opened(assets.folder / ASSET)


def has_icons(assets: Assets) -> bool:
    """Whether these assets hold the pack."""
    return (assets.folder / ASSET).is_file()


@lru_cache(maxsize=4)
def opened(path: Path) -> IconPack:
    """The pack, read whole: worker processes must not share an open file."""
    files = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    index = json.loads(files.read("index.json"))
    kinds = {
        kind: tuple(Icon(kind, one["key"], one["names"], one["group"], tuple(one["styles"])) for one in index[kind])
        for kind in ("emoji", "flags", "interface")
    }
    return IconPack(kinds, frozenset(index["held_out"]), files)


@lru_cache(maxsize=4096)
def drawing(pack: IconPack, member: str) -> Image.Image:
    """A packed drawing, RGBA, cropped to its ink."""
    picture = Image.open(io.BytesIO(pack.files.read(member))).convert("RGBA")
    return cropped(picture)


def cropped(picture: Image.Image) -> Image.Image:
    """Without the rows and columns around it that are more than half transparent."""
    return picture.crop(picture.getchannel("A").point(lambda level: 255 * (level >= OPAQUE)).getbbox())


def drawn(
    rng: np.random.Generator,
    pack: IconPack,
    icon: Icon,
    *,
    split: str,
    side: int,
    ground: NDArray[np.float32],
    turn: float = 0.0,
    plain: bool = False,
) -> Cutout:
    """The icon in a style of the split, its longer side `side` pixels, turned by `turn` degrees, at (0, 0).

    `ground` is the mean colour [3] of what it will lie on, from which it must stand out; `plain` asks for colours.
    """
    style = pick(rng, pack.styles(icon, split, plain=plain))
    picture = drawing(pack, f"{icon.kind}/{style}/{icon.key}.webp")
    scale = side / max(picture.size)
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
                             Image.Resampling.BICUBIC)  # fmt: skip
    if turn:
        picture = cropped(picture.rotate(turn, Image.Resampling.BICUBIC, expand=True))
    inked = icon.kind == "interface" or style in MONOCHROME
    picture = with_ink(rng, picture, ground) if inked else with_border(picture, ground)
    return Cutout(icon.name, np.asarray(picture), 0, 0)


def with_ink(rng: np.random.Generator, picture: Image.Image, ground: NDArray[np.float32]) -> Image.Image:
    """A black drawing printed in a random ink, dark on light ground and light on dark."""
    light = float(ground.mean()) > 120
    ink = rng.uniform(0, 100, 3) if light else rng.uniform(165, 255, 3)
    sheet = Image.new("RGBA", picture.size, (int(ink[0]), int(ink[1]), int(ink[2]), 0))
    sheet.putalpha(picture.getchannel("A"))
    return sheet


def with_border(picture: Image.Image, ground: NDArray[np.float32]) -> Image.Image:
    """A border like a sticker's where the drawing would hardly stand out."""
    pixels = np.asarray(picture, dtype=np.float32)
    solid = pixels[pixels[:, :, 3] >= OPAQUE, :3]
    if not len(solid) or float(np.abs(solid - ground).max(axis=1).mean()) >= FAINT:
        return picture
    level = 250 if float(ground.mean()) < 130 else 40
    edge = 1 + max(picture.size) // 24
    sheet = Image.new("RGBA", (picture.width + 2 * edge, picture.height + 2 * edge), (level, level, level, 0))
    sheet.paste(picture.getchannel("A"), (edge, edge))
    alpha = Image.new("L", sheet.size)
    alpha.paste(picture.getchannel("A"), (edge, edge))
    sheet = Image.new("RGBA", sheet.size, (level, level, level, 255))
    sheet.putalpha(alpha.filter(ImageFilter.MaxFilter(2 * edge + 1)))
    sheet.alpha_composite(picture, (edge, edge))
    return sheet.resize(picture.size, Image.Resampling.BICUBIC)


def paste(rgb: Rgb, cutout: Cutout) -> None:
    """Paints the cut-out over float32 [H, W, 3] in place; what sticks out is lost."""
    left, top, right, bottom = (round(side) for side in cutout.box)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, rgb.shape[1]), min(bottom, rgb.shape[0])
    if x1 > x0 and y1 > y0:
        part = cutout.rgba[y0 - top : y1 - top, x0 - left : x1 - left]
        cover = part[:, :, 3:].astype(np.float32) / 255
        rgb[y0:y1, x0:x1] += cover * (part[:, :, :3] - rgb[y0:y1, x0:x1])
