"""Results: real models' answers compared in pairs and with published figures."""

import pytest

from anyres.evaluation.benchmark import Target
from anyres.evaluation.benchmarks.mathvista import MATHVISTA
from anyres.evaluation.benchmarks.mmbench import MMBENCH_EN
from anyres.evaluation.choices import rotations
from anyres.evaluation.record import Record
from anyres.evaluation.report.results import Answers, make_result, target_of
from anyres.evaluation.report.tables import make_tables
from anyres.evaluation.sample import Sample
from anyres.evaluation.statistics import sign_test
from tests.evaluation.report.made_up import answers, result
from tests.evaluation.shipped import CHOICES, mathvista, mmmu, needs_data


@needs_data
def test_three_real_models_on_mathvista() -> None:
    """The golden counts, and differences that follow from the shipped flags alone."""
    found = make_result(MATHVISTA, mathvista(), draws=200)
    right = [sum(one.score for one in entry.by["judge"].graded) for entry in found.entries]
    assert right == [348, 261, 179]
    duels = {(duel.first, duel.second): duel for duel in found.duels if duel.scoring == "judge"}
    first = duels["Bard", "LLaVA-LLaMA-2-13B"].difference
    assert (first.n, first.wins - first.losses) == (1000, 348 - 261)
    assert first.value == pytest.approx(8.7)
    assert first.low < 8.7 < first.high
    assert first.low > 0
    assert first.p == 1 / 201, "no draw of 200 gave as large a difference"
    assert sign_test(first.wins, first.losses) < 1e-5, "McNemar's test agrees"
    assert all(duel.p_adjusted >= duel.difference.p for duel in found.duels)


@needs_data
def test_two_real_models_on_mmmu_do_not_differ() -> None:
    found = make_result(CHOICES, mmmu(), draws=400)
    assert [sum(one.score for one in entry.by["official"].graded) for entry in found.entries] == [319, 328]
    (duel,) = found.duels
    exact = sign_test(duel.difference.wins, duel.difference.losses)
    assert duel.difference.p == pytest.approx(exact, abs=0.06), "where each picture has one question"
    assert duel.difference.low < 0 < duel.difference.high
    assert duel.difference.detectable > abs(duel.difference.value)


@pytest.mark.parametrize(
    ("model", "is_it"),
    [
        ("Qwen2-VL-2B", True),
        ("Qwen/Qwen2-VL-2B-Instruct", True),
        ("/models/qwen2-vl-2b-instruct/", True),
        ("Qwen2-VL-2B-Instruct-GPTQ-Int4", True),
        ("Qwen2-VL-72B-Instruct", False),
        ("Qwen2-VL-2B-mine", False),
        ("tiny", False),
    ],
)
def test_targets_belong_to_models_by_name(model: str, is_it: bool) -> None:
    assert target_of(Target("Qwen2-VL-2B", 1.0, "README"), model) is is_it


def test_a_model_is_held_to_its_own_targets_and_a_part_is_told() -> None:
    (checked,) = result().checked
    assert (checked.entry, checked.verdict.target.value, checked.is_part) == ("org/Tiny-1B-Instruct", 60.0, True)
    assert (checked.verdict.n, checked.part) == (30, "30 of 40 rows")


def test_of_a_circular_benchmark_groups_are_told() -> None:
    asked = rotations(Sample("7", "?", options=("x", "y"), golds=("A",), cluster="7"))
    records = {one.id: Record(one.id, "MMBench_EN", "Qwen2-VL-2B", "key", "?", raw=one.golds[0]) for one in asked}
    found = make_result(MMBENCH_EN, [Answers("Qwen2-VL-2B", "", asked, records)], draws=10)
    (checked,) = found.checked
    assert (checked.verdict.value, checked.part) == (100, "1 of 1,784 groups")
    targets = next(table for table in make_tables([found]) if table.name == "targets")
    assert targets.rows[0][-2] == "README of Qwen2-VL, January 2025, test split"


def test_counts_and_controls() -> None:
    found = result(answers("other", 5, variant="blind"))
    assert [entry.name for entry in found.entries] == ["org/Tiny-1B-Instruct", "other", "other (blind)"]
    assert len(found.plain) == 2
    assert {(duel.first, duel.second) for duel in found.duels} == {("org/Tiny-1B-Instruct", "other")}
    counts = found.entries[0].counts
    assert (counts.asked, counts.failed, counts.unread, counts.cut, counts.no_gold) == (30, 1, 3, 1, 0)
    assert found.entries[0].visual_tokens == 64
    assert found.entries[0].tokens_per_s == pytest.approx(4.0)
    lenient = found.entries[0].by["lenient"].headline
    official = found.entries[0].by["official"].headline
    assert lenient is not None
    assert official is not None
    assert lenient.value > official.value
