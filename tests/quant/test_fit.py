"""Rounding: codes stay in range, the search never makes it worse, what counts more comes out better."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.quant.fit import fit


def weight(rows: int, columns: int, seed: int, spread: float = 1.0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * spread


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 200),
    bits=st.integers(4, 8),
    group=st.sampled_from([8, 32, 64]),
    seed=st.integers(0, 99),
    spread=st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_every_weight_is_within_a_step_of_its_value(
    rows: int, columns: int, bits: int, group: int, seed: int, spread: float
) -> None:
    w = weight(rows, columns, seed, spread)
    fitted = fit(w, bits=bits, group=group, search=False)
    assert fitted.codes_NK.shape == w.shape
    assert int(fitted.codes_NK.max()) < 2**bits
    assert fitted.scales_NG.shape == (rows, -(-columns // group))
    steps_NK = fitted.scales_NG.float().repeat_interleave(group, dim=1)[:, :columns]
    assert bool(((fitted.values() - w).abs() <= steps_NK + spread * 4e-3).all())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), bits=st.integers(4, 8), outlier=st.sampled_from([1.0, 8.0, 40.0]))
def test_the_search_is_never_worse_than_the_whole_range(seed: int, bits: int, outlier: float) -> None:
    w = weight(4, 128, seed)
    w[:, 5] *= outlier
    errors = [float((fit(w, bits=bits, group=64, search=search).values() - w).square().sum()) for search in (0, 1)]
    assert errors[1] <= errors[0] * (1 + 1e-6)


def test_outliers_are_where_the_search_pays() -> None:
    w = weight(64, 256, 1)
    plain, searched = (
        float((fit(w, bits=4, group=64, search=search).values() - w).square().mean()) for search in (False, True)
    )
    assert searched < 0.96 * plain


def test_channels_that_carry_more_are_rounded_better() -> None:
    w, importance_K = weight(64, 64, 2), torch.ones(64)
    importance_K[:8] = 1000
    plain, weighed = fit(w, bits=4, group=64), fit(w, bits=4, group=64, importance_K=importance_K)
    before, after = ((one.values() - w)[:, :8].square().mean() for one in (plain, weighed))
    assert after < 0.8 * before


@pytest.mark.parametrize("value", [0.0, 1.5, -0.25])
def test_a_group_of_one_value_comes_back_as_it_is(value: float) -> None:
    w = torch.full((3, 64), value)
    assert torch.equal(fit(w, bits=4, group=64).values(), w)


def test_weights_in_chunks_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    w = weight(10, 100, 3)
    whole = fit(w, bits=4, group=32)
    monkeypatch.setattr("anyres.quant.fit.CHUNK_VALUES", 300)
    parts = fit(w, bits=4, group=32)
    assert all(torch.equal(one, other) for one, other in zip(whole[:3], parts[:3], strict=True))


def test_channels_that_were_never_seen_are_rounded_too() -> None:
    w = weight(4, 64, 4)
    fitted = fit(w, bits=8, group=64, importance_K=torch.zeros(64))
    assert torch.allclose(fitted.values(), w, atol=0.03)
