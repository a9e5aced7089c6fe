"""Places: never more than there are, in order, and none is lost."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.server.errors import ApiError
from anyres.server.gate import Gate


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def hold(gate: Gate, done: asyncio.Event, log: list[int], number: int, width: int = 1) -> None:
    async with gate.place(width):
        log.append(number)
        await done.wait()


def test_first_come_first_served() -> None:
    async def work() -> None:
        gate, log = Gate(2, queue=8, queue_s=9), list[int]()
        done = [asyncio.Event() for _ in range(5)]
        tasks = [asyncio.create_task(hold(gate, event, log, number)) for number, event in enumerate(done)]
        await settle()
        assert (log, gate.taken, gate.waiting) == ([0, 1], 2, 3)
        done[1].set()
        await settle()
        assert log == [0, 1, 2]
        for event in done:
            event.set()
        await asyncio.gather(*tasks)
        assert (log, gate.taken, gate.waiting) == ([0, 1, 2, 3, 4], 0, 0)
        await asyncio.wait_for(gate.empty(), 1)

    run(work)


def test_a_wide_request_is_not_passed() -> None:
    async def work() -> None:
        gate, log, done = Gate(3, queue=8, queue_s=9), list[int](), asyncio.Event()
        first = asyncio.Event()
        tasks = [asyncio.create_task(hold(gate, first, log, 0, 2))]
        await settle()
        tasks += [asyncio.create_task(hold(gate, done, log, 1, 3)), asyncio.create_task(hold(gate, done, log, 2, 1))]
        await settle()
        assert log == [0]
        first.set()
        await settle()
        assert log == [0, 1]
        done.set()
        await asyncio.gather(*tasks)
        assert log == [0, 1, 2]

    run(work)


def test_more_places_than_there_are_means_all_of_them() -> None:
    async def work() -> None:
        gate = Gate(2, queue=1, queue_s=9)
        async with gate.place(8):
            assert gate.taken == 2
        assert gate.taken == 0

    run(work)


def test_a_full_line_refuses() -> None:
    async def work() -> None:
        gate, done = Gate(1, queue=1, queue_s=9), asyncio.Event()
        tasks = [asyncio.create_task(hold(gate, done, [], number)) for number in range(2)]
        await settle()
        with pytest.raises(ApiError, match="1 requests at work and 1 waiting") as refused:
            gate.refuse_if_full()
        assert refused.value.status == 429
        with pytest.raises(ApiError):
            async with gate.place():
                pass
        done.set()
        await asyncio.gather(*tasks)
        gate.refuse_if_full()

    run(work)


def test_waiting_has_an_end() -> None:
    async def work() -> None:
        gate, done = Gate(1, queue=4, queue_s=0.02), asyncio.Event()
        holding = asyncio.create_task(hold(gate, done, [], 0))
        await settle()
        with pytest.raises(ApiError, match=r"no place within 0\.02 s"):
            async with gate.place():
                pass
        assert gate.waiting == 0
        done.set()
        await holding

    run(work)


def test_those_who_wait_can_be_sent_away() -> None:
    async def work() -> None:
        gate, done = Gate(1, queue=4, queue_s=9), asyncio.Event()
        holding = asyncio.create_task(hold(gate, done, [], 0))
        waiting = [asyncio.create_task(hold(gate, done, [], number)) for number in (1, 2)]
        await settle()
        gate.end_all(ApiError(503, "over"))
        done.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(one) for one in found] == ["over", "over"]
        await holding
        assert (gate.taken, gate.waiting) == (0, 0)

    run(work)


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "cancel"]), st.integers(0, 5), st.integers(1, 4)), max_size=40
    )
)
def test_no_place_is_lost_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    async def work() -> None:
        gate, tasks, events = Gate(3, queue=4, queue_s=9), list[asyncio.Task[None]](), list[asyncio.Event]()
        for kind, which, width in steps:
            if kind == "enter":
                events.append(asyncio.Event())
                tasks.append(asyncio.create_task(hold(gate, events[-1], [], len(tasks), width)))
            elif tasks and kind == "leave":
                events[which % len(events)].set()
            elif tasks:
                tasks[which % len(tasks)].cancel()
            if which % 2:
                await settle()
            assert 0 <= gate.taken <= 3
            assert gate.waiting <= 4
        for event in events:
            event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (gate.taken, gate.waiting) == (0, 0)
        await asyncio.wait_for(gate.empty(), 1)

    run(work)
