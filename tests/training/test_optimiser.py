"""Groups, rates, AdamW against torch's own, Muon, the schedule and the average."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from anyres.model.qwen2vl import Qwen2VL
from anyres.training.config import OptimiserConfig, ScheduleConfig
from anyres.training.muon import Muon, orthogonalised
from anyres.training.optimiser import Average, Optimiser, part_of
from anyres.training.schedule import progress_of, rate_factor
from tests.oracle import tiny_config, tiny_model

WEIGHTS = ("layers.", "blocks.")


def optimiser_of(model: Qwen2VL, auxiliary: torch.nn.Module | None = None, **options: object) -> Optimiser:
    return Optimiser(model, auxiliary, OptimiserConfig(**options), muon_dtype=torch.float32)  # type: ignore[arg-type]


def groups_of(optimiser: Optimiser) -> dict[str, dict[str, object]]:
    return {group["name"]: group for one in optimiser._optimisers for group in one.param_groups}


def random_gradients(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator) if p.requires_grad else None


def test_every_parameter_is_in_one_group() -> None:
    model = tiny_model(tiny_config(tied=True))
    for kind in ("adamw", "muon"):
        optimiser = optimiser_of(model, torch.nn.Linear(2, 2), kind=kind)
        held = [id(p) for one in optimiser._optimisers for group in one.param_groups for p in group["params"]]
        assert len(held) == len(set(held)) == len(list(model.parameters())) + 2


def test_groups_rates_and_decay() -> None:
    model = tiny_model(tiny_config())
    optimiser = optimiser_of(model, torch.nn.Linear(2, 2), lr=1e-3, vision_lr=1e-4, merger_lr=0.0, weight_decay=0.1)
    optimiser.set_rates(0.5)
    rates = {name: rate for name, rate in optimiser.rates().items() if name.endswith("matrices")}
    assert rates == pytest.approx(
        {"vision matrices": 5e-5, "merger matrices": 0.0, "language matrices": 5e-4, "auxiliary matrices": 5e-4}
    )
    for name, group in groups_of(optimiser).items():
        assert group["weight_decay"] == (0.1 if name.endswith("matrices") else 0.0)
        dims = {p.dim() for p in group["params"]}  # type: ignore[attr-defined]
        assert dims == ({2} if name.endswith("matrices") else {1})


def test_adamw_and_cosine_are_those_of_torch_and_transformers() -> None:
    """Ten steps against torch.optim.AdamW in two groups under transformers' schedule."""
    ours, theirs = tiny_model(tiny_config()), tiny_model(tiny_config())
    optimiser = optimiser_of(ours, lr=1e-2, weight_decay=0.1, betas=(0.9, 0.99), clip=1.0)
    matrices = [p for p in theirs.parameters() if p.dim() > 1]
    others = [p for p in theirs.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    original = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99))
    schedule = get_cosine_schedule_with_warmup(original, num_warmup_steps=3, num_training_steps=10)
    cosine = ScheduleConfig(warmup_steps=3)
    for step in range(10):
        for model in (ours, theirs):
            random_gradients(model, step)
        optimiser.set_rates(rate_factor(cosine, step=step, progress=progress_of(step, 3, 10)))
        optimiser.step()
        original.step()
        schedule.step()
    for (name, mine), original_p in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, original_p, rtol=1e-6, atol=1e-7), name


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_schedules_are_those_of_transformers(kind: str) -> None:
    p = torch.nn.Parameter(torch.zeros(1))
    original = torch.optim.SGD([p], lr=1.0)
    if kind == "constant":
        schedule = get_constant_schedule_with_warmup(original, 4)
        ours = ScheduleConfig(decay=0.0, warmup_steps=4)
    else:
        make = get_cosine_schedule_with_warmup if kind == "cosine" else get_linear_schedule_with_warmup
        schedule = make(original, 4, 20)
        ours = ScheduleConfig(shape=kind, warmup_steps=4)  # type: ignore[arg-type]
    for step in range(20):
        factor = rate_factor(ours, step=step, progress=progress_of(step, 4, 20))
        assert factor == pytest.approx(original.param_groups[0]["lr"], abs=1e-9)
        original.step()
        schedule.step()


def test_constant_rate_that_falls_at_the_end() -> None:
    config = ScheduleConfig(shape="linear", decay=0.25, floor=0.1)
    factors = [rate_factor(config, step=9, progress=share) for share in (0.0, 0.5, 0.75, 0.875, 1.0, 1.5)]
    assert factors == pytest.approx([1, 1, 1, 0.55, 0.1, 0.1])


@settings(deadline=None)
@given(st.sampled_from(["cosine", "linear"]), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_factors_fall_and_stay_in_bounds(shape: str, decay: float, floor: float, first: float, second: float) -> None:
    config = ScheduleConfig(shape=shape, decay=decay, floor=floor)  # type: ignore[arg-type]
    early, late = (rate_factor(config, step=0, progress=one) for one in sorted((first, second)))
    assert floor - 1e-9 <= late <= early + 1e-9 <= 1 + 2e-9


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalised_has_singular_values_around_one(shape: tuple[int, int], dtype: torch.dtype) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    out = orthogonalised(gradient, dtype)
    assert out.shape == gradient.shape
    assert out.dtype == torch.float32
    values = torch.linalg.svdvals(out)
    assert 0.5 < float(values.min()) <= float(values.max()) < 1.4
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(out.flatten(), (left @ right).flatten(), dim=0) > 0.97


def test_muon_is_torchs_own() -> None:
    """torch.optim.Muon in float32 where its iteration allows: the same direction and scale to bfloat16's digits."""
    mine, theirs = (torch.nn.Parameter(torch.ones(12, 6)) for _ in range(2))
    ours = Muon([{"params": [mine]}], lr=0.02, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    original = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, weight_decay=0.1)
    for seed in range(4):
        gradient = torch.randn(12, 6, generator=torch.Generator().manual_seed(seed))
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        ours.step()
        original.step()
    assert float((mine - theirs).detach().abs().max()) < 2e-3
    assert float((mine - 1).detach().abs().max()) > 2e-2


def test_muon_has_the_matrices_of_layers_and_nothing_else() -> None:
    model = tiny_model(tiny_config())
    optimiser = optimiser_of(model, torch.nn.Linear(2, 2), kind="muon", lr=1e-3, vision_lr=5e-4, muon_lr=0.02)
    chosen = {
        id(p) for one in optimiser._optimisers if isinstance(one, Muon) for g in one.param_groups for p in g["params"]
    }
    for name, p in model.named_parameters():
        assert (id(p) in chosen) == (p.dim() == 2 and any(word in name for word in WEIGHTS)), name
    optimiser.set_rates(1.0)
    rates = optimiser.rates()
    assert rates["language matrices (muon)"] == pytest.approx(0.02)
    assert rates["vision matrices (muon)"] == pytest.approx(0.01)
    assert rates["language matrices"] == pytest.approx(1e-3)


def test_frozen_parts_learn_nothing_and_need_no_gradient() -> None:
    model = tiny_model(tiny_config())
    optimiser = optimiser_of(model, freeze=("vision", "merger"))
    learning = {part_of(name) for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"language"}
    assert {name.split()[0] for name in groups_of(optimiser)} == {"language"}


def test_average_follows_the_weights() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = Average(model, 0.9)
    value = 0.0
    for step in range(1, 200):
        torch.nn.init.constant_(model.weight, float(step))
        average.update(step)
        decay = min(0.9, 1 - 1 / (1 + step / 10))
        value = decay * value + (1 - decay) * step
    assert float(average.tensors["weight"]) == pytest.approx(value, rel=1e-5)
    assert 185 < value < 195
    with average.in_place():
        assert float(model.weight.detach()) == pytest.approx(value, rel=1e-5)
        assert model.weight.requires_grad
    assert float(model.weight.detach()) == 199


def test_average_is_put_back_after_an_error() -> None:
    model = torch.nn.Linear(1, 1)
    average = Average(model, 0.9)
    before = float(model.weight.detach())
    average.tensors["weight"].zero_()

    def fails(inside: Callable[[], float]) -> None:
        with average.in_place():
            assert inside() == 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails(lambda: float(model.weight.detach()))
    assert float(model.weight.detach()) == before
    assert not math.isnan(before)
