"""`anyres eval rescore`: old answers under today's rules, and what that changes."""

import json
from typing import TYPE_CHECKING, Any

from anyres.cli.eval_reading import Draws, Runs, read, scored
from anyres.cli.eval_tables import show_tables
from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import cell, note, write_json, write_table

if TYPE_CHECKING:
    from anyres.evaluation.report.rescored import Change

__all__ = ["rescore"]

SHOWN = ("scores", "controls", "sweeps")
MOST_NAMED = 20


def rescore(runs: Runs, draws: Draws = 1000, as_json: Json = False, quiet: Quiet = False) -> None:
    """Scores the answers of runs anew, without asking a model, and tells which samples score otherwise than when they
    were answered. Records stay as they are; scores.json in each run's folder holds the new figures.

    Example:

        anyres eval rescore outputs/run
    """
    from anyres.evaluation.report.rescored import changes_of
    from anyres.evaluation.report.scores_json import scores_dict

    told: list[Any] = []
    for folder in runs:
        results = scored(read([folder], quiet=quiet), draws=draws, quiet=quiet)
        changes = [change for result in results for change in changes_of(result)]
        path = folder / "scores.json"
        path.write_text(json.dumps(scores_dict(results), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        told.append({"run": str(folder), "changed": [one._asdict() for one in changes], **scores_dict(results)})
        if not as_json:
            show_tables(results, SHOWN)
            _show(changes)
        if not quiet:
            note(f"{len(changes):,} scores are others than when they were recorded")
            note(str(path))
    if as_json:
        write_json(told)


def _show(changes: "list[Change]") -> None:
    from rich.table import Table

    if not changes:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("benchmark", "model", "scoring", "sample", "before", "now", "rule before", "rule now"):
        table.add_column(cell(name))
    for one in changes[:MOST_NAMED]:
        model = f"{one.model} ({one.variant})" if one.variant else one.model
        scores = (f"{one.before:g} (v{one.version_before})", f"{one.now:g} (v{one.version_now})")
        table.add_row(
            *map(cell, (one.benchmark, model, one.scoring, one.sample, *scores, one.rule_before, one.rule_now))
        )
    write_table(table)
    if len(changes) > MOST_NAMED:
        note(f"and {len(changes) - MOST_NAMED:,} more, in --json")
