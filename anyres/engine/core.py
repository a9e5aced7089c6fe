"""The engine: schedule -> run -> postprocess, one step at a time, for any number of requests."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import TypeVar

from torch import Tensor

from anyres.engine.blocks import BlockManager
from anyres.engine.choosing import attempt, choose
from anyres.engine.decoder import Decoder
from anyres.engine.draft import Draft, DraftModel, Follower
from anyres.engine.drafting import Drafting
from anyres.engine.kv_cache import KVCache, PagedAttention
from anyres.engine.options import EngineOptions, EngineStats
from anyres.engine.pinned import Pins
from anyres.engine.prefix import PrefixNames, items_of
from anyres.engine.request import Sequence as Answering
from anyres.engine.runner import Progress, Runner
from anyres.engine.sampler import Choice
from anyres.engine.scheduler import Item, Job, Scheduler, Sight, Span
from anyres.engine.speculation import Guesser, Speculation
from anyres.engine.ticket import Ticket
from anyres.engine.vision_cache import VisionCache
from anyres.engine.visuals import Visuals
from anyres.errors import DeadlineError

__all__ = ["Engine"]

T = TypeVar("T")
_Drawing = tuple[Ticket, Sequence[Tensor]]
"""Who draws, from these logits_V one after the other."""


class Engine:
    """Runs requests together: `add` them, `step` until it says that nothing is left, `drop` what nobody waits for.

    Not for several threads at once; EngineLoop is. A failure in one request ends that request alone, with the error as
    its last event.
    """

    def __init__(
        self,
        runner: Runner,
        options: EngineOptions | None = None,
        *,
        vision_cache: VisionCache | None = None,
        paged_attention: PagedAttention | None = None,
        draft: DraftModel | None = None,
        pins: Pins | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.options = options = options or EngineOptions()
        self._runner = runner
        self._clock = clock
        model = runner.model
        small = None if draft is None else draft.runner.model
        beside = None if small is None else (small.config.text, small.dtype)
        blocks, idle = options.blocks(model.config.text, model.dtype, beside=beside)
        self._blocks = BlockManager(blocks, idle=idle)
        self._visuals = Visuals(runner, vision_cache)
        self._draft = None if draft is None else Draft(draft, options, blocks=blocks, idle=idle, clock=clock)
        self._speculation = Speculation(
            most=options.guesses,
            row_step=runner.row_step,
            share=options.guess_share,
            drafting=None if self._draft is None else partial(Drafting, self._draft, target=model),
        )
        self._pins = pins
        self._scheduler = Scheduler(
            self._blocks,
            block_size=options.block_size,
            limits=options.limits,
            is_seen=self._visuals.is_seen,
            parts_ready=self._parts_ready,
            load_blocks=1 if pins is None else pins.chunk_blocks,
        )
        self._cache = KVCache(
            model.config.text,
            device=model.device,
            dtype=model.dtype,
            kept_as=options.stored_dtype(model.dtype),
            block_size=options.block_size,
            paged_attention=paged_attention,
        )
        self._decoder = Decoder(runner, self._cache, self._visuals)
        self._tickets: dict[Job, Ticket] = {}
        self._pad_ids = (model.config.image_token_id, model.config.video_token_id)
        self._counts = EngineStats()

    @property
    def capacity(self) -> int:
        """Tokens that the prompt and answer of one request may have together."""
        return self._blocks.blocks * self.options.block_size

    @property
    def requests(self) -> int:
        return len(self._tickets)

    @property
    def stats(self) -> EngineStats:
        scheduler = self._scheduler
        return self._counts._replace(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            held_bytes=self._cache.store.bytes + (0 if self._draft is None else self._draft.bytes),
            idle_blocks=self._blocks.idle,
        )

    def prepare(self, ticket: Ticket) -> None:
        """What `add` needs and any thread may do: the content keys of its pictures, and the pin that has most of it."""
        prompt = ticket.sequence.prompt
        ticket.items = items_of(prompt, self._pad_ids, self._runner.model.config.vision.merge_area)
        ticket.visuals = dict(zip([item.key for item in ticket.items], prompt.visuals, strict=True))
        if self._pins is not None:
            ticket.pinned = self._pins.find(self.names_of(ticket), ticket.prompt_length - 1)

    def names_of(self, ticket: Ticket) -> PrefixNames:
        """Of the blocks of a request that is prepared."""
        sequence = ticket.sequence
        return PrefixNames(
            sequence.prompt,
            ticket.items,
            sequence.answer_ids,
            block_size=self.options.block_size,
            salt=ticket.turn.salt,
        )

    def add(self, ticket: Ticket) -> None:
        """A request that is prepared and fits into `capacity`, with its siblings."""
        ticket.added_at = self._clock()
        self._scheduler.add(self._register(ticket))

    def drop(self, ticket: Ticket) -> None:
        """Ends a request without a word; its blocks are free at once. Siblings that have not begun go with it."""
        ticket.ended = True
        if ticket.job is not None and self._tickets.pop(ticket.job, None) is not None:
            self._scheduler.drop(ticket.job)
            self._release(ticket, ended=True)
            for sibling in ticket.siblings:
                sibling.ended = sibling.ended or not sibling.begun

    def clear(self) -> None:
        """Forgets the keys and values that are kept for prompts to come."""
        self._blocks.clear()
        if self._draft is not None:
            self._draft.clear()

    def fail_all(self, error: Exception) -> None:
        """Ends every request with it."""
        for ticket in list(self._tickets.values()):
            self._fail(ticket, error)

    def step(self) -> bool:
        """One pass of the encoder and of the decoder, as far as there is work. False where no request is left."""
        self._expire()
        started = self._clock()
        guessing_s = self._guess()
        plan = self._scheduler.plan()
        for job in plan.stopped:
            self._release(self._tickets[job], ended=False)
        self._cache.copy(plan.copies)
        for ticket in [one for one in map(self._tickets.__getitem__, self._scheduler.running) if not one.begun]:
            self._begin(ticket, started)
        self._load(plan.loads)
        seen_at = self._see(plan.sights, started)
        guessers = self._guessers(plan.spans)
        plain = all(span.job.said for span in plan.spans) and not plan.sights and not plan.loads
        self._read([span for span in plan.spans if span.job in self._tickets], seen_at)
        tokens, spent_s = sum(span.stop - span.start for span in plan.spans), self._clock() - started - guessing_s
        if plain and plan.spans:
            self._speculation.settle(guessers, answers=len(plan.spans), tokens=tokens, seconds=spent_s)
        else:
            self._speculation.pass_by(plan, spent_s)
        self._keep()
        self._visuals.forget(self._scheduler.forget_unwanted())
        self._count(steps=1, preempted=len(plan.stopped))
        return bool(self._tickets)

    def _register(self, ticket: Ticket) -> Job:
        tokens = ticket.prompt_length
        limit, width = tokens + ticket.sequence.max_tokens, 1 + len(ticket.siblings)
        ticket.job = job = Job(tokens, limit, self.names_of(ticket), ticket.items, ticket.turn.priority, width)
        job.loadable = 0 if ticket.pinned is None else ticket.pinned.tokens
        self._tickets[job] = ticket
        return job

    def _expire(self) -> None:
        for ticket in [one for one in self._tickets.values() if one.deaf]:
            self.drop(ticket)
        for ticket in [one for one in self._tickets.values() if one.turn.timeout_s < inf]:
            waited_s = self._clock() - ticket.added_at
            if waited_s > ticket.turn.timeout_s:
                self._fail(ticket, DeadlineError("request", f"{waited_s:.1f} s", f"{ticket.turn.timeout_s:g} s"))

    def _begin(self, ticket: Ticket, now: float) -> None:
        assert ticket.job is not None
        ticket.begin(now, ticket.job.reused)
        self._count(reused_tokens=ticket.job.reused)

    def _parts_ready(self, job: Job, item: Item) -> int:
        return self._visuals.parts_ready(item, self._tickets[job].visuals[item.key])

    def _load(self, loads: Sequence[Span]) -> None:
        """From pins. Where one is damaged the rest of the prompt is read like any other."""
        for span in loads:
            ticket, started, size = self._tickets[span.job], self._clock(), self.options.block_size
            assert ticket.pinned is not None
            first, stop = span.start // size, -(-span.stop // size)
            kept = ticket.pinned.read(first, stop)
            if kept is None:
                span.job.loadable = span.job.computed
                continue
            failed = attempt(partial(self._cache.restore, span.job.table[first:stop], kept))
            if isinstance(failed, Exception):
                self._fail(ticket, failed)
                continue
            self._scheduler.advance(span)
            ticket.note_loaded(span, self._clock() - started)
            self._count(loaded_tokens=span.stop - span.start)
            self._tell_reading([span.job])

    def _keep(self) -> None:
        """Some blocks of the first request that pins a prompt, as far as it was read; with the last of them it ends."""
        keeping = (one for one in map(self._tickets.__getitem__, self._scheduler.running) if one.keeper is not None)
        ticket = next(keeping, None)
        if ticket is None or ticket.keeper is None or ticket.job is None:
            return
        places = ticket.keeper.next(ticket.job.computed)
        if places is not None:
            ticket.keeper.take(self._cache.export(ticket.job.table[places]))
        if ticket.keeper.done:
            self.drop(ticket)
            ticket.say(ticket.sequence.answer())

    def _see(self, sights: Sequence[Sight], started: float) -> float:
        """Encodes; returns when it was done. Items that fail take their requests with them."""
        if not sights:
            return started
        keys = {sight.item.key for sight in sights}
        tickets = [ticket for ticket in self._tickets.values() if ticket.begun and ticket.needs(keys)]
        for ticket in tickets:
            self._tell_seeing(ticket)
        needed = {sight.item.key: self._tickets[sight.job].visuals[sight.item.key] for sight in sights}
        failed = self._visuals.encode(sights, needed)
        seen_at = self._clock()
        for ticket in tickets:
            ticket.sequence.spend(encode_s=seen_at - started)
            errors = [failed[item.key] for item in ticket.items if item.key in failed]
            if errors:
                self._fail(ticket, errors[0])
            else:
                self._tell_seeing(ticket)
        return seen_at

    def _guess(self) -> float:
        """Tries some ids that may come next; none while prompts are read beside the answers.

        Returns the seconds of a draft model.
        """
        jobs = self._scheduler.running
        for job in jobs:
            job.guessed = 0
        if not self.options.guesses or not all(job.said for job in jobs):
            return 0.0
        tickets = [ticket for job in jobs if (ticket := self._tickets[job]).sequence.speculate]
        for ticket in tickets:
            ticket.guesser = ticket.guesser or self._speculation.guesser(ticket.sequence, partial(_follower, ticket))
        guessers = [ticket.guesser for ticket in tickets if ticket.guesser is not None]
        sequences = [ticket.sequence for ticket in tickets]
        said = sum(job.said for job in jobs)
        spent_s = self._speculation.guess(guessers, sequences, answers=len(jobs), tokens=said)
        for ticket, guesser in zip(tickets, guessers, strict=True):
            assert ticket.job is not None
            ticket.job.guessed = len(guesser.guesses)
        return spent_s

    def _guessers(self, spans: Sequence[Span]) -> list[Guesser]:
        """Of a pass, whose guesses are those that found room in it."""
        found = [(span.job, self._tickets[span.job].guesser) for span in spans if span.job in self._tickets]
        for job, guesser in found:
            if guesser is not None:
                guesser.begin(job.guessed)
        return [guesser for _, guesser in found if guesser is not None]

    def _read(self, spans: Sequence[Span], started: float) -> None:
        """Through the decoder, and one token further for every sequence that has been read to its end."""
        if not spans:
            return
        answering = {span.job for span in spans if span.job.said}
        self._tell_reading(span.job for span in spans if span.job not in answering)
        logits, failed = self._decoder.forward([(self._tickets[span.job], span) for span in spans])
        for span in spans:
            if span.job in failed:
                self._spoil(span, failed[span.job])
            elif not span.job.guessed:
                self._scheduler.advance(span)
        read = [span for span in spans if span.job not in failed]
        prompts = [span for span in read if span.job not in answering]
        self._note(prompts)
        drawing = [(one, logits[span.job]) for span in read if span.job in logits for one in self._drawers(span.job)]
        drawing = [(one, rows) for one, rows in drawing if one.keeper is None]
        stages = {self._tickets[span.job]: span.job in answering for span in read}
        self._draw(drawing, stages | {ticket: ticket.job in answering for ticket, _ in drawing}, started)

    def _draw(self, drawing: Sequence[_Drawing], stages: dict[Ticket, bool], started: float) -> None:
        """The next id of each answer, and those behind it as far as guesses were right.

        The time goes to `stages`: requests that were in the pass, and whether they are answering.
        """
        while stages:
            choices = choose([ticket.sequence for ticket, _ in drawing], [logits[0] for _, logits in drawing])
            before, started = started, self._clock()
            for ticket, answering in stages.items():
                ticket.sequence.spend(**{"decode_s" if answering else "prefill_s": started - before})
            right = [self._take(ticket, choice) for (ticket, _), choice in zip(drawing, choices, strict=True)]
            drawing = [(ticket, logits[n:]) for (ticket, logits), n in zip(drawing, right, strict=True) if n]
            stages = {ticket: stages[ticket] for ticket, _ in drawing}

    def _note(self, spans: Sequence[Span]) -> None:
        """What has been read of prompts."""
        self._tell_reading(span.job for span in spans)
        self._count(prompt_tokens=sum(span.stop - span.start for span in spans))
        for span in spans:
            ticket = self._tickets[span.job]
            for item in ticket.items:
                if item.start < span.stop and item.stop > span.start and item.key in self._visuals.cached:
                    ticket.note_cached(item, span.start)

    def _drawers(self, job: Job) -> list[Ticket]:
        """Those who draw from a job's logits: its ticket, and after the prompt its siblings, which begin now."""
        ticket = self._tickets[job]
        begun = [ticket]
        for sibling in ticket.siblings if job.width > 1 else ():
            if not sibling.ended:
                sibling.join(ticket)
                self._scheduler.fork(job, self._register(sibling))
                begun.append(sibling)
        job.width = 1
        return begun

    def _take(self, ticket: Ticket, choice: Choice | Exception) -> int:
        """Returns how many guesses that makes right, where the answer goes on as was guessed, and else 0."""
        sequence, before = ticket.sequence, len(ticket.sequence.answer_ids)
        piece = choice if isinstance(choice, Exception) else attempt(partial(sequence.accept, choice))
        if isinstance(piece, Exception):
            self._fail(ticket, piece)
            return 0
        new = sequence.answer_ids[before:]
        self._count(answer_tokens=len(new))
        right = 0 if ticket.guesser is None else ticket.guesser.check(new)
        as_guessed = right == len(new) and sequence.finish_reason is None
        if not as_guessed:
            self._go_on(ticket, len(new) - right)
        for event in (piece, sequence.answer() if sequence.finish_reason else None):
            if event is not None:
                ticket.say(event)
        return right if as_guessed else 0

    def _go_on(self, ticket: Ticket, unread: int) -> None:
        """The pass has no more for this answer, whose last ids are not in the cache; or it has ended."""
        assert ticket.job is not None
        if ticket.job.guessed:
            assert ticket.guesser is not None
            self._count(guesses=ticket.job.guessed, right_guesses=ticket.guesser.right)
            self._scheduler.settle(ticket.job, ticket.guesser.right)
        if ticket.sequence.finish_reason is None:
            self._scheduler.extend(ticket.job, unread)
        else:
            self.drop(ticket)

    def _spoil(self, span: Span, error: Exception) -> None:
        """What a failed pass wrote must not meet whoever gets the blocks next."""
        size = self.options.block_size
        self._cache.wipe(span.job.table[span.start // size : -(-span.stop // size)])
        if span.job.guessed:  # a wrong guess may be to blame: once more, without
            self._tickets[span.job].sequence.speculate = False
            self._release(self._tickets[span.job], ended=False)
            self._scheduler.restart(span.job)
            return
        self._fail(self._tickets[span.job], error)

    def _release(self, ticket: Ticket, *, ended: bool) -> None:
        """What a draft model has read for it."""
        if ticket.guesser is not None:
            self._speculation.release(ticket.guesser, ended=ended)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        unborn = [sibling for sibling in ticket.siblings if not sibling.begun and not sibling.ended]
        self.drop(ticket)
        for one in (ticket, *unborn):
            one.say(error)

    def _tell_seeing(self, ticket: Ticket) -> None:
        """Counts what the encoder makes for this request; what was there already is left out."""
        assert ticket.job is not None
        known = max(ticket.job.reused, ticket.job.loadable)
        items = [item for item in ticket.items if item.stop > known and item.key not in ticket.cached]
        ticket.tell(self._visuals.progress(items, read=ticket.job.computed))

    def _tell_reading(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            ticket, length = self._tickets[job], self._tickets[job].prompt_length
            ticket.tell(Progress("prefill", 1, 1, min(job.computed, length), length))

    def _count(self, **more: int) -> None:
        counts = self._counts
        self._counts = counts._replace(**{name: getattr(counts, name) + one for name, one in more.items()})


def _follower(ticket: Ticket, sequence: Answering) -> Follower:
    assert ticket.job is not None
    return Follower(sequence, ticket.job, ticket.visuals)
