"""The samples of a benchmark's data: what is broken or there twice is set aside by name, and the rest goes on."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row
from anyres.evaluation.sample import Sample

__all__ = ["ReadSamples", "each_of", "read_samples", "samples_of_rows"]


class ReadSamples(NamedTuple):
    """Samples with ids of their own, and what was wrong with the others."""

    samples: tuple[Sample, ...]
    broken: tuple[DatasetError, ...] = ()


def samples_of_rows(path: Path, sample_of: Callable[[Row], Sample]) -> Iterator[Sample]:
    """A sample for each row. An error in one row does not end the iterator: the next call gives the next row, as a
    generator would not."""
    return map(sample_of, read_rows(path))


class each_of(Iterator[Sample]):  # noqa: N801 - used as a function, like map
    """The samples of one group after the other; an error in one group does not end it, as itertools.chain would."""

    def __init__(self, groups: Iterator[Iterable[Sample]]) -> None:
        self._groups = groups
        self._rest: Iterator[Sample] = iter(())

    def __next__(self) -> Sample:
        while True:
            for sample in self._rest:
                return sample
            self._rest = iter(next(self._groups))


def read_samples(benchmark: Benchmark, path: Path) -> ReadSamples:
    """All samples of the data at `path`. DatasetError where there is not one."""
    found: dict[str, Sample] = {}
    broken: list[DatasetError] = []
    source = iter(benchmark.read(path))
    while True:
        try:
            sample = next(source)
        except StopIteration:
            break
        except DatasetError as error:
            broken.append(error)
            continue
        if sample.id in found:
            broken.append(DatasetError(f"{path.name}: id {sample.id}", "there twice", "an id for each sample"))
        else:
            found[sample.id] = sample
    if not found:
        raise broken[0] if broken else DatasetError(str(path), "no samples", "at least one")
    return ReadSamples(tuple(found.values()), tuple(broken))
