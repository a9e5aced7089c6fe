"""Vectors of prompts: the last hidden states of one fresh pass, pooled, of length 1."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from anyres.engine.runner import Runner
from anyres.engine.vision_cache import VisionCache
from anyres.errors import OptionError
from anyres.model_input import ModelInput

__all__ = ["Pooling", "embed_prompt"]

Pooling = Literal["mean", "last"]


def embed_prompt(runner: Runner, cache: VisionCache, prompt: ModelInput, *, pooling: Pooling = "mean") -> Tensor:
    """float32 [D], of length 1: the mean of the last hidden states of all tokens, or that of the last token.

    Pictures that were encoded before come from the cache. Raises NumericsError, and OptionError for other poolings.
    """
    if pooling not in ("mean", "last"):
        raise OptionError("pooling", repr(pooling), "mean or last")
    hidden_TD = runner.hidden(prompt, _visual_tokens(runner, cache, prompt)).float().cpu()
    pooled_D = hidden_TD.mean(dim=0) if pooling == "mean" else hidden_TD[-1]
    return F.normalize(pooled_D, dim=0)


def _visual_tokens(runner: Runner, cache: VisionCache, prompt: ModelInput) -> Tensor | None:
    """Visual tokens of all items in order; None where there are none."""
    if not prompt.visuals:
        return None
    known = [cache.get(one.content_key) for one in prompt.visuals]
    new = [one for one, tokens in zip(prompt.visuals, known, strict=True) if tokens is None]
    made = iter(runner.encode(new))
    found: list[Tensor] = []
    for visual, tokens in zip(prompt.visuals, known, strict=True):
        found.append(next(made) if tokens is None else tokens)
        cache.put(visual.content_key, found[-1])
    return torch.cat([one.to(runner.model.device) for one in found])
