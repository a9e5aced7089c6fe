"""Tool calls in the Hermes form of the Qwen family: how tools are told to a model, and how its calls are read.

    <tool_call>
    {"name": "add", "arguments": {"a": 1}}
    </tool_call>

Qwen2-VL's own chat template has no tools; this is the wording of Qwen2.5's, which fine-tuned checkpoints know.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from anyres.chat import Part, TextPart
from anyres.constraints import Tool

__all__ = ["Call", "CallEvent", "CallReader", "calls_text", "read_calls", "results_parts", "tools_prompt"]

CALL_START, CALL_END = "<tool_call>", "</tool_call>"

_PROMPT = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
_OPENING = re.compile(r'\s*\{\s*"name"\s*:\s*"([A-Za-z0-9_.-]{1,64})"\s*,\s*"arguments"\s*:\s*(?=\{)')
_LONGEST_OPENING = 256  # letters before the arguments; blanks included


@dataclass(frozen=True)
class Call:
    """A function and its arguments as JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True)
class CallEvent:
    """A piece of an answer: `text` beside the calls, a call's `name`, or more of a call's `arguments`.

    `index` numbers the calls of an answer.
    """

    kind: Literal["text", "name", "arguments"]
    text: str
    index: int = 0


def tools_prompt(tools: Sequence[Tool]) -> str:
    """What the system message ends with where tools may be called.

    >>> tools_prompt([Tool("add")]).splitlines()[6]
    '{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}'
    """
    return _PROMPT.format(tools="\n".join(map(_signature, tools)))


def calls_text(calls: Sequence[Call]) -> str:
    """Earlier calls as the model wrote them.

    >>> calls_text([Call("add", '{"a":1}')])
    '<tool_call>\\n{"name": "add", "arguments": {"a":1}}\\n</tool_call>'
    """
    return "\n".join(
        f'{CALL_START}\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n{CALL_END}'
        for call in calls
    )


def results_parts(results: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
    """Results of calls as the parts of one user turn; a result may hold pictures.

    >>> results_parts([[TextPart("4")], [TextPart("5")]])[-3:]
    (TextPart(text='\\n<tool_response>\\n'), TextPart(text='5'), TextPart(text='\\n</tool_response>'))
    """
    parts: list[Part] = []
    for number, result in enumerate(results):
        parts += [TextPart(("\n" if number else "") + "<tool_response>\n"), *result, TextPart("\n</tool_response>")]
    return tuple(parts)


def read_calls(text: str) -> tuple[str, list[Call]]:
    """An answer's text beside its calls, and the calls.

    >>> read_calls('Sure.\\n<tool_call>\\n{"name": "add", "arguments": {"a": 1}}\\n</tool_call>')
    ('Sure.', [Call(name='add', arguments='{"a": 1}')])
    """
    reader = CallReader()
    events = [*reader.push(text), *reader.finish()]
    calls: list[list[str]] = []
    for event in events:
        if event.kind == "name":
            calls.append([event.text, ""])
        elif event.kind == "arguments":
            calls[event.index][1] += event.text
    said = "".join(event.text for event in events if event.kind == "text")
    return said.strip("\n") if calls else said, [Call(*call) for call in calls]


class CallReader:
    """Reads an answer as it comes, each letter once. What does not become a call stays text, to the letter.

    Text that could be the beginning of a mark is held back until it is certain, and so is a call until its name is
    known. A call that is cut off in its arguments is given as far as it came.
    """

    def __init__(self) -> None:
        self.calls = 0
        self._held, self._at = "", 0  # read up to `at`
        self._state: Literal["text", "opening", "arguments", "closing"] = "text"
        self._scan = _ObjectScan()

    @property
    def between_calls(self) -> bool:
        """Whether every call whose name is known is complete."""
        return self._state != "arguments"

    def push(self, text: str) -> Iterator[CallEvent]:
        """What the next piece of the answer makes certain."""
        self._held, self._at = self._held[self._at :] + text, 0
        before = None
        while before != (self._state, self._at):
            before = (self._state, self._at)
            yield from self._STEPS[self._state](self)

    def finish(self) -> Iterator[CallEvent]:
        """The answer is over: what was held back."""
        held, self._held, self._at = self._held[self._at :], "", 0
        if self._state == "opening":
            held = CALL_START + held
        if held and self._state in ("text", "opening"):
            yield CallEvent("text", held)

    def _text(self) -> Iterator[CallEvent]:
        place = self._held.find(CALL_START, self._at)
        if place >= 0:
            said, self._at, self._state = self._held[self._at : place], place + len(CALL_START), "opening"
        else:
            certain = len(self._held) - _overlap(
                self._held[max(self._at, len(self._held) - len(CALL_START)) :], CALL_START
            )
            said, self._at = self._held[self._at : certain], certain
        if said and not (self.calls and not said.strip()):  # the new line between two calls
            yield CallEvent("text", said)

    def _opening(self) -> Iterator[CallEvent]:
        match = _OPENING.match(self._held, self._at, self._at + _LONGEST_OPENING + 1)
        if match:
            self._at, self._state, self._scan = match.end(), "arguments", _ObjectScan()
            self.calls += 1
            yield CallEvent("name", match[1], self.calls - 1)
        elif len(self._held) - self._at > _LONGEST_OPENING or self._held.find(CALL_END, self._at) >= 0:
            self._state = "text"
            yield CallEvent("text", CALL_START)

    def _arguments(self) -> Iterator[CallEvent]:
        stop = self._scan.push(self._held, self._at)
        said, self._at = self._held[self._at : stop], stop
        if said:
            yield CallEvent("arguments", said, self.calls - 1)
        if self._scan.done:
            self._state = "closing"

    def _closing(self) -> Iterator[CallEvent]:
        place = self._held.find(CALL_END, self._at)
        if place >= 0:
            self._at, self._state = place + len(CALL_END), "text"
        else:
            self._at = max(self._at, len(self._held) - len(CALL_END))
        yield from ()

    _STEPS = {"text": _text, "opening": _opening, "arguments": _arguments, "closing": _closing}  # noqa: RUF012


class _ObjectScan:
    """Finds where a JSON object that begins with the first letter ends."""

    _MARKS = re.compile(r'["\\{}\[\]]')

    def __init__(self) -> None:
        self.done = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def push(self, text: str, place: int) -> int:
        """Where in the text, from `place` on, the object ends, or the text does."""
        if self._escaped and place < len(text):
            self._escaped, place = False, place + 1
        while not self.done and (match := self._MARKS.search(text, place)):
            place = self._take(match[0], match.end(), len(text))
        return place if self.done else len(text)

    def _take(self, mark: str, place: int, length: int) -> int:
        if self._quoted:
            if mark == "\\":
                self._escaped = place >= length
                return min(place + 1, length)
            self._quoted = mark != '"'
        elif mark == '"':
            self._quoted = True
        elif mark in "{[":
            self._depth += 1
        elif mark in "}]":
            self._depth -= 1
            self.done = self._depth == 0
        return place


def _signature(tool: Tool) -> str:
    described = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **described, "parameters": dict(tool.parameters)}
    return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


def _overlap(text: str, mark: str) -> int:
    """How many letters at the end of the text may be the beginning of the mark."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
