"""Live video against a fresh pass over the frames that are kept: same answers, nothing seen twice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anyres.chat import GenerationOptions, Message, TextPart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.live import LiveVideo
from anyres.errors import MediaError
from anyres.model_input import VisualInput

SIDE = 56
WORDS = GenerationOptions(max_tokens=12, temperature=0.0, logprobs=0)


def frame(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def live(model: LocalChatModel, **knobs: Any) -> LiveVideo:
    return LiveVideo(model, resized_height=SIDE, resized_width=SIDE, **knobs)


def fresh(model: LocalChatModel, video: LiveVideo, question: str) -> list[tuple[str, float]]:
    """One item with all pairs, in an engine that has seen nothing."""
    clip = video.clip
    whole = VisualInput(
        clip.name,
        "video",
        clip.grid_thw,
        clip.original_size,
        clip.resized_size,
        pixels_PX=torch.cat([pair.patches() for pair in clip.pairs]),
    )
    alone = LocalChatModel(model.model, model.processor, defaults=model.defaults)
    answer = alone.chat([Message("user", (VideoPart(whole), TextPart(question)))], options=WORDS)
    assert answer.usage.cached_tokens == answer.usage.cached_visual_tokens == 0
    assert answer.logprobs is not None
    return [(one.text, one.logprob) for one in answer.logprobs]


@pytest.fixture
def model(make_engine: Callable[..., LocalChatModel]) -> LocalChatModel:
    return make_engine()


@pytest.mark.parametrize("read_ahead", [False, True])
def test_answers_are_those_of_a_fresh_pass_over_the_kept_frames(model: LocalChatModel, read_ahead: bool) -> None:
    """While the window fills, with an odd frame at its end, and after the oldest have left."""
    video = live(model, max_pairs=5, leave=2)
    for number in range(17):
        assert video.add(frame(number), read_ahead=read_ahead)
        if number % 3 == 0:
            answer = video.ask("What moves?", options=WORDS)
            assert answer.logprobs is not None
            expected = fresh(model, video, "What moves?")
            assert [one.text for one in answer.logprobs] == [text for text, _ in expected]
            assert [one.logprob for one in answer.logprobs] == pytest.approx([one for _, one in expected], abs=1e-4)


def test_what_was_read_is_not_read_again(model: LocalChatModel) -> None:
    video = live(model, max_pairs=50)
    pair_tokens = (SIDE // 28) ** 2
    for number in range(40):
        video.add(frame(number))
    first = video.ask("What?", options=WORDS).usage
    second = video.ask("And where?", options=WORDS).usage
    assert first.cached_tokens == 0
    assert second.cached_tokens >= first.video_tokens
    for number in (40, 41):
        video.add(frame(number), read_ahead=True)
    third = video.ask("And now?", options=WORDS).usage
    assert third.video_tokens == first.video_tokens + pair_tokens
    assert third.cached_tokens >= first.video_tokens


def test_each_pair_is_encoded_once(model: LocalChatModel, encoded: list[int]) -> None:
    video = live(model, max_pairs=4, leave=1)
    for number in range(20):
        video.add(frame(number))
        if number % 2:
            video.ask("What?", options=WORDS)
    assert sum(encoded) == 10 * (SIDE // 14) ** 2


@pytest.fixture
def encoded(model: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Patches of every pass of the vision encoder, but for the row of blocks that fills a pass up."""
    seen: list[int] = []
    plain, merge = model.model.encode, model.config.vision.spatial_merge_size

    def encode(pixels_PX: torch.Tensor, grids: list[tuple[int, int, int]]) -> torch.Tensor:
        seen.append(sum(t * h * w for t, h, w in grids if h > merge))
        return plain(pixels_PX, grids)

    monkeypatch.setattr(model.model, "encode", encode)
    return seen


def test_words_before_and_pieces(model: LocalChatModel) -> None:
    video = live(model, before=[Message("system", "Say it short.")])
    video.add(frame(0))
    answer = video.ask("What?", options=WORDS)
    stream = video.stream("What?", options=WORDS)
    assert "".join(piece.text for piece in stream) == answer.text
    expected = model.chat(
        [Message("system", "Say it short."), Message("user", (VideoPart(video.clip), TextPart("What?")))], options=WORDS
    )
    assert expected.text == answer.text


def test_a_question_before_the_first_frame(model: LocalChatModel) -> None:
    with pytest.raises(MediaError, match="no frame yet"):
        live(model).ask("What?")


def test_frames_that_come_too_soon_are_not_read(model: LocalChatModel, encoded: list[int]) -> None:
    video = live(model, fps=1.0)
    assert video.add(frame(0), time_s=0.0, read_ahead=True)
    before = list(encoded)
    assert not video.add(frame(1), time_s=0.5, read_ahead=True)
    assert encoded == before
