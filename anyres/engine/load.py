"""`load`: whatever a name stands for, as a model that answers."""

from dataclasses import replace
from pathlib import Path

import torch

from anyres.disk_cache import DiskCache, open_cache
from anyres.engine.checkpoint import open_checkpoint
from anyres.engine.device import choose_device
from anyres.engine.engine import LocalChatModel
from anyres.engine.heap import give_back
from anyres.engine.options import EngineOptions
from anyres.engine.pairing import open_pair
from anyres.engine.request import GenerationDefaults
from anyres.engine.vision_cache import cache_on
from anyres.model.hub import resolve
from anyres.model.qwen2vl import Qwen2VL

__all__ = ["load"]


def load(
    name: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype | None = None,
    memory: str | int | None = None,
    engine: EngineOptions | None = None,
    cache: bool | str | Path | DiskCache | None = None,
    draft: str | Path | None = None,
) -> LocalChatModel:
    """The embedded checkpoint, a folder, a .gguf file, or a hub name that `anyres pull` has fetched.

    Quantised ones (ours, GPTQ, AWQ, bitsandbytes' nf4, GGUF) are computed with in the bits they are kept in.
    `device="auto"` takes CUDA where there is one. `dtype=None` means bfloat16 on CUDA, and on a CPU float32 or
    bfloat16, whichever this processor multiplies faster. `memory="8GB"` chooses what weights are kept in and how large
    pictures may be so that all fits, and says so in the log; dense weights are quantised as they are loaded where they
    must be. `engine` bounds what runs at once and what is kept for later prompts. `cache` is a folder that keeps visual
    tokens and frames of clips for the next program (True: the system's place; None: as ANYRES_CACHE says, else none).
    `draft` is a smaller checkpoint with the same tokens that guesses what this one will say, as
    `load("Qwen/Qwen2-VL-7B-Instruct", draft="Qwen/Qwen2-VL-2B-Instruct")`: the same answers, sooner where that pays
    (docs/engine.md).

    Raises ModelNotFoundError, CheckpointError, and OptionError where nothing fits, or the two do not go together.
    """
    path = resolve(name)
    place = choose_device(device)
    small: Qwen2VL | None = None
    if draft is None:
        model, processor = open_checkpoint(path, device=place, dtype=dtype, memory=memory)
    else:
        (model, processor), (small, _) = open_pair(path, resolve(draft), device=place, dtype=dtype, memory=memory)
    defaults = GenerationDefaults.from_folder(path if path.is_dir() else path.parent, model.config, processor.tokenizer)
    disk = open_cache(cache)
    give_back()  # what reading the files took: 50 MB for the vocabulary of Qwen2
    return LocalChatModel(
        model,
        replace(processor, stream_clips=True, cache=disk),
        defaults=defaults,
        name=str(name or path.name),
        engine=engine,
        vision_cache=None if disk is None else cache_on(disk, model),
        draft=small,
        draft_vision_cache=None if disk is None or small is None else cache_on(disk, small),
    )
