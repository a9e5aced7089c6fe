"""`anyres train`: trains a checkpoint on conversations with pictures and clips."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.cli.options import Json, Quiet
from anyres.cli.signals import Signals
from anyres.cli.terminal import console, note, status, write_json, write_line

if TYPE_CHECKING:
    from anyres.training.trainer import Figures, Trainer

__all__ = ["train"]

INTERRUPTED = 130
LINE_EVERY_S = 10.0
PARTS = 1000  # of the bar


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", show_default=False, help="A TOML file.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Trains a checkpoint as a TOML file says, and prints the folder of the new one.

    A run that was cut off goes on from its newest save with the same command. Ctrl-C ends it after the step at hand
    and saves. docs/training.md lists every key.

    Examples:

        anyres train receipts.toml

        anyres ask receipt.jpg "What is the total?" --model runs/receipts/step-00001000
    """
    with status("Loading ...", quiet=quiet):
        trainer = _trainer(config)
    wanted = Signals()
    with wanted, _progress(trainer, quiet=quiet) as show:
        trainer.run(on_step=show, stop=lambda: wanted.came)
    _report(trainer, as_json=as_json)
    if wanted.came:
        raise typer.Exit(INTERRUPTED)


def _trainer(path: Path) -> "Trainer":
    import torch

    from anyres.model.hub import resolve
    from anyres.model.weights import load_model
    from anyres.training.config import read_config
    from anyres.training.dataset import Dataset
    from anyres.training.trainer import Trainer

    config = read_config(path)
    media = Path(config.data.media_folder) if config.data.media_folder else None
    source = Dataset(tuple(map(Path, config.data.files)), media_folder=media)
    folder = resolve(config.model)
    return Trainer(load_model(folder, dtype=torch.float32), folder=folder, source=source, config=config)


@contextmanager
def _progress(trainer: "Trainer", *, quiet: bool) -> "Iterator[Callable[[Figures], None]]":
    """A bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield _silent
        return
    if not sys.stderr.isatty():
        yield _lines(trainer)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    with Progress(words, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=console()) as bar:
        task = bar.add_task("first step", total=PARTS, completed=_done(trainer))
        line = _sayer(trainer)
        yield lambda figures: bar.update(task, description=line(figures), completed=_done(trainer))


def _silent(figures: "Figures") -> None:
    del figures


def _done(trainer: "Trainer") -> int:
    return round(PARTS * min(1.0, trainer.progress.share))


def _lines(trainer: "Trainer") -> "Callable[[Figures], None]":
    line, last = _sayer(trainer), [0.0]

    def show(figures: "Figures") -> None:
        if time.monotonic() - last[0] >= LINE_EVERY_S:
            last[0] = time.monotonic()
            note(line(figures))

    return show


def _sayer(trainer: "Trainer") -> "Callable[[Figures], str]":
    """Says how a step went; speed and time left are those of this sitting."""
    progress = trainer.progress
    samples, share, began = progress.samples, progress.share, time.monotonic()

    def line(figures: "Figures") -> str:
        elapsed_s = max(1e-9, time.monotonic() - began)
        speed = (progress.samples - samples) / elapsed_s
        gained = progress.share - share
        left = f"{_clock(elapsed_s * (1 - progress.share) / gained)} left" if gained > 0 else "time left unknown"
        return f"step {figures.step}  loss {figures.loss:.4f}  {speed:,.1f} samples/s  {left}"

    return line


def _clock(seconds: float) -> str:
    """As 1:02:03."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _report(trainer: "Trainer", *, as_json: bool) -> None:
    from anyres.training.saves import complete_saves

    progress, data = trainer.progress, trainer.data_state
    folder = str(complete_saves(trainer.out)[-1])
    if as_json:
        counts = {"steps": progress.step, "samples": progress.samples, "rejected": data.rejected}
        write_json({"path": folder, **counts, "seconds": round(progress.seconds, 1)})
        return
    write_line(folder)
    if data.rejected:
        note(f"{data.rejected} samples could not be used: see {trainer.out / 'rejected.jsonl'}")
