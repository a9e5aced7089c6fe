"""MMBench and CCBench on their own real samples."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyres.chat import ImagePart, TextPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Graded
from anyres.evaluation.benchmarks.mmbench import CCBENCH, MMBENCH_CN, MMBENCH_EN
from anyres.evaluation.choices import rotations
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.sample import Reply, Sample
from tests.evaluation.shared_data import golden, shared

OFFICIAL = MMBENCH_EN.scorings[0]


def circular() -> list[Sample]:
    return list(MMBENCH_EN.read(shared("mmbench-samples/mmbench_en_circular.tsv")))


def graded(samples: list[Sample], answer: Callable[[Sample], str]) -> list[Graded]:
    found = []
    for sample in samples:
        extraction = OFFICIAL.extract(Reply(answer(sample)), sample)
        found.append(Graded(sample, extraction, OFFICIAL.grade(extraction, sample)))
    return found


def test_always_a_wins_rows_and_no_group() -> None:
    expected = golden()["mmbench_circular"]
    found = graded(circular(), lambda _: "A")
    assert len(found) == expected["rows"] == 78
    assert sum(one.score for one in found) == expected["always_A"]["rows_right"] == 20
    figures = OFFICIAL.summarise(found)
    assert figures["overall"] == expected["always_A"]["groups_right"] == 0
    assert figures["rows"] == pytest.approx(100 * 20 / 78)


def test_the_gold_column_wins_all() -> None:
    found = graded(circular(), lambda sample: sample.golds[0])
    assert sum(one.score for one in found) == 78
    assert len({one.sample.cluster for one in found}) == golden()["mmbench_circular"]["gold"]["groups_right"] == 20
    assert set(OFFICIAL.summarise(found).values()) == {100.0}


def test_an_answer_in_the_options_words_is_right_in_each_rotation() -> None:
    """By our rules always. VLMEvalKit's read "Solution B" as the letter B, whichever option says it."""
    samples, strict = circular(), MMBENCH_EN.scorings[1]
    words = {sample.id: sample.options["ABCD".index(sample.golds[0])] for sample in samples}
    assert all(strict.extract(Reply(words[sample.id]), sample).value == sample.golds[0] for sample in samples)
    official = graded(samples, lambda sample: words[sample.id])
    assert {words[one.sample.id] for one in official if not one.score} == {"Solution B"}


def test_one_wrong_rotation_takes_the_group() -> None:
    samples = circular()
    last = samples[-1].id
    found = graded(samples, lambda sample: "no idea at all" if sample.id == last else sample.golds[0])
    figures = OFFICIAL.summarise(found)
    assert figures["overall"] == pytest.approx(95)
    assert figures["rows"] == pytest.approx(100 * 77 / 78)


def test_rotations_stand_together_and_half_a_group_is_none() -> None:
    samples = circular()
    clusters = [sample.cluster for sample in samples]
    assert all(clusters.index(one) + clusters.count(one) > place for place, one in enumerate(clusters))
    figures = OFFICIAL.summarise(graded(samples[:6], lambda sample: sample.golds[0]))
    assert (figures["overall"], figures["rows"]) == (100, 100)
    missed = graded(samples[:6], lambda sample: "Z" if sample is samples[0] else sample.golds[0])
    assert OFFICIAL.summarise(missed)["overall"] == 0  # the second group is not whole, and right so far
    assert OFFICIAL.summarise(missed)["rows"] == pytest.approx(100 * 5 / 6)


def test_groups_that_are_drawn_twice_count_twice() -> None:
    samples = circular()
    first, others = samples[0].cluster, [one for one in samples if one.cluster != samples[0].cluster]
    right = [one for one in samples if one.cluster == first]
    found = graded(right, lambda sample: sample.golds[0])
    lost = graded(others, lambda _: "Z")
    assert OFFICIAL.summarise([*found, *found, *lost])["overall"] == pytest.approx(100 * 2 / 21)


def test_our_rotations_are_those_of_the_published_file() -> None:
    published = {sample.id: sample for sample in circular()}
    bases = [sample for sample in published.values() if len(sample.id) < 7]
    ours = {turned.id: turned for sample in bases for turned in rotations(sample)}
    assert ours.keys() == published.keys()
    for name, turned in ours.items():
        assert (turned.options, turned.golds) == (published[name].options, published[name].golds)


@pytest.mark.parametrize(("name", "benchmark", "groups"), [("mmbench", MMBENCH_EN, 40), ("ccbench", CCBENCH, 14)])
def test_rows_without_rotations_are_asked_in_all_of_them(name: str, benchmark: Benchmark, groups: int) -> None:
    samples, broken = read_samples(benchmark, shared(f"mmbench-samples/{name}.jsonl"))
    assert not broken
    assert len({sample.cluster for sample in samples}) == groups
    for sample in samples:
        turned = [one for one in samples if one.cluster == sample.cluster]
        assert len(turned) == len(sample.options)
        assert len({one.options["ABCD".index(one.golds[0])] for one in turned}) == 1
        (part,) = sample.media
        assert isinstance(part, ImagePart)
        assert part.image.is_file()


def test_prompts() -> None:
    hinted = next(sample for sample in circular() if sample.facts.get("hint"))
    text = MMBENCH_EN.prompt(hinted)[0].parts[-1]
    assert isinstance(text, TextPart)
    assert text.text.startswith(f"Hint: {hinted.facts['hint']}\nQuestion: {hinted.question}\nOptions:\nA. ")
    assert text.text.endswith("\nPlease select the correct answer from the options above.")
    chinese = Sample("1", "图中是什么？", options=("猫", "狗"), golds=("A",))
    assert MMBENCH_CN.prompt(chinese)[0].parts == (
        TextPart("Question: 图中是什么？\nOptions:\nA. 猫\nB. 狗\n请直接回答选项字母。"),
    )


def test_a_judge_reads_the_answer_and_says_a_letter() -> None:
    judged = next(scoring for scoring in MMBENCH_EN.scorings if scoring.name == "judge")
    assert judged.ask_judge is not None
    sample = Sample("1", "Which animal?", options=("cat", "dog"), golds=("B",))
    (message,) = judged.ask_judge(sample, "It barks")
    assert "A. cat\nB. dog\nAnswer: It barks\nLetter:" in str(message.content)
    assert judged.grade(judged.extract(Reply("B"), sample), sample) == 1
    assert judged.extract(Reply("Z"), sample).value is None  # never a random option


def test_a_broken_row_does_not_end_the_file(tmp_path: Path) -> None:
    rows = [
        "index\tquestion\tA\tB\tanswer\timage_path",
        "1\t?\tx\ty\tC\ta.png",
        "2\t?\tx\t\tA\ta.png",
        "3\t?\tx\ty\tB\ta.png",
    ]
    (tmp_path / "mmbench.tsv").write_text("\n".join(rows), "utf-8")
    samples, broken = read_samples(MMBENCH_EN, tmp_path / "mmbench.tsv")
    assert [sample.id for sample in samples] == ["2", "3", "1000003"]
    assert [error.item for error in broken] == ["mmbench.tsv:2: answer"]
    assert isinstance(broken[0], DatasetError)


def test_ids_that_are_no_numbers_turn_too() -> None:
    assert [one.id for one in rotations(Sample("a", "?", options=("x", "y", "z"), golds=("A",)))] == ["a", "a@1", "a@2"]
    assert rotations(replace(Sample("a", "?"), golds=("x",))) == (Sample("a", "?", golds=("x",)),)
