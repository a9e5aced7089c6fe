"""What the two big kits get wrong, each as a test that it goes right here."""

import os

import pytest

from anyres.chat import ImagePart
from anyres.evaluation.benchmark import Graded
from anyres.evaluation.benchmarks import BENCHMARKS
from anyres.evaluation.benchmarks.hallusionbench import HALLUSIONBENCH
from anyres.evaluation.benchmarks.mmvet import MMVET
from anyres.evaluation.sample import LETTERS, Reply, Sample

CHOICE = Sample("1", "Which?", options=("red", "green", "blue", "grey"), golds=("A",))
LETTERED = ("AI2D", "CCBench", "MMBench_CN", "MMBench_EN", "MMMU", "MMMU-Pro", "MMStar", "MMT-Bench", "RealWorldQA")


def value(benchmark: str, answer: str, sample: Sample = CHOICE, *, scoring: str = "strict") -> object:
    found = next(one for one in BENCHMARKS[benchmark].scorings if one.name == scoring)
    return found.extract(Reply(answer), sample).value


@pytest.mark.parametrize("name", LETTERED)
def test_the_log_level_does_not_change_a_score(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """VLMEvalKit's guard for the article A works only where VERBOSE is set."""
    answers = ["A person walks by.", "look: A cat sits", "It is A", "A"]
    before = [value(name, answer) for answer in answers]
    monkeypatch.setenv("VERBOSE", "1")
    assert os.environ["VERBOSE"]
    assert [value(name, answer) for answer in answers] == before == [None, None, "A", "A"]


@pytest.mark.parametrize("name", LETTERED)
@pytest.mark.parametrize("answer", ["", "USA ", "A person walks.", "(", "I don't know", "Z", "red or blue"])
def test_no_answer_is_its_own_outcome(name: str, answer: str) -> None:
    """lmms-eval reads "USA " as A, VLMEvalKit takes an empty answer for right and draws options at random."""
    assert value(name, answer) is None


@pytest.mark.parametrize("name", LETTERED)
def test_a_letter_among_words_of_the_answer_is_not_taken_for_it(name: str) -> None:
    assert value(name, "As the clip shows, C") == "C"


def test_a_last_option_z_is_an_option() -> None:
    """VLMEvalKit's random option fails with an index error where "Z" is a real option."""
    many = Sample("1", "Which?", options=tuple(f"option {number}" for number in range(26)), golds=("Z",))
    assert len(LETTERS) == 26
    assert value("MMStar", "Z", many) == "Z"
    assert value("MMStar", "The answer is (Z).", many) == "Z"


def test_a_second_run_in_one_process_adds_nothing() -> None:
    """lmms-eval's OCRBench counts in a dictionary of its module."""
    sample = Sample("1", "?", golds=("ab",), categories={"category": "Regular Text Recognition"})
    for scoring in BENCHMARKS["OCRBench"].scorings:
        extraction = scoring.extract(Reply("ab"), sample)
        found = [Graded(sample, extraction, scoring.grade(extraction, sample))]
        assert scoring.summarise(found) == scoring.summarise(found)
        assert scoring.summarise(found)["recognition"] == 300  # what all would give


def hallusion(name: str, kind: str, figure: str, gold: str = "yes", *, pictured: bool = True) -> Sample:
    return Sample(
        name,
        "?",
        media=(ImagePart(b"a figure"),) if pictured else (),
        golds=(gold,),
        cluster=f"{kind}_chart_0",
        categories={"category": kind, "l2-category": "chart"},
        facts={"figure": figure, "question": "0"},
    )


def test_hallusionbench_keeps_all_its_rows_and_tells_the_subset_apart() -> None:
    official, kit = HALLUSIONBENCH.scorings
    samples = [hallusion("a", "VS", "0", pictured=False), hallusion("b", "VS", "1"), hallusion("c", "VD", "0", "no")]
    answers = ["I cannot tell without a figure", "Yes", "Yes"]
    figures = []
    for scoring in (official, kit):
        found = []
        for sample, answer in zip(samples, answers, strict=True):
            extraction = scoring.extract(Reply(answer), sample)
            found.append(Graded(sample, extraction, scoring.grade(extraction, sample)))
        figures.append(scoring.summarise(found))
    # officially the first is right, and its figure is none; VLMEvalKit does not have it
    assert figures[0] == pytest.approx({"overall": (200 / 3 + 50 + 50) / 3, "aAcc": 200 / 3, "fAcc": 50, "qAcc": 50})
    assert figures[1] == pytest.approx({"overall": 50, "aAcc": 50, "fAcc": 50, "qAcc": 50})


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("0.5", 0.5),
        ("1.0", 1),
        ("1", 1),
        ("0", 0),
        (" 0.3\n", 0.3),
        ("**0.7**", 0.7),
        ("0.5 because", 0.5),
        ("Correctness: 0.7", None),
        ("1.5", None),
        ("10", None),
        ("7", None),
        ("-1", None),
        ("good", None),
        ("", None),
    ],
)
def test_a_judge_that_gives_no_number_is_not_replaced(reply: str, grade: float | None) -> None:
    (judge,) = MMVET.scorings
    sample = Sample("1", "What is x?", golds=("-1<AND>-5",))
    extraction = judge.extract(Reply(reply), sample)
    assert extraction.value == grade
    assert judge.grade(extraction, sample) == (grade or 0)
    assert judge.ask_judge is not None
    (message,) = judge.ask_judge(sample, "x = -1")
    assert str(message.content).endswith("Question: What is x?\nExpected: -1 <AND> -5\nAnswer: x = -1\nGrade:")
