"""The Python API on a tiny random checkpoint: its words mean nothing, but they must be the same by every way."""

import dataclasses
import gc
from collections.abc import Callable

import numpy as np
import pytest
import torch

import anyres
from anyres.chat import Answer, ChatModel, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.options import EngineOptions
from anyres.engine.request import Sequence
from anyres.engine.runner import Progress
from anyres.engine.sampler import Choice
from anyres.engine.scheduler import Limits
from anyres.errors import AnyresError, ContextLengthError, MessageError, ModelNotFoundError, NumericsError, OptionError
from anyres.model_input import EncodedImage
from tests.engine.runs import until
from tests.oracle import IM_END, VOCAB_SIZE

MakeEngine = Callable[..., LocalChatModel]
SHORT = GenerationOptions(max_tokens=12)
ENDLESS = GenerationOptions(max_tokens=3000, stop_loops=False)
DRAWN = GenerationOptions(max_tokens=40, temperature=1.0, seed=7)


def photo(seed: int = 0, height: int = 56, width: int = 84) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


LARGE = photo(0, 112, 168)  # 4x6 visual tokens
CONVERSATIONS = [
    [Message("user", "hello")],
    [Message("user", (ImagePart(photo(1)), TextPart("what is it?")))],
    [Message("system", "Be brief."), Message("user", "a"), Message("assistant", "b"), Message("user", "c " * 20)],
    [Message("user", (VideoPart([photo(i) for i in range(5)]), TextPart("then?"), ImagePart(photo(9, 28, 140))))],
    [Message("user", (TextPart("compare"), ImagePart(photo(2)), ImagePart(photo(3, 100, 30))))],
]


def same(one: Answer, other: Answer) -> bool:
    """All but the seconds, and what was there already."""
    usage = dataclasses.replace(
        one.usage, cached_tokens=other.usage.cached_tokens, cached_visual_tokens=other.usage.cached_visual_tokens
    )
    return dataclasses.replace(one, timings=other.timings, usage=usage) == other


def test_every_way_to_ask_is_the_same(engine: LocalChatModel) -> None:
    messages = [Message("user", (ImagePart(photo()), TextPart("what?")))]
    expected = engine.chat(messages, options=DRAWN)
    assert same(engine.ask(photo(), "what?", options=DRAWN), expected)
    assert same(engine.ask([photo()], "what?", options=DRAWN), expected)
    assert same(engine.ask(ImagePart(photo()), "what?", options=DRAWN), expected)
    assert same(engine.chat_batch([messages], options=DRAWN)[0], expected)
    for stream in (engine.stream(photo(), "what?", options=DRAWN), engine.stream_chat(messages, options=DRAWN)):
        assert stream.answer is None
        assert "".join(piece.text for piece in stream) == expected.text
        assert same(stream.answer, expected)


def test_without_a_picture(engine: LocalChatModel) -> None:
    expected = engine.chat([Message("user", "hello?")], options=DRAWN)
    assert same(engine.ask(None, "hello?", options=DRAWN), expected)


def test_pictures_then_video_then_words(engine: LocalChatModel) -> None:
    frames = [photo(i) for i in range(4)]
    parts = (ImagePart(photo(8)), ImagePart(photo(9)), VideoPart(frames), TextPart("?"))
    expected = engine.chat([Message("user", parts)], options=SHORT)
    assert same(engine.ask([photo(8), photo(9)], "?", video=frames, options=SHORT), expected)
    assert same(engine.ask([photo(8), photo(9)], "?", video=VideoPart(frames), options=SHORT), expected)
    assert (expected.usage.image_tokens, expected.usage.video_tokens) == (12, 12)


def test_knobs_reach_the_items(engine: LocalChatModel) -> None:
    def image_tokens(**knobs: int) -> int:
        return engine.ask(LARGE, "?", options=GenerationOptions(max_tokens=1), **knobs).usage.image_tokens

    assert image_tokens() == 24
    assert image_tokens(max_pixels=8 * 784) == 6
    assert image_tokens(min_pixels=30 * 784) == 35
    assert image_tokens(resized_height=28 * 3, resized_width=28 * 5) == 15
    part = ImagePart(LARGE, max_pixels=8 * 784)
    assert engine.ask([part, LARGE], "?", options=SHORT, min_pixels=30 * 784).usage.image_tokens == 6 + 35


def test_video_knobs_need_a_video(engine: LocalChatModel) -> None:
    for name in ("fps", "nframes", "start", "end", "total_pixels"):
        with pytest.raises(OptionError, match=f"{name}: 2, without a video"):
            engine.ask(photo(), "?", **{name: 2})


def test_a_batch_answers_as_one_by_one(engine: LocalChatModel) -> None:
    """Drawn answers of 5 different lengths, all with the same seed."""
    alone = [engine.chat(messages, options=DRAWN) for messages in CONVERSATIONS]
    assert len({answer.text for answer in alone}) == len(alone)
    together = engine.chat_batch(CONVERSATIONS, options=DRAWN)
    assert all(same(one, other) for one, other in zip(together, alone, strict=True))


def test_a_batch_larger_than_fits_at_once(engine: LocalChatModel) -> None:
    few = LocalChatModel(
        engine.model, engine.processor, defaults=engine.defaults, engine=EngineOptions(Limits(running=2))
    )
    options = dataclasses.replace(DRAWN, logprobs=1)
    alone = [engine.chat(messages, options=options) for messages in CONVERSATIONS]
    together = few.chat_batch(CONVERSATIONS, options=options)
    for one, other in zip(together, alone, strict=True):
        assert one.text == other.text
        ours, theirs = ([token.logprob for token in answer.logprobs] for answer in (one, other))
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_several_answers_to_one_prompt(engine: LocalChatModel) -> None:
    messages = CONVERSATIONS[1]
    answers = engine.chat_n(messages, 3, options=DRAWN)
    for i, answer in enumerate(answers):
        assert same(answer, engine.chat(messages, options=dataclasses.replace(DRAWN, seed=DRAWN.seed + i)))
    assert len({answer.text for answer in answers}) == 3
    assert len(engine.chat_n(messages, 1, options=SHORT)) == 1
    unseeded = engine.chat_n(messages, 3, options=dataclasses.replace(DRAWN, seed=None))
    assert len({answer.text for answer in unseeded}) == 3


@pytest.mark.parametrize("n", [0, -1, 65, 1.5])
def test_a_number_of_answers_out_of_range(engine: LocalChatModel, n: int) -> None:
    with pytest.raises(OptionError, match="n: "):
        engine.chat_n(CONVERSATIONS[0], n)


def test_an_empty_batch(engine: LocalChatModel) -> None:
    assert engine.chat_batch([]) == []


def test_seeds(engine: LocalChatModel) -> None:
    texts = [
        engine.ask(None, "?", options=dataclasses.replace(DRAWN, seed=seed)).text for seed in (1, 1, 2, None, None)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4


def test_streams_side_by_side_do_not_touch(engine: LocalChatModel) -> None:
    expected = [engine.chat(messages, options=DRAWN).text for messages in CONVERSATIONS[:2]]
    streams = [engine.stream_chat(messages, options=DRAWN) for messages in CONVERSATIONS[:2]]
    texts = ["", ""]
    running = {0, 1}
    while running:
        for i in sorted(running):
            piece = next(streams[i], None)
            running -= {i} if piece is None else set()
            texts[i] += str(piece or "")
    assert texts == expected


@pytest.mark.parametrize("way", ["closed", "forgotten", "never begun"])
def test_a_stream_can_be_left(engine: LocalChatModel, way: str) -> None:
    """Its request ends, and its blocks are free."""
    stream = engine.stream(photo(), "?", options=ENDLESS)
    if way != "never begun":
        next(stream)
    if way == "forgotten":
        del stream
        gc.collect()
    else:
        stream.close()
        assert next(stream, None) is None
        assert stream.answer is None
    assert until(lambda: engine.stats.running == engine.stats.waiting == 0)


def test_pieces_hold_whole_characters(make_engine: MakeEngine) -> None:
    """The model is made to say one character of four bytes again and again; each byte is a token."""
    engine = make_engine()
    word = "👍".encode()
    with torch.no_grad():
        for layer in engine.model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding, head = engine.model.model.embed_tokens.weight, engine.model.lm_head.weight
        embedding.copy_(torch.eye(VOCAB_SIZE, embedding.shape[1]))
        head.zero_()
        for at, (byte, following) in enumerate(zip(word, word[1:] + word[:1], strict=True)):
            embedding[byte] = 0
            embedding[byte, at] = head[following, at] = 1
        newline = embedding[ord("\n")]
        newline.zero_()
        newline[10] = head[word[0], 10] = 1
    answer = engine.stream(None, "?", options=GenerationOptions(max_tokens=11))
    assert [piece.text for piece in answer] == ["👍", "👍"]
    assert (answer.answer.usage.completion_tokens, answer.answer.finish_reason) == (11, "length")


def test_stop_strings(engine: LocalChatModel) -> None:
    whole = engine.ask(None, "hi", options=DRAWN).text
    stop = next(whole[i : i + 2] for i in range(5, len(whole)) if "\N{REPLACEMENT CHARACTER}" not in whole[i : i + 2])
    answer = engine.ask(None, "hi", options=dataclasses.replace(DRAWN, stop=("never said", stop)))
    assert answer.text == whole[: whole.index(stop)]
    assert answer.finish_reason == "stop"


def test_an_end_token_ends(make_engine: MakeEngine) -> None:
    """Every id a list names ends the answer; the end is counted but has no text."""
    reference = make_engine().ask(None, "hi", options=SHORT)
    first = make_engine(eos_token_id=IM_END).ask(None, "hi", options=SHORT)
    assert first.text == reference.text
    ends = make_engine(eos_token_id=[IM_END, *range(256)]).ask(None, "hi", options=SHORT)
    assert (ends.text, ends.finish_reason, ends.usage.completion_tokens) == ("", "stop", 1)


def test_generation_config_is_honoured(make_engine: MakeEngine, engine: LocalChatModel) -> None:
    file = make_engine(do_sample=True, temperature=1.0, top_k=50, max_new_tokens=9, repetition_penalty=1.2)
    options = GenerationOptions(max_tokens=9, temperature=1.0, top_k=50, repetition_penalty=1.2, seed=3)
    by_file = file.ask(None, "hi", options=GenerationOptions(seed=3))
    assert by_file.usage.completion_tokens == 9
    assert same(by_file, engine.ask(None, "hi", options=options))
    greedy = file.ask(None, "hi", options=GenerationOptions(temperature=0.0, repetition_penalty=1.0))
    assert greedy.text == engine.ask(None, "hi", options=GenerationOptions(max_tokens=9)).text


def test_only_text_and_boxes_are_drawn(engine: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a high temperature every id would turn up: ids without a token, image_pad, im_start ..."""
    drawn: list[int] = []
    accept = Sequence.accept

    def watched(self: Sequence, choice: Choice) -> object:
        drawn.append(choice.token_id)
        return accept(self, choice)

    monkeypatch.setattr(Sequence, "accept", watched)
    for seed in range(6):
        engine.ask(None, "hi", options=GenerationOptions(max_tokens=50, temperature=99.0, seed=seed))
    assert set(drawn) <= set(range(256)) | set(range(259, 265)) | {IM_END}
    assert len(set(drawn)) > 50


class Clock:
    """Stands still but for passes of the model, which take a second each, and preparing, which takes two."""

    def __init__(self, model: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for owner, name, seconds in (
            (model._runner, "encode_parts", 1.0),
            (model._runner, "forward", 1.0),
            (model, "_prepared", 2.0),
        ):
            monkeypatch.setattr(owner, name, self.slow(getattr(owner, name), seconds))

    def slow(self, call: Callable[..., object], seconds: float) -> Callable[..., object]:
        def slowed(*arguments: object) -> object:
            self.now += seconds
            return call(*arguments)

        return slowed

    def __call__(self) -> float:
        return self.now


def test_what_an_answer_carries(engine: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = LocalChatModel(engine.model, engine.processor, defaults=engine.defaults, clock=lambda: clock.now)
    clock = Clock(timed, monkeypatch)
    answer = timed.ask(photo(0, 60, 90), "what?", options=dataclasses.replace(SHORT, logprobs=2, speculate=False))
    prompt = engine.processor.prepare([Message("user", (ImagePart(photo(0, 60, 90)), TextPart("what?")))])
    assert answer.usage.prompt_tokens == len(prompt.token_ids_T)
    assert (answer.usage.image_tokens, answer.usage.completion_tokens) == (6, 12)
    assert answer.finish_reason == "length"
    assert len(answer.notes) == 1
    assert "84x56" in answer.notes[0]
    assert len(answer.logprobs) == 12
    assert all(len(token.top) == 2 and token.logprob == token.top[0][1] for token in answer.logprobs)
    timings = answer.timings
    assert (timings.prepare_s, timings.encode_s, timings.prefill_s, timings.decode_s) == (2.0, 1.0, 1.0, 11.0)
    assert timings.wait_s == 0


def test_encode_once_ask_often(engine: LocalChatModel) -> None:
    encoded = engine.encode(photo(0, 60, 90))
    engine.vision_cache.clear()
    assert isinstance(encoded, EncodedImage)
    assert encoded.visual_MD.shape == (6, engine.config.text.hidden_size)
    assert same(engine.ask(encoded, "what?", options=DRAWN), engine.ask(photo(0, 60, 90), "what?", options=DRAWN))
    told: list[Progress] = []
    twice = engine.ask([encoded, photo(21), encoded], "?", options=SHORT, report=told.append)
    assert same(twice, engine.ask([photo(0, 60, 90), photo(21), photo(0, 60, 90)], "?", options=SHORT))
    assert {progress.items for progress in told if progress.stage == "encode"} == {1}, "one picture was left to encode"
    small = engine.encode(LARGE, max_pixels=8 * 784)
    assert engine.ask(small, "?", options=SHORT).usage.image_tokens == 6


def test_encoded_by_another_checkpoint(engine: LocalChatModel, make_engine: MakeEngine) -> None:
    other, twin = make_engine(seed=1), make_engine(seed=0)
    encoded = engine.encode(photo())
    with pytest.raises(OptionError, match=r"encoded by another checkpoint \(\w{16}\); allowed: one that encode\(\)"):
        other.ask(encoded, "?")
    assert same(twin.ask(encoded, "?", options=SHORT), engine.ask(encoded, "?", options=SHORT))
    plain = dataclasses.replace(engine.processor.prepare(CONVERSATIONS[1]).visuals[0], pixels_PX=None)
    with pytest.raises(OptionError, match=r"another checkpoint \(None\)"):
        engine.ask(dataclasses.replace(plain, visual_MD=torch.zeros(6, 64)), "?")


def test_progress_reaches_the_caller(engine: LocalChatModel) -> None:
    told: list[Progress] = []
    list(engine.stream([photo(31), photo(32), photo(31)], "?", options=SHORT, report=told.append))
    assert [one.stage for one in told] == ["encode", "encode", "prefill", "prefill"]
    assert (told[0].done, told[1].done, told[1].total, told[1].items) == (0, 12, 12, 2), "the third is the first again"


def test_progress_of_a_batch_is_that_of_all(engine: LocalChatModel) -> None:
    told: list[Progress] = []
    questions = [[Message("user", (ImagePart(photo(seed)), TextPart("?")))] for seed in (41, 42, 43)]
    engine.chat_batch(questions, options=SHORT, report=told.append)
    encoded, read = ([one for one in told if one.stage == stage][-1] for stage in ("encode", "prefill"))
    assert encoded == Progress("encode", 3, 3, 18, 18)
    assert (read.item, read.items, read.done == read.total > 60) == (3, 3, True)


def test_the_context_ends_an_answer(make_engine: MakeEngine) -> None:
    engine = make_engine(context=100)
    used = engine.ask(None, "?", options=GenerationOptions(max_tokens=1)).usage.prompt_tokens
    answer = engine.ask(None, "?" * (100 - used - 4))
    assert (answer.usage.completion_tokens, answer.finish_reason) == (5, "length")


@pytest.mark.parametrize("extra", [0, 1, 500])
def test_a_prompt_longer_than_the_context(make_engine: MakeEngine, extra: int) -> None:
    engine = make_engine(context=100)
    used = engine.ask(None, "", options=GenerationOptions(max_tokens=1)).usage.prompt_tokens
    with pytest.raises(ContextLengthError, match="100"):
        engine.ask(None, "x" * (100 - used + extra))


def test_a_picture_longer_than_the_context(make_engine: MakeEngine) -> None:
    with pytest.raises(ContextLengthError, match="image"):
        make_engine(context=40).ask(photo(0, 28, 28 * 50), "?")


@pytest.mark.parametrize(
    "messages", [[], [Message("robot", "hi")], ["hi"], [Message("user", (1,))], "hi", [Message("user", None)]]
)
def test_bad_messages_are_refused_before_anything_runs(engine: LocalChatModel, messages: list) -> None:
    for way in (engine.chat, engine.stream_chat):
        with pytest.raises(MessageError):
            way(messages)


@pytest.mark.parametrize(
    "words", ["", " ", "\n", "\x00", "<|image_pad|>", "<|im_end|>", "\ud800", "👩‍👩‍👧‍👦", "﷽" * 50]
)
def test_any_words_get_an_answer(engine: LocalChatModel, words: str) -> None:
    assert engine.ask(photo(), words, options=SHORT).usage.completion_tokens > 0


def test_nan_is_reported_through_the_api(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.model.state_dict()["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    with pytest.raises(NumericsError, match=r"^model\.layers\.1\.mlp\.down_proj: NaN or infinite values in float32"):
        engine.ask(None, "?")


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16, "torch.float32"])
def test_loading_in_other_numbers(engine: LocalChatModel, make_engine: MakeEngine, dtype: str | torch.dtype) -> None:
    del engine
    folder = make_engine().name
    half = load(folder, device="cpu", dtype=dtype)
    assert str(half.dtype) == f"torch.{str(dtype).removeprefix('torch.')}"
    assert half.ask(photo(), "?", options=SHORT).usage.completion_tokens == 12


def test_loading_what_is_not_there() -> None:
    with pytest.raises(ModelNotFoundError):
        load("no-such-model")


@pytest.mark.parametrize(("device", "dtype"), [("gpu!", None), ("cpu", "int8"), ("cpu", "float64")])
def test_loading_with_bad_knobs(make_engine: MakeEngine, device: str, dtype: str | None) -> None:
    with pytest.raises(OptionError):
        load(make_engine().name, device=device, dtype=dtype)


def test_it_is_a_chat_model(engine: LocalChatModel) -> None:
    def use(model: ChatModel) -> Answer:
        return model.chat([Message("user", "hi")], options=SHORT)

    assert isinstance(use(engine), Answer)
    assert issubclass(AnyresError, Exception)
    assert anyres.LocalChatModel is LocalChatModel
