"""Figures that the authors of Qwen2-VL printed, and others measured, as targets of benchmarks."""

from anyres.evaluation.benchmark import Settings, Target

__all__ = ["DYNAMIC", "PAPER", "README", "REPRODUCED", "SIZES", "targets"]

PAPER = "arXiv 2409.12191v2, table 2"
README = "README of Qwen2-VL, January 2025"
REPRODUCED = "reproduced with VLMEvalKit, github.com/QwenLM/Qwen3-VL"
DYNAMIC = Settings(max_tokens=2048, min_pixels=100 * 28 * 28, max_pixels="checkpoint")
"""The paper's: 100 to 16,384 visual tokens a picture (the checkpoint's limit); answers as long as VLMEvalKit allows."""
SIZES = ("Qwen2-VL-2B", "Qwen2-VL-7B", "Qwen2-VL-72B")


def targets(
    *values: float | None,
    source: str = PAPER,
    figure: str = "overall",
    scoring: str = "official",
    split: str = "",
    n: int | None = None,
) -> tuple[Target, ...]:
    """Those of 2B, 7B and 72B, in this order; None where none was printed.

    >>> [target.model for target in targets(None, 54.1, 64.5)]
    ['Qwen2-VL-7B', 'Qwen2-VL-72B']
    """
    return tuple(
        Target(model, value, source, figure=figure, scoring=scoring, split=split, n=n)
        for model, value in zip(SIZES, values, strict=False)
        if value is not None
    )
