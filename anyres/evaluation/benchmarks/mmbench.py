"""MMBench and CCBench: choices that count only if each rotation of their options is answered right.

Paper: arXiv 2307.06281. Data without rotations is asked in all of them.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from anyres.evaluation.benchmark import Benchmark, Target
from anyres.evaluation.choices import choice_sample, choice_scorings, rotations
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import each_of
from anyres.evaluation.metrics.circular import ROTATION_STEP, group_of, summarise_circular
from anyres.evaluation.prompts import choice_prompt
from anyres.evaluation.published import DYNAMIC, README, targets
from anyres.evaluation.sample import Sample

__all__ = ["CCBENCH", "MMBENCH_CN", "MMBENCH_CN_V11", "MMBENCH_EN", "MMBENCH_V11"]

GROUPS = 1784  # of the test split; dev has 1164


def read_circular(path: Path) -> Iterator[Sample]:
    """VLMEvalKit's TSV, where rotation k of row i has index i + k * 1000000, or rows without rotations.

    Rotations of a question follow one another: their picture is seen once, and --limit asks whole groups.
    """
    rows = list(read_rows(path))
    rotated = any(_index(row) >= ROTATION_STEP for row in rows)
    places = {_index(row) % ROTATION_STEP: place for place, row in reversed([*enumerate(rows)])}
    if rotated:
        rows.sort(key=lambda row: places[_index(row) % ROTATION_STEP])
    return each_of(map(_once if rotated else _in_all_rotations, rows))


def _once(row: Row) -> tuple[Sample, ...]:
    return (_sample(row),)


def _in_all_rotations(row: Row) -> tuple[Sample, ...]:
    sample = _sample(row)
    name = row.optional("id") or sample.id  # samples in two languages share their index
    return rotations(replace(sample, id=name, cluster=group_of(name)))


def _sample(row: Row) -> Sample:
    sample = choice_sample(row)
    return replace(sample, cluster=group_of(sample.id))


def _index(row: Row) -> int:
    index = str(row.values.get("index", ""))
    return int(index) if index.isdecimal() else 0


def _benchmark(
    name: str, title: str, aliases: tuple[str, ...], published: tuple[Target, ...] = (), groups: int | None = GROUPS
) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        paper="https://arxiv.org/abs/2307.06281",
        read=read_circular,
        prompt=choice_prompt,
        scorings=choice_scorings(summarise_circular),
        settings=DYNAMIC,
        targets=published,
        official_groups=groups,
        circular=True,
        aliases=aliases,
    )


MMBENCH_EN = _benchmark(
    "MMBench_EN",
    "MMBench, English",
    ("MMBench", "MMBench_DEV_EN", "MMBench_TEST_EN"),
    targets(74.9, 83.0, 86.5, source=README, split="test", n=GROUPS),
)
MMBENCH_CN = _benchmark(
    "MMBench_CN",
    "MMBench, Chinese",
    ("MMBench_DEV_CN", "MMBench_TEST_CN"),
    targets(73.5, 80.5, 86.6, source=README, split="test", n=GROUPS),
)
MMBENCH_V11 = _benchmark(
    "MMBench_V11",
    "MMBench V1.1, English",
    ("MMBench_DEV_EN_V11", "MMBench_TEST_EN_V11"),
    targets(72.2, 80.7, 85.9, source=README, split="test"),
    None,
)
MMBENCH_CN_V11 = _benchmark(
    "MMBench_CN_V11", "MMBench V1.1, Chinese", ("MMBench_DEV_CN_V11", "MMBench_TEST_CN_V11"), groups=None
)
CCBENCH = _benchmark("CCBench", "CCBench: Chinese culture", (), groups=None)
