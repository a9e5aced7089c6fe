"""The OpenAPI document: every route of the API is in it, and what is answered is what it says."""

from typing import Any

import jsonschema
import pytest

from tests.server.serving import Running, image_part, picture

ASK = [{"role": "user", "content": [image_part(picture()), {"type": "text", "text": "Read it."}]}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def document(server: Running) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/openapi.json").raise_for_status().json()
    return found


def schema_of(document: dict[str, Any], method: str, path: str, status: int) -> dict[str, Any]:
    """Of a JSON body, with what it refers to; strict about fields that it does not name."""
    told = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    return {**told, "components": document["components"]}


def test_it_is_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {
        "/v1/chat/completions", "/v1/chat/completions/input_tokens", "/v1/completions", "/v1/responses",
        "/v1/embeddings",
        "/v1/models", "/v1/models/{name}", "/v1/files", "/v1/files/{file_id}", "/v1/previews", "/health", "/ready",
        "/metrics", "/version", "/api/chat", "/api/generate", "/api/tags", "/api/show", "/api/embed", "/api/ps",
    } <= set(document["paths"])  # fmt: skip
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            assert {"401", "403"} <= set(told["responses"]) or path in ("/health", "/ready"), (method, path)
            if method == "post":
                assert {"400", "413", "415"} <= set(told["responses"]), path


def test_requests_are_described(document: dict[str, Any]) -> None:
    """A body that the document allows is one that is taken: its schema, on what tests and clients send."""
    parts = document["components"]["schemas"]
    told = {**parts["ChatRequest"], "components": document["components"]}
    for body in (
        {"messages": ASK},
        {"messages": ASK, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"messages": ASK, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
        {"messages": ASK, "stop": "x", "logit_bias": {"5": 1}, "seed": 3, "zebra": 1},
    ):
        jsonschema.validate(body, told)
    for body in ({}, {"messages": []}, {"messages": ASK, "n": 9}, {"messages": ASK, "temperature": -1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, told)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/v1/chat/completions", {"messages": ASK, "max_tokens": 2}),
        ("post", "/v1/chat/completions", {"messages": ASK, "max_tokens": 2, "logprobs": True, "top_logprobs": 1}),
        (
            "post",
            "/v1/chat/completions",
            {"messages": ASK, "tools": [TOOL], "tool_choice": "required", "max_tokens": 60},
        ),
        ("post", "/v1/chat/completions", {"messages": ASK, "max_tokens": 2, "return_boxes": True}),
        ("post", "/v1/chat/completions/input_tokens", {"messages": ASK}),
        ("post", "/v1/completions", {"prompt": "a", "max_tokens": 2, "logprobs": 1}),
        ("post", "/v1/responses", {"input": "a", "max_output_tokens": 2}),
        ("post", "/v1/embeddings", {"input": ["a", "b"]}),
        ("post", "/v1/previews", {"part": {"type": "image", "image": picture()}}),
        ("post", "/api/chat", {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "stream": False}),
        ("post", "/api/generate", {"model": "tiny", "prompt": "a", "stream": False, "options": {"num_predict": 2}}),
        ("post", "/api/embed", {"model": "tiny", "input": "a"}),
        ("post", "/api/show", {"model": "tiny"}),
        ("get", "/api/tags", None),
        ("get", "/api/ps", None),
        ("get", "/v1/models", None),
        ("get", "/v1/files", None),
        ("get", "/health", None),
        ("get", "/ready", None),
        ("get", "/version", None),
    ],
)
def test_answers_are_described(
    server: Running, document: dict[str, Any], method: str, path: str, body: dict[str, Any] | None
) -> None:
    reply = server.client.request(method, path, json=body)
    assert reply.status_code == 200, reply.text
    schema = schema_of(document, method, path, 200)
    jsonschema.validate(reply.json(), schema)
    named = schema.get("$ref", "").rpartition("/")[2]
    fields = document["components"]["schemas"][named]
    if not fields.get("additionalProperties"):
        assert set(reply.json()) <= set(fields["properties"])


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/api/chat"]
)
def test_refusals_are_described(server: Running, document: dict[str, Any], path: str) -> None:
    reply = server.client.post(path, json={"n": -1})
    assert reply.status_code == 400
    jsonschema.validate(reply.json(), schema_of(document, "post", path, 400))
