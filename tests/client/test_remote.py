"""RemoteChatModel against a server that plays recorded and broken replies."""

import asyncio
import json
import logging
import math
import threading
import traceback
from typing import Any

import pytest

from anyres.chat import Answer, GenerationOptions, Message, TextPart, TokenLogprob, Usage
from anyres.client import Endpoint, RemoteChatModel
from anyres.constraints import Choices, JsonSchema, Regex, Tool, ToolCalls
from anyres.errors import AnyresError, ConstraintError, EndpointError, MessageError, OptionError
from tests.client.conftest import KEY, Make
from tests.client.fake_server import SSE, FakeServer, Reply, as_json, chunk, completion, error, listed, streamed

HELLO = [Message("user", "Hello")]
SAVE = Tool("save", {"type": "object", "properties": {"total": {"type": "number"}}}, "Saves a total.")


def text_of(model: RemoteChatModel, **knobs: Any) -> str:
    return model.chat(HELLO, **knobs).text


def test_a_plain_question(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi there.")]
    answer = make().chat([Message("system", "Be brief."), *HELLO])
    assert (answer.text, answer.finish_reason) == ("Hi there.", "stop")
    assert answer.usage == Usage(text_tokens=10, completion_tokens=3)
    assert server.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    }
    assert server.chats[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.chats[0].headers["user-agent"].startswith("anyres/")


def test_streamed_and_whole_are_the_same_answer(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi there."), streamed("Hi", " th", "ere.")]
    model = make()
    whole = model.chat(HELLO)
    stream = model.stream_chat(HELLO)
    assert stream.answer is None
    assert [piece.text for piece in stream] == ["Hi", " th", "ere."]
    assert stream.answer is not None
    assert (stream.answer.text, stream.answer.usage) == (whole.text, whole.usage)
    assert server.body["stream"] is True
    assert server.body["stream_options"] == {"include_usage": True}


def test_nothing_is_sent_before_the_first_piece_is_asked_for(server: FakeServer, make: Make) -> None:
    server.replies = [streamed("Hi")]
    stream = make().stream_chat(HELLO)
    assert server.chats == []
    assert next(stream).text == "Hi"


def test_async_says_the_same(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi there."), streamed("Hi", " there.")]
    model = make()

    async def both() -> tuple[Answer, list[str], Answer | None]:
        whole = await model.achat(HELLO)
        stream = model.astream(HELLO)
        pieces = [piece.text async for piece in stream]
        return whole, pieces, stream.answer

    whole, pieces, answer = asyncio.run(both())
    assert whole.text == "Hi there."
    assert pieces == ["Hi", " there."]
    assert answer is not None
    assert answer.text == whole.text


def test_many_at_once_on_one_event_loop_and_on_several(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi.")]
    model = make()

    async def eight() -> list[str]:
        return [one.text for one in await asyncio.gather(*(model.achat(HELLO) for _ in range(8)))]

    assert asyncio.run(eight()) == ["Hi."] * 8
    assert asyncio.run(eight()) == ["Hi."] * 8


def test_options_become_openais_fields(server: FakeServer, make: Make) -> None:
    server.replies = [completion()]
    options = GenerationOptions(
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        seed=3,
        stop=("x", "yz"),
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logprobs=2,
        logit_bias={5: -100},
    )
    make().chat(HELLO, options=options)
    del server.body["messages"]
    assert server.body == {
        "model": "m",
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["x", "yz"],
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"5": -100},
    }


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        ("vllm", {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "max_tokens": 9}),
        ("sglang", {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "max_tokens": 9}),
        ("llama.cpp", {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.2, "max_tokens": 9}),
        ("anyres", {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "max_completion_tokens": 9}),
    ],
)
def test_options_openai_lacks(dialect: str, fields: dict[str, Any], server: FakeServer, make: Make) -> None:
    server.replies = [completion()]
    options = GenerationOptions(top_k=5, min_p=0.1, repetition_penalty=1.2, max_tokens=9)
    make(dialect=dialect).chat(HELLO, options=options)
    assert fields.items() <= server.body.items()


@pytest.mark.parametrize("dialect", ["anyres", "vllm", "sglang"])
def test_what_ends_an_answer_is_told(dialect: str, server: FakeServer, make: Make) -> None:
    server.replies = [completion(), completion()]
    model = make(dialect=dialect)
    model.chat(HELLO, options=GenerationOptions(min_tokens=3, stop_token_ids=(7, 8), ignore_eos=True))
    assert {"min_tokens": 3, "stop_token_ids": [7, 8], "ignore_eos": True}.items() <= server.body.items()
    model.chat(HELLO, options=GenerationOptions())
    assert not {"min_tokens", "stop_token_ids", "ignore_eos"} & server.body.keys()


UNKNOWN = [("top_k", 1), ("min_p", 1), ("repetition_penalty", 1), ("min_tokens", 1), ("stop_token_ids", (1,))]


@pytest.mark.parametrize(("knob", "value"), [*UNKNOWN, ("ignore_eos", True)])
def test_an_option_the_server_does_not_know_is_an_error(knob: str, value: Any, server: FakeServer, make: Make) -> None:
    with pytest.raises(OptionError, match=f"{knob}.*openai"):
        make(dialect="openai").chat(HELLO, options=GenerationOptions(**{knob: value}))
    assert server.seen == []


def test_openai_itself_gets_its_own_name_of_max_tokens(server: FakeServer, make: Make) -> None:
    server.replies = [completion()]
    make(dialect="openai").chat(HELLO, options=GenerationOptions(max_tokens=9))
    assert server.body["max_completion_tokens"] == 9
    assert "max_tokens" not in server.body


@pytest.mark.parametrize(
    ("owner", "dialect"),
    [("vllm", "vllm"), ("sglang", "sglang"), ("llamacpp", "llama.cpp"), ("library", "ollama"), ("x", "plain")],
)
def test_the_kind_of_server_is_told_by_its_list_of_models(
    owner: str, dialect: str, server: FakeServer, make: Make
) -> None:
    server.models = listed("first", "second", owned_by=owner)
    server.replies = [completion()]
    model = make(model=None, dialect="auto")
    assert (model.dialect, model.name, model.models()) == (dialect, "first", ["first", "second"])
    model.chat(HELLO)
    assert server.body["model"] == "first"
    assert sum(one.path.endswith("/models") for one in server.seen) == 2  # once to find out, once for models()


def test_a_server_without_a_list_of_models_is_a_plain_one(server: FakeServer, make: Make) -> None:
    server.models, server.replies = error(404), [completion()]
    assert make(dialect="auto").dialect == "plain"
    with pytest.raises(EndpointError, match="HTTP 404"):
        make(dialect="auto", model=None).chat(HELLO)


@pytest.mark.parametrize("body", [[], {"data": 3}, {"data": [{}]}, "x", {"data": []}])
def test_a_list_of_models_that_is_none(body: object, server: FakeServer, make: Make) -> None:
    server.models = as_json(body)
    with pytest.raises(EndpointError, match="model"):
        make(model=None, dialect="auto").chat(HELLO)


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 5,
    "total_tokens": 105,
    "prompt_tokens_details": {"cached_tokens": 30, "image_tokens": 64, "video_tokens": 16, "text_tokens": 20},
}


def test_usage_by_kind_where_the_server_tells_it(server: FakeServer, make: Make) -> None:
    server.replies = [completion(usage=USAGE), streamed("a", usage=USAGE)]
    model = make()
    expected = Usage(text_tokens=20, image_tokens=64, video_tokens=16, completion_tokens=5, cached_tokens=30)
    assert model.chat(HELLO).usage == expected
    stream = model.stream_chat(HELLO)
    list(stream)
    assert stream.answer is not None
    assert stream.answer.usage == expected


@pytest.mark.parametrize(
    "usage", [None, 3, {}, {"prompt_tokens": None}, {"prompt_tokens": -4, "completion_tokens": "x"}]
)
def test_usage_that_says_nothing(usage: object, server: FakeServer, make: Make) -> None:
    server.replies = [completion(usage=usage)]
    assert make().chat(HELLO).usage == Usage()


def test_timings_of_the_server_and_of_our_own_clock(server: FakeServer, make: Make) -> None:
    told = {"prompt_ms": 250.0, "predicted_ms": 2000, "vision_ms": 500, "queue_ms": 125}
    server.replies = [completion(timings=told), streamed("a", "b")]
    ticks = iter(range(1000))
    model = make(clock=lambda: float(next(ticks)))
    timings = model.chat(HELLO).timings
    assert (timings.prefill_s, timings.decode_s, timings.encode_s, timings.wait_s) == (0.25, 2.0, 0.5, 0.125)
    stream = model.stream_chat(HELLO)
    list(stream)
    assert stream.answer is not None
    assert stream.answer.timings.prefill_s >= 1
    assert stream.answer.timings.decode_s >= 1


LOGPROBS = {
    "content": [
        {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Hi", "logprob": -0.5}]},
        {"token": ".", "logprob": None, "top_logprobs": []},
    ]
}


def test_logprobs(server: FakeServer, make: Make) -> None:
    server.replies = [
        completion("Hi.", logprobs=LOGPROBS),
        Reply([chunk({"content": "Hi."}, "stop", logprobs=LOGPROBS), b"data: [DONE]\n\n"], content_type=SSE),
    ]
    model, options = make(), GenerationOptions(logprobs=1)
    expected = (TokenLogprob("Hi", -0.5, (("Hi", -0.5),)), TokenLogprob(".", -math.inf))
    assert model.chat(HELLO, options=options).logprobs == expected
    stream = model.stream_chat(HELLO, options=options)
    assert [piece.logprobs for piece in stream] == [expected]
    assert stream.answer is not None
    assert stream.answer.logprobs == expected


def test_no_logprobs_where_none_were_asked_for(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi.", logprobs=LOGPROBS)]
    assert make().chat(HELLO).logprobs is None


@pytest.mark.parametrize(
    ("said", "means"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("content_filter", "stop"), (None, "stop")],
)
def test_reasons_to_end(said: str | None, means: str, server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi.", finish_reason=said)]
    answer = make().chat(HELLO)
    assert answer.finish_reason == means
    assert answer.notes == (("the endpoint's filter ended the answer",) if said == "content_filter" else ())


def test_what_an_anyres_server_tells_besides(server: FakeServer, make: Make) -> None:
    choice = {"index": 0, "message": {"content": "a a a"}, "finish_reason": "stop", "stop_reason": "repetition"}
    media = [{"note": "a.png: shrunk"}, {"note": ""}, {"note": "a.png: shrunk"}, 3]
    server.replies = [as_json({"choices": [choice], "media": media})]
    answer = make().chat(HELLO)
    assert (answer.finish_reason, answer.notes) == ("repetition", ("a.png: shrunk",))


def test_a_refusal_is_the_answer(server: FakeServer, make: Make) -> None:
    server.replies = [completion(None, refusal="I cannot."), completion([{"type": "text", "text": "Hi."}])]  # type: ignore[arg-type]
    model = make()
    assert text_of(model) == "I cannot."
    assert text_of(model) == "Hi."


CALL = {"id": "c1", "type": "function", "function": {"name": "save", "arguments": '{"total": 12.5}'}}
CALL_TEXT = '<tool_call>\n{"name": "save", "arguments": {"total": 12.5}}\n</tool_call>'


def test_tools_whole(server: FakeServer, make: Make) -> None:
    server.replies = [completion(None, tool_calls=[CALL, CALL], finish_reason="tool_calls")]
    answer = make().chat(HELLO, options=GenerationOptions(constraint=ToolCalls((SAVE,), "required")))
    assert answer.text == f"{CALL_TEXT}\n{CALL_TEXT}"
    assert server.body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "save",
                "parameters": {"type": "object", "properties": {"total": {"type": "number"}}},
                "description": "Saves a total.",
            },
        }
    ]
    assert (server.body["tool_choice"], server.body["parallel_tool_calls"]) == ("required", True)


def test_tools_streamed_in_pieces_of_arguments(server: FakeServer, make: Make) -> None:
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "save", "arguments": ""}}
    deltas = [
        {"content": "Wait."},
        {"tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"total":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " 12.5}"}}]},
    ]
    pieces = [*map(chunk, deltas), chunk({}, "tool_calls"), b"data: [DONE]\n\n"]
    server.replies = [Reply(pieces, content_type=SSE)]
    named = GenerationOptions(constraint=ToolCalls((SAVE,), "save", parallel=False))
    stream = make().stream_chat(HELLO, options=named)
    assert "".join(map(str, stream)) == f"Wait.\n{CALL_TEXT}"
    assert server.body["tool_choice"] == {"type": "function", "function": {"name": "save"}}
    assert server.body["parallel_tool_calls"] is False


def test_calls_and_their_results_go_back_as_openai_wants_them(server: FakeServer, make: Make) -> None:
    server.replies = [completion()]
    results = [Message("tool", "done"), Message("tool", "done too")]
    make().chat([*HELLO, Message("assistant", f"Wait.\n{CALL_TEXT}\n{CALL_TEXT}"), *results])
    calling, one, two = server.body["messages"][1:]
    assert calling["content"] == "Wait."
    assert [json.loads(call["function"]["arguments"]) for call in calling["tool_calls"]] == [{"total": 12.5}] * 2
    assert [one["tool_call_id"], two["tool_call_id"]] == [call["id"] for call in calling["tool_calls"]]
    assert (one["role"], one["content"]) == ("tool", "done")


@pytest.mark.parametrize(
    "messages", [[Message("tool", "x")], [*HELLO, Message("assistant", "hm"), Message("tool", "x")]]
)
def test_a_result_without_a_call(messages: list[Message], make: Make) -> None:
    with pytest.raises(MessageError, match="call"):
        make().chat(messages)


SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}}


@pytest.mark.parametrize("dialect", ["plain", "openai", "vllm", "sglang", "llama.cpp", "ollama", "dashscope", "anyres"])
def test_a_json_schema_everywhere(dialect: str, server: FakeServer, make: Make) -> None:
    server.replies = [completion("{}")]
    make(dialect=dialect).chat(HELLO, options=GenerationOptions(constraint=JsonSchema(SCHEMA)))
    format_ = {"name": "answer", "schema": SCHEMA, "strict": True}
    assert server.body["response_format"] == {"type": "json_schema", "json_schema": format_}


@pytest.mark.parametrize(
    ("dialect", "constraint", "fields"),
    [
        ("vllm", Regex("[0-9]+"), {"structured_outputs": {"regex": "[0-9]+"}, "guided_regex": "[0-9]+"}),
        ("sglang", Regex("[0-9]+"), {"regex": "[0-9]+"}),
        ("anyres", Regex("[0-9]+"), {"response_format": {"type": "regex", "pattern": "[0-9]+"}}),
        ("vllm", Choices(("a", "b")), {"structured_outputs": {"choice": ["a", "b"]}, "guided_choice": ["a", "b"]}),
        ("sglang", Choices(("a.", "b|c")), {"regex": r"a\.|b\|c"}),
        ("anyres", Choices(("a.", "b")), {"response_format": {"type": "regex", "pattern": r"a\.|b"}}),
        ("llama.cpp", Choices(('say "a"', "b")), {"grammar": r'root ::= "say \"a\"" | "b"'}),
    ],
)
def test_patterns_and_choices_where_the_server_has_words_for_them(
    dialect: str, constraint: Any, fields: dict[str, Any], server: FakeServer, make: Make
) -> None:
    server.replies = [completion()]
    make(dialect=dialect).chat(HELLO, options=GenerationOptions(constraint=constraint))
    assert fields.items() <= server.body.items()


@pytest.mark.parametrize("dialect", ["plain", "openai", "ollama", "dashscope"])
def test_patterns_and_choices_elsewhere_are_an_error(dialect: str, server: FakeServer, make: Make) -> None:
    for constraint in (Regex("a"), Choices(("a",))):
        with pytest.raises(ConstraintError, match=f"dialect {dialect}; allowed: JsonSchema"):
            make(dialect=dialect).chat(HELLO, options=GenerationOptions(constraint=constraint))
    assert server.seen == []


def test_fields_an_anyres_server_passed_over_are_an_error(server: FakeServer, make: Make) -> None:
    passed_over = {"x-ignored-fields": "min_p, other"}
    server.replies = [Reply(completion().pieces, headers=passed_over)]
    with pytest.raises(EndpointError, match="passed over min_p"):
        make(dialect="anyres").chat(HELLO, options=GenerationOptions(min_p=0.1))
    assert text_of(make(dialect="anyres", extra_body={"min_p": 0.1})) == "Hi."


def test_fields_of_ones_own(server: FakeServer, make: Make) -> None:
    server.replies = [completion()]
    make(extra_body={"cache_salt": "x"}, headers={"X-Team": "a"}).chat(HELLO)
    assert server.body["cache_salt"] == "x"
    assert server.chats[0].headers["x-team"] == "a"
    with pytest.raises(OptionError, match="extra_body: stream"):
        make(extra_body={"stream": True})
    with pytest.raises(OptionError, match="not JSON"):
        make(extra_body={"x": float("nan")}).chat(HELLO)


def test_several_answers(server: FakeServer, make: Make) -> None:
    choices = [{"index": n, "message": {"content": f"{n}"}, "finish_reason": "stop"} for n in range(3)]
    server.replies = [as_json({"choices": choices})]
    assert [one.text for one in make().chat_n(HELLO, 3)] == ["0", "1", "2"]
    assert server.body["n"] == 3
    for n in (0, True, "2", 1000):
        with pytest.raises(OptionError):
            make().chat_n(HELLO, n)  # type: ignore[arg-type]


def test_a_batch_keeps_its_order(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi.")]
    model = make()
    answers = model.chat_batch([[Message("user", f"{number}")] for number in range(20)])
    assert [one.text for one in answers] == ["Hi."] * 20
    assert sorted(one.body["messages"][0]["content"] for one in server.chats) == sorted(map(str, range(20)))
    assert model.chat_batch([]) == []


def test_a_batch_in_which_one_fails(server: FakeServer, make: Make) -> None:
    server.replies = [completion(), error(400, "no good"), completion()]
    with pytest.raises(EndpointError, match="no good"):
        make().chat_batch([HELLO] * 30)


# Failures.


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_tried_again(status: int, server: FakeServer, make: Make, pauses: list[float]) -> None:
    server.replies = [error(status), error(status), completion("Hi.")]
    assert text_of(make()) == "Hi."
    assert pauses == [0.5, 1.0]


def test_a_stream_is_tried_again_before_its_first_byte(server: FakeServer, make: Make, pauses: list[float]) -> None:
    server.replies = [error(503, headers={"retry-after": "7"}), streamed("Hi.")]
    assert "".join(map(str, make().stream_chat(HELLO))) == "Hi."
    assert pauses == [7.0]


def test_async_is_tried_again(server: FakeServer, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = [error(429, headers={"retry-after-ms": "10"}), completion("Hi.")]
    assert asyncio.run(make().achat(HELLO)).text == "Hi."
    assert len(server.chats) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 418])
def test_a_lasting_failure_is_not_tried_again(status: int, server: FakeServer, make: Make, pauses: list[float]) -> None:
    server.replies = [error(status, "that was bad", "bad_thing", {"x-request-id": "r-1"})]
    with pytest.raises(EndpointError) as caught:
        make().chat(HELLO)
    assert len(server.chats) == 1
    assert pauses == []
    failure = caught.value
    assert (failure.status, failure.code, failure.request_id) == (status, "bad_thing", "r-1")
    assert failure.item == server.base_url
    assert failure.seen == f"HTTP {status} bad_thing: that was bad"
    assert failure.allowed


def test_the_server_decides_about_trying_again(server: FakeServer, make: Make, pauses: list[float]) -> None:
    server.replies = [error(500, headers={"x-should-retry": "false"})]
    with pytest.raises(EndpointError, match="HTTP 500"):
        make().chat(HELLO)
    assert len(server.chats) == 1
    server.replies = [error(400), error(400, headers={"x-should-retry": "true"}), completion("Hi.")]
    assert text_of(make()) == "Hi."


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_it_gives_up_after_so_many_tries(retries: int, server: FakeServer, make: Make) -> None:
    server.replies = [error(503, "busy")]
    with pytest.raises(EndpointError) as caught:
        make(retries=retries).chat(HELLO)
    assert len(server.chats) == retries + 1
    assert caught.value.status == 503
    assert (f"asked {retries + 1} times" in caught.value.seen) == (retries > 0)


BODIES = [
    (b'{"error": {"message": "one", "code": null, "type": "t"}}', "t: one"),
    (b'{"error": "two"}', "two"),
    (b'{"object": "error", "message": "three", "code": 400}', "three"),
    (b'{"detail": "four"}', "four"),
    (b'{"detail": [{"loc": ["body"], "msg": "five"}]}', "five"),
    (b"six, in plain words", "six, in plain words"),
    (b"", "HTTP 400;"),
    (b"[" * 5000, "["),
    (b"\xff\xfe\x00", "HTTP 400"),
    (b"null", "HTTP 400"),
    (b'{"error": {}}', "HTTP 400"),
]


@pytest.mark.parametrize(("body", "words"), BODIES, ids=range(len(BODIES)))
def test_errors_in_every_form_servers_have(body: bytes, words: str, server: FakeServer, make: Make) -> None:
    server.replies = [Reply([body], 400)]
    with pytest.raises(EndpointError) as caught:
        make().chat(HELLO)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 700
    assert "\n" not in str(caught.value)


def test_a_redirection_is_not_followed(server: FakeServer, make: Make) -> None:
    server.replies = [Reply([b""], 307, headers={"location": f"{server.base_url}/elsewhere"})]
    with pytest.raises(EndpointError, match="HTTP 307, a redirection"):
        make().chat(HELLO)
    assert len(server.seen) == 1


def test_nobody_at_the_address(pauses: list[float], server: FakeServer, make: Make) -> None:
    gone = RemoteChatModel("http://127.0.0.1:1/v1", model="m", dialect="plain", patience=make()._wire.patience)
    with pytest.raises(EndpointError, match=r"cannot be reached.*asked 3 times") as caught:
        gone.chat(HELLO)
    assert caught.value.status is None
    assert pauses == [0.5, 1.0]
    gone.close()


def test_a_silent_server_is_not_asked_twice(server: FakeServer, make: Make) -> None:
    hold = threading.Event()
    server.replies = [Reply([b"{}"], hold=hold)]
    with pytest.raises(EndpointError, match=r"silent for 0\.2 s"):
        make(read_timeout_s=0.2).chat(HELLO)
    hold.set()
    assert len(server.chats) == 1


WRONG = [
    b"",
    b"<html>",
    b"[]",
    b"null",
    b"{}",
    b'{"choices": []}',
    b'{"choices": [3]}',
    b'{"choices": [{"message": 3}]}',
    b'{"choices": [{"message": {"content": 3}}]}',
    b'{"choices": [{"message": {"tool_calls": 3}}]}',
    b'{"choices": [{"message": {"content": "a"}, "logprobs": {"content": 3}}]}',
    b'{"choices": [{}, {}]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", WRONG, ids=range(len(WRONG)))
def test_what_is_no_completion(body: bytes, server: FakeServer, make: Make) -> None:
    server.replies = [Reply([body])]
    with pytest.raises(EndpointError, match="allowed: a chat completion in OpenAI's form") as caught:
        make().chat(HELLO)
    assert caught.value.status == 200


def test_an_error_with_status_200(server: FakeServer, make: Make) -> None:
    server.replies = [as_json({"error": {"message": "out of memory", "code": "oom"}})]
    with pytest.raises(EndpointError, match=r"broke off \(oom\): out of memory"):
        make().chat(HELLO)


MID_STREAM = [
    b'data: {"error": {"message": "out of memory", "type": "server_error", "param": null, "code": null}}\n\n',
    b'data: {"object": "error", "message": "out of memory", "code": 500}\n\n',
    b'error: {"code": 500, "message": "out of memory"}\n\n',
    b'event: error\ndata: {"message": "out of memory"}\n\n',
    b'data: {"error": "out of memory"}\n\n',
]


@pytest.mark.parametrize("failure", MID_STREAM, ids=range(len(MID_STREAM)))
def test_an_error_in_the_middle_of_a_stream(failure: bytes, server: FakeServer, make: Make) -> None:
    server.replies = [Reply([chunk({"content": "Hi"}), failure, b"data: [DONE]\n\n"], content_type=SSE)]
    stream = make().stream_chat(HELLO)
    assert next(stream).text == "Hi"
    with pytest.raises(EndpointError, match=r"broke off.*out of memory"):
        next(stream)
    assert stream.answer is None


CUTS = [
    [chunk({"content": "Hi"})],
    [chunk({"content": "Hi"}), b'data: {"choices": [{"del'],
    [chunk({"content": "Hi"}), b"data: {"],
]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("pieces", CUTS, ids=range(len(CUTS)))
def test_a_stream_that_is_cut_off(pieces: list[bytes], cut: bool, server: FakeServer, make: Make) -> None:
    server.replies = [Reply(pieces, content_type=SSE, cut=cut)]
    stream = make().stream_chat(HELLO)
    assert next(stream).text == "Hi"
    with pytest.raises(EndpointError):
        next(stream)


@pytest.mark.parametrize("end", [b"", b"data: [DONE]", b"data: [DONE]\n"])
def test_a_stream_without_its_last_line_end_is_whole(end: bytes, server: FakeServer, make: Make) -> None:
    server.replies = [Reply([chunk({"content": "Hi"}), chunk({}, "stop"), end], content_type=SSE)]
    stream = make().stream_chat(HELLO)
    assert "".join(map(str, stream)) == "Hi"
    assert stream.answer is not None


def test_a_server_that_does_not_stream(server: FakeServer, make: Make) -> None:
    server.replies = [completion("Hi.")]
    stream = make().stream_chat(HELLO)
    assert [piece.text for piece in stream] == ["Hi."]
    assert stream.answer is not None
    assert stream.answer.usage.prompt_tokens == 10


def test_comments_and_odd_chunks_in_a_stream(server: FakeServer, make: Make) -> None:
    pieces = [
        b": ping\n\n",
        b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": null}}]}\n\n',
        b'data: {"choices": null, "usage": null}\n\n',
        b'data: {"choices": [{"index": 1, "delta": {"content": "another choice"}}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": null}]}\r\n\r\n',
        chunk({"content": "größe"})[:-20],
        chunk({"content": "größe"})[-20:],
        chunk({}, "stop"),
        b"data: [DONE]\n\n",
        b"data: what comes after is not read\n\n",
    ]
    server.replies = [Reply(pieces, content_type=SSE)]
    assert "".join(map(str, make().stream_chat(HELLO))) == "größe"


def test_closing_a_stream_closes_the_connection(server: FakeServer, make: Make) -> None:
    hold = threading.Event()
    server.replies = [Reply([chunk({"content": "Hi"}), b"data: [DONE]\n\n"], content_type=SSE, hold=hold)]
    stream = make().stream_chat(HELLO)
    assert next(stream).text == "Hi"
    stream.close()
    assert server.gone.wait(5)


def test_cancelling_a_task_closes_the_connection(server: FakeServer, make: Make) -> None:
    hold = threading.Event()
    server.replies = [Reply([chunk({"content": "Hi"}), b"data: [DONE]\n\n"], content_type=SSE, hold=hold)]
    model = make()

    async def cancelled() -> None:
        stream = model.astream(HELLO)
        assert (await anext(stream)).text == "Hi"
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stream.aclose()

    asyncio.run(cancelled())
    assert server.gone.wait(5)


@pytest.mark.parametrize(
    "messages",
    [[], "hi", [Message("wizard", "hi")], [Message("user", b"x")], [Message("user", [TextPart(3)])]],  # type: ignore[arg-type, list-item]
)
def test_bad_messages_never_leave(messages: Any, server: FakeServer, make: Make) -> None:
    for ask in (make().chat, make().stream_chat):
        with pytest.raises(MessageError):
            ask(messages)
    assert server.seen == []


def test_half_a_surrogate_pair_never_leaves(server: FakeServer, make: Make) -> None:
    with pytest.raises(OptionError, match="UTF-8"):
        make().chat([Message("user", "\ud800")])
    assert server.seen == []


def everywhere(value: BaseException) -> str:
    """What could be printed of an exception."""
    return "".join(traceback.format_exception(value)) + repr(value) + repr(vars(value))


def test_the_key_is_shown_nowhere(
    server: FakeServer, make: Make, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    model = make(retries=0)
    echo = f"Incorrect API key provided: {KEY}. Bearer {KEY}"
    for reply in (error(401, echo), Reply([echo.encode()], 500), as_json({"error": echo}), Reply([echo.encode()], 302)):
        server.replies = [reply]
        for ask in (model.chat, lambda messages: list(model.stream_chat(messages))):
            with pytest.raises(EndpointError) as caught:
                ask(HELLO)
            assert KEY not in everywhere(caught.value)
    server.replies = [completion()]
    model.chat(HELLO)
    assert KEY not in repr(model) + repr(model.endpoint) + str(model.endpoint)
    assert KEY not in caplog.text
    out, err = capsys.readouterr()
    assert KEY not in out + err
    assert server.chats[-1].headers["authorization"].endswith(KEY)


@pytest.mark.parametrize("key", ["", "with blank", "line\nend", "ö", "\x00"])
def test_a_key_that_is_none_is_not_repeated(key: str) -> None:
    with pytest.raises(OptionError) as caught:
        Endpoint("http://127.0.0.1:8000", key)
    assert not key or key not in str(caught.value)


def test_every_failure_is_one_of_ours(server: FakeServer, make: Make) -> None:
    for reply in (
        error(500),
        Reply([b"{"]),
        Reply([b""], 302),
        Reply([b"x"], content_type=SSE),
        Reply([b"{}"], cut=True),
    ):
        server.replies = [reply]
        for ask in (make().chat, lambda messages: list(make().stream_chat(messages))):
            with pytest.raises(AnyresError):
                ask(HELLO)
