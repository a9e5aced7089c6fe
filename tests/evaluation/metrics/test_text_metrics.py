"""Metrics of text: hand-worked cases of each rule, and what holds for any answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks.chartqa import CHARTQA
from anyres.evaluation.benchmarks.ocrbench import OCRBENCH
from anyres.evaluation.metrics.anls import anls
from anyres.evaluation.metrics.exact import summarise_mean
from anyres.evaluation.metrics.groups import groups_of
from anyres.evaluation.metrics.relaxed import relaxed
from anyres.evaluation.metrics.subtasks import summarise_mmt
from anyres.evaluation.metrics.text import summarise_ocrbench
from anyres.evaluation.metrics.vqa import vqa_accuracy, vqa_plain
from anyres.evaluation.sample import Reply, Sample

words = st.text(alphabet="ab c.,1%$-", max_size=12)


@pytest.mark.parametrize(
    ("answer", "golds", "similarity"),
    [
        ("ax", ("ab",), 0.5),  # at the threshold it stands; the package anls gives 0
        ("axy", ("ab",), 0),
        ("Paris", ("PARIS", "London"), 1),
        ("New  York", ("new york",), 1),
        ("12 May", ("12 may 1999",), 6 / 11),
        ("", ("",), 1),
        ("", ("a",), 0),
        ("a", (), 0),
        ("abc", ("abd", "abce"), 0.75),
    ],
)
def test_anls(answer: str, golds: tuple[str, ...], similarity: float) -> None:
    assert anls(answer, golds) == pytest.approx(similarity)


@given(words, words)
def test_anls_of_anything(answer: str, gold: str) -> None:
    found = anls(answer, [gold])
    assert found == 0 or 0.5 <= found <= 1
    assert anls(answer, [gold, answer]) == 1 or answer != " ".join(answer.split())
    assert found == pytest.approx(anls(gold, [answer]))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The two dogs", "2 dogs"),
        ("none", "0"),
        ("dont", "don't"),
        ("A well-known-place", "well known place"),
        ("it's 5.5, ok.", "it's 5.5 ok"),
        ("a\nb\tc", "b c"),
    ],
)
def test_vqa_plain(text: str, plain: str) -> None:
    assert vqa_plain(text) == plain


@pytest.mark.parametrize(("same", "score"), [*enumerate((0, 0.3, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1))])
def test_vqa_accuracy_by_how_many_agree(same: int, score: float) -> None:
    assert vqa_accuracy("Cat.", ["cat"] * same + ["dog"] * (10 - same)) == pytest.approx(score)


CHART = [
    # answer, gold, official, lenient, strict
    ("14", "14", 1, 1, 1),
    ("14.6", "14", 1, 1, 1),
    ("14.8", "14", 0, 0, 0),
    ("2000", "2015", 1, 1, 0),  # a year within 5 %
    ("2015", "2015", 1, 1, 1),
    ("95%", "95", 0, 1, 1),
    ("95", "95%", 0, 1, 1),
    ("0.95", "95%", 1, 0, 0),  # the official one takes per cent for hundredths
    ("1,000", "1000", 0, 1, 1),
    ("$14", "14", 0, 1, 1),
    ("Yes.", "Yes", 0, 1, 1),
    ("yes", "Yes", 1, 1, 1),
    ("0", "0", 1, 1, 1),
    ("0.0", "0", 0, 1, 1),  # a gold of 0 is compared as a word
    ("0.001", "0", 0, 0, 0),
    ("The answer is 14.", "14", 0, 1, 1),
    ("-14", "14", 0, 0, 0),
    ("[2, 3]", "[2, 3]", 1, 1, 1),
    ("about 14", "14", 0, 0, 0),
    ("", "14", 0, 0, 0),
]


@pytest.mark.parametrize(("answer", "gold", "official", "lenient", "strict"), CHART)
def test_chartqa(answer: str, gold: str, official: float, lenient: float, strict: float) -> None:
    sample = Sample("1", "?", golds=(gold,))
    scores = [scoring.grade(scoring.extract(Reply(answer), sample), sample) for scoring in CHARTQA.scorings]
    assert scores == [official, lenient, strict]


@given(words, words)
def test_relaxed_accuracy_of_anything(answer: str, gold: str) -> None:
    assert relaxed(gold, gold) or gold.strip() in ("nan", "inf")
    assert relaxed(answer, gold) in (True, False)


def ocr(answer: str, *golds: str, category: str = "Regular Text Recognition") -> list[float]:
    sample = Sample("1", "?", golds=golds, categories={"category": category})
    return [scoring.grade(scoring.extract(Reply(answer), sample), sample) for scoring in OCRBENCH.scorings]


def test_containment_and_equality_stand_side_by_side() -> None:
    formula = "Handwritten Mathematical Expression Recognition"
    assert ocr("There are 12 items", "1") == [1, 0]
    assert ocr(" CENTRE\n", "centre") == [1, 1]
    assert ocr("centr", "centre") == [0, 0]
    assert ocr("a\nb", "a b") == [1, 1]
    assert ocr("x + y", "x+y", category=formula) == [1, 1]
    assert ocr("X+y", "x+y", category=formula) == [0, 0]  # case is kept
    assert ocr("two", "2", "two") == [1, 1]


def graded(score: float, name: str = "1", **categories: str) -> Graded:
    named = {kind.replace("_", "-"): value for kind, value in categories.items()}
    return Graded(Sample(name, "?", categories=named), Extraction("12 chars....", ""), score)


def test_ocrbench_counts_points() -> None:
    """Once more in the same process gives the same: lmms-eval adds a second run to the first."""
    formula = "Handwritten Mathematical Expression Recognition"
    ones = [graded(1, str(n), category="Irregular Text Recognition") for n in range(300)]
    zeros = [graded(0, str(n), category=formula) for n in range(300, 1000)]
    for _ in range(2):
        figures = summarise_ocrbench([*ones, *zeros])
        assert (figures["overall"], figures["recognition"], figures["formula"]) == (300, 300, 0)
        assert "scene" not in figures
        assert figures["answer length"] == 12
    assert summarise_ocrbench(ones[:10])["overall"] == 1000  # of a part, what the whole would have
    assert summarise_ocrbench([])["overall"] == 0


def test_mmt_bench_means_its_subtasks() -> None:
    found = [
        graded(1, l2_category="OCR", category="a"),
        *(graded(0, l2_category="OCR", category="b") for _ in range(3)),
    ]
    figures = summarise_mmt(found)
    assert (figures["overall"], figures["OCR"], figures["a"], figures["b"]) == (25, 50, 100, 0)


def test_means_by_category() -> None:
    figures = summarise_mean([graded(1, category="a"), graded(0, category="b"), graded(0)])
    assert figures == pytest.approx({"overall": 100 / 3, "a": 100, "b": 0})
    assert summarise_mean([]) == {"overall": 0}


@given(st.lists(st.integers(0, 5), max_size=12))
def test_groups_count_as_often_as_they_are_drawn(drawn: list[int]) -> None:
    samples = [Sample(str(number), "?", cluster=str(number // 2)) for number in range(6)]
    clusters = [[Graded(one, Extraction("", ""), 1.0) for one in samples if one.cluster == str(n // 2)] for n in drawn]
    groups = groups_of([one for cluster in clusters for one in cluster], lambda sample: sample.cluster)
    assert sum(group.times for group in groups) == len(drawn)
    assert all(len(group.members) == 2 for group in groups)
