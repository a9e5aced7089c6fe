"""Chains of calculation in an answer: `1. 175-75+25 = 100+25 = 125`, a line each."""

import re

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Reply, Sample

__all__ = ["chains_in", "chains_of", "plain_expression"]

NUMBERED = re.compile(r"[^\w(\[]*\(?(\d{1,3})(?:\)|[.:、．：]\)?)\s*(?=[\d(\[（])")
CHANGED = str.maketrans(
    {"x": "×", "X": "×", "*": "×", "·": "×", "/": "÷", "：": "÷", "−": "-", "–": "-", "（": "(", "）": ")", "＝": "="}
)
LATEX = ((r"\times", "×"), (r"\cdot", "×"), (r"\div", "÷"), (r"\left", ""), (r"\right", ""), ("$", ""), ("**", ""))
CALCULATION = re.compile(r"[\d.,()\[\]{}+\-×÷%\s]+")


def chains_of(reply: Reply, sample: Sample) -> Extraction:
    """`chains_in` a reply."""
    return chains_in(reply.text)


def chains_in(text: str) -> Extraction:
    """Each line with an equals sign between calculations: its number, None where it has none, and its parts.

    Lines that go on with "=" belong to the one before. None where no line has a chain.

    >>> chains_in("1. 2+3x4 = 2+12\\n = 14").value
    [[1, ['2+3×4', '2+12', '14']]]
    """
    for written, meant in LATEX:
        text = text.replace(written, meant)
    chains: list[list[object]] = []
    for line in text.splitlines():
        goes_on = line.strip().translate(CHANGED).startswith("=")
        if goes_on and chains:
            parts = chains[-1][1]
            assert isinstance(parts, list)
            parts += _parts(line.strip()[1:])
            continue
        number = NUMBERED.match(line)
        parts = _parts(line[number.end() :] if number else line)
        if len(parts) > 1:
            chains.append([int(number[1]) if number else None, parts])
    return Extraction(chains or None, f"{len(chains)} chains" if chains else "no chain")


def plain_expression(text: str) -> str:
    """Without blanks, in one writing of each sign, a full stop at its end left out.

    >>> plain_expression("3 * (4 / 2).")
    '3×(4÷2)'
    """
    return "".join(text.translate(CHANGED).split()).rstrip(".,")


def _parts(line: str) -> list[str]:
    """The calculations between equals signs; what stands before the first or after the last of them is words."""
    parts = [plain_expression(part) for part in line.translate(CHANGED).split("=")]
    return [part for part in parts if part and CALCULATION.fullmatch(part)]
