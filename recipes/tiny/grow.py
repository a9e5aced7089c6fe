"""Version 1 begins where version 0 ended: `python -m recipes.tiny.grow anyres/checkpoints/tiny runs/grown`.

The grown model computes what the small one does. Its wider decoder carries zeros in the new channels until training
writes there: whatever writes into them starts at zero, whatever reads from them starts at random, so that gradients
reach both. New layers add nothing at first; they stand in the middle. Heads are twice as wide: frequencies of a base
of 100 over 64 channels hold those of 10 over 32, slower ones for longer texts after them. Tokens that only the larger
vocabulary has begin as a quarter of the mean of the pieces that they are made of.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model, save_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.scale import SCALES, new_model, write_start
from recipes.tiny.vocabulary import SPECIAL_TOKENS

__all__ = ["grow", "grown_layers", "main"]

NEW_TOKENS = 0.25
"""Length of a new token's row beside the mean of its pieces' rows: until it is learnt, the pieces are likelier."""


class Sizes(NamedTuple):
    """Where rows and columns of the decoder's matrices come from."""

    width: Tensor
    queries: Tensor
    keys: Tensor
    inner: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path, help="a checkpoint of version 0")
    parser.add_argument("out", type=Path, help="where the grown one is written: what --start of the course takes")
    parser.add_argument("--scale", choices=tuple(SCALES), default="version-1")
    parser.add_argument("--tokenizer", type=Path, help="as in the course")
    options = parser.parse_args()
    write_start(options.out, SCALES[options.scale], tokenizer=options.tokenizer)
    model = new_model(options.out)
    small = load_model(options.small, dtype=torch.float32)
    grow(small, model, Tokenizer.from_folder(options.small), Tokenizer.from_folder(options.out))
    save_model(model, options.out, dtype=torch.float32)


@torch.no_grad()
def grow(small: Qwen2VL, model: Qwen2VL, small_words: Tokenizer, words: Tokenizer) -> None:
    """Overwrites the fresh weights of `model` so that it computes what `small` does.

    Raises CheckpointError where `model` is not the larger one, or its frequencies do not hold those of `small`.
    """
    _check(small, model)
    given, taken = small.state_dict(), model.state_dict()
    _copy_vision(given, taken, small, model)
    _copy_decoder(given, taken, small, model)
    ids, small_ids = _same_tokens(words, small_words)
    table_VD, small_VD = taken["model.embed_tokens.weight"], given["model.embed_tokens.weight"]
    width = small_VD.shape[1]
    table_VD.zero_()
    table_VD[ids, :width] = small_VD[small_ids]
    for token_id, pieces in _new_tokens(words, small_words):
        table_VD[token_id, :width] = NEW_TOKENS * small_VD[pieces].mean(0)


def grown_layers(small: int, large: int) -> dict[int, int]:
    """Which layer of the larger model each of the smaller one becomes: new ones stand in the middle.

    >>> grown_layers(4, 6)
    {0: 0, 1: 1, 2: 4, 3: 5}
    """
    first = (small + 1) // 2
    return {layer: layer if layer < first else layer + large - small for layer in range(small)}


def _check(small: Qwen2VL, model: Qwen2VL) -> None:
    ours, theirs = model.config, small.config
    equal = {
        "vision width": (ours.vision.embed_dim, theirs.vision.embed_dim),
        "vision heads": (ours.vision.num_heads, theirs.vision.num_heads),
        "decoder heads": (ours.text.num_attention_heads, theirs.text.num_attention_heads),
        "decoder key heads": (ours.text.num_key_value_heads, theirs.text.num_key_value_heads),
        "width of heads": (ours.text.head_dim, 2 * theirs.text.head_dim),
        "base of frequencies": (ours.text.rope_theta, theirs.text.rope_theta**2),
        "frequencies of t and h": (ours.text.mrope_section[:2], theirs.text.mrope_section[:2]),
    }
    for item, (seen, allowed) in equal.items():
        if seen != allowed:
            raise CheckpointError(item, str(seen), str(allowed))
    for item, large, few in (
        ("decoder width", ours.text.hidden_size, theirs.text.hidden_size),
        ("decoder layers", ours.text.num_hidden_layers, theirs.text.num_hidden_layers),
        ("vision layers", ours.vision.depth, theirs.vision.depth),
    ):
        if large < few:
            raise CheckpointError(item, str(large), f"{few} or more")


def _copy_vision(given: dict[str, Tensor], taken: dict[str, Tensor], small: Qwen2VL, model: Qwen2VL) -> None:
    layers = grown_layers(small.config.vision.depth, model.config.vision.depth)
    for name, tensor in given.items():
        if not name.startswith("visual.") or name.startswith("visual.merger.mlp.2."):
            continue
        taken[_renamed(name, "visual.blocks.", layers)].copy_(tensor)
    for name in ("visual.merger.mlp.2.weight", "visual.merger.mlp.2.bias"):
        taken[name].zero_()
        taken[name][: len(given[name])] = given[name]


def _copy_decoder(given: dict[str, Tensor], taken: dict[str, Tensor], small: Qwen2VL, model: Qwen2VL) -> None:
    layers = grown_layers(small.config.text.num_hidden_layers, model.config.text.num_hidden_layers)
    text, width = small.config.text, model.config.text.hidden_size
    at = Sizes(
        torch.arange(text.hidden_size),
        _head_rows(text.num_attention_heads, text.head_dim),
        _head_rows(text.num_key_value_heads, text.head_dim),
        torch.arange(text.intermediate_size),
    )
    shrunk = math.sqrt(text.hidden_size / width)  # zeros in the new channels halve the mean square
    for name, tensor in given.items():
        if not name.startswith("model.") or name.startswith("model.embed_tokens."):
            continue
        target = taken[_renamed(name, "model.layers.", layers)]
        if name.endswith("norm.weight"):
            target.fill_(shrunk)
            target[at.width] = shrunk * tensor
        else:
            _copy_part(name, tensor, target, at)


def _copy_part(name: str, tensor: Tensor, target: Tensor, at: Sizes) -> None:
    module, _, kind = name.removeprefix("model.layers.").rpartition(".")
    module = module.rpartition(".")[2]
    rows = {"q_proj": at.queries, "k_proj": at.keys, "v_proj": at.keys, "gate_proj": at.inner, "up_proj": at.inner}
    columns = {"o_proj": at.queries, "down_proj": at.inner}
    if module == "q_proj":
        fresh = torch.ones(len(target), dtype=torch.bool)
        fresh[at.queries] = False
        target[fresh] = 0.0  # so that the new, slower channels of a head say nothing at first
        tensor = tensor * math.sqrt(2)  # scores are divided by the root of the head's width
    rows_at, columns_at = rows.get(module, at.width), columns.get(module, at.width)
    if kind == "bias":
        target[rows_at] = tensor
    else:
        target[rows_at[:, None], columns_at] = tensor


def _head_rows(heads: int, head_dim: int) -> Tensor:
    """Rows of heads of `head_dim` channels among heads of twice as many: pairs of channels turn together.

    >>> _head_rows(2, 4).tolist()
    [0, 1, 4, 5, 8, 9, 12, 13]
    """
    half = torch.arange(head_dim // 2)
    head = torch.cat([half, half + head_dim])
    return torch.cat([head + 2 * head_dim * number for number in range(heads)])


def _renamed(name: str, prefix: str, layers: dict[int, int]) -> str:
    if not name.startswith(prefix):
        return name
    number, _, rest = name.removeprefix(prefix).partition(".")
    return f"{prefix}{layers[int(number)]}.{rest}"


def _same_tokens(words: Tokenizer, small_words: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids of the tokens that both have, in either."""
    known = {small_words.token_bytes(one): one for one in range(small_words.vocab_size - len(SPECIAL_TOKENS))}
    ours = range(words.vocab_size - len(SPECIAL_TOKENS))
    pairs = [(one, known[words.token_bytes(one)]) for one in ours if words.token_bytes(one) in known]
    pairs += [(words.special_id(token), small_words.special_id(token)) for token in SPECIAL_TOKENS]
    return [one for one, _ in pairs], [one for _, one in pairs]


def _new_tokens(words: Tokenizer, small_words: Tokenizer) -> Iterator[tuple[int, list[int]]]:
    """Tokens that only `words` has, with their pieces in the smaller vocabulary; parts of characters are left out."""
    known = set(_same_tokens(words, small_words)[0])
    for token_id in range(words.vocab_size):
        spelled = words.token_bytes(token_id).decode("utf-8", "replace")
        if token_id not in known and "\ufffd" not in spelled:
            yield token_id, small_words.encode_text(spelled)


if __name__ == "__main__":
    main()
