"""When a draft model pays: whose prompt it reads, and for whom it guesses.

It costs more than a guess that is looked up: the draft has to read prompt and pictures first, while the answer waits,
and to make a pass for each guess. So that no more than a share of all time can be lost, all of it is paid out of one
purse for all requests, into which that share of the time goes, and what right guesses save. A prompt is read once the
purse holds all that costs; an answer that ended before it had paid for itself doubles what the next one has to wait
for. So the draft is given up where it never pays, and reads at once where it does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from anyres.engine.choosing import attempt
from anyres.engine.draft import Draft, Follower
from anyres.engine.estimate import text_parameters
from anyres.engine.pace import FADE, NO_BET, Bet, Costs, Pace, Purse, Rate, Situation
from anyres.engine.request import Sequence as Answering
from anyres.model.qwen2vl import Qwen2VL

__all__ = ["DRAFT", "Drafted", "Drafting"]

DRAFT = "draft"
MOST_CAUTION = 64.0  # times the cost of reading that may be asked for
TRIALS = 4.0  # guesses that the purse can pay besides
PUT_BY = 3.0  # times what a reading needs: no more is put by


@dataclass(eq=False)
class Drafted:
    """One answer's: how far the draft is with it, and what came of that."""

    follower: Follower
    pace: Pace
    reading: bool = False  # of what is not read yet: decided and paid for piece by piece
    spent_s: float = 0.0
    gained_s: float = 0.0
    wanted: int = 0  # guesses for the pass that is being put together


@dataclass
class Drafting:
    """`costs` are those of the larger model's passes, `target` is that model."""

    draft: Draft
    costs: Costs
    purse: Purse
    target: Qwen2VL
    target_reading: Rate = field(default_factory=Rate)  # what the larger one takes to read prompts
    caution: float = 1.0

    def follow(self, follower: Follower) -> Drafted | None:
        """None where the draft cannot."""
        return Drafted(follower, Pace(self.purse)) if self.draft.can_follow(follower.sequence) else None

    def bet(self, drafted: Drafted, most: int, situation: Situation) -> Bet:
        """On guesses in the next pass. None for who is not followed yet, or has fallen behind."""
        if drafted.follower.lost or not self.draft.is_level(drafted.follower):
            return NO_BET
        return drafted.pace.bet(DRAFT, most, self._priced(drafted, situation))

    def guess(self, drafted: Sequence[Drafted], situation: Situation) -> float:
        """Makes the guesses that are wanted. Returns seconds, which are paid."""
        if not drafted:
            return 0.0
        least = min(0.5, self._pass_s(1) / situation.id_s)
        spent_s = self.draft.guess([one.follower for one in drafted], [one.wanted for one in drafted], least=least)
        for one in drafted:
            one.spent_s += spent_s / len(drafted)
        self.purse.seconds -= spent_s
        return spent_s

    def read_on(self, answering: Sequence[tuple[Drafted, Answering]], situation: Situation) -> float:
        """A piece of one prompt, where that is likely to pay. Returns seconds, which are paid."""
        for drafted, sequence in answering:
            follower = drafted.follower
            if follower.lost or self.draft.is_level(follower):
                drafted.reading = False
                continue
            if drafted.reading or self._pays(drafted, sequence, situation):
                drafted.reading = True
                spent_s = self.draft.read_on(follower)
                drafted.spent_s += spent_s
                self.purse.seconds -= spent_s
                return spent_s
        return 0.0

    def release(self, drafted: Drafted, *, ended: bool) -> None:
        """It has lost its blocks; or it has ended, and what came of it is known."""
        self.draft.release(drafted.follower)
        drafted.reading = False
        if ended and drafted.spent_s > 0:
            self.caution = 1.0 if drafted.gained_s > drafted.spent_s else min(MOST_CAUTION, 2 * self.caution)

    def agreeing(self, drafted: Drafted) -> list[int]:
        """The guesses that were made, as far as the answer may hold them."""
        found, sequence = drafted.follower.guesses, drafted.follower.sequence
        agreeing = attempt(partial(sequence.agreeing, found))
        return [] if isinstance(agreeing, Exception) else found[:agreeing]

    def _pays(self, drafted: Drafted, sequence: Answering, situation: Situation) -> bool:
        """Reading is not begun before the purse can pay all of it, nor for an answer that cannot get long enough."""
        cost_s, priced = self._reading_s(drafted.follower), self._priced(drafted, situation)
        if cost_s is None or not drafted.pace.bet(DRAFT, 1, priced).guesses:
            return False
        costs, tokens = situation.costs, situation.tokens
        trial_s = priced.each_s + costs.of(tokens + 1) - costs.of(tokens)
        needed_s = self.caution * cost_s + TRIALS * trial_s
        self.purse.reserve_s = max(PUT_BY * needed_s, FADE * self.purse.reserve_s)
        left = sequence.max_tokens - len(sequence.answer_ids)
        return self.purse.seconds >= needed_s and left * situation.id_s > 2 * cost_s

    def _reading_s(self, follower: Follower) -> float | None:
        rate = self.draft.reading if self.draft.reading.done else self.target_reading
        return rate.of(self.draft.unread(follower)) if rate.done else None

    def _priced(self, drafted: Drafted, situation: Situation) -> Situation:
        """With what this draft's guesses cost; what has not been read yet comes with the first of them."""
        follower, each_s = drafted.follower, self._pass_s(1)
        unread = max(1, follower.tokens - follower.places) if self.draft.is_level(follower) else 1
        return replace(situation, each_s=each_s, start_s=self._pass_s(unread) - each_s)

    def _pass_s(self, tokens: int) -> float:
        """Before any was measured: as much less than the larger model takes as this one is smaller."""
        if self.draft.costs.knows(tokens):
            return self.draft.costs.of(tokens)
        smaller = text_parameters(self.draft.config.text) / text_parameters(self.target.config.text)
        return self.costs.of(tokens) * smaller
