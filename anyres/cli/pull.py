"""`anyres pull`: fetches a checkpoint from the hub."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import console, escape, note, write_json, write_line

if TYPE_CHECKING:
    from anyres.model.hub import Progress, PullProgress

__all__ = ["pull"]


def pull(
    repo: Annotated[str, typer.Argument(metavar="ORG/NAME", show_default=False, help="The hub's name of it.")],
    revision: Annotated[str | None, typer.Option(metavar="NAME", help="A branch, tag or commit; else main.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetches a checkpoint into the cache that all Hugging Face tools share, and prints its folder.

    Every file is checked against the hub's checksum. After Ctrl-C or a lost connection the same command goes on
    where it stopped. ANYRES_HUB_ENDPOINT names a mirror, ANYRES_OFFLINE=1 forbids the network.

    Examples:

        anyres pull Qwen/Qwen2-VL-2B-Instruct

        anyres pull Qwen/Qwen2-VL-7B-Instruct --revision main

        ANYRES_HUB_ENDPOINT=https://mirror.example anyres pull Qwen/Qwen2-VL-2B-Instruct
    """
    from anyres.model.hub import pull as fetch

    with _progress(quiet) as progress:
        folder = fetch(repo, revision=revision, progress=progress)
    if as_json:
        write_json({"name": repo, "revision": revision or "main", "path": str(folder)})
    else:
        write_line(str(folder))
    if not quiet and sys.stderr.isatty():
        name = f"{repo}@{revision}" if revision else repo
        note(f'ready: anyres ask photo.jpg "What is this?" --model {name}')


@contextmanager
def _progress(quiet: bool) -> "Iterator[Progress | None]":
    """A bar over the bytes of the whole checkpoint, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console()) as bar:
        task = bar.add_task("looking", total=None)

        def show(done: "PullProgress") -> None:
            bar.update(task, description=escape(done.file), completed=done.done_bytes, total=done.total_bytes)

        yield show
