"""From a checked request to its answers: place, media, prompt, and the engine."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anyres.chat import Answer, GenerationOptions, ImagePart, Piece, Usage, VideoPart
from anyres.constraints import Tool
from anyres.engine.options import Turn as EngineTurn
from anyres.model_input import ModelInput, VisualInput
from anyres.processing.processor import prompt_usage
from anyres.server.conversation import Conversation
from anyres.server.errors import ApiError
from anyres.server.media import RefusedMediaError
from anyres.server.metrics import Watch
from anyres.server.prompt import messages_of
from anyres.server.service import Inbox, Service

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel

__all__ = ["Event", "Ping", "Prompt", "Question", "answers", "open_media", "prepare", "run"]


@dataclass(frozen=True)
class Question:
    """A checked request, in the words of the library. `options` has one entry for each answer that is wanted."""

    conversation: Conversation
    options: tuple[GenerationOptions, ...]
    owner: str = ""
    salt: bytes = b""
    tools: tuple[Tool, ...] = ()
    add_vision_id: bool = False
    token_ids: tuple[int, ...] | None = None  # a prompt without a conversation


@dataclass(frozen=True)
class Prompt:
    """What the model will read."""

    input: ModelInput
    usage: Usage
    queue_s: float = 0.0

    @property
    def visuals(self) -> tuple[VisualInput, ...]:
        return self.input.visuals


class Ping:
    """Nothing has come for a while; the client is told that it is still being worked on."""


Event = tuple[int, Piece | Answer] | Ping | Prompt


async def run(service: Service, question: Question) -> AsyncGenerator[Event, None]:
    """First the prompt, then pieces and answers with the number of their choice. Leaving early ends all of them."""
    service.require_model()
    watch, left = Watch(service.metrics), len(question.options)
    try:
        async with service.gate.place(left) as queue_s:
            prompt = replace(await prepare(service, question), queue_s=queue_s)
            yield prompt
            turn = EngineTurn(timeout_s=service.settings.total_s, salt=question.salt)
            async with aclosing(_choices(service, prompt, question, turn)) as events:
                async for event in events:
                    left -= _count(service, watch, prompt, event)
                    yield event
    except Exception as error:
        service.metrics.aborted.labels(type(error).__name__).inc()
        raise
    except BaseException:  # the client has gone, or does not want more
        if left:
            service.metrics.aborted.labels("disconnect").inc()
        raise
    watch.end()


def _count(service: Service, watch: Watch, prompt: Prompt, event: "tuple[int, Piece | Answer] | Ping") -> bool:
    """Whether that ends an answer."""
    if isinstance(event, Ping):
        return False
    if isinstance(event[1], Piece):
        watch.piece()
        return False
    service.metrics.answered(prompt.usage, event[1], queue_s=prompt.queue_s)
    return True


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
    if question.token_ids is not None:
        return await asyncio.to_thread(_assembled, service.model, question.token_ids)
    opened = await open_media(service, question.conversation, question.owner)
    return await asyncio.to_thread(_prompt, service.model, question, opened)


async def open_media(service: Service, conversation: Conversation, owner: str) -> list[list[ImagePart | VideoPart]]:
    """Raises ApiError for the first item that is refused."""
    if not conversation.media:
        return []
    started = service.metrics.clock()
    try:
        opened = await service.door.open(conversation.media, owner)
    except RefusedMediaError as error:
        param = conversation.params[error.part]
        service.metrics.rejected.labels(error.code).inc()
        raise ApiError(400, f"{param}: {error}", code=error.code, param=param) from None
    service.metrics.fetched.observe(service.metrics.clock() - started)
    return opened


def _prompt(model: "LocalChatModel", question: Question, opened: Sequence[Sequence[ImagePart | VideoPart]]) -> Prompt:
    messages = messages_of(question.conversation.filled(opened), question.tools)
    made = model.processor.prepare(messages, add_vision_id=question.add_vision_id)
    return prompt_of(model, made)


def _assembled(model: "LocalChatModel", token_ids: Sequence[int]) -> Prompt:
    return prompt_of(model, model.processor.assemble([list(token_ids)]))


def prompt_of(model: "LocalChatModel", made: ModelInput) -> Prompt:
    return Prompt(made, prompt_usage(made, spatial_merge_size=model.config.vision.spatial_merge_size))


async def _choices(
    service: Service, prompt: Prompt, question: Question, turn: EngineTurn
) -> AsyncGenerator[tuple[int, Piece | Answer] | Ping, None]:
    inbox: Inbox = asyncio.Queue()
    tasks = [
        asyncio.create_task(_pump(service.model, prompt.input, options, turn, number, inbox))
        for number, options in enumerate(question.options)
    ]
    left = len(tasks)
    service.inboxes.add(inbox)
    try:
        while left:
            try:
                async with asyncio.timeout(service.settings.ping_s):  # wait_for of 3.11 can lose a cancellation
                    number, event = await inbox.get()
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
    made: ModelInput,
    options: GenerationOptions,
    turn: EngineTurn,
    number: int,
    inbox: Inbox,
) -> None:
    stream = model.astream(made, options=options, turn=turn)
    try:
        async for piece in stream:
            inbox.put_nowait((number, piece))
        assert stream.answer is not None, "the pieces have run out"
        inbox.put_nowait((number, stream.answer))
    except Exception as error:  # noqa: BLE001  it is raised where the request is answered
        inbox.put_nowait((number, error))
    finally:
        await stream.aclose()
