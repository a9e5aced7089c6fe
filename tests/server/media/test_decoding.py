"""The pool: who waits for whom, what ends a piece of work, and that the next one finds everything as new."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pytest

from anyres.server.decoder import Decoder
from anyres.server.decoding import DecoderPool
from anyres.server.media import MediaDoor, MediaLimits, MediaRequest, RefusedMediaError, VideoOptions
from tests.server.media.conftest import CONFIG
from tests.server.media.files import clip, encoded, flat_png, photo, url

T = TypeVar("T")
PHOTO = encoded(photo())
ONE, TWO = MediaLimits(decoders=1), MediaLimits(decoders=2)


def picture(decoder: Decoder, data: bytes = PHOTO) -> Any:
    return decoder.picture(data, max_pixels=50_000_000)


def with_pool(limits: MediaLimits, use: Callable[[DecoderPool], Awaitable[T]]) -> T:
    async def run() -> T:
        pool = DecoderPool(limits)
        try:
            return await asyncio.wait_for(use(pool), 60)
        finally:
            pids = pool.pids
            await pool.close()
            assert not any(map(is_running, pids))

    return asyncio.run(run())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not is_running(pid):
            return True
        await asyncio.sleep(0.02)
    return False


def pid_of(decoder: Decoder) -> int:
    decoder.start()
    assert decoder.pid is not None
    return decoder.pid


async def pids(pool: DecoderPool, *owners: str) -> list[int]:
    return [await pool.run(pid_of, kind="image", owner=owner) for owner in owners]


def test_processes_are_warm_after_the_start() -> None:
    async def use(pool: DecoderPool) -> tuple[list[int], list[int]]:
        assert pool.pids == []
        await pool.start()
        warm = pool.pids
        await pool.start()
        return warm, pool.pids

    warm, later = with_pool(TWO, use)
    assert warm == later
    assert len(set(warm)) == 2


def test_one_process_serves_one_owner_again_and_again() -> None:
    async def use(pool: DecoderPool) -> list[int]:
        return await pids(pool, "alice", "alice", "alice")

    assert len(set(with_pool(ONE, use))) == 1


def test_no_process_sees_media_of_two_owners() -> None:
    async def use(pool: DecoderPool) -> list[int]:
        await pool.start()
        return await pids(pool, "alice", "bob", "alice", "carol", "alice", "bob")

    seen: dict[int, set[str]] = {}
    for pid, owner in zip(with_pool(TWO, use), ("alice", "bob", "alice", "carol", "alice", "bob"), strict=True):
        seen.setdefault(pid, set()).add(owner)
    assert all(len(owners) == 1 for owners in seen.values())
    assert len(seen) >= 4  # alice, bob, carol, and one that took the place of another


def test_processes_retire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyres.server.decoding._MOST_USES", 2)

    async def use(pool: DecoderPool) -> list[int]:
        found = await pids(pool, *["alice"] * 5)
        assert await gone(found[0])
        return found

    first, second, third, fourth, fifth = with_pool(ONE, use)
    assert first == second != third == fourth != fifth


def test_so_many_work_at_once_and_the_others_wait() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def work(_: Decoder) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    async def use(pool: DecoderPool) -> None:
        await asyncio.gather(*[pool.run(work, kind="image", owner="me") for _ in range(8)])

    with_pool(TWO, use)
    assert most == 2


def test_what_takes_too_long_is_ended_and_replaced() -> None:
    async def use(pool: DecoderPool) -> None:
        await pool.start()
        [pid] = await pids(pool, "me")
        os.kill(pid, signal.SIGSTOP)
        for kind, code in (("video", "video_decode_timeout"),):
            with pytest.raises(RefusedMediaError) as caught:
                await pool.run(picture, kind=kind, owner="me")  # type: ignore[arg-type]
            assert caught.value.code == code
            assert str(caught.value) == "video: it takes too long to decode; allowed: 1 s (--decode-seconds)"
        assert await gone(pid)
        assert (await pool.run(picture, kind="image", owner="me")).shape == (60, 80, 3)

    with_pool(replace(ONE, decode_seconds=1.0), use)


def test_a_picture_that_takes_too_long() -> None:
    async def use(pool: DecoderPool) -> None:
        with pytest.raises(RefusedMediaError) as caught:
            await pool.run(lambda _: time.sleep(0.3), kind="image", owner="me")
        assert caught.value.code == "image_parse_error"

    with_pool(replace(ONE, decode_seconds=0.1), use)


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_costs_one_piece_of_work(how: signal.Signals) -> None:
    async def use(pool: DecoderPool) -> None:
        await pool.start()
        [pid] = await pids(pool, "me")
        os.kill(pid, how)
        with pytest.raises(RefusedMediaError, match="decoding it has failed badly") as caught:
            await pool.run(picture, kind="image", owner="me")
        assert caught.value.code == "image_parse_error"
        assert (await pool.run(picture, kind="image", owner="me")).shape == (60, 80, 3)

    with_pool(ONE, use)


def test_a_crash_in_the_midst_of_it() -> None:
    def crash(decoder: Decoder) -> None:
        with decoder.clip(clip(), max_pixels=10**6) as opened:
            for number, _ in enumerate(opened.iter_frames(range(30))):
                if number == 3:
                    os.kill(decoder.pid or 0, signal.SIGSEGV)

    async def use(pool: DecoderPool) -> None:
        try:
            await pool.run(crash, kind="video", owner="me")  # small frames may all be in the pipe already
        except RefusedMediaError as error:
            assert error.code == "unsupported_video_format"  # noqa: PT017
        assert (await pool.run(picture, kind="image", owner="me")).shape == (60, 80, 3)

    with_pool(ONE, use)


def test_work_that_leaves_frames_unread_costs_the_process() -> None:
    def half(decoder: Decoder) -> int:
        with decoder.clip(clip(), max_pixels=10**6) as opened:
            next(opened.iter_frames([0, 1, 2]))
        return pid_of(decoder)

    async def use(pool: DecoderPool) -> None:
        pid = await pool.run(half, kind="video", owner="me")
        assert (await pool.run(picture, kind="image", owner="me")).shape == (60, 80, 3)
        assert await gone(pid)

    with_pool(ONE, use)


def test_an_error_of_ours_costs_nothing() -> None:
    def fail(_: Decoder) -> None:
        raise ZeroDivisionError

    async def use(pool: DecoderPool) -> list[int]:
        before = await pids(pool, "me")
        with pytest.raises(ZeroDivisionError):
            await pool.run(fail, kind="image", owner="me")
        return before + await pids(pool, "me")

    assert len(set(with_pool(ONE, use))) == 1


def test_cancelling_ends_the_process_and_frees_its_place() -> None:
    """Long before its time to decode is over."""

    async def use(pool: DecoderPool) -> None:
        await pool.start()
        [pid] = await pids(pool, "me")
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(pool.run(picture, kind="image", owner="me"))
        waiting = asyncio.create_task(pool.run(picture, kind="image", owner="me"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gone(pid)
        assert (await waiting).shape == (60, 80, 3)

    with_pool(ONE, use)


def test_cancelling_one_that_waits_ends_nobody_else() -> None:
    async def use(pool: DecoderPool) -> None:
        begun = threading.Event()

        def slow(decoder: Decoder) -> Any:
            begun.set()
            time.sleep(0.2)
            return picture(decoder)

        working = asyncio.create_task(pool.run(slow, kind="image", owner="me"))
        waiting = asyncio.create_task(pool.run(picture, kind="image", owner="me"))
        await asyncio.to_thread(begun.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await working).shape == (60, 80, 3)
        assert (await pool.run(picture, kind="image", owner="me")).shape == (60, 80, 3)

    with_pool(ONE, use)


def test_cancelled_pieces_leave_nothing() -> None:
    async def use(pool: DecoderPool) -> tuple[int, int]:
        await pool.start()
        files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0  # noqa: PTH110, PTH208
        large = encoded(photo(1500, 1500))
        for number in range(8):
            task = asyncio.create_task(pool.run(partial(picture, data=large), kind="image", owner="me"))
            await asyncio.sleep(0.02 * number)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await pool.run(picture, kind="image", owner="me")).shape == (60, 80, 3)
        await asyncio.sleep(0.3)
        return files, len(os.listdir("/proc/self/fd")) if files else 0  # noqa: PTH208

    before, after = with_pool(TWO, use)
    assert after <= before + 4  # pipes of a process that is being replaced


def test_too_little_memory_is_said_with_its_flag() -> None:
    pool_limits = replace(ONE, decode_memory=512 << 20)

    def starve(decoder: Decoder) -> Any:
        return picture(decoder, flat_png(3000))

    async def use(pool: DecoderPool) -> None:
        pool._new = lambda: Decoder(memory=16 << 20, seconds=30)  # type: ignore[method-assign]
        with pytest.raises(RefusedMediaError) as caught:
            await pool.run(starve, kind="image", owner="me")
        assert caught.value.code == "image_too_large"
        words = "image: it takes too much memory to decode; allowed: 512 MiB (--decode-memory)"
        assert str(caught.value) == words

    with_pool(pool_limits, use)


def test_closing_ends_what_is_at_work() -> None:
    async def run() -> bool:
        pool = DecoderPool(ONE)
        [pid] = await pids(pool, "me")
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(pool.run(picture, kind="image", owner="me"))
        await asyncio.sleep(0.1)
        await pool.close()
        with pytest.raises(RefusedMediaError):
            await task
        return await gone(pid)

    assert asyncio.run(asyncio.wait_for(run(), 60))


def test_the_event_loop_stays_free() -> None:
    """While a large picture is decoded and sized, others are answered."""

    async def run() -> float:
        door = MediaDoor(ONE, config=CONFIG)
        await door.start()
        longest, large = 0.0, encoded(photo(3000, 2500), "JPEG")
        begun = time.monotonic()
        task = asyncio.create_task(door.open([MediaRequest("image", url(large))], "me"))
        while not task.done():
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)
        share = longest / (time.monotonic() - begun)
        await door.close()
        [[part]] = await task
        assert part.image.original_size == (2500, 3000)
        return share

    assert asyncio.run(run()) < 0.5


def test_cancelling_the_door_ends_its_process() -> None:
    async def run() -> None:
        door = MediaDoor(ONE, config=CONFIG)
        await door.start()
        [pid] = door._pool.pids
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(door.open([MediaRequest("video", url(clip()), options=VideoOptions())], "me"))
        while not door._pool._busy:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gone(pid)
        [[part]] = await door.open([MediaRequest("image", url(PHOTO))], "me")
        assert np.asarray(part.image.original_size).tolist() == [60, 80]
        await door.close()

    asyncio.run(run())
