"""ollama-python, unchanged, against `/api`; its lines say what `/v1` says."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from anyres.engine.engine import LocalChatModel
from tests.server.serving import Running, begun, eventually, image_part, picture, serving
from tests.server.test_leaving import LONG

URL = picture()
DATA = base64.b64decode(URL.partition(",")[2])
ASK: Any = [{"role": "user", "content": "Read it.", "images": [DATA]}]
GREEDY: Any = {"temperature": 0, "num_predict": 12}
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
    "additionalProperties": False,
}


def add(a: int, b: int) -> int:
    """Adds two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[ollama.Client]:
    made = ollama.Client(host=server.url)
    yield made
    made._client.close()


@pytest.fixture(scope="module")
def whole(server: Running) -> str:
    """The answer to ASK, asked at `/v1`."""
    return server.say([image_part(URL), {"type": "text", "text": "Read it."}], temperature=0, max_tokens=12)


def test_chat_says_what_v1_says(client: ollama.Client, whole: str) -> None:
    reply = client.chat("tiny", ASK, options=GREEDY)
    assert reply.message.content == whole
    assert reply.done
    assert reply.done_reason in ("stop", "length")
    assert reply.prompt_eval_count
    assert reply.prompt_eval_count > 12
    assert reply.total_duration
    assert client.chat("tiny:latest", ASK, options=GREEDY).message.content == whole


def test_a_stream(client: ollama.Client, whole: str) -> None:
    lines = list(client.chat("tiny", ASK, options=GREEDY, stream=True))
    assert "".join(line.message.content or "" for line in lines) == whole
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1].eval_count


def test_pictures_by_path_and_base64(client: ollama.Client, whole: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(DATA)
    for image in (path, str(path), base64.b64encode(DATA).decode()):
        asked: Any = [{"role": "user", "content": "Read it.", "images": [image]}]
        assert client.chat("tiny", asked, options=GREEDY).message.content == whole


def test_generate(client: ollama.Client, whole: str) -> None:
    reply = client.generate("tiny", "Read it.", images=[DATA], options=GREEDY)
    assert reply.response == whole
    lines = client.generate("tiny", "Read it.", images=[DATA], options=GREEDY, stream=True)
    assert "".join(line.response for line in lines) == whole
    with_system = client.generate("tiny", "Hi", system="Be short.", options=GREEDY)
    assert with_system.prompt_eval_count == client.chat(
        "tiny", [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}], options=GREEDY
    ).prompt_eval_count  # fmt: skip


def test_a_schema_and_any_json(client: ollama.Client) -> None:
    options: Any = {"num_predict": 60, "temperature": 1, "seed": 2}
    said = client.chat("tiny", ASK, format=SCHEMA, options=options).message.content or ""
    assert set(json.loads(said)) == {"total"}
    assert (client.chat("tiny", ASK, format="json", options=options).message.content or "").lstrip().startswith("{")


def test_tools(client: ollama.Client, server: Running) -> None:
    """The model may call one; that it can go on with the result; that calls are told whole."""
    reply = client.chat("tiny", [{"role": "user", "content": "Add 1 and 2."}], tools=[add], options=GREEDY)
    asked: list[Any] = [{"role": "user", "content": "Add 1 and 2."}, reply.message]
    call: Any = {"function": {"name": "add", "arguments": {"a": 1, "b": 2}}}
    told: list[Any] = [
        {"role": "user", "content": "Add 1 and 2."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_name": "add"},
    ]
    for messages in (asked, told):
        assert client.chat("tiny", messages, tools=[add], options=GREEDY).done


def test_logprobs(client: ollama.Client) -> None:
    reply = client.chat("tiny", ASK, options=GREEDY, logprobs=True, top_logprobs=2)
    assert reply.logprobs
    assert "".join(one.token for one in reply.logprobs) == reply.message.content
    assert all(one.top_logprobs and len(one.top_logprobs) == 2 for one in reply.logprobs)


def test_models(client: ollama.Client, server: Running) -> None:
    (model,) = client.list().models
    assert model.model == "tiny"
    assert model.details
    assert model.details.family == "qwen2vl"
    assert [one.model for one in client.ps().models] == ["tiny"]
    shown = client.show("tiny")
    assert "vision" in (shown.capabilities or [])
    assert server.client.get("/api/version").json()["version"]


def test_embeddings_are_those_of_v1(client: ollama.Client, server: Running) -> None:
    ours = client.embed("tiny", ["a cat", "a dog"]).embeddings
    theirs = server.client.post("/v1/embeddings", json={"input": ["a cat", "a dog"], "model": "tiny"}).json()["data"]
    assert [list(one) for one in ours] == [one["embedding"] for one in theirs]


def test_async(server: Running, whole: str) -> None:
    async def work() -> None:
        client = ollama.AsyncClient(host=server.url)
        assert (await client.chat("tiny", ASK, options=GREEDY)).message.content == whole
        stream = await client.chat("tiny", ASK, options=GREEDY, stream=True)
        assert "".join([line.message.content or "" async for line in stream]) == whole
        await client._client.aclose()

    asyncio.run(work())


def test_errors_are_its_own(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as missing:
        client.chat("llava", ASK)
    assert missing.value.status_code == 404
    assert "llava" in missing.value.error
    with pytest.raises(ollama.ResponseError) as broken:
        client.chat("tiny", [{"role": "user", "content": "x", "images": [b"nothing"]}])
    assert broken.value.status_code == 400
    with pytest.raises(ollama.ResponseError) as odd:
        client.chat("tiny", ASK, options={"temperature": -5})
    assert odd.value.status_code == 400
    with pytest.raises(ollama.ResponseError) as absent:
        client.pull("llava")
    assert absent.value.status_code == 404


def test_a_time_limit_ends_a_stream_with_an_error(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path, total_s=0.3) as short:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Write."}], "options": {"num_predict": 1800}}
        slow = begun(short.port, LONG)  # so that it cannot end in time
        lines = short.client.post("/api/chat", json=body).text.splitlines()
        slow.close()
        last = json.loads(lines[-1])
        assert last.get("done") or "error" in last
        eventually(short.idle)
