"""`/v1/responses`: OpenAI's newer form of the same questions and answers, without anything kept here."""

import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from anyres.server.answering import answers, run
from anyres.server.body import StrictRoute, validation_error
from anyres.server.chat_api import REFUSALS, STREAMED, ignored_fields
from anyres.server.errors import ApiError
from anyres.server.request import question_of
from anyres.server.responses_schema import CallItem, CallOutputItem, MessageItem, NamedTool, ResponsesRequest
from anyres.server.responses_wording import ResponseReply, ResponseWriter, response_events
from anyres.server.schema import ChatRequest
from anyres.server.service import Service
from anyres.server.stream import EventStream, first_event
from anyres.server.wording import new_id

__all__ = ["chat_request_of", "responses_routes"]

_SAME = ("temperature", "top_p", "seed", "parallel_tool_calls", "return_boxes", "user")


def responses_routes(service: Service) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, responses=REFUSALS, tags=["responses"])

    @router.post("/v1/responses", response_model=ResponseReply, responses=STREAMED)
    async def responses(body: ResponsesRequest, request: Request) -> Response:
        """The next turn of a conversation that is given whole; with `stream`, as typed events."""
        chat = chat_request_of(body)
        name = service.name_of(body.model)
        question = question_of(chat, service, request.state.owner)
        writer = ResponseWriter(_frame(body, name), reads_calls=bool(question.tools), boxes=body.return_boxes)
        if body.stream:
            events = run(service, question)
            prompt, first = await first_event(events)
            return EventStream(response_events(writer, prompt, first, events), headers=ignored_fields(body))
        prompt, (answer,) = await answers(service, question)
        return JSONResponse(writer.whole(prompt, answer), headers=ignored_fields(body))

    return router


def chat_request_of(body: ResponsesRequest) -> ChatRequest:
    """The same question as a chat request. Raises ApiError with the name of the field that is wrong."""
    raw: dict[str, Any] = {name: getattr(body, name) for name in _SAME}
    raw["messages"] = _messages(body)
    raw["max_completion_tokens"] = body.max_output_tokens
    if body.tools:
        raw["tools"] = [
            {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}
            for tool in body.tools
        ]
    if body.tool_choice is not None:
        raw["tool_choice"] = _choice(body.tool_choice)
    if body.text is not None and body.text.format is not None:
        raw["response_format"] = _format(body.text.format)
    try:
        return ChatRequest.model_validate(raw)
    except ValidationError as error:
        told = validation_error(error.errors(), raw)
        raise _renamed(told) from None


def _choice(choice: str | NamedTool) -> str | dict[str, Any]:
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice.name}}


def _messages(body: ResponsesRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if body.instructions is not None:
        messages.append({"role": "system", "content": body.instructions})
    items = [MessageItem(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    for item in items:
        match item:
            case MessageItem():
                messages.append({"role": item.role, "content": _content(item.content)})
            case CallOutputItem():
                messages.append({"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output)})
            case CallItem():
                _add_call(messages, item)
    return messages


def _add_call(messages: list[dict[str, Any]], item: CallItem) -> None:
    """Calls that follow an assistant's words belong to the same turn."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    function = {"name": item.name, "arguments": item.arguments}
    messages[-1].setdefault("tool_calls", []).append({"id": item.call_id, "type": "function", "function": function})


def _content(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") == "input_file":
        named = ("file_id", "file_data", "file_url", "filename")
        file = {key: part[key] for key in named if part.get(key) is not None}
        return {"type": "file", "file": file, "detail": part.get("detail")}
    if part.get("type") == "output_text":
        return {"type": "output_text", "text": part.get("text")}
    return part


def _format(given: dict[str, Any]) -> dict[str, Any]:
    if given.get("type") != "json_schema":
        return given
    return {"type": "json_schema", "json_schema": {key: value for key, value in given.items() if key != "type"}}


def _renamed(told: ApiError) -> ApiError:
    """Under the name that the field has here."""
    for ours, theirs in (("messages", "input"), ("response_format", "text.format"), ("max_completion", "max_output")):
        if told.param and told.param.startswith(ours):
            told.param = theirs + told.param.removeprefix(ours)
            told.message = theirs + told.message.removeprefix(ours)
    return told


def _frame(body: ResponsesRequest, name: str) -> dict[str, Any]:
    """What the reply repeats of the request."""
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "model": name,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "store": False,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "text": {"format": (body.text.format if body.text else None) or {"type": "text"}},
        "tool_choice": "auto" if body.tool_choice is None else body.model_dump()["tool_choice"],
        "tools": [tool.model_dump() for tool in body.tools or ()],
        "truncation": "disabled",
        "metadata": body.metadata or {},
        "user": body.user,
    }
