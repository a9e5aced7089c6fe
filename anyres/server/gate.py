"""Places for requests: so many at work, so many waiting, the others refused at once."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyres.server.errors import ApiError

__all__ = ["Gate"]


class Gate:
    """First come, first served. A request that asks for `n` answers takes `n` places.

    For one event loop. A place is reserved before anything of a request's media is looked at.
    """

    def __init__(
        self, running: int, *, queue: int, queue_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._running = running
        self._queue = queue
        self._queue_s = queue_s
        self._clock = clock
        self._line: deque[tuple[asyncio.Future[None], int]] = deque()
        self._taken = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._line)

    def refuse_if_full(self) -> None:
        """Raises ApiError 429 where one more would have to wait behind a full line."""
        if self._taken >= self._running and len(self._line) >= self._queue:
            raise self._busy(f"{self._taken} requests at work and {len(self._line)} waiting")

    @asynccontextmanager
    async def place(self, n: int = 1) -> AsyncIterator[float]:
        """Gives the seconds that were waited. Raises ApiError 429 for a full line, or after `queue_s` in it."""
        width = min(n, self._running)
        started = self._clock()
        await self._enter(width)
        try:
            yield self._clock() - started
        finally:
            self._leave(width)

    async def empty(self) -> None:
        """Returns when nobody is at work and nobody waits."""
        await self._idle.wait()

    async def _enter(self, width: int) -> None:
        self._idle.clear()
        if not self._line and self._taken + width <= self._running:
            self._taken += width
            return
        if len(self._line) >= self._queue:
            raise self._busy(f"{self._taken} requests at work and {len(self._line)} waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((turn, width))
        try:
            async with asyncio.timeout(self._queue_s):  # wait_for of 3.11 can lose a cancellation
                await asyncio.shield(turn)
        except TimeoutError:
            if not _admitted(turn):
                raise self._busy(f"no place within {self._queue_s:g} s") from None
        except asyncio.CancelledError:
            if _admitted(turn):
                self._leave(width)
            raise
        finally:
            if not _admitted(turn):
                self._line.remove((turn, width))
                self._admit()

    def end_all(self, error: Exception) -> None:
        """Refuses all who wait."""
        for turn, _ in self._line:
            if not turn.done():
                turn.set_exception(error)

    def _leave(self, width: int) -> None:
        self._taken -= width
        self._admit()

    def _admit(self) -> None:
        while self._line and self._taken + self._line[0][1] <= self._running:
            if self._line[0][0].done():
                return  # it was refused, and is about to leave the line
            turn, width = self._line.popleft()
            self._taken += width
            turn.set_result(None)
        if not self._line and not self._taken:
            self._idle.set()

    def _busy(self, seen: str) -> ApiError:
        message = f"server: {seen}; allowed: {self._running} at work (--max-running) and {self._queue} waiting"
        return ApiError(429, f"{message} (--max-queue)", code="server_busy", headers={"retry-after": "1"})


def _admitted(turn: "asyncio.Future[None]") -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None
