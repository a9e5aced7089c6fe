"""Rounding that makes errors good: it is never worse where it was taught, and gives way where it was taught wrongly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.quant.compensate import Gram, fit_compensated
from anyres.quant.fit import fit


def inputs(tokens: int, columns: int, seed: int, *, rank: int | None = None, loud: int = 0) -> torch.Tensor:
    """Channels that say much the same: mixtures of `rank` sources and a little noise; `loud` of them x30."""
    generator = torch.Generator().manual_seed(seed)
    rank = rank or columns // 4
    sources = torch.randn(tokens, rank, generator=generator) @ torch.randn(rank, columns, generator=generator)
    x_TK = sources / rank**0.5 + 0.1 * torch.randn(tokens, columns, generator=generator)
    x_TK[:, torch.randperm(columns, generator=generator)[:loud]] *= 30
    return x_TK


def weight(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1000 + seed)) / columns**0.5


def gram_of(x_TK: torch.Tensor) -> Gram:
    gram = Gram(x_TK.shape[1])
    gram.add(x_TK)
    return gram


def output_error(w_NK: torch.Tensor, made_NK: torch.Tensor, x_TK: torch.Tensor) -> float:
    return float((x_TK @ (made_NK - w_NK).T).square().sum())


def test_errors_are_made_good_on_inputs_never_seen() -> None:
    w, x = weight(48, 192), inputs(3000, 192, 1)
    seen, other = x[:2000], x[2000:]
    plain, made = fit(w, bits=4, group=64), fit_compensated(w, gram_of(seen), bits=4, group=64)
    assert output_error(w, made.values(), other) < 0.4 * output_error(w, plain.values(), other)


def test_loud_channels_are_where_it_pays_most() -> None:
    w, x = weight(48, 192), inputs(3000, 192, 1, loud=4)
    weighed = fit(w, bits=4, group=64, importance_K=x[:2000].square().sum(0))
    made = fit_compensated(w, gram_of(x[:2000]), bits=4, group=64)
    assert output_error(w, made.values(), x[2000:]) < 0.7 * output_error(w, weighed.values(), x[2000:])


def test_as_the_definition_says() -> None:
    """One group, one row: against the rounding written out with the inverse itself, column by column."""
    w, x = weight(1, 16), inputs(200, 16, 2)
    made = fit_compensated(w, gram_of(x), bits=4, group=16)
    scale, minimum = float(made.scales_NG), float(made.minimums_NG)
    gram = (x.T @ x).double()
    gram += 0.1 * gram.diagonal().mean() * torch.eye(16)
    left, codes = w[0].double(), []
    for k in range(16):
        inverse = torch.linalg.inv(gram[k:, k:])
        code = round(float((left[k] - minimum) / scale))
        codes.append(min(15, max(0, code)))
        off = left[k] - (scale * codes[-1] + minimum)
        left[k:] -= off / inverse[0, 0] * inverse[0]
    assert made.codes_NK[0].tolist() == codes


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 150),
    tokens=st.integers(1, 60),
    bits=st.integers(4, 8),
    group=st.sampled_from([8, 64]),
    seed=st.integers(0, 99),
)
def test_any_shape_gives_codes_of_the_format(
    rows: int, columns: int, tokens: int, bits: int, group: int, seed: int
) -> None:
    w, x = weight(rows, columns, seed), inputs(tokens, columns, seed, rank=3)
    made = fit_compensated(w, gram_of(x), bits=bits, group=group)
    assert made.codes_NK.shape == w.shape
    assert int(made.codes_NK.max()) < 2**bits
    assert made.scales_NG.shape == made.minimums_NG.shape == (rows, -(-columns // group))
    assert bool(made.values().isfinite().all())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), tokens=st.integers(2, 200))
def test_it_is_never_worse_than_plain_rounding_on_what_was_kept_back(seed: int, tokens: int) -> None:
    w, x, other = weight(8, 64, seed), inputs(tokens, 64, seed), inputs(100, 64, seed + 1)
    made = fit_compensated(w, gram_of(x), bits=4, group=64, unseen=gram_of(other))
    plain = fit(w, bits=4, group=64)
    assert output_error(w, made.values(), other) <= output_error(w, plain.values(), other) * (1 + 1e-5)


def test_what_was_taught_wrongly_is_rounded_plainly() -> None:
    w, x = weight(8, 64), inputs(4, 64, 1, rank=1)
    strange = torch.randn(500, 64, generator=torch.Generator().manual_seed(9))
    made = fit_compensated(w, gram_of(x), bits=4, group=64, unseen=gram_of(strange))
    assert torch.equal(made.codes_NK, fit(w, bits=4, group=64).codes_NK)


@pytest.mark.parametrize("x_TK", [torch.zeros(0, 64), torch.zeros(10, 64)])
def test_inputs_that_say_nothing_give_plain_values(x_TK: torch.Tensor) -> None:
    w = weight(4, 64)
    made = fit_compensated(w, gram_of(x_TK), bits=4, group=64)
    plain = fit(w, bits=4, group=64)
    assert float((made.values() - w).square().sum()) <= 1.1 * float((plain.values() - w).square().sum())


def test_long_rows_are_taken_in_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    w, x = weight(16, 320), inputs(2000, 320, 1)
    whole = fit_compensated(w, gram_of(x), bits=4, group=64)
    monkeypatch.setattr("anyres.quant.compensate.SPAN", 128)
    gram = gram_of(x)
    assert [len(span) for span in gram.spans] == [128, 128, 64]
    parts, plain = fit_compensated(w, gram, bits=4, group=64), fit(w, bits=4, group=64)
    errors = [output_error(w, one.values(), x) for one in (whole, parts, plain)]
    assert errors[0] < errors[1] < errors[2]


def test_sums_in_pieces_are_those_of_the_whole() -> None:
    x = inputs(500, 64, 3)
    pieces, off = Gram(64), weight(5, 64)
    for part in x.split(77):
        pieces.add(part)
    assert torch.allclose(pieces.spans[0], x.T @ x, rtol=1e-4, atol=1e-3)
    assert pieces.tokens == 500
    assert pieces.error(off) == pytest.approx(float((x @ off.T).square().sum()), rel=1e-3)
