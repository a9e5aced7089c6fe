"""Tool calls between OpenAI's fields and the text that Qwen2-VL writes for them."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Call", "calls_as_text", "split_calls"]

_HERMES = re.compile(r"\s*<tool_call>\s*(?P<call>\{.*?\})\s*</tool_call>", re.DOTALL)
_QWEN = re.compile(r"\s*✿FUNCTION✿: ?(?P<name>[^\n]{1,64})\n✿ARGS✿: ?(?P<arguments>.*?)(?=\s*✿|\Z)", re.DOTALL)


class Call(NamedTuple):
    """A function's name, and its arguments as JSON text."""

    name: str
    arguments: str


def calls_as_text(calls: Sequence[Call], dialect: str = "hermes") -> str:
    """As the model itself would have written them.

    >>> calls_as_text([Call("save", '{"total": 12.5}')])
    '<tool_call>\\n{"name": "save", "arguments": {"total": 12.5}}\\n</tool_call>'
    """
    if dialect == "qwen":
        return "\n".join(f"✿FUNCTION✿: {call.name}\n✿ARGS✿: {call.arguments}" for call in calls)
    return "\n".join(
        f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}\n</tool_call>'
        for call in calls
    )


def split_calls(text: str) -> tuple[str, list[Call]]:
    """The words of an answer, and the calls in it; text that is no whole call stays text.

    >>> split_calls('Wait.\\n<tool_call>\\n{"name": "save", "arguments": {}}\\n</tool_call>')
    ('Wait.', [Call(name='save', arguments='{}')])
    """
    calls: list[Call] = []
    for form, read in ((_HERMES, _hermes), (_QWEN, _qwen)):
        found = [(match, read(match)) for match in form.finditer(text)]
        if found and all(call is not None for _, call in found):
            calls += [call for _, call in found if call is not None]
            text = form.sub("", text)
    return text, calls


def _hermes(match: re.Match[str]) -> Call | None:
    raw = _object(match["call"])
    if raw is None or not isinstance(raw.get("name"), str):
        return None
    return Call(raw["name"], json.dumps(raw.get("arguments", {}), ensure_ascii=False))


def _qwen(match: re.Match[str]) -> Call | None:
    return Call(match["name"].strip(), match["arguments"].strip())


def _object(text: str) -> dict[str, Any] | None:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None
