"""Many threads and event loops at one engine: each gets its own answer, and whoever leaves takes its request along."""

import asyncio
import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from anyres.chat import Answer, AsyncAnswerStream, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.options import EngineOptions, Turn
from anyres.engine.runner import Progress
from anyres.engine.scheduler import Limits
from anyres.errors import (
    BusyError,
    ContextLengthError,
    DeadlineError,
    EngineError,
    MessageError,
    NumericsError,
)
from anyres.kernels.library import best_isa
from tests.engine.runs import until

MakeEngine = Callable[..., LocalChatModel]
SHORT = GenerationOptions(max_tokens=12)
DRAWN = GenerationOptions(max_tokens=25, temperature=1.0, seed=7)
ENDLESS = GenerationOptions(max_tokens=3000, stop_loops=False)


def photo(seed: int, height: int = 56, width: int = 84) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


LARGE = photo(0, 112, 168)  # 4x6 visual tokens
CONVERSATIONS = [
    [Message("user", "hello")],
    [Message("user", (ImagePart(photo(1)), TextPart("what is it?")))],
    [Message("user", (VideoPart([photo(i) for i in range(5)]), TextPart("then?"), ImagePart(photo(9, 28, 140))))],
]


def idle(engine: LocalChatModel) -> bool:
    return until(lambda: engine.stats.running == engine.stats.waiting == 0)


def with_options(engine: LocalChatModel, options: EngineOptions) -> LocalChatModel:
    return LocalChatModel(engine.model, engine.processor, defaults=engine.defaults, engine=options)


def test_32_threads_at_once(engine: LocalChatModel) -> None:
    """Each asks, or streams; all get what they get alone."""
    alone = [engine.chat(messages, options=DRAWN).text for messages in CONVERSATIONS]

    def use(i: int) -> str:
        messages = CONVERSATIONS[i % len(CONVERSATIONS)]
        if i % 2:
            return engine.chat(messages, options=DRAWN).text
        return "".join(map(str, engine.stream_chat(messages, options=DRAWN)))

    with ThreadPoolExecutor(32) as pool:
        texts = list(pool.map(use, range(32)))
    assert texts == [alone[i % len(alone)] for i in range(32)]


def test_the_thread_ends_when_nobody_asks(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And begins again when somebody does."""
    monkeypatch.setattr("anyres.engine.loop.LINGER_S", 0.05)
    engine = make_engine()
    first = engine.ask(None, "?", options=SHORT)
    assert until(lambda: engine._loop._state.thread is None)
    assert engine.ask(None, "?", options=SHORT).text == first.text


def test_async(engine: LocalChatModel) -> None:
    """Side by side in one event loop, whole and in pieces."""
    expected = [engine.chat(messages, options=DRAWN).text for messages in CONVERSATIONS]

    async def streamed(messages: list[Message]) -> Answer:
        told: list[Progress] = []
        stream = engine.astream(messages, options=DRAWN, report=told.append)
        pieces = [str(piece) async for piece in stream]
        assert "".join(pieces) == stream.answer.text
        assert told[-1].stage == "prefill"
        return stream.answer

    async def everyone() -> list[Answer]:
        whole = [engine.achat(messages, options=DRAWN) for messages in CONVERSATIONS]
        return await asyncio.gather(*whole, *map(streamed, CONVERSATIONS))

    assert [answer.text for answer in asyncio.run(everyone())] == expected * 2


def test_async_errors_and_cancelling(engine: LocalChatModel) -> None:
    async def use() -> None:
        with pytest.raises(MessageError):
            await engine.achat([])
        task = asyncio.create_task(engine.achat(CONVERSATIONS[0], options=ENDLESS))
        stream = engine.astream(CONVERSATIONS[0], options=ENDLESS)
        await anext(stream)
        await stream.aclose()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(DeadlineError):
            await engine.achat(CONVERSATIONS[0], options=ENDLESS, turn=Turn(timeout_s=1e-6))

    asyncio.run(use())
    assert idle(engine)


def test_an_event_loop_that_is_closed_ends_its_requests(engine: LocalChatModel) -> None:
    async def leave() -> AsyncAnswerStream:
        stream = engine.astream(CONVERSATIONS[0], options=ENDLESS)
        await anext(stream)
        return stream

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(leave())
    loop.close()
    assert idle(engine)
    assert stream.answer is None


def test_an_error_in_a_batch_ends_it(engine: LocalChatModel) -> None:
    """The others are let go."""
    good = engine.encode(photo(5))
    bad = dataclasses.replace(good, visual_MD=good.visual_MD * torch.nan)
    questions = [[Message("user", (ImagePart(one), TextPart("?")))] for one in (good, bad, good)]
    with pytest.raises(NumericsError):
        engine.chat_batch(questions, options=ENDLESS)
    assert idle(engine)
    assert engine.ask(good, "?", options=SHORT).usage.completion_tokens == 12


def test_a_deadline(engine: LocalChatModel) -> None:
    with pytest.raises(DeadlineError, match=r"request: .* s; allowed: 0.001 s"):
        engine.chat(CONVERSATIONS[0], options=ENDLESS, turn=Turn(timeout_s=0.001))


def test_a_full_engine_refuses_before_it_opens_pictures(engine: LocalChatModel, tmp_path: Path) -> None:
    full = with_options(engine, EngineOptions(Limits(running=1), waiting=1))
    streams = [full.stream_chat(CONVERSATIONS[0], options=ENDLESS) for _ in range(2)]
    next(streams[0])
    waiting = threading.Thread(target=next, args=(streams[1], None))
    waiting.start()
    assert until(lambda: full.stats.waiting == 1)
    with pytest.raises(BusyError, match=r"engine: 2 requests; allowed: at most 2; try again later"):
        full.ask(tmp_path / "is not there.png", "?")
    streams[0].close()
    waiting.join()
    streams[1].close()
    assert idle(full)


def test_closed(make_engine: MakeEngine) -> None:
    """Who waits for an answer gets an error, and so does who asks later."""
    engine = make_engine()
    stream = engine.stream(None, "?", options=ENDLESS)
    next(stream)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="engine: closed"):
        list(stream)
    with pytest.raises(EngineError, match="engine: closed"):
        engine.ask(None, "?")


def test_a_step_that_fails_ends_its_requests_and_no_more(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours must not leave anybody waiting for ever."""
    engine = make_engine()
    monkeypatch.setattr("anyres.engine.core.Scheduler.plan", Mock(side_effect=KeyError("lost")))
    with pytest.raises(KeyError, match="lost"):
        engine.ask(None, "?")
    assert "a step of the engine failed" in caplog.text
    monkeypatch.undo()
    assert engine.ask(None, "?", options=SHORT).usage.completion_tokens == 12


def test_prompts_larger_than_the_cache_are_refused(engine: LocalChatModel) -> None:
    """Answers end where it ends."""
    small = with_options(engine, EngineOptions(kv_bytes=8 * 12_288))
    answer = small.ask(None, "?", options=ENDLESS)
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == 128
    assert answer.finish_reason == "length"
    with pytest.raises(ContextLengthError, match="allowed: below 128, which the KV cache holds"):
        small.ask(None, "?" * 200)


def test_a_second_question_about_a_picture(make_engine: MakeEngine) -> None:
    """Neither the picture nor what stands before it is computed again."""
    engine = make_engine()
    first = engine.ask(LARGE, "what?", options=SHORT)
    second = engine.ask(LARGE, "where?", options=SHORT)
    assert (first.usage.cached_tokens, first.timings.encode_s > 0) == (0, True)
    assert second.usage.cached_tokens > 24
    assert second.timings.encode_s == 0
    elsewhere = engine.chat([Message("user", (TextPart("Look:"), ImagePart(LARGE)))], options=SHORT)
    assert (elsewhere.usage.cached_visual_tokens, elsewhere.timings.encode_s) == (24, 0)
    assert make_engine(seed=0).ask(LARGE, "where?", options=SHORT).text == second.text


def test_a_program_may_end_while_an_answer_is_made() -> None:
    """The thread is stopped between two steps: no crash, no message but of the machine, no waiting for 1,900 tokens."""
    code = """
import anyres
model = anyres.load(device="cpu", dtype="float32")
stream = model.stream(None, "Hello?", options=anyres.GenerationOptions(max_tokens=1900, temperature=2.0, seed=1))
print(next(stream).text != "")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, check=False)
    said = [line.partition(":")[0] for line in done.stderr.splitlines()]
    expected = [] if best_isa() is not None else ["no native kernels"]
    assert (done.returncode, done.stdout, said) == (0, "True\n", expected)
