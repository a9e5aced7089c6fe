"""`/v1/chat/completions`: a conversation with pictures and clips in, the next turn out."""

import time

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from anyres.chat import Answer
from anyres.server.answering import Prompt, Question, answers, prepare, run
from anyres.server.body import StrictRoute
from anyres.server.replies import (
    CalledFunction,
    ChatChunk,
    ChatReply,
    Choice,
    ErrorReply,
    InputTokens,
    ReplyMessage,
    ReplyToolCall,
)
from anyres.server.request import question_of
from anyres.server.schema import ChatRequest
from anyres.server.service import Service
from anyres.server.stream import EventStream, chat_chunks, first_event
from anyres.server.wording import (
    boxes_of,
    dumped,
    finish_of,
    logprobs_of,
    media_of,
    new_id,
    stop_reason_of,
    timings_of,
    usage_of,
)
from anyres.tools import read_calls

__all__ = ["REFUSALS", "STREAMED", "chat_routes", "ignored_fields"]

REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorReply} for status in (400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 500, 503, 504)
}
STREAMED: dict[int | str, dict[str, object]] = {200: {"content": {"text/event-stream": {}}}}


def chat_routes(service: Service) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, responses=REFUSALS, tags=["chat"])

    @router.post("/v1/chat/completions", response_model=ChatReply, responses=STREAMED)
    async def chat(body: ChatRequest, request: Request) -> Response:
        """The next turn of a conversation; with `stream`, as server-sent events."""
        name = service.name_of(body.model)
        question = question_of(body, service, request.state.owner)
        headers = ignored_fields(body)
        if body.stream:
            return await _streamed(service, body, question, name, headers)
        prompt, found = await answers(service, question)
        return JSONResponse(dumped(_reply(service, body, prompt, found, name)), headers=headers)

    @router.post("/v1/chat/completions/input_tokens", response_model=InputTokens)
    async def input_tokens(body: ChatRequest, request: Request) -> Response:
        """What a request would cost, by kind of token; the model is not asked."""
        service.name_of(body.model)
        question = question_of(body, service, request.state.owner)
        async with service.gate.place():
            prompt = await prepare(service, question)
        usage = usage_of(prompt.usage, [])
        told = InputTokens(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=usage.prompt_tokens_details,
            media=media_of(prompt.visuals, service.merge),
        )
        return JSONResponse(dumped(told), headers=ignored_fields(body))

    return router


def ignored_fields(body: BaseModel) -> dict[str, str]:
    """A header that names fields which nobody here knows."""
    names = sorted(body.model_extra or {})
    shown = [name for name in names if name.isascii() and name.isprintable() and len(name) <= 64][:32]
    return {"x-ignored-fields": ", ".join(shown)} if shown else {}


async def _streamed(
    service: Service, body: ChatRequest, question: Question, name: str, headers: dict[str, str]
) -> Response:
    events = run(service, question)
    prompt, first = await first_event(events)
    frame = ChatChunk(
        id=new_id("chatcmpl-"),
        created=int(time.time()),
        model=name,
        system_fingerprint=service.fingerprint,
        choices=[],
    )
    return EventStream(chat_chunks(body, frame, prompt, first, events, merge=service.merge), headers=headers)


def _reply(service: Service, body: ChatRequest, prompt: Prompt, found: list[Answer], name: str) -> ChatReply:
    return ChatReply(
        id=new_id("chatcmpl-"),
        created=int(time.time()),
        model=name,
        system_fingerprint=service.fingerprint,
        choices=[_choice(body, prompt, answer, number) for number, answer in enumerate(found)],
        usage=usage_of(prompt.usage, [answer.usage for answer in found]),
        timings=timings_of(prompt, found[0]),
        media=media_of(prompt.visuals, service.merge),
    )


def _choice(body: ChatRequest, prompt: Prompt, answer: Answer, number: int) -> Choice:
    text, calls = read_calls(answer.text) if body.tools else (answer.text, [])
    made = [
        ReplyToolCall(id=new_id("call_"), function=CalledFunction(name=call.name, arguments=call.arguments))
        for call in calls
    ]
    return Choice(
        index=number,
        message=ReplyMessage(
            content=text if text or not made else None,
            tool_calls=made or None,
            boxes=boxes_of(answer.text, prompt.visuals) if body.return_boxes else None,
        ),
        logprobs=logprobs_of(answer.logprobs),
        finish_reason=finish_of(answer, called=bool(made)),
        stop_reason=stop_reason_of(answer),
    )
