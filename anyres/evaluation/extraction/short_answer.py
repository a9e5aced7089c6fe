"""The words of an answer: as they are, or without what models say around them."""

import re

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Reply, Sample

__all__ = ["answer_as_it_is", "plain_words", "short_answer", "short_answer_of", "stripped_answer"]

THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
PREFACE = re.compile(r"(?:so,? |therefore,? |thus,? )?the (?:final |correct )?answer(?: is|:)[: ]*", re.IGNORECASE)
BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
LABEL = re.compile(r"^(?:\*\*)?(?:final )?answer(?:\*\*)?:(?:\*\*)?\s*", re.IGNORECASE)
ENDS = " \t\n.。\"'“”‘’`*"


def answer_as_it_is(reply: Reply, sample: Sample) -> Extraction:
    """The raw answer."""
    return Extraction(reply.text, "the whole answer")


def stripped_answer(reply: Reply, sample: Sample) -> Extraction:
    """The raw answer without blanks around it."""
    return Extraction(reply.text.strip(), "the whole answer")


def short_answer_of(reply: Reply, sample: Sample) -> Extraction:
    """`short_answer` of a reply."""
    return short_answer(reply.text)


def short_answer(text: str) -> Extraction:
    """What follows "the answer is" or stands in a box, without quotes and the full stop behind it.

    >>> short_answer("The answer is **Paris**."), short_answer("  ").value
    (Extraction(value='Paris', rule='after "the answer is"'), None)
    """
    answer = THOUGHT.sub("", text).strip()
    for rule, found in (
        ("in a box", BOXED.findall(answer)[-1:]),
        ('after "the answer is"', PREFACE.split(answer)[1:][-1:]),
        ("after a label", LABEL.split(answer)[1:][-1:]),
    ):
        if found and found[0].strip(ENDS):
            return Extraction(found[0].strip(ENDS), rule)
    bare = answer.strip(ENDS)
    return Extraction(bare, "the whole answer") if bare else Extraction(None, "empty")


def plain_words(text: str) -> str:
    """Without case, with blanks squeezed, without quotes and a full stop at the ends.

    >>> plain_words(" Yes.")
    'yes'
    """
    return " ".join(text.casefold().split()).strip(ENDS)
