"""Writes statistics.json beside it. Needs an environment of its own with scipy and statsmodels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

A = [1, 1, 0, 1, 0.5, 1, 0, 1, 1, 0.25]
B = [0, 1, 0, 0, 0.75, 0, 0, 1, 0, 0]
P = [0.01, 0.04, 0.03, 0.005, 0.5]


def wilson() -> list[list[float]]:
    pairs = [(0, 10), (10, 10), (261, 1000), (348, 1000), (1, 3)]
    return [[k, n, *map(float, stats.binomtest(k, n).proportion_ci(0.95, "wilson"))] for k, n in pairs]


def sign_tests() -> list[list[float]]:
    pairs = [(0, 1), (5, 5), (9, 1), (121, 59), (150, 86)]
    return [[wins, losses, float(stats.binomtest(wins, wins + losses, 0.5).pvalue)] for wins, losses in pairs]


def permutation() -> dict[str, Any]:
    """All 1,024 ways to swap the two models."""

    def difference(a: Any, b: Any, axis: int) -> Any:
        return np.mean(a - b, axis=axis)

    data = (np.array(A), np.array(B))
    found = stats.permutation_test(data, difference, permutation_type="samples", n_resamples=np.inf, vectorized=True)
    return {"a": A, "b": B, "difference": float(np.mean(A) - np.mean(B)), "p": float(found.pvalue)}


def clustered_bootstrap() -> dict[str, Any]:
    """40 pictures with one to five questions, drawn 400,000 times."""
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 6, 40)
    hits = np.array([rng.binomial(size, 0.2 + 0.6 * rng.random()) for size in sizes])

    def ratio(hits: Any, sizes: Any, axis: int) -> Any:
        return hits.sum(axis=axis) / sizes.sum(axis=axis)

    data = (hits.astype(float), sizes.astype(float))
    found = stats.bootstrap(
        data,
        ratio,
        paired=True,
        method="percentile",
        n_resamples=400_000,
        rng=np.random.default_rng(1),
        batch=2000,
    )
    low, high = found.confidence_interval
    told = {"low": float(low), "high": float(high), "error": float(found.standard_error)}
    return {"hits": hits.tolist(), "sizes": sizes.tolist(), "value": float(hits.sum() / sizes.sum()), **told}


def binomial_bootstrap() -> dict[str, float]:
    """What drawing 1,000 of 1,000 with 348 ones has as its distribution."""
    low, high = (float(stats.binom.ppf(q, 1000, 0.348) / 1000) for q in (0.025, 0.975))
    return {"n": 1000, "hits": 348, "low": low, "high": high, "error": float(np.sqrt(0.348 * 0.652 / 1000))}


def main() -> None:
    found = {
        "made_with": f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}",
        "wilson": wilson(),
        "sign_test": sign_tests(),
        "permutation": permutation(),
        "clustered_bootstrap": clustered_bootstrap(),
        "binomial_bootstrap": binomial_bootstrap(),
        "holm": {"p": P, "adjusted": [float(one) for one in multipletests(P, method="holm")[1]]},
        "normal": {"z_95": float(stats.norm.ppf(0.975)), "z_power_80": float(stats.norm.ppf(0.8))},
    }
    path = Path(__file__).with_name("statistics.json")
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
