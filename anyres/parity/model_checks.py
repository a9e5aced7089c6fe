"""Checks of the model: formula models against transformers, and a loaded model against itself."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from anyres.engine.kv_cache import KVCache
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import Grid, ModelInput, VisualInput
from anyres.parity.cases import MODELS, PROMPTS, formula_config, formula_ids, formula_pixels, formula_weights
from anyres.parity.goldens import Arrays
from anyres.parity.processing_checks import TRANSFORMERS
from anyres.parity.result import CheckResult, compared
from anyres.processing.positions import rope_positions

__all__ = [
    "cached_logits",
    "check_batch",
    "check_cache",
    "check_finite",
    "check_formula_models",
    "one_pass_logits",
    "relative_difference",
    "visual_tokens_of",
]

GOLDEN_ROW_STEP = 3  # every third row of logits is kept
FLOAT32_ERROR = 1e-5  # of the largest value; sums in another order stay well below
# What a pass of another shape may differ by: the same sums in another order, in numbers of 24, 8 or 11 bits.
SAME_MODEL_ERROR = {torch.float32: 1e-4, torch.bfloat16: 6e-2, torch.float16: 1e-2}


def check_formula_models(goldens: Arrays, device: torch.device) -> list[CheckResult]:
    """Visual tokens and logits of small models whose weights follow from a formula, in float32."""
    visual: dict[str, float] = {}
    logits: dict[str, float] = {}
    for name in MODELS:
        model = _formula_model(name, device)
        for prompt_name, layout in PROMPTS.items():
            case = f"{name} model, {prompt_name}"
            prompt = _formula_prompt(layout, model)
            for kind in ("image", "video"):
                key = f"visual_{name}_{prompt_name}_{kind}"
                if key in goldens:
                    ours = [visual_tokens_of(model, [one]) for one in prompt.visuals if one.kind == kind]
                    visual[f"{case}, {kind}"] = relative_difference(torch.cat(ours), goldens[key])
            ours_TV = one_pass_logits(model, prompt, range(0, len(prompt.token_ids_T), GOLDEN_ROW_STEP))
            logits[case] = relative_difference(ours_TV, goldens[f"logits_{name}_{prompt_name}"])
    return [
        compared("visual tokens, formula models", TRANSFORMERS, visual, allowed=FLOAT32_ERROR, unit="relative"),
        compared("logits, formula models", TRANSFORMERS, logits, allowed=FLOAT32_ERROR, unit="relative"),
    ]


def check_finite(model: Qwen2VL, prompts: Sequence[ModelInput]) -> CheckResult:
    """Neither weights nor logits hold NaN or infinity; a tensor or prompt that does counts as NaN."""
    finite = {name: bool(weight.isfinite().all()) for name, weight in model.state_dict().items()}
    for number, prompt in enumerate(prompts):
        logits_NV = one_pass_logits(model, prompt, [len(prompt.token_ids_T) - 1])
        finite[f"prompt {number + 1}"] = bool(logits_NV.isfinite().all())
    differences = {name: 0.0 if good else float("nan") for name, good in finite.items()}
    return compared("weights and logits are finite", "-", differences)


def check_cache(model: Qwen2VL, prompts: Sequence[ModelInput], further_ids: Sequence[int]) -> CheckResult:
    """Decoding token by token through the cache gives the logits of one pass over everything."""
    differences = {}
    for number, prompt in enumerate(prompts):
        cached_NV = cached_logits(model, [prompt], [further_ids])[0]
        whole = _continued(prompt, further_ids)
        first = len(prompt.token_ids_T) - 1
        whole_NV = one_pass_logits(model, whole, range(first, first + len(cached_NV)))
        differences[f"prompt {number + 1}"] = relative_difference(cached_NV, whole_NV.numpy())
    return compared(
        "decoding with cache", "one pass", differences, allowed=SAME_MODEL_ERROR[model.dtype], unit="relative"
    )


def check_batch(model: Qwen2VL, prompts: Sequence[ModelInput], further_ids: Sequence[int]) -> CheckResult:
    """Prompts of different lengths give the same logits together as alone."""
    together = cached_logits(model, prompts, [further_ids] * len(prompts))
    differences = {
        f"prompt {number + 1}": relative_difference(cached_logits(model, [prompt], [further_ids])[0], ours.numpy())
        for number, (prompt, ours) in enumerate(zip(prompts, together, strict=True))
    }
    return compared(
        "prompts in a batch", "one by one", differences, allowed=SAME_MODEL_ERROR[model.dtype], unit="relative"
    )


@torch.inference_mode()
def visual_tokens_of(model: Qwen2VL, visuals: Sequence[VisualInput]) -> Tensor:
    """visual_MD of items, packed, on the CPU."""
    pixels_PX = torch.cat([visual.patches() for visual in visuals])
    grids = [visual.grid_thw for visual in visuals]
    return model.encode(pixels_PX.to(model.device), grids).cpu()


@torch.inference_mode()
def one_pass_logits(model: Qwen2VL, prompt: ModelInput, rows: Sequence[int]) -> Tensor:
    """logits_NV of the given rows, float32 on the CPU, without any cache."""
    embeds_TD = _embeds(model, prompt)
    positions_3T = prompt.positions_3T.to(model.device)
    hidden_TD = model(embeds_TD, positions_3T, CausalAttention([len(embeds_TD)]))
    return model.head(hidden_TD[torch.tensor(rows)]).cpu()


@torch.inference_mode()
def cached_logits(model: Qwen2VL, prompts: Sequence[ModelInput], further_ids: Sequence[Sequence[int]]) -> list[Tensor]:
    """logits_NV of each prompt's last token and of every further token, fed one at a time to all prompts together."""
    cache = KVCache(model.config.text, device=model.device, dtype=model.dtype)
    lengths = [len(prompt.token_ids_T) for prompt in prompts]
    most = max((-(-(length + len(ids)) // cache.block_size) for length, ids in zip(lengths, further_ids, strict=True)))
    tables = [range(number * most, (number + 1) * most) for number in range(len(prompts))]
    cache.begin(tables, [0] * len(prompts), lengths)
    embeds_TD = torch.cat([_embeds(model, prompt) for prompt in prompts])
    positions_3T = torch.cat([prompt.positions_3T for prompt in prompts], dim=1).to(model.device)
    hidden_TD = model(embeds_TD, positions_3T, cache.attend)
    steps = [model.head(hidden_TD[torch.tensor(lengths).cumsum(0) - 1]).cpu()]
    for number, ids in enumerate(zip(*further_ids, strict=True)):
        places = [len(prompt.token_ids_T) + prompt.rope_delta + number for prompt in prompts]
        cache.begin(tables, [length + number for length in lengths], [1] * len(prompts))
        embeds_BD = model.embed(torch.tensor(ids, device=model.device))
        hidden_BD = model(embeds_BD, torch.tensor(places, device=model.device).expand(3, -1), cache.attend)
        steps.append(model.head(hidden_BD).cpu())
    return list(torch.stack(steps, dim=1))


def relative_difference(ours: Tensor, golden: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> float:
    """Largest difference over the largest golden value; infinite where shapes differ, NaN where a value is NaN."""
    if tuple(ours.shape) != golden.shape:
        return float("inf")
    apart = np.abs(ours.float().numpy() - golden).max(initial=0.0)
    return float(apart / max(float(np.abs(golden).max(initial=0.0)), float(np.finfo(np.float32).tiny)))


def _embeds(model: Qwen2VL, prompt: ModelInput) -> Tensor:
    visual_MD = visual_tokens_of(model, prompt.visuals).to(model.device) if prompt.visuals else None
    return model.embed(prompt.token_ids_T.to(model.device), visual_MD)


def _continued(prompt: ModelInput, further_ids: Sequence[int]) -> ModelInput:
    """The prompt with further text behind it."""
    first = len(prompt.token_ids_T) + prompt.rope_delta
    further_3T = torch.arange(first, first + len(further_ids)).expand(3, -1)
    ids_T = torch.cat([prompt.token_ids_T, torch.tensor(further_ids)])
    return ModelInput(ids_T, torch.cat([prompt.positions_3T, further_3T], dim=1), prompt.rope_delta, prompt.visuals)


def _formula_model(name: str, device: torch.device) -> Qwen2VL:
    model = Qwen2VL(formula_config(name), dtype=torch.float32)
    model.load_state_dict(formula_weights({key: value.shape for key, value in model.state_dict().items()}))
    return model.to(device).eval()


def _formula_prompt(layout: tuple[int | Grid, ...], model: Qwen2VL) -> ModelInput:
    ids = [token for run in formula_ids(layout, model.config) for token in run]
    positions_3T, rope_delta = rope_positions(layout)
    visuals = tuple(
        _formula_visual(number, span, model) for number, span in enumerate(layout) if not isinstance(span, int)
    )
    return ModelInput(torch.tensor(ids), positions_3T, rope_delta, visuals)


def _formula_visual(number: int, grid: Grid, model: Qwen2VL) -> VisualInput:
    size = (grid[1] * model.config.vision.patch_size, grid[2] * model.config.vision.patch_size)
    pixels_PX = formula_pixels(number, grid, model.config.vision.patch_values)
    kind = "image" if grid[0] == 1 else "video"
    return VisualInput(f"item {number}", kind, grid, size, size, pixels_PX=pixels_PX)  # type: ignore[arg-type]
