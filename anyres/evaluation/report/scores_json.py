"""All figures of a report as JSON, for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from anyres.evaluation.report.results import Entry, Result

__all__ = ["scores_dict"]

FORMAT = 1


def scores_dict(results: Sequence[Result]) -> dict[str, Any]:
    """By benchmark: each model in each way with counts and figures, comparisons in pairs, verdicts."""
    return {"format": FORMAT, "benchmarks": [_result(result) for result in results]}


def _result(result: Result) -> dict[str, Any]:
    return {
        "benchmark": result.benchmark.name,
        "version": result.benchmark.version,
        "data": result.data,
        "broken": [str(error) for error in result.broken],
        "entries": [_entry(entry) for entry in result.entries],
        "comparisons": [
            {
                "scoring": duel.scoring,
                "first": duel.first,
                "second": duel.second,
                **duel.difference._asdict(),
                "p_adjusted": duel.p_adjusted,
            }
            for duel in result.duels
        ],
        "verdicts": [
            {
                "model": one.entry,
                "scoring": one.scoring,
                "figure": one.verdict.target.figure,
                "ours": one.verdict.value,
                "published": one.verdict.target.value,
                "source": one.verdict.target.source,
                "inside": one.verdict.inside,
                "part_of_the_benchmark": one.is_part,
                "words": one.verdict.words,
            }
            for one in result.checked
        ],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "model": entry.answers.model,
        "variant": entry.answers.variant,
        "counts": asdict(entry.counts),
        "visual_tokens": entry.visual_tokens,
        "latency_s": entry.latency_s,
        "scorings": {
            name: {
                "version": scored.scoring.version,
                "unit": scored.scoring.unit,
                "n": len(scored.graded),
                "figures": {figure: interval._asdict() for figure, interval in scored.figures.items()},
            }
            for name, scored in entry.by.items()
        },
    }
