"""Guesses ahead: several ids of an answer in one pass, the same answer as one by one.

A pass reads, behind the ids that are known, some that are guessed, and gives logits after each. The next id is then
drawn from the first logits exactly as without guesses, with all its penalties, masks and random numbers; when it is the
one that was guessed, the next is drawn from the logits behind it, and so on. The first that was not guessed ends this;
the keys and values of the guesses after it leave the cache. Guesses are never drawn at random, so with a seed an answer
takes the same random numbers as without, one for each id, and is the same; a guess is right as often as the model would
have drawn it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from anyres.engine.choosing import attempt
from anyres.engine.draft import Follower, reading_work
from anyres.engine.drafting import DRAFT, Drafted, Drafting
from anyres.engine.lookup import PromptLookup, common_length
from anyres.engine.pace import MOST_GUESSES, NO_BET, SHARE, Costs, Pace, Purse, Situation
from anyres.engine.request import Sequence as Answering
from anyres.engine.scheduler import Plan

__all__ = ["Guesser", "Speculation"]

MOST_KINDS = 4


@dataclass
class Guesser:
    """What is known of one answer: its text so far, and how its guesses went."""

    lookup: PromptLookup
    followed: int = 0  # ids of the answer that are in `lookup`
    pace: Pace = field(default_factory=Pace)
    guesses: list[int] = field(default_factory=list)  # of the pass that is under way
    kind: str = ""
    right: int = 0  # of the guesses, as far as ids have been drawn
    drafted: Drafted | None = None  # where a draft model may guess too

    @staticmethod
    def of(sequence: Answering, *, share: float = SHARE) -> "Guesser":
        """`share` of its time may be lost to what is looked up."""
        never = frozenset(sequence.sampler.banned_V.nonzero()[:, 0].tolist())
        return Guesser(PromptLookup(sequence.prompt.token_ids_T.tolist(), never=never), pace=Pace(Purse(share=share)))

    def begin(self, guesses: int) -> None:
        """A pass that tries so many of the guesses."""
        del self.guesses[guesses:]
        self.right = 0

    def check(self, new_ids: Sequence[int]) -> int:
        """How many of the ids that the answer has just got are those that were guessed."""
        right = common_length(new_ids, self.guesses[self.right :])
        self.right += right
        return right

    def look(self, sequence: Answering, most: int) -> None:
        """Sets `guesses` to what may come next, as far as the answer may hold it."""
        for token_id in sequence.answer_ids[self.followed :]:
            self.lookup.add(token_id)
        self.followed = len(sequence.answer_ids)
        found = self.lookup.propose(most)
        agreeing = attempt(partial(sequence.agreeing, found))  # what goes wrong there comes up again when ids are drawn
        self.guesses = [] if isinstance(agreeing, Exception) else found[:agreeing]
        self.kind = f"lookup {min(self.lookup.matched.bit_length(), MOST_KINDS)}"


class Speculation:
    """How much is guessed for the answers of an engine; `most` ids at a time for each.

    No more than `share` of the time is lost; with a draft model half of that for each kind of guess.
    """

    def __init__(
        self,
        *,
        most: int = MOST_GUESSES,
        row_step: int = 1,
        share: float = SHARE,
        drafting: Callable[[Costs, Purse], Drafting] | None = None,
    ) -> None:
        self.most = most
        self.costs = Costs(row_step)
        self._share = share if drafting is None else share / 2
        self.drafting = None if drafting is None else drafting(self.costs, Purse(share=self._share))

    def guesser(self, sequence: Answering, follower: Callable[[Answering], Follower]) -> Guesser:
        """For a new answer."""
        guesser = Guesser.of(sequence, share=self._share)
        guesser.drafted = None if self.drafting is None else self.drafting.follow(follower(sequence))
        return guesser

    def release(self, guesser: Guesser, *, ended: bool) -> None:
        """The answer has ended, or lost its place."""
        if self.drafting is not None and guesser.drafted is not None:
            self.drafting.release(guesser.drafted, ended=ended)

    def guess(self, guessers: Sequence[Guesser], sequences: Sequence[Answering], *, answers: int, tokens: int) -> float:
        """Sets the guesses that are worth their cost, in a pass of so many answers and so far so many tokens.

        Returns the seconds that a draft model took for them.
        """
        drafting: list[tuple[Guesser, Drafted]] = []
        for guesser, sequence in zip(guessers, sequences, strict=True):
            most = min(self.most, sequence.max_tokens - len(sequence.answer_ids) - 1)
            guesser.look(sequence, most)
            if not self.costs.knows(answers):
                guesser.guesses = []
                continue
            count, drafted = self._bet(guesser, most, Situation(self.costs, answers, tokens))
            drafting += [(guesser, drafted)] if drafted is not None else []
            tokens += count
        return self._draft(drafting, zip(guessers, sequences, strict=True), Situation(self.costs, answers, tokens))

    def settle(self, guessers: Sequence[Guesser], *, answers: int, tokens: int, seconds: float) -> None:
        """What came of a pass of so many answers and nothing else."""
        self.costs.note(tokens, seconds)
        guessed = sum(len(guesser.guesses) for guesser in guessers)
        plain_s = self.costs.of(tokens - guessed)
        each_s = (self.costs.of(tokens) - plain_s) / max(1, guessed)
        for guesser in guessers:
            drafted, ids = guesser.drafted, 1 + guesser.right
            for pace in (guesser.pace, *([] if drafted is None else [drafted.pace])):
                pace.spend(seconds / answers, ids)
            if count := len(guesser.guesses):
                gained_s = guesser.right * plain_s / answers - count * each_s
                pace = guesser.pace
                if drafted is not None and guesser.kind == DRAFT:
                    pace = drafted.pace
                    drafted.gained_s += gained_s
                pace.learn(guesser.kind, count, guesser.right)
                pace.purse.settle(gained_s, plain_s)

    def pass_by(self, plan: Plan, seconds: float) -> None:
        """A step that read prompts or pictures: a share of its time, too, is for a draft model."""
        if self.drafting is None:
            return
        self.drafting.purse.earn(seconds)
        tokens = sum(span.stop - span.start for span in plan.spans)
        patches = sum((sight.stop - sight.start) * sight.item.patches for sight in plan.sights)
        if tokens + patches:
            self.drafting.target_reading.note(reading_work(self.drafting.target, tokens, patches), seconds)

    def _bet(self, guesser: Guesser, most: int, situation: Situation) -> tuple[int, Drafted | None]:
        """How many guesses, and whether the draft model makes them; those that were looked up are cut to the number."""
        bet = guesser.pace.bet(guesser.kind, len(guesser.guesses), situation) if guesser.guesses else NO_BET
        if self.drafting is not None and guesser.drafted is not None and most > 0:
            drawn = self.drafting.bet(guesser.drafted, most, situation)
            if drawn.gain_s > bet.gain_s or drawn.guesses > bet.guesses == 0:
                guesser.drafted.wanted, guesser.guesses = drawn.guesses, []
                return drawn.guesses, guesser.drafted
        del guesser.guesses[bet.guesses :]
        return bet.guesses, None

    def _draft(
        self,
        chosen: Sequence[tuple[Guesser, Drafted]],
        answering: Iterable[tuple[Guesser, Answering]],
        situation: Situation,
    ) -> float:
        if self.drafting is None or not self.costs.knows(situation.answers):
            return 0.0
        spent_s = self.drafting.guess([drafted for _, drafted in chosen], situation)
        for guesser, drafted in chosen:
            guesser.guesses, guesser.kind = self.drafting.agreeing(drafted), DRAFT
        followed = [(guesser.drafted, sequence) for guesser, sequence in answering if guesser.drafted is not None]
        return spent_s + self.drafting.read_on(followed, situation)
