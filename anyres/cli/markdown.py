"""An answer's markdown, drawn over the letters that came while it was made."""

import re
import shutil
import sys

from anyres.cli.terminal import console, escape

__all__ = ["has_markdown", "redraw", "rows_of"]

_MARKS = re.compile(
    r"^(#{1,6} |```|\s*[-*+] |\s*\d+[.)] |> |\|.*\|\s*$)|\*\*\S|`[^`\n]+`|\[[^\]\n]+\]\([^)\n]+\)", re.MULTILINE
)
TAB = 8


def has_markdown(text: str) -> bool:
    """Whether drawing it would make a difference.

    >>> has_markdown("A **bold** word."), has_markdown("2 * 3 = 6")
    (True, False)
    """
    return _MARKS.search(text) is not None


def rows_of(text: str, columns: int) -> int:
    """Rows of a terminal that text fills from a row's beginning, as terminals break lines.

    >>> rows_of("abcdef", 3), rows_of("a\\n\\nb", 80), rows_of("字字", 3)
    (2, 3, 2)
    """
    from rich.cells import cell_len

    rows, column = 1, 0
    for letter in text:
        if letter == "\n":
            rows, column = rows + 1, 0
            continue
        width = TAB - column % TAB if letter == "\t" else cell_len(letter)
        if column + width > columns:
            rows, column = rows + (0 if letter == "\t" else 1), (columns if letter == "\t" else width)
        else:
            column += width
    return rows


def redraw(text: str) -> None:
    """Clears what was just written (`text` and the end of its last line), and writes it rendered.

    Does nothing where that cannot be right: the text has left the screen, or has no markdown.
    """
    from rich.markdown import Markdown

    size = shutil.get_terminal_size()
    shown = escape(text)
    rows = rows_of(shown, size.columns)
    if rows >= size.lines - 1 or not has_markdown(text):
        return
    screen = console(sys.stdout)
    with screen.capture() as captured:
        screen.print(Markdown(shown, hyperlinks=False))
    sys.stdout.write(f"\x1b[{rows}F\x1b[J{captured.get()}")
    sys.stdout.flush()
