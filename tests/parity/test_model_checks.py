"""The checks of a model find a cache, a batch or weights that are wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from anyres.engine.kv_cache import KVCache
from anyres.model import vision
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from anyres.parity import model_checks
from anyres.parity.cases import PROMPTS, formula_config
from anyres.parity.goldens import SHIPPED, read_goldens
from anyres.parity.model_checks import (
    cached_logits,
    check_batch,
    check_cache,
    check_finite,
    check_formula_models,
    one_pass_logits,
    relative_difference,
)

CPU = torch.device("cpu")
FURTHER = [3, 1, 4, 1, 5]


@pytest.fixture
def model() -> Qwen2VL:
    return model_checks._formula_model("untied", CPU)


@pytest.fixture
def prompts(model: Qwen2VL) -> list[ModelInput]:
    return [model_checks._formula_prompt(layout, model) for layout in PROMPTS.values()]


def test_formula_models_equal_transformers() -> None:
    for result in check_formula_models(read_goldens(SHIPPED / "logits.npz"), CPU):
        assert result.verdict == "equal", result
        assert result.cases == 6


@pytest.mark.parametrize(
    ("constant", "value"), [("QUICK_GELU_SLOPE", 1.5958), ("ROPE_THETA", 100.0), ("LAYER_NORM_EPS", 1e-2)]
)
def test_a_wrong_constant_is_found(constant: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, constant, value)
    found = check_formula_models(read_goldens(SHIPPED / "logits.npz"), CPU)
    assert [result.verdict for result in found] == ["DIFFERS", "DIFFERS"]


def test_cached_logits_have_a_row_for_the_prompt_and_each_token(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    found = cached_logits(model, prompts, [FURTHER] * len(prompts))
    assert [tuple(logits.shape) for logits in found] == [(6, 128)] * 3
    last = one_pass_logits(model, prompts[1], [len(prompts[1].token_ids_T) - 1])
    assert relative_difference(found[1][:1], last.numpy()) < 1e-5


def test_cache_and_batch_are_right(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    for check in (check_cache, check_batch):
        result = check(model, prompts, FURTHER)
        assert (result.verdict, result.cases) == ("equal", 3)
        assert result.worst < 1e-5


def test_a_wrong_position_while_decoding_is_found(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    """transformers 5.2.0 clamps rope_delta at 0: decoding behind a picture is off, behind text it is not."""
    clamped = [replace(prompt, rope_delta=max(prompt.rope_delta, 0)) for prompt in prompts]
    assert prompts[1].rope_delta < 0
    right = cached_logits(model, [prompts[1]], [FURTHER])[0]
    wrong = cached_logits(model, [clamped[1]], [FURTHER])[0]
    assert relative_difference(wrong[1:], right[1:].numpy()) > 1e-3


def test_a_cache_that_loses_a_key_is_found(
    model: Qwen2VL, prompts: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    attend = KVCache.attend

    def forgetful(self: KVCache, layer: int, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> Tensor:
        return attend(self, layer, q_THC, k_TKC if len(k_TKC) > 1 else 0 * k_TKC, v_TKC)

    monkeypatch.setattr(KVCache, "attend", forgetful)
    assert check_cache(model, prompts, FURTHER).verdict == "DIFFERS"


def test_a_batch_whose_rows_leak_is_found(
    model: Qwen2VL, prompts: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    attend = KVCache.attend

    def leaky(self: KVCache, layer: int, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> Tensor:
        out_THC = attend(self, layer, q_THC, k_TKC, v_TKC)
        return out_THC + 0.01 * out_THC.mean(0, keepdim=True)

    monkeypatch.setattr(KVCache, "attend", leaky)
    assert check_batch(model, prompts, FURTHER).verdict == "DIFFERS"


def test_weights_that_are_not_finite_are_named(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    assert check_finite(model, prompts).verdict == "equal"
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    result = check_finite(model, prompts)
    assert result.verdict == "DIFFERS"
    assert result.detail == "model.layers.1.mlp.up_proj.weight"
    assert result.differing == 1 + len(prompts)


def test_relative_difference() -> None:
    golden = np.array([1.0, -4.0], dtype=np.float32)
    assert relative_difference(torch.tensor([1.0, -4.0]), golden) == 0
    assert relative_difference(torch.tensor([1.0, -3.0]), golden) == 0.25
    assert relative_difference(torch.tensor([1.0]), golden) == float("inf")
    assert np.isnan(relative_difference(torch.tensor([1.0, float("nan")]), golden))


def test_formula_models_are_small() -> None:
    sizes = [sum(p.numel() for p in Qwen2VL(formula_config(name)).parameters()) for name in ("untied", "tied")]
    assert max(sizes) < 300_000
