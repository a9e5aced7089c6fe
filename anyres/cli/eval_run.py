"""`anyres eval run`: asks models what benchmarks ask, and goes on where it was cut off."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from anyres.cli.options import Device, Dtype, Fps, Json, MaxPixels, Memory, MinPixels, Quiet
from anyres.cli.signals import Signals
from anyres.cli.terminal import note
from anyres.errors import OptionError

if TYPE_CHECKING:
    from anyres.evaluation.models.spec import ModelSpec
    from anyres.evaluation.run.variant import Variant

__all__ = ["RunCommand", "run", "values_repeated"]

INCOMPLETE = 1
INTERRUPTED = 130
MODES = ("all", "infer", "eval")
COORDINATES = ("thousandths", "pixels", "unit")
_WHAT, _HOW, _ENDPOINT, _OTHER = "What is asked", "How it is asked", "Endpoints", "VLMEvalKit's options"
LISTS = ("--data", "--model", "-m", "--control", "--sweep")


class RunCommand(TyperCommand):
    """Takes `--data A B` for `--data A --data B`, as VLMEvalKit does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, values_repeated(args, LISTS))


def values_repeated(args: Sequence[str], options: Sequence[str]) -> list[str]:
    """Each further value of an option gets the option before it.

    >>> values_repeated(["--data", "A", "B", "--limit", "3"], ["--data"])
    ['--data', 'A', '--data', 'B', '--limit', '3']
    """
    out: list[str] = []
    option, is_first = "", False
    for arg in args:
        if arg.startswith("-"):
            option, is_first = arg if arg in options else "", True
            out.append(arg)
            continue
        out += [arg] if is_first or not option else [option, arg]
        is_first = False
    return out


def run(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|PATH|NAME=PATH", help="Benchmarks; several, or with commas between.", rich_help_panel=_WHAT
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="tiny, a folder, org/name, http://host/v1#name, transformers:org/name; LABEL= in front calls it so.",
            rich_help_panel=_WHAT,
        ),
    ],
    work_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.", rich_help_panel=_WHAT)] = Path(
        "outputs"
    ),
    run_name: Annotated[
        str, typer.Option("--run", metavar="NAME", help="The run's folder in it.", rich_help_panel=_WHAT)
    ] = "run",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where data is by the name of its benchmark; else ANYRES_EVAL_DATA or LMUData.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The first N samples of each.", rich_help_panel=_WHAT)
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="blind|shuffled|circular",
            help="Beside it: without pictures; options in another order; in every rotation.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KNOB=N,N",
            help="Beside it: at other sizes, as max_pixels=50176,200704, pixels=... or nframes=8,16.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Who judges answers that no rule can score.", rich_help_panel=_WHAT),
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="all|infer|eval", help="Ask and judge; ask only; judge only.", rich_help_panel=_WHAT)
    ] = "all",
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="Longest answer.", rich_help_panel=_HOW)] = None,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="0 is greedy.", rich_help_panel=_HOW)] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of what is drawn.", rich_help_panel=_HOW)] = None,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    fps: Fps = None,
    nframe: Annotated[
        int | None,
        typer.Option("--nframe", "--nframes", metavar="N", help="Frames of each clip.", rich_help_panel=_HOW),
    ] = None,
    coordinates: Annotated[
        str,
        typer.Option(metavar="thousandths|pixels|unit", help="What the model's boxes are in.", rich_help_panel=_HOW),
    ] = "thousandths",
    nproc: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes, or actors of a cluster.", rich_help_panel=_HOW)
    ] = 1,
    at_once: Annotated[
        int | None,
        typer.Option(
            "--at-once", "--api-nproc", metavar="N", min=1, help="Questions under way together.", rich_help_panel=_HOW
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = None,
    memory: Memory = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster; auto finds it.", rich_help_panel=_HOW)
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The interpreter for transformers: models.", rich_help_panel=_HOW),
    ] = None,
    cache: Annotated[bool, typer.Option(help="Take answers that were given before.", rich_help_panel=_HOW)] = True,
    retry: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often a question is put at most.", rich_help_panel=_ENDPOINT)
    ] = 3,
    retry_budget: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="How many may be put again in all.", rich_help_panel=_ENDPOINT),
    ] = 100,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long silence is borne.", rich_help_panel=_ENDPOINT)
    ] = 300.0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option(help="Every answer on stderr.", rich_help_panel=_OTHER)] = False,
    reuse: Annotated[bool, typer.Option(help="Always so.", rich_help_panel=_OTHER, hidden=True)] = False,
    pack: Annotated[bool, typer.Option(help="No effect.", rich_help_panel=_OTHER, hidden=True)] = False,
) -> None:
    """Asks every model every benchmark, and keeps each answer the moment it is there.

    The same command goes on where it was cut off, and may be given several times at once: who shares a folder shares
    the work. Exit code 1 tells that something was not answered.

    Examples:

        anyres eval run --data MMBench_DEV_EN=mmbench.tsv --model tiny --control blind

        anyres eval run --data MME,ChartQA --model Qwen/Qwen2-VL-2B-Instruct --model http://127.0.0.1:8000/v1#other
    """
    from anyres.cli.eval_watch import watching
    from anyres.disk_cache import open_cache
    from anyres.evaluation.run.plan import Plan
    from anyres.evaluation.run.running import run_plan
    from anyres.evaluation.run.sources import find_data
    from anyres.evaluation.run.task import Overrides

    _one_of("--mode", mode, MODES)
    _one_of("--coordinates", coordinates, COORDINATES)
    if pack and not quiet:
        note("--pack has no effect: every question is asked by itself")
    if reuse and not quiet:
        note("--reuse has no effect: it is always so")
    knobs = {
        "device": device,
        "dtype": dtype,
        "memory": memory,
        "coordinates": coordinates,
        "at_once": at_once,
        "tries": retry,
        "retry_budget": retry_budget,
        "timeout_s": timeout,
        "python": python,
        "ray": ray,
        "ray_workers": nproc if ray else 1,
    }
    plan = Plan(
        data=tuple(find_data(one, data_dir) for text in data for one in text.split(",") if one),
        models=_models(model, knobs),
        variants=_variants(control or (), sweep or ()),
        overrides=Overrides(max_tokens, temperature, seed, min_pixels, max_pixels, fps, nframe),
        limit=limit,
        judge=_models([judge], knobs)[0] if judge and mode != "infer" else None,
    )
    disk = (open_cache(otherwise=True) if cache else None) or None
    signals = Signals()
    with signals, watching(quiet=quiet, verbose=verbose) as watcher:
        outcome = run_plan(
            plan,
            work_dir / run_name,
            disk=disk,
            processes=1 if ray else nproc,
            infer=mode != "eval",
            watcher=watcher,
            stop=lambda: signals.came,
        )
    from anyres.cli.eval_account import give_account

    give_account(outcome, work_dir / run_name, as_json=as_json, quiet=quiet)
    if outcome.stopped:
        raise typer.Exit(INTERRUPTED)
    if not outcome.is_whole:
        raise typer.Exit(INCOMPLETE)


def _models(texts: Sequence[str], knobs: dict[str, Any]) -> "tuple[ModelSpec, ...]":
    from dataclasses import replace

    from anyres.evaluation.models.spec import parse_model

    specs = [replace(parse_model(text), **knobs) for text in texts]
    names = [spec.slug for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError("--model", f"two models called {twice}", "a name for each: LABEL=MODEL")
    return tuple(specs)


def _variants(controls: Sequence[str], sweeps: Sequence[str]) -> "tuple[Variant, ...]":
    from anyres.evaluation.run.variant import PLAIN, parse_sweep, variant_of

    named = [variant_of(one) for text in controls for one in text.split(",")]
    swept = [one for text in sweeps for one in parse_sweep(text)]
    return tuple(dict.fromkeys((PLAIN, *named, *swept)))


def _one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise OptionError(option, repr(value), " or ".join(allowed))
