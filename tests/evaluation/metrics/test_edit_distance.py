"""Both ways to count edits agree with the textbook's table."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.metrics.edit_distance import edit_distance, edit_distances

words = st.text("abc", max_size=12) | st.lists(st.sampled_from(["<b>", "x", 1]), max_size=12)


def by_table(first: Sequence[object], second: Sequence[object]) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


@given(words, words)
def test_one_pair(first: Sequence[object], second: Sequence[object]) -> None:
    assert edit_distance(first, second) == by_table(first, second)


@given(st.lists(words, max_size=5), st.lists(words, max_size=9))
def test_many_pairs(firsts: list[Sequence[object]], seconds: list[Sequence[object]]) -> None:
    told = edit_distances(firsts, seconds).tolist()
    assert told == [[by_table(first, second) for second in seconds] for first in firsts]


@given(st.text("ab", min_size=60, max_size=200), st.text("ab", max_size=200))
def test_longer_than_a_machine_word(first: str, second: str) -> None:
    assert edit_distance(first, second) == edit_distance(second, first) == by_table(first, second)
