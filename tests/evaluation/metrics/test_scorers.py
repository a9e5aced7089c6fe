"""Metrics against the scores that lmms-eval 0.7.3, and for ANLS the package of that name, give to the same answers.

Where a rule of ours differs from theirs on purpose, the test says on which answers.
"""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks import BENCHMARKS
from anyres.evaluation.benchmarks.hallusionbench import HALLUSIONBENCH
from anyres.evaluation.extraction.mmmu import mmmu_open
from anyres.evaluation.extraction.yes_no import mme_yes_no
from anyres.evaluation.metrics.anls import anls
from anyres.evaluation.metrics.circular import group_of
from anyres.evaluation.metrics.containment import FORMULA
from anyres.evaluation.metrics.hallusion import UNCERTAIN
from anyres.evaluation.metrics.mme import summarise_mme
from anyres.evaluation.metrics.mmmu import mmmu_grade
from anyres.evaluation.metrics.relaxed import relaxed
from anyres.evaluation.metrics.vqa import vqa_accuracy, vqa_plain
from anyres.evaluation.sample import Reply, Sample

THEIRS: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "goldens" / "scorers.json.gz").read_bytes())
)
OFFICIAL = {name: benchmark.scorings[0] for name, benchmark in BENCHMARKS.items()}


def score(benchmark: str, answer: str, sample: Sample) -> float:
    scoring = OFFICIAL[benchmark]
    return scoring.grade(scoring.extract(Reply(answer), sample), sample)


def test_vqa_answers_are_made_plain_as_the_original_does() -> None:
    assert len(THEIRS["vqa"]["plain"]) == 720  # 120 contractions among them
    for text, plain in THEIRS["vqa"]["plain"]:
        assert vqa_plain(text) == plain, text


def test_vqa_accuracy() -> None:
    scores = [accuracy for _, _, accuracy in THEIRS["vqa"]["accuracy"]]
    assert len({round(one, 1) for one in scores}) > 4  # the made-up answers meet every step
    for answer, golds, accuracy in THEIRS["vqa"]["accuracy"]:
        assert vqa_accuracy(answer, golds) == pytest.approx(accuracy)
        assert score("TextVQA", answer, Sample("1", "?", golds=tuple(golds))) == pytest.approx(accuracy)


def test_anls() -> None:
    for answer, golds, similarity, _ in THEIRS["anls"]:
        assert anls(answer, golds) == pytest.approx(similarity)
        for name in ("DocVQA", "InfoVQA"):
            assert score(name, answer, Sample("1", "?", golds=tuple(golds))) == pytest.approx(similarity)


def test_anls_of_the_package_where_blanks_and_the_threshold_do_not_part_them() -> None:
    """It measures lengths without blanks around the text, and zeroes a similarity of exactly 0.5."""
    compared = 0
    for answer, golds, _, package in THEIRS["anls"]:
        if all(text == " ".join(text.split()) for text in (answer, *golds)) and anls(answer, golds) != 0.5:
            assert anls(answer, golds) == pytest.approx(package), (answer, golds)
            compared += 1
    assert compared > 50


def test_relaxed_accuracy() -> None:
    assert 50 < sum(right for _, _, right in THEIRS["relaxed"]) < 450
    for answer, gold, right in THEIRS["relaxed"]:
        assert relaxed(answer, gold) == right, (answer, gold)


def test_open_answers_of_mmmu() -> None:
    assert 50 < sum(right for *_, right in THEIRS["mmmu"]) < 450
    for answer, said, gold, right in THEIRS["mmmu"]:
        extraction = mmmu_open(answer)
        assert sorted(extraction.value, key=repr) == said, answer
        golds = tuple(gold) if isinstance(gold, list) else (gold,)
        assert mmmu_grade(extraction, Sample("1", "?", golds=golds)) == right, (answer, gold)


def test_mme_answers() -> None:
    """They strip the answer and drop full stops first; of these answers that changes none."""
    for answer, said in THEIRS["mme"]["parsed"]:
        assert (mme_yes_no(answer).value or "other") == said, answer


def test_mme_sums() -> None:
    for results, total in THEIRS["mme"]["runs"]:
        graded = [
            Graded(
                Sample(str(number), "?", cluster=f"{one['question_id']}", categories={"category": one["category"]}),
                Extraction("yes", ""),
                one["score"],
            )
            for number, one in enumerate(results)
        ]
        assert summarise_mme(graded)["perception"] == pytest.approx(total)


def test_hallusionbench() -> None:
    """A check of "0" is a wrong answer, of "2" an unclear one."""
    official = HALLUSIONBENCH.scorings[0]
    for data, shares in THEIRS["hallusion"]:
        graded = []
        for number, one in enumerate(data):
            extraction = Extraction({"0": "no", "1": "yes", "2": UNCERTAIN}[one["check"]], "")
            sample = hallusion_sample(str(number), one)
            graded.append(Graded(sample, extraction, official.grade(extraction, sample)))
        figures = official.summarise(graded)
        assert [figures[name] for name in ("aAcc", "fAcc", "qAcc")] == pytest.approx(shares)
        assert figures["overall"] == pytest.approx(sum(shares) / 3)


def hallusion_sample(name: str, one: Mapping[str, str]) -> Sample:
    return Sample(
        name,
        "?",
        golds=("yes",),
        cluster="_".join((one["category"], one["subcategory"], one["set_id"])),
        categories={"category": one["category"], "l2-category": one["subcategory"]},
        facts={"figure": one["figure_id"], "question": one["question_id"]},
    )


def test_ocrbench() -> None:
    assert 100 < sum(right for *_, right in THEIRS["containment"]["ocrbench"]) < 250
    for answer, golds, source, right in THEIRS["containment"]["ocrbench"]:
        categories = {"category": FORMULA if source == "HME100k" else "Regular Text Recognition"}
        assert score("OCRBench", answer, Sample("1", "?", golds=tuple(golds), categories=categories)) == right


def test_mtvqa() -> None:
    for answer, gold, right in THEIRS["containment"]["mtvqa"]:
        assert score("MTVQA", answer, Sample("1", "?", golds=(gold,))) == right, (answer, gold)


def test_circular_choices() -> None:
    official = OFFICIAL["MMBench_EN"]
    for rows, (overall, categories, l2_categories) in THEIRS["circular"]:
        graded = []
        for row in rows:
            options = tuple(row[letter] for letter in "ABCD" if row[letter])
            kinds = {kind: row[kind] for kind in ("category", "l2-category")}
            index = str(row["index"])
            sample = Sample(
                index, "?", options=options, golds=(row["answer"],), cluster=group_of(index), categories=kinds
            )
            extraction = official.extract(Reply(row["prediction"]), sample)
            graded.append(Graded(sample, extraction, official.grade(extraction, sample)))
        figures = official.summarise(graded)
        theirs = {"overall": overall, **categories, **l2_categories}
        assert {name: figures[name] / 100 for name in theirs} == pytest.approx(theirs)
