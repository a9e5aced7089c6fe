"""Turns of a request as the model's messages: tools in the system message, calls and results in the Hermes form."""

import json
from collections.abc import Sequence

from anyres.chat import Message, Part, TextPart
from anyres.constraints import Tool
from anyres.server.errors import ApiError
from anyres.server.schema import Turn
from anyres.tools import Call, calls_text, results_parts, tools_prompt

__all__ = ["messages_of"]

DEFAULT_SYSTEM = "You are a helpful assistant."  # chat_template.json of Qwen2-VL

Filled = Sequence[tuple[Turn, tuple[Part, ...]]]


def messages_of(turns: Filled, tools: Sequence[Tool] = ()) -> list[Message]:
    """The conversation as it is given to the engine. Results of tools that follow each other make one user turn."""
    messages: list[Message] = []
    results: list[tuple[Part, ...]] = []
    for turn, content in turns:
        if turn.role == "tool":
            results.append(content)
            continue
        if results:
            messages.append(Message("user", results_parts(results)))
            results = []
        messages.append(_message(turn, content))
    if results:
        messages.append(Message("user", results_parts(results)))
    return _with_tools(messages, tools) if tools else messages


def _message(turn: Turn, content: tuple[Part, ...]) -> Message:
    role = "system" if turn.role == "developer" else turn.role
    if turn.refusal and not content:
        content = (TextPart(turn.refusal),)
    if not turn.tool_calls:
        return Message(role, content)
    calls = [Call(call.function.name, _arguments(call.function.arguments)) for call in turn.tool_calls]
    joint = "\n" if content else ""
    return Message(role, (*content, TextPart(joint + calls_text(calls))))


def _arguments(text: str) -> str:
    """Arguments of an earlier call, on one line."""
    try:
        return json.dumps(json.loads(text or "{}"), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise ApiError(
            400, "messages: arguments of a tool call; allowed: JSON", code="invalid_value", param="messages"
        ) from None


def _with_tools(messages: list[Message], tools: Sequence[Tool]) -> list[Message]:
    told = TextPart(f"\n\n{tools_prompt(tools)}")
    if messages and messages[0].role == "system":
        return [Message("system", (*messages[0].parts, told)), *messages[1:]]
    return [Message("system", (TextPart(DEFAULT_SYSTEM), told)), *messages]
