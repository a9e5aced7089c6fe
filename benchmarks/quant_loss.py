"""Error of one layer's output in each format, on plain weights and on planted outliers.

Run: `python benchmarks/quant_loss.py`.

Inputs are mixtures of 128 sources and a tenth of noise, as channels of a model say much the same; half of them teach,
half test. Outliers: 8 of 1,024 inputs carry 30 times as much as the others, 8 columns of the weights are 10 times as
large.
"""

import torch
from torch import Tensor

from anyres.kernels.cpu import linear
from anyres.kernels.reference import exact_linear
from anyres.quant.compensate import Gram, fit_compensated
from anyres.quant.fit import fit
from anyres.quant.linear import Compute, packed_of
from anyres.quant.nf4 import nf4_from_tensors, quantise_nf4

ROWS, COLUMNS, TOKENS, OUTLIERS, SOURCES = 512, 1024, 8192, 8, 128


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    w_NK = torch.randn(ROWS, COLUMNS, generator=generator) / COLUMNS**0.5
    sources = torch.randn(TOKENS, SOURCES, generator=generator) @ torch.randn(SOURCES, COLUMNS, generator=generator)
    x_TK = sources / SOURCES**0.5 + 0.1 * torch.randn(TOKENS, COLUMNS, generator=generator)
    loud_K, wide_K = (torch.ones(COLUMNS) for _ in range(2))
    loud_K[torch.randperm(COLUMNS, generator=generator)[:OUTLIERS]] = 30
    wide_K[torch.randperm(COLUMNS, generator=generator)[:OUTLIERS]] = 10
    for name, w, x in (("plain", w_NK, x_TK), ("outliers", w_NK * wide_K, x_TK * loud_K)):
        for label, error in errors(w, x):
            print(f"{name:10} {label:64} {100 * error:7.3f} %")


def errors(w_NK: Tensor, x_TK: Tensor) -> list[tuple[str, float]]:
    """Root mean square error of the output over its root mean square."""
    half = len(x_TK) // 2
    seen_K, test_TK = x_TK[:half].square().sum(0), x_TK[half:]
    gram = Gram(COLUMNS)
    gram.add(x_TK[:half])
    expected = test_TK @ w_NK.T
    rows = [("nf4, double quantised", test_TK @ nf4(w_NK).T)]
    for bits in (4, 8):
        fitted = {
            "range of each group": fit(w_NK, bits=bits, group=64, search=False),
            "scales searched": fit(w_NK, bits=bits, group=64),
            "searched, weighed by what channels carry": fit(w_NK, bits=bits, group=64, importance_K=seen_K),
            "errors made good": fit_compensated(w_NK, gram, bits=bits, group=64),
        }
        computes: dict[str, Compute] = {"": exact_linear, ", int8 activations": linear}
        for label, one in fitted.items():
            packed = packed_of(one)
            rows += [(f"int{bits}, {label}{how}", compute(test_TK, packed, None)) for how, compute in computes.items()]
    return [(label, float((made - expected).norm() / expected.norm())) for label, made in rows]


def nf4(w_NK: Tensor) -> Tensor:
    return nf4_from_tensors(quantise_nf4(w_NK), (ROWS, COLUMNS), item="layer").values()


if __name__ == "__main__":
    main()
