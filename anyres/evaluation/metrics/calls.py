"""Function calls: whether the right function is called (TM), and with the right arguments (EM).

Source: arXiv 2409.12191, section 3.2.4. The values of arguments are compared as JSON has them: a string is equal to the
same string only, true to true, 1 to 1.0, lists item by item, objects without their order. A gold may allow several
values of an argument, as BFCL's do.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.metrics.groups import mean
from anyres.evaluation.sample import Sample

__all__ = ["exact_match", "is_same_value", "strict_match", "summarise_calls", "type_match"]

Call = Mapping[str, Any]


def type_match(extraction: Extraction, sample: Sample) -> float:
    """TM: share of the gold's calls whose place in the answer has a call of the same name."""
    return _in_order(extraction, sample, lambda told, gold: bool(told["name"] == gold["name"]))


def exact_match(extraction: Extraction, sample: Sample) -> float:
    """EM: share of the gold's calls whose place in the answer has the same call."""
    return _in_order(extraction, sample, _is_same_call)


def strict_match(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer has the gold's calls, in any order, and no other."""
    told = list(extraction.value or ())
    for gold in sample.facts["calls"]:
        same = next((place for place, call in enumerate(told) if _is_same_call(call, gold)), None)
        if same is None:
            return 0.0
        del told[same]
    return float(not told)


def summarise_calls(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent over all calls of the golds: EM (of the scoring's own score, weighted by calls), TM; and answers without
    a call."""
    calls = [len(one.sample.facts["calls"]) for one in graded]
    whole = max(1, sum(calls))
    types = [type_match(one.extraction, one.sample) for one in graded]
    return {
        "EM": 100 * sum(one.score * count for one, count in zip(graded, calls, strict=True)) / whole,
        "TM": 100 * sum(score * count for score, count in zip(types, calls, strict=True)) / whole,
        "no call": 100 * mean([float(one.extraction.value is None) for one in graded]),
    }


def is_same_value(told: Any, gold: Any) -> bool:
    """Whether two JSON values are the same.

    >>> is_same_value({"a": 1, "b": [True]}, {"b": [True], "a": 1.0}), is_same_value("1", 1), is_same_value(True, 1)
    (True, False, False)
    """
    if isinstance(told, bool) or isinstance(gold, bool):
        return told is gold
    if isinstance(told, (int, float)) and isinstance(gold, (int, float)):
        return told == gold
    if type(told) is not type(gold):
        return False
    if isinstance(told, dict):
        return told.keys() == gold.keys() and all(is_same_value(told[key], gold[key]) for key in told)
    if isinstance(told, list):
        return len(told) == len(gold) and all(map(is_same_value, told, gold))
    return bool(told == gold)


def _in_order(extraction: Extraction, sample: Sample, same: Callable[[Call, Call], bool]) -> float:
    golds = sample.facts["calls"]
    right = sum(same(told, gold) for told, gold in zip(extraction.value or (), golds, strict=False))
    return right / len(golds)


def _is_same_call(told: Call, gold: Call) -> bool:
    """`allowed` maps arguments to lists of values; "" in such a list: it may be left out."""
    if told["name"] != gold["name"] or told["arguments"] is None:
        return False
    if "allowed" not in gold:
        return is_same_value(told["arguments"], gold["arguments"])
    allowed: Mapping[str, Sequence[Any]] = gold["allowed"]
    given: Mapping[str, Any] = told["arguments"]
    needed = {name for name, values in allowed.items() if "" not in values}
    if not needed <= given.keys() <= allowed.keys():
        return False
    return all(any(is_same_value(value, one) for one in allowed[name]) for name, value in given.items())
