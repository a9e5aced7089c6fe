"""Statistics against scipy and statsmodels (goldens/statistics.json), published examples and what must hold always."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.benchmark import Extraction, Graded, Scoring, Target
from anyres.evaluation.mean_figures import mean_figures
from anyres.evaluation.sample import Sample
from anyres.evaluation.statistics import (
    Z_95,
    Z_POWER_80,
    Interval,
    _drawn,
    _drawn_means,
    _is_mean,
    _mean_swapped,
    _picks,
    _swapped,
    bootstrap,
    difference,
    holm,
    interval_of,
    intervals,
    sign_test,
    verdict,
    wilson,
)

GOLDEN = json.loads((Path(__file__).parent / "goldens/statistics.json").read_text(encoding="utf-8"))


def share(graded: Sequence[Graded]) -> Mapping[str, float]:
    named = {one.sample.categories["kind"] for one in graded if "kind" in one.sample.categories}
    by_kind = {kind: [one.score for one in graded if one.sample.categories.get("kind") == kind] for kind in named}
    overall = {"overall": sum(one.score for one in graded) / len(graded)}
    return overall | {kind: sum(scores) / len(scores) for kind, scores in by_kind.items()}


SHARE = Scoring(
    "official", 1, lambda reply, sample: Extraction(reply.text, "all"), lambda found, sample: 0.0, share, unit="share"
)


def scored(scores: Sequence[float], clusters: Sequence[str] = (), kinds: Sequence[str] = ()) -> list[Graded]:
    return [
        Graded(
            Sample(
                str(place),
                "?",
                cluster=clusters[place] if clusters else "",
                categories={"kind": kinds[place]} if kinds else {},
            ),
            Extraction(None, "made up"),
            score,
        )
        for place, score in enumerate(scores)
    ]


@pytest.mark.parametrize(("hits", "n", "low", "high"), GOLDEN["wilson"])
def test_intervals_of_shares_are_those_of_scipy(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-12)


def test_newcombes_published_interval() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263 gives 0.2553 to 0.3662."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(("wins", "losses", "p"), GOLDEN["sign_test"])
def test_wins_against_losses_as_scipys_binomial_test(wins: int, losses: int, p: float) -> None:
    assert sign_test(int(wins), int(losses)) == pytest.approx(p, rel=1e-9)
    assert sign_test(0, 0) == 1


def test_holm_as_statsmodels() -> None:
    assert holm(GOLDEN["holm"]["p"]) == pytest.approx(GOLDEN["holm"]["adjusted"])
    assert holm([]) == []


def test_constants_are_scipys() -> None:
    assert GOLDEN["normal"] == pytest.approx({"z_95": Z_95, "z_power_80": Z_POWER_80})


def test_the_bootstrap_of_single_samples_is_binomial() -> None:
    golden = GOLDEN["binomial_bootstrap"]
    found = intervals(SHARE, scored([1.0] * 348 + [0.0] * 652), draws=4000)["overall"]
    assert found.value == pytest.approx(0.348)
    assert (found.low, found.high) == pytest.approx((golden["low"], golden["high"]), abs=2.5e-3)
    assert found.error == pytest.approx(golden["error"], rel=0.04)


def test_the_bootstrap_of_clusters_is_scipys() -> None:
    golden = GOLDEN["clustered_bootstrap"]
    scores, clusters = [], []
    for place, (hits, size) in enumerate(zip(golden["hits"], golden["sizes"], strict=True)):
        scores += [1.0] * hits + [0.0] * (size - hits)
        clusters += [str(place)] * size
    found = intervals(SHARE, scored(scores, clusters), draws=4000)["overall"]
    assert found.value == pytest.approx(golden["value"])
    assert (found.low, found.high) == pytest.approx((golden["low"], golden["high"]), abs=6e-3)
    assert found.error == pytest.approx(golden["error"], rel=0.04)
    alone = intervals(SHARE, scored(scores), draws=4000)["overall"]
    assert abs(alone.error / found.error - 1) > 0.05, "leaving the clusters out must show"


def test_the_paired_test_is_scipys_exact_one() -> None:
    golden = GOLDEN["permutation"]
    found = difference(SHARE, scored(golden["a"]), scored(golden["b"]), draws=1024)
    assert found is not None
    assert found.value == pytest.approx(golden["difference"])
    assert found.p == pytest.approx(golden["p"], abs=1e-12)
    assert (found.wins, found.losses, found.ties, found.n) == (5, 1, 4, 10)
    drawn = difference(SHARE, scored(golden["a"]), scored(golden["b"]), draws=1000)
    assert drawn is not None
    assert drawn.p == pytest.approx(golden["p"], abs=0.04)
    assert drawn.p != found.p, "1,000 draws are fewer than the 1,024 ways"


def test_fishers_paired_example() -> None:
    """Fisher's Design of Experiments, section 21: of the 32,768 ways to swap Darwin's 15 pairs of maize, 1,726 give a
    difference as large: p = 0.05267."""
    crossed = [188, 96, 168, 176, 153, 172, 177, 163, 146, 173, 186, 168, 177, 184, 96]
    selfed = [139, 163, 160, 160, 147, 149, 149, 122, 132, 144, 130, 144, 102, 124, 144]
    found = difference(SHARE, scored(crossed), scored(selfed), draws=2**15)
    assert found is not None
    assert found.p == 1726 / 32768


def test_what_is_swapped_is_the_picture() -> None:
    ours, theirs = [1.0] * 8, [0.0] * 8
    alone = difference(SHARE, scored(ours), scored(theirs), draws=1024)
    together = difference(SHARE, scored(ours, list("aaaabbbb")), scored(theirs, list("aaaabbbb")), draws=1024)
    assert alone is not None
    assert together is not None
    assert (alone.p, together.p) == (2 / 2**8, 2 / 2**2)


def test_only_samples_of_both_are_compared() -> None:
    ours, theirs = scored([1.0, 0.0, 1.0, 1.0]), scored([1.0, 1.0])
    found = difference(SHARE, ours, theirs)
    assert found is not None
    assert (found.n, found.value, found.losses) == (2, -0.5, 1)
    assert difference(SHARE, ours, []) is None


def test_the_detectable_difference_is_that_of_the_paired_error() -> None:
    """Miller 2024, equation 9 for one answer each: (1.96 + 0.84) times the paired standard error."""
    gaps = [1.0] * 30 + [0.0] * 60 + [-1.0] * 10
    found = difference(SHARE, scored([max(0, gap) for gap in gaps]), scored([max(0, -gap) for gap in gaps]), draws=4000)
    assert found is not None
    mean = 0.2
    error = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / 99 / 100)
    assert found.detectable == pytest.approx((1.96 + 0.8416) * error, rel=0.04)


def test_rare_categories_get_an_interval_too() -> None:
    graded = scored([1.0, 0.0, 0.0, 1.0], kinds=["rare", "often", "often", "often"])
    found = intervals(SHARE, graded)
    assert found["rare"] == Interval(1.0, 1.0, 1.0, 0.0)
    assert found["often"].low < found["often"].value < found["often"].high
    assert next(iter(found)) == "overall"
    assert intervals(SHARE, []) == {}
    assert interval_of(3.0, [1.0]) == Interval(3.0, 3.0, 3.0, 0.0)


def test_the_verdict_names_both_interval_and_n() -> None:
    target = Target("Qwen2-VL-2B", 43.0, "README")
    near = verdict(target, Interval(41.0, 38.0, 44.0, 1.55), n=1000)
    far = verdict(target, Interval(34.8, 32.0, 38.0, 1.5), n=1000)
    assert near.inside
    assert near.words == "inside the 95 % interval around the published target 43 (40.0 to 46.0; n = 1,000)"
    assert not far.inside
    assert far.words.startswith("outside the 95 % interval around the published target 43 (40.1 to 45.9")


@given(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=1, max_size=12))
def test_intervals_hold_their_value_and_are_the_same_each_time(scores: list[float]) -> None:
    graded = scored(scores, [str(place // 2) for place in range(len(scores))])
    found = intervals(SHARE, graded, draws=50)["overall"]
    assert min(scores) <= found.low <= found.high <= max(scores)
    assert found == intervals(SHARE, graded, draws=50)["overall"]
    same = difference(SHARE, graded, graded, draws=50)
    assert same is not None
    assert (same.value, same.p, same.wins, same.losses, same.detectable) == (0.0, 1.0, 0, 0, 0.0)


def halves(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean over two kinds: no mean over samples."""
    found = share(graded)
    return {"overall": (found.get("a", 0.0) + found.get("b", 0.0)) / 2}


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=30))
def test_means_have_a_fast_way_to_the_same_p(pairs: list[tuple[float, float]]) -> None:
    clusters = [str(place // 3) for place in range(len(pairs))]
    ours, theirs = scored([one for one, _ in pairs], clusters), scored([other for _, other in pairs], clusters)
    both = list(zip(ours, theirs, strict=True))
    groups = [both[place : place + 3] for place in range(0, len(both), 3)]
    assert _is_mean(SHARE, both, "overall")
    slow, fast = _swapped(SHARE, groups, "overall"), _mean_swapped(groups)
    for swaps in ([False] * len(groups), [place % 2 == 0 for place in range(len(groups))]):
        assert fast(swaps) / len(pairs) == pytest.approx(slow(swaps), abs=1e-12)


def test_what_is_no_mean_is_told_from_one() -> None:
    kinds = ["a"] * 30 + ["b"] * 30
    ours = scored([1.0] * 20 + [0.0] * 35 + [1.0] * 5, kinds=kinds)
    theirs = scored([0.0] * 30 + [1.0] * 30, kinds=kinds)
    pairs = list(zip(ours, theirs, strict=True))
    macro = Scoring("official", 1, SHARE.extract, SHARE.grade, halves)
    assert halves(ours)["overall"] == pytest.approx(share(ours)["overall"]), "equal on the whole"
    assert not _is_mean(macro, pairs, "overall")
    assert _is_mean(SHARE, pairs, "overall")


def test_what_was_drawn_before_is_used_and_gives_the_same() -> None:
    ours, theirs = scored([1.0, 0.0, 1.0, 1.0] * 5), scored([0.0, 0.0, 1.0, 0.0] * 5)
    drawn = bootstrap(SHARE, ours, draws=100), bootstrap(SHARE, theirs, draws=100)
    assert difference(SHARE, ours, theirs, draws=100, drawn=drawn) == difference(SHARE, ours, theirs, draws=100)
    assert intervals(SHARE, ours, drawn=drawn[0]) == intervals(SHARE, ours, draws=100)


kinds_of_scores = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abc")), min_size=1, max_size=30)


@given(kinds_of_scores, st.integers(1, 4))
def test_means_are_drawn_as_the_plain_way_draws_them(pairs: list[tuple[float, str]], size: int) -> None:
    clusters = [str(place // size) for place in range(len(pairs))]
    graded = scored([score for score, _ in pairs], clusters, [kind for _, kind in pairs])
    groups = [graded[place : place + size] for place in range(0, len(graded), size)]
    picks = _picks(len(groups), 20)
    fast, plain = _drawn_means(SHARE, groups, picks), _drawn(SHARE, groups, picks)
    assert fast.keys() == set(SHARE.summarise(graded))
    for name, values in fast.items():
        assert values == pytest.approx(plain[name], abs=1e-12)


def test_other_figures_are_drawn_the_plain_way() -> None:
    graded = scored([1.0, 0.0, 1.0, 1.0, 0.0] * 6, kinds=["a", "a", "b", "a", "b"] * 6)
    macro = Scoring("official", 1, SHARE.extract, SHARE.grade, lambda some: {**share(some), **halves(some), "n": 1.0})
    means = mean_figures(macro, graded)
    assert means.keys() == {"a", "b"}, "n is no mean either: its members are all, its value is not theirs"
    drawn = bootstrap(macro, graded, draws=50)
    plain = _drawn(macro, [[one] for one in graded], _picks(30, 50))
    for name, values in plain.items():
        assert drawn[name] == pytest.approx(values)


@pytest.mark.parametrize("all_right", [True, False])
def test_three_of_three_are_no_certainty(all_right: bool) -> None:
    """Wilson's interval over clusters, where a bootstrap cannot vary; scipy's for 10 of 10 is in the goldens."""
    per_cent = Scoring(
        "official", 1, SHARE.extract, SHARE.grade, lambda some: {k: 100 * v for k, v in share(some).items()}
    )
    graded = scored([float(all_right)] * 20, [str(place // 2) for place in range(20)], ["a", "b"] * 10)
    hits, n, low, high = GOLDEN["wilson"][1 if all_right else 0]
    assert n == 10
    found = intervals(per_cent, graded)
    for name in ("overall", "a", "b"):
        assert found[name].value == 10 * hits
        assert (found[name].low, found[name].high) == pytest.approx((100 * low, 100 * high))
        assert found[name].error > 5
