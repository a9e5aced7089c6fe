"""`anyres eval report`: what was answered, as figures with intervals, tables, charts and one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from anyres.cli.eval_reading import Draws, Runs, read, scored
from anyres.cli.eval_tables import show_tables
from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import note, write_json

__all__ = ["report"]

SHOWN = ("scores", "comparisons", "targets", "mme", "sweeps", "controls", "broken")


def report(
    runs: Runs,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where it is written; else RUN/report.")
    ] = None,
    form: Annotated[
        list[str] | None, typer.Option(metavar="html|md|json|csv|xlsx", help="Only these forms; may be repeated.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Its heading; else the name of the run.")] = None,
    draws: Draws = 1000,
    picture_mb: Annotated[
        float, typer.Option(metavar="N", min=0, help="Megabytes of small pictures in the HTML file.")
    ] = 24.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Computes every figure from the records of runs, with its interval, and writes a report. No model is asked.

    Several runs become one report, their models side by side.

    Examples:

        anyres eval report outputs/run

        anyres eval report outputs/monday outputs/tuesday --out compared --form html
    """
    from anyres.evaluation.report.scores_json import scores_dict
    from anyres.evaluation.report.written import FORMS, write_report

    results = scored(read(runs, quiet=quiet), draws=draws, quiet=quiet)
    written = write_report(
        results,
        out or runs[0] / "report",
        title=title or " and ".join(folder.resolve().name for folder in runs),
        forms=tuple(form) if form else FORMS,
        max_picture_bytes=int(picture_mb * 1e6),
    )
    if as_json:
        write_json({"written": [str(path) for path in written.paths], **scores_dict(results)})
    else:
        show_tables(results, SHOWN)
    if not quiet:
        for line in (*map(str, written.paths), written.left_out):
            note(line) if line else None
