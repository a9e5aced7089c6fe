"""AdamW in groups, Muon for hidden matrices where it is chosen, and the running average of the weights."""

import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from anyres.model.qwen2vl import Qwen2VL
from anyres.training.config import OptimiserConfig
from anyres.training.muon import Muon

__all__ = ["Average", "Optimiser", "part_of"]

HIDDEN = re.compile(r"\.(blocks|layers)\.\d+\.")
WARM_AVERAGE = 10  # steps over which the average forgets the weights it began with


class Optimiser:
    """Steps all parts of a model, each at its own rate.

    Frozen parts get `requires_grad = False`. Groups are named `language`, `language matrices`, and so on; only groups
    of matrices decay. `parameters` are those that learn.
    """

    def __init__(
        self, model: Qwen2VL, auxiliary: nn.Module | None, config: OptimiserConfig, *, muon_dtype: torch.dtype
    ) -> None:
        self.config = config
        named = [(part_of(name), name, p) for name, p in model.named_parameters()]
        named += [("auxiliary", name, p) for name, p in (auxiliary.named_parameters() if auxiliary else ())]
        for part, _, p in named:
            p.requires_grad_(part not in config.freeze)
        learning = [one for one in named if one[2].requires_grad]
        self.parameters = [p for _, _, p in learning]
        hidden = [one for one in learning if config.kind == "muon" and _is_hidden(*one)]
        chosen = {id(p) for _, _, p in hidden}
        others = _groups([one for one in learning if id(one[2]) not in chosen], config)
        self._optimisers: list[torch.optim.Optimizer] = []
        if others:
            fused = self.parameters[0].device.type == "cuda"
            self._optimisers.append(
                torch.optim.AdamW(others, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)
            )
        if hidden:
            groups = _groups(hidden, config)
            self._optimisers.append(Muon(groups, lr=config.muon_lr, momentum=config.momentum, dtype=muon_dtype))

    def set_rates(self, factor: float, *, only: str | None = None) -> None:
        """`factor` times the rates of the configuration, as they are now and whatever a save held; with `only`, the
        groups of all other parts stand still."""
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                part = group["name"].split()[0]
                peak = _rate(part, self.config)
                if isinstance(optimiser, Muon):
                    peak *= self.config.muon_lr / self.config.lr
                group["lr"] = factor * peak if only in (None, part) else 0.0

    def rates(self) -> dict[str, float]:
        """Rate of each group, by its name."""
        return {
            f"{group['name']} (muon)" if isinstance(one, Muon) else group["name"]: float(group["lr"])
            for one in self._optimisers
            for group in one.param_groups
        }

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def step(self, threads: Executor | None = None) -> None:
        """One update; with threads, of one core each, Muon's matrices are shared out among them."""
        for optimiser in self._optimisers:
            if isinstance(optimiser, Muon):
                optimiser.threads = threads
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimiser.state_dict() for optimiser in self._optimisers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimiser, state in zip(self._optimisers, states, strict=True):
            optimiser.load_state_dict(state)


class Average:
    """The exponential moving average of the weights that learn; usually better than the last ones.

    Early on it forgets faster than `decay` says, or it would hold on to weights that know nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tensors = {name: p.detach().clone() for name, p in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step`, counted from 1."""
        decay = min(self.decay, 1 - 1 / (1 + step / WARM_AVERAGE))
        torch._foreach_lerp_(list(self.tensors.values()), list(self._weights.values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    def _swap(self) -> None:
        for name, p in self._weights.items():
            p.data, self.tensors[name] = self.tensors[name], p.data


def part_of(name: str) -> str:
    """The part a parameter belongs to.

    >>> part_of("visual.merger.mlp.0.weight"), part_of("visual.blocks.0.norm1.bias"), part_of("lm_head.weight")
    ('merger', 'vision', 'language')
    """
    if name.startswith("visual.merger."):
        return "merger"
    return "vision" if name.startswith("visual.") else "language"


_Named = tuple[str, str, nn.Parameter]


def _is_hidden(part: str, name: str, p: Tensor) -> bool:
    return part != "auxiliary" and p.dim() == 2 and HIDDEN.search(name) is not None


def _rate(part: str, config: OptimiserConfig) -> float:
    own = {"vision": config.vision_lr, "merger": config.merger_lr, "auxiliary": config.auxiliary_lr}.get(part)
    return config.lr if own is None else own


def _groups(named: list[_Named], config: OptimiserConfig) -> list[dict[str, Any]]:
    """One group for the matrices of each part, one for its norms and biases."""
    groups: dict[str, list[nn.Parameter]] = {}
    for part, _, p in named:
        groups.setdefault(f"{part} matrices" if p.dim() > 1 else part, []).append(p)
    return [
        {"name": name, "params": params, "weight_decay": config.weight_decay if "matrices" in name else 0.0}
        for name, params in groups.items()
    ]
