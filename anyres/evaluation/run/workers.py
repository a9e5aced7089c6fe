"""Worker processes that share a run: started, watched, started again when killed, and told to stop."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from anyres import errors
from anyres.errors import AnyresError, EngineError
from anyres.evaluation.run.plan import Plan

__all__ = ["Workers"]

RESTARTS = 3
ENDING_S = 20.0


class _Worker:
    """One process and what it said."""

    def __init__(self, number: int, told: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.number = number
        self.told = told
        self.environ = environ
        self.starts = 0
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-m", "anyres.evaluation.run.worker"]
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(self.environ), text=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self.told) + "\n")
        self.process.stdin.flush()
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()

    def ask_to_stop(self) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()

    def end(self) -> None:
        self.ask_to_stop()
        try:
            self.process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.lines += [line for line in process.stdout if line.startswith("{")]


class Workers:
    """`count` processes at one plan. `say` is told, in words, when one is killed. Leaving the context ends them."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        count: int,
        *,
        since: float,
        cache: Path | None = None,
        infer: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        told = {
            "plan": plan.to_dict(),
            "folder": str(folder),
            "since": since,
            "cache": None if cache is None else str(cache),
            "infer": infer,
        }
        self._say = say
        self._workers = [
            _Worker(number, {**told, "share": number / count}, _environ(number, count)) for number in range(count)
        ]

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.end()

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]

    def stop(self) -> None:
        """They finish what they are at."""
        for worker in self._workers:
            worker.ask_to_stop()

    def alive(self, *, restart: bool = True) -> bool:
        """Whether any is at work; those that were killed are started again, three times each at most.

        EngineError when one has met a bug, or is killed again and again.
        """
        for worker in self._workers:
            code = worker.process.poll()
            if code is None or code == 0 or not restart:
                continue
            if code > 0:
                raise EngineError(f"worker {worker.number + 1}", f"ended with {code}", "0; what it said is above")
            name = signal.Signals(-code).name
            if worker.starts > RESTARTS:
                raise EngineError(
                    f"worker {worker.number + 1}", f"killed {worker.starts} times, last by {name}", "memory enough"
                )
            self._say(f"worker {worker.number + 1} was killed ({name}) and is started again")
            worker.end()
            worker.start()
        return any(worker.process.poll() is None for worker in self._workers)

    def said(self) -> tuple[dict[str, AnyresError], list[str]]:
        """What they could not run, and damaged lines; once they are done."""
        refused: dict[str, AnyresError] = {}
        damaged: dict[str, None] = {}
        for worker in self._workers:
            worker.reader.join(5)
            for one in map(json.loads, worker.lines):
                if "refused" in one:
                    kind, *words = one["error"]
                    refused[one["refused"]] = getattr(errors, kind, AnyresError)(*words)
                else:
                    damaged[one["damaged"]] = None
        return refused, list(damaged)


def _environ(number: int, count: int) -> dict[str, str]:
    """A GPU of its own where there are several, and its part of the processors."""
    environ = dict(os.environ)
    devices = _devices()
    if len(devices) > 1:
        environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    threads = max(1, len(os.sched_getaffinity(0)) // count) if hasattr(os, "sched_getaffinity") else 1
    environ.setdefault("OMP_NUM_THREADS", str(threads))
    return environ


def _devices() -> list[str]:
    """GPUs of NVIDIA that a process may use, without loading what would use them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [one.strip() for one in allowed.split(",") if one.strip()]
    return sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int)
