"""Asks a checkpoint about real material that nobody here made: `python -m recipes.tiny real FOLDER --pictures DIR`.

DIR has the folders `photos` and `videos` with the pictures that PIECES names, by their file names in scikit-image,
tesseract-ocr/test, inspect_ai's documentation and intel-iot-devkit/sample-videos. None of it is ever trained on. Pieces
are cut out and not changed otherwise; some of what is asked is beyond the model, and stands there all the same.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

import anyres
from anyres.chat import GenerationOptions, ImagePart, Message, TextPart, VideoPart
from recipes.tiny.scores import edit_distance

__all__ = ["PIECES", "Piece", "Told", "ask_all", "main", "page_text"]

Box = tuple[int, int, int, int]
SCAN = "photos/eurotext.png"
SCANNED = (
    "The (quick) [brown] {fox} jumps!", "Over the $43,456.78 <lazy> #90 dog", "& duck/goose, as 12.5% of E-mail",
    "from aspammer@website.com is spam.", "Der „schnelle” braune Fuchs springt", "über den faulen Hund. Le renard brun",
    "«rapide» saute par-dessus le chien", "paresseux. La volpe marrone rapida", "salta sopra il cane pigro. El zorro",
    "marrón rápido salta sobre el perro", "perezoso. A raposa marrom rápida", "salta sobre o cão preguiçoso.",
)  # fmt: skip
"""The lines of the scanned page."""
READ = "Read the text."


class Piece(NamedTuple):
    """A cut out piece of a picture, or a clip, and a question with its answer; `kind` is a heading of the page."""

    kind: str
    file: str
    box: Box | None
    question: str
    answer: str


class Told(NamedTuple):
    """What a checkpoint said of a piece."""

    piece: Piece
    text: str

    @property
    def right(self) -> bool:
        """Whether it is the wanted answer; how rows are broken does not count."""
        return self.text.split() == self.piece.answer.split()

    @property
    def edits(self) -> int:
        """Characters that would have to be changed."""
        return edit_distance(" ".join(self.text.split()), " ".join(self.piece.answer.split()))


def scan_lines(first: int, count: int) -> Box:
    """The box of some lines of the scanned page, whose lines stand 50.3 pixels from each other."""
    return 85, round(61 + 50.3 * first), 930, round(61 + 50.3 * (first + count))


LINES = "One line of a scan or a photograph"
ROWS = "Two and three lines of a scan"
PAGES = "A whole scanned page"
SCREEN = "A piece of a screenshot"
CLIPS = "Clips of a person signing"
BEYOND = "Beyond it: photographs, handwriting"
SHOT, PAGE = "photos/screenshot.png", "photos/page.png"
PIECES = (
    *(Piece(LINES, SCAN, scan_lines(number, 1), READ, text) for number, text in enumerate(SCANNED)),
    Piece(LINES, PAGE, (2, 5, 292, 38), READ, "Region-based segmentation"),
    *(
        Piece(ROWS, SCAN, scan_lines(first, 2), "Read all the text.", "\n".join(SCANNED[first : first + 2]))
        for first in (0, 2, 4, 6, 8, 10)
    ),
    Piece(PAGES, SCAN, None, "Read all the text.", "\n".join(SCANNED)),
    Piece(SCREEN, SHOT, (1056, 235, 1218, 282), READ, "Incorrect"),
    Piece(SCREEN, SHOT, (1330, 238, 1470, 280), READ, "sample asc"),
    Piece(SCREEN, SHOT, (24, 80, 300, 120), READ, "4/27/2024, 9:38:15 PM"),
    Piece(SCREEN, SHOT, (1360, 62, 1480, 112), READ, "0.81"),
    Piece(SCREEN, SHOT, (1500, 62, 1650, 112), READ, "0.040"),
    Piece(SCREEN, SHOT, (925, 400, 1030, 440), READ, "bucket"),
    Piece(SCREEN, SHOT, (960, 235, 1230, 282), "What does it say for Scores?", "Incorrect"),
    Piece(SCREEN, SHOT, (1240, 235, 1480, 282), "What is the sort?", "sample asc"),
    Piece(SCREEN, SHOT, (960, 235, 1230, 282), "What is the total?", "There is no total."),
    Piece(CLIPS, "videos/sign_book.mkv", None, "Does anything move?", "yes"),
    Piece(CLIPS, "videos/sign_eat.mp4", None, "Does anything move?", "yes"),
    Piece(BEYOND, "photos/cat.png", None, "What is this?", "a cat"),
    Piece(BEYOND, "photos/coffee.png", None, "What is the white thing?", "a cup"),
    Piece(BEYOND, "photos/digits.png", (0, 0, 400, 40), "Read the text.", "0123456789"),
    Piece(BEYOND, PAGE, None, "Read all the text.", "Region-based segmentation ..."),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m recipes.tiny real", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="where the page is written")
    options = parser.parse_args(arguments)
    told = ask_all(anyres.load(options.folder), options.pictures)
    text = page_text(told)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text if not options.out else summary(told))


def ask_all(model: anyres.LocalChatModel, pictures: Path) -> list[Told]:
    """Greedy answers to all PIECES."""
    options = GenerationOptions(max_tokens=600, temperature=0.0)
    asked = [[Message("user", [part_of(piece, pictures), TextPart(piece.question)])] for piece in PIECES]
    answers = model.chat_batch(asked, options=options)
    return [Told(piece, answer.text.strip()) for piece, answer in zip(PIECES, answers, strict=True)]


def part_of(piece: Piece, pictures: Path) -> ImagePart | VideoPart:
    """The clip, or the piece of the picture with its pixels unchanged."""
    if piece.kind == CLIPS:
        return VideoPart(str(pictures / piece.file))
    with Image.open(pictures / piece.file) as picture:
        return ImagePart(picture.convert("RGB").crop(piece.box or (0, 0, *picture.size)))


def summary(told: Sequence[Told]) -> str:
    """A line a kind: how many are right, and the share of characters."""
    lines = []
    for kind in dict.fromkeys(one.piece.kind for one in told):
        found = [one for one in told if one.piece.kind == kind]
        letters = sum(len(one.piece.answer) for one in found)
        share = max(0.0, 1 - sum(one.edits for one in found) / letters)
        lines.append(f"{kind}: {sum(one.right for one in found)} of {len(found)} right, {share:.1%} of the characters")
    return "\n".join(lines)


def page_text(told: Sequence[Told]) -> str:
    """The page of all answers, right and wrong."""
    parts = [HEAD, "```text", summary(told), "```", ""]
    for kind in dict.fromkeys(one.piece.kind for one in told):
        parts += [f"## {kind}", "", "| from | asked | told | wanted where it is wrong |", "|---|---|---|---|"]
        parts += [row_of(one) for one in told if one.piece.kind == kind]
        parts.append("")
    return "\n".join(parts)


def row_of(one: Told) -> str:
    """A row of the page."""
    piece = one.piece
    place = Path(piece.file).name + (f" {piece.box[0]},{piece.box[1]}" if piece.box else "")
    wanted = "" if one.right else cell(piece.answer)
    return f"| {place} | {piece.question} | {cell(one.text)} | {wanted} |"


def cell(text: str) -> str:
    """In a cell of a Markdown table."""
    shown = " / ".join(text.replace("|", "\\|").replace("`", "'").split("\n"))
    return f"`{shown}`"


HEAD = """# What `tiny` says of real material

Pictures and clips that nobody here drew and that no training has seen: a scanned page of six languages
(tesseract-ocr/test), a photographed page, photographs and handwritten digits (scikit-image, scikit-learn), a screenshot
(inspect_ai), two clips of a person signing (intel-iot-devkit). Pieces are cut out by hand; numbers behind a file's name
are the upper left corner of the piece. Written by `python -m recipes.tiny real`; wrong answers stand beside right ones.
"""

if __name__ == "__main__":
    main()
