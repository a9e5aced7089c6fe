"""libsvtav1, run by root, makes its caller a real-time thread of the highest priority, and so all that it starts later:
browsers and servers of other tests then keep everything else from the processors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ordinary_scheduling"]

THREADS = Path("/proc/self/task")


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Afterwards every thread of this process is scheduled as usual."""
    try:
        yield
    finally:
        if hasattr(os, "sched_setscheduler") and THREADS.exists():
            for thread in THREADS.iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
