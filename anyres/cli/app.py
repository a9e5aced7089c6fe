"""The app itself: its commands, and the one place where errors become an exit code.

    0    done
    1    `verify` found a difference
    2    bad input, told in one line on stderr
    130  stopped by Ctrl-C
    141  the reader of the output went away

Nothing here imports torch, so `anyres --help` answers at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from anyres.cli.ask import AskCommand, ask
from anyres.cli.cache import cache
from anyres.cli.card import card
from anyres.cli.chat import chat
from anyres.cli.eval import evaluation
from anyres.cli.find import find
from anyres.cli.inspect import inspect
from anyres.cli.models import models
from anyres.cli.pin import pin
from anyres.cli.pull import pull
from anyres.cli.quantize import quantize
from anyres.cli.serve import serve
from anyres.cli.terminal import complain, drop_stdout, write, write_line
from anyres.cli.train import train
from anyres.cli.verify import verify
from anyres.errors import AnyresError

__all__ = ["BAD_INPUT", "app", "main"]

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

EXAMPLES = """Pictures, documents and videos at any resolution in, text out: Qwen2-VL on your own machine.

The embedded checkpoint answers at once, without network; --model names a larger one.

Examples:

    anyres ask receipt.jpg "What is the total?"

    anyres find screenshot.png "the Save button" --draw found.png

    anyres inspect photo.jpg --draw grid.png

    anyres pull Qwen/Qwen2-VL-2B-Instruct
"""


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Bad input ends the command with one line on stderr and an exit code; bugs keep their traceback."""
    try:
        yield
    except AnyresError as error:
        complain(str(error))
        raise typer.Exit(BAD_INPUT) from None
    except typer.TyperException as error:  # unknown options, missing arguments
        complain(f"{error.format_message()} (see --help)")
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        drop_stdout()
        raise typer.Exit(BROKEN_PIPE) from None


class _Group(TyperGroup):
    """A command that fails tells why in one line, whichever command it is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _one_line_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _one_line_errors():
            return super().invoke(ctx)


def _show_version(wanted: bool) -> None:
    if wanted:
        write_line(f"anyres {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("anyres")
    except PackageNotFoundError:
        return "(from a source tree, not installed)"


app = typer.Typer(name="anyres", cls=_Group, help=EXAMPLES, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del show_version
    if context.invoked_subcommand is None:
        write(context.get_help())


app.command(cls=AskCommand)(ask)
for command in (chat, find, inspect, verify, pull, models, card, pin, cache, quantize, train, serve):
    app.command()(command)
app.add_typer(evaluation)


def main() -> None:
    """The console script `anyres`."""
    app()
