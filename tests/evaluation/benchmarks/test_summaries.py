"""Summaries are drawn a thousand times for an interval: what must hold of those of every benchmark of pictures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import ImagePart
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks import BENCHMARKS
from anyres.evaluation.metrics.mme import PERCEPTION
from anyres.evaluation.metrics.text import OCRBENCH_PARTS
from anyres.evaluation.sample import Sample

NAMES = """AI2D CCBench ChartQA DocVQA HallusionBench InfoVQA MMBench_EN MME MMMU MMMU-Pro MMStar MMT-Bench MMVet MTVQA
OCRBench RealWorldQA TextVQA"""
KINDS = {"MME": PERCEPTION[:3], "OCRBench": tuple(OCRBENCH_PARTS)[:3], "HallusionBench": ("VD", "VS", "VD")}
SCORINGS = [(name, scoring) for name in NAMES.split() for scoring in BENCHMARKS[name].scorings]

clusters = st.lists(st.lists(st.sampled_from((0.0, 1.0)), min_size=2, max_size=2), min_size=1, max_size=9)


def run_of(name: str, scores: list[list[float]]) -> list[list[Graded]]:
    """Two samples of each cluster."""
    kinds = KINDS.get(name, ("one", "two", "three"))
    return [
        [
            Graded(
                Sample(
                    f"{number}-{place}",
                    "?",
                    media=(ImagePart(b"x"),),
                    options=("a", "b"),
                    golds=("A",),
                    cluster=str(number),
                    categories={
                        "category": kinds[number % 3],
                        "l2-category": f"area {number % 2}",
                        "setting": "vision",
                    },
                    facts={"figure": "1", "question": str(place)},
                ),
                Extraction("A" if score else None, "made up"),
                score,
            )
            for place, score in enumerate(pair)
        ]
        for number, pair in enumerate(scores)
    ]


@pytest.mark.parametrize(("name", "scoring"), SCORINGS, ids=lambda one: one if isinstance(one, str) else one.name)
@given(scores=clusters)
def test_twice_the_same_clusters_score_the_same(name: str, scoring: object, scores: list[list[float]]) -> None:
    summarise = scoring.summarise  # type: ignore[attr-defined]
    whole = run_of(name, scores)
    graded = [one for cluster in whole for one in cluster]
    figures = summarise(graded)
    assert all(math.isfinite(value) for value in figures.values())
    assert summarise([*graded, *graded]) == pytest.approx(figures)
    assert summarise([one for cluster in reversed(whole) for one in cluster]) == pytest.approx(figures)
    if all(score for pair in scores for score in pair):
        most = {"MME": 200 * len({number % 3 for number in range(len(scores))}), "OCRBench": 1000}.get(name, 100)
        assert next(iter(figures.values())) == pytest.approx(most)
    if not any(score for pair in scores for score in pair):
        assert next(iter(figures.values())) == 0


@pytest.mark.parametrize(("name", "scoring"), SCORINGS, ids=lambda one: one if isinstance(one, str) else one.name)
def test_nothing_and_a_single_sample_have_figures(name: str, scoring: object) -> None:
    summarise = scoring.summarise  # type: ignore[attr-defined]
    assert set(summarise([]).values()) <= {0.0}
    figures = summarise(run_of(name, [[1.0, 1.0]])[0][:1])
    assert all(0 <= value <= 1000 for value in figures.values())
