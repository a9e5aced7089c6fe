"""Prompts that show a model's layers what they will see, while its weights are rounded: drawn pictures, known answers.

Nothing is read from a file or a network and no model is asked, so the same prompts come out on every run: lines of
print, coloured shapes and soft patches of colour, each with a question and what is true of it.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from anyres.chat import ImagePart, Message, TextPart
from anyres.model_input import ModelInput
from anyres.processing.processor import Processor

__all__ = ["drawn_pictures", "drawn_prompts"]

PICTURES = 96
PRINTED = (
    "the quick brown fox jumps over a lazy dog",
    "price total paid date number invoice 1234 56.78 2026",
    "river stone garden window letter Monday Paris",
    "name street light paper green music house water",
)
COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 150, 60),
    "blue": (50, 80, 210),
    "yellow": (230, 200, 40),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
}
SHAPES = ("square", "circle", "triangle")
LINE_PIXELS = (16, 30)  # smallest and largest size of print
READ, DESCRIBE = "What does the picture say?", "Describe the picture."

Drawn = tuple[Image.Image, str, str]
"""A picture, a question, and what is true."""


def drawn_prompts(processor: Processor, *, count: int = PICTURES) -> list[ModelInput]:
    """Whole conversations of one question and its answer; the same on every call."""
    prompts = []
    for picture, question, answer in drawn_pictures(count):
        asked, told = ImagePart(picture), Message("assistant", (TextPart(answer),))
        messages = [Message("user", (asked, TextPart(question))), told]
        prompts.append(processor.prepare(messages, add_generation_prompt=False))
    return prompts


def drawn_pictures(count: int) -> Iterator[Drawn]:
    """Print, shapes and patches of colour in turn, 160x56 to 260x140 pixels."""
    for number in range(count):
        chance = np.random.default_rng(number)
        size = int(chance.integers(160, 260)), int(chance.integers(56, 140))
        yield (_print, _shapes, _patches)[number % 3](chance, size)


def _print(chance: np.random.Generator, size: tuple[int, int]) -> Drawn:
    paper, ink = _colour(chance, 200, 256), _colour(chance, 0, 90)
    pixels = int(chance.integers(*LINE_PIXELS))
    picture = Image.new("RGB", size, paper)
    font, pen = ImageFont.load_default(pixels), ImageDraw.Draw(picture)
    words = " ".join(PRINTED).split()
    lines = [" ".join(str(word) for word in chance.choice(words, 3)) for _ in range(4, size[1] - pixels, pixels + 5)]
    for row, line in enumerate(lines):
        pen.text((6, 4 + row * (pixels + 5)), line, fill=ink, font=font)
    return picture, READ, "\n".join(lines)


def _shapes(chance: np.random.Generator, size: tuple[int, int]) -> Drawn:
    names = [str(name) for name in chance.permutation(list(COLOURS))]
    picture = Image.new("RGB", size, COLOURS[names[0]])
    pen, told = ImageDraw.Draw(picture), []
    for name in names[1 : 2 + int(chance.integers(0, 3))]:
        x, y = (int(chance.integers(0, edge - 30)) for edge in size)
        side, shape = int(chance.integers(14, 48)), SHAPES[int(chance.integers(0, len(SHAPES)))]
        _draw(pen, shape, (x, y, x + side, y + side), COLOURS[name])
        told.append(f"a {name} {shape}")
    return picture, DESCRIBE, f"{' and '.join(told)} on {names[0]}."


def _draw(pen: ImageDraw.ImageDraw, shape: str, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    if shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "circle":
        pen.ellipse(box, fill=colour)
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=colour)


def _patches(chance: np.random.Generator, size: tuple[int, int]) -> Drawn:
    """Soft like what a camera sees out of focus, with its grain."""
    coarse = chance.integers(0, 256, (int(chance.integers(2, 9)), int(chance.integers(2, 9)), 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    grain = chance.normal(0, float(chance.uniform(0, 12)), soft.shape)
    picture = Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))
    return picture, DESCRIBE, "Soft patches of colour, and nothing that can be named."


def _colour(chance: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(one) for one in chance.integers(low, high, 3))
    return red, green, blue
