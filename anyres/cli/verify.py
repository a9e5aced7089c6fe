"""`anyres verify`: proves that this installation computes what the original programs compute."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyres.cli.options import Device, Json, Quiet
from anyres.cli.terminal import cell, status, write_json, write_line, write_table

if TYPE_CHECKING:
    from rich.table import Table

    from anyres.parity.result import CheckResult

__all__ = ["verify"]

DIFFERENT = 1


def verify(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", show_default=False, help="tiny, a folder, or a pulled org/name.")
    ] = None,
    goldens: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Golden files of your own in place of the shipped ones.")
    ] = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="Golden logits are compared in float32 only.")] = "float32",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compares this installation with golden numbers of the original programs, and a checkpoint with itself.

    Sizes, patches, frames, token ids, positions and logits of qwen-vl-utils 0.0.8 and transformers 4.57.6; decoding
    with cache against one pass; a batch against single prompts; the checkpoint's own golden.npz where it has one.
    Exit code 0: everything equal. 1: a difference. 2: a checkpoint or file that cannot be read.

    Examples:

        anyres verify

        anyres verify Qwen/Qwen2-VL-2B-Instruct --dtype bfloat16

        anyres verify ./my-finetune --json
    """
    results = _run(model, device=device, dtype=dtype, goldens=goldens, quiet=quiet)
    differing = [one for one in results if one.differing]
    if as_json:
        write_json({"model": model or "tiny", "passed": not differing, "checks": [_as_dict(one) for one in results]})
    else:
        write_table(_table(results))
        write_line(_summary(results))
    if differing:
        raise typer.Exit(DIFFERENT)


def _run(model: str | None, *, device: str, dtype: str, goldens: Path | None, quiet: bool) -> "list[CheckResult]":
    with status("Loading ...", quiet=quiet) as line:
        from anyres.parity.goldens import SHIPPED
        from anyres.parity.suite import verify as stages

        results: list[CheckResult] = []
        for stage in stages(model, device=device, dtype=dtype, goldens=goldens or SHIPPED):
            if line is not None:
                line.update(f"Checking {stage.words} ...")
            results += stage.run()
        return results


def _table(results: "list[CheckResult]") -> "Table":
    from rich.table import Table

    table = Table("check", "against", "cases", "worst difference", "allowed", "verdict", box=None, pad_edge=False)
    colours = {"equal": "green", "DIFFERS": "bold red", "no golden": "yellow"}
    for one in results:
        verdict = f"[{colours[one.verdict]}]{one.verdict}[/]"
        cells = (one.check, one.against, f"{one.cases:,}" if one.cases else "-", _worst(one), _allowed(one))
        table.add_row(*map(cell, cells), verdict)
    return table


def _worst(one: "CheckResult") -> str:
    if one.cases == 0:
        return "-"
    number = "0" if one.worst == 0 else f"{one.worst:.3g}"
    return f"{number} {one.unit}".strip()


def _allowed(one: "CheckResult") -> str:
    return "-" if one.cases == 0 else "0" if one.allowed == 0 else f"{one.allowed:.0e}"


def _summary(results: "list[CheckResult]") -> str:
    """The last line; in front of it the first case of each check that differs, and why a check has no cases."""
    lines = [
        f"{one.check}: {one.differing} of {one.cases} differ, first {one.detail}" for one in results if one.differing
    ]
    lines += [f"{one.check}: nothing to compare with ({one.detail})" for one in results if one.cases == 0]
    equal = sum(one.verdict == "equal" for one in results)
    lines.append(f"{equal} checks equal, {sum(one.differing > 0 for one in results)} different")
    return "\n".join(lines)


def _as_dict(one: "CheckResult") -> dict[str, Any]:
    """JSON has no infinity and no NaN: such a difference is null."""
    finite = one.worst < float("inf")
    return asdict(one) | {"worst": one.worst if finite else None, "verdict": one.verdict}
