"""Muon: momentum whose matrix updates are made orthogonal.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), and its coefficients.
torch.optim.Muon runs the iteration in bfloat16, which is seven times slower than float32 on CPUs without
bfloat16 units; here the caller chooses.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalised"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalised(gradient_NM: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The nearest matrix with singular values around 1, by five steps of a quintic Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = gradient_NM.shape[0] > gradient_NM.shape[1]
    x: Tensor = gradient_NM.T if tall else gradient_NM
    x = (x / (torch.linalg.matrix_norm(x) + 1e-7)).to(dtype)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(gradient_NM.dtype)


class Muon(torch.optim.Optimizer):
    """For the weight matrices of hidden layers; everything else belongs to AdamW."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        dtype: torch.dtype = torch.float32,
        threads: ThreadPoolExecutor | None = None,
    ) -> None:
        self.dtype, self.threads = dtype, threads
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; nesterov momentum, step size scaled for tall matrices."""
        assert closure is None
        wanted = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        wanted.sort(key=lambda one: -one[0].numel())
        run = self.threads.map if self.threads else map
        list(run(self._update, [p for p, _ in wanted], [group for _, group in wanted]))

    @torch.no_grad()
    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        lr, momentum, weight_decay = group["lr"], group["momentum"], group["weight_decay"]
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(p.grad, 1 - momentum)
        direction = orthogonalised(p.grad.lerp(state["momentum"], momentum), self.dtype)
        scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
        p.mul_(1 - lr * weight_decay).add_(direction, alpha=-lr * scale)
