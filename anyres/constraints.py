"""What an answer must look like: JSON of a schema, a regular expression, one of some words, boxes, tool calls.

A constraint goes into `GenerationOptions.constraint`. Checked here is what can be checked without a tokenizer; whether
a schema or grammar can be obeyed at all shows when a model is asked. Both raise ConstraintError.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from anyres.errors import ConstraintError

__all__ = ["Boxes", "Choices", "Constraint", "JsonObject", "JsonSchema", "Lark", "Regex", "Tool", "ToolCalls"]

MOST_CHARACTERS = 262_144  # of a schema, pattern or grammar, in all
DEEPEST = 100  # brackets of JSON inside one another
MOST_TOOLS = 128  # what OpenAI's API takes
MOST_BOXES = 1000
TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class JsonSchema:
    """JSON that a schema allows: a dict, `True`, or its JSON text. Properties come in the schema's order.

    The keywords are those of draft 2020-12 that docs/constrained-output.md lists; any other is an error. `compact`
    leaves out all white space; without it the model may write a blank, or a new line with an indent, where JSON allows.

    >>> JsonSchema({"type": "integer"}).text
    '{"type": "integer"}'
    """

    schema: Mapping[str, Any] | bool | str
    compact: bool = False

    def __post_init__(self) -> None:
        _require_length("schema", self.text)

    @cached_property
    def text(self) -> str:
        """The schema as JSON."""
        return _json_text("schema", self.value)

    @cached_property
    def value(self) -> dict[str, Any] | bool:
        """The schema as a dict, or True or False."""
        return _schema("schema", self.schema)


@dataclass(frozen=True)
class JsonObject:
    """Any JSON object."""

    compact: bool = False


@dataclass(frozen=True)
class Regex:
    r"""A text that the whole pattern matches, in the syntax of Rust's regex crate, with \d, \w and \s of ASCII.

    There is no lookaround and no backreference, and ^ and $ may stand only at the ends.
    """

    pattern: str

    def __post_init__(self) -> None:
        _require_text("regex", self.pattern)


@dataclass(frozen=True)
class Choices:
    """One of these texts, to the letter."""

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        right = isinstance(self.options, tuple) and all(isinstance(one, str) and one for one in self.options)
        if not right or not self.options:
            raise ConstraintError("choices", repr(self.options)[:80], "a tuple of texts that are not empty")
        _require_text("choices", "".join(self.options))


@dataclass(frozen=True)
class Lark:
    """A context-free grammar in llguidance's kind of Lark, with a rule `start`.

    Special tokens are written by name, as `<|box_start|>`; those of boxes, quads, names and the end of a turn may be
    used. Inside quotes and patterns the same letters are text.
    """

    grammar: str

    def __post_init__(self) -> None:
        _require_text("grammar", self.grammar)


@dataclass(frozen=True)
class Boxes:
    """Places in a picture in Qwen2-VL's own marks, which `parse_grounding` reads; numbers are 0 to 999.

    `kind` is "box", "point", or "any" of both; `named` puts a name before each of them. From `least` to `most`.
    """

    kind: Literal["box", "point", "any"] = "box"
    named: bool = False
    least: int = 1
    most: int = 100

    def __post_init__(self) -> None:
        if self.kind not in ("box", "point", "any"):
            raise ConstraintError("boxes: kind", repr(self.kind), "box, point or any")
        whole = all(isinstance(one, int) and not isinstance(one, bool) for one in (self.least, self.most))
        if not whole or not 0 <= self.least <= self.most <= MOST_BOXES or self.most < 1:
            seen = f"from {self.least} to {self.most}"
            raise ConstraintError("boxes: least and most", seen, f"whole numbers, 0 to {MOST_BOXES}, least first")


@dataclass(frozen=True)
class Tool:
    """A function the model may call: its name and the JSON schema of its arguments."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not TOOL_NAME.fullmatch(self.name):
            raise ConstraintError("tool", repr(self.name)[:80], "a name of 1 to 64 letters, digits and _ . -")
        schema = _schema(f"{self.name}: parameters", self.parameters)
        if isinstance(schema, bool) or schema.get("type", "object") != "object":
            raise ConstraintError(f"{self.name}: parameters", repr(self.parameters)[:80], "a schema of an object")

    @property
    def text(self) -> str:
        """The schema of the arguments as JSON."""
        return _json_text(f"{self.name}: parameters", self.parameters)


@dataclass(frozen=True)
class ToolCalls:
    """Calls of tools with arguments that obey their schemas.

    `choice` is "auto" (text, calls, or text and then calls), "required" (calls), or a tool's name (one call of it).
    `dialect` is how calls are written: "hermes" (`<tool_call>` with a JSON object) or "qwen" (Qwen-Agent's
    `✿FUNCTION✿`); it is a property of the checkpoint. Without `parallel` there is one call at most.
    """

    tools: tuple[Tool, ...]
    choice: str = "auto"
    parallel: bool = True
    dialect: Literal["hermes", "qwen"] = "hermes"

    def __post_init__(self) -> None:
        right = isinstance(self.tools, tuple) and all(isinstance(one, Tool) for one in self.tools)
        if not right or not 1 <= len(self.tools) <= MOST_TOOLS:
            raise ConstraintError("tools", repr(self.tools)[:80], f"a tuple of 1 to {MOST_TOOLS} tools")
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ConstraintError("tools", f"names {', '.join(names)}"[:80], "each name once")
        if self.choice not in ("auto", "required", *names):
            raise ConstraintError("tools: choice", repr(self.choice), f"auto, required, {', '.join(names)}")
        if self.dialect not in ("hermes", "qwen"):
            raise ConstraintError("tools: dialect", repr(self.dialect), "hermes or qwen")
        _require_length("tools", "".join(tool.text for tool in self.tools))


Constraint = JsonSchema | JsonObject | Regex | Choices | Lark | Boxes | ToolCalls


def _require_text(item: str, text: str) -> None:
    if not isinstance(text, str) or not _is_unicode(text):
        raise ConstraintError(item, repr(text)[:80], "text")
    _require_length(item, text)


def _require_length(item: str, text: Sequence[object]) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ConstraintError(item, f"{len(text):,} characters or values", f"at most {MOST_CHARACTERS:,}")


def _is_unicode(text: str) -> bool:
    """False with half a surrogate pair in it, which has no UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _schema(item: str, schema: object) -> dict[str, Any] | bool:
    if isinstance(schema, str):
        _require_text(item, schema)
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError) as error:
            raise ConstraintError(item, f"not readable as JSON ({error})"[:160], "a JSON schema") from None
    if not isinstance(schema, (Mapping, bool)):
        raise ConstraintError(item, f"a {type(schema).__name__}", "a JSON schema: an object, true or false")
    _require_shallow(item, schema)
    return schema if isinstance(schema, bool) else dict(schema)


def _require_shallow(item: str, value: object) -> None:
    level: Sequence[object] = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
        _require_length(item, level)  # a dict that holds its parts twice doubles with every level
    raise ConstraintError(item, f"nested more than {DEEPEST} deep", f"at most {DEEPEST} levels")


def _inside(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, (list, tuple)) else ()


def _json_text(item: str, value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_as_dict)
    except (TypeError, ValueError) as error:
        allowed = "objects, lists, texts, numbers, true, false, null"
        raise ConstraintError(item, f"not JSON ({error})"[:160], allowed) from None
    if not _is_unicode(text):
        raise ConstraintError(item, "half a surrogate pair in a text", "text that has UTF-8")
    return text


def _as_dict(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"a {type(value).__name__}")
    return dict(value)
