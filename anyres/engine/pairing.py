"""Two checkpoints that go together: a large one that answers, and a small one that drafts for it."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from anyres.engine.checkpoint import Opened, choose_paged_attention, open_checkpoint
from anyres.engine.draft import DraftModel
from anyres.engine.estimate import PROGRAM_BYTES
from anyres.engine.memory import parse_memory
from anyres.engine.options import EngineOptions
from anyres.engine.runner import Runner
from anyres.engine.vision_cache import VisionCache
from anyres.errors import OptionError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import weight_files
from anyres.processing.tokenizer import Tokenizer

__all__ = ["Pair", "check_pair", "draft_model", "open_pair"]


class Pair(NamedTuple):
    """The one that answers, whose processor makes the prompts of both; and the one that drafts."""

    target: Opened
    draft: Opened


def open_pair(
    path: Path,
    draft_path: Path,
    *,
    device: torch.device,
    dtype: str | torch.dtype | None = None,
    memory: str | int | None = None,
) -> Pair:
    """As `open_checkpoint`, twice; `memory` is for both, each gets of it what its files are of theirs.

    Raises what that raises, and OptionError for checkpoints that do not go together.
    """
    shares = (None, None) if memory is None else _shares(parse_memory(memory), path, draft_path)
    draft = open_checkpoint(draft_path, device=device, dtype=dtype, memory=shares[1])
    target = open_checkpoint(path, device=device, dtype=dtype, memory=shares[0])
    check_pair(target, draft, item=f"draft {draft_path.name}")
    pixels = min(one.processor.default_max_pixels for one in (target, draft))
    return Pair(Opened(target.model, replace(target.processor, default_max_pixels=pixels)), draft)


def draft_model(model: Qwen2VL, vision_cache: VisionCache | None, options: EngineOptions) -> DraftModel:
    """What an engine takes as its draft. Without a cache of its own it gets one in memory."""
    cache = VisionCache() if vision_cache is None else vision_cache
    return DraftModel(Runner(model), cache, choose_paged_attention(model, options))


def check_pair(target: Opened, draft: Opened, *, item: str) -> None:
    """Raises OptionError where the same ids mean other words, or the same pixels other patches.

    Tables of tokens may be padded to different sizes (151,936 rows in the 2B checkpoint, 152,064 in the 7B).
    """
    _check_words(target.processor.tokenizer, draft.processor.tokenizer, item)
    for name, allowed, seen in _alike(target, draft):
        if seen != allowed:
            raise OptionError(item, f"{name} {seen}", f"{allowed}, as in the model it is to draft for")


def _check_words(allowed: Tokenizer, seen: Tokenizer, item: str) -> None:
    ours, theirs = allowed.vocabulary(), seen.vocabulary()
    if ours == theirs and allowed.special_ids == seen.special_ids:
        return
    differing = {number for token, number in ours.items() ^ theirs.items()}
    number = min(differing | (allowed.special_ids ^ seen.special_ids))
    words = f"id {number} stands for {seen.token_bytes(number)!r}"
    raise OptionError(item, words, f"{allowed.token_bytes(number)!r}, as in the model it is to draft for")


def _alike(target: Opened, draft: Opened) -> list[tuple[str, object, object]]:
    """What must be equal: (name, of the larger, of the smaller)."""
    configs, images = (target.model.config, draft.model.config), (target.processor, draft.processor)
    ids = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    sizes = ("in_chans", "patch_size", "temporal_patch_size", "spatial_merge_size")
    colours = ("image_mean", "image_std")
    found = [(name, *(getattr(config, name) for config in configs)) for name in ids]
    found += [(name, *(getattr(config.vision, name) for config in configs)) for name in sizes]
    return found + [(name, *(getattr(one.image_config, name) for one in images)) for name in colours]


def _shares(memory: int, path: Path, draft_path: Path) -> tuple[int, int]:
    """The program itself is counted in both."""
    sizes = [_stored(one) for one in (path, draft_path)]
    for_draft = max(0, memory - PROGRAM_BYTES) * sizes[1] // sum(sizes)
    return memory - for_draft, for_draft + PROGRAM_BYTES


def _stored(path: Path) -> int:
    return sum(one.stat().st_size for one in ([path] if path.is_file() else weight_files(path)))
