"""`anyres eval import` and `export`: results as VLMEvalKit keeps them."""

from pathlib import Path
from typing import Annotated

import typer

from anyres.cli.eval_reading import read
from anyres.cli.options import Quiet
from anyres.cli.terminal import note, write_line
from anyres.errors import OptionError

__all__ = ["export", "import_results"]

FORMS = ("xlsx", "tsv", "json")
MOST_NAMED = 5


def import_results(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="XLSX, TSV or JSON of VLMEvalKit.")],
    data: Annotated[
        str, typer.Option(metavar="NAME|PATH|NAME=PATH", show_default=False, help="As for `anyres eval run`.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", show_default=False, help="Whose answers they are.")
    ],
    work_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.")] = Path("outputs"),
    run_name: Annotated[str, typer.Option("--run", metavar="NAME", help="The run's folder in it.")] = "imported",
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="As for `anyres eval run`.")] = None,
    quiet: Quiet = False,
) -> None:
    """Makes a run of answers that VLMEvalKit got, so that they are scored, compared and shown as any others.

    Example:

        anyres eval import outputs/qwen/qwen_MME.xlsx --data MME --model qwen
    """
    from anyres.evaluation.data.samples import read_samples
    from anyres.evaluation.data.vlmevalkit import records_of_results
    from anyres.evaluation.models.spec import ModelSpec
    from anyres.evaluation.run.plan import Plan, write_plan
    from anyres.evaluation.run.record_file import RecordFile
    from anyres.evaluation.run.sources import find_data

    source = find_data(data, data_dir)
    samples = read_samples(source.open(), Path(source.path)).samples
    records, strays = records_of_results(file, samples, benchmark=source.benchmark, model=model)
    if not records:
        raise OptionError("--data", f"no index in {file} is a sample of {source.benchmark}", "the data it is about")
    spec, folder = ModelSpec(model, str(file)), work_dir / run_name
    path = folder / "records" / source.benchmark / f"{spec.slug}.jsonl"
    if path.exists():
        raise OptionError("--run", f"{path} is there already", "another --run, or another --model")
    write_plan(Plan((source,), (spec,)), folder)
    RecordFile(path).append(records)
    write_line(str(folder))
    if not quiet:
        note(f"{len(records):,} of {len(samples):,} samples")
        for line in strays[:MOST_NAMED]:
            note(f"left out: {line} is not in the data")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="WORK_DIR/RUN of `anyres eval run`.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Gets MODEL/MODEL_DATASET.xlsx.")
    ],
    form: Annotated[str, typer.Option(metavar="xlsx|tsv|json", help="As VLMEvalKit's PRED_FORMAT.")] = "xlsx",
    quiet: Quiet = False,
) -> None:
    """Writes the answers of a run as VLMEvalKit does, so that its own scripts can score them.

    Example:

        anyres eval export outputs/run --out exported
    """
    from anyres.evaluation.data.vlmevalkit import write_results
    from anyres.evaluation.models.spec import ModelSpec

    if form not in FORMS:
        raise OptionError("--form", repr(form), ", ".join(FORMS))
    for asked in read([run], quiet=quiet).asked:
        for one in asked.answers:
            slug = ModelSpec(one.model, "").slug + (f"@{one.variant}" if one.variant else "")
            path = out / slug / f"{slug}_{asked.benchmark.name.replace('/', '_')}.{form}"
            write_line(str(write_results(path, one.samples, one.records)))
