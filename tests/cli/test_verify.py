"""`anyres verify`: a table for people, JSON for programs, and exit code 1 when a single golden number is off."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyres.parity.goldens import SHIPPED, Arrays, read_goldens
from tests.cli.conftest import Run

CHECKS = (
    "sizes after resize",
    "frames of clips",
    "patches, bit for bit",
    "positions (M-RoPE)",
    "token ids",
    "visual tokens, formula models",
    "logits, formula models",
    "weights and logits are finite",
    "decoding with cache",
    "prompts in a batch",
    "its own golden",
)


def verified(run: Run, *arguments: str | Path) -> dict[str, Any]:
    result = run("verify", *arguments, "--json")
    assert result.stderr == ""
    found = dict(json.loads(result.stdout))
    assert result.exit_code == (0 if found["passed"] else 1)
    return found


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["verdict"] for one in found["checks"]}


def test_everything_is_equal(run: Run, checkpoint: Path) -> None:
    found = verified(run, checkpoint)
    assert found["passed"]
    assert verdicts(found) == dict.fromkeys(CHECKS, "equal") | {"its own golden": "no golden"}
    cases = {one["check"]: one["cases"] for one in found["checks"]}
    assert cases["sizes after resize"] >= 600
    assert cases["frames of clips"] >= 150
    assert cases["patches, bit for bit"] == 13
    assert cases["positions (M-RoPE)"] == 80
    assert cases["token ids"] == 25
    assert all(one["worst"] <= one["allowed"] for one in found["checks"])


def test_table(run: Run, checkpoint: Path) -> None:
    result = run("verify", checkpoint)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["check", "against", "cases", "worst", "difference", "allowed", "verdict"]
    for line, check in zip(lines[1:], CHECKS, strict=False):
        assert line.startswith(check)
        assert line.split()[-1] in ("equal", "golden")
    assert lines[-1] == "10 checks equal, 0 different"
    assert "\x1b" not in result.stdout


def broken(folder: Path, name: str, change: Callable[[Arrays], None]) -> Path:
    """The shipped goldens with one number changed."""
    shutil.copytree(SHIPPED, folder / "goldens")
    arrays = read_goldens(SHIPPED / name)
    change(arrays)
    np.savez(folder / "goldens" / name, **arrays)
    return folder / "goldens"


def size_off(arrays: Arrays) -> None:
    arrays["sizes"][5, 4] += 28


def frame_off(arrays: Arrays) -> None:
    arrays["frame_indices"][3] += 1


def sum_off(arrays: Arrays) -> None:
    arrays["patch_sums"][2, 0] ^= 1


def position_off(arrays: Arrays) -> None:
    arrays["positions"][7] -= 1


def delta_off(arrays: Arrays) -> None:
    arrays["deltas"][0] += 1


def id_off(arrays: Arrays) -> None:
    arrays["ids_tiny"][40] += 1


def logit_off(arrays: Arrays) -> None:
    arrays["logits_tied_clip"][1, 1] += 0.01


def visual_off(arrays: Arrays) -> None:
    arrays["visual_untied_pictures_image"][0, 0] += 0.01


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("processing.npz", size_off, "sizes after resize"),
        ("processing.npz", frame_off, "frames of clips"),
        ("processing.npz", sum_off, "patches, bit for bit"),
        ("positions.npz", position_off, "positions (M-RoPE)"),
        ("positions.npz", delta_off, "positions (M-RoPE)"),
        ("ids.npz", id_off, "token ids"),
        ("logits.npz", logit_off, "logits, formula models"),
        ("logits.npz", visual_off, "visual tokens, formula models"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_one_number_off_is_found(
    name: str, change: Callable[[Arrays], None], check: str, run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    found = verified(run, checkpoint, "--goldens", broken(tmp_path, name, change))
    assert [one for one, verdict in verdicts(found).items() if verdict == "DIFFERS"] == [check]


def test_a_difference_names_its_case(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    result = run("verify", checkpoint, "--goldens", broken(tmp_path, "processing.npz", sum_off))
    assert result.exit_code == 1
    assert "patches, bit for bit: 1 of 13 differ, first RGB 28x28" in result.stdout
    assert result.stdout.splitlines()[-1] == "9 checks equal, 1 different"
    assert "DIFFERS" in result.stdout


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such file"), (b"", "damaged"), (b"PK\x03\x04 nonsense", "damaged")]
)
def test_unreadable_goldens_are_bad_input(
    content: bytes | None, words: str, run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "goldens")
    (tmp_path / "goldens" / "ids.npz").unlink()
    if content is not None:
        (tmp_path / "goldens" / "ids.npz").write_bytes(content)
    result = run("verify", checkpoint, "--goldens", tmp_path / "goldens")
    assert result.exit_code == 2
    assert "ids.npz" in result.stderr
    assert words in result.stderr


def test_narrow_dtypes_pass_within_their_own_error(run: Run, checkpoint: Path) -> None:
    found = verified(run, checkpoint, "--dtype", "bfloat16")
    allowed = {one["check"]: one["allowed"] for one in found["checks"]}
    assert found["passed"]
    assert allowed["decoding with cache"] > 1e-3
    assert allowed["logits, formula models"] == 1e-5
