"""`/v1/completions` and `/v1/embeddings`: the numbers of the library behind them."""

import base64
import struct
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from anyres.chat import GenerationOptions
from anyres.engine.engine import LocalChatModel
from tests.server.serving import Running, chunks_of, image_part, picture

PROMPT = "One two three four"
ENDLESS: dict[str, Any] = {"ignore_eos": True, "stop_loops": False}  # whatever the checkpoint would say


def complete(server: Running, prompt: Any = PROMPT, **fields: Any) -> httpx.Response:
    body = {"prompt": prompt, "max_tokens": 8, "temperature": 0, **ENDLESS, **fields}
    return server.client.post("/v1/completions", json=body)


def text_of(reply: httpx.Response) -> str:
    return str(reply.raise_for_status().json()["choices"][0]["text"])


def test_a_text_goes_on_as_in_the_library(server: Running, model: LocalChatModel) -> None:
    ids = model.processor.tokenizer.encode_text(PROMPT)
    made = model.processor.assemble([ids])
    ours = model.chat(made, options=GenerationOptions(max_tokens=8, temperature=0, **ENDLESS))
    reply = complete(server).json()
    assert reply["choices"][0]["text"] == ours.text
    assert reply["usage"]["prompt_tokens"] == len(ids)
    assert reply["object"] == "text_completion"
    assert reply["id"].startswith("cmpl-")


def test_every_form_of_a_prompt_is_the_same(server: Running, model: LocalChatModel) -> None:
    ids = list(model.processor.tokenizer.encode_text(PROMPT))
    assert {text_of(complete(server, form)) for form in (PROMPT, [PROMPT], ids, [ids])} == {text_of(complete(server))}


def test_echo_and_logprobs(server: Running, model: LocalChatModel) -> None:
    assert text_of(complete(server, echo=True)) == PROMPT + text_of(complete(server))
    (wanted,) = model.processor.tokenizer.encode_text("Z")
    told = complete(server, logprobs=3, logit_bias={str(wanted): 100}).json()["choices"][0]
    assert "".join(told["logprobs"]["tokens"]) == told["text"]
    assert told["text"] == "Z" * 8
    assert told["logprobs"]["text_offset"] == list(range(8))
    assert all(1 <= len(top) <= 3 for top in told["logprobs"]["top_logprobs"])
    echoed = complete(server, logprobs=1, echo=True).json()["choices"][0]["logprobs"]
    assert echoed["text_offset"][0] == len(PROMPT)


def test_a_stream_says_the_same(server: Running) -> None:
    body = complete(server, stream=True, stream_options={"include_usage": True}, echo=True)
    chunks = chunks_of(body.text)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == text_of(complete(server, echo=True))
    assert chunks[-1]["usage"]["completion_tokens"] <= 8
    assert chunks[-1]["choices"] == []
    assert chunks[-2]["choices"][0]["finish_reason"] in ("stop", "length")


def test_logprobs_come_with_a_stream_too(server: Running) -> None:
    chunks = chunks_of(complete(server, stream=True, logprobs=2).text)
    whole = complete(server, logprobs=2).json()["choices"][0]["logprobs"]
    told = [chunk["choices"][0]["logprobs"] for chunk in chunks if chunk["choices"][0]["logprobs"]]
    assert [token for one in told for token in one["tokens"]] == whole["tokens"]
    assert [offset for one in told for offset in one["text_offset"]] == whole["text_offset"]


def test_several_and_seeded(server: Running) -> None:
    three = complete(server, n=3, seed=5, temperature=1.5).json()["choices"]
    assert [one["text"] for one in three] == [
        text_of(complete(server, seed=5 + number, temperature=1.5)) for number in range(3)
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [-1]}, "prompt[0]"),
        ({"prompt": [10**9]}, "prompt"),
        ({"prompt": [2**63]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"max_tokens": 0, "echo": True}, "max_tokens"),
        ({"n": 100}, "n"),
    ],
)
def test_wrong_prompts_are_refused(server: Running, fields: dict[str, Any], param: str) -> None:
    """T17, T18."""
    reply = complete(server, **fields)
    assert reply.status_code == 400, reply.text
    assert (reply.json()["error"]["param"] or "").startswith(param.partition("[")[0])


def test_no_special_id_comes_in_by_number(server: Running, model: LocalChatModel) -> None:
    """T16."""
    for special in model.processor.tokenizer.special_ids:
        assert complete(server, [special]).status_code == 400
        body = {"input": [special], "model": "tiny"}
        assert server.client.post("/v1/embeddings", json=body).status_code == 400


def embed(server: Running, given: Any, **fields: Any) -> httpx.Response:
    return server.client.post("/v1/embeddings", json={"input": given, **fields})


def vectors_of(reply: httpx.Response) -> list[list[float]]:
    return [one["embedding"] for one in reply.raise_for_status().json()["data"]]


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_vectors_are_those_of_the_library(server: Running, model: LocalChatModel, pooling: Any) -> None:
    ids = model.processor.tokenizer.encode_text(PROMPT)
    ours_D = model.embed(model.processor.assemble([ids]), pooling=pooling)
    (theirs,) = vectors_of(embed(server, PROMPT, pooling=pooling))
    torch.testing.assert_close(torch.tensor(theirs), ours_D.float())
    assert len(theirs) == model.config.text.hidden_size
    assert abs(float(ours_D.norm()) - 1) < 1e-5


def test_every_form_of_input(server: Running, model: LocalChatModel) -> None:
    ids = list(model.processor.tokenizer.encode_text(PROMPT))
    part = {"type": "text", "text": PROMPT}
    (first,) = vectors_of(embed(server, PROMPT))
    for form in ([PROMPT], ids, [ids], [[part]]):
        assert vectors_of(embed(server, form)) == [first]
    assert vectors_of(embed(server, [PROMPT, "another", PROMPT]))[::2] == [first, first]


def test_pictures_have_vectors(server: Running) -> None:
    """The same picture the same vector, another one another; text beside it counts."""
    items = [
        [image_part(picture("one"))],
        [image_part(picture("one"))],
        [image_part(picture("two"))],
        [image_part(picture("one")), {"type": "text", "text": "what is it?"}],
    ]
    found = np.array(vectors_of(embed(server, items)))
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2], atol=1e-4)
    assert not np.allclose(found[0], found[3], atol=1e-4)


def test_base64_is_little_endian_floats(server: Running) -> None:
    (plain,) = vectors_of(embed(server, PROMPT))
    coded = embed(server, PROMPT, encoding_format="base64").json()["data"][0]["embedding"]
    data = base64.b64decode(coded)
    assert np.allclose(struct.unpack(f"<{len(data) // 4}f", data), plain)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": ""},
        {"input": []},
        {"input": [""]},
        {"input": [[]]},
        {"input": [-1]},
        {"input": [10**8]},
        {"input": [[1, 10**8]]},
        {"input": [["a"]]},
        {"input": [[{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]]},
        {"input": [[{"type": "nothing"}]]},
        {"input": "a", "dimensions": 3},
        {"input": "a", "encoding_format": "hex"},
        {"input": "a", "pooling": "max"},
        {"input": ["a"] * 2049},
        {"input": {"a": 1}},
    ],
)
def test_wrong_inputs_are_refused(server: Running, body: dict[str, Any]) -> None:
    reply = server.client.post("/v1/embeddings", json=body)
    assert reply.status_code == 400, reply.text
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_an_input_that_does_not_fit(server: Running) -> None:
    reply = embed(server, "7 " * 5000)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
