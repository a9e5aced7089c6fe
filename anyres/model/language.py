"""The Qwen2 decoder with multimodal rotary positions (M-RoPE). Module names are those of the published checkpoints.

The decoder does not know how keys and values are kept: it hands the queries, keys and values of each layer to an
`attend` function. Without a cache that is `CausalAttention`; the engine passes the method of its KV cache.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyres.config import TextConfig
from anyres.model.layers import packed_attention, rotary_frequencies, rotate

__all__ = ["Attend", "CausalAttention", "LanguageModel", "TokenTable", "mrope_tables"]

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q_THC, k_TKC, v_TKC) -> out_THC"""


class CausalAttention:
    """An `attend` for whole packed sequences: each token sees those before it in its own sequence."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = tuple(lengths)

    def __call__(self, layer: int, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> Tensor:
        del layer
        return packed_attention(q_THC, k_TKC, v_TKC, self.lengths, causal=True)


class RMSNorm(nn.Module):
    """Root-mean-square norm in float32, cast back before the weight, as the original does."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_TD: Tensor) -> Tensor:
        x32_TD = x_TD.float()
        scale_T1 = torch.rsqrt(x32_TD.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * (x32_TD * scale_T1).to(x_TD.dtype)


class TokenTable(nn.Embedding):
    """One row a token: looked up on the way in and, where the head is tied, multiplied with on the way out."""

    def reset_parameters(self) -> None:
        """Nothing on `meta`, where torch would import its compiler (1.4 s) to draw numbers that nobody keeps."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """logits_NV."""
        return F.linear(hidden_ND, self.weight)


class Attention(nn.Module):
    """Grouped-query attention; biases on q, k and v, none on o."""

    def __init__(self, config: TextConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        kv_width = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, kv_width)
        self.v_proj = nn.Linear(config.hidden_size, kv_width)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x_TD: Tensor, cos_TC: Tensor, sin_TC: Tensor, attend: Attend) -> Tensor:
        q_THC = self.q_proj(x_TD).unflatten(-1, (-1, self.head_dim))
        k_TKC = self.k_proj(x_TD).unflatten(-1, (-1, self.head_dim))
        v_TKC = self.v_proj(x_TD).unflatten(-1, (-1, self.head_dim))
        q_THC, k_TKC = rotate(q_THC, cos_TC, sin_TC), rotate(k_TKC, cos_TC, sin_TC)
        out_THC = attend(self.layer, q_THC, k_TKC, v_TKC)
        out_TD: Tensor = self.o_proj(out_THC.flatten(1))
        return out_TD


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x_TD: Tensor) -> Tensor:
        out_TD: Tensor = self.down_proj(F.silu(self.gate_proj(x_TD)) * self.up_proj(x_TD))
        return out_TD


class DecoderLayer(nn.Module):
    def __init__(self, config: TextConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x_TD: Tensor, cos_TC: Tensor, sin_TC: Tensor, attend: Attend) -> Tensor:
        x_TD = x_TD + self.self_attn(self.input_layernorm(x_TD), cos_TC, sin_TC, attend)
        x_TD = x_TD + self.mlp(self.post_attention_layernorm(x_TD))
        return x_TD


class LanguageModel(nn.Module):
    """embeds_TD and positions_3T of packed sequences -> hidden_TD."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = TokenTable(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, embeds_TD: Tensor, positions_3T: Tensor, attend: Attend) -> Tensor:
        cos_TC, sin_TC = mrope_tables(positions_3T, self.config)
        cos_TC, sin_TC = cos_TC.to(embeds_TD.dtype), sin_TC.to(embeds_TD.dtype)
        x_TD = embeds_TD
        for layer in self.layers:
            x_TD = layer(x_TD, cos_TC, sin_TC, attend)
        hidden_TD: Tensor = self.norm(x_TD)
        return hidden_TD


def mrope_tables(positions_3T: Tensor, config: TextConfig) -> tuple[Tensor, Tensor]:
    """cos_TC and sin_TC, float32.

    The C/2 frequencies are cut into three chunks of `mrope_section` (16, 24, 24 in the published sizes), and chunk i
    turns with the t, h or w position for i = 0, 1, 2; both halves of the head use the same angles.
    """
    frequencies = rotary_frequencies(config.head_dim, config.rope_theta, positions_3T.device)
    chunks = frequencies.split(list(config.mrope_section))
    angles = [positions_T.float()[:, None] * chunk for positions_T, chunk in zip(positions_3T, chunks, strict=True)]
    angles_TC = torch.cat(angles, dim=-1).repeat(1, 2)
    return angles_TC.cos(), angles_TC.sin()
