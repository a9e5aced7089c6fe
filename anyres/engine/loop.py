"""The engine in a thread of its own, which runs while there are requests: any thread may send them."""

import logging
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from functools import partial

from anyres.engine.choosing import attempt
from anyres.engine.core import Engine
from anyres.engine.heap import Heap
from anyres.engine.options import EngineStats
from anyres.engine.ticket import Ticket
from anyres.errors import BusyError, EngineError

__all__ = ["EngineLoop"]

logger = logging.getLogger(__name__)

LINGER_S = 2.0  # how long the thread waits for another request before it ends
GOODBYE_S = 5.0  # how long the end of the program waits for a step under way


class EngineLoop:
    """`submit` and `abort` return at once; what becomes of a request is told to its ticket's `send`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stepping = threading.Lock()  # whoever holds it may touch the engine
        self._inbox: deque[tuple[str, Ticket]] = deque()
        self._state = _State()
        self._heap = Heap()
        weakref.finalize(self, self._state.stop)

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def stats(self) -> EngineStats:
        """As of the last step, nearly: the thread may be at work."""
        return self._engine.stats

    @property
    def alive(self) -> bool:
        """False once it is closed, or its thread has died under its requests."""
        thread = self._state.thread
        return not self._state.closed and (thread is None or thread.is_alive())

    def refuse_if_full(self) -> None:
        """Raises BusyError where another request would have to be refused: asked before pictures are opened."""
        most = self._engine.options.limits.running + self._engine.options.waiting
        found = self._engine.requests + len(self._inbox)
        if found >= most:
            raise BusyError("engine", f"{found} requests", f"at most {most}; try again later")

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Raises EngineError when the engine is closed, BusyError when too many wait."""
        self.refuse_if_full()
        for ticket in tickets:
            self._engine.prepare(ticket)
        with self._state.changed:
            if self._state.closed:
                raise EngineError("engine", "closed", "requests before close()")
            self._inbox += [("add", ticket) for ticket in tickets]
            if self._state.thread is None:
                self._state.thread = threading.Thread(target=self._serve, name="anyres-engine", daemon=True)
                self._state.thread.start()
            self._state.changed.notify()

    def abort(self, ticket: Ticket) -> None:
        """Nobody waits for it any longer: its blocks are free at once, or when the step under way is done."""
        ticket.ended = True
        self._inbox.append(("drop", ticket))
        if self._stepping.acquire(blocking=False):
            try:
                self._take_inbox()
            finally:
                self._stepping.release()

    def close(self) -> None:
        """Ends all requests with an EngineError, and the thread when its step is done."""
        self._state.stop()
        with self._stepping:
            self._take_inbox()
            self._engine.fail_all(EngineError("engine", "closed", "a request may end before close()"))

    def _serve(self) -> None:
        while not self._state.closed:
            self._heap.give_back()
            if not self._step() and not self._wait():
                return

    def _step(self) -> bool:
        with self._stepping:
            self._take_inbox()
            try:
                return self._engine.requests > 0 and self._engine.step()
            except Exception as error:
                logger.exception("a step of the engine failed; all requests end with it")
                self._engine.fail_all(error)
                return True

    def _wait(self) -> bool:
        """Whether there is something to do again; otherwise the thread is over."""
        with self._state.changed:
            self._state.changed.wait_for(lambda: self._inbox or self._state.closed, LINGER_S)
            if not self._inbox:
                self._state.thread = None
            return bool(self._inbox)

    def _take_inbox(self) -> None:
        while self._inbox:
            kind, ticket = self._inbox.popleft()
            if kind == "drop":
                self._engine.drop(ticket)
            elif not ticket.ended and isinstance(error := attempt(partial(self._engine.add, ticket)), Exception):
                ticket.send(error)


class _State:
    """What outlives the loop: it is stopped when the loop is forgotten, or the program ends."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None
        self.closed = False

    def stop(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
            thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(GOODBYE_S)
