"""Clients that leave, wait, ask too much or read too slowly, and a server that goes down."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anyres.chat import Piece
from anyres.engine.engine import LocalChatModel
from anyres.errors import EngineError, NumericsError
from anyres.server import answering
from anyres.server.gate import Gate
from anyres.server.service import Inbox
from tests.server.serving import (
    Running,
    answer_to,
    begun,
    chunks_of,
    cut_short,
    eventually,
    image_part,
    picture,
    serving,
)

LONG: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Write."}],
    "max_tokens": 1800,
    "ignore_eos": True,
    "stop_loops": False,
    "temperature": 2.0,
}
"""Some seconds of work, unless somebody ends it: nothing comes twice, so that no guess ahead is right."""


def at_work(running: Running, count: int = 1) -> bool:
    return running.service.model.stats.running >= count


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_frees_the_place(server: Running, stream: bool) -> None:
    """Wherever the answer is; the next question is answered as before."""
    before = server.say("Hi", temperature=0)
    with cut_short(server, LONG["max_tokens"]):
        connection = begun(server.port, {**LONG, "stream": stream})
        eventually(lambda: at_work(server))
        connection.close()
        if connection.sock is not None:
            connection.sock.close()
    assert server.say("Hi", temperature=0) == before


def test_who_leaves_a_stream_after_some_words(server: Running) -> None:
    with cut_short(server, LONG["max_tokens"]):
        connection = begun(server.port, {**LONG, "stream": True})
        response = connection.getresponse()
        assert response.read(400)
        assert at_work(server)
        response.close()
        connection.close()


@pytest.mark.parametrize("path", ["/v1/responses", "/api/chat", "/v1/completions"])
def test_other_paths_notice_too(server: Running, path: str) -> None:
    knobs = {"max_output_tokens": 1800, "options": {"num_predict": 1800}, "prompt": "Write.", "input": "Write."}
    with cut_short(server, LONG["max_tokens"]):
        connection = begun(server.port, {**LONG, **knobs, "model": "tiny", "response_format": None}, path)
        eventually(lambda: at_work(server) or server.service.gate.taken == 0)
        connection.close()


def test_many_who_leave_leave_nothing(server: Running) -> None:
    for number in range(25):
        connection = begun(server.port, {**LONG, "stream": bool(number % 2)})
        time.sleep(0.01 * (number % 5))
        connection.close()
    eventually(server.idle)
    assert not server.service.inboxes
    stats = server.service.model.stats
    assert (stats.running, stats.waiting) == (0, 0)


def test_too_many_are_refused_at_once(model: LocalChatModel, tmp_path: Path) -> None:
    """Before media is looked at, with words and a time to come again; who was let in is answered."""
    with serving(model, tmp_path, running=1, queue=2) as small:
        first = begun(small.port, LONG)
        eventually(lambda: at_work(small))
        waiting = [begun(small.port, {**LONG, "max_tokens": 2}) for _ in range(2)]
        eventually(lambda: small.service.gate.waiting == 2)
        broken = [image_part("data:image/png;base64,AAAA")]
        reply = small.chat(broken)
        assert reply.status_code == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["error"]["type"] == "rate_limit_error"
        assert reply.json()["error"]["code"] == "server_busy"
        assert "--max-queue" in reply.json()["error"]["message"]
        assert small.anyone.get("/health").status_code == 200
        assert "anyres:num_requests_waiting 2.0" in small.anyone.get("/metrics").text
        first.close()
        assert [answer_to(connection)[0] for connection in waiting] == [200, 200]


def test_who_waits_too_long_is_told(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path, running=1, queue=2, queue_s=0.2) as small:
        first = begun(small.port, LONG)
        eventually(lambda: at_work(small))
        reply = small.chat("Hi")
        assert reply.status_code == 429
        assert "no place within 0.2 s" in reply.json()["error"]["message"]
        first.close()
        eventually(small.idle)


def test_who_leaves_the_line_leaves_no_hole(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path, running=1, queue=4) as small:
        first = begun(small.port, LONG)
        eventually(lambda: at_work(small))
        second, third = (begun(small.port, {**LONG, "max_tokens": 2}) for _ in range(2))
        eventually(lambda: small.service.gate.waiting == 2)
        second.close()
        eventually(lambda: small.service.gate.waiting == 1)
        first.close()
        assert answer_to(third)[0] == 200
        eventually(small.idle)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_has_an_end(model: LocalChatModel, tmp_path: Path, stream: bool) -> None:
    """Its time is over: 504 that no client repeats, or an error in the stream behind the words so far."""
    with serving(model, tmp_path, total_s=0.5) as short, cut_short(short, LONG["max_tokens"]):
        reply = short.client.post("/v1/chat/completions", json={**LONG, "stream": stream})
        if stream:
            chunks = chunks_of(reply.text)
            assert set(chunks[-1]) == {"error"}
            assert any(chunk["choices"][0]["delta"].get("content") for chunk in chunks[:-1])
            assert chunks[-1]["error"]["type"] == "server_error"
        else:
            assert reply.status_code == 504
            assert reply.headers["x-should-retry"] == "false"


class Poisoned:
    """A model whose answer to one question goes wrong in the middle."""

    def __init__(self, model: LocalChatModel, error: Exception, after: int) -> None:
        self.error, self.after, self.model = error, after, model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def astream(self, messages: Any, **others: Any) -> Any:
        stream = self.model.astream(messages, **others)
        if others["options"].seed != 666:
            return stream
        return _Broken(stream, self.error, self.after)


class _Broken:
    answer = None

    def __init__(self, stream: Any, error: Exception, after: int) -> None:
        self.stream, self.error, self.left = stream, error, after

    def __aiter__(self) -> "_Broken":
        return self

    async def __anext__(self) -> Piece:
        if self.left == 0:
            raise self.error
        self.left -= 1
        piece: Piece = await anext(self.stream)
        return piece

    async def aclose(self) -> None:
        await self.stream.aclose()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NumericsError("layer", "NaN", "finite"), 500),
        (RuntimeError("secret at 0x7f00deadbeef in /root/models/weights.py"), 500),
        (MemoryError("secret"), 500),
        (EngineError("engine", "closed", "requests before close()"), 503),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
def test_one_that_goes_wrong_goes_alone(
    model: LocalChatModel, tmp_path: Path, error: Exception, status: int, after: int
) -> None:
    with serving(model, tmp_path) as running:
        running.service.loaded = Poisoned(model, error, after)  # type: ignore[assignment]
        with ThreadPoolExecutor(4) as pool:
            others = [pool.submit(running.say, "Hi", temperature=0, max_tokens=40) for _ in range(3)]
            reply = running.chat("Write.", seed=666, max_tokens=40, ignore_eos=True)
            streamed = running.chat("Write.", seed=666, max_tokens=40, ignore_eos=True, stream=True)
        assert reply.status_code == status
        for text in (reply.text, streamed.text):
            assert not any(word in text for word in ("secret", "0x7f", "/root", "Traceback"))
        if status == 500:
            assert reply.headers["x-should-retry"] == "false"
        assert streamed.status_code == (200 if after else status)
        if after:
            assert set(chunks_of(streamed.text)[-1]["error"]) == {"message", "type", "param", "code"}
        assert {other.result() for other in others} == {running.say("Hi", temperature=0, max_tokens=40)}
        eventually(running.idle)


def test_a_slow_reader_is_left(model: LocalChatModel, tmp_path: Path) -> None:
    """It hurts nobody else, and is not waited for."""
    with serving(model, tmp_path, write_s=0.5) as running:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect(("127.0.0.1", running.port))
        body = json.dumps({**LONG, "stream": True, "logprobs": True, "top_logprobs": 20, "n": 8}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: at_work(running))
        assert running.chat("Hi").status_code == 200
        eventually(running.idle, within_s=60)
        me = slow.getsockname()[1]
        eventually(lambda: me not in {one.client[1] for one in set(running.server.server_state.connections)})
        slow.close()


def test_streams_together_are_streams_alone(server: Running) -> None:
    """With pictures among them."""
    asks: list[Any] = [f"Question {number}?" for number in range(6)]
    asks += [[image_part(picture(f"word {number}")), {"type": "text", "text": "Read it."}] for number in range(3)]
    alone = [server.say(ask, temperature=0, max_tokens=24) for ask in asks]

    def streamed(ask: Any) -> str:
        chunks = server.stream(ask, temperature=0, max_tokens=24)
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    with ThreadPoolExecutor(len(asks)) as pool:
        assert list(pool.map(streamed, asks)) == alone


def test_going_down_lets_requests_finish(model: LocalChatModel, tmp_path: Path) -> None:
    """New ones are refused with 503 while the old are answered; then the server ends."""
    with serving(model, tmp_path) as running:
        answers: list[Any] = []
        body = {**LONG, "max_tokens": 60}
        asking = threading.Thread(target=lambda: answers.append(running.client.post("/v1/chat/completions", json=body)))
        asking.start()
        eventually(lambda: at_work(running))
        running.on_loop(lambda: running.server.handle_exit(15, None))
        eventually(lambda: running.service.draining)
        assert running.anyone.get("/ready").status_code == 503
        assert running.anyone.get("/health").status_code == 200
        refused = running.anyone.post("/v1/chat/completions", json=LONG)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        asking.join(60)
        assert answers[0].status_code == 200
        assert answers[0].json()["usage"]["completion_tokens"] == 60


def test_a_second_signal_does_not_wait(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path) as running:
        connection = begun(running.port, {**LONG, "stream": True})
        response = connection.getresponse()
        first = response.read(100)  # the answer is under way
        for _ in range(2):
            running.on_loop(lambda: running.server.handle_exit(15, None))
            eventually(lambda: running.service.draining)
        text = (first + response.read()).decode()
        connection.close()
        assert chunks_of(text)[-1]["error"]["code"] == "draining"


def test_nothing_is_answered_before_the_model_is_there(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path) as running:
        running.service.loaded = None
        for reply in (running.anyone.get("/ready"), running.chat("Hi"), running.anyone.get("/v1/models")):
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "loading")
        assert running.anyone.get("/health").status_code == 200
        running.service.loaded = model
        assert running.anyone.get("/ready").status_code == 200


@pytest.mark.parametrize("rounds", range(4))
def test_who_leaves_as_a_word_comes_has_left(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled so many turns of the loop after a word was ready: it ends, or it has given the word before."""
    inboxes: list[Inbox] = []

    async def waiting(*given: Any) -> None:
        inboxes.append(given[-1])
        await asyncio.Event().wait()

    async def scenario() -> None:
        service = SimpleNamespace(model=None, inboxes=set(), settings=SimpleNamespace(ping_s=5.0))
        asked: Any = SimpleNamespace(input=None, options=(None,))
        words = answering._choices(service, asked, asked, None)  # type: ignore[arg-type]
        task = asyncio.ensure_future(anext(words))
        for _ in range(4):
            await asyncio.sleep(0)
        inboxes[0].put_nowait((0, Piece("word")))
        await cancelled_after(rounds, task)
        await words.aclose()

    monkeypatch.setattr(answering, "_pump", waiting)
    asyncio.run(scenario())


@pytest.mark.parametrize("rounds", range(5))
def test_who_leaves_as_a_place_is_free_takes_none(rounds: int) -> None:
    async def scenario() -> None:
        gate = Gate(1, queue=1, queue_s=5.0)
        at_work = gate.place()
        await at_work.__aenter__()
        second = gate.place()
        task = asyncio.ensure_future(second.__aenter__())
        for _ in range(3):
            await asyncio.sleep(0)
        await at_work.__aexit__(None, None, None)
        if not await cancelled_after(rounds, task):
            await second.__aexit__(None, None, None)
        assert gate.taken == gate.waiting == 0

    asyncio.run(scenario())


async def cancelled_after(rounds: int, task: "asyncio.Future[Any]") -> bool:
    """Whether it was cancelled in time; then it must have ended by that."""
    for _ in range(rounds):
        await asyncio.sleep(0)
    asked = task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() == asked, "the cancellation is lost"
    return asked
