"""Vectors of texts and pictures for the routes that give them."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from anyres.chat import Part, TextPart
from anyres.engine.embedding import Pooling
from anyres.processing.template import SpecialToken
from anyres.server.answering import open_media
from anyres.server.body import validation_error
from anyres.server.conversation import Conversation, read_conversation
from anyres.server.errors import ApiError
from anyres.server.parts import Part as RequestPart
from anyres.server.schema import ChatRequest, Turn
from anyres.server.service import Service

if TYPE_CHECKING:
    from anyres.processing.processor import Processor, Run

__all__ = ["embedded"]

_PARTS: TypeAdapter[list[RequestPart]] = TypeAdapter(list[RequestPart])


async def embedded(
    service: Service, items: Sequence[Sequence[Any] | Sequence[int]], owner: str, *, pooling: Pooling = "mean"
) -> tuple[list[list[float]], int]:
    """A vector for each item, and how many tokens were read. An item is a list of parts, or of token ids."""
    conversations = [_conversation(service, item, f"input[{number}]") for number, item in enumerate(items)]
    vectors: list[list[float]] = []
    tokens = 0
    async with service.gate.place():
        for one in conversations:
            vector, count = await _vector(service, one, owner, pooling)
            vectors.append(vector)
            tokens += count
    return vectors, tokens


async def _vector(
    service: Service, item: Conversation | list[int], owner: str, pooling: Pooling
) -> tuple[list[float], int]:
    if isinstance(item, list):
        return await asyncio.to_thread(_computed, service, [item], pooling)
    opened = await open_media(service, item, owner)
    ((_, content),) = item.filled(opened)
    return await asyncio.to_thread(_computed, service, _runs(service.model.processor, content), pooling)


def _computed(service: Service, runs: Sequence["Run"], pooling: Pooling) -> tuple[list[float], int]:
    prompt = service.model.processor.assemble(runs)
    vector_D = service.model.embed(prompt, pooling=pooling)
    return vector_D.tolist(), len(prompt.token_ids_T)


def _conversation(service: Service, item: Sequence[Any], param: str) -> Conversation | list[int]:
    """Raises ApiError for parts that are none, ids outside the vocabulary, and nothing at all."""
    if not item or item == [{"type": "text", "text": ""}]:
        raise ApiError(400, f"{param}: empty; allowed: text, pictures or token ids", code="invalid_value", param=param)
    if all(isinstance(one, int) for one in item):
        return _ids(service, list(item), param)
    try:
        parts = _PARTS.validate_python(list(item))
    except ValidationError as error:
        raise validation_error(error.errors(), list(item), before=param) from None
    return read_conversation(ChatRequest.model_construct(messages=[Turn(role="user", content=parts)]), before=param)


def _ids(service: Service, ids: list[int], param: str) -> list[int]:
    most, special = service.model.config.text.vocab_size, service.model.processor.tokenizer.special_ids
    for one in ids:
        if not 0 <= one < most or one in special:
            message = f"{param}: token id {one}; allowed: ids below {most:,} that are no special tokens"
            raise ApiError(400, message, code="invalid_value", param=param)
    return ids


def _runs(processor: "Processor", content: Sequence[Part]) -> list["Run"]:
    runs: list[Run] = []
    for part in content:
        if isinstance(part, TextPart):
            runs.append(processor.ids(part.text))
        else:
            runs += [
                processor.ids(SpecialToken("<|vision_start|>")),
                part,
                processor.ids(SpecialToken("<|vision_end|>")),
            ]
    return runs
