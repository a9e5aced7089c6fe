"""Tiny random checkpoints, twice: transformers' model and ours with the same weights. And inputs for both."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Qwen2VLConfig as OriginalConfig
from transformers import Qwen2VLForConditionalGeneration as Original

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput, VisualInput
from anyres.processing.positions import rope_positions
from anyres.processing.tokenizer import Tokenizer, byte_alphabet, tokenizer_spec

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SPECIAL_IDS = {token: 256 + number for number, token in enumerate(SPECIAL)}
VOCAB_SIZE = 288  # a few ids more than there are tokens, as in the published checkpoints
IM_END = SPECIAL_IDS["<|im_end|>"]


def byte_tokenizer() -> Tokenizer:
    """One token a byte; special tokens from 256 on."""
    vocab = {char: value for value, char in enumerate(byte_alphabet())}
    return Tokenizer(tokenizer_spec(vocab, [], SPECIAL_IDS))


def tiny_config(
    *, tied: bool = False, heads: int = 4, kv_heads: int = 2, layers: int = 3, context: int = 4096
) -> Qwen2VLConfig:
    width = 16 * heads
    return Qwen2VLConfig(
        vision=VisionConfig(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, hidden_size=width),
        text=TextConfig(
            hidden_size=width,
            intermediate_size=96,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            vocab_size=VOCAB_SIZE,
            max_position_embeddings=context,
            mrope_section=(2, 3, 3),
            tie_word_embeddings=tied,
        ),
        bos_token_id=SPECIAL_IDS["<|endoftext|>"],
        eos_token_id=IM_END,
        vision_start_token_id=SPECIAL_IDS["<|vision_start|>"],
        vision_end_token_id=SPECIAL_IDS["<|vision_end|>"],
        vision_token_id=SPECIAL_IDS["<|vision_pad|>"],
        image_token_id=SPECIAL_IDS["<|image_pad|>"],
        video_token_id=SPECIAL_IDS["<|video_pad|>"],
        torch_dtype="float32",
    )


def tiny_model(config: Qwen2VLConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Qwen2VL:
    """Weights large enough that tokens differ and pictures matter."""
    generator = torch.Generator().manual_seed(seed)
    model = Qwen2VL(config)
    with torch.no_grad():
        for weight in model.parameters():
            spread = 2 / weight.shape[-1] ** 0.5 if weight.dim() > 1 else 0.1
            weight.copy_(torch.randn(weight.shape, generator=generator) * spread + (weight.dim() == 1) * 0.5)
        model.model.embed_tokens.weight.mul_(1 if config.text.tie_word_embeddings else 4)
    return model.to(dtype).eval()


def original_of(model: Qwen2VL, *, dtype: torch.dtype = torch.float32) -> Original:
    """transformers' model with the weights of ours, loaded through the names of the published files."""
    config = OriginalConfig.from_dict(model.config.to_dict() | {"attn_implementation": "eager"})
    original = Original(config).to(dtype).eval()
    missing, unexpected = original.load_state_dict(_original_names(model), strict=False)
    tied = ["lm_head.weight"] if model.config.text.tie_word_embeddings else []
    assert (missing, unexpected) == (tied, [])
    original.tie_weights()
    return original


def picture(config: Qwen2VLConfig, grid: tuple[int, int, int], *, seed: int = 0, kind: str = "image") -> VisualInput:
    """Random patches with the mean and spread of normalised pictures."""
    t, h, w = grid
    generator = torch.Generator().manual_seed(seed)
    pixels_PX = torch.randn(t * h * w, config.vision.patch_values, generator=generator)
    size = (h * config.vision.patch_size, w * config.vision.patch_size)
    return VisualInput(f"{kind}{seed}", "video" if kind == "video" else "image", grid, size, size, pixels_PX=pixels_PX)


def prompt(config: Qwen2VLConfig, layout: Sequence[int | VisualInput], *, seed: int = 0) -> ModelInput:
    """Runs of random text (by length) and items between vision_start and vision_end."""
    generator = torch.Generator().manual_seed(seed)
    merge = config.vision.spatial_merge_size
    ids: list[Tensor] = []
    spans: list[int | tuple[int, int, int]] = []
    for part in layout:
        if isinstance(part, int):
            ids.append(torch.randint(0, 256, (part,), generator=generator))
            spans.append(part)
            continue
        pad = config.image_token_id if part.kind == "image" else config.video_token_id
        tokens = part.grid_thw[0] * part.grid_thw[1] * part.grid_thw[2] // merge**2
        marks = torch.tensor([config.vision_start_token_id]), torch.tensor([config.vision_end_token_id])
        ids += [marks[0], torch.full((tokens,), pad), marks[1]]
        spans += [1, part.grid_thw, 1]
    visuals = tuple(part for part in layout if isinstance(part, VisualInput))
    positions_3T, rope_delta = rope_positions(spans, spatial_merge_size=merge)
    return ModelInput(torch.cat(ids), positions_3T, rope_delta, visuals)


def original_inputs(prompts: Sequence[ModelInput], pad_id: int = SPECIAL_IDS["<|endoftext|>"]) -> dict[str, Tensor]:
    """Keyword arguments of transformers' model for a left-padded batch; it finds the positions by itself."""
    longest = max(len(one.token_ids_T) for one in prompts)
    ids_BT = torch.full((len(prompts), longest), pad_id)
    mask_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, one in enumerate(prompts):
        ids_BT[row, longest - len(one.token_ids_T) :] = one.token_ids_T
        mask_BT[row, longest - len(one.token_ids_T) :] = 1
    inputs = {"input_ids": ids_BT, "attention_mask": mask_BT}
    for kind, pixels_key, grid_key in (
        ("image", "pixel_values", "image_grid_thw"),
        ("video", "pixel_values_videos", "video_grid_thw"),
    ):
        visuals = [visual for one in prompts for visual in one.visuals if visual.kind == kind]
        if visuals:
            inputs[pixels_key] = torch.cat([visual.patches() for visual in visuals])
            inputs[grid_key] = torch.tensor([visual.grid_thw for visual in visuals])
    return inputs


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest value."""
    return float((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max())


def _original_names(model: Qwen2VL) -> dict[str, Tensor]:
    """Our names, which are the published ones, to those transformers has in memory."""
    vision = model.config.vision
    kernel = (vision.in_chans, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
    named = {}
    for name, weight in model.state_dict().items():
        if name == "visual.patch_embed.proj.weight":
            weight = weight.unflatten(1, kernel)
        if name.startswith("model."):
            named["model.language_model." + name.removeprefix("model.")] = weight
        else:
            named[name if name.startswith("lm_head") else f"model.{name}"] = weight
    return named
