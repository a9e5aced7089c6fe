"""Memory that was freed goes back to the system: glibc keeps it in its arenas, a hole here and there in every one."""

import ctypes
import os
import time
from collections.abc import Callable

__all__ = ["Heap", "give_back"]


class Heap:
    """Asks glibc for it, at most every `every_s` seconds: a call takes milliseconds. Elsewhere nothing is done."""

    def __init__(
        self,
        *,
        every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        trim: Callable[[int], int] | None = None,
    ) -> None:
        self._every_s = every_s
        self._clock = clock
        self._trim = trim or _malloc_trim()
        self._last = clock()

    def give_back(self) -> bool:
        """Whether it was asked for now."""
        if self._trim is None or self._clock() - self._last < self._every_s:
            return False
        self._trim(0)
        self._last = self._clock()
        return True


def give_back() -> bool:
    """At once, whenever it was asked for before; whether it could be."""
    return Heap(every_s=0.0).give_back()


def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's; None where the C library has none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
