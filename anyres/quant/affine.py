"""The one form that our own formats, GPTQ, AWQ and llama.cpp's blocks share: w = scale * code + minimum, by group."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Affine", "unpack_int32"]


class Affine(NamedTuple):
    """Codes [N, K] uint8, scales and minimums [N, G]; each of the G groups holds `group` columns, the last maybe fewer.

    `order_K` says which input each column stands for, where that is not its own number (GPTQ's desc_act).
    """

    codes_NK: Tensor
    scales_NG: Tensor
    minimums_NG: Tensor
    bits: int
    group: int
    order_K: Tensor | None = None

    def values(self) -> Tensor:
        """The weights [N, K] in float32, columns in the order of the inputs.

        >>> Affine(torch.tensor([[0, 3]]), torch.tensor([[0.5]]), torch.tensor([[-1.0]]), 4, 2).values()
        tensor([[-1.0000,  0.5000]])
        """
        columns = self.codes_NK.shape[1]
        padded_NK = F.pad(self.codes_NK.float(), (0, -columns % self.group))
        codes_NGg = padded_NK.unflatten(1, (-1, self.group))
        values_NGg = codes_NGg * self.scales_NG.float()[..., None] + self.minimums_NG.float()[..., None]
        values_NK: Tensor = values_NGg.flatten(1)[:, :columns]
        if self.order_K is None:
            return values_NK
        return torch.empty_like(values_NK).index_copy_(1, self.order_K, values_NK)


def unpack_int32(packed_RC: Tensor, bits: int) -> Tensor:
    """[R, C] int32 -> [R, C, 32/bits] uint8, the lowest bits first.

    >>> unpack_int32(torch.tensor([[0x21]], dtype=torch.int32), 4).tolist()
    [[[1, 2, 0, 0, 0, 0, 0, 0]]]
    """
    low_bytes_RCb: Tensor = packed_RC.contiguous().view(torch.uint8).unflatten(-1, (-1, 4))
    if bits == 8:
        return low_bytes_RCb
    return torch.stack((low_bytes_RCb & 15, low_bytes_RCb >> 4), dim=-1).flatten(-2)
