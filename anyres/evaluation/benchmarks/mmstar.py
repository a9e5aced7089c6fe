"""MMStar: 1,500 choices that cannot be answered without looking.

Paper: arXiv 2403.20330.
"""

from functools import partial

from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.choices import choice_sample, choice_scorings
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.prompts import choice_prompt
from anyres.evaluation.published import DYNAMIC, README, targets

__all__ = ["MMSTAR"]

MMSTAR = Benchmark(
    name="MMStar",
    title="MMStar",
    paper="https://arxiv.org/abs/2403.20330",
    read=partial(samples_of_rows, sample_of=choice_sample),
    prompt=choice_prompt,
    scorings=choice_scorings(),
    settings=DYNAMIC,
    targets=targets(48.0, 60.7, 68.3, source=README, n=1500),
    official_rows=1500,
)
