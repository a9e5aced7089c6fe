"""Sends requests to the loop and gives what they say to whoever asked, in the thread or event loop that asked."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import closing
from functools import partial
from queue import SimpleQueue

from anyres.chat import Answer, Piece
from anyres.engine.loop import EngineLoop
from anyres.engine.runner import Progress, Report
from anyres.engine.ticket import Event, Ticket

__all__ = ["answers_of", "listen", "listen_async", "pieces_of"]


def listen(
    loop: EngineLoop, tickets: Sequence[Ticket], report: Report | None
) -> Generator[tuple[int, Piece | Answer], None, None]:
    """Pieces and answers with the number of their request; the first error is raised. Left early, it aborts the rest.

    Siblings are numbered behind the request they belong to.
    """
    everyone = [one for ticket in tickets for one in (ticket, *ticket.siblings)]
    inbox: SimpleQueue[tuple[int, Event]] = SimpleQueue()
    for number, ticket in enumerate(everyone):
        ticket.send, ticket.reports = partial(_put, inbox, number), report is not None
    progress = _Progress(report)
    left = len(everyone)
    try:
        loop.submit(tickets)
        while left:
            number, event = inbox.get()
            if isinstance(event, Exception):
                raise event
            if isinstance(event, Progress):
                progress.tell(number, event)
                continue
            left -= isinstance(event, Answer)
            yield number, event
    finally:
        for ticket in everyone if left else ():
            loop.abort(ticket)


def answers_of(loop: EngineLoop, tickets: Sequence[Ticket], report: Report | None) -> list[Answer]:
    """When all are there; those of siblings behind that of the request they belong to."""
    with closing(listen(loop, tickets, report)) as events:
        answers = {number: event for number, event in events if isinstance(event, Answer)}
    return [answers[number] for number in sorted(answers)]


def pieces_of(loop: EngineLoop, ticket: Ticket, report: Report | None) -> Generator[Piece, None, Answer]:
    """As they are made; returns the whole."""
    with closing(listen(loop, [ticket], report)) as events:
        for _, event in events:
            if isinstance(event, Answer):
                break
            yield event
    return ticket.sequence.answer()


async def listen_async(loop: EngineLoop, ticket: Ticket, report: Report | None) -> AsyncGenerator[Piece | Answer, None]:
    """Pieces and at last the answer."""
    inbox: asyncio.Queue[Event] = asyncio.Queue()
    here = asyncio.get_running_loop()

    def send(event: Event) -> None:
        here.call_soon_threadsafe(inbox.put_nowait, event)

    ticket.send, ticket.reports = send, report is not None
    done = False
    try:
        loop.submit([ticket])
        while not done:
            event = await inbox.get()
            if isinstance(event, Exception):
                raise event
            if isinstance(event, Progress):
                if report is not None:
                    report(event)
                continue
            done = isinstance(event, Answer)
            yield event
    finally:
        if not done:
            loop.abort(ticket)


def _put(inbox: "SimpleQueue[tuple[int, Event]]", number: int, event: Event) -> None:
    inbox.put((number, event))


class _Progress:
    """Of several requests as one: sums, and how many items are complete."""

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._latest: dict[tuple[str, int], Progress] = {}

    def tell(self, number: int, progress: Progress) -> None:
        if self._report is None:
            return
        self._latest[progress.stage, number] = progress
        same = [one for one in self._latest.values() if one.stage == progress.stage]
        items = sum(one.items for one in same)
        complete = sum(one.items if one.done == one.total else one.item - 1 for one in same)
        done, total = sum(one.done for one in same), sum(one.total for one in same)
        self._report(Progress(progress.stage, min(complete + 1, items), items, done, total))
