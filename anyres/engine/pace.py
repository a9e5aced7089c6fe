"""How many ids to guess ahead, so that it pays: from what passes cost here, and how often guesses were right.

A pass over one id and k guesses costs more than a pass over one id: hardly anything where memory is the limit or rows
are padded anyway, several times as much where arithmetic is. Each right guess saves a pass. An answer may spend a
fiftieth of its time on guesses that turn out wrong, and some of what right ones have saved; so a text without any
repetition is slower by a fiftieth at the most, whatever is guessed.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

__all__ = ["MOST_GUESSES", "NO_BET", "SHARE", "Bet", "Costs", "Pace", "Purse", "Rate", "Situation"]

MOST_GUESSES = 7  # a pass of 8 rows costs as much as one of 1 where rows are padded to 8
SAMPLES = 9  # of passes of one size; their median counts
FEWEST_SAMPLES = 3  # before anything is guessed
EXACT, STEP = 16, 8  # up to so many tokens sizes are kept apart, beyond that in steps
STEEP = 0.25  # of a pass: what each further row is taken to cost before it has been measured
SHARE = 0.02  # of an answer's time that may be lost
MOST_SAVED = 4.0  # passes' worth of saved time that may be lost again
PRIOR, PRIOR_WEIGHT = 0.5, 2.0  # chance of a guess before there were any, and how many guesses that is worth
LITTLE = 1.0  # guesses; where less is known, one is tried although it may not pay
RECENT = 0.8  # weight of what was measured before, each time something is
FADE = 0.97  # how much of what is known of guesses is left an id later


class Costs:
    """Seconds of passes by how many tokens are in them, as measured lately. The model pads to `row_step` rows.

    >>> costs = Costs()
    >>> for tokens, seconds in ((1, 0.10), (1, 0.10), (1, 0.11), (3, 0.12)):
    ...     costs.note(tokens, seconds)
    >>> [round(costs.of(tokens), 3) for tokens in (1, 2, 3, 5)]
    [0.1, 0.11, 0.12, 0.14]
    """

    def __init__(self, row_step: int = 1) -> None:
        self._steep = STEEP / row_step
        self._samples: dict[int, deque[float]] = {}
        self._medians: dict[int, float] = {}
        self._sizes: list[int] = []
        self._seconds: list[float] = []  # of these sizes, rising

    def note(self, tokens: int, seconds: float) -> None:
        size = _size(tokens)
        samples = self._samples.setdefault(size, deque(maxlen=SAMPLES))
        samples.append(seconds)
        self._medians[size] = sorted(samples)[len(samples) // 2]
        if len(self._sizes) < len(self._samples):
            self._sizes = sorted(self._samples)
        self._seconds = list(accumulate(map(self._medians.__getitem__, self._sizes), max))

    def knows(self, tokens: int) -> bool:
        """Whether passes of so many tokens, or of fewer, were measured."""
        return any(len(self._samples[one]) >= FEWEST_SAMPLES for one in self._sizes if one <= tokens)

    def reaches(self, tokens: int) -> bool:
        """Costs are foretold up to twice the largest pass that was measured."""
        return bool(self._sizes) and tokens <= 2 * self._sizes[-1]

    def of(self, tokens: int) -> float:
        """Measured, or between or beyond what was; never less than that of fewer. Something must be known."""
        sizes, seconds, size = self._sizes, self._seconds, _size(tokens)
        place = bisect_left(sizes, size)
        if place == 0:
            return seconds[0]
        if place < len(sizes):
            part = (size - sizes[place - 1]) / (sizes[place] - sizes[place - 1])
            return seconds[place - 1] + part * (seconds[place] - seconds[place - 1])
        slope = self._steep * seconds[0]
        if len(sizes) > 1:
            slope = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
        return seconds[-1] + slope * (size - sizes[-1])


def _size(tokens: int) -> int:
    return tokens if tokens <= EXACT else -(-tokens // STEP) * STEP


@dataclass(frozen=True)
class Situation:
    """A pass that is being put together: `answers` get an id each, and `tokens` are in it so far.

    `each_s` is what it costs to make a guess, `start_s` what it costs to begin with it.
    """

    costs: Costs
    answers: int
    tokens: int
    each_s: float = 0.0
    start_s: float = 0.0

    @property
    def id_s(self) -> float:
        """What an id costs without guesses."""
        return self.costs.of(self.answers) / self.answers


class Bet(NamedTuple):
    """How many guesses to make, and the seconds that is likely to save: 0 where it is only a trial."""

    guesses: int
    gain_s: float


NO_BET = Bet(0, 0.0)


@dataclass
class Purse:
    """Seconds that guesses may lose: a share of the time that goes by, and some of what right ones have saved.

    With `reserve_s` no more than that is put by; 0: nothing bounds what time brings in.
    """

    seconds: float = 0.0
    share: float = SHARE
    reserve_s: float = 0.0

    def earn(self, seconds: float) -> None:
        """Time that went by."""
        if not self.reserve_s or self.seconds < self.reserve_s:
            self.seconds += self.share * seconds

    def settle(self, gained_s: float, pass_s: float) -> None:
        """What guesses have saved, less what they cost; `pass_s` is what a pass without any takes."""
        most_s = max(self.seconds, MOST_SAVED * pass_s, self.reserve_s)
        self.seconds = min(self.seconds + gained_s, most_s)


@dataclass
class Rate:
    """Seconds of a piece of work by its size, as measured lately.

    >>> rate = Rate()
    >>> rate.note(100, 2.0)
    >>> rate.of(25)
    0.5
    """

    done: float = 0.0
    seconds: float = 0.0

    def note(self, done: float, seconds: float) -> None:
        self.done, self.seconds = RECENT * self.done + done, RECENT * self.seconds + seconds

    def of(self, size: float) -> float:
        """Something must be known."""
        return size * self.seconds / self.done


@dataclass
class _Odds:
    hits: float = 0.0
    misses: float = 0.0

    @property
    def chance(self) -> float:
        """That a guess is right, when those before it are."""
        return (self.hits + PRIOR * PRIOR_WEIGHT) / (self.hits + self.misses + PRIOR_WEIGHT)

    @property
    def little_known(self) -> bool:
        return self.hits + self.misses < LITTLE

    def fade(self, ids: int) -> None:
        left = FADE**ids
        self.hits, self.misses = self.hits * left, self.misses * left


@dataclass
class Pace:
    """One answer's: what it may lose, and how often its guesses of each kind were right."""

    purse: Purse = field(default_factory=Purse)
    _odds: dict[str, _Odds] = field(default_factory=dict)

    def chance(self, kind: str) -> float:
        return self._odds.get(kind, _Odds()).chance

    def spend(self, seconds: float, ids: int = 0) -> None:
        """Time that went by with this answer, and how many ids it got: what is known of guesses grows older."""
        self.purse.earn(seconds)
        for odds in self._odds.values():
            odds.fade(ids)

    def bet(self, kind: str, most: int, situation: Situation) -> Bet:
        """How many of `most` are worth their cost: the number that saves most, among those that may be lost."""
        odds, costs, tokens = self._odds.get(kind, _Odds()), situation.costs, situation.tokens
        id_s, before_s, chance = situation.id_s, costs.of(tokens), odds.chance
        best, right = NO_BET, 0.0
        for count in range(1, most + 1):
            right += chance**count
            extra_s = costs.of(tokens + count) - before_s + count * situation.each_s + situation.start_s
            if extra_s > self.purse.seconds or not costs.reaches(tokens + count):
                break
            saved_s = right * id_s - extra_s
            if saved_s > best.gain_s:
                best = Bet(count, saved_s)
            elif count == 1 and odds.little_known and extra_s < id_s:
                best = Bet(count, 0.0)
        return best

    def learn(self, kind: str, guessed: int, right: int) -> None:
        """The first `right` of the guesses were."""
        odds = self._odds.setdefault(kind, _Odds())
        odds.hits += right
        odds.misses += right < guessed
