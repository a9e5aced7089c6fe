"""Claims: one process at a time has a sample, and the dead have none."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anyres.evaluation.run.claims import Claims

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")

TAKES = """
import sys
from pathlib import Path
from anyres.evaluation.run.claims import Claims
claims = Claims(Path(sys.argv[1]))
print([claims.take(name) for name in sys.argv[2:]], flush=True)
sys.stdin.read()
"""


def other(path: Path, *names: str) -> "subprocess.Popen[str]":
    """Another process, which takes what it can get and keeps it until its stdin is closed."""
    command = [sys.executable, "-c", TAKES, str(path), *names]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_has_it_and_the_others_do_not(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "claims"
    with other(path, "a", "b") as first:
        assert said(first) == "[True, True]"
        claims = Claims(path)
        assert [claims.take(name) for name in ("a", "b", "c", "ä \ud83d")] == [False, False, True, True]
        with other(path, "b", "c", "d") as third:
            assert said(third) == "[False, False, True]"
            third.communicate("")
        claims.give("c")
        with other(path, "c") as fourth:
            assert said(fourth) == "[True]"
            fourth.communicate("")
        first.communicate("")
    assert claims.take("a")
    claims.close()
    assert path.read_bytes() == b""


def test_what_the_dead_had_is_free(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    with other(tmp_path / "claims", "a") as first:
        assert said(first) == "[True]"
        assert not claims.take("a")
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert claims.take("a")
    claims.close()
