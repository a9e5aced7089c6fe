"""Captions in all scripts of the factory: each character in the first face that draws it, lines broken to fit."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from PIL import ImageDraw

from recipes.tiny.assets import SCRIPTS, Assets
from recipes.tiny.fonts import Face

__all__ = ["Captions", "Run"]

PIECE = re.compile(r"\s+|\S+")
PREFERRED = ("dejavu sans", "wqy microhei", "vl gothic", "nanum gothic", "noto sans arabic")
"""Families that are easy to read small; where one is missing the shortest name of the script serves."""
MORE = "…"


class Run(NamedTuple):
    """Characters that one face draws."""

    face: Face
    text: str


class Captions:
    """Writes lines of `size` pixels an em with several faces in turn; what no face draws becomes a box of the first."""

    def __init__(self, faces: Sequence[Face], size: int) -> None:
        assert faces
        self.faces, self.size = tuple(faces), size

    @classmethod
    def of(cls, assets: Assets, size: int) -> "Captions":
        """With a plain face of every script that the assets have."""
        return cls([face for script in SCRIPTS for face in plain_face(assets, script)], size)

    @property
    def pitch(self) -> int:
        """Pixels from one line to the next."""
        return round(1.35 * self.size)

    def width(self, text: str) -> float:
        """Pixels that a line takes."""
        return sum(float(run.face.at(self.size).getlength(run.text)) for run in self.runs(text))

    def runs(self, text: str) -> Iterator[Run]:
        """The line in pieces of one face each; a blank goes with what is before it."""
        face, faces = self.faces[0], list[Face]()
        for char in text:
            if char != " ":
                face = next((one for one in self.faces if one.covers(char)), self.faces[0])
            faces.append(face)
        for chosen, group in groupby(zip(faces, text, strict=True), key=lambda pair: pair[0]):
            yield Run(chosen, "".join(char for _, char in group))

    def wrapped(self, text: str, width: float, most: int = 1000) -> list[str]:
        """Lines no wider than `width`, broken at blanks, else inside a word; of more than `most`, the last says so."""
        lines = [line for paragraph in text.split("\n") for line in self._broken(paragraph, width)]
        return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][:-2]}{MORE}"]

    def write(self, draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, fill: str) -> None:
        """One line whose left end and baseline are `at`."""
        x, y = at
        for run in self.runs(text):
            font = run.face.at(self.size)
            draw.text((x, y), run.text, fill=fill, font=font, anchor="ls")
            x += float(font.getlength(run.text))

    def _broken(self, paragraph: str, width: float) -> list[str]:
        lines = [""]
        for piece in PIECE.findall(paragraph):
            if self.width(lines[-1] + piece.rstrip()) <= width:
                lines[-1] += piece
                continue
            lines.append("")
            for char in piece.lstrip():
                if lines[-1] and self.width(lines[-1] + char) > width:
                    lines.append("")
                lines[-1] += char
        return [line.rstrip() for line in lines if line.strip()] or [""]


def plain_face(assets: Assets, script: str) -> list[Face]:
    """A face of the script: one of PREFERRED if it is there; none where the assets have none."""
    families = assets.families(script, "train")
    faces = sorted((face for family in families for face in family if face.plain), key=rank)
    return faces[:1] or [face for family in families[:1] for face in family[:1]]


def rank(face: Face) -> tuple[int, int]:
    """The place of a face among those that could serve: preferred families first, plain names before bold ones."""
    return PREFERRED.index(face.family) if face.family in PREFERRED else len(PREFERRED), len(face.name)
