"""All checks of `anyres verify`, in order."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from anyres.chat import ImagePart, Message, TextPart
from anyres.engine.device import choose_device, choose_dtype
from anyres.model.hub import resolve
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from anyres.model_input import ModelInput
from anyres.parity.cases import FormulaPicture, formula_picture
from anyres.parity.checkpoint_checks import check_own_model, check_own_prompt, read_own_golden
from anyres.parity.goldens import SHIPPED, Arrays, read_goldens
from anyres.parity.model_checks import check_batch, check_cache, check_finite, check_formula_models
from anyres.parity.processing_checks import (
    check_frames,
    check_patches,
    check_positions,
    check_sizes,
    check_token_ids,
)
from anyres.parity.result import CheckResult
from anyres.processing.processor import Processor

__all__ = ["Stage", "verify"]

FURTHER_WORDS = " and what else is in this picture? Tell me all of it."  # fed to the cache token by token
FURTHER_TOKENS = 12


class Stage(NamedTuple):
    """What is checked next, in words, and the checking itself."""

    words: str
    run: Callable[[], list[CheckResult]]


def verify(
    name: str | Path | None = None, *, device: str = "auto", dtype: str = "float32", goldens: Path = SHIPPED
) -> Iterator[Stage]:
    """The stages for one checkpoint; running them in order gives all results.

    A checkpoint that does not load (CheckpointError, ModelNotFoundError) is bad input, not a difference.
    """
    folder = resolve(name)
    place = choose_device(device)
    processing, positions, ids, logits = (
        read_goldens(goldens / f"{kind}.npz") for kind in ("processing", "positions", "ids", "logits")
    )
    processor = Processor.from_folder(folder)
    yield Stage("sizes, patches and frames", lambda: _processing(processing))
    yield Stage("positions and ids", lambda: [check_positions(positions), check_token_ids(ids, processor.tokenizer)])
    yield Stage("formula models", lambda: check_formula_models(logits, place))
    yield Stage("the checkpoint", lambda: _checkpoint(folder, processor, place, choose_dtype(dtype, place)))


def _processing(goldens: Arrays) -> list[CheckResult]:
    return [check_sizes(goldens), check_frames(goldens), check_patches(goldens)]


def _checkpoint(folder: Path, processor: Processor, device: torch.device, dtype: torch.dtype) -> list[CheckResult]:
    golden = read_own_golden(folder, processor)
    model = load_model(folder, device=device, dtype=dtype)
    results = _against_itself(model, processor)
    if golden is None:
        return [*results, CheckResult("its own golden", "-", 0, detail="no golden.npz in its folder")]
    results.append(check_own_prompt(golden))
    if dtype == torch.float32:
        results.append(check_own_model(golden, model))
    return results


def _against_itself(model: Qwen2VL, processor: Processor) -> list[CheckResult]:
    prompts = _prompts(processor)
    further_ids = processor.tokenizer.encode_text(FURTHER_WORDS)[:FURTHER_TOKENS]
    finite = check_finite(model, prompts)
    if finite.differing:
        return [finite]
    return [finite, check_cache(model, prompts, further_ids), check_batch(model, prompts, further_ids)]


def _prompts(processor: Processor) -> Sequence[ModelInput]:
    """Text alone, one picture, two pictures: three different lengths."""
    wide, tall = (formula_picture(FormulaPicture("RGB", *size)) for size in ((84, 140), (112, 56)))
    contents = (
        (TextPart("Hello, who are you?"),),
        (ImagePart(wide), TextPart("What is this?")),
        (ImagePart(tall), TextPart("And"), ImagePart(wide), TextPart("What changed?")),
    )
    return [processor.prepare([Message("user", content)]) for content in contents]
