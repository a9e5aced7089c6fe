"""Options that say what an answer must look like."""

from pathlib import Path
from typing import Annotated

import typer

from anyres.constraints import Choices, Constraint, JsonSchema, Regex
from anyres.errors import OptionError

__all__ = ["Pattern", "SchemaFile", "StopLoops", "Words", "constraint_of"]

_FORM = "Form of the answer"
SchemaFile = Annotated[
    Path | None,
    typer.Option("--json-schema", metavar="FILE", help="JSON that this schema allows.", rich_help_panel=_FORM),
]
Pattern = Annotated[
    str | None, typer.Option("--regex", metavar="R", help="Text that the whole of R matches.", rich_help_panel=_FORM)
]
Words = Annotated[str | None, typer.Option("--choices", metavar="A,B", help="One of these.", rich_help_panel=_FORM)]
StopLoops = Annotated[
    bool,
    typer.Option("--stop-loops/--no-stop-loops", help="End an answer that goes in circles.", rich_help_panel=_FORM),
]


def constraint_of(*, json_schema: Path | None, regex: str | None, choices: str | None) -> Constraint | None:
    """The one that is given, if any; OptionError for several, and for a file that cannot be read.

    >>> constraint_of(json_schema=None, regex=None, choices="yes, no")
    Choices(options=('yes', 'no'))
    """
    given = {"--json-schema": json_schema, "--regex": regex, "--choices": choices}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise OptionError(" and ".join(named), "given together", "one of them")
    if json_schema is not None:
        return JsonSchema(_text(json_schema))
    if regex is not None:
        return Regex(regex)
    return None if choices is None else Choices(tuple(word.strip() for word in choices.split(",")))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("--json-schema", f"{path} cannot be read ({error})", "a file with a JSON schema") from None
