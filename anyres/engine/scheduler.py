"""What the next pass of the model holds: whose pictures, whose tokens, in which blocks. Whole numbers only, no model.

Every step the running jobs that are answering get their next token; prompts are read in pieces beside them, in order of
rank, as far as a budget of tokens goes, and pictures are encoded as far as a budget of patches goes. A piece may end
anywhere, also among the visual tokens of a picture, because those are causal in the decoder; but none of them is read
before the encoder has seen the whole item. Prompts share the blocks of a common beginning, and of two that arrive
together the second waits for the first to have read it. What a pin holds of a prompt is loaded, not read; and a clip
whose frames are still being decoded keeps nobody else waiting.

Blocks for a whole prompt are taken when it starts. An answer that finds no block left stops the worst ranked running
job, which starts again later from what the cache still knows of it; so the best ranked one always gets on, and every
job ends.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from anyres.engine.blocks import BlockManager

__all__ = ["Item", "Job", "Limits", "Plan", "Scheduler", "Sight", "Span"]

PRIORITY_STEP = 64  # a job of priority p + 1 is passed by at most this many later ones of priority p


@dataclass(frozen=True)
class Limits:
    """How much runs at once. The busy ones hold while somebody is answering, whose next word waits for the step."""

    running: int = 64
    step_tokens: int = 4096
    step_patches: int = 16_384
    busy_step_tokens: int = 512
    busy_step_patches: int = 4096

    @property
    def budget(self) -> tuple[int, int]:
        """Patches and prompt tokens of one step."""
        return self.step_patches, self.step_tokens

    @property
    def busy_budget(self) -> tuple[int, int]:
        return min(self.step_patches, self.busy_step_patches), min(self.step_tokens, self.busy_step_tokens)


class Item(NamedTuple):
    """A picture or clip in a prompt: places `start` to `stop`, encoded in `parts` of `patches` each.

    Parts are frame pairs, which see nothing of each other. An item that is encoded already has none.
    """

    key: bytes
    start: int
    stop: int
    parts: int
    patches: int


@dataclass(eq=False)
class Job:
    """A prompt and its answer as the scheduler sees them. `name_of(i)` names the contents of its i-th full block."""

    tokens: int  # known so far, of prompt and answer
    limit: int  # of prompt and answer
    name_of: Callable[[int], bytes]
    items: tuple[Item, ...] = ()
    priority: int = 0  # a smaller one goes first
    width: int = 1  # answers that will be forked off, itself included
    computed: int = 0  # tokens whose keys and values are in the cache
    said: int = 0  # of the tokens that are not, those which the answer has just got; 0 while a prompt is read
    guessed: int = 0  # tokens behind the known ones that the next pass tries
    reused: int = 0  # of those, how many were there when the job last started
    loadable: int = 0  # leading tokens whose keys and values a pin has; never the last token
    table: list[int] = field(default_factory=list)
    named: int = 0  # leading blocks whose names are known to the manager
    rank: tuple[int, int] = (0, 0)


class Span(NamedTuple):
    """Tokens of one job in a pass."""

    job: Job
    start: int
    stop: int


class Sight(NamedTuple):
    """Parts `start` to `stop` of an item for the vision encoder, and a job that needs it."""

    job: Job
    item: Item
    start: int
    stop: int


class Plan(NamedTuple):
    """One step: copies of blocks (from, to) first, then loads, sights, spans. `stopped` jobs lost their blocks."""

    copies: tuple[tuple[int, int], ...] = ()
    loads: tuple[Span, ...] = ()
    sights: tuple[Sight, ...] = ()
    spans: tuple[Span, ...] = ()
    stopped: tuple[Job, ...] = ()


class Scheduler:
    """Jobs that wait and jobs that run. `plan` -> run -> `advance` loads and spans, then `extend` or `drop` each job.

    `is_seen(key)` is asked once before an item is encoded: True where its visual tokens are at hand already.
    `parts_ready(job, item)` is how many leading parts can be encoded without a wait for their frames. A load ends where
    the next `load_blocks` of a pin begin. Where a pin turns out to be damaged, `loadable` is to be taken back.
    """

    def __init__(
        self,
        blocks: BlockManager,
        *,
        block_size: int = 16,
        limits: Limits | None = None,
        is_seen: Callable[[bytes], bool] | None = None,
        parts_ready: Callable[[Job, Item], int] | None = None,
        load_blocks: int = 64,
    ) -> None:
        self.blocks = blocks
        self.block_size = block_size
        self.limits = limits or Limits()
        self.waiting: list[Job] = []  # both by rank
        self.running: list[Job] = []
        self._is_seen = is_seen or _never
        self._parts_ready = parts_ready or _all_parts
        self._load_blocks = load_blocks
        self._parts: dict[bytes, int] = {}  # of items under way or done, how many parts are encoded
        self._reading: dict[bytes, Job] = {}  # blocks that running jobs are about to fill, by name
        self._arrived = 0

    def add(self, job: Job) -> None:
        """A new job, which fits into the blocks alone."""
        assert self.blocks_for(job.limit) <= self.blocks.blocks, "the job can never run"
        assert 0 < job.width <= self.limits.running, "more answers than may run together"
        self._arrived += 1
        job.rank = (self._arrived + PRIORITY_STEP * job.priority, self._arrived)
        insort(self.waiting, job, key=_rank)

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def plan(self) -> Plan:
        """The next step. Empty only where there is no job."""
        stopped, copies = self._admit(), list[tuple[int, int]]()
        answering: list[Span] = []
        for job in [job for job in self.running if _answers(job)]:
            if job in stopped:
                continue
            stopped += self._make_room(job, copies)
            if job not in stopped:
                self._make_room_to_guess(job)
                answering.append(Span(job, job.computed, job.tokens + job.guessed))
        reading = [job for job in self.running if not _answers(job)]
        patches, tokens = self.limits.busy_budget if answering else self.limits.budget
        sights, waits = self._look(reading, patches)
        loads, spans = self._load(reading), [*answering, *self._read(reading, tokens)]
        if waits and not (sights or loads or spans):  # nobody could go on meanwhile
            sights.append(self._see(*waits[0], 1))
        return Plan(tuple(copies), tuple(loads), tuple(sights), tuple(spans), tuple(stopped))

    def advance(self, span: Span) -> None:
        """The tokens of the span are in the cache; blocks that became full may be used by others."""
        job = span.job
        job.computed, job.said = span.stop, 0
        for i in range(job.named, job.computed // self.block_size):
            name = job.name_of(i)
            self.blocks.name(job.table[i], name)
            if self._reading.get(name) is job:
                del self._reading[name]
            job.named = i + 1

    def extend(self, job: Job, count: int = 1) -> None:
        """The answer has so many more tokens, which the next step feeds."""
        assert job.computed == job.tokens, "the tokens before are in the cache"
        assert job.tokens + count <= job.limit, "longer than was said"
        job.tokens += count
        job.said = count

    def settle(self, job: Job, right: int) -> None:
        """After a pass with guesses, of which the first `right` were: the others leave the cache."""
        assert 0 <= right <= job.guessed
        job.tokens, job.guessed = job.tokens + right, 0
        self.advance(Span(job, job.computed, job.tokens))
        needed = self.blocks_for(job.tokens)
        self.blocks.give_back(job.table[needed:])
        del job.table[needed:]

    def restart(self, job: Job) -> None:
        """A running job begins again, from what the cache knows of it."""
        self._stop(job)

    def fork(self, parent: Job, child: Job) -> None:
        """Another answer to a prompt that has just been read: shares all blocks until it writes."""
        assert parent.width > 1
        assert parent.computed == parent.tokens == child.tokens
        parent.width -= 1
        self._arrived += 1
        child.rank = (parent.rank[0], self._arrived)
        child.computed, child.reused, child.named = parent.computed, parent.computed, parent.named
        child.table = list(parent.table)
        self.blocks.share(child.table)
        insort(self.running, child, key=_rank)

    def drop(self, job: Job) -> None:
        """The job has ended, in whatever state: its blocks are given back at once."""
        if job in self.waiting:
            self.waiting.remove(job)
        elif job in self.running:
            self._release(job)

    def wants(self, key: bytes) -> bool:
        """Whether a running job has yet to read some of this item."""
        return any(item.key == key for job in self.running for item in _ahead(job))

    def forget_unwanted(self) -> list[bytes]:
        """Items that no running job needs any longer: their visual tokens may go."""
        gone = [key for key in self._parts if not self.wants(key)]
        for key in gone:
            del self._parts[key]
        return gone

    def _admit(self) -> list[Job]:
        """Starts waiting jobs while there is room, in order; one that waits for another's reading lets others pass."""
        stopped: list[Job] = []
        for job in list(self.waiting):
            known = self._known(job)
            if self._reads_the_same(job, known):
                continue
            while not (fits := self._fits(job, known)) and (worst := self._worse_than(job)) is not None:
                stopped.append(self._stop(worst))
                known = self._known(job)
            if not fits:
                break
            self.waiting.remove(job)
            self._start(job, known)
        return stopped

    def _known(self, job: Job) -> int:
        """Leading full blocks that are in the cache. The last token is always computed anew, for its logits."""
        for i in range((job.tokens - 1) // self.block_size):
            if not self.blocks.knows(job.name_of(i)):
                return i
        return (job.tokens - 1) // self.block_size

    def _reads_the_same(self, job: Job, known: int) -> bool:
        """Whether a running job is about to fill the first block that is missing."""
        full = (job.tokens - 1) // self.block_size
        return known < full and job.name_of(known) in self._reading

    def _fits(self, job: Job, known: int) -> bool:
        """With a block to spare for every running job, so that none has to stop at once."""
        idle = sum(self.blocks.is_idle(job.name_of(i)) for i in range(known))
        needed = self.blocks_for(job.tokens) - known
        slots = sum(other.width for other in self.running) + job.width
        spare = len(self.running)
        return slots <= self.limits.running and self.blocks.available - idle >= needed + spare

    def _worse_than(self, job: Job) -> Job | None:
        worst = self.running[-1] if self.running else None
        return worst if worst and worst.priority > job.priority and worst.rank > job.rank else None

    def _start(self, job: Job, known: int) -> None:
        reused = [self.blocks.reuse(job.name_of(i)) for i in range(known)]
        job.table = [block for block in reused if block is not None]
        assert len(job.table) == known
        job.table += self.blocks.take(self.blocks_for(job.tokens) - known)
        job.computed = job.reused = known * self.block_size
        job.named = known
        for i in range(known, job.tokens // self.block_size):
            self._reading.setdefault(job.name_of(i), job)
        insort(self.running, job, key=_rank)

    def _stop(self, job: Job) -> Job:
        """Pre-emption: it waits again, and keeps its rank."""
        self._release(job)
        insort(self.waiting, job, key=_rank)
        return job

    def _release(self, job: Job) -> None:
        self.running.remove(job)
        self._reading = {name: reader for name, reader in self._reading.items() if reader is not job}
        self.blocks.give_back(job.table)
        job.table, job.computed, job.reused, job.named, job.said, job.guessed = [], 0, 0, 0, 0, 0

    def _make_room(self, job: Job, copies: list[tuple[int, int]]) -> list[Job]:
        """Places of its own for what the answer has just got; returns the jobs that were stopped for it."""
        stopped: list[Job] = []
        while missing := self._missing(job):
            while self.blocks.available < missing:
                stopped.append(self._stop(self.running[-1]))
                if stopped[-1] is job:
                    return stopped
            at = job.computed // self.block_size
            if at < len(job.table) and self.blocks.is_shared(job.table[at]):
                (block,) = self.blocks.take(1)
                copies.append((job.table[at], block))
                self.blocks.give_back([job.table[at]])
                job.table[at] = block
            else:
                job.table += self.blocks.take(self.blocks_for(job.tokens) - len(job.table))
        return stopped

    def _make_room_to_guess(self, job: Job) -> None:
        """Nobody is stopped for a guess: without blocks for it there is none."""
        missing = self.blocks_for(job.tokens + job.guessed) - len(job.table)
        if missing > self.blocks.available:
            job.guessed = 0
        elif missing > 0:
            job.table += self.blocks.take(missing)

    def _missing(self, job: Job) -> int:
        """Blocks a job has to take before it may write: a copy of one that it shares, and new ones."""
        at = job.computed // self.block_size
        shared = at < len(job.table) and self.blocks.is_shared(job.table[at])
        return shared + self.blocks_for(job.tokens) - len(job.table)

    def _look(self, reading: Sequence[Job], patches: int) -> tuple[list[Sight], list[tuple[Job, Item]]]:
        """Parts of items to encode now, as many as the budget holds and at least one; and items that wait."""
        left = patches
        sights: list[Sight] = []
        waits: list[tuple[Job, Item]] = []
        for job, item in _unread_items(reading):
            done = self._progress(item)
            if done == item.parts:
                continue
            if sights and left < item.patches:
                break
            count = min(item.parts - done, max(1, left // item.patches))
            ready = min(count, self._parts_ready(job, item) - done)
            if ready > 0:
                sights.append(self._see(job, item, ready))
                left -= ready * item.patches
            if ready < count:
                waits.append((job, item))
            elif done + count < item.parts:
                break
        return sights, waits

    def _see(self, job: Job, item: Item, count: int) -> Sight:
        """The next parts of an item."""
        done = self._parts[item.key]
        self._parts[item.key] = done + count
        return Sight(job, item, done, done + count)

    def _progress(self, item: Item) -> int:
        if item.key not in self._parts:
            self._parts[item.key] = item.parts if item.parts and self._is_seen(item.key) else 0
        return self._parts[item.key]

    def _load(self, reading: Sequence[Job]) -> list[Span]:
        """What pins have of prompts, for each up to the next multiple of `load_blocks`, until there are so many."""
        left, size = self._load_blocks, self.block_size
        loads: list[Span] = []
        for job in [one for one in reading if one.computed < one.loadable]:
            at = job.computed // size
            stop = (at // self._load_blocks + 1) * self._load_blocks
            if left > 0:
                loads.append(Span(job, job.computed, min(job.loadable, stop * size)))
                left -= stop - at
        return loads

    def _read(self, reading: Sequence[Job], tokens: int) -> list[Span]:
        """Pieces of prompts, up to the first item that is not encoded when this step's sights are."""
        left = tokens
        spans: list[Span] = []
        for job in [one for one in reading if one.computed >= one.loadable]:
            unseen = (item.start for item in _ahead(job) if self._parts.get(item.key, 0) < item.parts)
            stop = min(job.tokens, job.computed + left, next(unseen, job.tokens))
            if stop > job.computed:
                spans.append(Span(job, job.computed, stop))
                left -= stop - job.computed
        return spans


def _never(key: bytes) -> bool:
    del key
    return False


def _all_parts(job: Job, item: Item) -> int:
    del job
    return item.parts


def _rank(job: Job) -> tuple[int, int]:
    return job.rank


def _answers(job: Job) -> bool:
    return job.said > 0


def _ahead(job: Job) -> list[Item]:
    """Items whose visual tokens are not all read, or loaded."""
    return [item for item in job.items if item.stop > max(job.computed, job.loadable)]


def _unread_items(jobs: Sequence[Job]) -> list[tuple[Job, Item]]:
    """Each once, with the first job that needs it."""
    found: dict[bytes, tuple[Job, Item]] = {}
    for job in jobs:
        for item in _ahead(job):
            found.setdefault(item.key, (job, item))
    return list(found.values())
