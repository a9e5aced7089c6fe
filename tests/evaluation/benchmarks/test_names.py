"""Benchmarks by name."""

import pytest

from anyres.errors import OptionError
from anyres.evaluation.benchmarks import BENCHMARKS, benchmark_of


def test_each_is_found_by_every_name_in_any_case() -> None:
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        for called in (name, *benchmark.aliases):
            assert benchmark_of(called.upper()) is benchmark_of(called.lower()) is benchmark


def test_names_and_aliases_are_one_benchmarks_alone() -> None:
    called = [name.casefold() for one in BENCHMARKS.values() for name in (one.name, *one.aliases)]
    assert len(called) == len(set(called))
    assert list(BENCHMARKS) == sorted(BENCHMARKS, key=str.casefold)


def test_an_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(OptionError, match="MME") as caught:
        benchmark_of("MMEE")
    assert caught.value.seen == "'MMEE'"


def test_what_each_benchmark_promises() -> None:
    for benchmark in BENCHMARKS.values():
        assert benchmark.paper.startswith("https://") or benchmark.drawn
        names = [scoring.name for scoring in benchmark.scorings]
        assert len(names) == len(set(names))
        assert all(scoring.about for scoring in benchmark.scorings)
        assert {target.scoring for target in benchmark.targets} <= set(names)
