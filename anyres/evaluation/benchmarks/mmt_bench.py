"""MMT-Bench: choices from 162 subtasks, some about several pictures.

Paper: arXiv 2404.16006. Answers of the test split are scored by its authors.
"""

from functools import partial

from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.choices import choice_sample, choice_scorings
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.metrics.subtasks import summarise_mmt
from anyres.evaluation.prompts import choice_prompt
from anyres.evaluation.published import DYNAMIC, README, targets

__all__ = ["MMT_BENCH"]

MMT_BENCH = Benchmark(
    name="MMT-Bench",
    title="MMT-Bench",
    paper="https://arxiv.org/abs/2404.16006",
    read=partial(samples_of_rows, sample_of=choice_sample),
    prompt=choice_prompt,
    scorings=choice_scorings(summarise_mmt),
    settings=DYNAMIC,
    targets=targets(54.5, 63.7, 71.7, source=README, split="test"),
    aliases=("MMTBench", "MMT-Bench_VAL", "MMT-Bench_ALL", "MMT-Bench_VAL_MI", "MMT-Bench_ALL_MI"),
)
