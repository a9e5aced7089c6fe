"""Schedules at random over a cache that is made of lists: whatever happens, every answer sees its own prompt."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.engine.blocks import BlockManager
from anyres.engine.scheduler import PRIORITY_STEP, Item, Job, Limits, Plan, Scheduler, Span

SIZE = 4  # tokens a block


@dataclass(eq=False)
class Asked:
    """One request: its ids, of which items take runs, and what its answer will be."""

    ids: list[int]
    answer: list[int]
    items: tuple[Item, ...] = ()
    priority: int = 0
    width: int = 1
    stride: int = 1  # tokens the answer gets at a time, as from a grammar that leaves no choice
    said: int = 0  # tokens of the answer that were made
    pinned: int = 0  # leading tokens that are on disk
    job: Job = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = len(self.ids)
        self.whole = self.ids + self.answer
        limit = len(self.whole)
        self.job = Job(self.prompt, limit, self.name_of, self.items, self.priority, self.width)
        self.job.loadable = min(self.pinned, self.prompt - 1)

    def name_of(self, i: int) -> bytes:
        assert (i + 1) * SIZE <= self.prompt + self.said, "only known tokens are named"
        return hashlib.sha256(repr(self.whole[: (i + 1) * SIZE]).encode()).digest()


class Simulation:
    """Runs plans on a cache of lists and holds every promise of the scheduler against it.

    With a `seed` frames of clips come at random, and a load in five finds the rest of its pin damaged.
    """

    def __init__(
        self,
        blocks: int,
        limits: Limits | None = None,
        idle: int | None = None,
        *,
        load_blocks: int = 64,
        seed: int | None = None,
    ) -> None:
        self.rng = None if seed is None else random.Random(seed)
        self.load_blocks = load_blocks
        self.ready: Counter[bytes] = Counter()
        self.manager = BlockManager(blocks, idle=idle)
        self.seen_before: set[bytes] = set()
        self.scheduler = Scheduler(
            self.manager,
            block_size=SIZE,
            limits=limits,
            is_seen=lambda key: key in self.seen_before,
            parts_ready=self.parts_ready,
            load_blocks=load_blocks,
        )
        self.cache: dict[int, list[int | None]] = {}
        self.encoded: Counter[bytes] = Counter()
        self.live: dict[Job, Asked] = {}
        self.ended: list[Asked] = []
        self.tokens_run = 0
        self.tokens_loaded = 0

    def parts_ready(self, job: Job, item: Item) -> int:
        assert item in job.items
        if self.rng is None:
            return item.parts
        self.ready[item.key] = min(item.parts, self.ready[item.key] + self.rng.randrange(2))
        return self.ready[item.key]

    def add(self, asked: Asked) -> Asked:
        self.scheduler.add(asked.job)
        self.live[asked.job] = asked
        return asked

    def step(self) -> Plan:
        plan = self.scheduler.plan()
        self.check_budgets(plan)
        for source, target in plan.copies:
            self.cache[target] = list(self.cache[source])
        for load in plan.loads:
            self.load(self.live[load.job], load.start, load.stop)
        for sight in plan.sights:
            alone = len(plan.sights) == 1 and sight.stop - sight.start == 1 and not plan.spans and not plan.loads
            assert self.rng is None or alone or sight.stop <= self.ready[sight.item.key], (
                "a wait while others could run"
            )
            assert sight.start == self.encoded[sight.item.key], "parts come in order and once"
            self.encoded[sight.item.key] = sight.stop
        for span in plan.spans:
            self.write(self.live[span.job], span.start, span.stop)
        for span in plan.spans:
            self.check_seen(self.live[span.job], span.start, span.stop)
            self.scheduler.advance(span)
        for span in plan.spans:
            self.answer(self.live[span.job])
        for key in self.scheduler.forget_unwanted():
            self.encoded.pop(key, None)
        self.check_blocks()
        return plan

    def write(self, asked: Asked, start: int, stop: int) -> None:
        assert start == asked.job.computed
        for place in range(start, stop):
            block = asked.job.table[place // SIZE]
            assert not self.manager.is_shared(block), "nobody writes where another reads"
            self.cache.setdefault(block, [None] * SIZE)[place % SIZE] = asked.whole[place]

    def load(self, asked: Asked, start: int, stop: int) -> None:
        """A run of blocks out of one piece of a pin, of which the last may not be full; or nothing."""
        job, step = asked.job, SIZE * self.load_blocks
        assert start == job.computed < stop <= job.loadable < asked.prompt
        assert start % SIZE == 0
        assert stop % SIZE == 0 or stop == job.loadable
        assert start // step == (stop - 1) // step
        if self.rng is not None and self.rng.randrange(5) == 0:
            job.loadable = job.computed
            return
        self.write(asked, start, stop)
        self.scheduler.advance(Span(job, start, stop))
        self.tokens_loaded += stop - start

    def check_seen(self, asked: Asked, start: int, stop: int) -> None:
        """The pass has read the right tokens, and none of an item before the whole of it was encoded."""
        found = [self.cache[asked.job.table[place // SIZE]][place % SIZE] for place in range(stop)]
        assert found == asked.whole[:stop]
        self.tokens_run += stop - start
        for item in asked.items:
            if item.start < stop and item.stop > start:
                assert self.encoded[item.key] == item.parts or item.key in self.seen_before

    def answer(self, asked: Asked) -> None:
        job = asked.job
        if job.computed < job.tokens:
            return
        while job.width > 1:
            answer = [*asked.answer[:-1], -job.width]
            other = Asked(asked.ids, answer, asked.items, asked.priority, stride=asked.stride)
            self.scheduler.fork(job, other.job)
            self.live[other.job] = other
            self.say(other)
        self.say(asked)

    def say(self, asked: Asked) -> None:
        count = min(asked.stride, len(asked.answer) - asked.said)
        asked.said += count
        if asked.said == len(asked.answer):
            self.end(asked)
        else:
            self.scheduler.extend(asked.job, count)

    def end(self, asked: Asked) -> None:
        self.scheduler.drop(asked.job)
        del self.live[asked.job]
        self.ended.append(asked)

    def check_budgets(self, plan: Plan) -> None:
        limits = self.scheduler.limits
        assert plan.spans or plan.sights or plan.loads or not self.live, "something gets on in every step"
        assert sum(load.stop - load.start for load in plan.loads) < 2 * SIZE * self.load_blocks
        assert not {load.job for load in plan.loads} & {span.job for span in plan.spans}
        assert len({span.job for span in plan.spans}) == len(plan.spans)
        assert sum(span.stop - span.start for span in plan.spans if not span.job.said) <= limits.step_tokens
        patches = sum((sight.stop - sight.start) * sight.item.patches for sight in plan.sights)
        one = len(plan.sights) == 1 and plan.sights[0].stop - plan.sights[0].start == 1
        assert patches <= limits.step_patches or one
        assert sum(job.width for job in self.scheduler.running) <= limits.running

    def check_blocks(self) -> None:
        held = Counter(block for job in self.scheduler.running for block in job.table)
        assert self.manager.available == self.manager.blocks - len(held)
        assert all(self.manager.is_shared(block) == (count > 1) for block, count in held.items())
        assert not any(job.table for job in self.scheduler.waiting)
        assert set(self.live) == {*self.scheduler.running, *self.scheduler.waiting}

    def run(self, steps: int = 5000) -> int:
        for number in range(steps):
            if not self.live:
                return number
            self.step()
        raise AssertionError(f"{len(self.live)} requests never ended")


def text(length: int, answer: int = 1, *, first: int = 0, priority: int = 0, width: int = 1) -> Asked:
    return Asked([first + i for i in range(length)], [1000 + i for i in range(answer)], (), priority, width)


def pictured(before: int, tokens: int, after: int, key: bytes, *, parts: int = 1, patches: int = 8) -> Asked:
    ids = [*range(before), *([-1] * tokens), *range(after)]
    return Asked(ids, [1, 2], (Item(key, before, before + tokens, parts, patches),))


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """Few different ids, so that prompts often begin alike, and often with the same picture."""
    ids: list[int] = []
    items: list[Item] = []
    for _ in range(draw(st.integers(0, 2))):
        ids += draw(st.lists(st.integers(0, 1), max_size=6))
        kind = draw(st.integers(0, 2))
        tokens = 3 + 4 * kind
        items.append(Item(bytes([kind]), len(ids), len(ids) + tokens, 1 + kind, 5))
        ids += [-1 - kind] * tokens
    ids += draw(st.lists(st.integers(0, 1), min_size=1, max_size=14))
    answer = draw(st.lists(st.integers(0, 1), min_size=1, max_size=12))
    width, stride = draw(st.sampled_from([1, 1, 1, 3])), draw(st.sampled_from([1, 1, 2, 9]))
    pinned = draw(st.sampled_from([0, 0, 1, 4, 7, 13, 99]))
    return Asked(ids, answer, tuple(items), draw(st.integers(-1, 1)), width, stride, pinned=pinned)


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    blocks=st.integers(13, 40),
    idle=st.none() | st.integers(0, 6),
    limits=st.builds(
        Limits,
        running=st.integers(3, 8),
        step_tokens=st.integers(1, 30),
        step_patches=st.integers(1, 20),
        busy_step_tokens=st.integers(1, 1),
        busy_step_patches=st.integers(1, 1),
    ),
    load_blocks=st.integers(1, 4),
    seed=st.none() | st.integers(0, 99),
)
def test_random_schedules(
    data: st.DataObject, blocks: int, idle: int | None, limits: Limits, load_blocks: int, seed: int | None
) -> None:
    """Requests arrive and are given up at any time: no block is lost or written by two, every other one ends.

    Some have pins, some of which are damaged, and some wait for frames.
    """
    simulation = Simulation(blocks, limits, idle, load_blocks=load_blocks, seed=seed)
    coming = data.draw(st.lists(requests(), min_size=1, max_size=8))
    wanted = sum(one.width for one in coming)
    given_up = 0
    for one in coming:
        simulation.add(one)
        for _ in range(data.draw(st.integers(0, 3))):
            simulation.step()
        if simulation.live and data.draw(st.integers(0, 5)) == 0:
            gone = simulation.live.pop(data.draw(st.sampled_from(sorted(simulation.live, key=lambda job: job.rank))))
            given_up += gone.job.width
            simulation.scheduler.drop(gone.job)
            simulation.check_blocks()
    simulation.run()
    assert len(simulation.ended) == wanted - given_up
    assert simulation.manager.available == blocks
    assert simulation.step() == Plan()


def test_a_prompt_is_read_in_pieces_and_answered() -> None:
    simulation = Simulation(20, Limits(step_tokens=6))
    asked = simulation.add(text(15, 3))
    spans = [simulation.step().spans for _ in range(5)]
    assert [(span.start, span.stop) for (span,) in spans] == [(0, 6), (6, 12), (12, 15), (15, 16), (16, 17)]
    assert simulation.ended == [asked]


def test_answers_go_on_beside_a_long_prompt() -> None:
    simulation = Simulation(99, Limits(step_tokens=50, busy_step_tokens=4))
    simulation.add(text(5, 9))
    simulation.step()
    simulation.add(text(20, 1, first=500))
    for _ in range(5):
        answer, piece = simulation.step().spans
        assert (answer.stop - answer.start, piece.stop - piece.start) == (1, 4)


def test_the_same_beginning_is_read_once() -> None:
    """17 tokens the same: four blocks are shared, the last token of a prompt is always read."""
    simulation = Simulation(40)
    simulation.add(text(17))
    simulation.run()
    assert simulation.tokens_run == 17
    again, longer = simulation.add(text(17)), simulation.add(text(30))
    simulation.step()
    assert (again.job.reused, longer.job.reused) == (0, 0), "given back"
    assert simulation.tokens_run == 17 + 1 + 14
    short = simulation.add(text(16))
    simulation.run()
    assert short in simulation.ended
    assert simulation.tokens_run == 32 + 4


def test_two_that_arrive_together_read_their_beginning_once() -> None:
    """The second waits while the first reads what both begin with, and no longer."""
    simulation = Simulation(40, Limits(step_tokens=4))
    first, second = simulation.add(text(20, 5)), simulation.add(Asked([*range(12), 99, 98], [1]))
    other = simulation.add(text(3, first=700))
    steps = [{span.job for span in simulation.step().spans} for _ in range(4)]
    assert steps[0] == steps[1] == steps[2] == {first.job}
    assert second.job.reused == 12
    simulation.run()
    assert other in simulation.ended
    assert simulation.tokens_run == (20 + 4) + 2 + 3


def test_the_second_reads_by_itself_when_the_first_is_given_up() -> None:
    simulation = Simulation(40, Limits(step_tokens=4))
    first, second = simulation.add(text(20)), simulation.add(text(20))
    simulation.step()
    simulation.scheduler.drop(first.job)
    del simulation.live[first.job]
    simulation.run()
    assert simulation.ended == [second]
    assert simulation.tokens_run == 20


def test_no_token_of_a_picture_is_read_before_all_of_it_is_encoded() -> None:
    simulation = Simulation(40, Limits(step_patches=16))
    simulation.add(pictured(3, 10, 4, b"clip", parts=5, patches=8))
    plans = [simulation.step() for _ in range(3)]
    assert [(plan.sights[0].start, plan.sights[0].stop) for plan in plans] == [(0, 2), (2, 4), (4, 5)]
    assert [[(span.start, span.stop) for span in plan.spans] for plan in plans] == [[(0, 3)], [], [(3, 17)]]


def test_pictures_of_several_requests_are_encoded_together_and_once() -> None:
    simulation = Simulation(99, Limits(step_patches=32))
    for first, key in enumerate((b"a", b"b", b"a", b"c")):
        one = pictured(3, 6, 2, key, parts=2, patches=8)
        one.ids[0] = one.whole[0] = first
        simulation.add(one)
    sights = simulation.step().sights
    assert [(sight.item.key, sight.start, sight.stop) for sight in sights] == [(b"a", 0, 2), (b"b", 0, 2)]
    assert [sight.item.key for sight in simulation.step().sights] == [b"c"]
    simulation.run()


def test_what_a_pin_has_is_loaded_in_pieces_and_not_read() -> None:
    """Nor is a picture in it encoded; one that reaches beyond it is."""
    simulation = Simulation(40, Limits(step_tokens=3), load_blocks=2)
    asked = Asked([*range(2), *[-1] * 9, *range(9), *[-2] * 4, 7], [1], pinned=18)
    asked.items = asked.job.items = (Item(b"in", 2, 11, 1, 8), Item(b"beyond", 20, 24, 1, 8))
    simulation.add(asked)
    plans = [simulation.step() for _ in range(5)]
    loads = [[(load.start, load.stop) for load in plan.loads] for plan in plans]
    assert loads == [[(0, 8)], [(8, 16)], [(16, 18)], [], []]
    assert [[sight.item.key for sight in plan.sights] for plan in plans] == [[b"beyond"], [], [], [], []]
    simulation.run()
    assert simulation.ended == [asked]
    assert (simulation.tokens_loaded, simulation.tokens_run) == (18, 7)


def test_what_is_in_the_cache_is_not_loaded() -> None:
    simulation = Simulation(40)
    simulation.add(text(10))
    simulation.run()
    first, second = (Asked([*range(20)], [1], pinned=16) for _ in range(2))
    simulation.add(first)
    simulation.add(second)
    assert [(load.job, load.start, load.stop) for load in simulation.step().loads] == [(first.job, 8, 16)]
    simulation.run()
    assert simulation.ended[1:] == [first, second]
    assert simulation.tokens_loaded == 8, "of two that arrive together one loads"


def test_a_damaged_pin_is_read_like_any_prompt() -> None:
    simulation = Simulation(40, seed=0)
    asked = simulation.add(Asked([1, *[-1] * 9, *range(9)], [1, 2], (Item(b"in", 1, 10, 2, 8),), pinned=16))
    simulation.rng.randrange = lambda stop: 0 if stop == 5 else 1
    simulation.run()
    assert simulation.ended == [asked]
    assert (simulation.tokens_loaded, simulation.tokens_run) == (0, 19 + 1)


def test_nobody_waits_for_frames_of_another() -> None:
    """An answer goes on, a later picture is encoded, and the clip takes the parts that are there."""
    simulation = Simulation(60, seed=0)
    come: list[int] = []
    simulation.rng.randrange = lambda stop: come.pop(0) if come else 0
    simulation.add(text(5, 4))
    simulation.step()
    clip, picture = pictured(3, 8, 2, b"clip", parts=4), pictured(3, 6, 2, b"picture")
    clip.ids[0] = clip.whole[0] = 77
    simulation.add(clip)
    simulation.add(picture)
    come += [0, 1]
    plan = simulation.step()
    assert [(sight.item.key, sight.start, sight.stop) for sight in plan.sights] == [(b"picture", 0, 1)]
    assert {span.job for span in plan.spans} >= {picture.job}
    come += [1]
    assert [(sight.item.key, sight.start, sight.stop) for sight in simulation.step().sights] == [(b"clip", 0, 1)]
    while len(simulation.live) > 1:
        assert not simulation.step().sights
    alone = simulation.step()
    assert [(sight.start, sight.stop) for sight in alone.sights] == [(1, 2)], "then it waits, for one frame pair"
    simulation.run()
    assert clip in simulation.ended


def test_a_large_picture_waits_for_no_budget() -> None:
    simulation = Simulation(40, Limits(step_patches=5))
    simulation.add(pictured(1, 6, 2, b"large", patches=99))
    assert simulation.step().sights[0].stop == 1


def test_a_picture_that_is_known_is_not_encoded() -> None:
    """By the vision cache, by the prefix cache, or because it came encoded."""
    simulation = Simulation(40)
    simulation.seen_before = {b"known"}
    simulation.add(pictured(3, 10, 4, b"known"))
    assert not simulation.step().sights
    simulation.run()
    simulation.seen_before = set()
    simulation.add(pictured(3, 9, 4, b"known"))
    plan = simulation.step()
    assert not plan.sights
    assert plan.spans[0].start == 12, "all of its tokens are in the cache"
    simulation.run()
    came = pictured(4, 10, 4, b"encoded", parts=0)
    simulation.add(came)
    assert not simulation.step().sights


def test_an_answer_that_finds_no_room_stops_the_latest() -> None:
    """Both fit at first; the second starts again when the first has ended, from what is still known."""
    simulation = Simulation(6)
    first, second = simulation.add(text(7, 14)), simulation.add(text(7, 14, first=100))
    stopped = []
    while simulation.live:
        stopped += simulation.step().stopped
    assert stopped == [second.job]
    assert simulation.ended == [first, second]


def test_answers_of_one_prompt_share_its_blocks() -> None:
    simulation = Simulation(30)
    simulation.add(text(10, 4, width=3))
    simulation.step()
    tables = [job.table for job in simulation.scheduler.running]
    assert len(tables) == 3
    assert tables[0] == tables[1] == tables[2]
    plan = simulation.step()
    assert len(plan.copies) == 2, "the last one to write needs no copy"
    assert len({job.table[2] for job in simulation.scheduler.running}) == 3
    assert len({tuple(job.table[:2]) for job in simulation.scheduler.running}) == 1
    simulation.run()
    assert len(simulation.ended) == 3


def test_no_more_run_than_allowed_forked_ones_counted() -> None:
    simulation = Simulation(99, Limits(running=4))
    simulation.add(text(10, 4, width=3))
    simulation.add(text(5, 2, first=300, width=2))
    assert len(simulation.step().spans) == 1
    simulation.run()
    assert len(simulation.ended) == 5


def test_a_request_that_matters_more_takes_the_place_of_one_that_does_not() -> None:
    simulation = Simulation(40, Limits(running=1))
    low, same = simulation.add(text(8, 6, priority=1)), simulation.add(text(8, 2, first=200, priority=1))
    simulation.step()
    high = simulation.add(text(8, 2, first=100))
    assert simulation.step().stopped == (low.job,)
    simulation.run()
    assert simulation.ended == [high, low, same]


def test_nobody_starves_behind_requests_that_matter_more() -> None:
    """One of high priority arrives with every step; the low one is passed by 64 of them and no more."""
    simulation = Simulation(40, Limits(running=1))
    low = simulation.add(text(8, 2, priority=1))
    while low in simulation.live.values():
        simulation.add(text(8, 2, first=100 * len(simulation.live)))
        simulation.step()
    assert len(simulation.ended) <= PRIORITY_STEP + 2


def test_a_long_prompt_is_not_passed_by_short_ones_for_ever() -> None:
    simulation = Simulation(10)
    simulation.add(text(8, 8))
    simulation.step()
    long = simulation.add(text(36, 1, first=100))
    for number in range(60):
        simulation.add(text(4, 2, first=1000 + 10 * number))
        simulation.step()
    assert len(simulation.ended) > 3
    assert simulation.ended.index(long) <= 1


@pytest.mark.parametrize("wrong", ["too long", "too wide"])
def test_what_can_never_run_is_not_taken(wrong: str) -> None:
    simulation = Simulation(4, Limits(running=2))
    with pytest.raises(AssertionError):
        simulation.add(text(17) if wrong == "too long" else text(4, width=3))


def test_a_job_ends_in_any_state() -> None:
    simulation = Simulation(10, Limits(running=1))
    waits: Callable[[], list[Job]] = lambda: simulation.scheduler.waiting  # noqa: E731
    first, second = simulation.add(text(8, 4)), simulation.add(text(8, 4, first=50))
    simulation.step()
    assert waits() == [second.job]
    for asked in (second, first):
        simulation.end(asked)
        simulation.scheduler.drop(asked.job)  # twice does no harm
    assert simulation.manager.available == 10
