"""Decoder layers and vision blocks in a few native calls: norms, gates, biases and sums go along with the products.

A layer takes this way only while all its products are quantised, in float32 or bfloat16, and nobody watches its parts;
else it runs as the model defines it, so that a fault can be traced to one product and that product widened.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from anyres.kernels.attention import WIDEST_HEAD, attention, exact_attention
from anyres.kernels.cpu import Before, BeforeKind, Isa, Products, best_isa, rotate_
from anyres.model.language import Attend, DecoderLayer, RMSNorm
from anyres.model.layers import packed_attention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.vision import VisionBlock
from anyres.quant.linear import QuantizedLinear

__all__ = ["FusedDecoderLayer", "FusedVisionBlock", "fuse"]

MLP_TOKENS = 256
"""Tokens whose widest activations are held at a time: those of 2B are 18 MB, which stay in the last cache."""
EXACT_PAYS = (Isa.AVX512_VNNI,)
"""Where our attention in float32 is faster than torch's on pictures; docs/decisions.md has the figures."""


class Native(Protocol):
    """`attention` or `exact_attention` of anyres.kernels.cpu."""

    def __call__(
        self, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: Sequence[int], *, causal: bool
    ) -> Tensor: ...


def fuse(model: Qwen2VL) -> Qwen2VL:
    """Puts fused layers in place of quantised ones of a model on a CPU, and native attention into the vision encoder.

    That is in 8 bits where its products are quantised (docs/quantisation.md has what that costs), else in float32 and
    only where it is faster than torch's.
    Returns the same model, whose `state_dict` is the same too. Without native kernels nothing changes.
    """
    if best_isa() is None or model.device.type != "cpu":
        return model
    layers, blocks = model.model.layers, model.visual.blocks
    for i, layer in enumerate(layers):
        if isinstance(layer, DecoderLayer) and _has_quantised(layer):
            layers[i] = FusedDecoderLayer(layer)
    for i, block in enumerate(blocks):
        if isinstance(block, VisionBlock):
            quantised = _has_quantised(block)
            blocks[i] = FusedVisionBlock(block) if quantised else block
            if quantised or best_isa() in EXACT_PAYS:
                block.attn.attend = partial(_attend_vision, attention if quantised else exact_attention)
    return model


def _has_quantised(layer: nn.Module) -> bool:
    return any(isinstance(part, QuantizedLinear) for part in layer.modules())


def _attend_vision(native: Native, q_PHC: Tensor, k_PHC: Tensor, v_PHC: Tensor, lengths: Sequence[int]) -> Tensor:
    """torch's own where the native one does not go: no derivatives, no float16, no heads wider than 128."""
    if not _fit(q_PHC) or q_PHC.shape[2] > WIDEST_HEAD:
        return packed_attention(q_PHC, k_PHC, v_PHC, lengths, causal=False)
    return native(q_PHC, k_PHC, v_PHC, lengths, causal=False)


class _DecoderProducts(NamedTuple):
    """`of` are the codes they were made of: moved or exchanged layers have others."""

    of: list[Tensor]
    qkv: Products
    o: Products
    gate_up: Products
    down: Products


class FusedDecoderLayer(DecoderLayer):
    """Takes over the parts of `layer`."""

    def __init__(self, layer: DecoderLayer) -> None:
        nn.Module.__init__(self)
        _take_over(self, layer)
        self._made: _DecoderProducts | None = None

    def forward(self, x_TD: Tensor, cos_TC: Tensor, sin_TC: Tensor, attend: Attend) -> Tensor:
        products = self._products() if _fit(x_TD) else None
        if products is None:
            return super().forward(x_TD, cos_TC, sin_TC, attend)
        attention = self.self_attn
        width = attention.head_dim
        qkv_TX = products.qkv(x_TD)
        q_width, kv_width, _ = products.qkv.rows
        rotate_(qkv_TX, cos_TC.float(), sin_TC.float(), heads=(q_width + kv_width) // width)
        q_THC, k_TKC, v_TKC = (
            part.unflatten(-1, (-1, width)) for part in qkv_TX.split((q_width, kv_width, kv_width), dim=1)
        )
        out_THC = attend(attention.layer, q_THC, k_TKC, v_TKC)
        x_TD = products.o(out_THC.flatten(1), x_TD)
        return _through(products.gate_up, products.down, x_TD)

    def _products(self) -> _DecoderProducts | None:
        attention, mlp = self.self_attn, self.mlp
        qkv, gate_up = [attention.q_proj, attention.k_proj, attention.v_proj], [mlp.gate_proj, mlp.up_proj]
        parts = _quantised([*qkv, attention.o_proj, *gate_up, mlp.down_proj])
        if parts is None:
            return None
        if self._made is None or not _same(self._made.of, parts):
            self._made = _DecoderProducts(
                [part.codes for part in parts],
                _together(parts[:3], _rms(self.input_layernorm)),
                _together(parts[3:4], None),
                _together(parts[4:6], _rms(self.post_attention_layernorm)),
                _together(parts[6:], Before(BeforeKind.SWIGLU)),
            )
        return self._made


class _VisionProducts(NamedTuple):
    of: list[Tensor]
    qkv: Products
    proj: Products
    fc1: Products
    fc2: Products


class FusedVisionBlock(VisionBlock):
    """Takes over the parts of `block`."""

    def __init__(self, block: VisionBlock) -> None:
        nn.Module.__init__(self)
        _take_over(self, block)
        self._made: _VisionProducts | None = None

    def forward(self, x_PD: Tensor, cos_PC: Tensor, sin_PC: Tensor, lengths: Sequence[int]) -> Tensor:
        products = self._products() if _fit(x_PD) else None
        if products is None:
            return super().forward(x_PD, cos_PC, sin_PC, lengths)
        heads = self.attn.num_heads
        qkv_PX = products.qkv(x_PD)
        rotate_(qkv_PX, cos_PC, sin_PC, heads=2 * heads)
        q_PHC, k_PHC, v_PHC = qkv_PX.unflatten(-1, (3, heads, -1)).unbind(1)
        out_PHC = self.attn.attend(q_PHC, k_PHC, v_PHC, lengths)
        x_PD = products.proj(out_PHC.flatten(1), x_PD)
        return _through(products.fc1, products.fc2, x_PD)

    def _products(self) -> _VisionProducts | None:
        parts = _quantised([self.attn.qkv, self.attn.proj, self.mlp.fc1, self.mlp.fc2])
        if parts is None:
            return None
        if self._made is None or not _same(self._made.of, parts):
            self._made = _VisionProducts(
                [part.codes for part in parts],
                _together(parts[:1], _layer_norm(self.norm1)),
                _together(parts[1:2], None),
                _together(parts[2:3], _layer_norm(self.norm2)),
                _together(parts[3:], Before(BeforeKind.QUICK_GELU)),
            )
        return self._made


def _take_over(self: nn.Module, other: nn.Module) -> None:
    for name, child in other.named_children():
        self.add_module(name, child)
    self.train(other.training)


def _fit(x: Tensor) -> bool:
    return x.dtype in (torch.float32, torch.bfloat16) and not x.requires_grad


def _quantised(parts: Sequence[nn.Module]) -> list[QuantizedLinear] | None:
    """The same, where all are of the one kind that the native products take, and nobody watches them."""
    found = [part for part in parts if isinstance(part, QuantizedLinear) and part.order_K is None]
    watched = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    return found if len(found) == len(parts) and not watched else None


def _same(codes: Sequence[Tensor], parts: Sequence[QuantizedLinear]) -> bool:
    return all(one is part.codes for one, part in zip(codes, parts, strict=True))


def _together(parts: Sequence[QuantizedLinear], before: Before | None) -> Products:
    return Products([(part.packed, part.bias) for part in parts], before=before)


def _rms(norm: RMSNorm) -> Before:
    return Before(BeforeKind.RMS_NORM, norm.weight, None, norm.eps)


def _layer_norm(norm: nn.LayerNorm) -> Before:
    return Before(BeforeKind.LAYER_NORM, norm.weight, norm.bias, norm.eps)


def _through(first: Products, second: Products, x_TD: Tensor) -> Tensor:
    """x + second(first(x)), so many tokens at a time that what lies between them stays small."""
    parts = [second(first(x), x) for x in x_TD.split(MLP_TOKENS)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
