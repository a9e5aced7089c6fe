"""The embedded model behind `anyres serve`, asked through the client, says what it says when asked directly."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.client import Endpoint, RemoteChatModel
from anyres.constraints import Boxes, Choices, JsonObject, JsonSchema, Regex, Tool, ToolCalls
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.errors import ConstraintError, EndpointError

pytest.importorskip("fastapi")
from tests.server.serving import serving

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "the-key-of-the-test"
GREEDY = GenerationOptions(max_tokens=24, temperature=0.0)
HELLO = [Message("user", "Hello")]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalChatModel]:
    model = load("tiny", dtype="float32")
    yield model
    model.close()


@pytest.fixture(scope="module")
def base_url(local: LocalChatModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(local, tmp_path_factory.mktemp("served"), api_keys=(KEY,)) as running:
        yield running.url


@pytest.fixture(scope="module")
def remote(base_url: str) -> Iterator[RemoteChatModel]:
    with RemoteChatModel(base_url, api_key=KEY) as model:
        yield model


def same(one: Answer, other: Answer) -> None:
    assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
    kinds = ("text_tokens", "image_tokens", "video_tokens", "completion_tokens")
    assert [getattr(one.usage, kind) for kind in kinds] == [getattr(other.usage, kind) for kind in kinds]
    assert len(one.notes) == len(other.notes)  # the server does not know what a picture is called


def test_it_is_recognised(remote: RemoteChatModel) -> None:
    assert remote.dialect == "anyres"
    assert remote.name in remote.models()


@pytest.mark.parametrize("name", ["heading.png", "scan_portuguese.png"])
def test_a_picture(name: str, local: LocalChatModel, remote: RemoteChatModel) -> None:
    for knobs in ({}, {"max_pixels": 8000}, {"min_pixels": 20_000}, {"resized_height": 56, "resized_width": 140}):
        direct = local.ask(EXAMPLES / name, "Read the text.", options=GREEDY, **knobs)  # type: ignore[arg-type]
        there = remote.ask(EXAMPLES / name, "Read the text.", options=GREEDY, **knobs)  # type: ignore[arg-type]
        same(there, direct)


def test_every_way_to_ask_says_the_same(local: LocalChatModel, remote: RemoteChatModel) -> None:
    messages = [Message("user", (ImagePart(EXAMPLES / "heading.png"), TextPart("Read the text.")))]
    direct = local.chat(messages, options=GREEDY)
    stream = remote.stream_chat(messages, options=GREEDY)
    pieces = "".join(map(str, stream))
    assert stream.answer is not None
    answers = [
        remote.chat(messages, options=GREEDY),
        stream.answer,
        asyncio.run(remote.achat(messages, options=GREEDY)),
    ]
    answers += remote.chat_batch([messages, messages], options=GREEDY) + remote.chat_n(messages, 1, options=GREEDY)
    assert pieces == direct.text
    assert {answer.text for answer in answers} == {direct.text}
    assert all(answer.usage.image_tokens == direct.usage.image_tokens for answer in answers)
    assert stream.answer.timings.prefill_s > 0


def test_a_clip(local: LocalChatModel, remote: RemoteChatModel) -> None:
    pytest.importorskip("av")
    clip = EXAMPLES / "clips" / "sign_book.mkv"
    for part in (VideoPart(clip), VideoPart(clip, nframes=4), VideoPart(clip, fps=1.0, end=3.0, max_pixels=6000)):
        messages = [Message("user", (part, TextPart("Does anything move?")))]
        there, direct = remote.chat(messages, options=GREEDY), local.chat(messages, options=GREEDY)
        assert (there.text, there.usage.video_tokens) == (direct.text, direct.usage.video_tokens)
    frames = [Image.new("RGB", (84, 56), (40 * number, 0, 0)) for number in range(6)]
    messages = [Message("user", (VideoPart(frames, fps=1.0), TextPart("Does anything move?")))]
    there, direct = remote.chat(messages, options=GREEDY), local.chat(messages, options=GREEDY)
    assert (there.text, there.usage.video_tokens) == (direct.text, direct.usage.video_tokens)


def test_a_conversation(local: LocalChatModel, remote: RemoteChatModel) -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", (ImagePart(EXAMPLES / "heading.png"), TextPart("Read the text."))),
        Message("assistant", "Something."),
        Message("user", "Once more."),
    ]
    same(remote.chat(messages, options=GREEDY), local.chat(messages, options=GREEDY))


def test_sampling_options_arrive(local: LocalChatModel, remote: RemoteChatModel) -> None:
    options = GenerationOptions(
        max_tokens=16, temperature=1.5, top_p=0.9, top_k=50, min_p=0.01, seed=7, repetition_penalty=1.1, logprobs=2
    )
    options = replace(options, stop=("zz",), presence_penalty=0.2, frequency_penalty=0.1, logit_bias={5: -100.0})
    there, direct = remote.chat(HELLO, options=options), local.chat(HELLO, options=options)
    assert there.text == direct.text
    assert there.logprobs is not None
    assert direct.logprobs is not None
    assert [one.text for one in there.logprobs] == [one.text for one in direct.logprobs]
    assert [one.logprob for one in there.logprobs] == pytest.approx([one.logprob for one in direct.logprobs])
    assert [len(one.top) for one in there.logprobs] == [2] * len(there.logprobs)
    stream = remote.stream_chat(HELLO, options=options)
    assert sum(len(piece.logprobs) for piece in stream) == len(there.logprobs)


SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


@pytest.mark.parametrize(
    "constraint",
    [JsonSchema(SCHEMA), JsonObject(), Regex("[0-9]{3}-[a-c]+z"), Choices(("yes.", "no|(maybe)")), Boxes(most=2)],
    ids=lambda one: type(one).__name__,
)
def test_constraints_hold(constraint: Any, local: LocalChatModel, remote: RemoteChatModel) -> None:
    options = replace(GREEDY, max_tokens=48, constraint=constraint)
    there, direct = remote.chat(HELLO, options=options), local.chat(HELLO, options=options)
    assert there.text == direct.text
    if isinstance(constraint, JsonSchema) and there.finish_reason == "stop":
        assert isinstance(json.loads(there.text)["total"], int)
    if isinstance(constraint, Choices):
        assert there.text in constraint.options


def test_a_bad_constraint_is_told(remote: RemoteChatModel) -> None:
    with pytest.raises(EndpointError, match="HTTP 400"):
        remote.chat(HELLO, options=replace(GREEDY, constraint=Regex("(unclosed")))
    with pytest.raises(ConstraintError, match="compact"):
        remote.chat(HELLO, options=replace(GREEDY, constraint=JsonObject(compact=True)))


def test_tools(remote: RemoteChatModel) -> None:
    save = Tool("save", SCHEMA, "Saves a total.")
    options = replace(GREEDY, max_tokens=64, constraint=ToolCalls((save,), "required", parallel=False))
    whole = remote.chat(HELLO, options=options)
    stream = remote.stream_chat(HELLO, options=options)
    assert "".join(map(str, stream)) == whole.text
    assert whole.text.startswith('<tool_call>\n{"name": "save", "arguments": {')
    if whole.finish_reason == "stop":
        again = [*HELLO, Message("assistant", whole.text), Message("tool", "done"), Message("user", "Thanks.")]
        assert remote.chat(again, options=options).text.startswith("<tool_call>")


def test_find(local: LocalChatModel, remote: RemoteChatModel, tmp_path: Path) -> None:
    picture = Image.new("RGB", (196, 84), "white")
    picture.paste((200, 30, 30), (30, 20, 60, 50))
    path = tmp_path / "square.png"
    picture.save(path)
    assert remote.find(path, "the red square") == local.find(path, "the red square")


@pytest.mark.parametrize(
    ("options", "status"),
    [(GenerationOptions(logit_bias={10**6: 1.0}), 400), (GenerationOptions(stop=("a", "b", "c", "d", "e")), 400)],
)
def test_what_the_server_refuses(options: GenerationOptions, status: int, remote: RemoteChatModel) -> None:
    with pytest.raises(EndpointError) as caught:
        remote.chat(HELLO, options=options)
    assert caught.value.status == status
    assert caught.value.request_id


def test_a_prompt_that_is_too_long(remote: RemoteChatModel) -> None:
    for ask in (remote.chat, lambda messages: list(remote.stream_chat(messages))):
        with pytest.raises(EndpointError, match="context_length_exceeded"):
            ask([Message("user", "word " * 20_000)])


def test_the_wrong_key_and_the_wrong_model(base_url: str) -> None:
    with RemoteChatModel(Endpoint(base_url, "wrong-key"), model="tiny") as model:
        with pytest.raises(EndpointError, match="HTTP 401") as caught:
            model.chat(HELLO)
        assert caught.value.status == 401
        assert "wrong-key" not in str(caught.value)
    with (
        RemoteChatModel(base_url, api_key=KEY, model="another") as model,
        pytest.raises(EndpointError, match="model_not_found"),
    ):
        model.chat(HELLO)


def test_a_stream_that_is_closed_is_aborted_there(remote: RemoteChatModel, local: LocalChatModel) -> None:
    from tests.server.serving import eventually

    endless = GenerationOptions(max_tokens=2000, temperature=1.0, seed=3, stop_loops=False, ignore_eos=True)
    stream = remote.stream_chat(HELLO, options=endless)
    next(stream)
    stream.close()
    assert eventually(lambda: local.stats.running == 0) < 5
