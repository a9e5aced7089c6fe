"""The function calls in an answer, however it writes them: as the Qwen family does, or as JSON."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Reply, Sample
from anyres.tools import read_calls

__all__ = ["calls_in", "calls_of", "json_object"]

FLOWERS = re.compile(
    r"[✿*]FUNCTION[✿*]:?[ \t]*([\w.-]+)\s*[✿*]ARGS[✿*]:?(.*?)(?=[✿*](?:FUNCTION|RESULT|RETURN)[✿*]|\Z)",
    re.DOTALL,
)
NAMES, ARGUMENTS = ("name", "function", "action"), ("arguments", "parameters", "args")
MOST_CALLS = 100


class _Found(NamedTuple):
    calls: list[dict[str, Any]]
    rule: str


def calls_of(reply: Reply, sample: Sample) -> Extraction:
    """`calls_in` a reply."""
    return calls_in(reply.text)


def calls_in(text: str) -> Extraction:
    """The calls, [{"name": ..., "arguments": {...}}, ...], in the first of three forms that the answer has any of:
    `<tool_call>`, `✿FUNCTION✿`, JSON objects with a name and arguments.

    A call whose arguments are not a JSON object keeps its name, and its arguments are None. Without any call the value
    is None.

    >>> calls_in('<tool_call>\\n{"name": "add", "arguments": {"a": 1}}\\n</tool_call>').value
    [{'name': 'add', 'arguments': {'a': 1}}]
    >>> calls_in('✿FUNCTION✿: add\\n✿ARGS✿: {"a": 1}\\n✿RESULT✿').rule
    '✿FUNCTION✿'
    """
    for rule, found in (("<tool_call>", _hermes(text)), ("✿FUNCTION✿", _flowers(text)), ("JSON", _json(text))):
        if calls := list(found)[:MOST_CALLS]:
            return Extraction(calls, rule if len(calls) == 1 else f"{rule}, {len(calls)} calls")
    return Extraction(None, "no call")


def _hermes(text: str) -> Iterator[dict[str, Any]]:
    for call in read_calls(text)[1]:
        yield {"name": call.name, "arguments": json_object(call.arguments)}


def _flowers(text: str) -> Iterator[dict[str, Any]]:
    for name, arguments in FLOWERS.findall(text):
        yield {"name": name, "arguments": json_object(arguments)}


def _json(text: str) -> Iterator[dict[str, Any]]:
    """Objects anywhere in the text, outermost ones; lists of them too, as their items are found."""
    decoder, place = json.JSONDecoder(), 0
    while (place := text.find("{", place)) >= 0:
        try:
            found, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        name = next((found[key] for key in NAMES if isinstance(found.get(key), str)), None)
        if name is not None:
            arguments = next((found[key] for key in ARGUMENTS if isinstance(found.get(key), dict)), None)
            rest = {key: value for key, value in found.items() if key not in (*NAMES, *ARGUMENTS)}
            yield {"name": name, "arguments": rest if arguments is None else arguments}


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that the text begins with."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text.strip())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
