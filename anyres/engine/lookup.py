"""Guesses what comes next from what was there before: an answer that copies, quotes or fills in forms repeats itself.

Prompt lookup decoding (Saxena 2023): the ids that followed the last place where the text went on as it does now.
"""

from collections.abc import Collection, Iterable, Sequence

__all__ = ["PromptLookup", "common_length"]

LONGEST = 4  # ids of the longest run that is looked for; a run that is found goes on as long as it agrees
SHORTEST = 2


class PromptLookup:
    """The ids of a prompt and of its answer so far. `add` takes a fixed time, whatever their number.

    Ids in `never`, as the placeholders of pictures, are not guessed, nor looked for.

    >>> lookup = PromptLookup([7, 8, 9, 10, 11, 1, 7, 8])
    >>> lookup.propose(3), lookup.matched
    ([9, 10, 11], 2)
    """

    def __init__(self, token_ids: Iterable[int], *, never: Collection[int] = ()) -> None:
        self._ids: list[int] = []
        self._never = never
        self._since = 0  # ids at the end, none of which is in `never`
        self._after: dict[tuple[int, ...], int] = {}  # where the last occurrence of a run goes on
        self._place = 0  # the `matched` ids before it are those at the end
        self.matched = 0
        for token_id in token_ids:
            self.add(token_id)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, token_id: int) -> None:
        """One more id of the text."""
        goes_on = self.matched > 0 and self._ids[self._place] == token_id
        for length in self._lengths():
            self._after[tuple(self._ids[-length:])] = len(self._ids)
        self._ids.append(token_id)
        self._since = 0 if token_id in self._never else self._since + 1
        if goes_on and self._since:
            self._place, self.matched = self._place + 1, self.matched + 1
        else:
            self._look()

    def propose(self, most: int) -> list[int]:
        """Up to so many ids that followed; [] where nothing like the end of the text was there before.

        A run that reaches the end of the text goes on with itself: after 1 2 1 2 come 1 2 1 2.
        """
        if not self.matched:
            return []
        guesses: list[int] = []
        period = len(self._ids) - self._place
        for place in range(self._place, self._place + most):
            token_id = self._ids[place] if place < len(self._ids) else guesses[place - self._place - period]
            if token_id in self._never:
                break
            guesses.append(token_id)
        return guesses

    def _lengths(self) -> range:
        """Of the runs at the end that are looked for."""
        return range(SHORTEST, min(LONGEST, self._since) + 1)

    def _look(self) -> None:
        self.matched = 0
        for length in reversed(self._lengths()):
            place = self._after.get(tuple(self._ids[-length:]))
            if place is not None:
                self._place, self.matched = place, length
                return


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two runs begin with alike.

    >>> common_length([5, 6, 7], [5, 6, 8, 9])
    2
    """
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
