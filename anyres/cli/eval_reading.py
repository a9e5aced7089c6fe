"""What several `anyres eval` commands share: the records of runs, scored."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.cli.terminal import escape, note, status

if TYPE_CHECKING:
    from anyres.evaluation.report.results import Result
    from anyres.evaluation.report.run_folder import ReadRuns

__all__ = ["Draws", "Runs", "read", "scored"]

MOST_NAMED = 5
Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", show_default=False, help="Folders of runs: WORK_DIR/RUN of `anyres eval run`."),
]
Draws = Annotated[int, typer.Option(metavar="N", min=100, help="Draws for intervals and tests.")]


def read(runs: Sequence[Path], *, quiet: bool) -> "ReadRuns":
    """Says what cannot be scored."""
    from anyres.evaluation.report.run_folder import read_runs

    with status("Reading ...", quiet=quiet):
        found = read_runs(runs)
    if not quiet:
        for line in (*found.refused, *(f"not a record: {one}" for one in found.damaged[:MOST_NAMED])):
            note(line)
    return found


def scored(found: "ReadRuns", *, draws: int, quiet: bool) -> "list[Result]":
    """No model is asked."""
    from anyres.evaluation.report.results import make_result

    with status("Scoring ...", quiet=quiet) as shown:

        def tell(text: str) -> None:
            if shown is not None:
                shown.update(f"Scoring {escape(text)} ...")

        return [
            make_result(
                one.benchmark,
                one.answers,
                data=one.data,
                samples=one.samples,
                broken=one.broken,
                draws=draws,
                tell=tell,
            )
            for one in found.asked
        ]
