"""Checks of everything before the model: sizes, patches, frame choices, token ids, positions."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from anyres.chat import ImagePart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.parity.cases import CONVERSATIONS, PICTURES, formula_picture, sampled
from anyres.parity.goldens import Arrays, split
from anyres.parity.result import CheckResult, compared
from anyres.processing.image import image_to_visual, smart_resize
from anyres.processing.positions import rope_positions
from anyres.processing.template import SpecialToken, messages_from_dicts, render
from anyres.processing.tokenizer import Tokenizer
from anyres.processing.video import frame_indices, smart_nframes

__all__ = [
    "check_frames",
    "check_patches",
    "check_positions",
    "check_sizes",
    "check_token_ids",
    "conversation_ids",
    "largest_difference",
    "patch_difference",
    "vocabulary_fingerprint",
]

QWEN_VL_UTILS = "qwen-vl-utils 0.0.8"
TRANSFORMERS = "transformers 4.57.6"
REFUSED = -1  # a golden size or count that stands for "raises ValueError"


def check_sizes(goldens: Arrays) -> CheckResult:
    """Rows of `sizes`: height, width, min_pixels, max_pixels, height out, width out."""
    differences = {}
    for height, width, low, high, *golden in goldens["sizes"].tolist():
        name = f"{height}x{width} within {low}..{high}"
        differences[name] = _apart(_resized(height, width, low, high), golden)
    return compared("sizes after resize", QWEN_VL_UTILS, differences, unit="pixels")


def check_patches(goldens: Arrays) -> CheckResult:
    """Every value of every patch of generated pictures, by checksum."""
    differences = {}
    config = ImageProcessorConfig()
    for number, case in enumerate(PICTURES):
        visual = image_to_visual(ImagePart(formula_picture(case), max_pixels="checkpoint"), config=config)
        differences[f"{case.mode} {case.width}x{case.height}"] = patch_difference(
            visual.patches().numpy(),
            visual.grid_thw,
            golden_sum=goldens["patch_sums"][number],
            golden_sample=goldens["patch_samples"][number],
            golden_grid=goldens["grids"][number],
        )
    return compared("patches, bit for bit", f"{QWEN_VL_UTILS}, {TRANSFORMERS}", differences)


def check_frames(goldens: Arrays) -> CheckResult:
    """Rows of `frame_choice`: total, clip fps, fps, nframes, min_frames, max_frames, n."""
    differences = {}
    rows = zip(goldens["frame_choice"].tolist(), split(goldens, "frame_indices"), strict=True)
    for (total, clip_fps, fps, nframes, low, high, count), golden in rows:
        asked = [None if value == REFUSED else value for value in (fps, nframes, low, high)]
        name = f"{int(total)} frames at {clip_fps:g} fps, asked {asked}"
        differences[name] = _frames_apart(int(total), clip_fps, asked, golden if count != REFUSED else None)
    return compared("frames of clips", QWEN_VL_UTILS, differences, unit="frames")


def check_token_ids(goldens: Arrays, tokenizer: Tokenizer) -> CheckResult:
    """Conversations in 20 languages, for the vocabularies that golden ids are shipped for."""
    fingerprint = vocabulary_fingerprint(tokenizer)
    names = [key.removeprefix("fingerprint_") for key in goldens if key.startswith("fingerprint_")]
    known = [name for name in names if str(goldens[f"fingerprint_{name}"]) == fingerprint]
    if not known:
        return CheckResult("token ids", TRANSFORMERS, 0, detail=f"a vocabulary of {tokenizer.vocab_size:,} tokens")
    rows = zip(CONVERSATIONS, split(goldens, f"ids_{known[0]}"), strict=True)
    differences = {
        _title(conversation): _apart(conversation_ids(tokenizer, conversation), golden.tolist())
        for conversation, golden in rows
    }
    return compared("token ids", TRANSFORMERS, differences, unit="ids")


def check_positions(goldens: Arrays) -> CheckResult:
    """Random mixes of text, pictures and clips."""
    differences = {}
    rows = zip(split(goldens, "layouts"), split(goldens, "positions"), goldens["deltas"].tolist(), strict=True)
    for number, (flat, golden, delta) in enumerate(rows, 1):
        entries = [(int(t), int(h), int(w)) for t, h, w in flat.reshape(-1, 3)]
        layout = [t if h == 0 else (t, h, w) for t, h, w in entries]
        positions_3T, rope_delta = rope_positions(layout)
        ours = [*positions_3T.flatten().tolist(), rope_delta]
        differences[f"{number}: {layout}"] = _apart(ours, [*golden.tolist(), delta])
    return compared("positions (M-RoPE)", TRANSFORMERS, differences, unit="positions")


def patch_difference(
    pixels_PX: np.ndarray[Any, Any],
    grid_thw: Sequence[int],
    *,
    golden_sum: np.ndarray[Any, Any],
    golden_sample: np.ndarray[Any, Any],
    golden_grid: Iterable[int],
) -> float:
    """0 where every bit is right; else the largest difference seen in a sample, at least the smallest there can be."""
    if list(grid_thw) != [int(side) for side in golden_grid]:
        return float("inf")
    if hashlib.sha256(pixels_PX.tobytes()).digest() == golden_sum.tobytes():
        return 0.0
    return max(largest_difference(sampled(pixels_PX), golden_sample), float(np.finfo(np.float32).tiny))


def conversation_ids(tokenizer: Tokenizer, conversation: Sequence[Mapping[str, Any]]) -> list[int]:
    """Ids of a conversation in which every picture and clip is its one placeholder."""
    holders = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    ids: list[int] = []
    for segment in render(messages_from_dicts(_with_sources(conversation))):
        if isinstance(segment, str):
            ids += tokenizer.encode_text(segment)
        elif isinstance(segment, SpecialToken):
            ids.append(tokenizer.special_id(segment.token))
        else:
            ids.append(tokenizer.special_id(holders["image" if isinstance(segment, ImagePart) else "video"]))
    return ids


def vocabulary_fingerprint(tokenizer: Tokenizer) -> str:
    """SHA-256 over the bytes of every token in the order of their ids."""
    digest = hashlib.sha256()
    for token_id in range(tokenizer.vocab_size):
        token = tokenizer.token_bytes(token_id)
        digest.update(len(token).to_bytes(4, "little") + token)
    return digest.hexdigest()


def largest_difference(ours: np.ndarray[Any, Any], golden: np.ndarray[Any, Any]) -> float:
    """Of two arrays; infinite where their shapes differ."""
    if ours.shape != golden.shape:
        return float("inf")
    return float(np.abs(ours.astype(np.float64) - golden.astype(np.float64)).max(initial=0.0))


def _with_sources(conversation: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Items in the form that names where they come from; nothing is opened."""
    return [
        {**turn, "content": turn["content"]}
        if isinstance(turn["content"], str)
        else {
            **turn,
            "content": [one if one["type"] == "text" else {**one, one["type"]: "x"} for one in turn["content"]],
        }
        for turn in conversation
    ]


def _title(conversation: Sequence[Mapping[str, Any]]) -> str:
    content = conversation[-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])[:40]


def _resized(height: int, width: int, low: int, high: int) -> list[int]:
    try:
        return list(smart_resize(height, width, min_pixels=low, max_pixels=high))
    except MediaError:
        return [REFUSED, REFUSED]


def _frames_apart(
    total: int, clip_fps: float, asked: Sequence[float | None], golden: np.ndarray[Any, Any] | None
) -> float:
    fps, *counts = asked
    nframes, low, high = (None if count is None else int(count) for count in counts)
    try:
        taken = smart_nframes(total, clip_fps, fps=fps, nframes=nframes, min_frames=low, max_frames=high)
    except OptionError:
        return 0.0 if golden is None else float("inf")
    if golden is None:
        return float("inf")
    return _apart(frame_indices(0, total - 1, taken), golden.tolist())


def _apart(ours: Sequence[int], golden: Sequence[int]) -> float:
    """Largest difference of two rows of numbers; infinite where they differ in length."""
    if len(ours) != len(golden):
        return float("inf")
    return float(max((abs(one - other) for one, other in zip(ours, golden, strict=True)), default=0))
