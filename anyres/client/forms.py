"""Constraints as fields of a request: JSON schemas everywhere, patterns and choices where a server has words for it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from anyres.client.dialect import Dialect
from anyres.constraints import Boxes, Choices, Constraint, JsonObject, JsonSchema, Lark, Regex, Tool, ToolCalls
from anyres.errors import ConstraintError

__all__ = ["form_fields"]

SCHEMA_NAME = "answer"
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def form_fields(constraint: Constraint | None, dialect: Dialect) -> dict[str, Any]:
    """The fields that hold an answer to it; ConstraintError where this kind of server has none."""
    match constraint:
        case None:
            return {}
        case JsonSchema() | JsonObject():
            return {"response_format": _json_format(constraint)}
        case ToolCalls():
            return _tools(constraint, dialect)
        case Regex():
            return _regex(constraint.pattern, dialect)
        case Choices():
            return _choices(constraint, dialect)
        case Boxes():
            return _boxes(constraint, dialect)
        case Lark() if dialect.name == "vllm":
            return {"structured_outputs": {"grammar": constraint.grammar}, "guided_grammar": constraint.grammar}
    raise _cannot(constraint, dialect)


def _json_format(constraint: JsonSchema | JsonObject) -> dict[str, Any]:
    if constraint.compact:
        raise ConstraintError("compact", "True", "False; OpenAI's API has no field for white space")
    if isinstance(constraint, JsonObject):
        return {"type": "json_object"}
    schema = {} if constraint.value is True else constraint.value
    if schema is False:
        raise ConstraintError("schema", "false, which nothing obeys", "a schema")
    # OpenAI holds an answer to the schema only when it is strict; elsewhere the word has no meaning.
    return {"type": "json_schema", "json_schema": {"name": SCHEMA_NAME, "schema": schema, "strict": True}}


def _regex(pattern: str, dialect: Dialect) -> dict[str, Any]:
    fields: Mapping[str, dict[str, Any]] = {
        # vLLM has taken the first since 0.12 and the second before; it passes over what it does not know.
        "vllm": {"structured_outputs": {"regex": pattern}, "guided_regex": pattern},
        "sglang": {"regex": pattern},
        "anyres": {"response_format": {"type": "regex", "pattern": pattern}},
    }
    if dialect.name not in fields:
        raise _cannot(Regex(pattern), dialect)
    return fields[dialect.name]


def _choices(choices: Choices, dialect: Dialect) -> dict[str, Any]:
    options = list(choices.options)
    if dialect.name == "vllm":
        return {"structured_outputs": {"choice": options}, "guided_choice": options}
    if dialect.name == "llama.cpp":
        return {"grammar": "root ::= " + " | ".join(json.dumps(one, ensure_ascii=False) for one in options)}
    if dialect.name not in ("sglang", "anyres"):
        raise _cannot(choices, dialect)
    return _regex("|".join(_SPECIAL.sub(r"\\\g<0>", one) for one in options), dialect)


def _boxes(boxes: Boxes, dialect: Dialect) -> dict[str, Any]:
    if dialect.name != "anyres":
        raise _cannot(boxes, dialect)
    fields = {"kind": boxes.kind, "named": boxes.named, "least": boxes.least, "most": boxes.most}
    return {"response_format": {"type": "boxes", **fields}}


def _tools(calls: ToolCalls, dialect: Dialect) -> dict[str, Any]:
    named = calls.choice not in ("auto", "required")
    choice: Any = {"type": "function", "function": {"name": calls.choice}} if named else calls.choice
    fields: dict[str, Any] = {"tools": [_tool(one) for one in calls.tools], "tool_choice": choice}
    if dialect.name != "sglang":  # which refuses fields of tools that it does not know
        fields["parallel_tool_calls"] = calls.parallel
    return fields


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": json.loads(tool.text)}
    return {"type": "function", "function": function | ({"description": tool.description} if tool.description else {})}


def _cannot(constraint: Constraint, dialect: Dialect) -> ConstraintError:
    able = {Regex: "anyres, vllm, sglang", Choices: "anyres, vllm, sglang, llama.cpp", Boxes: "anyres", Lark: "vllm"}
    kind = type(constraint)
    words = f"JsonSchema, JsonObject or ToolCalls; {kind.__name__} with an endpoint of {able.get(kind, 'none')}"
    return ConstraintError("constraint", f"{kind.__name__}, for an endpoint of dialect {dialect.name}", words)
