"""Which option an answer chooses: by our own rules, and by VLMEvalKit's for figures that compare with its tables."""

import re
from collections.abc import Callable, Iterable, Sequence

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import LETTERS, Reply, Sample

__all__ = ["letter", "letter_of", "vlmevalkit_letter", "vlmevalkit_letter_of"]

THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
ALONE = re.compile(r"[\W_]*([A-Za-z])[\W_]*")
STATED = re.compile(
    r"(?:(?:answer|choice|correct option|best option)[*\s]*(?:is|would be|should be|must be|[:：=])"
    r"|答案(?:应该|应)?(?:是|为|选|[:：])?|选(?:项|择)?|\\boxed\{(?:\\text(?:bf)?\{)?)"
    r"[\s:：]*(?:option|choice|letter|选项)?[\W_]{0,4}?([A-Z])(?![\w'’])(?=(.{0,40}))",
    re.IGNORECASE | re.DOTALL,
)
LISTED = re.compile(r"(?:^|\n)[^\w\n]*([A-Z])[*_ ]*[.):：、．）\]](?![\w.])")
BRACKETED = re.compile(r"[(\[（【{]\s*([A-Z])\s*[)\]）】}]")
TOKEN = re.compile(r"(?<![\w'’.$-])([A-Z])(?![\w'’$-])(?=(.{0,40}))", re.DOTALL)
ARTICLE = re.compile(r"\s+(?!(?:because|since|as|and|or|is|was|which|given|based|due|according|from|for)\b)[a-z0-9]")
AND_MORE = re.compile(r"[\W_]{0,3}?(?:,|、|/|&|\band\b|\bor\b|和|或)(?:\s*(?:and|or)\b)?[\W_]{0,3}?([A-Z])(?![\w'’])")
PRONOUN = re.compile(r"\s+[a-z]")
ENDS = " \t\n.,;:!?。，；：！？\"'“”‘’()[]*`"

KIT_BLANKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
KIT_FAILURE = "Failed to obtain answer via API"
KIT_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
KIT_STATED = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", re.IGNORECASE)
KIT_LAST_WORDS = 4


def letter_of(reply: Reply, sample: Sample) -> Extraction:
    """`letter` of a reply to a sample."""
    return letter(reply.text, sample.options)


def letter(text: str, options: Sequence[str]) -> Extraction:
    """The option that is chosen, by the first of `RULES` that finds any; None where it finds several, or none does.

    An article "A" and a pronoun "I" are no choices.

    >>> letter("As the clip shows, C", ("red", "green", "blue"))
    Extraction(value='C', rule='the only letter')
    >>> letter("A person walks by.", ("run", "swim"))
    Extraction(value=None, rule='no option named')
    """
    answer = THOUGHT.sub("", text).strip()
    for name, rule in RULES.items():
        found = sorted({one for one in rule(answer, options) if one in LETTERS[: len(options)]})
        if found:
            return Extraction(found[0], name) if len(found) == 1 else Extraction(None, f"{name}: {', '.join(found)}")
    return Extraction(None, "no option named")


def vlmevalkit_letter_of(reply: Reply, sample: Sample) -> Extraction:
    """`vlmevalkit_letter` of a reply to a sample."""
    return vlmevalkit_letter(reply.text, sample.options)


def vlmevalkit_letter(text: str, options: Sequence[str]) -> Extraction:
    """As VLMEvalKit of August 2026 infers a letter before it asks a judge (vlmeval/utils/matching_util.py).

    Its guard for the article "A" works only where its VERBOSE variable is set; here it never does. A refusal
    ("Z" there) is None.

    >>> vlmevalkit_letter("The answer is a dog.", ("cat", "dog"))
    Extraction(value='A', rule='answer is X')
    """
    if KIT_FAILURE not in text:
        if any(refusal in text for refusal in KIT_REFUSALS):
            return Extraction(None, "refusal")
        found = _kit_option(text, LETTERS[: len(options)])
        if found is not None:
            return found
    named = [LETTERS[number] for number in _kit_texts(text.lower(), options)]
    return Extraction(named[0], "the only option's text") if len(named) == 1 else Extraction(None, "no option inferred")


def _alone(answer: str, options: Sequence[str]) -> Iterable[str]:
    whole = ALONE.fullmatch(answer)
    return [whole[1].upper()] if whole else []


def _stated(answer: str, options: Sequence[str]) -> Iterable[str]:
    """The last statement counts: an answer that corrects itself ends with what it means. "B, C and D" are several."""
    found = [one for one in STATED.finditer(answer) if one[1].isupper() and not _is_word(one[1], one[2])]
    return [one for last in found[-1:] for one in (last[1], *_and_more(last[2]))]


def _listed(answer: str, options: Sequence[str]) -> Iterable[str]:
    """A line that begins as options do. All options read aloud choose none: later rules decide."""
    found = {one[1] for one in LISTED.finditer(answer)}
    return found if len(found) == 1 and found >= _in_brackets(answer) else []


def _bracketed(answer: str, options: Sequence[str]) -> Iterable[str]:
    found = _in_brackets(answer)
    return found if len(found) == 1 else []


def _same_text(answer: str, options: Sequence[str]) -> Iterable[str]:
    said = _plain(answer)
    return [LETTERS[number] for number, option in enumerate(options) if said and _plain(option) == said]


def _token(answer: str, options: Sequence[str]) -> Iterable[str]:
    """A letter between words, unless the words are another option's: "Vitamin C is in the lemon"."""
    found = {one[1] for one in TOKEN.finditer(answer) if not _is_word(one[1], one[2])} & {*LETTERS[: len(options)]}
    return {*found, *_contained(answer, options)} if found else []


def _contained(answer: str, options: Sequence[str]) -> Iterable[str]:
    """Options whose words are in the answer; of "left" and "left hand" the longer where it stands."""
    rest = _plain(answer)
    texts = {LETTERS[number]: _plain(option) for number, option in enumerate(options)}
    for name, words in sorted(texts.items(), key=lambda item: -len(item[1])):
        pattern = rf"(?<![a-z0-9]){re.escape(words)}(?![a-z0-9])"
        if words and re.search(pattern, rest):
            yield name
            rest = re.sub(pattern, " | ", rest)


RULES: dict[str, Callable[[str, Sequence[str]], Iterable[str]]] = {
    "a letter alone": _alone,
    "the answer is": _stated,
    "a letter that begins a line": _listed,
    "a letter in brackets": _bracketed,
    "an option's text alone": _same_text,
    "the only letter": _token,
    "the only option's text": _contained,
}


def _and_more(after: str) -> list[str]:
    more = AND_MORE.match(after)
    return [more[1]] if more else []


def _in_brackets(answer: str) -> set[str]:
    return {one[1] for one in BRACKETED.finditer(answer)}


def _is_word(name: str, after: str) -> bool:
    words = {"A": ARTICLE, "I": PRONOUN}
    return name in words and words[name].match(after) is not None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(ENDS)


def _kit_option(text: str, letters: str) -> Extraction | None:
    words = text.translate(KIT_BLANKS).split()
    found = [one for one in letters if one in words]
    if len(found) == 1 and words.index(found[0]) >= len(words) - KIT_LAST_WORDS:
        return Extraction(found[0], "one letter, late")
    if not found and "Z" in words:
        return Extraction(None, "refusal")
    stated = KIT_STATED.search(text)
    if stated and stated[1].upper() in letters:
        return Extraction(stated[1].upper(), "answer is X")
    return None


def _kit_texts(answer: str, options: Sequence[str]) -> list[int]:
    """Those contained, unless the answer is longer than twice all options: then it may discuss them all."""
    if len(answer) > 2 * sum(map(len, options)):
        return []
    return [number for number, option in enumerate(options) if option.lower() in answer]
