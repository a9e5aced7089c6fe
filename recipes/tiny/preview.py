"""A contact sheet to look at: `python -m recipes.tiny.preview --out sheet.png --task line --difficulty 1`."""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from recipes.tiny.factory import TASKS, Sample, make_sample
from recipes.tiny.fonts import system_fonts

GAP, CAPTION = 6, 15


def tile(sample: Sample, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The frames side by side over the question (but for lines) and the answer."""
    height, width = sample.frames[0].shape[:2]
    caption = f"{sample.question} -> {sample.answer}" if sample.task != "line" else sample.answer
    span = max(len(sample.frames) * (width + 2), int(font.getlength(caption)) + 4)
    picture = Image.new("RGB", (span, height + CAPTION), "lightcyan")
    for index, frame in enumerate(sample.frames):
        picture.paste(Image.fromarray(frame), (index * (width + 2), 0))
    ImageDraw.Draw(picture).text((1, height + 1), caption, fill="black", font=font)
    return picture


def sheet(samples: list[Sample], width: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Tiles in rows of at most `width` pixels, captions in `font`."""
    placed: list[tuple[Image.Image, int, int]] = []
    x = y = row = 0
    for picture in (tile(sample, font) for sample in samples):
        if x and x + picture.width > width:
            x, y, row = 0, y + row + GAP, 0
        placed.append((picture, x, y))
        x, row = x + picture.width + GAP, max(row, picture.height)
    page = Image.new("RGB", (width, y + row), "white")
    for picture, left, top in placed:
        page.paste(picture, (left, top))
    return page


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, nargs="*", default=list(TASKS))
    parser.add_argument("--split", default="train")
    parser.add_argument("--difficulty", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=1500)
    options = parser.parse_args()
    samples = [
        make_sample(
            options.task[i % len(options.task)],
            split=options.split,
            seed=options.seed + i,
            difficulty=options.difficulty,
        )
        for i in range(options.count)
    ]
    faces = {face.name: face for family in system_fonts().train for face in family}
    sheet(samples, options.width, faces["DejaVuSans"].at(11)).save(options.out)


if __name__ == "__main__":
    main()
