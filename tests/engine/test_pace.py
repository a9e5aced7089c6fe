"""When guessing pays: simulated machines and answers, whose time is added up with and without guesses."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.engine.pace import FEWEST_SAMPLES, SHARE, Costs, Pace, Purse, Rate, Situation

MOST = 7
Machine = Callable[[int], float]


def simulate(seconds_of: Machine, right: Callable[[int], bool], ids: int, costs: Costs | None = None) -> float:
    """Seconds for an answer whose guess at place i is right where `right(i)` says so, guessed as Pace advises."""
    costs, pace = Costs() if costs is None else costs, Pace()
    at, total_s = 0, 0.0
    while at < ids:
        most = min(MOST, ids - at - 1)
        count = pace.bet("x", most, Situation(costs, 1, 1)).guesses if costs.knows(1) else 0
        agreed = next((i for i in range(count) if not right(at + i)), count)
        spent_s = seconds_of(1 + count)
        costs.note(1 + count, spent_s)
        total_s += spent_s
        pace.spend(spent_s, 1 + agreed)
        if count:
            pace.learn("x", count, agreed)
            pace.purse.settle(agreed * costs.of(1) - (costs.of(1 + count) - costs.of(1)), costs.of(1))
        at += 1 + agreed
    return total_s


def linear(slope: float) -> Machine:
    return lambda tokens: 0.1 * (1 + slope * (tokens - 1))


def padded(tokens: int) -> float:
    return 0.1 * -(-tokens // 8)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(0, 2**32), st.integers(50, 400))
def test_never_slower_by_more_than_a_fiftieth(slope: float, chance: float, seed: int, ids: int) -> None:
    """And a pass or two, once, for measuring."""
    draws = random.Random(seed)
    luck = [draws.random() < chance for _ in range(ids)]
    total_s = simulate(linear(slope), luck.__getitem__, ids)
    assert total_s <= (1 + SHARE) * ids * 0.1 + 0.2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_runs_of_right_and_wrong_guesses(runs: list[tuple[bool, int]], slope: float) -> None:
    """As when an answer copies for a while and then goes on freely."""
    luck = [right for right, length in runs for _ in range(length)]
    total_s = simulate(linear(slope), luck.__getitem__, len(luck))
    assert total_s <= (1 + SHARE) * len(luck) * 0.1 + 0.2


@pytest.mark.parametrize("machine", [linear(0.3), linear(1.0), padded, linear(0.0)])
def test_wrong_guesses_cost_little(machine: Machine) -> None:
    ids = 2000
    assert simulate(machine, lambda at: False, ids) <= (1 + SHARE) * ids * machine(1) + 2 * machine(1)


@pytest.mark.parametrize(
    ("machine", "gain"), [(linear(0.0), 7.0), (padded, 7.0), (linear(0.05), 5.0), (linear(0.2), 3.0)]
)
def test_right_guesses_gain_nearly_all_there_is(machine: Machine, gain: float) -> None:
    """With 7 guesses a pass at the most, 8 / (1 + 7 slope) times as fast."""
    ids = 2000
    assert simulate(machine, lambda at: True, ids) <= ids * machine(1) / gain


def test_no_guesses_where_a_row_costs_a_pass() -> None:
    costs = Costs()
    for tokens in (1, 1, 1, 2, 4, 8):
        costs.note(tokens, 0.1 * tokens)
    assert Pace(Purse(100.0)).bet("x", MOST, Situation(costs, 1, 1)).guesses == 0


def test_where_little_is_known_a_guess_is_tried() -> None:
    """A row costs 0.6 of a pass, as with AVX2 and int4: right guesses pay, and even chances do not."""
    costs = Costs()
    for tokens in (1, 1, 1, 2, 8):
        costs.note(tokens, 0.1 + 0.06 * (tokens - 1))
    pace = Pace(Purse(1.0))
    assert pace.bet("x", MOST, Situation(costs, 1, 1)).guesses == 1
    pace.learn("x", 1, 0)
    assert pace.bet("x", MOST, Situation(costs, 1, 1)).guesses == 0
    for _ in range(9):
        pace.learn("x", 1, 1)
    assert pace.bet("x", MOST, Situation(costs, 1, 1)).guesses > 1


def test_what_was_learnt_fades_so_that_it_is_tried_again() -> None:
    pace = Pace()
    assert pace.chance("x") == 0.5
    pace.learn("x", 7, 0)
    pace.learn("x", 7, 0)
    low = pace.chance("x")
    assert low == pytest.approx(0.25)
    pace.spend(0.0, ids=20)
    assert low < pace.chance("x") < 0.5
    pace.learn("x", 7, 7)
    assert pace.chance("x") > 0.75
    assert pace.chance("other") == 0.5


def test_more_is_guessed_where_guesses_were_right() -> None:
    costs = Costs()
    for tokens in (1, 1, 1, 8):
        costs.note(tokens, 0.1 + 0.01 * (tokens - 1))
    found = []
    for right in (0, 3, 7):
        pace = Pace(Purse(1.0))
        for _ in range(5):
            pace.learn("x", 7, right)
        found.append(pace.bet("x", MOST, Situation(costs, 1, 1)).guesses)
    assert found == sorted(found)
    assert found[0] < found[-1] == MOST


def test_a_crowd_guesses_less() -> None:
    """Where 16 answers share a pass, an id costs a sixteenth of it, and a guess as much as it did."""
    costs = Costs()
    for tokens in (1, 1, 1, 16, 16, 16, 32):
        costs.note(tokens, 0.1 + 0.02 * (tokens - 1))
    pace = Pace(Purse(1.0))
    assert pace.bet("x", MOST, Situation(costs, 1, 1)).guesses > 0
    assert pace.bet("x", MOST, Situation(costs, 16, 16)).guesses == 0


def test_nothing_is_guessed_that_may_not_be_lost() -> None:
    costs = Costs()
    for tokens in (1, 1, 1, 8):
        costs.note(tokens, 0.1 + 0.01 * (tokens - 1))
    for allowed_s in (0.0, 0.005, 0.011, 0.035, 0.2):
        count = Pace(Purse(allowed_s)).bet("x", MOST, Situation(costs, 1, 1)).guesses
        assert 0.01 * count <= allowed_s
    assert Pace(Purse(0.011)).bet("x", MOST, Situation(costs, 1, 1)).guesses == 1


def test_making_guesses_costs_too() -> None:
    costs = Costs()
    for tokens in (1, 1, 1, 8):
        costs.note(tokens, 0.1)
    pace = Pace(Purse(1.0))
    assert pace.bet("x", MOST, Situation(costs, 1, 1)).guesses == MOST
    assert 0 < pace.bet("x", MOST, Situation(costs, 1, 1, each_s=0.02)).guesses < MOST
    pace.learn("x", 2, 1)
    assert pace.bet("x", MOST, Situation(costs, 1, 1, each_s=0.06)).guesses == 0
    assert Pace(Purse(1.0)).bet("x", MOST, Situation(costs, 1, 1, each_s=0.11)).guesses == 0


def test_only_some_of_what_was_saved_may_be_lost_again() -> None:
    pace = Pace()
    for _ in range(100):
        pace.purse.settle(0.5, 0.1)
    assert pace.purse.seconds == pytest.approx(0.4)
    pace.purse.settle(-0.6, 0.1)
    assert pace.purse.seconds == pytest.approx(-0.2)
    pace.spend(10.0)
    assert pace.purse.seconds == pytest.approx(0.0)


def test_a_reserve_bounds_what_time_brings_in() -> None:
    """What was saved adds to it up to the reserve, or to a few passes; what was lost is taken whole."""
    purse = Purse(share=0.25, reserve_s=1.0)
    for _ in range(100):
        purse.earn(1.0)
    assert purse.seconds == pytest.approx(1.0)
    purse.settle(5.0, 0.1)
    assert purse.seconds == pytest.approx(1.0)
    purse.settle(5.0, 1.0)
    assert purse.seconds == pytest.approx(4.0)
    purse.settle(-6.0, 0.1)
    assert purse.seconds == pytest.approx(-2.0)


def test_a_start_is_paid_once() -> None:
    """So that where it is dear more is guessed at a time, or nothing."""
    costs = Costs()
    for tokens in (1, 1, 1, 8):
        costs.note(tokens, 0.1)
    pace = Pace(Purse(1.0))
    for _ in range(20):
        pace.learn("x", 7, 7)
    few = pace.bet("x", MOST, Situation(costs, 1, 1, each_s=0.05)).gain_s
    for start_s in (0.0, 0.1, 0.2):
        bet = pace.bet("x", MOST, Situation(costs, 1, 1, each_s=0.05, start_s=start_s))
        assert bet.guesses == MOST
        assert bet.gain_s == pytest.approx(few - start_s)
    assert pace.bet("x", MOST, Situation(costs, 1, 1, each_s=0.05, start_s=0.5)).guesses == 0


def test_a_rate_follows_what_was_measured_lately() -> None:
    rate = Rate()
    for _ in range(30):
        rate.note(10, 1.0)
    assert rate.of(10) == pytest.approx(1.0)
    for _ in range(30):
        rate.note(10, 3.0)
    assert rate.of(10) == pytest.approx(3.0, rel=0.01)


def test_costs_are_medians_and_never_fall_with_size() -> None:
    costs = Costs()
    for seconds in (0.1, 5.0, 0.1, 0.12, 0.1):
        costs.note(1, seconds)
    assert costs.of(1) == 0.1
    costs.note(4, 0.05)
    assert costs.of(4) == costs.of(2) == 0.1
    for seconds in [0.2] * 20:
        costs.note(1, seconds)
    assert costs.of(1) == 0.2


@given(st.lists(st.tuples(st.integers(1, 80), st.floats(0.001, 10.0)), min_size=1, max_size=30))
def test_costs_rise(samples: list[tuple[int, float]]) -> None:
    costs = Costs()
    for tokens, seconds in samples:
        costs.note(tokens, seconds)
    found = [costs.of(tokens) for tokens in range(1, 200)]
    assert all(one <= other + 1e-12 for one, other in pairwise(found))
    assert found[0] > 0


def test_passes_that_were_not_measured() -> None:
    """Taken to be dear, but for rows that are computed anyway; twice the largest is as far as it goes."""
    bare, padding = Costs(), Costs(row_step=8)
    for costs in (bare, padding):
        assert not costs.knows(1)
        assert not costs.reaches(1)
        for number in range(FEWEST_SAMPLES):
            assert not costs.knows(1), number
            costs.note(1, 0.1)
        assert costs.knows(1)
        assert costs.knows(5)
        assert costs.reaches(2)
        assert not costs.reaches(3)
    assert bare.of(2) == pytest.approx(0.125)
    assert padding.of(2) == pytest.approx(0.103125)
    bare.note(4, 0.4)
    assert not Costs().knows(4)
    assert bare.of(6) == pytest.approx(0.6)
