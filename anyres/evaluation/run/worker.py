"""A worker process: `python -m anyres.evaluation.run.worker`, told on stdin what to do, in one line of JSON.

It shares the folder with the others and needs nothing more from them. When stdin ends, because its parent wishes so or
is no more, it finishes what is under way and leaves. What could not be run is told on stdout, one JSON object a line.
"""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from anyres.disk_cache import DiskCache
from anyres.evaluation.run.plan import Plan
from anyres.evaluation.run.sitting import Sitting
from anyres.evaluation.run.tasks import tasks_of

__all__ = ["main"]


def main() -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    told = json.loads(sys.stdin.readline())
    wanted = threading.Event()
    threading.Thread(target=_listen, args=(wanted,), daemon=True).start()
    sitting = Sitting(
        since=told["since"],
        disk=None if told["cache"] is None else DiskCache(Path(told["cache"])),
        share=told["share"],
        stop=wanted.is_set,
    )
    plan = Plan.from_dict(told["plan"])
    tasks = tasks_of(plan, Path(told["folder"])).tasks
    sitting.run(tasks, plan.judge, infer=told["infer"])
    for title, error in sitting.refused.items():
        _say({"refused": title, "error": [type(error).__name__, error.item, error.seen, error.allowed]})
    for line in sitting.damaged:
        _say({"damaged": line})


def _listen(wanted: threading.Event) -> None:
    sys.stdin.read()
    wanted.set()


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
