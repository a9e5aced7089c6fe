"""What `--data` means: a benchmark by name, its data by path, or both."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from anyres.disk_cache import cache_folder
from anyres.errors import DatasetError, OptionError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.benchmarks import benchmark_of
from anyres.evaluation.data.own import ENDINGS, own_benchmark

__all__ = ["DataSource", "data_folder", "find_data"]

DATA_VARIABLES = ("ANYRES_EVAL_DATA", "LMUData")  # the second is VLMEvalKit's


@dataclass(frozen=True)
class DataSource:
    """Where the samples of a benchmark are."""

    benchmark: str
    path: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def open(self) -> Benchmark:
        """OptionError for a name that there is not; DatasetError for YAML that is none."""
        path = Path(self.path)
        return own_benchmark(path) if path.suffix in ENDINGS else benchmark_of(self.benchmark)


def find_data(text: str, folder: Path | None = None) -> DataSource:
    """Of `MME` (looked for in the data folder), `MME=path`, own data's YAML, or a path that is called as its benchmark.
    Benchmarks that draw their pictures need no data.

    OptionError for an unknown benchmark, DatasetError where its data is not found.
    """
    name, equals, given = text.partition("=")
    if equals and given:
        return _at(benchmark_of(name), Path(given))
    if Path(text).suffix in ENDINGS:
        return DataSource(own_benchmark(Path(text)).name, str(Path(text).resolve()))
    if Path(text).exists():
        return _at(benchmark_of(_called(Path(text))), Path(text))
    return _in_folder(benchmark_of(text), folder or data_folder())


def data_folder() -> Path:
    """ANYRES_EVAL_DATA, else VLMEvalKit's LMUData, else `benchmarks` beside the cache."""
    chosen = next((os.environ[name] for name in DATA_VARIABLES if os.environ.get(name)), None)
    return Path(chosen).expanduser() if chosen else cache_folder() / "benchmarks"


def _at(benchmark: Benchmark, path: Path) -> DataSource:
    if not path.exists():
        raise DatasetError(str(path), "no such file or folder", f"the data of {benchmark.name}")
    return DataSource(benchmark.name, str(path.resolve()))


def _called(path: Path) -> str:
    """Of `MME.tsv` or `MME/data.jsonl`: what is called as a benchmark."""
    for name in (path.stem if path.is_file() else path.name, path.resolve().parent.name):
        try:
            return benchmark_of(name).name
        except OptionError:
            continue
    raise OptionError("--data", repr(str(path)), f"NAME={path}, with the benchmark that it is the data of")


def _in_folder(benchmark: Benchmark, folder: Path) -> DataSource:
    if benchmark.drawn:
        return DataSource(benchmark.name, "")
    called = {name.casefold() for name in (benchmark.name, *benchmark.aliases)}
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in found:
        if (path.name if path.is_dir() else path.stem).casefold() in called:
            return _at(benchmark, path)
    allowed = f"{benchmark.name}=PATH, or the data in that folder under its name"
    raise DatasetError(benchmark.name, f"not in {folder}", allowed)
