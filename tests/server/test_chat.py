"""`/v1/chat/completions` on the embedded checkpoint: what a client asks is what it gets."""

import base64
import json
import math
from typing import Any

import jsonschema
import pytest
from PIL import Image, ImageDraw
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as transformers_smart_resize

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.engine.engine import LocalChatModel
from tests.server.serving import Running, chunks_of, data_url, image_part, picture

URL = picture()
ASK = [image_part(URL), {"type": "text", "text": "Read it."}]
SUM = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0, "maximum": 99} for name in "ab"},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
OTHER = {"type": "function", "function": {"name": "now", "parameters": NOTHING}}


def test_an_answer_is_that_of_the_library(server: Running, model: LocalChatModel) -> None:
    ours = model.chat(
        [Message("user", (ImagePart(URL), TextPart("Read it.")))], options=GenerationOptions(max_tokens=8)
    )
    reply = server.chat(ASK).json()
    choice = reply["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": ours.text, "refusal": None}
    assert choice["finish_reason"] == "length"
    assert reply["usage"]["prompt_tokens"] == ours.usage.prompt_tokens
    assert reply["usage"]["prompt_tokens_details"]["image_tokens"] == ours.usage.image_tokens == 12
    assert reply["usage"]["completion_tokens"] == ours.usage.completion_tokens == 8
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "tiny"
    assert reply["id"].startswith("chatcmpl-")


def test_kinds_of_tokens_add_up_and_pictures_are_told(server: Running) -> None:
    reply = server.chat(ASK).json()
    usage, details = reply["usage"], reply["usage"]["prompt_tokens_details"]
    assert details["text_tokens"] + details["image_tokens"] + details["video_tokens"] == usage["prompt_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    (seen,) = reply["media"]
    assert (seen["width"], seen["height"], seen["tokens"]) == (168, 56, 12)
    assert reply["timings"]["predicted_n"] == 8


def test_a_stream_says_the_same(server: Running) -> None:
    whole = server.chat(ASK, seed=1).json()
    chunks = server.stream(ASK, seed=1, stream_options={"include_usage": True})
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert said == whole["choices"][0]["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["length"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert {**chunks[-1]["usage"], "prompt_tokens_details": None} == {**whole["usage"], "prompt_tokens_details": None}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_a_stream_without_usage_has_none(server: Running) -> None:
    chunks = server.stream(ASK)
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_usage_may_come_with_every_chunk(server: Running) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    counts = [chunk["usage"]["completion_tokens"] for chunk in server.stream(ASK, stream_options=options)]
    assert counts == sorted(counts)
    assert counts[-1] == 8
    assert len(set(counts)) > 5


def test_several_answers_differ_and_repeat_with_their_seeds(server: Running) -> None:
    knobs: dict[str, Any] = {"temperature": 1.5, "max_tokens": 12}
    three = server.chat(ASK, n=3, seed=7, **knobs).json()
    texts = [choice["message"]["content"] for choice in three["choices"]]
    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert texts == [server.say(ASK, seed=7 + number, **knobs) for number in range(3)]
    assert len(set(texts)) > 1
    assert three["usage"]["completion_tokens"] <= 36


def test_several_answers_in_one_stream(server: Running) -> None:
    knobs: dict[str, Any] = {"temperature": 1.5, "max_tokens": 12, "n": 3, "seed": 7}
    chunks = server.stream(ASK, stream_options={"include_usage": True}, **knobs)
    texts, ends = ["", "", ""], [0, 0, 0]
    for chunk in chunks[:-1]:
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content") or ""
        ends[choice["index"]] += choice["finish_reason"] is not None
    whole = server.chat(ASK, **knobs).json()
    assert texts == [choice["message"]["content"] for choice in whole["choices"]]
    assert ends == [1, 1, 1]
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_a_stop_string_is_never_sent(server: Running) -> None:
    text = server.say(ASK, temperature=0)
    stop = text[3:6]
    assert server.say(ASK, temperature=0, stop=[stop, "never said"]) == text[: text.index(stop)]
    reply = server.chat(ASK, temperature=0, stop=stop).json()
    assert reply["choices"][0]["finish_reason"] == "stop"
    streamed = server.stream(ASK, temperature=0, stop=stop)
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed)
    assert said == text[: text.index(stop)]


def test_logprobs(server: Running) -> None:
    choice = server.chat(ASK, temperature=0, logprobs=True, top_logprobs=3).json()["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == choice["message"]["content"]
    for one in content:
        assert len(one["top_logprobs"]) == 3
        assert one["top_logprobs"][0]["logprob"] == one["logprob"] <= 0
        assert bytes(one["bytes"]).decode() == one["token"]
    streamed = server.stream(ASK, temperature=0, logprobs=True, top_logprobs=3)
    told = [chunk["choices"][0]["logprobs"] for chunk in streamed]
    joined = [one for each in told if each for one in each["content"]]
    assert [one["token"] for one in joined] == [one["token"] for one in content]


def test_a_bias_rules_a_token_out_or_in(server: Running, model: LocalChatModel) -> None:
    text = server.say(ASK, temperature=0, max_tokens=1)
    (token,) = model.processor.tokenizer.encode_text(text)
    assert server.say(ASK, temperature=0, max_tokens=1, logit_bias={str(token): -100}) != text
    (wanted,) = model.processor.tokenizer.encode_text("Z")
    assert server.say(ASK, temperature=0, max_tokens=4, logit_bias={str(wanted): 100}, stop_loops=False) == "ZZZZ"


def test_ids_that_end_an_answer(server: Running, model: LocalChatModel) -> None:
    text = server.say(ASK, temperature=0)
    (third,) = model.processor.tokenizer.encode_text(text[2])
    reply = server.chat(ASK, temperature=0, stop_token_ids=[third]).json()["choices"][0]
    assert reply["finish_reason"] == "stop"
    assert reply["message"]["content"].startswith(text[:2])
    late = server.chat(ASK, temperature=0, stop_token_ids=[third], min_tokens=8).json()
    assert late["usage"]["completion_tokens"] >= 8


def test_an_answer_that_may_not_end(server: Running) -> None:
    short = server.chat("Hi", max_tokens=64).json()["usage"]["completion_tokens"]
    assert short < 64
    longest = server.chat("Hi", max_tokens=64, ignore_eos=True, stop_loops=False).json()
    assert longest["usage"]["completion_tokens"] == 64
    least = server.chat("Hi", max_tokens=64, min_tokens=40, stop_loops=False).json()
    assert least["usage"]["completion_tokens"] >= 40


def test_a_schema_is_obeyed(server: Running) -> None:
    schema = {
        "type": "object",
        "properties": {"total": {"type": "integer"}, "paid": {"type": "boolean"}},
        "required": ["total", "paid"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "receipt", "schema": schema, "strict": True}}
    for seed in range(3):
        text = server.say(ASK, response_format=form, max_tokens=200, temperature=1, seed=seed)
        jsonschema.validate(json.loads(text), schema)
    text = server.say(ASK, response_format={"type": "json_object"}, max_tokens=400, temperature=0)
    assert isinstance(json.loads(text), dict)


def test_a_tool_is_called_as_asked(server: Running) -> None:
    named = {"type": "function", "function": {"name": "add"}}
    for choice in (named, "required"):
        reply = server.chat(
            "Add 1 and 2.", tools=[OTHER, SUM], tool_choice=choice, parallel_tool_calls=False, max_tokens=300
        )
        message = reply.json()["choices"][0]
        calls = message["message"]["tool_calls"]
        assert message["finish_reason"] == "tool_calls", message
        assert message["message"]["content"] is None
        assert len(calls) == 1
        assert all(call["type"] == "function" and call["id"].startswith("call_") for call in calls)
        for call in calls:
            parameters = next(t for t in (OTHER, SUM) if t["function"]["name"] == call["function"]["name"])
            jsonschema.validate(json.loads(call["function"]["arguments"]), parameters["function"]["parameters"])
    assert calls[0]["function"]["name"] in ("add", "now")


def test_a_streamed_call_is_the_same(server: Running) -> None:
    named = {"type": "function", "function": {"name": "add"}}
    knobs: dict[str, Any] = {"tools": [SUM], "tool_choice": named, "max_tokens": 100, "temperature": 0}
    whole = server.chat("Add.", **knobs).json()["choices"][0]["message"]["tool_calls"][0]["function"]
    chunks = server.stream("Add.", **knobs)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[1:]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0] * len(calls)
    assert [call["function"].get("name") for call in calls] == ["add"] + [None] * (len(calls) - 1)
    assert ["id" in call for call in calls] == [True] + [False] * (len(calls) - 1)
    assert "".join(call["function"]["arguments"] for call in calls) == whole["arguments"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_no_call_where_none_is_wanted(server: Running) -> None:
    message = server.chat("Add 1 and 2.", tools=[SUM], tool_choice="none").json()["choices"][0]["message"]
    assert "tool_calls" not in message
    assert server.say("Add 1 and 2.") == message["content"]


def test_results_of_tools_go_back(server: Running, model: LocalChatModel) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    messages = [
        {"role": "user", "content": "Add 1 and 2."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
    ]
    reply = server.chat(messages=messages, tools=[SUM], tool_choice="none").json()
    told = [
        Message("user", "Add 1 and 2."),
        Message("assistant", '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'),
        Message("user", "<tool_response>\n3\n</tool_response>"),
    ]
    assert reply["usage"]["prompt_tokens"] == len(model.processor.prepare(told).token_ids_T)


def test_conversations_go_on(server: Running, model: LocalChatModel) -> None:
    turns = [("system", "Be short."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye")]
    reply = server.chat(messages=[{"role": role, "content": text} for role, text in turns]).json()
    assert reply["usage"]["prompt_tokens"] == len(
        model.processor.prepare([Message(*turn) for turn in turns]).token_ids_T
    )
    again = server.chat(messages=[{"role": role, "content": text} for role, text in turns]).json()
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 16


def test_a_developer_is_the_system(server: Running) -> None:
    texts = [
        server.chat(messages=[{"role": role, "content": "Be short."}, {"role": "user", "content": "Hi"}]).json()
        for role in ("developer", "system")
    ]
    assert texts[0]["usage"]["prompt_tokens"] == texts[1]["usage"]["prompt_tokens"]
    assert texts[0]["choices"][0]["message"] == texts[1]["choices"][0]["message"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": URL, "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": URL}, "uuid": "mine"},
        {"type": "image_url", "image_url": URL},
        {"type": "image", "image": URL},
        {"type": "image", "image": URL, "min_pixels": 3136, "max_pixels": 1_003_520},
        {"type": "input_image", "image_url": URL},
        {"type": "file", "file": {"file_data": URL.partition(",")[2], "filename": "a.png"}},
        {"type": "file", "file": {"file_data": URL}},
    ],
)
def test_every_form_of_a_picture_is_the_same(server: Running, part: dict[str, Any]) -> None:
    told = server.chat([part, {"type": "text", "text": "Read it."}], temperature=0).json()
    same = server.chat(ASK, temperature=0).json()
    assert told["usage"]["prompt_tokens"] == same["usage"]["prompt_tokens"]
    assert told["choices"][0]["message"]["content"] == same["choices"][0]["message"]["content"]


def test_an_upload_is_the_same_picture(server: Running) -> None:
    data = base64.b64decode(URL.partition(",")[2])
    made = server.client.post("/v1/files", files={"file": ("a.png", data)}, data={"purpose": "vision"}).json()
    for part in (image_part(made["id"]), {"type": "file", "file": {"file_id": made["id"]}}):
        assert server.say([part, {"type": "text", "text": "Read it."}], temperature=0) == server.say(ASK, temperature=0)
    server.client.delete(f"/v1/files/{made['id']}").raise_for_status()
    gone = server.chat([image_part(made["id"])])
    assert (gone.status_code, gone.json()["error"]["code"]) == (400, "image_file_not_found")


def test_pixels_follow_detail_and_knobs(server: Running, model: LocalChatModel) -> None:
    limit = model.processor.image_config.max_pixels
    height, width = transformers_smart_resize(4000, 4000, min_pixels=0, max_pixels=limit)
    large = picture(size=(4000, 4000))

    def tokens(part: dict[str, Any], **fields: Any) -> int:
        body = {"messages": [{"role": "user", "content": [part]}], **fields}
        reply = server.client.post("/v1/chat/completions/input_tokens", json=body).raise_for_status().json()
        return int(reply["input_tokens_details"]["image_tokens"])

    assert tokens(image_part(large)) == height * width // 28**2 <= limit // 28**2 < (4000 // 28) ** 2
    assert tokens(image_part(large, max_pixels=9 * 784)) == 3 * 3
    assert tokens({"type": "image_url", "image_url": {"url": large, "detail": "high"}, "max_pixels": 9 * 784}) == 9
    assert tokens(image_part(large, resized_height=56, resized_width=84)) == 2 * 3
    assert tokens(image_part(large), mm_processor_kwargs={"max_pixels": 9 * 784}) == 9


FRAMES = [picture(f"frame {number}", (112, 112)) for number in range(8)]


@pytest.mark.parametrize(
    ("part", "fields", "tokens"),
    [
        ({"type": "video", "video": FRAMES}, {}, 4 * 16),
        ({"type": "video", "video": FRAMES, "fps": 2.0}, {}, 4 * 16),
        ({"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,LIST"}}, {}, 4 * 16),
    ],
)
def test_clips(server: Running, part: dict[str, Any], fields: dict[str, Any], tokens: int) -> None:
    if part["type"] == "video_url":
        listed = ",".join(frame.partition(",")[2] for frame in FRAMES)
        part = {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{listed}"}}
    reply = server.chat([part, {"type": "text", "text": "What happens?"}], **fields).json()
    assert reply["usage"]["prompt_tokens_details"]["video_tokens"] == tokens
    assert reply["media"][0]["kind"] == "video"


def test_a_cost_is_told_before_it_is_paid(server: Running) -> None:
    body = {"messages": [{"role": "user", "content": ASK}]}
    told = server.client.post("/v1/chat/completions/input_tokens", json=body).json()
    assert told["object"] == "response.input_tokens"
    assert told["input_tokens"] == server.chat(ASK).json()["usage"]["prompt_tokens"]
    assert told["media"][0]["tokens"] == told["input_tokens_details"]["image_tokens"] == 12


def test_boxes_come_in_pixels_of_the_picture(server: Running) -> None:
    form = {"type": "boxes", "kind": "box", "named": True, "least": 2, "most": 2}
    image = Image.new("RGB", (1000, 500), "white")
    for left in (100, 600):
        ImageDraw.Draw(image).ellipse((left, 150, left + 200, 350), fill="red")
    ask = [image_part(data_url(image)), {"type": "text", "text": "Find the red circle."}]
    reply = server.chat(ask, response_format=form, return_boxes=True, max_tokens=200).json()
    message = reply["choices"][0]["message"]
    assert message["content"].count("<|box_start|>") == 2
    assert len(message["boxes"]) == 2
    for box in message["boxes"]:
        x1, y1, x2, y2 = box["box"]
        assert 0 <= x1 <= x2 <= 1000
        assert 0 <= y1 <= y2 <= 500
    numbers = [int(one) for one in message["content"].partition("(")[2].partition(")")[0].split(",")]
    edges = message["boxes"][0]["box"]
    assert any(math.isclose(numbers[0], edge) for edge in (edges[0], edges[2]))  # 1000 wide: thousandths are pixels
    last = server.stream(ask, response_format=form, return_boxes=True, max_tokens=200)[-1]
    assert last["choices"][0]["delta"]["boxes"] == message["boxes"]


def test_unknown_fields_are_named(server: Running) -> None:
    reply = server.chat("Hi", temperatur=0, zebra={"a": 1})
    assert reply.status_code == 200
    assert reply.headers["x-ignored-fields"] == "temperatur, zebra"
    assert "x-ignored-fields" not in server.chat("Hi", metadata={"a": "b"}, store=False, service_tier="auto").headers


def test_another_model_is_not_here(server: Running) -> None:
    reply = server.chat("Hi", model="gpt-4o")
    assert reply.status_code == 404
    assert reply.json()["error"] == {
        "message": "model: 'gpt-4o'; allowed: tiny (anyres serve --model NAME serves another)",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert server.chat("Hi", model="tiny").status_code == 200


def test_numbered_pictures(server: Running) -> None:
    plain, numbered = (
        server.chat([image_part(URL), image_part(URL)], chat_template_kwargs=kwargs).json()["usage"]["prompt_tokens"]
        for kwargs in ({}, {"add_vision_id": True})
    )
    assert numbered > plain


def test_pings_while_nothing_comes(model: LocalChatModel, tmp_path: Any) -> None:
    from tests.server.serving import serving

    with serving(model, tmp_path, ping_s=0.0005) as quick:
        text = quick.chat(ASK, stream=True).text
    assert ": ping\n\n" in text
    assert chunks_of(text)[-1]["choices"][0]["finish_reason"] == "length"
