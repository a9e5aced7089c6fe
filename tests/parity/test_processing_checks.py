"""Each check finds a program that does it another way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyres.parity import processing_checks
from anyres.parity.cases import CONVERSATIONS
from anyres.parity.goldens import SHIPPED, Arrays, read_goldens, split
from anyres.parity.processing_checks import (
    check_frames,
    check_patches,
    check_positions,
    check_sizes,
    check_token_ids,
    conversation_ids,
    largest_difference,
    patch_difference,
    vocabulary_fingerprint,
)
from anyres.processing.image import Size
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.vocabulary import default_ranks_file, write_tokenizer


@pytest.fixture(scope="module")
def goldens() -> Arrays:
    return read_goldens(SHIPPED / "processing.npz")


@pytest.fixture(scope="module")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, default_ranks_file(), size=2048)
    return Tokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def qwen2_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, default_ranks_file())
    return Tokenizer.from_folder(folder)


def test_half_away_from_zero_is_found(goldens: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest error of ports: a tie rounds up."""

    def resized(height: int, width: int, **limits: int) -> Size:
        return Size(*(max(28, int(side / 28 + 0.5) * 28) for side in (height, width)))

    monkeypatch.setattr(processing_checks, "smart_resize", resized)
    result = check_sizes(goldens)
    assert result.verdict == "DIFFERS"
    assert result.worst >= 28


def test_floor_of_frames_is_found(goldens: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """qwen-vl-utils from 0.0.10 on rounds the number of frames down."""
    ours = processing_checks.smart_nframes

    def floored(total: int, clip_fps: float, **asked: Any) -> int:
        return max(2, ours(total, clip_fps, **asked) - 2)

    monkeypatch.setattr(processing_checks, "smart_nframes", floored)
    assert check_frames(goldens).verdict == "DIFFERS"


def test_frames_refused_and_taken_differ(goldens: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (goldens["frame_choice"][:, -1] == -1).any()
    assert (goldens["frame_choice"][:, -1] > 0).any()
    monkeypatch.setattr(processing_checks, "smart_nframes", lambda *_, **__: 4)
    result = check_frames(goldens)
    assert result.worst == float("inf")


def test_another_filter_is_found(goldens: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    from anyres.processing import image

    def bilinear(picture: Any, size: Size) -> Any:
        return picture.resize((size.width, size.height), 2)

    monkeypatch.setattr(image, "resize", bilinear)
    result = check_patches(goldens)
    assert result.verdict == "DIFFERS"
    assert 0.01 < result.worst < 5


def test_patch_difference() -> None:
    pixels = np.linspace(0, 1, 3000, dtype=np.float32)
    import hashlib

    from anyres.parity.cases import sampled

    golden_sum = np.frombuffer(hashlib.sha256(pixels.tobytes()).digest(), dtype=np.uint8)
    golden = {"golden_sum": golden_sum, "golden_sample": sampled(pixels), "golden_grid": (1, 2, 2)}
    assert patch_difference(pixels, (1, 2, 2), **golden) == 0
    assert patch_difference(pixels, (1, 2, 4), **golden) == float("inf")
    hidden, seen = pixels.copy(), pixels.copy()
    hidden[5] = np.nextafter(hidden[5], np.float32(9))
    seen[0] += 0.5
    assert 0 < patch_difference(hidden, (1, 2, 2), **golden) < 1e-30
    assert patch_difference(seen, (1, 2, 2), **golden) == pytest.approx(0.5)


def test_largest_difference() -> None:
    assert largest_difference(np.array([1, 2]), np.array([1, 5])) == 3
    assert largest_difference(np.array([1, 2]), np.array([1])) == float("inf")
    assert largest_difference(np.array([]), np.array([])) == 0


def test_max_of_height_and_width_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers from 5.3 on ignores the frames of a clip when it goes on with the text."""
    ours = processing_checks.rope_positions

    def newer(layout: list[Any]) -> Any:
        return ours([span if isinstance(span, int) else (1, *span[1:]) for span in layout])

    monkeypatch.setattr(processing_checks, "rope_positions", newer)
    assert check_positions(read_goldens(SHIPPED / "positions.npz")).verdict == "DIFFERS"


@pytest.mark.parametrize("which", ["tiny_tokenizer", "qwen2_tokenizer"])
def test_ids_of_both_vocabularies(which: str, request: pytest.FixtureRequest) -> None:
    result = check_token_ids(read_goldens(SHIPPED / "ids.npz"), request.getfixturevalue(which))
    assert (result.verdict, result.cases) == ("equal", len(CONVERSATIONS))


def test_an_unknown_vocabulary_has_no_golden(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, default_ranks_file(), size=300)
    result = check_token_ids(read_goldens(SHIPPED / "ids.npz"), Tokenizer.from_folder(tmp_path))
    assert (result.verdict, result.detail) == ("no golden", "a vocabulary of 314 tokens")


def test_fingerprint_tells_vocabularies_apart(tiny_tokenizer: Tokenizer, qwen2_tokenizer: Tokenizer) -> None:
    assert vocabulary_fingerprint(tiny_tokenizer) == vocabulary_fingerprint(tiny_tokenizer)
    assert vocabulary_fingerprint(tiny_tokenizer) != vocabulary_fingerprint(qwen2_tokenizer)


def test_golden_ids_have_the_published_numbers(qwen2_tokenizer: Tokenizer) -> None:
    first = next(split(read_goldens(SHIPPED / "ids.npz"), "ids_qwen2")).tolist()
    assert first[:2] == [151644, 8948]  # <|im_start|>system
    assert first[-3:] == [151644, 77091, 198]  # <|im_start|>assistant\n
    assert first == conversation_ids(qwen2_tokenizer, CONVERSATIONS[0])


def test_pictures_and_clips_are_one_placeholder_each(qwen2_tokenizer: Tokenizer) -> None:
    ids = conversation_ids(qwen2_tokenizer, CONVERSATIONS[4])
    assert (ids.count(151655), ids.count(151656), ids.count(151652)) == (2, 1, 3)
