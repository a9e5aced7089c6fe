"""A few processes that decode, one piece of work each at a time; they are killed for taking too long, and replaced."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from anyres.server.decoder import Decoder, DecoderDiedError, UndecodableError
from anyres.server.media_limits import FLAGS, MediaLimits
from anyres.server.refusal import Kind, Problem, RefusedMediaError, refusal

__all__ = ["DecoderPool"]

T = TypeVar("T")
_MOST_USES = 500  # of one process: what a library leaks must not add up
_START_S = 60.0  # for a process to load everything, 0.4 s where nothing else runs
_MIB = 1 << 20


class DecoderPool:
    """Up to `limits.decoders` processes. Who finds all of them at work waits for one.

    A process serves one owner's media alone: should a file ever take it over, no other owner's pass through it.
    """

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.decoders)
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()
        # Twice as many: new processes load while the others work.
        self._threads = ThreadPoolExecutor(2 * limits.decoders, thread_name_prefix="anyres-decoder")
        self._closed = False

    async def start(self) -> None:
        """Returns when all processes are ready."""
        while len(self._idle) + len(self._busy) < self._limits.decoders:
            self._idle.append(self._new())
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(self._threads, one.start) for one in self._idle])

    async def close(self) -> None:
        """Ends all of them, also those at work."""
        self._closed = True
        for decoder in self._busy:
            decoder.kill()
        while self._idle:
            self._idle.pop().close()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    @property
    def pids(self) -> list[int]:
        """Of the processes that are started."""
        return [one.pid for one in (*self._idle, *self._busy) if one.pid is not None]

    async def run(self, work: Callable[[Decoder], T], *, kind: Kind, owner: str) -> T:
        """What `work`, called in a thread with a process, returns. RefusedMediaError for undecodable media, and for
        what takes longer than `decode_seconds` or ends its process. Cancelled, it kills the process."""
        await self._free.acquire()
        decoder = self._take(owner)
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(_START_S)

        def started_work() -> T:
            """The clock runs once the process is there; mostly it is there already."""
            decoder.start()
            loop.call_soon_threadsafe(_limit_to, limit, self._limits.decode_seconds)
            return work(decoder)

        future = loop.run_in_executor(self._threads, started_work)
        future.add_done_callback(partial(self._give_back, decoder))
        try:
            async with limit:
                return await asyncio.shield(future)
        except TimeoutError:
            decoder.kill()
            allowed = f"{self._limits.decode_seconds:g} s ({FLAGS['decode_seconds']})"
            raise refusal(kind, "time", "it takes too long to decode", allowed) from None
        except asyncio.CancelledError:
            decoder.kill()
            raise
        except UndecodableError as error:
            raise self._refused(error, kind) from None
        except DecoderDiedError:
            seen = "decoding it has failed badly: it is damaged, or made to do harm"
            raise refusal(kind, "damaged", seen, "an undamaged file") from None

    def _take(self, owner: str) -> Decoder:
        """One that knows this owner, or none yet; else the oldest is replaced."""
        chosen = next((one for one in self._idle if one.owner == owner), None)
        chosen = chosen or next((one for one in self._idle if one.owner is None), None)
        if chosen is not None:
            self._idle.remove(chosen)
        else:
            if len(self._idle) + len(self._busy) >= self._limits.decoders:
                self._end(self._idle.pop(0))
            chosen = self._new()
        chosen.owner = owner
        chosen.uses += 1
        self._busy.add(chosen)
        return chosen

    def _give_back(self, decoder: Decoder, future: "asyncio.Future[T]") -> None:
        """Called when the thread is done with it, however that came about."""
        if not future.cancelled():
            future.exception()  # whoever waited has it, or has gone
        self._busy.discard(decoder)
        self._free.release()
        if self._closed:
            decoder.close()
        elif decoder.clean and decoder.uses < _MOST_USES:
            self._idle.append(decoder)
        else:
            self._end(decoder)
            fresh = self._new()
            self._idle.append(fresh)
            self._threads.submit(fresh.start)

    def _end(self, decoder: Decoder) -> None:
        self._threads.submit(decoder.close)

    def _new(self) -> Decoder:
        return Decoder(memory=self._limits.decode_memory, seconds=self._limits.decode_seconds)

    def _refused(self, error: UndecodableError, kind: Kind) -> RefusedMediaError:
        """In the words of the process, with the flag that would change it."""
        problems: dict[str, Problem] = {"format": "format", "shape": "shape", "side": "side", "pixels": "pixels"}
        if error.problem == "memory":
            allowed = f"{self._limits.decode_memory // _MIB:,} MiB ({FLAGS['decode_memory']})"
            return refusal(kind, "pixels", "it takes too much memory to decode", allowed)
        allowed = error.allowed + (f" ({FLAGS['image_pixels']})" if error.problem == "pixels" else "")
        return refusal(kind, problems.get(error.problem, "damaged"), error.seen, allowed)


def _limit_to(limit: asyncio.Timeout, seconds: float) -> None:
    """From now on."""
    with suppress(RuntimeError):  # it is over already
        limit.reschedule(asyncio.get_running_loop().time() + seconds)
