"""The JSON in an answer: alone, in a fence, among words, or cut off."""

import json
import re
from typing import Any

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Reply, Sample

__all__ = ["json_in", "json_of"]

FENCE = re.compile(r"```(?:json|JSON)?\s*\n(.*?)(?:```|\Z)", re.DOTALL)
START = re.compile(r'[\[{](?=\s*["{\[\]}])')
FLAT = re.compile(r"\{[^{}]*\}")
DECODER = json.JSONDecoder()


def json_of(reply: Reply, sample: Sample) -> Extraction:
    """`json_in` a reply."""
    return json_in(reply.text)


def json_in(text: str) -> Extraction:
    """The first list or object, fences first; of one that is cut off or broken the flat objects that are whole.

    >>> json_in('Here: ```json\\n{"a": 1}\\n``` as asked.')
    Extraction(value={'a': 1}, rule='JSON in a fence')
    >>> json_in('[{"a": 1}, {"a": 2}, {"a')
    Extraction(value=[{'a': 1}, {'a': 2}], rule='objects of broken JSON')
    """
    fenced = FENCE.search(text)
    for place, rule in ((fenced[1] if fenced else "", "JSON in a fence"), (text, "JSON")):
        if (value := _first(place)) is not None:
            return Extraction(value, rule)
    whole = [value for found in FLAT.findall(text) if (value := _decoded(found)) is not None]
    return Extraction(whole or None, "objects of broken JSON" if whole else "no JSON")


def _first(text: str) -> Any:
    """The first object or list of objects. A broken one ends the search: inside of it are parts."""
    for start in START.finditer(text):
        value = _decoded(text[start.start() :])
        if value is None or isinstance(value, dict) or any(isinstance(item, dict) for item in value):
            return value
    return None


def _decoded(text: str) -> Any:
    try:
        return DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None
