"""Guesses ahead: several ids of an answer in one pass, the same answer as one by one.

A pass reads, behind the ids that are known, some that are guessed, and gives logits after each. The next id is then
drawn from the first logits exactly as without guesses, with all its penalties, masks and random numbers; when it is the
one that was guessed, the next is drawn from the logits behind it, and so on. The first that was not guessed ends this;
the keys and values of the guesses after it leave the cache. Guesses are never drawn at random, so with a seed an answer
takes the same random numbers as without, one for each id, and is the same; a guess is right as often as the model would
have drawn it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from anyres.engine.choosing import attempt
from anyres.engine.lookup import PromptLookup
from anyres.engine.pace import Costs, Pace, Situation
from anyres.engine.request import Sequence as Answering

__all__ = ["Guesser", "Speculation", "common_length"]

MOST_GUESSES = 7  # a pass of 8 rows costs as much as one of 1 where rows are padded to 8
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

    @staticmethod
    def of(sequence: Answering) -> "Guesser":
        never = frozenset(sequence.sampler.banned_V.nonzero()[:, 0].tolist())
        return Guesser(PromptLookup(sequence.prompt.token_ids_T.tolist(), never=never))

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
    """How much is guessed for the answers of an engine; `most` ids at a time for each."""

    def __init__(self, *, most: int = MOST_GUESSES, row_step: int = 1) -> None:
        self.most = most
        self.costs = Costs(row_step)

    def guess(self, guessers: Sequence[Guesser], sequences: Sequence[Answering], *, answers: int, tokens: int) -> None:
        """Sets the guesses that are worth their cost, in a pass of so many answers and so far so many tokens."""
        for guesser, sequence in zip(guessers, sequences, strict=True):
            guesser.look(sequence, min(self.most, sequence.max_tokens - len(sequence.answer_ids) - 1))
            count = 0
            if guesser.guesses and self.costs.knows(answers):
                situation = Situation(self.costs, answers, tokens)
                count = guesser.pace.guesses(guesser.kind, len(guesser.guesses), situation)
            del guesser.guesses[count:]
            tokens += count

    def settle(self, guessers: Sequence[Guesser], *, answers: int, tokens: int, seconds: float) -> None:
        """What came of a pass of so many answers and nothing else."""
        self.costs.note(tokens, seconds)
        guessed = sum(len(guesser.guesses) for guesser in guessers)
        plain_s = self.costs.of(tokens - guessed)
        each_s = (self.costs.of(tokens) - plain_s) / max(1, guessed)
        for guesser in guessers:
            guesser.pace.spend(seconds / answers, 1 + guesser.right)
            if count := len(guesser.guesses):
                guesser.pace.learn(guesser.kind, count, guesser.right)
                guesser.pace.settle(guesser.right * plain_s / answers - count * each_s, plain_s)


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two runs begin with alike.

    >>> common_length([5, 6, 7], [5, 6, 8, 9])
    2
    """
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
