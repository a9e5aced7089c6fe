"""One pass of the decoder over what a plan asks for: prompts in pieces, answers, and guesses behind them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from anyres.engine.choosing import attempt
from anyres.engine.kv_cache import KVCache
from anyres.engine.prefix import positions_of
from anyres.engine.runner import Feed, Runner
from anyres.engine.scheduler import Job, Span
from anyres.engine.ticket import Ticket
from anyres.engine.visuals import Visuals

__all__ = ["Decoder", "Read"]


class Read(NamedTuple):
    """Of those read to their end the logits_V, and those behind each guess; and what went wrong."""

    logits: dict[Job, Sequence[Tensor]]
    failed: dict[Job, Exception]


class Decoder:
    """Feeds the spans of requests to the model, with the visual tokens that stand in them."""

    def __init__(self, runner: Runner, cache: KVCache, visuals: Visuals) -> None:
        self._runner = runner
        self._cache = cache
        self._visuals = visuals

    def forward(self, work: Sequence[tuple[Ticket, Span]]) -> Read:
        """One by one where a pass fails as a whole."""
        passed = attempt(lambda: self._runner.forward(self._cache, [self._feed(*one) for one in work]))
        jobs = [span.job for _, span in work]
        if not isinstance(passed, Exception):
            right = [i for i in passed.logits if i not in passed.failed]
            logits: dict[Job, Sequence[Tensor]] = {
                jobs[i]: (passed.logits[i], *passed.guessed.get(i, ())) for i in right
            }
            return Read(logits, {jobs[i]: error for i, error in passed.failed.items()})
        if len(work) == 1:
            return Read({}, {jobs[0]: passed})
        whole = Read({}, {})
        for one in work:
            alone = self.forward([one])
            whole.logits.update(alone.logits)
            whole.failed.update(alone.failed)
        return whole

    def _feed(self, ticket: Ticket, span: Span) -> Feed:
        job, start, stop = span
        prompt, length = ticket.sequence.prompt, ticket.prompt_length
        answer_ids = ticket.sequence.answer_ids[max(0, start - length) : max(0, stop - length)]
        visuals = self._visuals.between(ticket.items if start < length else (), ticket.visuals, start, stop)
        guesses = ticket.guesser.guesses if ticket.guesser and job.guessed else []
        ids = prompt.token_ids_T[start:stop].tolist() + answer_ids + guesses
        positions_3T, ends = positions_of(prompt, start, stop), stop >= job.tokens
        return Feed(ids, positions_3T, job.table, start, visuals, ends, job.guessed)
