"""Small icon packs drawn here, and what holds for every example of the factory."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from recipes.tiny import clips, lines, scenes
from recipes.tiny.assets import Assets
from recipes.tiny.example import Example
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.pack_icons import ASSET
from recipes.tiny.places import COLUMNS, Places, Referent
from recipes.tiny.things import COLOURS, NAMES, SLOTS, Thing, coverage

Maker = Callable[..., Example]
METRICS = {"exact", "characters", "json", "cells", "box", "point", "number"}
PLACE = re.compile(r"<\|box_start\|>\((\d+),(\d+)\)(?:,\((\d+),(\d+)\))?<\|box_end\|>")
STYLES = {
    "emoji": ("noto", "emojione-monotone", "fxemoji"),
    "flags": ("flag", "flagpack"),
    "interface": ("mdi", "tabler", "ph"),
}
SHOWN = tuple(name for name in NAMES if name.split()[0] in ("red", "green", "blue", "purple"))


class Drawn(NamedTuple):
    """A line, a scene or a clip alike: frames, a question and its answer, and what is told of each cell."""

    frames: tuple[np.ndarray, ...]
    question: str
    answer: str
    cells: list[list[str]]
    places: Places | None = None
    referent: Referent | None = None
    further: tuple[scenes.Asked, ...] = ()


def drawing(
    task: str, seed: int, difficulty: float = 0.5, *, split: str = "train", size: tuple[int, int] | None = None
) -> Drawn:
    """The drawing of a seed; print is set in the face built into Pillow, so no font package is needed."""
    rng = np.random.default_rng([seed, split == "train"])
    if task in scenes.PLANS:
        scene = scenes.make_scene(rng, task=task, difficulty=difficulty, size=size)
        (question, answer, referent, _), *further = scene.asked
        return Drawn((scene.frame,), question, answer, scene.cells, scene.places, referent, tuple(further))
    if task in clips.STAGES:
        clip = clips.make_clip(rng, task=task, difficulty=difficulty, size=size)
        return Drawn(tuple(clip.frames), clip.question, clip.answer, clip.cells, clip.places, clip.referent)
    line = lines.make_line(rng, split=split, difficulty=difficulty, size=size, fonts=builtin_fonts())
    return Drawn((line.frame,), "Read the text.", line.text, line.cells)


def drawn(name: str, black: bool) -> bytes:
    """A shape as a WebP."""
    colour, shape = name.split()
    cover = coverage(Thing(shape, colour, 32, 32, 30))
    tone = np.broadcast_to(np.array((0, 0, 0) if black else COLOURS[colour]), (*cover.shape, 3))
    rgba = np.concatenate([tone, cover[:, :, None] * 255], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def tiny_assets(folder: Path) -> Assets:
    """The machine's fonts and texts, with a pack of coloured shapes for icons, flags and buttons."""
    index: dict[str, object] = {"held_out": ["fxemoji", "flagpack", "ph"]}
    with zipfile.ZipFile(folder / ASSET, "w") as pack:
        for kind, styles in STYLES.items():
            index[kind] = [
                {
                    "key": name.replace(" ", "-"),
                    "names": {"en": name, "de": f"das {name}"},
                    "group": "",
                    "styles": styles,
                }
                for name in SHOWN
            ]
            for style in styles:
                for name in SHOWN:
                    raw = drawn(name, black=kind == "interface" or style == "emojione-monotone")
                    pack.writestr(f"{kind}/{style}/{name.replace(' ', '-')}.webp", raw)
        pack.writestr("index.json", json.dumps(index))
    return Assets.open(folder)


def made(maker: Maker, assets: Assets, seed: int = 0, difficulty: float = 0.5, split: str = "train") -> Example:
    """An example from a generator of its own."""
    return maker(np.random.default_rng(seed), split=split, difficulty=difficulty, assets=assets)


def media(example: Example) -> list[list[np.ndarray]]:
    """The frames of each picture (one) or clip."""
    found = []
    for part in example.messages[0].parts:
        if isinstance(part, ImagePart):
            found.append([part.image])
        elif isinstance(part, VideoPart):
            found.append(list(part.video))
    return found


def question(example: Example) -> str:
    """The text of the first turn."""
    part = example.messages[0].parts[-1]
    assert isinstance(part, TextPart)
    return part.text


def letters(example: Example) -> Counter[str]:
    """All characters told of the first picture's cells, with how often."""
    dense = example.dense[0]
    assert dense is not None
    assert dense.letters is not None
    return Counter("".join(dense.letters))


def picture(example: Example) -> np.ndarray:
    """The picture that comes first."""
    part = example.messages[0].parts[0]
    assert isinstance(part, ImagePart)
    assert isinstance(part.image, np.ndarray)
    return part.image


def tokens(example: Example) -> int:
    """Visual tokens of all pictures and clips."""
    return sum(max(1, len(one) // 2) * (one[0].shape[0] // 28) * (one[0].shape[1] // 28) for one in media(example))


def names(example: Example, place: int = 0) -> set[str]:
    """All names told of a picture's cells."""
    dense = example.dense[place]
    assert dense is not None
    assert dense.names is not None
    return {name for cell in dense.names for name in cell}


def numbers(answer: str) -> list[tuple[int, ...]]:
    """The coordinates of all boxes and points in an answer."""
    return [tuple(int(one) for one in found if one) for found in PLACE.findall(answer)]


def same(first: Example, second: Example) -> bool:
    """Whether two examples say and show the same."""
    pairs = [
        (a, b) for one, two in zip(media(first), media(second), strict=True) for a, b in zip(one, two, strict=True)
    ]
    told = (question(first), first.answer, first.task) == (question(second), second.answer, second.task)
    return told and all(np.array_equal(a, b) for a, b in pairs)


def check(example: Example) -> None:
    """What holds for every example."""
    assert example.task
    assert example.metric in METRICS
    assert [message.role for message in example.messages] == ["user", "assistant"] * (len(example.messages) // 2)
    assert all(isinstance(message, Message) and message.content for message in example.messages)
    assert example.answer == example.answer.strip()
    assert example.metric == "characters" or "{" not in example.answer, "no template is left open; print may have any"
    assert len(example.dense) == len(media(example))
    for frames, dense in zip(media(example), example.dense, strict=True):
        height, width, _ = frames[0].shape
        assert all(frame.shape == (height, width, 3) and frame.dtype == np.uint8 for frame in frames)
        assert height % 28 == width % 28 == 0
        assert height * width >= 56 * 56
        assert len(frames) == 1 or (len(frames) % 2 == 0 and 4 <= len(frames) <= 16)
        cells = max(1, len(frames) // 2) * (height // 28) * (width // 28)
        assert dense is not None
        assert dense.letters is None or len(dense.letters) == cells
        assert dense.names is None or (len(dense.names) == cells and max(map(len, dense.names)) <= SLOTS)
        assert dense.places is None or dense.places.shape == (cells, COLUMNS)
    assert tokens(example) <= 1100
    for found in numbers(example.answer):
        assert all(0 <= one <= 999 for one in found)
        if len(found) == 4:
            assert found[0] < found[2]
            assert found[1] < found[3]
