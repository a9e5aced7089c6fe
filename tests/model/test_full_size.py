"""The published 2B shape with random weights, against transformers: one process after the other, for memory's sake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.oracle import relative_error

ROOT = Path(__file__).parents[2]


def run(side: str, size: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.model.full_size", side, size, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout) if side != "make" else {}


@pytest.mark.slow
@pytest.mark.parametrize("size", ["tiny", "2B"])
def test_logits_at_full_size(size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """About 13 GB of memory, 5 GB of disk and minutes for the 2B."""
    try:
        run("make", size, tmp_path)
        reports = {side: run(side, size, tmp_path) for side in ("ours", "theirs")}
        logits = {side: torch.load(tmp_path / f"{side}.pt") for side in reports}
    finally:
        for file in (*tmp_path.glob("*.safetensors"), *tmp_path.glob("*.pt")):
            file.unlink()
    error = relative_error(logits["ours"], logits["theirs"])
    with capsys.disabled():
        print(f"\n{size}: relative error of the logits {error:.2e}")
        for side, report in reports.items():
            print(f"  {side:7}" + "  ".join(f"{name} {value:.2f}" for name, value in report.items()))
    assert logits["ours"].shape == logits["theirs"].shape
    assert error <= 1e-4
