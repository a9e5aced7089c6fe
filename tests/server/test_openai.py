"""openai-python, unchanged, against the server; and every body against the types of OpenAI's published schema."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion, CreateEmbeddingResponse, FileDeleted, FileObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, Field

from anyres.engine.engine import LocalChatModel
from tests.server.schemas import validated
from tests.server.serving import Running, begun, cut_short, eventually, image_part, picture, serving
from tests.server.test_leaving import LONG, at_work

URL = picture()
ASK: Any = [{"role": "user", "content": [image_part(URL), {"type": "text", "text": "Read it."}]}]
HELLO: Any = [{"role": "user", "content": "Hello"}]
KNOBS: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_completion_tokens": 12}


class Receipt(BaseModel):
    """What `.parse()` is asked for."""

    total: float
    currency: Literal["EUR", "USD"]
    lines: list[Annotated[str, Field(max_length=6)]] = Field(max_length=3)


class Add(BaseModel):
    """Adds two numbers."""

    a: int
    b: int


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def whole(server: Running) -> str:
    """The answer to ASK."""
    return server.say(ASK[0]["content"], temperature=0, max_tokens=12)


def test_a_question(client: OpenAI, whole: str) -> None:
    reply = client.chat.completions.create(messages=ASK, **KNOBS)
    assert reply.choices[0].message.content == whole
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 12
    assert reply.usage.prompt_tokens_details is not None
    assert reply._request_id is not None
    assert reply._request_id.startswith("req_")


def test_a_stream(client: OpenAI, whole: str) -> None:
    stream = client.chat.completions.create(messages=ASK, stream=True, stream_options={"include_usage": True}, **KNOBS)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert chunks[-1].usage is not None
    assert 0 < chunks[-1].usage.completion_tokens <= 12


def test_the_stream_helper(client: OpenAI, whole: str) -> None:
    with client.chat.completions.stream(messages=ASK, **KNOBS) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= set(kinds)
    assert final.choices[0].message.content == whole
    assert final.choices[0].finish_reason in ("stop", "length")


def test_parse_with_a_schema(client: OpenAI) -> None:
    for seed in range(2):
        reply = client.chat.completions.parse(
            messages=ASK, model="tiny", response_format=Receipt, max_completion_tokens=300, seed=seed, temperature=1
        )
        assert isinstance(reply.choices[0].message.parsed, Receipt)


def test_a_stream_of_a_schema(client: OpenAI) -> None:
    with client.chat.completions.stream(
        messages=ASK, model="tiny", response_format=Receipt, max_completion_tokens=300, seed=1
    ) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Receipt)


def test_tools(client: OpenAI) -> None:
    tool = openai.pydantic_function_tool(Add)
    reply = client.chat.completions.parse(
        messages=HELLO, model="tiny", tools=[tool], tool_choice="required", max_completion_tokens=200, seed=3
    )
    (call,) = (reply.choices[0].message.tool_calls or [])[:1]
    assert call.function.name == "Add"
    assert isinstance(call.function.parsed_arguments, Add)
    answered: Any = [
        *HELLO,
        {"role": "assistant", "tool_calls": [call.model_dump(exclude={"function": {"parsed_arguments"}})]},
        {"role": "tool", "tool_call_id": call.id, "content": "3"},
    ]
    after = client.chat.completions.create(messages=answered, tools=[tool], **KNOBS)
    assert after.choices[0].message.role == "assistant"


def test_a_stream_of_calls(client: OpenAI) -> None:
    with client.chat.completions.stream(
        messages=HELLO,
        model="tiny",
        tools=[openai.pydantic_function_tool(Add)],
        tool_choice={"type": "function", "function": {"name": "Add"}},
        max_completion_tokens=200,
        seed=3,
    ) as stream:
        kinds = {event.type for event in stream}
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert "tool_calls.function.arguments.done" in kinds
    assert isinstance(call.function.parsed_arguments, Add)


def test_an_answer_is_sent_back_as_it_came(client: OpenAI) -> None:
    """`message` of a reply is a turn of the next request."""
    first = client.chat.completions.create(messages=HELLO, **KNOBS)
    more: Any = [*HELLO, first.choices[0].message, {"role": "user", "content": "And?"}]
    assert client.chat.completions.create(messages=more, **KNOBS).choices[0].message.role == "assistant"
    turn: Any = first.choices[0].message.model_dump()
    assert client.chat.completions.create(messages=[*HELLO, turn, *HELLO], **KNOBS).choices


def test_async(server: Running, whole: str) -> None:
    async def work() -> None:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            asked = [client.chat.completions.create(messages=ASK, **KNOBS) for _ in range(3)]
            assert {reply.choices[0].message.content for reply in await asyncio.gather(*asked)} == {whole}
            stream = await client.chat.completions.create(messages=ASK, stream=True, **KNOBS)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == whole
            async with client.chat.completions.stream(messages=ASK, **KNOBS) as helped:
                assert (await helped.get_final_completion()).choices[0].message.content == whole
            parsed = await client.chat.completions.parse(
                messages=ASK, model="tiny", response_format=Receipt, max_completion_tokens=300, seed=1
            )
            assert isinstance(parsed.choices[0].message.parsed, Receipt)
            assert (await client.models.list()).data[0].id == "tiny"

    asyncio.run(work())


def test_leaving_a_stream_frees_the_place(server: Running, client: OpenAI) -> None:
    long: Any = {"messages": HELLO, "model": "tiny", "max_completion_tokens": 1800}
    extra = {"ignore_eos": True, "stop_loops": False}
    with cut_short(server, 1800):
        stream = client.chat.completions.create(stream=True, extra_body=extra, **long)
        next(iter(stream))
        assert at_work(server)
        stream.close()


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "anyres"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_completions(client: OpenAI, server: Running) -> None:
    reply = client.completions.create(model="tiny", prompt="One two three", max_tokens=8, temperature=0, logprobs=2)
    streamed = client.completions.create(model="tiny", prompt="One two three", max_tokens=8, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == reply.choices[0].text
    told = reply.choices[0].logprobs
    assert told is not None
    assert "".join(told.tokens or []) == reply.choices[0].text


def test_embeddings(client: OpenAI) -> None:
    """openai-python asks for base64 by itself, and gives floats."""
    coded = client.embeddings.create(model="tiny", input=["a cat", "a dog"])
    plain = client.embeddings.create(model="tiny", input=["a cat", "a dog"], encoding_format="float")
    for one, other in zip(coded.data, plain.data, strict=True):
        assert np.allclose(one.embedding, other.embedding, atol=1e-6)
        assert np.isclose(np.linalg.norm(one.embedding), 1.0, atol=1e-5)


def test_responses(client: OpenAI, whole: str) -> None:
    ask: Any = [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": URL, "detail": "auto"},
                {"type": "input_text", "text": "Read it."},
            ],
        }
    ]
    knobs: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_output_tokens": 12}
    reply = client.responses.create(input=ask, **knobs)
    assert reply.output_text == whole
    assert reply.status in ("completed", "incomplete")
    assert reply.usage is not None
    assert 0 < reply.usage.output_tokens <= 12
    with client.responses.stream(input=ask, **knobs) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert final.output_text == whole
    again: Any = [*ask, *reply.output, {"role": "user", "content": "And?"}]
    assert client.responses.create(input=again, **knobs).status in ("completed", "incomplete")


def test_files_in_responses(client: OpenAI) -> None:
    from tests.server.media.files import pdf

    coded = "data:application/pdf;base64," + base64.b64encode(pdf()).decode()
    part: Any = {"type": "input_file", "filename": "a.pdf", "file_data": coded, "detail": "low"}
    asked: Any = [{"role": "user", "content": [part, {"type": "input_text", "text": "Read it."}]}]
    reply = client.responses.create(model="tiny", input=asked, max_output_tokens=4)
    assert reply.usage is not None
    assert (reply.usage.input_tokens_details.model_extra or {})["image_tokens"] > 0


def test_responses_with_a_schema_and_tools(client: OpenAI) -> None:
    parsed = client.responses.parse(model="tiny", input="Hi", text_format=Receipt, max_output_tokens=300, temperature=0)
    assert isinstance(parsed.output_parsed, Receipt)
    tool: Any = {
        "type": "function",
        "name": "add",
        "description": "Adds.",
        "strict": True,
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
                       "additionalProperties": False},
    }  # fmt: skip
    reply = client.responses.create(
        model="tiny", input="Hi", tools=[tool], tool_choice="required", max_output_tokens=200, temperature=0
    )
    call = next(item for item in reply.output if item.type == "function_call")
    assert set(json.loads(call.arguments)) == {"a"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "3"}
    history: Any = [{"role": "user", "content": "Hi"}, *reply.output, result]
    assert client.responses.create(model="tiny", input=history, tools=[tool], max_output_tokens=8).id


def test_files(client: OpenAI, server: Running) -> None:
    data = base64.b64decode(URL.partition(",")[2])
    made = client.files.create(file=("a.png", data), purpose="vision")
    assert client.files.retrieve(made.id).bytes == len(data)
    assert made.id in [file.id for file in client.files.list()]
    part: Any = {"type": "file", "file": {"file_id": made.id}}
    reply = client.chat.completions.create(messages=[{"role": "user", "content": [part]}], **KNOBS)
    assert reply.choices
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_errors_are_its_own(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(messages=HELLO, model="tiny", n=99)
    assert (wrong.value.code, wrong.value.param, wrong.value.type) == ("invalid_value", "n", "invalid_request_error")
    assert wrong.value.request_id is not None
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(messages=HELLO, model="gpt-4o")
    assert missing.value.code == "model_not_found"
    broken: Any = [{"role": "user", "content": [image_part("data:image/png;base64,AAAA")]}]
    with pytest.raises(openai.BadRequestError) as picture_:
        client.chat.completions.create(messages=broken, model="tiny")
    assert picture_.value.code == "unsupported_image_media_type"


def test_a_wrong_key_and_a_full_line(model: LocalChatModel, tmp_path: Any) -> None:
    with serving(model, tmp_path, api_keys=("right",), running=1, queue=1) as small:
        with OpenAI(base_url=f"{small.url}/v1", api_key="wrong") as stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        held = [begun(small.port, LONG, authorization="Bearer right") for _ in range(2)]
        eventually(lambda: small.service.gate.waiting == 1)
        with OpenAI(base_url=f"{small.url}/v1", api_key="right", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError) as busy:
                client.chat.completions.create(messages=HELLO, **KNOBS)
            assert busy.value.code == "server_busy"
        with OpenAI(base_url=f"{small.url}/v1", api_key="right", max_retries=4) as patient:
            for connection in held:
                connection.close()
            assert patient.chat.completions.create(messages=HELLO, **KNOBS).choices


TOOLS = [openai.pydantic_function_tool(Add)]
CHATS: list[dict[str, Any]] = [
    {},
    {"n": 2, "seed": 1},
    {"logprobs": True, "top_logprobs": 2},
    {"tools": TOOLS, "tool_choice": "required", "max_tokens": 100},
    {"tools": TOOLS},
    {"return_boxes": True},
    {"stop": ["e"]},
    {"response_format": {"type": "json_object"}, "max_tokens": 60},
]


@pytest.mark.parametrize("fields", CHATS, ids=lambda fields: "-".join(fields) or "plain")
def test_chat_bodies_are_those_of_the_schema(server: Running, fields: dict[str, Any]) -> None:
    content = ASK[0]["content"]
    validated(ChatCompletion, server.chat(content, **fields).raise_for_status().json())
    for options in ({}, {"stream_options": {"include_usage": True}}):
        for chunk in server.stream(content, **fields, **options):
            validated(ChatCompletionChunk, chunk)


def test_other_bodies_are_those_of_the_schema(server: Running) -> None:
    post, get = server.client.post, server.client.get
    validated(Completion, post("/v1/completions", json={"prompt": "a", "max_tokens": 3, "logprobs": 1}).json())
    validated(CreateEmbeddingResponse, post("/v1/embeddings", json={"input": "a", "model": "tiny"}).json())
    validated(Model, get("/v1/models/tiny").json())
    made = post("/v1/files", files={"file": ("a.txt", b"abc")}, data={"purpose": "user_data"}).json()
    validated(FileObject, made)
    validated(FileDeleted, server.client.delete(f"/v1/files/{made['id']}").json())


@pytest.mark.parametrize(
    "fields",
    [{}, {"text": {"format": {"type": "json_object"}}}, {"tools": [{"type": "function", "name": "f", "strict": None,
      "parameters": None}], "tool_choice": "required"}],
    ids=["text", "json", "tools"],
)  # fmt: skip
def test_responses_bodies_are_those_of_the_schema(server: Running, fields: dict[str, Any]) -> None:
    body = {"model": "tiny", "input": "Hi", "max_output_tokens": 60, **fields}
    validated(Response, server.client.post("/v1/responses", json=body).raise_for_status().json())
    text = server.client.post("/v1/responses", json={**body, "stream": True}).text
    events = [event.partition("\ndata: ") for event in text.split("\n\n") if event and not event.startswith(":")]
    kinds = []
    for name, _, data in events:
        value = json.loads(data)
        assert name == f"event: {value['type']}"
        validated(ResponseStreamEvent, value)
        assert value["sequence_number"] == len(kinds)
        kinds.append(value["type"])
    assert kinds[-1] in ("response.completed", "response.incomplete")
