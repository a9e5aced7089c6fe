"""AI2D: questions about the diagrams of school books.

Paper: arXiv 1603.07396.
"""

from functools import partial

from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.choices import choice_sample, choice_scorings
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.prompts import choice_prompt
from anyres.evaluation.published import DYNAMIC, PAPER, targets

__all__ = ["AI2D"]

AI2D = Benchmark(
    name="AI2D",
    title="AI2D: diagrams",
    paper="https://arxiv.org/abs/1603.07396",
    read=partial(samples_of_rows, sample_of=choice_sample),
    prompt=choice_prompt,
    scorings=choice_scorings(),
    settings=DYNAMIC,
    targets=targets(74.7, 83.0, 88.1, source=PAPER, n=3088),
    official_rows=3088,
    aliases=("AI2D_TEST",),
)
