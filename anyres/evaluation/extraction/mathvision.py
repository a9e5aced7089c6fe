"""What an answer to a MathVision question says: by the authors' rules (github.com/mathllm/MATH-V), and by ours."""

import re

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.letters import letter
from anyres.evaluation.sample import Reply, Sample

__all__ = ["boxed", "official_answer", "official_answer_of", "own_answer_of", "plain_math"]

LETTERS = "ABCDE"
STATEMENTS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
OPENING = "oxed{"  # the script looks for \boxed and \fboxed so
GONE = (" ", "\\,", "\n", "\\text", "\\mbox", "\\left", "\\right", "^{\\circ}", "^\\circ", "{m}^3", "m^3")
UNITS = ("{units}", "units", "{km}", "km", "\\!", "\\$", "$", "\\%")
BOXED = re.compile(r"oxed\{(.*)\}", re.DOTALL)
STATED = re.compile(
    r"answer\s*(?:is|should be|would be|=|:|：)\s*:?\s*([^\n]+)|答案(?:是|为|：|:)\s*([^\n。]+)", re.IGNORECASE
)
ENDING = re.compile(r"\.(?:\s.*)?$", re.DOTALL)
NO_WORDS = re.compile(r"(?:[^A-Za-z\\\n]|\\[A-Za-z]+)+")
LAST_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:/\d+)?")


def official_answer_of(reply: Reply, sample: Sample) -> Extraction:
    """`official_answer` of a reply; None where nothing is left."""
    value, rule = official_answer(reply.text)
    return Extraction(value or None, rule)


def official_answer(text: str) -> Extraction:
    """The rest of the answer that the script compares: lower case, without blanks, units and LaTeX's spacing.

    >>> official_answer("So we choose (C)."), official_answer(r"Then $x = \\boxed{\\dfrac{1}{2}}$ cm").value
    (Extraction(value='c', rule='a letter at the end or alone in the first line'), '\\\\frac{1}{2}')
    """
    answer, rule = text.strip(), "the whole answer"
    for name in LETTERS:
        ends = (f" {name}.", f" ({name}).")
        starts = (f"{name}\n", f"({name})\n", f"({name}) {name}\n")
        if answer.endswith(ends) or answer.startswith(starts):
            answer, rule = name, "a letter at the end or alone in the first line"
    last = answer.rsplit("is ", 1)[-1].rstrip(".")
    if _is_number(last):
        answer, rule = last, "a number alone or after the last 'is'"
    if OPENING not in answer:
        stated = _stated(answer)
        answer, rule = stated, rule if stated == answer else "the answer is"
    else:
        answer, rule = "\\b" + OPENING + answer.rsplit(OPENING, 1)[-1], "the last box"
    return Extraction(_without_brackets(plain_math(answer)), rule)


def own_answer_of(reply: Reply, sample: Sample) -> Extraction:
    """The last box, else what stands after the last "answer is"; of choices the letter, else the last number."""
    text = reply.text
    found = boxed(text)
    stated = [ENDING.sub("", one[0] or one[1]) for one in STATED.findall(text)]
    if sample.options:
        return letter(found or text, sample.options)
    if found:
        return Extraction(plain_math(found), "the last box")
    if stated:
        return Extraction(plain_math(stated[-1].strip(" *")), "the answer is")
    if NO_WORDS.fullmatch(text.strip()):
        return Extraction(plain_math(text.strip()), "the whole answer")
    numbers = LAST_NUMBER.findall(text)
    return Extraction(numbers[-1] if numbers else None, "the last number" if numbers else "no number")


def boxed(text: str) -> str:
    r"""What the last \boxed holds, braces inside of it counted; "" without one.

    >>> boxed(r"\boxed{1} or \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    start = text.rfind(OPENING)
    if start < 0:
        return ""
    depth, begin = 1, start + len(OPENING)
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin:place]
    return text[begin:]


def plain_math(text: str) -> str:
    """The script's cleaning: what is in the box, behind its last "=", without what is no value."""
    text = text.lower().replace("{}", "")
    box = BOXED.search(text)
    answer = box[1] if box else text
    if "}" in answer and ("{" not in answer or answer.find("}") < answer.find("{")):
        answer = answer.split("}")[0]
    answer = answer.split("=")[-1].split("\\approx")[-1].replace("∞", "\\infty").replace("+\\infty", "\\infty")
    answer = answer.replace("\\\\", "\\").replace("bmatrix", "pmatrix")
    for gone in (*GONE, *UNITS):
        answer = answer.replace(gone, "")
    answer = answer.replace("tfrac", "frac").replace("dfrac", "frac")
    answer = re.sub(r"\\sqrt(?=[^{[])(.)", r"\\sqrt{\1}", answer)
    return "0" + answer if answer.startswith(".") else answer


def _stated(answer: str) -> str:
    for statement in STATEMENTS:
        for form in (statement, statement.replace("the", "The")):
            if form in answer:
                answer = answer.rsplit(form, 1)[-1].strip().split("\n")[0].split(". ")[0]
    return answer


def _without_brackets(answer: str) -> str:
    for name in LETTERS.lower():
        answer = answer.replace(f"({name})", name).replace(f"{{{name}}}", name)
    return answer.rstrip(".").lstrip(":").strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
