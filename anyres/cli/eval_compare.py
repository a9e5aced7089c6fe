"""`anyres eval compare`: two models on the same samples, and where they differ."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyres.cli.eval_reading import Draws, Runs, read, scored
from anyres.cli.eval_tables import show_tables
from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import cell, note, write_json, write_table
from anyres.errors import OptionError

if TYPE_CHECKING:
    from anyres.evaluation.report.results import Entry, Result

__all__ = ["compare"]


def compare(
    runs: Runs,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME", help="Only these; twice. Else every pair of models."),
    ] = None,
    flips: Annotated[int, typer.Option(metavar="N", min=0, help="Samples shown on which they differ.")] = 10,
    draws: Draws = 1000,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compares models in pairs on the samples that both answered: difference with its interval, a paired permutation
    test, wins and losses, and what difference so many samples could have shown. No model is asked.

    Examples:

        anyres eval compare outputs/run

        anyres eval compare outputs/before outputs/after --flips 50
    """
    from anyres.evaluation.report.scores_json import scores_dict

    found = read(runs, quiet=quiet)
    results = scored(_only(found, model) if model else found, draws=draws, quiet=quiet)
    if not any(result.duels for result in results):
        raise OptionError("RUN", "no two models with a sample in common", "runs of two models on one benchmark")
    if as_json:
        write_json({"flips": _flips(results), **scores_dict(results)})
        return
    show_tables(results, ("comparisons",))
    _show(_flips(results), flips)


def _only(found: Any, models: Sequence[str]) -> Any:
    from dataclasses import replace

    names = {one.model for asked in found.asked for one in asked.answers}
    for name in models:
        if name not in names:
            raise OptionError("--model", repr(name), ", ".join(sorted(names)))
    kept = [replace(asked, answers=tuple(one for one in asked.answers if one.model in models)) for asked in found.asked]
    return replace(found, asked=tuple(kept))


def _flips(results: "Sequence[Result]") -> list[dict[str, Any]]:
    """Samples of each pair, in the first scoring, on which their scores differ."""
    found = []
    for result in results:
        by_name = {entry.name: entry for entry in result.plain}
        for duel in result.duels:
            if duel.scoring == result.official.name:
                found += _of_pair(result, by_name[duel.first], by_name[duel.second])
    return found


def _of_pair(result: "Result", first: "Entry", second: "Entry") -> list[dict[str, Any]]:
    name = result.official.name
    others = {one.sample.id: one for one in second.by[name].graded}
    return [
        {
            "benchmark": result.benchmark.name,
            "sample": one.sample.id,
            "question": one.sample.question,
            "gold": list(one.sample.golds),
            "first": first.name,
            "first_score": one.score,
            "first_raw": first.answers.records[one.sample.id].raw,
            "second": second.name,
            "second_score": other.score,
            "second_raw": second.answers.records[one.sample.id].raw,
        }
        for one in first.by[name].graded
        if (other := others.get(one.sample.id)) is not None and other.score != one.score
    ]


def _show(flips: Sequence[dict[str, Any]], most: int) -> None:
    from rich.table import Table

    if not most or not flips:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("benchmark", "sample", "gold", "first", "", "second", ""):
        table.add_column(cell(heading))
    for one in flips[:most]:
        gold = " | ".join(one["gold"])
        first = (_short(one["first_raw"]), f"{one['first_score']:g}")
        second = (_short(one["second_raw"]), f"{one['second_score']:g}")
        table.add_row(*map(cell, (one["benchmark"], one["sample"], _short(gold), *first, *second)))
    write_table(table)
    if len(flips) > most:
        note(f"{len(flips):,} samples differ; --flips shows more, and `anyres eval report` all")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"
