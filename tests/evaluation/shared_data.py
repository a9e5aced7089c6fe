"""Real questions and real outputs of models, which lie beside the repository; tests that need them say so."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


def shared(name: str) -> Path:
    """A file or folder of the shared data; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shared(name).read_text("utf-8").splitlines()]


@cache
def golden() -> dict[str, Any]:
    return json.loads(shared("golden.json").read_text("utf-8"))
