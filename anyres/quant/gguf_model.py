"""A model out of llama.cpp's files: the language model, and the projector file (mmproj) with the vision encoder.

Names of values and tensors: llama.cpp's gguf-py/gguf/constants.py and conversion/qwenvl.py.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from anyres.config import ImageProcessorConfig, Qwen2VLConfig
from anyres.errors import CheckpointError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import PATCH_EMBED
from anyres.processing.tokenizer import Tokenizer, tokenizer_spec
from anyres.quant.affine import Affine
from anyres.quant.ggml_blocks import affine, dense
from anyres.quant.gguf import GGUF, TensorInfo, read_gguf
from anyres.quant.linear import Compute, QuantizedLinear, QuantizedTable, packed_of, swap_linears

__all__ = ["GGUFModel", "gguf_name", "load_gguf", "projector_beside"]

DECODER, PROJECTOR = "qwen2vl", "qwen2vl_merger"
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # kinds of tokens
TOKEN_IDS = {
    "bos_token_id": "<|endoftext|>",
    "eos_token_id": "<|im_end|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
    "vision_token_id": "<|vision_pad|>",
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
}
DECODER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
VISION_NAMES = {
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.qkv": "attn_qkv",
    "attn.proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
OTHER_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "visual.merger.ln_q": "v.post_ln",
    "visual.merger.mlp.0": "mm.0",
    "visual.merger.mlp.2": "mm.2",
}


class GGUFModel(NamedTuple):
    """What the two files hold together."""

    model: Qwen2VL
    tokenizer: Tokenizer
    image_config: ImageProcessorConfig


def load_gguf(
    path: Path, *, device: torch.device, dtype: torch.dtype, compute: Compute, projector: Path | None = None
) -> GGUFModel:
    """Opens the language model's file and its projector's, which else is sought beside it.

    Tensors in Q4_0, Q8_0, Q4_K and Q6_K keep their bits and are computed with as they are; others become `dtype`.
    Raises CheckpointError for files that are damaged, of another model, or do not fit each other.
    """
    text = read_gguf(path)
    vision = read_gguf(projector or projector_beside(path))
    tokenizer = _tokenizer(text, path)
    config = _config(text, vision, tokenizer)
    model = Qwen2VL(config, device="meta", dtype=dtype)
    tensors = _Tensors(text, vision)
    layers: dict[str, nn.Module] = {}
    for name, place in model.named_modules():
        if isinstance(place, nn.Linear | nn.Embedding):
            layer = _layer(name, place, tensors, compute, dtype)
            layers |= {name: layer} if layer is not None else {}
    swap_linears(model, layers)
    state = model.state_dict()
    rest = {name: tensors.dense(name, tuple(one.shape)) for name, one in state.items() if one.is_meta}
    filled = {name: one.to(device=device, dtype=dtype) for name, one in rest.items()}
    model.load_state_dict(filled, strict=False, assign=True)
    for layer in layers.values():
        layer.to(device)
    tensors.check_all_taken()
    return GGUFModel(model.eval(), tokenizer, _image_config(vision))


def projector_beside(path: Path) -> Path:
    """The one file named *mmproj*.gguf in the same folder."""
    found = sorted(one for one in path.parent.glob("*.gguf") if "mmproj" in one.name.lower() and one != path)
    if len(found) != 1:
        seen = ", ".join(one.name for one in found) or "none"
        raise CheckpointError(str(path), f"projector files beside it: {seen}", "one, named like mmproj-NAME.gguf")
    return found[0]


def gguf_name(name: str) -> str:
    """llama.cpp's name of one of our layers.

    >>> gguf_name("model.layers.3.self_attn.o_proj"), gguf_name("visual.blocks.0.mlp.fc1")
    ('blk.3.attn_output', 'v.blk.0.ffn_up')
    """
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    for prefix, theirs, names in (("model.layers.", "blk", DECODER_NAMES), ("visual.blocks.", "v.blk", VISION_NAMES)):
        if name.startswith(prefix):
            number, _, rest = name.removeprefix(prefix).partition(".")
            return f"{theirs}.{number}.{names[rest]}"
    return name


class _Tensors:
    """The tensors of both files, by our names; notes which have been used."""

    def __init__(self, *files: GGUF) -> None:
        self._files = files
        self._owner = {name: file for file in files for name in file.tensors}
        self._unused = set(self._owner)
        for first, second in pairwise(files):
            for name in first.tensors.keys() & second.tensors.keys():
                raise CheckpointError(f"{second.path}: {name}", f"also in {first.path.name}", "one tensor of a name")

    def parts(self, name: str) -> list[str]:
        """Their names of what makes our tensor up: q, k and v of the vision encoder may lie apart."""
        layer, _, kind = name.rpartition(".")
        theirs = f"{gguf_name(layer)}.{kind}"
        if theirs not in self._owner and ".attn_qkv." in theirs:
            return [theirs.replace("attn_qkv", f"attn_{one}") for one in "qkv"]
        if layer.startswith("visual.blocks.") and ".mlp." in layer and self._swapped(layer):
            swapped = {"ffn_up": "ffn_down", "ffn_down": "ffn_up"}
            before, middle, after = theirs.rsplit(".", 2)
            return [f"{before}.{swapped[middle]}.{after}"]
        return [theirs]

    def _swapped(self, layer: str) -> bool:
        """Older files call the first layer of the vision encoder's MLP the second."""
        up = self._owner.get(f"{gguf_name(layer.rpartition('.')[0] + '.fc1')}.weight")
        if up is None:
            return False
        rows, columns = up.tensors[f"{gguf_name(layer.rpartition('.')[0] + '.fc1')}.weight"].shape[:2]
        return rows < columns

    def info(self, theirs: str) -> tuple[GGUF, TensorInfo]:
        if theirs not in self._owner:
            raise CheckpointError(str(self._files[0].path), f"no tensor {theirs}", "all tensors of a Qwen2-VL model")
        self._unused.discard(theirs)
        file = self._owner[theirs]
        return file, file.tensors[theirs]

    def affine(self, name: str, shape: tuple[int, ...]) -> Affine | None:
        """The weight in its own codes; None where it is plain numbers, or its parts are of unlike kinds."""
        if name == PATCH_EMBED:
            return None
        found = [self.info(theirs) for theirs in self.parts(name)]
        self._check(name, shape, [info for _, info in found])
        parts = [affine(file.raw(info.name), info.block, info.shape[0]) for file, info in found]
        whole = [one for one in parts if one is not None]
        if len(whole) < len(parts) or len({(one.bits, one.group) for one in whole}) != 1:
            return None
        codes, scales, minimums = (torch.cat(some) for some in zip(*(one[:3] for one in whole), strict=True))
        return Affine(codes, scales, minimums, whole[0].bits, whole[0].group)

    def dense(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name == PATCH_EMBED:
            return self._patch_embed(shape)
        found = [self.info(theirs) for theirs in self.parts(name)]
        self._check(name, shape, [info for _, info in found])
        return torch.cat([dense(file.raw(info.name), info.block, info.shape).float() for file, info in found])

    def _patch_embed(self, shape: tuple[int, ...]) -> Tensor:
        """Two kernels, one for each frame of a pair: [D, 3, 14, 14] both, stacked between channel and row."""
        found = [self.info(f"v.patch_embd.weight{end}") for end in ("", ".1")]
        frames = [dense(file.raw(info.name), info.block, info.shape).float() for file, info in found]
        if len({frame.shape for frame in frames}) != 1 or frames[0].dim() != 4 or 2 * frames[0][0].numel() != shape[1]:
            raise CheckpointError(str(found[0][0].path), f"patch_embd {list(frames[0].shape)}", f"{list(shape)} in two")
        return torch.stack(frames, dim=2).view(shape)

    def _check(self, name: str, shape: tuple[int, ...], parts: Sequence[TensorInfo]) -> None:
        rows = sum(part.shape[0] for part in parts)
        if any(part.shape[1:] != shape[1:] for part in parts) or rows != shape[0]:
            seen = ", ".join(f"{part.name} {list(part.shape)}" for part in parts)
            raise CheckpointError(f"{self._files[0].path}: {name}", seen, f"{list(shape)}")

    def check_all_taken(self) -> None:
        if left := sorted(name for name in self._unused if not name.startswith("rope_freqs")):
            seen = f"{len(left)} more tensors, as {', '.join(left[:4])}"
            raise CheckpointError(str(self._files[0].path), seen, "those of a Qwen2-VL model")


def _layer(name: str, place: nn.Module, tensors: _Tensors, compute: Compute, dtype: torch.dtype) -> nn.Module | None:
    """The layer in its file's own codes, or None where they are plain numbers."""
    shape = tuple(place.get_parameter("weight").shape)
    weight = tensors.affine(f"{name}.weight", shape)
    if weight is None:
        return None
    if isinstance(place, nn.Embedding):
        return QuantizedTable(packed_of(weight), compute=compute, dtype=dtype)
    has_bias = getattr(place, "bias", None) is not None
    bias_N = tensors.dense(f"{name}.bias", shape[:1]) if has_bias else None
    return QuantizedLinear(packed_of(weight), bias_N, compute=compute)


class _Values:
    """Values of a file, of the kind that is wanted."""

    def __init__(self, file: GGUF) -> None:
        self._file = file

    def get(self, key: str, *kinds: type) -> Any:
        value = self._file.values.get(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            allowed = " or ".join(kind.__name__ for kind in kinds)
            raise CheckpointError(f"{self._file.path}: {key}", repr(value)[:80], allowed)
        return value


def _config(text: GGUF, vision: GGUF, tokenizer: Tokenizer) -> Qwen2VLConfig:
    """The two files' sizes as a config.json has them, checked as one is."""
    own, seen = _Values(text), _Values(vision)
    for values, key, wanted in (
        (own, "general.architecture", DECODER),
        (seen, "general.architecture", "clip"),
        (seen, "clip.projector_type", PROJECTOR),
    ):
        if values.get(key, str) != wanted:
            raise CheckpointError(f"{(text if values is own else vision).path}: {key}", values.get(key, str), wanted)
    sections = own.get(f"{DECODER}.rope.dimension_sections", list)
    raw = {
        "model_type": "qwen2_vl",
        "hidden_size": own.get(f"{DECODER}.embedding_length", int),
        "intermediate_size": own.get(f"{DECODER}.feed_forward_length", int),
        "num_hidden_layers": own.get(f"{DECODER}.block_count", int),
        "num_attention_heads": own.get(f"{DECODER}.attention.head_count", int),
        "num_key_value_heads": own.get(f"{DECODER}.attention.head_count_kv", int),
        "max_position_embeddings": own.get(f"{DECODER}.context_length", int),
        "rms_norm_eps": own.get(f"{DECODER}.attention.layer_norm_rms_epsilon", float),
        "rope_theta": own.get(f"{DECODER}.rope.freq_base", float),
        "rope_scaling": {"type": "mrope", "mrope_section": sections[:3]},
        "vocab_size": _rows(text, "token_embd.weight"),
        "tie_word_embeddings": "output.weight" not in text.tensors,
        "vision_config": _vision_raw(vision),
        **{key: tokenizer.special_id(token) for key, token in TOKEN_IDS.items()},
    }
    return Qwen2VLConfig.from_dict(raw, item=str(text.path))


def _vision_raw(vision: GGUF) -> dict[str, Any]:
    values = _Values(vision)
    width = values.get("clip.vision.embedding_length", int)
    hidden = max(_rows(vision, "v.blk.0.ffn_up.weight"), _rows(vision, "v.blk.0.ffn_down.weight"))
    return {
        "depth": values.get("clip.vision.block_count", int),
        "embed_dim": width,
        "num_heads": values.get("clip.vision.attention.head_count", int),
        "mlp_ratio": hidden / width if width else 0,
        "hidden_size": _rows(vision, "mm.2.weight"),
        "patch_size": values.get("clip.vision.patch_size", int),
    }


def _rows(file: GGUF, name: str) -> int:
    if name not in file.tensors:
        raise CheckpointError(str(file.path), f"no tensor {name}", "all tensors of a Qwen2-VL model")
    return file.tensors[name].shape[0]


def _image_config(vision: GGUF) -> ImageProcessorConfig:
    values = _Values(vision)
    mean, std = (values.get(f"clip.vision.image_{kind}", list) for kind in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3:
        raise CheckpointError(f"{vision.path}: clip.vision.image_mean", f"{mean} {std}"[:80], "three numbers each")
    return ImageProcessorConfig(
        patch_size=values.get("clip.vision.patch_size", int), image_mean=tuple(mean), image_std=tuple(std)
    )


def _tokenizer(text: GGUF, path: Path) -> Tokenizer:
    """The one in the folder where there is a tokenizer.json, else the file's own."""
    if (path.parent / "tokenizer.json").is_file():
        return Tokenizer.from_folder(path.parent)
    values = _Values(text)
    if values.get("tokenizer.ggml.model", str) != "gpt2":
        raise CheckpointError(f"{path}: tokenizer.ggml.model", values.get("tokenizer.ggml.model", str), "gpt2")
    tokens, kinds = values.get("tokenizer.ggml.tokens", list), values.get("tokenizer.ggml.token_type", list)
    merges = values.get("tokenizer.ggml.merges", list)
    if len(tokens) != len(kinds) or not all(isinstance(one, str) for one in (*tokens, *merges)):
        raise CheckpointError(
            f"{path}: tokenizer.ggml", f"{len(tokens)} tokens, {len(kinds)} kinds", "one kind a token"
        )
    return Tokenizer(tokenizer_spec(*_vocabulary(tokens, kinds, merges)), item=str(path))


def _vocabulary(
    tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str]
) -> tuple[Mapping[str, int], Sequence[str], Mapping[str, int]]:
    vocab = {token: number for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == NORMAL}
    special = {
        token: number
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    }
    return vocab, merges, special
