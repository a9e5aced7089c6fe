"""Constraints as grammars of llguidance, in its JSON form.

Special tokens stand in a grammar by name, as <|box_start|>, and mean the token itself; letters in quotes or patterns
are text, whatever they spell.
"""

import json
from collections.abc import Collection
from typing import Any

from llguidance import regex_to_lark

from anyres.constraints import Boxes, Choices, Constraint, JsonObject, JsonSchema, Lark, Regex, ToolCalls
from anyres.engine.json_schema import check_schema

__all__ = ["CALL_END", "CALL_START", "grammar_text"]

# Where JSON allows white space the model may write nothing, a blank, or a new line and an indent: what models write
# anyway, and no endless run of blanks.
WHITE_SPACE = r" |\n[ \t]{0,40}"
ASCII_CLASSES = "dws"  # \d, \w and \s
CALL_START, CALL_END = "<tool_call>", "</tool_call>"  # plain text in Qwen2-VL, special tokens in later vocabularies
NAME_OF_BOX = r"/[^\n]{1,100}/"

_Json = dict[str, Any]


def grammar_text(constraint: Constraint, *, special_tokens: Collection[str]) -> str:
    """The grammar; `special_tokens` are the texts of the tokenizer's. Raises ConstraintError for unknown keywords."""
    match constraint:
        case JsonSchema():
            grammars = [_json_grammar(constraint.value, compact=constraint.compact)]
        case JsonObject():
            grammars = [_json_grammar({"type": "object"}, compact=constraint.compact)]
        case Regex():
            grammars = [_lark(f"start: /{regex_to_lark(constraint.pattern, ASCII_CLASSES)}/")]
        case Choices():
            grammars = [_lark(f"start: /{'|'.join(map(_letters, constraint.options))}/")]
        case Lark():
            grammars = [_lark(constraint.grammar)]
        case Boxes():
            grammars = [_lark(_boxes(constraint))]
        case ToolCalls():
            grammars = _tool_calls(constraint, special_tokens)
    return json.dumps({"grammars": grammars}, ensure_ascii=False)


def _lark(source: str) -> _Json:
    return {"lark_grammar": source}


def _json_grammar(schema: _Json | bool, *, compact: bool, item: str = "schema") -> _Json:
    check_schema(schema, item=item)
    style: _Json = {"whitespace_flexible": False} if compact else {"whitespace_pattern": WHITE_SPACE}
    whole = {"anyOf": [schema]} if isinstance(schema, bool) else schema
    return {"json_schema": {**whole, "x-guidance": style}}


def _letters(text: str) -> str:
    """A pattern that matches this text alone."""
    return "".join(char if char.isascii() and char.isalnum() else f"\\x{{{ord(char):x}}}" for char in text)


def _boxes(boxes: Boxes) -> str:
    name = "<|object_ref_start|> NAME <|object_ref_end|> " if boxes.named else ""
    inside = {"box": 'place "," place', "point": "place", "any": 'place ("," place)?'}[boxes.kind]
    return f"""
start: found{{{boxes.least},{boxes.most}}}
found: {name}<|box_start|> {inside} <|box_end|>
place: "(" NUMBER "," NUMBER ")"
NUMBER: /0|[1-9][0-9]{{0,2}}/
NAME: {NAME_OF_BOX}
"""


def _tool_calls(calls: ToolCalls, special_tokens: Collection[str]) -> list[_Json]:
    wanted = [tool for tool in calls.tools if calls.choice in ("auto", "required", tool.name)]
    names = [tool.name for tool in wanted]
    rules = _qwen(calls, names) if calls.dialect == "qwen" else _hermes(calls, names, CALL_START in special_tokens)
    bodies = [
        {"name": f"tool{place}", **_json_grammar(dict(tool.parameters), compact=False, item=f"{tool.name}: parameters")}
        for place, tool in enumerate(wanted)
    ]
    return [_lark(rules), *bodies]


def _hermes(calls: ToolCalls, names: list[str], special: bool) -> str:
    """`<tool_call>`, a new line, a JSON object of name and arguments, a new line, `</tool_call>`; calls one a line."""
    start, end = (CALL_START, CALL_END) if special else (_quoted(CALL_START), _quoted(CALL_END))
    opening = '{{"name": "{}", "arguments": '
    forms = [f'{_quoted(opening.format(name))} @tool{place} "}}"' for place, name in enumerate(names)]
    first = f"text {start}" if special else "head"
    return _calls_grammar(calls, first, start, f'"\\n" form "\\n" {end}', forms) + _HEAD.format(start=start)


def _qwen(calls: ToolCalls, names: list[str]) -> str:
    """A line with the name and a line with the arguments; the marks are text in every vocabulary."""
    start = _quoted("✿FUNCTION✿")
    forms = [f"{_quoted(f': {name}' + chr(10) + '✿ARGS✿: ')} @tool{place}" for place, name in enumerate(names)]
    return _calls_grammar(calls, "head", start, "form", forms) + _HEAD.format(start=start)


_HEAD = """
head[lazy]: TEXT {start}
TEXT: /(.|\\n)*/
text: TEXT
"""


def _calls_grammar(calls: ToolCalls, first: str, start: str, rest: str, forms: list[str]) -> str:
    more = f'("\\n" {start} rest)*' if calls.parallel and calls.choice in ("auto", "required") else ""
    whole = f"text | {first} rest {more}" if calls.choice == "auto" else f"{start} rest {more}"
    return f"start: {whole}\nrest: {rest}\nform: {' | '.join(forms)}\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
