"""The learning rate over a run, as a factor of the rates in the configuration."""

import math

from anyres.training.config import ScheduleConfig

__all__ = ["progress_of", "rate_factor"]


def rate_factor(config: ScheduleConfig, *, step: int, progress: float) -> float:
    """The factor of the step that follows `step` others; `progress` runs from 0 after the warm-up to 1 at the end.

    As in transformers, the warm-up begins at 0.

    >>> cosine = ScheduleConfig(warmup_steps=4)
    >>> [round(rate_factor(cosine, step=step, progress=progress_of(step, 4, 8)), 3) for step in range(8)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.854, 0.5, 0.146]
    """
    if step < config.warmup_steps:
        return step / config.warmup_steps
    falling = 1 - (1 - min(1.0, progress)) / config.decay if config.decay else 0.0
    fallen = max(0.0, falling)
    left = 0.5 * (1 + math.cos(math.pi * fallen)) if config.shape == "cosine" else 1 - fallen
    return config.floor + (1 - config.floor) * left


def progress_of(step: int, warmup_steps: int, steps: int) -> float:
    """Share of the steps after the warm-up that are done.

    >>> progress_of(6, 4, 8)
    0.5
    """
    return max(0, step - warmup_steps) / max(1, steps - warmup_steps)
