"""The benchmarks, one short file each, and what they are called."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from anyres.errors import OptionError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.benchmarks.mathvision import MATHVISION
from anyres.evaluation.benchmarks.mathvista import MATHVISTA
from anyres.evaluation.benchmarks.mme import MME

__all__ = ["BENCHMARKS", "benchmark_of"]

BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        "MathVision": MATHVISION,
        "MathVista": MATHVISTA,
        "MME": MME,
    }
)


def benchmark_of(name: str) -> Benchmark:
    """The benchmark of a name or an alias, in any case; OptionError with near names where there is none.

    >>> benchmark_of("mme").name
    'MME'
    """
    named = {called.casefold(): one for one in BENCHMARKS.values() for called in (one.name, *one.aliases)}
    if name.casefold() in named:
        return named[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), named, n=3)
    allowed = " or ".join(dict.fromkeys(named[one].name for one in near)) or ", ".join(BENCHMARKS)
    raise OptionError("benchmark", repr(name), allowed)
