"""Muon: momentum whose singular values are made equal, for the matrices of hidden layers.

After Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), and its coefficients.
torch.optim.Muon runs the iteration in bfloat16 only, which is seven times slower than float32 on CPUs without
bfloat16 units; here the caller chooses.
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalised"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
EPSILON = 1e-7


def orthogonalised(gradient_NM: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The nearest matrix with singular values around 1 (0.7 to 1.2), by five steps of a quintic iteration."""
    a, b, c = COEFFICIENTS
    tall = gradient_NM.shape[0] > gradient_NM.shape[1]
    x: Tensor = gradient_NM.T if tall else gradient_NM
    x = (x / (torch.linalg.matrix_norm(x) + EPSILON)).to(dtype)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(gradient_NM.dtype)


class Muon(torch.optim.Optimizer):
    """For weight matrices of hidden layers; embeddings, head, norms and biases belong to AdamW.

    With `threads`, matrices are updated side by side, the largest first; each by one thread, to the same bits.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
        threads: Executor | None = None,
    ) -> None:
        self.dtype, self.threads = dtype, threads
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update; Nesterov momentum, a larger step for tall matrices."""
        assert closure is None
        learnt = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        learnt.sort(key=lambda one: -one[0].numel())
        run = self.threads.map if self.threads else map
        list(run(self._update, [p for p, _ in learnt], [group for _, group in learnt]))

    @torch.no_grad()
    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        gradient_NM, momentum = p.grad, group["momentum"]
        assert gradient_NM is not None
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(gradient_NM, 1 - momentum)
        direction_NM = orthogonalised(gradient_NM.lerp(state["momentum"], momentum), self.dtype)
        scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
        p.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction_NM, alpha=-group["lr"] * scale)
