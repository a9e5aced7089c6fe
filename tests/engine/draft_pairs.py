"""Models that agree often: a checkpoint, and one made out of it."""

from dataclasses import replace

import torch

from anyres.model.qwen2vl import Qwen2VL


def padded(model: Qwen2VL, *, noise: float, rows: int, seed: int = 5) -> Qwen2VL:
    """Every weight changed by so many of its standard deviations, and so many more rows in the table of tokens."""
    text = replace(model.config.text, vocab_size=model.config.text.vocab_size + rows)
    other = Qwen2VL(replace(model.config, text=text)).to(model.dtype).eval()
    generator, given = torch.Generator().manual_seed(seed), model.state_dict()
    with torch.no_grad():
        for name, weight in other.state_dict().items():
            known = given[name]
            changed = known + noise * known.float().std().nan_to_num() * torch.randn(known.shape, generator=generator)
            weight.normal_(generator=generator)  # rows of padding hold anything
            weight[: len(known)] = changed.to(known.dtype)
    return other
