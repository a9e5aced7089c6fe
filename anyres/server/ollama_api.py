"""Ollama's `/api`: the same answers in its lines of JSON, for clients that speak it."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from anyres.chat import Answer, Piece
from anyres.server.answering import Event, Ping, Prompt, answers, run
from anyres.server.body import StrictRoute, validation_error
from anyres.server.embedding import embedded
from anyres.server.errors import api_error
from anyres.server.ollama_schema import (
    OllamaChat,
    OllamaDetails,
    OllamaEmbed,
    OllamaEmbedded,
    OllamaGenerate,
    OllamaModel,
    OllamaModels,
    OllamaReply,
    OllamaShow,
    OllamaShown,
)
from anyres.server.replies import OllamaError, Version
from anyres.server.request import question_of
from anyres.server.schema import ChatRequest
from anyres.server.service import Service
from anyres.server.stream import EventStream, first_event
from anyres.server.wording import logprobs_of
from anyres.tools import Call, CallReader

__all__ = ["ollama_routes"]

NANO = 1_000_000_000
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": OllamaError} for status in (400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 500, 503, 504)
}
LINES = "application/x-ndjson"
STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {LINES: {}}}}


def ollama_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/api", route_class=StrictRoute, responses=REFUSALS, tags=["ollama"])

    @router.post("/chat", response_model=OllamaReply, responses=STREAMED)
    async def chat(body: OllamaChat, request: Request) -> Response:
        """The next turn; a line of JSON for each piece unless `stream` is false."""
        return await _answer(service, body, _chat_request(body), request.state.owner, key="message")

    @router.post("/generate", response_model=OllamaReply, responses=STREAMED)
    async def generate(body: OllamaGenerate, request: Request) -> Response:
        """One question without a history."""
        return await _answer(service, body, _generate_request(body), request.state.owner, key="response")

    @router.post("/embed", response_model=OllamaEmbedded)
    async def embed(body: OllamaEmbed, request: Request) -> OllamaEmbedded:
        """Vectors of texts."""
        name = _name_of(service, body.model)
        texts = [body.input] if isinstance(body.input, str) else body.input
        vectors, tokens = await embedded(
            service, [[{"type": "text", "text": one}] for one in texts], request.state.owner
        )
        return OllamaEmbedded(model=name, embeddings=vectors, prompt_eval_count=tokens)

    @router.get("/tags", response_model=OllamaModels)
    async def tags() -> OllamaModels:
        """The models that are here."""
        return OllamaModels(models=[_model(service, name) for name in service.names])

    @router.get("/ps", response_model=OllamaModels)
    async def running() -> OllamaModels:
        """The models in memory: the same."""
        return OllamaModels(models=[_model(service, name) for name in service.names])

    @router.post("/show", response_model=OllamaShown)
    async def show(body: OllamaShow) -> OllamaShown:
        _name_of(service, body.model or body.name)
        return OllamaShown(
            details=_details(service),
            model_info={
                "general.architecture": "qwen2vl",
                "general.parameter_count": service.parameters,
                "qwen2vl.context_length": service.model.config.text.max_position_embeddings,
                "qwen2vl.embedding_length": service.model.config.text.hidden_size,
            },
            capabilities=["completion", "vision", "tools", "embedding"],
            modified_at=_time(service.created),
        )

    @router.get("/version", response_model=Version)
    async def version() -> Version:
        return Version(version=service.version)

    return router


def _name_of(service: Service, asked: str | None) -> str:
    """Ollama's clients add `:latest` to names without a tag."""
    return service.name_of((asked or "").removesuffix(":latest"))


def _chat_request(body: OllamaChat) -> ChatRequest:
    messages: list[dict[str, Any]] = []
    for number, message in enumerate(body.messages):
        raw: dict[str, Any] = {"role": message.role, "content": _content(message.content or "", message.images)}
        if message.tool_calls:
            calls = [(call.function.name, json.dumps(call.function.arguments)) for call in message.tool_calls]
            raw["tool_calls"] = [
                {"id": f"call_{number}_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for place, (name, arguments) in enumerate(calls)
            ]
        if message.role == "tool":
            raw["tool_call_id"] = message.tool_name or "call"
        messages.append(raw)
    return _request({"messages": messages, "tools": body.tools or None, **_knobs(body)})


def _generate_request(body: OllamaGenerate) -> ChatRequest:
    system = [{"role": "system", "content": body.system}] if body.system else []
    user = {"role": "user", "content": _content(body.prompt, body.images)}
    return _request({"messages": [*system, user], **_knobs(body)})


def _content(text: str, images: list[str] | None) -> str | list[dict[str, Any]]:
    if not images:
        return text
    urls = [one if one.startswith("data:") else f"data:application/octet-stream;base64,{one}" for one in images]
    return [
        *({"type": "image_url", "image_url": {"url": url}} for url in urls),
        {"type": "text", "text": text},
    ]


def _knobs(body: OllamaChat | OllamaGenerate) -> dict[str, Any]:
    given = body.options.model_dump(exclude_none=True) if body.options else {}
    longest = given.pop("num_predict", None)
    if "repeat_penalty" in given:
        given["repetition_penalty"] = given.pop("repeat_penalty")
    if isinstance(body.format, dict):
        given["response_format"] = {"type": "json_schema", "json_schema": {"name": "format", "schema": body.format}}
    elif body.format == "json":
        given["response_format"] = {"type": "json_object"}
    if longest is not None and longest > 0:
        given["max_tokens"] = longest
    return {**given, "logprobs": body.logprobs, "top_logprobs": body.top_logprobs}


def _request(raw: dict[str, Any]) -> ChatRequest:
    try:
        return ChatRequest.model_validate(raw)
    except ValidationError as error:
        raise validation_error(error.errors(), raw) from None


async def _answer(
    service: Service, body: OllamaChat | OllamaGenerate, request: ChatRequest, owner: str, *, key: str
) -> Response:
    name, started = _name_of(service, body.model), time.perf_counter()
    question = question_of(request, service, owner)
    lines = _Lines(name, key, reads_calls=bool(request.tools), started=started)
    if body.stream is not False:
        events = run(service, question)
        prompt, first = await first_event(events)
        return EventStream(_streamed(lines, prompt, first, events), media_type=LINES)
    prompt, (answer,) = await answers(service, question)
    calls = list(lines.calls_of(answer.text))
    reply = {**lines.end(prompt, answer), key: lines.said(lines.text, calls)}
    if (logprobs := logprobs_of(answer.logprobs)) is not None:
        reply["logprobs"] = logprobs.model_dump(mode="json")["content"]
    return JSONResponse(reply)


async def _streamed(
    lines: "_Lines", prompt: Prompt, first: Event, rest: AsyncGenerator[Event, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        try:
            for line in lines.take(prompt, first):
                yield line
            async for event in rest:
                for line in lines.take(prompt, event):
                    yield line
        except Exception as error:  # noqa: BLE001  the status is sent: the error goes into the stream
            yield _line({"error": api_error(error).message})


class _Lines:
    """Events of one answer as Ollama's objects. Calls of tools are told whole, when they are complete."""

    def __init__(self, name: str, key: str, *, reads_calls: bool, started: float) -> None:
        self.text = ""
        self._name = name
        self._key = key
        self._reader = CallReader() if reads_calls else None
        self._started = started
        self._calls: list[list[str]] = []
        self._told = 0

    def take(self, prompt: Prompt, event: Event) -> list[bytes]:
        if isinstance(event, (Ping, Prompt)):
            return []
        what = event[1]
        if isinstance(what, Piece):
            text, calls = self._read(what.text, end=False)
            return [_line({**self._frame(), self._key: self.said(text, calls)})] if text or calls else []
        text, calls = self._read("", end=True)
        rest = [_line({**self._frame(), self._key: self.said(text, calls)})] if text or calls else []
        return [*rest, _line({**self.end(prompt, what), self._key: self.said("", [])})]

    def calls_of(self, text: str) -> list[Call]:
        """Reads a whole answer; `text` is then what it says beside its calls."""
        said, first = self._read(text, end=False)
        more, last = self._read("", end=True)
        self.text = (said + more).strip("\n") if first or last else said + more
        return [*first, *last]

    def said(self, text: str, calls: list[Call]) -> dict[str, Any] | str:
        if self._key == "response":
            return text
        made = [{"function": {"name": call.name, "arguments": _arguments(call.arguments)}} for call in calls]
        return {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}

    def end(self, prompt: Prompt, answer: Answer) -> dict[str, Any]:
        spent = answer.timings
        return {
            **self._frame(),
            "done": True,
            "done_reason": "length" if answer.finish_reason == "length" else "stop",
            "total_duration": int((time.perf_counter() - self._started) * NANO),
            "load_duration": 0,
            "prompt_eval_count": prompt.usage.prompt_tokens,
            "prompt_eval_duration": int((spent.encode_s + spent.prefill_s) * NANO),
            "eval_count": answer.usage.completion_tokens,
            "eval_duration": int(spent.decode_s * NANO),
        }

    def _frame(self) -> dict[str, Any]:
        return {"model": self._name, "created_at": _time(time.time()), "done": False}

    def _read(self, text: str, *, end: bool) -> tuple[str, list[Call]]:
        if self._reader is None:
            return text, []
        said = []
        for event in self._reader.finish() if end else self._reader.push(text):
            if event.kind == "text":
                said.append(event.text)
            elif event.kind == "name":
                self._calls.append([event.text, ""])
            else:
                self._calls[event.index][1] += event.text
        ready = len(self._calls) if end or self._reader.between_calls else len(self._calls) - 1
        calls = [Call(*call) for call in self._calls[self._told : ready]]
        self._told = max(self._told, ready)
        return "".join(said), calls


def _arguments(text: str) -> dict[str, Any]:
    """{} for arguments that were cut off."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _details(service: Service) -> OllamaDetails:
    millions = service.parameters / 1e6
    size = f"{millions / 1000:.1f}B" if millions >= 1000 else f"{millions:.1f}M"
    return OllamaDetails(parameter_size=size, quantization_level=str(service.model.dtype).removeprefix("torch."))


def _model(service: Service, name: str) -> OllamaModel:
    return OllamaModel(
        name=name,
        model=name,
        modified_at=_time(service.created),
        size=service.weight_bytes,
        digest=service.model.encoder_id,
        details=_details(service),
    )
