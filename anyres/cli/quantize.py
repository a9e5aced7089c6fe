"""`anyres quantize`: makes a smaller checkpoint and measures what that cost."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import console, note, status, write_json, write_line
from anyres.errors import OptionError

if TYPE_CHECKING:
    import torch

    from anyres.quant.card import Card
    from anyres.quant.quantise import Method, Progress

__all__ = ["quantize"]

METHODS = ("int4", "int8", "nf4")
PARTS = 1000  # of the bar
FLOAT32_SHARE = 0.5  # of the memory that a source may take that is opened in float32


def quantize(
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="tiny, a folder, or org/name.")],
    to: Annotated[str, typer.Option("--to", metavar="|".join(METHODS), help="What the weights are kept in.")] = "int4",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", show_default=False, help="A new folder.")
    ] = Path(),
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURES", help="A picture or a folder of some like yours. May be repeated."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Writes a checkpoint whose weights are kept in 4 or 8 bits, with a card of what that cost.

    int8 is near the source; int4 is half of that, and faster; nf4 is what bitsandbytes reads. For int4, weights are
    rounded so that little is lost on drawn pictures, and on those of --calibrate. The card compares next tokens with
    the source's: on every second picture of --calibrate, which rounding has not seen, or on some that come with
    anyres. Weights pass through one at a time: a 72B needs some gigabytes of memory. DIR is there only when all of
    it is.

    Examples:

        anyres quantize Qwen/Qwen2-VL-2B-Instruct --to int4 -o qwen-2b-int4

        anyres quantize Qwen/Qwen2-VL-7B-Instruct --to int4 --calibrate my-receipts/ -o qwen-7b-receipts

        anyres quantize tiny --to int8 -o tiny-int8 && anyres ask receipt.jpg "What is the total?" -m tiny-int8
    """
    method = _method(to)
    if output == Path():
        raise OptionError("--output", "none", "a new folder")
    with _progress(quiet) as report:
        card = _quantise(model, method, output, calibrate or [], report)
    _tell(card, output, as_json=as_json, quiet=quiet)


def _method(to: str) -> "Method":
    from anyres.quant.quantise import METHODS as KNOWN

    for method in KNOWN:
        if method == to:
            return method
    raise OptionError("--to", repr(to), ", ".join(KNOWN))


def _quantise(
    name: str, method: "Method", output: Path, calibrate: list[Path], report: "Callable[[Progress], None]"
) -> "Card":
    from anyres.engine.checkpoint import choose_compute
    from anyres.engine.drawn import drawn_prompts
    from anyres.engine.load import load
    from anyres.engine.probes import default_pictures, make_probes, pictures_in
    from anyres.model.hub import resolve
    from anyres.quant.quantise import Progress, check_target, quantise

    source = resolve(name)
    check_target(source, output)
    given = [one for path in calibrate for one in pictures_in(path)]
    shown = given[::2] if method == "int4" else []
    measured = (given[1::2] if method == "int4" else given) or default_pictures()
    model = load(name, dtype=_source_dtype(source))
    probes = make_probes(
        model,
        [*measured, *shown],
        step=lambda done, total: report(Progress("answering with the source", 0.3 * done / total)),
    )
    questions = len(probes) * len(measured) // len(measured + shown)
    taught = [probe.prompt for probe in probes[questions:]]
    return quantise(
        source,
        output,
        to=method,
        model=model.model,
        probes=probes[:questions],
        compute=choose_compute(model.device),
        prompts=taught + drawn_prompts(model.processor) if method == "int4" else (),
        report=lambda progress: report(progress._replace(share=0.3 + 0.7 * progress.share)),
    )


def _source_dtype(source: Path) -> "torch.dtype | None":
    """float32 where that leaves memory over; else the file's own, which is mapped and takes none."""
    import os

    import torch

    from anyres.model.weights import count_parameters, stored_dtype

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return torch.float32 if 4 * count_parameters(source) < FLOAT32_SHARE * memory else stored_dtype(source)


@contextmanager
def _progress(quiet: bool) -> "Iterator[Callable[[Progress], None]]":
    """A bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    with status("Loading ...", quiet=quiet):
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    words = TextColumn("{task.description}", markup=False)
    with Progress(words, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console()) as bar:
        task = bar.add_task("loading", total=PARTS)
        yield lambda progress: bar.update(task, description=progress.stage, completed=round(PARTS * progress.share))


def _silent(progress: "Progress") -> None:
    del progress


def _tell(card: "Card", output: Path, *, as_json: bool, quiet: bool) -> None:
    from dataclasses import asdict

    from anyres.quant.card import warning_of

    if as_json:
        write_json({"path": str(output), "card": asdict(card)})
    else:
        write_line(str(output))
    if quiet:
        return
    loss = card.loss
    note(
        f"{card.bytes / 1e6:,.1f} MB; KL {loss.kl_mean:.4f} nats from the source, the same likeliest token "
        f"{loss.top1:.1%} of the time, over {loss.positions} tokens: see {output / 'QUANTIZATION.md'}"
    )
    if warning := warning_of(card, output.name):
        note(warning)
