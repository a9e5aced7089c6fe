"""The parts of a model that may be kept in different numbers of bits, and which of them a layer belongs to."""

from collections.abc import Mapping

__all__ = ["PARTS", "bits_of", "part_of"]

PARTS = ("decoder", "vision", "tables")


def part_of(name: str) -> str:
    """The part that a layer belongs to.

    >>> part_of("visual.blocks.0.attn.qkv"), part_of("lm_head"), part_of("model.layers.0.mlp.up_proj")
    ('vision', 'tables', 'decoder')
    """
    if name.startswith("visual."):
        return "vision"
    return "decoder" if name.startswith("model.layers.") else "tables"


def bits_of(bits: Mapping[str, int], layer: str) -> int:
    """Of a layer, from those of parts and of kinds of the decoder's layers.

    >>> kept = {"decoder": 4, "o_proj": 8, "vision": 8}
    >>> bits_of(kept, "model.layers.0.self_attn.o_proj"), bits_of(kept, "model.layers.0.mlp.up_proj")
    (8, 4)
    """
    part = part_of(layer)
    return bits.get(layer.rpartition(".")[2], bits[part]) if part == "decoder" else bits[part]
