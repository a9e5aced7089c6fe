"""The engine's side of the trial process: sends it a grammar, waits so long and no longer, and starts it anew."""

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from anyres.engine import grammar_check
from anyres.errors import ConstraintError

__all__ = ["Trial"]

START_S = 30.0  # for an interpreter and a library; on a machine with nothing else to do 0.1 s


class Trial:
    """One process that tries grammars one after the other; it starts with the first one and is replaced when it dies.

    `special_tokens` may be named in grammars; the last of them ends an answer.
    """

    def __init__(self, special_tokens: Sequence[str], *, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._special_tokens = list(special_tokens)
        self._process: subprocess.Popen[str] | None = None
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._lock = threading.Lock()

    def error_of(self, grammar: str) -> str:
        """What is wrong with it, "" for nothing; ConstraintError after `timeout_s`, or for more memory than allowed."""
        with self._lock:
            process = self._started()
            assert process.stdin is not None, "it was started with a pipe"
            try:
                process.stdin.write(json.dumps(grammar) + "\n")
                process.stdin.flush()
                line = self._lines.get(timeout=self.timeout_s)
            except Empty:
                self._end()
                raise _too_large(f"not ready after {self.timeout_s:g} s") from None
            except OSError:
                line = ""
            if not line:
                self._end()
                raise _too_large("more memory or depth than is allowed")
            return str(json.loads(line))

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process, self._lines = self._start()
        return self._process

    def _start(self) -> tuple[subprocess.Popen[str], SimpleQueue[str]]:
        # -P: without the script's folder on the path, where files have names like those of the standard library.
        command = [sys.executable, "-P", str(Path(grammar_check.__file__))]
        process = subprocess.Popen(  # noqa: S603 - our own script
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        assert process.stdin is not None, "it was started with a pipe"
        try:
            process.stdin.write(json.dumps(self._special_tokens) + "\n")
            process.stdin.flush()
            ready = lines.get(timeout=START_S)
        except (OSError, Empty):
            ready = ""
        if not ready:
            _kill(process)
            raise ConstraintError(
                "constraint", "the process that tries grammars out does not start", "a working python"
            )
        self._killer = weakref.finalize(self, _kill, process)
        return process, lines

    def _end(self) -> None:
        if self._process is not None:
            self._killer()
            self._process = None


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _read(process: subprocess.Popen[str], lines: SimpleQueue[str]) -> None:
    """Passes lines on; an empty one at the end."""
    assert process.stdout is not None, "it was started with a pipe"
    with process.stdout as pipe:
        for line in pipe:
            lines.put(line)
    lines.put("")


def _too_large(seen: str) -> ConstraintError:
    return ConstraintError("constraint", seen, "a schema, pattern or grammar that is simpler or smaller")
