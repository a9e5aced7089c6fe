"""Checks of one checkpoint against the golden numbers in its own folder."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anyres.chat import ImagePart, Message, TextPart
from anyres.errors import CheckpointError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from anyres.parity.goldens import CHECKPOINT_GOLDEN, Arrays, read_goldens
from anyres.parity.model_checks import cached_logits, one_pass_logits, relative_difference, visual_tokens_of
from anyres.parity.processing_checks import TRANSFORMERS, largest_difference, patch_difference
from anyres.parity.result import CheckResult, compared
from anyres.processing.processor import Processor

__all__ = ["OwnGolden", "check_own_model", "check_own_prompt", "read_own_golden"]

GOLDEN_ERROR = 1e-4  # of the largest logit: many layers of float32 sums, in another order
NAMES = (
    "picture",
    "question",
    "grid_thw",
    "patch_sum",
    "patch_sample",
    "token_ids",
    "positions",
    "rope_delta",
    "visual",
    "logits",
    "answer_ids",
)


class OwnGolden(NamedTuple):
    """The golden numbers, and the prompt that anyres makes of the same picture and question."""

    arrays: Arrays
    prompt: ModelInput


def read_own_golden(folder: Path, processor: Processor) -> OwnGolden | None:
    """None where the folder has no golden.npz; CheckpointError where it is damaged."""
    path = folder / CHECKPOINT_GOLDEN
    if not path.exists():
        return None
    arrays = read_goldens(path)
    missing = [name for name in NAMES if name not in arrays]
    if missing:
        raise CheckpointError(str(path), f"no {', '.join(missing)}", "a file that tests/goldens/make_parity.py wrote")
    picture = ImagePart(arrays["picture"], max_pixels="checkpoint")
    prompt = processor.prepare([Message("user", (picture, TextPart(str(arrays["question"]))))])
    return OwnGolden(arrays, prompt)


def check_own_prompt(golden: OwnGolden) -> CheckResult:
    """Patches bit for bit, ids and positions of the picture and question."""
    arrays, prompt = golden
    (visual,) = prompt.visuals
    differences = {
        "patches": patch_difference(
            visual.patches().numpy(),
            visual.grid_thw,
            golden_sum=arrays["patch_sum"],
            golden_sample=arrays["patch_sample"],
            golden_grid=arrays["grid_thw"].tolist(),
        ),
        "token ids": largest_difference(prompt.token_ids_T.numpy(), arrays["token_ids"]),
        "positions": largest_difference(prompt.positions_3T.numpy(), arrays["positions"]),
        "rope_delta": abs(prompt.rope_delta - int(arrays["rope_delta"])),
    }
    return compared("its own golden: the prompt", TRANSFORMERS, differences)


def check_own_model(golden: OwnGolden, model: Qwen2VL) -> CheckResult:
    """Visual tokens, logits and the greedy answer. In float32: golden numbers of other dtypes differ by machine."""
    arrays, prompt = golden
    rows = range(len(prompt.token_ids_T) - len(arrays["logits"]), len(prompt.token_ids_T))
    differences = {
        "visual tokens": relative_difference(visual_tokens_of(model, prompt.visuals), arrays["visual"]),
        "logits": relative_difference(one_pass_logits(model, prompt, rows), arrays["logits"]),
        "answer": _answer_difference(model, prompt, arrays["answer_ids"].tolist()),
    }
    check = "its own golden: the model"
    return compared(check, TRANSFORMERS, differences, allowed=GOLDEN_ERROR, unit="relative")


def _answer_difference(model: Qwen2VL, prompt: ModelInput, golden_ids: list[int]) -> float:
    """0 when the likeliest token is the golden one at every step, given the golden ones before it."""
    logits_NV: Tensor = cached_logits(model, [prompt], [golden_ids[:-1]])[0]
    likeliest = torch.argmax(logits_NV, dim=-1).numpy()
    return 0.0 if np.array_equal(likeliest, np.array(golden_ids)) else float("inf")
