"""Frames that are still being decoded: nobody but the clip's own request waits for them."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.runner import Runner
from anyres.engine.scheduler import Item
from anyres.engine.visuals import MOST_DECODING, Visuals
from anyres.errors import MediaError
from anyres.processing.clip import Clip
from anyres.processing.streaming import StreamedClip
from tests.engine.runs import until

SHORT = GenerationOptions(max_tokens=6, temperature=0.0)
CLIP = Path(__file__).parents[2] / "examples" / "clips" / "sign_book.mkv"
WAIT_S = 60


class Gate:
    """Lets so many frames of all clips through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns = threading.Semaphore(0)
        self.asked = 0
        plain = Clip.iter_frames

        def gated(clip: Clip, indices: Any) -> Iterator[Any]:
            self.asked += 1
            for frame in plain(clip, indices):
                assert self.turns.acquire(timeout=WAIT_S)
                yield frame

        monkeypatch.setattr(Clip, "iter_frames", gated)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.turns.release(1000)


def asked(words: str, *, frames: int = 8, start: float | None = None) -> list[Message]:
    part = VideoPart(CLIP, nframes=frames, start=start, max_pixels=28 * 28 * 6, min_pixels=28 * 28)
    return [Message("user", (part, TextPart(words)))]


def pictured(seed: int) -> list[Message]:
    pixels = np.random.default_rng(seed).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    return [Message("user", (ImagePart(pixels), TextPart("what is it?")))]


def in_thread(engine: LocalChatModel, messages: list[Message]) -> tuple[threading.Thread, list[Answer]]:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(engine.chat(messages, options=SHORT)))
    thread.start()
    return thread, answers


def test_others_go_on_while_frames_are_decoded(engine: LocalChatModel, gate: Gate) -> None:
    """One answers already, one comes later with a picture; the clip's answer is the same afterwards."""
    gate.turns.release(1000)
    plain = LocalChatModel(engine.model, engine.processor, defaults=engine.defaults)
    expected = [plain.chat(one, options=SHORT).text for one in (asked("Then?"), pictured(1), pictured(2))]
    while gate.turns.acquire(blocking=False):
        pass
    busy = LocalChatModel(engine.model, engine.processor, defaults=engine.defaults)
    endless = busy.stream_chat(pictured(9), options=GenerationOptions(max_tokens=3000, stop_loops=False))
    next(endless)
    thread, answers = in_thread(busy, asked("Then?"))
    assert until(lambda: gate.asked == 2)
    assert [busy.chat(pictured(seed), options=SHORT).text for seed in (1, 2)] == expected[1:]
    gate.turns.release(5)  # two pairs and a half: what comes is encoded, the rest is waited for
    visuals = busy._loop.engine._visuals
    assert until(lambda: list(visuals._done.values()) == [2])
    assert busy.chat(pictured(1), options=SHORT).text == expected[1]
    assert thread.is_alive()
    gate.turns.release(100)
    thread.join(WAIT_S)
    assert [one.text for one in answers] == expected[:1]
    endless.close()


def test_alone_it_waits_a_frame_pair_at_a_time(engine: LocalChatModel, gate: Gate) -> None:
    """So one that comes meanwhile need not wait for the whole clip."""
    model = LocalChatModel(engine.model, engine.processor, defaults=engine.defaults)
    thread, answers = in_thread(model, asked("Then?"))
    assert until(lambda: gate.asked == 1)
    other, others = in_thread(model, pictured(1))
    other.join(0.2)
    gate.turns.release(3)  # the first pair, with which the step under way ends
    other.join(WAIT_S)
    assert others
    assert thread.is_alive()
    gate.turns.release(100)
    thread.join(WAIT_S)
    assert answers


def test_two_that_ask_about_one_clip_decode_it_once(engine: LocalChatModel, gate: Gate) -> None:
    model = LocalChatModel(engine.model, engine.processor, defaults=engine.defaults)
    running = [in_thread(model, asked(words)) for words in ("Then?", "When?", "Who?")]
    assert until(lambda: model._loop.engine.requests + len(model._loop._inbox) == 3)
    gate.turns.release(8)
    for thread, _ in running:
        thread.join(WAIT_S)
    assert all(answers for _, answers in running)
    assert gate.asked == 1


def test_a_clip_that_fails_is_not_waited_for(engine: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(clip: Clip, indices: Any) -> Iterator[Any]:
        del indices
        raise MediaError(clip.name, "broken in the middle", "a whole file")
        yield

    monkeypatch.setattr(Clip, "iter_frames", fails)
    model = LocalChatModel(engine.model, engine.processor, defaults=engine.defaults)
    endless = model.stream_chat(pictured(9), options=GenerationOptions(max_tokens=3000, stop_loops=False))
    next(endless)
    with pytest.raises(MediaError, match="broken in the middle"):
        model.chat(asked("Then?"), options=SHORT)
    next(endless)
    endless.close()


def test_few_clips_are_decoded_at_a_time(engine: LocalChatModel, gate: Gate) -> None:
    """Each takes memory for all of its frames. One that is given up makes place for another."""
    visuals = Visuals(Runner(engine.model), None)
    clips = [engine.processor.prepare(asked("Then?", start=0.1 * i)).visuals[0] for i in range(MOST_DECODING + 1)]
    assert all(isinstance(clip, StreamedClip) for clip in clips)
    t, h, w = clips[0].grid_thw
    items = [Item(clip.content_key, 0, t * h * w // 4, t, h * w) for clip in clips]
    assert [visuals.parts_ready(item, clip) for item, clip in zip(items, clips, strict=True)] == [0] * len(clips)
    assert until(lambda: gate.asked == MOST_DECODING)
    del clips[0]
    assert visuals.parts_ready(items[-1], clips[-1]) == 0
    assert until(lambda: gate.asked == MOST_DECODING + 1)
    gate.turns.release(1000)
    assert until(lambda: visuals.parts_ready(items[-1], clips[-1]) == t)
    still = engine.processor.prepare(pictured(1)).visuals[0]
    assert visuals.parts_ready(Item(b"picture", 0, 6, 1, 24), still) == 1
