"""Yes or no: MME's own rule, VLMEvalKit's, and ours."""

import re

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.punctuation import without_punctuation
from anyres.evaluation.sample import Reply, Sample

__all__ = ["mme_yes_no", "mme_yes_no_of", "vlmevalkit_yes_no", "vlmevalkit_yes_no_of", "yes_no", "yes_no_of"]

MME_PREFIX = 4
LEADING = re.compile(r"[\W_]*(yes|no)(?![\w'’])", re.IGNORECASE)
STATED = re.compile(r"answer[*\s]*(?:is|:)[\W_]{0,5}(yes|no)(?![\w'’])", re.IGNORECASE)
WORD = re.compile(r"(?<![\w'’])(yes|no)(?![\w'’])", re.IGNORECASE)


def mme_yes_no_of(reply: Reply, sample: Sample) -> Extraction:
    """`mme_yes_no` of a reply."""
    return mme_yes_no(reply.text)


def mme_yes_no(text: str) -> Extraction:
    """As MME's calculation.py: "yes", then "no", among the first four characters, wherever they stand.

    >>> mme_yes_no("Not at all"), mme_yes_no("The sign says no.").value
    (Extraction(value='no', rule='first four characters'), None)
    """
    answer = text.lower()
    if answer in ("yes", "no"):
        return Extraction(answer, "the whole answer")
    for word in ("yes", "no"):
        if word in answer[:MME_PREFIX]:
            return Extraction(word, "first four characters")
    return Extraction(None, "neither in the first four characters")


def vlmevalkit_yes_no_of(reply: Reply, sample: Sample) -> Extraction:
    """`vlmevalkit_yes_no` of a reply."""
    return vlmevalkit_yes_no(reply.text)


def vlmevalkit_yes_no(text: str) -> Extraction:
    """As VLMEvalKit's YOrN_Extraction: one of the two words anywhere, but not both.

    >>> vlmevalkit_yes_no("Yes, there is no cat."), vlmevalkit_yes_no("I think no.").value
    (Extraction(value=None, rule='both words'), 'no')
    """
    words = without_punctuation(text.lower()).split()
    found = [word for word in ("yes", "no") if word in words]
    if len(found) == 1:
        return Extraction(found[0], "the only word of the two")
    return Extraction(None, "both words" if found else "neither word")


def yes_no_of(reply: Reply, sample: Sample) -> Extraction:
    """`yes_no` of a reply."""
    return yes_no(reply.text)


def yes_no(text: str) -> Extraction:
    """The word the answer begins with, else the last one after "answer is", else the only one of the two.

    >>> yes_no("Yes, there is no cat."), yes_no("Nothing to see").value
    (Extraction(value='yes', rule='first word'), None)
    """
    if first := LEADING.match(text):
        return Extraction(first[1].lower(), "first word")
    if stated := STATED.findall(text):
        return Extraction(stated[-1].lower(), "the answer is")
    found = {word.lower() for word in WORD.findall(text)}
    if len(found) == 1:
        return Extraction(found.pop(), "the only word of the two")
    return Extraction(None, "both words" if found else "neither word")
