"""From a checked request to its answers: place, media, prompt, and the engine."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, Piece, Usage, VideoPart
from anyres.constraints import Tool
from anyres.engine.options import Turn as EngineTurn
from anyres.model_input import VisualInput
from anyres.processing.processor import prompt_usage
from anyres.server.conversation import Conversation
from anyres.server.errors import ApiError
from anyres.server.media import RefusedMediaError
from anyres.server.prompt import messages_of
from anyres.server.service import Service

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel

__all__ = ["Event", "Ping", "Prompt", "Question", "answers", "prepare", "run"]


@dataclass(frozen=True)
class Question:
    """A checked request, in the words of the library. `options` has one entry for each answer that is wanted."""

    conversation: Conversation
    options: tuple[GenerationOptions, ...]
    owner: str = ""
    salt: bytes = b""
    tools: tuple[Tool, ...] = ()
    add_vision_id: bool = False


@dataclass(frozen=True)
class Prompt:
    """What the model will read."""

    messages: tuple[Message, ...]
    visuals: tuple[VisualInput, ...]
    usage: Usage
    queue_s: float = 0.0


class Ping:
    """Nothing has come for a while; the client is told that it is still being worked on."""


Event = tuple[int, Piece | Answer] | Ping | Prompt


async def run(service: Service, question: Question) -> AsyncGenerator[Event, None]:
    """First the prompt, then pieces and answers with the number of their choice. Leaving early ends all of them."""
    service.require_model()
    async with service.gate.place(len(question.options)) as queue_s:
        prompt = replace(await prepare(service, question), queue_s=queue_s)
        yield prompt
        turn = EngineTurn(timeout_s=service.settings.total_s, salt=question.salt)
        async with aclosing(_choices(service, prompt, question, turn)) as events:
            async for event in events:
                yield event


async def answers(service: Service, question: Question) -> tuple[Prompt, list[Answer]]:
    """All of them, whole, in order."""
    found: dict[int, Answer] = {}
    prompt: Prompt | None = None
    async with aclosing(run(service, question)) as events:
        async for event in events:
            if isinstance(event, Prompt):
                prompt = event
            elif isinstance(event, tuple) and isinstance(event[1], Answer):
                found[event[0]] = event[1]
    assert prompt is not None, "the prompt comes first"
    return prompt, [found[number] for number in sorted(found)]


async def prepare(service: Service, question: Question) -> Prompt:
    """Opens the media and builds the prompt. Raises ApiError for media, AnyresError for a prompt that does not fit."""
    try:
        opened = await service.door.open(question.conversation.media, question.owner)
    except RefusedMediaError as error:
        param = question.conversation.params[error.part]
        raise ApiError(400, f"{param}: {error}", code=error.code, param=param) from None
    return await asyncio.to_thread(_prompt, service.model, question, opened)


def _prompt(model: "LocalChatModel", question: Question, opened: Sequence[Sequence[ImagePart | VideoPart]]) -> Prompt:
    messages = messages_of(question.conversation.filled(opened), question.tools)
    made = model.processor.prepare(messages, add_vision_id=question.add_vision_id)
    return Prompt(tuple(messages), made.visuals, prompt_usage(made, spatial_merge_size=_merge(model)))


def _merge(model: "LocalChatModel") -> int:
    return model.config.vision.spatial_merge_size


async def _choices(
    service: Service, prompt: Prompt, question: Question, turn: EngineTurn
) -> AsyncGenerator[tuple[int, Piece | Answer] | Ping, None]:
    inbox: asyncio.Queue[tuple[int, Piece | Answer | Exception]] = asyncio.Queue()
    tasks = [
        asyncio.create_task(_pump(service.model, prompt.messages, options, turn, number, inbox))
        for number, options in enumerate(question.options)
    ]
    left = len(tasks)
    service.inboxes.add(inbox)
    try:
        while left:
            try:
                number, event = await asyncio.wait_for(inbox.get(), service.settings.ping_s)
            except TimeoutError:
                yield Ping()
                continue
            if isinstance(event, Exception):
                raise event
            left -= isinstance(event, Answer)
            yield number, event
    finally:
        service.inboxes.discard(inbox)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    model: "LocalChatModel",
    messages: Sequence[Message],
    options: GenerationOptions,
    turn: EngineTurn,
    number: int,
    inbox: "asyncio.Queue[tuple[int, Piece | Answer | Exception]]",
) -> None:
    stream = model.astream(messages, options=options, turn=turn)
    try:
        async for piece in stream:
            inbox.put_nowait((number, piece))
        assert stream.answer is not None, "the pieces have run out"
        inbox.put_nowait((number, stream.answer))
    except Exception as error:  # noqa: BLE001  it is raised where the request is answered
        inbox.put_nowait((number, error))
    finally:
        await stream.aclose()
