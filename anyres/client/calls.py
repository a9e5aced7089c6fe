"""Tool calls between OpenAI's fields and the two forms that models write them in."""

import re
from collections.abc import Sequence

from anyres.tools import Call, calls_text, read_calls

__all__ = ["calls_as_text", "split_calls"]

_QWEN = re.compile(r"\s*✿FUNCTION✿: ?(?P<name>[^\n]{1,64})\n✿ARGS✿: ?(?P<arguments>.*?)(?=\s*✿|\Z)", re.DOTALL)


def calls_as_text(calls: Sequence[Call], dialect: str = "hermes") -> str:
    """As the model itself would have written them.

    >>> calls_as_text([Call("save", "{}")]), calls_as_text([Call("save", "{}")], "qwen")
    ('<tool_call>\\n{"name": "save", "arguments": {}}\\n</tool_call>', '✿FUNCTION✿: save\\n✿ARGS✿: {}')
    """
    whole = [Call(call.name, call.arguments or "{}") for call in calls]
    if dialect == "qwen":
        return "\n".join(f"✿FUNCTION✿: {call.name}\n✿ARGS✿: {call.arguments}" for call in whole)
    return calls_text(whole)


def split_calls(text: str) -> tuple[str, list[Call]]:
    """The words of an answer, and the calls in it; text that is no whole call stays text.

    >>> split_calls('Wait.\\n✿FUNCTION✿: save\\n✿ARGS✿: {"total": 1}')
    ('Wait.', [Call(name='save', arguments='{"total": 1}')])
    """
    said, calls = read_calls(text)
    if calls:
        return said, calls
    found = [Call(match["name"].strip(), match["arguments"].strip()) for match in _QWEN.finditer(text)]
    return _QWEN.sub("", text), found
