"""Letters and open answers as MMMU's official script reads them: mmmu/utils/eval_utils.py of MMMU-Benchmark/MMMU.

Where it finds no letter it draws one at random; here that is no answer.
"""

import re
from collections.abc import Callable, Sequence

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import LETTERS, Reply, Sample

__all__ = ["mmmu_answer_of", "mmmu_letter", "mmmu_open", "normalised"]

ENDS = (",", ".", "!", "?", ";", ":", "'")
MIN_WORDS_FOR_TEXT = 6
PIECES = re.compile(r"\.\s(?=[A-Z])|\n")
KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
# The originals also try every later digit of a number, which finds nothing more and takes the square of its length.
SCIENTIFIC = re.compile(r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+")
SIMPLE = re.compile(r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])")


def mmmu_answer_of(reply: Reply, sample: Sample) -> Extraction:
    """The letter of a question with options, else the candidates of an open one."""
    return mmmu_letter(reply.text, sample.options) if sample.options else mmmu_open(reply.text)


def mmmu_letter(text: str, options: Sequence[str]) -> Extraction:
    """A letter in brackets, else between blanks, else in more than five words an option's text; of several the last.

    >>> mmmu_letter("Either (A) or (B)", ("red", "blue")), mmmu_letter("USA ", ("red", "blue")).value
    (Extraction(value='B', rule='letter in brackets, the last of several'), None)
    """
    padded = f" {_stripped(text)} "
    texts = dict(zip(LETTERS, options, strict=False))
    spoken = padded if len(padded.split()) >= MIN_WORDS_FOR_TEXT else None
    rules: tuple[tuple[str, Callable[[str], int]], ...] = (
        ("letter in brackets", lambda name: padded.rfind(f"({name})")),
        ("letter between blanks", lambda name: padded.rfind(f" {name} ")),
        ("option's text", lambda name: spoken.lower().rfind(texts[name].lower()) if spoken else -1),
    )
    for rule, place in rules:
        found = [name for name in texts if place(name) >= 0]
        if found:
            return Extraction(max(found, key=place), rule if len(found) == 1 else f"{rule}, the last of several")
    return Extraction(None, "no letter; the official script draws one")


def mmmu_open(text: str) -> Extraction:
    """What an open answer may mean: the tails after words as "is" and "answer", and all numbers in them.

    Sentences are not told apart, as the original lowers the answer before it looks for the capital that begins one.

    >>> mmmu_open("The answer is 12 apples.").value
    ['12 apples', 12.0]
    """
    tails = _tails(text.strip().strip(".").lower())
    said = tails + [
        number for tail in tails for rule in (WITH_COMMAS, SCIENTIFIC, SIMPLE) for number in rule.findall(tail)
    ]
    return Extraction(list(dict.fromkeys(value for one in said for value in normalised(one))), "tails and numbers")


def normalised(text: str) -> list[str | float]:
    """A number to two places, else lower case; one character gets a blank on either side, so that words don't hold it.

    >>> normalised(" 1,200.456 "), normalised("X")
    ([1200.46], [' x', 'x '])
    """
    bare = text.strip()
    try:
        return [round(float(bare.replace(",", "")), 2)]
    except ValueError:
        lower = bare.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]


def _stripped(text: str) -> str:
    for mark in ENDS:
        text = text.strip(mark)
    return text


def _tails(answer: str) -> list[str]:
    pieces = PIECES.split(answer)
    keys = [*([KEYS] * (len(pieces) - 1)), (*KEYS, "=")]
    tails = [_shortest_tail(piece, wanted) for piece, wanted in zip(pieces, keys, strict=True)]
    return [tail for tail in tails if tail and tail not in TRIVIAL] or [answer]


def _shortest_tail(piece: str, keys: Sequence[str]) -> str:
    """The original begins anew at an empty tail, so an empty one only stands if it comes last."""
    shortest = ""
    for key in keys:
        if key in piece:
            tail = piece.rsplit(key, 1)[-1].strip()
            shortest = tail if not shortest or len(tail) < len(shortest) else shortest
    return shortest
