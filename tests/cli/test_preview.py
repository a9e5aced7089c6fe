"""Pictures in the terminal, read back from the escapes; half blocks by a terminal that nobody here wrote."""

import base64
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyte
import pytest
from PIL import Image

from anyres.cli.preview import LARGEST, MODES, Mode, choose_mode, preview
from anyres.errors import OptionError


def photo(width: int = 90, height: int = 61) -> Image.Image:
    ramp = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (ramp, ramp.transpose(Image.Transpose.ROTATE_180), Image.new("L", ramp.size, 60)))


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "mlterm-256color"}, "sixel"),
        ({"TERM": "xterm-256color"}, "off"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, "off"),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, "off"),
        ({"TERM": "dumb", "TERM_PROGRAM": "iTerm.app"}, "off"),
        ({}, "off"),
    ],
)
def test_what_a_terminal_can_show(environ: dict[str, str], mode: str) -> None:
    assert choose_mode("auto", environ) == mode
    assert choose_mode("blocks", environ) == "blocks"
    assert choose_mode("off", environ) == "off"


def test_an_unknown_way() -> None:
    with pytest.raises(OptionError, match="preview: 'oil'; allowed: auto, kitty"):
        choose_mode("oil", {})


def test_kitty_carries_the_picture_in_pieces() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    escapes = preview(Image.fromarray(noise), "kitty")
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", escapes)
    assert "".join(f"\x1b_G{head};{data}\x1b\\" for head, data in pieces) + "\n" == escapes
    assert pieces[0][0] == "a=T,f=100,q=2,m=1"
    assert [head for head, _ in pieces[1:]] == ["m=1"] * (len(pieces) - 2) + ["m=0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in pieces)
    shown = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in pieces))))
    assert shown.width <= LARGEST[0]
    assert shown.height <= LARGEST[1]


def test_a_picture_of_one_piece() -> None:
    assert "m=0;" in preview(Image.new("RGB", (2, 2)), "kitty")


def test_iterm2_carries_the_picture() -> None:
    match = re.fullmatch(r"\x1b\]1337;File=([^:]*):([^\a]*)\a\n", preview(photo(), "iterm2"))
    assert match is not None
    assert "inline=1" in match[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(match[2])))), np.asarray(photo()))


def sixels(escapes: str) -> np.ndarray:
    """A plain reader of the format: dots as (r, g, b) in hundredths, -1 where none was drawn."""
    match = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\\n', escapes, re.DOTALL)
    assert match is not None
    width, height = int(match[1]), int(match[2])
    dots = np.full((height + 6, width, 3), -1)
    colours: dict[int, tuple[int, ...]] = {}
    x, y, colour = 0, 0, 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([?-~])|([$-])", match[3]):
        if token[1]:
            colour = int(token[1])
            if token[2]:
                colours[colour] = tuple(int(token[part]) for part in (2, 3, 4))
        elif token[8]:
            x, y = 0, y + 6 * (token[8] == "-")
        else:
            count, bits = int(token[5] or 1), ord(token[6] or token[7]) - 63
            for row in range(6):
                if bits >> row & 1:
                    dots[y + row, x : x + count] = colours[colour]
            x += count
    assert (dots[height:] == -1).all()
    return dots[:height]


@pytest.mark.parametrize("size", [(90, 61), (1, 1), (7, 6), (5, 13)])
def test_sixels_show_the_picture(size: tuple[int, int]) -> None:
    picture = photo(*size)
    dots = sixels(preview(picture, "sixel"))
    assert dots.shape == (size[1], size[0], 3)
    assert dots.min() >= 0
    assert np.abs(dots * 2.55 - np.asarray(picture)).mean() < 8


@pytest.mark.skipif(shutil.which("sixel2png") is None, reason="libsixel is not here")
def test_sixels_as_libsixel_reads_them(tmp_path: Path) -> None:
    (tmp_path / "a.six").write_text(preview(photo(), "sixel"))
    subprocess.run(["sixel2png", "-i", tmp_path / "a.six", "-o", tmp_path / "a.png"], check=True)
    shown = Image.open(tmp_path / "a.png").convert("RGB")
    assert shown.size == photo().size
    assert np.abs(np.asarray(shown, dtype=float) - np.asarray(photo())).mean() < 8


def test_half_blocks_on_a_terminal() -> None:
    screen = pyte.Screen(80, 40)
    pyte.Stream(screen).feed(preview(Image.new("RGB", (96, 64), (10, 200, 30)), "blocks").replace("\n", "\r\n"))
    cell = screen.buffer[3][3]
    assert (cell.data, cell.fg, cell.bg) == ("▀", "0ac81e", "0ac81e")
    assert screen.buffer[3][48].data == " "
    assert screen.display[15].strip() == "▀" * 48
    assert screen.display[16].strip() == ""
    assert screen.cursor.attrs.fg == "default"


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "auto"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (4000, 3000)])
def test_any_size(mode: Mode, size: tuple[int, int]) -> None:
    escapes = preview(Image.new("RGB", size), mode)
    assert (escapes == "") == (mode == "off")
    assert len(escapes) < 2_000_000


def test_modes_with_transparency_and_palettes() -> None:
    for mode in ("RGBA", "P", "1", "L"):
        assert preview(photo().convert(mode), "sixel")
