"""Guesses from earlier text, against a search through all of it."""

from hypothesis import example, given
from hypothesis import strategies as st

from anyres.engine.lookup import LONGEST, SHORTEST, PromptLookup

few_ids = st.lists(st.integers(0, 4), max_size=40)


def longest_match(ids: list[int], never: set[int]) -> int:
    """How many ids at the end stand, free of `never`, somewhere before as well."""
    best = 0
    for end in range(1, len(ids)):
        length = 0
        while length < end and ids[end - 1 - length] == ids[-1 - length] and ids[-1 - length] not in never:
            length += 1
        best = max(best, length)
    return best


@given(few_ids, st.integers(0, 12), st.sets(st.integers(0, 4), max_size=2))
@example([1, 1, 1, 0, 1, 1], 1, {0})  # the end stands twice before, followed by another id
def test_what_is_proposed_followed_the_same_ids(ids: list[int], most: int, never: set[int]) -> None:
    lookup = PromptLookup(ids, never=never)
    guesses, matched = lookup.propose(most), lookup.matched
    assert len(lookup) == len(ids)
    assert len(guesses) <= most
    assert not never & set(guesses)
    if not matched:
        assert guesses == []
        return
    end, text = ids[-matched:], ids + guesses
    assert not never & set(end)
    places = [at for at in range(matched, len(ids)) if ids[at - matched : at] == end]
    followed = [[text[at + i] for i in range(len(guesses))] for at in places]
    ends = [at + len(guesses) for at, one in zip(places, followed, strict=True) if one == guesses]
    assert any(len(guesses) == most or text[end] in never for end in ends), "as many as asked for, or up to never"


@given(few_ids, st.sets(st.integers(0, 4), max_size=1))
def test_the_longest_run_up_to_four_ids_is_found(ids: list[int], never: set[int]) -> None:
    longest = longest_match(ids, never)
    matched = PromptLookup(ids, never=never).matched
    assert matched <= longest
    if longest < SHORTEST:
        assert matched == 0
    else:
        assert matched >= min(longest, LONGEST)


@given(few_ids, few_ids)
def test_one_by_one_is_all_at_once(prompt: list[int], answer: list[int]) -> None:
    grown = PromptLookup(prompt)
    for token_id in answer:
        grown.propose(3)
        grown.add(token_id)
    whole = PromptLookup(prompt + answer)
    assert (grown.propose(9), grown.matched) == (whole.propose(9), whole.matched)


def test_the_last_of_several_places_counts() -> None:
    assert PromptLookup([1, 2, 3, 1, 2, 4, 1, 2]).propose(1) == [4]


def test_a_longer_run_beats_a_later_place() -> None:
    assert PromptLookup([5, 1, 2, 3, 9, 1, 2, 4, 5, 1, 2]).propose(1) == [3]


def test_a_run_is_followed_beyond_the_ids_that_are_looked_for() -> None:
    copied = list(range(10, 40))
    lookup = PromptLookup([*copied, 1, *copied[:20]])
    assert lookup.matched == 20
    assert lookup.propose(30)[:10] == copied[20:]
    lookup.add(99)
    assert (lookup.matched, lookup.propose(5)) == (0, [])


def test_what_repeats_itself_goes_on_for_ever() -> None:
    assert PromptLookup([1, 2, 1, 2]).propose(7) == [1, 2, 1, 2, 1, 2, 1]
    assert PromptLookup([3, 3, 3]).propose(4) == [3, 3, 3, 3]


def test_pictures_are_neither_guessed_nor_looked_for() -> None:
    pad, start, end = 100, 101, 102
    picture = [start, *[pad] * 20, end]
    assert PromptLookup([1, 2, *picture, 3, 1, 2], never={pad}).propose(5) == [start]
    assert PromptLookup([1, 2, *picture, 3, 1, 2], never={pad, start, end}).propose(5) == []
    assert PromptLookup([*picture, *picture], never={pad}).matched == 0
    assert PromptLookup([start, *[pad] * 20], never={pad}).propose(5) == []


def test_too_short_a_text() -> None:
    assert PromptLookup([]).propose(3) == []
    assert PromptLookup([1]).propose(3) == []
    assert PromptLookup([1, 2, 1, 2]).propose(0) == []


def test_work_for_an_id_does_not_grow_with_the_text() -> None:
    """Calls of dict and list, counted: each id looks up and notes three runs, however long the text is."""

    class Counting(dict):
        calls = 0

        def __setitem__(self, key: object, value: object) -> None:
            Counting.calls += 1
            super().__setitem__(key, value)

        def get(self, key: object, default: object = None) -> object:
            Counting.calls += 1
            return super().get(key, default)

    lookup = PromptLookup([])
    lookup._after = Counting()
    for number in range(3000):
        before = Counting.calls
        lookup.add(number * number % 89)
        assert Counting.calls - before <= 2 * (LONGEST - SHORTEST + 1)
