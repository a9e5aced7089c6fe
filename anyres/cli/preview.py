"""A small picture in the terminal: the protocols of kitty, iTerm2 and sixel, or coloured half blocks."""

import base64
import io
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from anyres.errors import OptionError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MODES", "Mode", "choose_mode", "preview"]

Mode = Literal["kitty", "iterm2", "sixel", "blocks", "off"]
MODES = ("auto", "kitty", "iterm2", "sixel", "blocks", "off")
LARGEST = (480, 270)  # pixels
COLUMNS = 48  # of half blocks
COLOURS = 64
_KITTY_PIECE = 4096  # letters of base64 in one escape sequence
_ESC, _END = "\x1b", "\x1b\\"


def choose_mode(wanted: str, environ: Mapping[str, str]) -> Mode:
    """What this terminal shows, judged by its variables; "off" where none tells. OptionError for an unknown word.

    Half blocks are never chosen: they are a poor picture, and only for those who ask.

    >>> choose_mode("auto", {"TERM": "xterm-kitty"}), choose_mode("auto", {"TERM": "xterm"})
    ('kitty', 'off')
    """
    if wanted not in MODES:
        raise OptionError("--preview", repr(wanted), ", ".join(MODES))
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if "TMUX" in environ or term.startswith(("screen", "tmux")) or term == "dumb":
        return "off"  # these pass pictures on only where they are told to
    if "kitty" in term or "KITTY_WINDOW_ID" in environ or program in ("ghostty", "WezTerm") or "ghostty" in term:
        return "kitty"
    if program == "iTerm.app" or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "sixel" if term.startswith(("foot", "mlterm", "yaft", "contour")) or "sixel" in term else "off"


def preview(picture: "Image.Image", mode: Mode) -> str:
    """What to write to the terminal; "" for "off". The picture is drawn anew, so no byte of a file gets there."""
    if mode == "off":
        return ""
    small = picture.convert("RGB")
    if mode == "blocks":
        return _blocks(small)
    small.thumbnail(LARGEST)
    return {"kitty": _kitty, "iterm2": _iterm2, "sixel": _sixel}[mode](small)


def _kitty(picture: "Image.Image") -> str:
    """https://sw.kovidgoyal.net/kitty/graphics-protocol: a PNG in pieces; q=2 keeps the terminal from answering."""
    data = _png(picture)
    pieces = [data[at : at + _KITTY_PIECE] for at in range(0, len(data), _KITTY_PIECE)]
    last = len(pieces) - 1
    heads = ["a=T,f=100,q=2," if number == 0 else "" for number in range(len(pieces))]
    return (
        "".join(
            f"{_ESC}_G{head}m={int(number < last)};{piece}{_END}"
            for number, (head, piece) in enumerate(zip(heads, pieces, strict=True))
        )
        + "\n"
    )


def _iterm2(picture: "Image.Image") -> str:
    """https://iterm2.com/documentation-images.html"""
    return f"{_ESC}]1337;File=inline=1;width={picture.width}px;preserveAspectRatio=1:{_png(picture)}\a\n"


def _png(picture: "Image.Image") -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _sixel(picture: "Image.Image") -> str:
    """DEC's format: bands of six rows, one run of letters for each colour in a band."""
    import numpy as np

    table = picture.quantize(COLOURS)
    palette = table.getpalette() or []
    pixels_HW = np.asarray(table)
    used = sorted({int(value) for value in np.unique(pixels_HW)})
    colours = "".join(
        f"#{index};2;" + ";".join(str(round(value * 100 / 255)) for value in palette[3 * index : 3 * index + 3])
        for index in used
    )
    bands = []
    for top in range(0, picture.height, 6):
        band = pixels_HW[top : top + 6]
        weights = (1 << np.arange(len(band)))[:, None]
        rows = [f"#{index}" + _runs(((band == index) * weights).sum(axis=0)) for index in used if (band == index).any()]
        bands.append("$".join(rows))
    return f'{_ESC}P0;1;0q"1;1;{picture.width};{picture.height}{colours}' + "-".join(bands) + f"{_END}\n"


def _runs(bits: "Iterator[int]") -> str:
    """Letters for columns of six dots; from four equal ones on with their number."""
    out = []
    for value, run in groupby(int(bit) for bit in bits):
        count, letter = len(list(run)), chr(63 + value)
        out.append(f"!{count}{letter}" if count > 3 else letter * count)
    return "".join(out)


def _blocks(picture: "Image.Image") -> str:
    """Upper half blocks: two rows of dots in one of letters."""
    columns = min(COLUMNS, picture.width)
    rows = max(1, min(COLUMNS, round(picture.height * columns / picture.width / 2)))
    dots = picture.resize((columns, 2 * rows))
    lines = []
    for row in range(rows):
        cells = [(dots.getpixel((x, 2 * row)), dots.getpixel((x, 2 * row + 1))) for x in range(columns)]
        lines.append("".join(f"{_colour(38, upper)}{_colour(48, lower)}▀" for upper, lower in cells) + f"{_ESC}[0m")
    return "\n".join(lines) + "\n"


def _colour(place: int, colour: object) -> str:
    assert isinstance(colour, tuple), "an RGB picture"
    return f"{_ESC}[{place};2;{';'.join(map(str, colour))}m"
