"""Live frames against the same frames given as a clip: patches, ids, positions; what leaves, what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import Message, TextPart, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.model.hub import resolve
from anyres.model_input import ModelInput, PairedClip
from anyres.processing.image import patchify
from anyres.processing.live_frames import LiveFrames
from anyres.processing.processor import Processor
from anyres.processing.video import resize_frame, video_to_visual

CONFIG = ImageProcessorConfig()
SIDE = 56  # of frames that need no resizing


def frame(number: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tiny_processor() -> Processor:
    return Processor.from_folder(resolve(None))


def live(**knobs: Any) -> LiveFrames:
    return LiveFrames(CONFIG, **({"resized_height": SIDE, "resized_width": SIDE} | knobs))


def kept(frames: LiveFrames) -> torch.Tensor:
    return torch.cat([pair.patches() for pair in frames.clip.pairs])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 6), st.data())
def test_what_is_kept_is_a_clip_of_the_last_whole_pairs(count: int, max_pairs: int, data: Any) -> None:
    """Against the same frames in a list, which the processor takes whole."""
    leave = data.draw(st.integers(1, max_pairs))
    frames = live(max_pairs=max_pairs, leave=leave)
    first = 0  # that is kept
    for number in range(count):
        assert frames.add(frame(number))
        if (number + 1) % 2 == 0 and (number + 1 - first) // 2 > max_pairs:
            first += 2 * leave
        clip, numbers = frames.clip, range(first, number + 1)
        assert clip.grid_thw == (-(-len(numbers) // 2), SIDE // 14, SIDE // 14)
        assert clip.frame_times_s == tuple(one / 2 for one in numbers)
    whole = video_to_visual(VideoPart([frame(one) for one in numbers]), config=CONFIG)
    assert whole.grid_thw == frames.clip.grid_thw
    assert torch.equal(kept(frames), whole.patches())


def test_frames_are_resized_like_those_of_a_clip() -> None:
    frames = live(resized_height=56, resized_width=84)
    for number in range(2):
        frames.add(frame(number, 60, 100))
    clip = frames.clip
    assert (clip.original_size, clip.resized_size) == ((60, 100), (56, 84))
    resized = [resize_frame(frame(number, 60, 100), clip.resized_size) for number in range(2)]
    pair = clip.pairs[0].pixels_PX
    assert pair is not None
    assert torch.equal(pair, patchify(resized, count=2, size=clip.resized_size, config=CONFIG))


def test_the_window_decides_the_size() -> None:
    """As many pixels as a clip of that many frames would have: 1080x1920, 200 frames -> 308x560."""
    frames = LiveFrames(CONFIG, max_pairs=100)
    frames.add(np.zeros((1080, 1920, 3), np.uint8))
    assert frames.clip.resized_size == (308, 560)
    assert frames.clip.note == "live: shrunk from 1920x1080 to 560x308"
    assert [pair.note for pair in frames.clip.pairs] == [frames.clip.note]


def test_a_new_pair_changes_no_other() -> None:
    frames = live()
    for number in range(4):
        frames.add(frame(number))
    before = [pair.content_key for pair in frames.clip.pairs]
    frames.add(frame(4))
    with_one = frames.clip
    frames.add(frame(5))
    with_both = frames.clip
    assert [pair.content_key for pair in with_both.pairs[:2]] == before
    assert with_one.content_key != with_both.content_key
    assert with_one.pairs[2].content_key != with_both.pairs[2].content_key
    assert torch.equal(with_one.pairs[2].patches(), patches_of(4, 4))


def patches_of(*numbers: int) -> torch.Tensor:
    return video_to_visual(VideoPart([frame(number) for number in numbers]), config=CONFIG).patches()


@pytest.mark.parametrize(
    ("times_s", "taken"),
    [
        ([0.0, 0.1, 0.5, 0.9, 1.0], [True, False, True, False, True]),
        ([5.0, 5.5, 2.0, 2.2, 2.5], [True, True, True, False, True]),  # a clock that was put back
        ([0.0, 1e9, 1e9 + 0.1], [True, True, False]),
        ([None, None, None], [True, True, True]),
    ],
)
def test_frames_that_come_too_soon_are_passed_over(times_s: list[float | None], taken: list[bool]) -> None:
    frames = live()
    assert [frames.add(frame(n), time_s=time_s) for n, time_s in enumerate(times_s)] == taken


def test_a_prompt_is_that_of_the_whole_clip(tiny_processor: Processor) -> None:
    """Token ids and positions of a clip of one item; only the items differ."""
    frames = LiveFrames(tiny_processor.image_config, resized_height=SIDE, resized_width=SIDE)
    for number in range(5):
        frames.add(frame(number))
    clip = frames.clip
    whole = video_to_visual(VideoPart([frame(n) for n in range(5)]), config=tiny_processor.image_config)

    def prompt(video: object) -> ModelInput:
        parts = (TextPart("before"), VideoPart(video), TextPart("after"))
        return tiny_processor.prepare([Message("user", parts), Message("assistant", "a"), Message("user", "b")])

    ours, expected = prompt(clip), prompt(whole)
    assert whole.grid_thw == clip.grid_thw
    assert torch.equal(ours.token_ids_T, expected.token_ids_T)
    assert torch.equal(ours.positions_3T, expected.positions_3T)
    assert ours.rope_delta == expected.rope_delta
    assert ours.visuals == clip.pairs
    assert len(expected.visuals) == 1


def test_pairs_have_the_patches_of_a_checkpoint_that_pairs_otherwise() -> None:
    config = ImageProcessorConfig(temporal_patch_size=1)
    frames = LiveFrames(config, resized_height=SIDE, resized_width=SIDE)
    frames.add(frame(0))
    frames.add(frame(1))
    assert frames.clip.grid_thw[0] == 2


def test_bad_frames_and_knobs() -> None:
    frames = live()
    with pytest.raises(MediaError, match="no frame yet"):
        _ = frames.clip
    frames.add(frame(0))
    with pytest.raises(MediaError, match="a frame of 30x56 pixels; allowed: 56x56"):
        frames.add(frame(1, SIDE, 30))
    with pytest.raises(MediaError):
        frames.add(b"no picture")
    with pytest.raises(OptionError, match="time_s"):
        frames.add(frame(1), time_s=float("nan"))
    assert frames.clip.grid_thw[0] == 1  # nothing of those
    for knobs in ({"max_pairs": 0}, {"leave": 0}, {"max_pairs": 2, "leave": 3}, {"fps": 0.0}, {"fps": float("nan")}):
        with pytest.raises(OptionError):
            live(**knobs)


def test_a_paired_clip_is_no_picture(tiny_processor: Processor) -> None:
    frames = live()
    frames.add(frame(0))
    clip = frames.clip
    assert isinstance(clip, PairedClip)
    with pytest.raises(OptionError, match="fps"):
        tiny_processor.prepare([Message("user", (VideoPart(clip, fps=1.0),))])
