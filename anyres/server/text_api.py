"""`/v1/completions` (text goes on) and `/v1/embeddings` (vectors of texts and pictures)."""

import base64
import struct
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import accumulate
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from anyres.chat import Answer, Piece, TokenLogprob, Usage
from anyres.server.answering import Event, Ping, Prompt, Question, answers, run
from anyres.server.body import StrictRoute
from anyres.server.chat_api import REFUSALS, STREAMED, ignored_fields
from anyres.server.conversation import Conversation
from anyres.server.embedding import embedded
from anyres.server.errors import ApiError, api_error
from anyres.server.request import options_of
from anyres.server.schema import ChatRequest
from anyres.server.service import Service
from anyres.server.stream import DONE, PING, EventStream, event, first_event
from anyres.server.text_schema import (
    CompletionChoice,
    CompletionLogprobs,
    CompletionReply,
    CompletionRequest,
    EmbeddingItem,
    EmbeddingReply,
    EmbeddingRequest,
    EmbeddingUsage,
)
from anyres.server.wording import dumped, finish_of, new_id, usage_of

__all__ = ["text_routes"]


def text_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", route_class=StrictRoute, responses=REFUSALS, tags=["text"])

    @router.post("/completions", response_model=CompletionReply, responses=STREAMED)
    async def completions(body: CompletionRequest, request: Request) -> Response:
        """A text goes on, without the chat template. One prompt a request."""
        name = service.name_of(body.model)
        question, before = _question(service, body, request.state.owner)
        frame = {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
            "system_fingerprint": service.fingerprint,
        }
        if body.stream:
            events = run(service, question)
            prompt, first = await first_event(events)
            return EventStream(_chunks(body, frame, prompt, first, events, before), headers=ignored_fields(body))
        prompt, found = await answers(service, question)
        reply = CompletionReply.model_validate(
            {
                **frame,
                "choices": [_choice(number, before, one, body.logprobs) for number, one in enumerate(found)],
                "usage": usage_of(prompt.usage, [one.usage for one in found]),
            }
        )
        return JSONResponse(dumped(reply), headers=ignored_fields(body))

    @router.post("/embeddings", response_model=EmbeddingReply)
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        """The pooled last hidden states of texts, pictures or both, of length 1."""
        name = service.name_of(body.model)
        width = service.model.config.text.hidden_size
        if body.dimensions not in (None, width):
            message = f"dimensions: {body.dimensions}; allowed: {width}, the model's own"
            raise ApiError(400, message, code="invalid_value", param="dimensions")
        vectors, tokens = await embedded(service, _items(body), request.state.owner, pooling=body.pooling)
        data = [
            EmbeddingItem(index=number, embedding=_coded(vector, body.encoding_format))
            for number, vector in enumerate(vectors)
        ]
        reply = EmbeddingReply(data=data, model=name, usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens))
        return JSONResponse(dumped(reply), headers=ignored_fields(body))

    return router


def _question(service: Service, body: CompletionRequest, owner: str) -> tuple[Question, str]:
    """And what stands before the answer where `echo` wants it."""
    tokenizer = service.model.processor.tokenizer
    prompt = (
        body.prompt[0] if isinstance(body.prompt, list) and isinstance(body.prompt[0], (str, list)) else body.prompt
    )
    ids = tokenizer.encode_text(prompt) if isinstance(prompt, str) else [int(one) for one in prompt]
    if not ids:
        raise ApiError(400, "prompt: empty; allowed: some text", code="invalid_value", param="prompt")
    for one in ids:
        if not 0 <= one < tokenizer.vocab_size or one in tokenizer.special_ids:
            message = f"prompt: token id {one}; allowed: ids below {tokenizer.vocab_size:,} that are no special tokens"
            raise ApiError(400, message, code="invalid_value", param="prompt")
    chat = ChatRequest.model_construct(
        messages=[],
        **body.model_dump(exclude={"prompt", "logprobs", "echo", "suffix", "best_of"}, exclude_none=True),
        logprobs=body.logprobs is not None,
        top_logprobs=body.logprobs,
    )
    question = Question(
        Conversation(()),
        options_of(chat, service),
        owner=owner,
        salt=service.salt(owner, body.cache_salt),
        token_ids=tuple(ids),
    )
    return question, tokenizer.decode(ids) if body.echo else ""


def _choice(number: int, before: str, answer: Answer, logprobs: int | None) -> CompletionChoice:
    return CompletionChoice(
        index=number,
        text=before + answer.text,
        logprobs=None if logprobs is None else _logprobs(answer.logprobs, len(before)),
        finish_reason=finish_of(answer, called=False),
    )


def _logprobs(told: Sequence[TokenLogprob] | None, start: int) -> CompletionLogprobs:
    """`start` is where in the text the first of these tokens begins."""
    tokens = told or ()
    ends = accumulate((len(one.text) for one in tokens), initial=start)
    return CompletionLogprobs(
        tokens=[one.text for one in tokens],
        token_logprobs=[one.logprob for one in tokens],
        top_logprobs=[dict(one.top) for one in tokens],
        text_offset=list(ends)[: len(tokens)],
    )


async def _chunks(
    body: CompletionRequest,
    frame: dict[str, Any],
    prompt: Prompt,
    first: Event,
    rest: AsyncGenerator[Event, None],
    before: str,
) -> AsyncGenerator[bytes, None]:
    writer = _Writer(frame, [len(before)] * (body.n or 1), with_logprobs=body.logprobs is not None)
    async with aclosing(rest):
        try:
            for number in range(body.n or 1) if before else ():
                yield writer.chunk(number, before)
            for chunk in writer.take(first):
                yield chunk
            async for one in rest:
                for chunk in writer.take(one):
                    yield chunk
            if body.stream_options and body.stream_options.include_usage:
                usage = usage_of(prompt.usage, writer.usages())
                yield event({**frame, "choices": [], "usage": usage.model_dump(mode="json")})
        except Exception as error:  # noqa: BLE001  the status is sent: the error goes into the stream
            yield event(api_error(error).body)
        yield DONE


class _Writer:
    """`lengths` is how far the text of each choice has come."""

    def __init__(self, frame: dict[str, Any], lengths: list[int], *, with_logprobs: bool) -> None:
        self._frame = frame
        self._lengths = lengths
        self._with_logprobs = with_logprobs
        self._found: dict[int, Answer] = {}

    def usages(self) -> list[Usage]:
        return [self._found[number].usage for number in sorted(self._found)]

    def take(self, one: Event) -> list[bytes]:
        if isinstance(one, Ping):
            return [PING]
        assert not isinstance(one, Prompt), "the prompt is known"
        number, what = one
        if isinstance(what, Piece):
            return [self.chunk(number, what.text, logprobs=self._told(number, what))]
        self._found[number] = what
        return [self.chunk(number, "", finish=finish_of(what, called=False))]

    def chunk(self, number: int, text: str, *, finish: str | None = None, logprobs: Any = None) -> bytes:
        choice = {"index": number, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return event({**self._frame, "choices": [choice]})

    def _told(self, number: int, piece: Piece) -> dict[str, Any] | None:
        if not self._with_logprobs:
            return None
        told = _logprobs(piece.logprobs, self._lengths[number])
        self._lengths[number] += sum(map(len, told.tokens))
        return told.model_dump(mode="json")


def _items(body: EmbeddingRequest) -> list[Sequence[Any]]:
    given = body.input
    if isinstance(given, str):
        return [[{"type": "text", "text": given}]]
    if all(isinstance(one, int) for one in given):
        return [given]
    return [[{"type": "text", "text": one}] if isinstance(one, str) else one for one in given]  # type: ignore[misc]


def _coded(vector: list[float], encoding: str) -> list[float] | str:
    return vector if encoding == "float" else base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
