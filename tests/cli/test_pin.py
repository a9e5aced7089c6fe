"""`anyres pin`, and pins in `anyres cache`: the next `ask` finds what was read."""

import json
from pathlib import Path
from typing import Any

import pytest

from anyres.disk_cache import DiskCache
from tests.cli.conftest import Run

SYSTEM_TOKENS = 20  # that all prompts begin with


@pytest.fixture(autouse=True)
def _empty(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYRES_CACHE", str(tmp_path / "cache"))


def told(run: Run, *arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def cached(run: Run, checkpoint: Path, *arguments: str | Path) -> int:
    """Tokens of the prompt that were known, with what is only pinned."""
    DiskCache(Path(told(run, "cache")["folder"])).clear("vision")
    return int(told(run, "ask", *arguments, "What?", "--max-tokens", "2", "-m", checkpoint)["usage"]["cached_tokens"])


def test_ask_goes_on_from_it(run: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    """Also under another name; not with another size or system message."""
    assert cached(run, checkpoint, photo) == 0
    made = told(run, "pin", photo, "-m", checkpoint)
    assert (made["title"], made["model"]) == ("photo.png", str(checkpoint))
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    assert made["tokens"] > cached(run, checkpoint, other) > made["tokens"] - 10
    for knobs in (("--max-pixels", "1600"), ("--system", "Be brief.")):
        assert cached(run, checkpoint, photo, *knobs) <= SYSTEM_TOKENS


def test_clips_and_knobs(run: Run, checkpoint: Path, clip: Path, photo: Path) -> None:
    knobs = ("--nframes", "4", "--max-pixels", "3200", "--system", "Be brief.")
    made = told(run, "pin", photo, "--video", clip, *knobs, "-m", checkpoint)
    assert made["title"] == "photo.png, clip.gif"
    assert cached(run, checkpoint, photo, "--video", clip, *knobs) > made["tokens"] - 10


def test_cache_lists_and_deletes(run: Run, checkpoint: Path, photo: Path, clip: Path) -> None:
    pins = [told(run, "pin", photo, "-m", checkpoint), told(run, "pin", "--video", clip, "-m", checkpoint)]
    found = told(run, "cache")
    assert found["pins"] == pins
    assert found["kinds"]["prefix"]["entries"] == 2
    lines = run("cache").stdout.splitlines()
    (shown,) = [line for line in lines if "photo.png" in line]
    assert shown.split()[:2] == [pins[0]["id"], "photo.png"]
    assert "keys and values of pinned documents" in "".join(lines)
    freed = told(run, "cache", "--unpin", pins[0]["id"][:6])
    assert freed["freed_bytes"] == found["bytes"] - freed["bytes"] > pins[0]["bytes"]
    assert freed["pins"] == pins[1:]
    assert cached(run, checkpoint, photo) <= SYSTEM_TOKENS
    for wrong in (pins[0]["id"], "", "zz"):
        result = run("cache", "--unpin", wrong)
        assert result.exit_code == 2
        assert result.stderr == f"anyres: --unpin: {wrong!r}; allowed: {pins[1]['id']}, all\n"
    assert told(run, "cache", "--unpin", "all")["pins"] == []
    assert "vision" in told(run, "cache")["kinds"]


def test_words_for_people(run: Run, checkpoint: Path, photo: Path) -> None:
    made = told(run, "pin", photo, "-m", checkpoint)
    result = run("pin", photo, "-m", checkpoint)
    assert result.stdout == f"{made['id']}: photo.png, {made['tokens']} tokens, {made['bytes'] / 1e6:.1f} MB\n"
    assert result.stderr == ""


def test_what_cannot_be_pinned(run: Run, checkpoint: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("pin").stderr == "anyres: IMAGE: none; allowed: a picture, or --video FILE\n"
    assert run("pin", photo, "--fps", "2").exit_code == 2
    assert run("pin", "not there.png", "-m", checkpoint).exit_code == 2
    assert run("cache", "--limit", "3KB").exit_code == 0
    result = run("pin", photo, "-m", checkpoint)
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "does not take it; allowed: room for it among at most 0.0 GB (anyres cache --limit)\n"
    )
    monkeypatch.setenv("ANYRES_CACHE", "off")
    assert run("pin", photo).stderr == "anyres: pin: ANYRES_CACHE is off; allowed: with a folder to keep it in\n"
    assert run("cache", "--unpin", "all").exit_code == 2
