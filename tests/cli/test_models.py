"""`anyres models` and `anyres pull`, without a network."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from anyres.cli.pull import pull
from anyres.errors import DownloadError
from anyres.model.hub import LocalModel, PullProgress
from tests.cli.conftest import Run
from tests.cli.test_ask import Screen

FOUND = [
    LocalModel("tiny", Path("/here/tiny"), 22_400_000, 5_600_000),
    LocalModel("org/\x1b[2J[red]name", Path("/there"), 4_400_000_000, None),
]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyres.model.hub.list_models", lambda: FOUND)


def test_table_of_models(run: Run, found: None) -> None:
    lines = run("models").stdout.splitlines()
    assert lines[0].split() == ["name", "parameters", "size", "path"]
    assert lines[1].split() == ["tiny", "5.6", "M", "22.4", "MB", "/here/tiny"]
    assert lines[2].split() == ["org/\\x1b[2J[red]name", "damaged", "4,400.0", "MB", "/there"]


def test_models_as_json(run: Run, found: None) -> None:
    result = run("models", "--json")
    assert json.loads(result.stdout) == [
        {"name": "tiny", "path": "/here/tiny", "bytes": 22_400_000, "parameters": 5_600_000},
        {"name": "org/\x1b[2J[red]name", "path": "/there", "bytes": 4_400_000_000, "parameters": None},
    ]
    assert "\x1b" not in result.stdout


def test_a_checkpoint_in_the_cache_is_listed(
    run: Run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0" * 40
    folder = tmp_path / "models--org--random"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots").mkdir()
    (folder / "snapshots" / commit).symlink_to(checkpoint, target_is_directory=True)
    monkeypatch.setattr("anyres.model.hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "org/random" in [one["name"] for one in json.loads(run("models", "--json").stdout)]


class Hub:
    """Stands for the network."""

    def __init__(self, *, progress_ticks: int = 2) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.watched = False
        self._ticks = progress_ticks

    def pull(
        self, repo: str, *, revision: str | None = None, progress: Callable[[PullProgress], None] | None = None
    ) -> Path:
        self.asked.append((repo, revision))
        self.watched = progress is not None
        for tick in range(self._ticks):
            if progress is not None:
                progress(PullProgress("model.safetensors", 500 * (tick + 1), 1000))
        return Path("/cache/snapshot")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    stand_in = Hub()
    monkeypatch.setattr("anyres.model.hub.pull", stand_in.pull)
    return stand_in


def test_pull_prints_the_folder(run: Run, hub: Hub) -> None:
    result = run("pull", "org/name", "--revision", "v1")
    assert (result.stdout, result.stderr) == ("/cache/snapshot\n", "")
    assert hub.asked == [("org/name", "v1")]
    assert not hub.watched


def test_pull_as_json(run: Run, hub: Hub) -> None:
    printed = json.loads(run("pull", "org/name", "--json").stdout)
    assert printed == {"name": "org/name", "revision": "main", "path": "/cache/snapshot"}


def test_pull_shows_a_bar_on_a_terminal(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    screen, out = Screen(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    pull("org/name")
    assert hub.watched
    assert "model.safetensors" in screen.getvalue()
    assert "1.0/1.0 kB" in screen.getvalue()
    assert "--model org/name" in screen.getvalue()
    assert out.getvalue() == "/cache/snapshot\n"


def test_pull_that_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(repo: str, **_: object) -> Path:
        raise DownloadError(repo, "no route\nto host", "a connection")

    monkeypatch.setattr("anyres.model.hub.pull", broken)
    result = run("pull", "org/name")
    assert result.exit_code == 2
    assert result.stderr == "anyres: org/name: no route\\nto host; allowed: a connection\n"


@pytest.mark.parametrize("name", ["name", "a/b/c", "../x", "a/..", "a b/c", "\x1b[2J/x"])
def test_names_that_are_none(name: str, run: Run) -> None:
    result = run("pull", name)
    assert result.exit_code == 2
    assert "allowed: org/name" in result.stderr
    assert "\x1b" not in result.stderr


def test_offline_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYRES_OFFLINE", "1")
    monkeypatch.setattr("anyres.model.hub.constants.HF_HUB_CACHE", str(tmp_path))
    result = run("pull", "org/name")
    assert result.exit_code == 2
    assert "ANYRES_OFFLINE" in result.stderr
