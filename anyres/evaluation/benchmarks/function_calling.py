"""Function calling: the right function (TM) with the right arguments (EM), asked with or without a picture.

Section 3.2.4 of the Qwen2-VL paper (arXiv 2409.12191) measures it on data that were never published, so its targets
hold for those alone. Own data take a line of JSON each:

    {"id": "1", "image": "map.png", "question": "How far is it?", "tools": [{"name": "route", "description": "...",
     "parameters": {...}}], "calls": [{"name": "route", "arguments": {"to": "Ulm"}}]}

BFCL's `function` and `ground_truth` (a list of admissible values for each argument) are read as well.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyres.chat import Message, TextPart
from anyres.constraints import Tool
from anyres.errors import ConstraintError
from anyres.evaluation.benchmark import Benchmark, Scoring, Settings, Target
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.calls import calls_of, json_object
from anyres.evaluation.metrics.calls import exact_match, strict_match, summarise_calls
from anyres.evaluation.sample import Sample
from anyres.tools import tools_prompt

__all__ = ["FUNCTION_CALLING", "tool_messages"]

SYSTEM = "You are a helpful assistant."


def read_function_calling(path: Path) -> Iterable[Sample]:
    """JSONL, JSON or parquet, see above."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    pictures = row.pictures("image", "images") if row.has("image", "images") else ()
    calls = [_gold(row, item) for item in _objects(row, "calls", "ground_truth")]
    if not calls:
        raise row.wrong("nothing", "at least one call", columns=("calls", "ground_truth"))
    tools = [_tool(row, item) for item in _objects(row, "tools", "function")]
    names = {tool["name"] for tool in tools}
    if unknown := [call["name"] for call in calls if call["name"] not in names]:
        raise row.wrong(f"a call of {unknown[0]}", f"one of {', '.join(sorted(names))}", columns=("calls",))
    return Sample(
        id=row.text("id", "index"),
        question=_question(row),
        media=pictures,
        golds=(json.dumps(calls, ensure_ascii=False),),
        cluster=picture_cluster(pictures),
        categories={"category": row.optional("category")},
        facts={"tools": tools, "calls": calls},
    )


def _question(row: Row) -> str:
    """Text; of BFCL's lists of turns the words of the user."""
    value: Any = row.value("question")
    while isinstance(value, Sequence) and not isinstance(value, str) and value:
        users = [item for item in value if not isinstance(item, Mapping) or item.get("role") == "user"]
        value = users[0] if users else None
    if isinstance(value, Mapping):
        value = value.get("content")
    if not isinstance(value, str) or not value.strip():
        raise row.wrong("no words", "a text", columns=("question",))
    return value


def _objects(row: Row, *columns: str) -> list[Mapping[str, Any]]:
    """The objects of a list that a column holds, or spells in JSON."""
    value = row.value(*columns)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise row.wrong("no JSON", "a list of objects", columns=columns) from None
    listed = value if isinstance(value, list) else [value] if value is not None else []
    if not all(isinstance(item, Mapping) for item in listed):
        raise row.wrong("other things", "objects", columns=columns)
    return listed


def _tool(row: Row, item: Mapping[str, Any]) -> dict[str, Any]:
    """With its schema checked; OpenAI's wrapping `{"type": "function", "function": {...}}` is taken off."""
    wrapped = item.get("function")
    inner = wrapped if isinstance(wrapped, Mapping) else item
    parameters = dict(inner.get("parameters") or {"type": "object", "properties": {}})
    parameters["type"] = "object" if parameters.get("type") == "dict" else parameters.get("type", "object")  # BFCL's
    try:
        tool = Tool(inner.get("name", ""), parameters, str(inner.get("description", "")))
    except ConstraintError as error:
        raise row.wrong(str(error), "a name and a JSON schema", columns=("tools",)) from error
    return {"name": tool.name, "parameters": parameters, "description": tool.description}


def _gold(row: Row, item: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(item.get("name"), str):
        arguments = item.get("arguments", {})
        if isinstance(arguments, str):
            arguments = json_object(arguments)
        if isinstance(arguments, Mapping):
            return {"name": item["name"], "arguments": dict(arguments)}
    if len(item) == 1:
        ((name, allowed),) = item.items()
        if isinstance(allowed, Mapping) and all(isinstance(values, list) for values in allowed.values()):
            return {"name": name, "allowed": dict(allowed)}
    raise row.wrong(repr(item)[:80], "a name and arguments, or a name with lists of values", columns=("calls",))


def function_calling_prompt(sample: Sample) -> tuple[Message, ...]:
    return tool_messages([Tool(**tool) for tool in sample.facts["tools"]], sample)


def tool_messages(tools: Sequence[Tool], sample: Sample) -> tuple[Message, ...]:
    """The tools in the system message, then pictures and question."""
    system = Message("system", f"{SYSTEM}\n\n{tools_prompt(tools)}")
    return (system, Message("user", (*sample.media, TextPart(sample.question))))


FUNCTION_CALLING = Benchmark(
    name="FunctionCalling",
    title="Function calling: the right function, the right arguments",
    paper="https://arxiv.org/abs/2409.12191",
    read=read_function_calling,
    prompt=function_calling_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            calls_of,
            exact_match,
            summarise_calls,
            about="Calls in the order of the gold's; what comes after them does not count.",
        ),
        Scoring(
            "strict",
            1,
            calls_of,
            strict_match,
            summarise_calls,
            about="A question is right with all of its calls, in any order, and no other.",
        ),
    ),
    settings=Settings(max_tokens=1024),
    targets=tuple(
        Target("Qwen2-VL-72B", value, "arXiv 2409.12191v2, table 5 (data not published)", figure=figure)
        for figure, value in (("TM", 93.1), ("EM", 53.2))
    ),
    aliases=("FnCall",),
)
