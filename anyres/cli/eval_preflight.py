"""`anyres eval preflight`: whether data is whole and what a run will take, before it is begun."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import note, status, write_json, write_line

if TYPE_CHECKING:
    from anyres.evaluation.data.leaks import Leak
    from anyres.evaluation.preflight import Findings, Trial

__all__ = ["preflight"]

PROBLEMS = 1
MOST_NAMED = 5


def preflight(
    data: Annotated[
        list[str],
        typer.Option(metavar="NAME|PATH|NAME=PATH", show_default=False, help="As for `anyres eval run`."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="Asks it a few samples, to tell the costs.")
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="How many it is asked.")] = 5,
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="As for `anyres eval run`.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Samples the run will ask.")] = None,
    price_in: Annotated[float, typer.Option(metavar="P", min=0, help="Of a million tokens read.")] = 0.0,
    price_out: Annotated[float, typer.Option(metavar="P", min=0, help="Of a million tokens written.")] = 0.0,
    leaks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Looks for the benchmark's pictures among those in a folder.")
    ] = None,
    decode: Annotated[bool, typer.Option(help="Decodes every picture.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Looks at data before a run: rows against the published number, missing answers, ids that come twice, pictures
    that do not decode, the first prompt. With --model it asks five samples and tells tokens, memory, time and cost.

    Exit code 1 tells that something is not as it should be.

    Examples:

        anyres eval preflight --data MME

        anyres eval preflight --data own.yaml --model tiny --leaks training/pictures
    """
    from anyres.evaluation.preflight import look_at_data
    from anyres.evaluation.run.sources import find_data

    told: list[dict[str, Any]] = []
    for text in (one for names in data for one in names.split(",") if one):
        source = find_data(text, data_dir)
        with status(f"Reading {source.benchmark} ...", quiet=quiet) as shown:

            def progress(done: int, whole: int, *, name: str = source.benchmark, line: Any = shown) -> None:
                if line is not None:
                    line.update(f"{name}: picture {done:,} of {whole:,} ...")

            found = look_at_data(source.open(), Path(source.path), decode=decode, progress=progress)
        trial = _trial(found, source, model, samples, quiet=quiet) if model else None
        leaked = _leaks(found, leaks, quiet=quiet) if leaks is not None else []
        told.append(_as_dict(found, trial, leaked, limit, (price_in, price_out)))
        if not as_json:
            _show(told[-1], found)
    if as_json:
        write_json(told)
    if any(one["problems"] for one in told):
        raise typer.Exit(PROBLEMS)


def _trial(found: "Findings", source: Any, model: str, count: int, *, quiet: bool) -> "Trial":
    from anyres.disk_cache import open_cache
    from anyres.evaluation.models.opening import open_model
    from anyres.evaluation.models.spec import parse_model
    from anyres.evaluation.preflight import try_out
    from anyres.evaluation.run.task import Task

    spec = parse_model(model)
    opened = open_model(spec, open_cache(otherwise=True) or None)
    try:
        with status(f"Asking {spec.name} ...", quiet=quiet):
            return try_out(Task(source.open(), found.samples, spec, Path()), opened, count=count)
    finally:
        opened.close()


def _leaks(found: "Findings", folder: Path, *, quiet: bool) -> "list[Leak]":
    from anyres.evaluation.data.leaks import find_leaks

    with status(f"Comparing pictures with those in {folder} ...", quiet=quiet):
        return find_leaks(found.samples, folder)


def _as_dict(
    found: "Findings", trial: "Trial | None", leaked: "Sequence[Leak]", limit: int | None, prices: tuple[float, float]
) -> dict[str, Any]:
    asked = min(len(found.samples), limit or len(found.samples))
    problems = found.problems
    if leaked:
        problems.append(f"{len({one.sample for one in leaked}):,} samples have their picture in that folder")
    if trial is not None and trial.failed:
        problems.append(f"{len(trial.failed)} of {trial.asked} samples were not answered: {trial.failed[0]}")
    return {
        "benchmark": found.benchmark,
        "data": found.data,
        "samples": len(found.samples),
        "official_rows": found.official_rows,
        "media": found.media,
        "broken": [str(error) for error in found.broken],
        "no_gold": found.no_gold,
        "unreadable": [list(one) for one in found.unreadable],
        "leaks": [[one.sample, str(one.file), one.bits] for one in leaked],
        "preview": found.preview,
        "trial": None if trial is None else _costs(trial, asked, prices),
        "problems": problems,
        "remarks": found.remarks,
    }


def _costs(trial: "Trial", asked: int, prices: tuple[float, float]) -> dict[str, Any]:
    seconds = trial.seconds(asked)
    return {
        **trial._asdict(),
        "samples_of_the_run": asked,
        "tokens_read": round(asked * trial.prompt_tokens),
        "tokens_written": round(asked * trial.completion_tokens),
        "seconds": None if math.isinf(seconds) else round(seconds, 1),
        "cost": round(trial.cost(asked, price_in=prices[0], price_out=prices[1]), 4) if any(prices) else None,
    }


def _show(told: dict[str, Any], found: "Findings") -> None:
    official = f" (published: {found.official_rows:,})" if found.official_rows is not None else ""
    write_line(f"{found.benchmark}: {told['samples']:,} samples{official}, {told['media']:,} pictures or clips")
    for text in told["problems"]:
        write_line(f"  ! {text}")
    for text in told["remarks"]:
        write_line(f"  {text}")
    for error in found.broken[1:MOST_NAMED]:
        note(f"broken: {error}")
    for sample, file, bits in told["leaks"][:MOST_NAMED]:
        note(f"leak: {sample} is {file} ({bits} of 256 bits differ)")
    write_line("  the first prompt:")
    for line in found.preview.splitlines():
        write_line(f"    {line}")
    if told["trial"] is not None:
        _show_trial(told["trial"])


def _show_trial(trial: dict[str, Any]) -> None:
    means = f"{trial['prompt_tokens']:,.0f} tokens read ({trial['visual_tokens']:,.0f} visual)"
    write_line(f"  a sample: {means}, {trial['completion_tokens']:,.1f} written, {trial['samples_per_s']:.2f} a second")
    hours = "unknown" if trial["seconds"] is None else _clock(trial["seconds"])
    cost = "" if trial["cost"] is None else f", cost {trial['cost']:,.2f}"
    whole = f"{trial['tokens_read']:,} tokens read, {trial['tokens_written']:,} written"
    write_line(f"  the run: {trial['samples_of_the_run']:,} samples, {whole}, about {hours}{cost}")
    if trial["memory_bytes"]:
        write_line(f"  memory: {trial['memory_bytes'] / 1e9:.1f} GB at the peak so far")
    for sample, answer in trial["answers"]:
        write_line(f"  {sample}: {' '.join(answer.split())[:100]}")


def _clock(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
