"""The vision encoder: patches of any number of pictures and clips in one pack, one visual token for 2x2 patches out.

Source: Qwen2-VL paper (arXiv 2409.12191), section 2.1. Module names are those of the published checkpoints.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from anyres.config import VisionConfig
from anyres.model.layers import packed_attention, rotary_frequencies, rotate
from anyres.model_input import Grid

__all__ = ["VisionAttend", "VisionBlock", "VisionEncoder", "patch_coordinates"]

ROPE_THETA = 10_000.0  # fixed in the original implementation, absent from config.json
LAYER_NORM_EPS = 1e-6  # likewise
QUICK_GELU_SLOPE = 1.702  # likewise

VisionAttend = Callable[[Tensor, Tensor, Tensor, Sequence[int]], Tensor]
"""(q_PHC, k_PHC, v_PHC, lengths) -> out_PHC, among the patches of each frame pair"""


class PatchEmbed(nn.Module):
    """Each patch of two frames to one vector.

    The original is a Conv3d whose stride equals its kernel, which is this matrix product; the checkpoint's
    [D, 3, 2, 14, 14] weight is kept as [D, X].
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(config.patch_values, config.embed_dim, bias=False)

    def forward(self, pixels_PX: Tensor) -> Tensor:
        x_PD: Tensor = self.proj(pixels_PX)
        return x_PD


class VisionAttention(nn.Module):
    """Full attention among the patches of one frame pair."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.embed_dim, 3 * config.embed_dim)
        self.proj = nn.Linear(config.embed_dim, config.embed_dim)
        self.attend: VisionAttend = partial(packed_attention, causal=False)

    def forward(self, x_PD: Tensor, cos_PC: Tensor, sin_PC: Tensor, lengths: Sequence[int]) -> Tensor:
        q_PHC, k_PHC, v_PHC = self.qkv(x_PD).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        # As in the original, positions are applied in float32 whatever the model's dtype.
        q_PHC, k_PHC = (rotate(x.float(), cos_PC, sin_PC).to(x.dtype) for x in (q_PHC, k_PHC))
        out_PHC = self.attend(q_PHC, k_PHC, v_PHC, lengths)
        out_PD: Tensor = self.proj(out_PHC.flatten(1))
        return out_PD


class VisionMLP(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        hidden = int(config.embed_dim * config.mlp_ratio)
        self.fc1 = nn.Linear(config.embed_dim, hidden)
        self.fc2 = nn.Linear(hidden, config.embed_dim)

    def forward(self, x_PD: Tensor) -> Tensor:
        x_PF = self.fc1(x_PD)
        out_PD: Tensor = self.fc2(x_PF * torch.sigmoid(QUICK_GELU_SLOPE * x_PF))
        return out_PD


class VisionBlock(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=LAYER_NORM_EPS)
        self.attn = VisionAttention(config)
        self.mlp = VisionMLP(config)

    def forward(self, x_PD: Tensor, cos_PC: Tensor, sin_PC: Tensor, lengths: Sequence[int]) -> Tensor:
        x_PD = x_PD + self.attn(self.norm1(x_PD), cos_PC, sin_PC, lengths)
        x_PD = x_PD + self.mlp(self.norm2(x_PD))
        return x_PD


class PatchMerger(nn.Module):
    """Four neighbouring patches to one visual token of the language model's width.

    Patches arrive in merge-block order, so the four are consecutive rows.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.merged_width = config.embed_dim * config.merge_area
        self.ln_q = nn.LayerNorm(config.embed_dim, eps=LAYER_NORM_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(self.merged_width, self.merged_width),
            nn.GELU(),
            nn.Linear(self.merged_width, config.hidden_size),
        )

    def forward(self, x_PD: Tensor) -> Tensor:
        visual_MD: Tensor = self.mlp(self.ln_q(x_PD).view(-1, self.merged_width))
        return visual_MD


class VisionEncoder(nn.Module):
    """pixels_PX of all pictures and frame pairs, packed -> visual_MD."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config)

    def forward(self, pixels_PX: Tensor, grids: Sequence[Grid]) -> Tensor:
        """`grids` are the (t, h, w) of each item, in the order of the rows; their products add up to P."""
        x_PD = self.patch_embed(pixels_PX.to(self.merger.ln_q.weight.dtype))
        cos_PC, sin_PC = self._rotary(grids, x_PD.device)
        lengths = [h * w for t, h, w in grids for _ in range(t)]
        for block in self.blocks:
            x_PD = block(x_PD, cos_PC, sin_PC, lengths)
        visual_MD: Tensor = self.merger(x_PD)
        return visual_MD

    def _rotary(self, grids: Sequence[Grid], device: torch.device) -> tuple[Tensor, Tensor]:
        frequencies = rotary_frequencies(self.config.head_dim // 2, ROPE_THETA, device)
        coordinates_P2 = torch.cat([patch_coordinates(grid, self.config.spatial_merge_size) for grid in grids])
        angles_PC = (coordinates_P2.to(device)[:, :, None] * frequencies).flatten(1).repeat(1, 2)
        return angles_PC.cos(), angles_PC.sin()


def patch_coordinates(grid: Grid, merge: int) -> Tensor:
    """(row, column) of every patch of an item, in the order in which patches are stored. Shape [P, 2].

    Stored order is frame pair, row of blocks, block, row inside the block, patch.

    >>> patch_coordinates((1, 2, 4), 2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    """
    t, h, w = grid
    rows_hw = torch.arange(h)[:, None].expand(h, w)
    columns_hw = torch.arange(w)[None].expand(h, w)
    blocks = (h // merge, merge, w // merge, merge)
    stored = [x.reshape(blocks).permute(0, 2, 1, 3).flatten() for x in (rows_hw, columns_hw)]
    return torch.stack(stored, dim=-1).repeat(t, 1)
