"""`anyres cache`: what it shows is what is there."""

import json
from pathlib import Path
from typing import Any

import pytest

from anyres.disk_cache import DiskCache
from tests.cli.conftest import Run


@pytest.fixture
def kept(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    """Three entries of two kinds."""
    monkeypatch.setenv("ANYRES_CACHE", str(tmp_path))
    cache = DiskCache(tmp_path)
    for kind, key in (("vision", b"a"), ("vision", b"b"), ("frames", b"a")):
        assert cache.put(kind, key, [bytes(1000)])
    return cache


def shown(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("cache", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_what_is_there(run: Run, kept: DiskCache) -> None:
    each = kept.entries()[0].bytes
    assert shown(run) == {
        "folder": str(kept.folder),
        "bytes": 3 * each,
        "limit_bytes": kept.max_bytes,
        "kinds": {"frames": {"entries": 1, "bytes": each}, "vision": {"entries": 2, "bytes": 2 * each}},
        "pins": [],
    }
    lines = run("cache").stdout.splitlines()
    assert [line.split()[-3] for line in lines[1:3]] == ["1", "2"]
    assert lines[-1] == f"{kept.folder}: 0.0 MB of at most 4.3 GB"


def test_clear(run: Run, kept: DiskCache) -> None:
    total = sum(entry.bytes for entry in kept.entries())
    assert shown(run, "--clear")["freed_bytes"] == total
    assert kept.entries() == []
    assert run("cache", "--clear").stdout.splitlines()[-1] == "deleted: 0.0 MB"


def test_the_limit_holds_from_now_on(run: Run, kept: DiskCache) -> None:
    assert shown(run, "--limit", "3KB")["kinds"] == {
        "frames": {"entries": 1, "bytes": 1096},
        "vision": {"entries": 1, "bytes": 1096},
    }
    assert shown(run)["limit_bytes"] == 3000
    assert DiskCache(kept.folder).max_bytes == 3000


@pytest.mark.parametrize("size", ["", "much", "-1", "0"])
def test_a_limit_that_is_none(run: Run, kept: DiskCache, size: str) -> None:
    result = run("cache", "--limit", size)
    assert result.exit_code == 2
    assert result.stderr.startswith("anyres: --limit: ")


def test_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYRES_CACHE", "off")
    assert run("cache").stdout == "off (ANYRES_CACHE)\n"
    assert shown(run)["folder"] is None
    assert run("cache", "--limit", "1GB").exit_code == 2
    assert run("cache", "--clear").exit_code == 0


def test_a_folder_that_is_not_there_is_empty_and_stays_away(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYRES_CACHE", str(tmp_path / "none"))
    assert run("cache").stdout == f"{tmp_path / 'none'}: 0.0 MB of at most 4.3 GB\n"
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYRES_CACHE", "/proc/anyres")
    result = run("cache", "--limit", "1GB")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
