"""What a run of benchmarks has come to, on stdout; what must be known beside it, on stderr."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyres.cli.terminal import cell, note, write_json, write_table

if TYPE_CHECKING:
    from anyres.evaluation.run.running import Outcome
    from anyres.evaluation.run.tally import Tally

__all__ = ["give_account"]

MOST_NAMED = 5


def give_account(outcome: "Outcome", folder: Path, *, as_json: bool, quiet: bool) -> None:
    """A table, or one JSON object."""
    if as_json:
        write_json(_as_json(outcome, folder))
    else:
        _table(outcome)
    if not quiet:
        for line in _remarks(outcome):
            note(line)
        note(f"records in {folder}; anyres eval report {folder} makes a report of them")


def _table(outcome: "Outcome") -> None:
    from rich.table import Table

    table = Table()
    for heading in ("benchmark", "model", "variant", "samples", "failed", "score", "95 %", "from cache", "per s"):
        table.add_column(heading)
    for tally in outcome.tallies:
        table.add_row(*map(cell, _row(tally)))
    write_table(table)


def _row(tally: "Tally") -> list[str]:
    task = tally.task
    figure = tally.figure(now=True)
    score = span = "-"
    if figure is not None:
        name, interval = figure
        score = f"{interval.value:.2f} {task.benchmark.scorings[0].unit} {name}"
        span = f"{interval.low:.2f} to {interval.high:.2f}"
    speed = f"{tally.per_s:.2f}" if tally.asked > tally.cached else "-"
    counts = f"{tally.done} of {tally.total}" if tally.done < tally.total else str(tally.total)
    names = [task.benchmark.name, task.spec.name, str(task.variant) or "-"]
    return [*names, counts, str(tally.failed), score, span, str(tally.known + tally.cached), speed]


def _remarks(outcome: "Outcome") -> list[str]:
    """What is not as it should be."""
    lines = [f"{name}: {error}" for name, error in outcome.refused.items()]
    lines += [f"left out: {error}" for _, error in outcome.tasks.broken[:MOST_NAMED]]
    if (more := len(outcome.tasks.broken) - MOST_NAMED) > 0:
        lines.append(f"and {more} more broken rows")
    lines += [f"{task.title}: nothing to ask" for task in outcome.tasks.empty]
    lines += [f"damaged, asked again: {line}" for line in outcome.damaged]
    for tally in outcome.tallies:
        lines += _remarks_on(tally)
    if outcome.stopped:
        lines.append("stopped; the same command goes on")
    return lines


def _remarks_on(tally: "Tally") -> list[str]:
    title = tally.task.title
    failed = [one for one in tally.records.values() if one.outcome == "failed"]
    lines = [f"{title}: {one.id} has no answer: {one.error}" for one in failed[:MOST_NAMED]]
    if len(failed) > MOST_NAMED:
        lines.append(f"{title}: {len(failed)} without an answer in all; the same command asks them again")
    if tally.judge_failed:
        one = next(one for one in tally.records.values() if one.judge_error)
        lines.append(f"{title}: {tally.judge_failed} not judged, as {one.id}: {one.judge_error}")
    unjudged = sum(not one.judge for one in tally.records.values() if one.outcome == "answered")
    if tally.task.benchmark.scorings[0].ask_judge is not None and unjudged:
        lines.append(f"{title}: {unjudged} answers wait for a judge (--judge)")
    return lines


def _as_json(outcome: "Outcome", folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "results": [_result(tally) for tally in outcome.tallies],
        "refused": {name: str(error) for name, error in outcome.refused.items()},
        "broken": [str(error) for _, error in outcome.tasks.broken],
        "stopped": outcome.stopped,
        "seconds": round(outcome.seconds, 2),
    }


def _result(tally: "Tally") -> dict[str, Any]:
    task, figure = tally.task, tally.figure(now=True)
    score = None if figure is None else {"figure": figure[0], **figure[1]._asdict()}
    return {
        "benchmark": task.benchmark.name,
        "model": task.spec.name,
        "variant": str(task.variant),
        "samples": tally.total,
        "answered": tally.done - tally.failed,
        "failed": tally.failed,
        "from_cache": tally.known + tally.cached,
        "score": score,
        "alarms": tally.alarms,
    }
