"""`anyres eval`: benchmarks of the field, run on any model. Its commands are one file each."""

import typer

from anyres.cli.eval_compare import compare
from anyres.cli.eval_exchange import export, import_results
from anyres.cli.eval_preflight import preflight
from anyres.cli.eval_prepare import prepare
from anyres.cli.eval_report import report
from anyres.cli.eval_rescore import rescore
from anyres.cli.eval_run import RunCommand, run

__all__ = ["evaluation"]

evaluation = typer.Typer(
    name="eval",
    help="Benchmarks of the field on any model: run them, and compute scores and reports from what was answered.",
    no_args_is_help=True,
)
evaluation.command("run", cls=RunCommand)(run)
for command in (prepare, preflight, report, rescore, compare, export):
    evaluation.command()(command)
evaluation.command("import")(import_results)
