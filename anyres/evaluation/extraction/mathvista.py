"""What an answer to a MathVista question says.

The authors take the answer out of the words in two steps (github.com/lupantech/MathVista, evaluation/): a language
model shortens them, and rules bring what is left into the form of the gold. `prediction` is the second step, to the
letter; the first is done by their few rules, by a judge, or by ours.
"""

import ast
import re
from collections.abc import Sequence

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.letters import letter
from anyres.evaluation.metrics.edit_distance import edit_distance
from anyres.evaluation.sample import LETTERS, Reply, Sample

__all__ = ["judged_prediction_of", "official_prediction_of", "own_prediction_of", "prediction"]

BRACKETED = re.compile(r"\(([a-zA-Z])\)")
QUICK = re.compile(r'The answer is "(.*)"\.')
NUMBER = r"[-−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d+)?|\.\d+)"
NUMBERS = re.compile(rf"(?<![\w.]){NUMBER}|(?<=[$=*£€]){NUMBER}")
STATED = re.compile(r"(?:answer|result)\s*(?:is|are|would be|=|:|：)+|\\boxed\s*\{|答案(?:是|为|：|:)", re.IGNORECASE)
COUNTED = re.compile(rf"\s*There (?:is|are|was|were)(?: only| a total of)? ({NUMBER})\b", re.IGNORECASE)
CONCLUDED = re.compile(r"therefore|thus|hence|\bso\b", re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}|\*\*([^*\n]+?)\.?\*\*")
LISTED = re.compile(r"\[[^\[\]]*\]")
COUNTING = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORDS = {word: str(value) for value, word in enumerate(COUNTING)}
WORD = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)


def prediction(extraction: str, sample: Sample) -> str | None:
    """A short answer in the form of the gold: an option's text, a whole number, a number with the decimals asked for.

    None where it is no such number. A choice is never without an option: what is neither a letter nor an option
    becomes the option that takes the fewest edits.

    >>> asked = Sample("1", "How many?", facts={"answer_type": "integer"})
    >>> prediction("3.0", asked), prediction("three", asked)
    ('3', None)
    """
    if sample.options:
        return _option(extraction.strip(), sample.options)
    answer_type = sample.facts.get("answer_type", "")
    try:
        if answer_type == "integer":
            return str(int(float(extraction)))
        if answer_type == "float":
            return str(round(float(extraction), int(sample.facts.get("precision") or 1)))
    except (ValueError, OverflowError):
        return None
    return extraction


def official_prediction_of(reply: Reply, sample: Sample) -> Extraction:
    """The authors' script without its language model: the whole answer, or what it says as `The answer is "..."`."""
    text = reply.text
    quick = QUICK.search(text)
    value = prediction(quick[1] if quick else text, sample) if text else None
    return Extraction(value, "The answer is" if quick else "the whole answer")


def judged_prediction_of(reply: Reply, sample: Sample) -> Extraction:
    """The authors' script after a language model: what it wrote, brought into form."""
    text = reply.text.strip()
    return Extraction(prediction(text, sample) if text else None, "the judge's words")


def own_prediction_of(reply: Reply, sample: Sample) -> Extraction:
    """By rules alone, and nothing for what names no option or number: no nearest option.

    >>> asked = Sample("1", "How long?", facts={"answer_type": "float", "precision": 1})
    >>> own_prediction_of(Reply("It has 2 sides, so the answer is 11.04 cm of 20."), asked)
    Extraction(value='11.0', rule='the first number after "answer is"')
    """
    if sample.options:
        return _own_option(reply.text, sample.options)
    if sample.facts.get("answer_type") == "list":
        return _list(reply.text)
    found = _number(reply.text)
    return found if found.value is None else found._replace(value=prediction(found.value, sample))


def _own_option(text: str, options: Sequence[str]) -> Extraction:
    """An option set in a box or in bold type; else what the rules for letters find."""
    marked = [_plain(one[0] or one[1]) for one in BOXED.findall(text)]
    chosen = [option for option in options if _plain(option) in marked[-1:]]
    if len(chosen) == 1:
        return Extraction(chosen[0], "an option's text in a box")
    found = letter(text, options)
    return found if found.value is None else found._replace(value=options[LETTERS.index(found.value)])


def _plain(text: str) -> str:
    return "".join(text.lower().replace("^\\circ", "°").replace("\\", "").split())


def _number(text: str) -> Extraction:
    """The first number after the last "answer is"; the last one in a box or in bold; the last one of the line where a
    conclusion is drawn; that of "There are"; the last one."""
    digits = WORD.sub(lambda word: WORDS[word[0].lower()], text)
    if found := _numbers_after(STATED, digits):
        return Extraction(_digits(found[0]), 'the first number after "answer is"')
    if found := NUMBERS.findall(" ".join(one[0] or one[1] for one in BOXED.findall(digits))):
        return Extraction(_digits(found[-1]), "a number in a box")
    if found := _numbers_after(CONCLUDED, digits):
        return Extraction(_digits(found[-1]), "the conclusion")
    lines = [found for line in digits.splitlines() if (found := NUMBERS.findall(line))]
    if counted := COUNTED.match(digits):
        return Extraction(_digits(counted[1]), "there are")
    return Extraction(_digits(lines[-1][-1]) if lines else None, "the last number" if lines else "no number")


def _numbers_after(marks: re.Pattern[str], text: str) -> list[str]:
    """Of the line after the last such mark; only those behind its last "=", if there are any."""
    ends = [mark.end() for mark in marks.finditer(text)]
    line = text[ends[-1] :].strip().split("\n")[0] if ends else ""
    return NUMBERS.findall(line.split("=")[-1]) or NUMBERS.findall(line)


def _digits(number: str) -> str:
    return number.replace(",", "").replace("−", "-")


def _option(text: str, options: Sequence[str]) -> str:
    bracketed = BRACKETED.search(text)
    found = bracketed[1].upper() if bracketed else text
    if found and found in LETTERS[: len(options)] and len(found) == 1:
        return options[LETTERS.index(found)]
    return min(options, key=lambda option: edit_distance(found, option))


def _list(text: str) -> Extraction:
    for found in reversed(LISTED.findall(text)):
        try:
            return Extraction(str(ast.literal_eval(found)), "the last list")
        except (ValueError, SyntaxError):
            continue
    return Extraction(None, "no list")
