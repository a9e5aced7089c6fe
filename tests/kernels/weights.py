"""Random quantised weights, and what they mean written out plainly."""

import torch
from torch import Tensor


def random_parts(rows: int, columns: int, groups: int, bits: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(codes_NK, scales_NG, minimums_NG) of a size that weights have."""
    generator = torch.Generator().manual_seed(seed)
    codes_NK = torch.randint(0, 2**bits, (rows, columns), generator=generator).to(torch.uint8)
    scales_NG = (torch.rand(rows, groups, generator=generator) + 0.5) / 2**bits
    minimums_NG = -scales_NG * 2 ** (bits - 1) + torch.randn(rows, groups, generator=generator) / 100
    return codes_NK, scales_NG, minimums_NG


def plain_weight(codes_NK: Tensor, scales_NG: Tensor, minimums_NG: Tensor, group: int) -> Tensor:
    """w = scale * code + minimum, column by column."""
    columns = codes_NK.shape[1]
    group_K = torch.arange(columns) // group
    return codes_NK.float() * scales_NG.float()[:, group_K] + minimums_NG.float()[:, group_K]
