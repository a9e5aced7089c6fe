"""MathVista: the published flags of three models, item by item; and how near rules come without a language model."""

import pytest

from anyres.evaluation.extraction.mathvista import (
    judged_prediction_of,
    official_prediction_of,
    own_prediction_of,
    prediction,
)
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.sample import LETTERS, Reply, Sample
from tests.evaluation.shared_data import golden, rows

MODELS = ("bard", "llava_llama_2_13b", "random_guess")


def questions() -> dict[str, Sample]:
    return {
        row["pid"]: Sample(
            row["pid"],
            row["question"],
            options=tuple(row["choices"] or ()),
            golds=(row["answer"],),
            facts={"answer_type": row["answer_type"], "precision": row["precision"]},
        )
        for row in rows("mathvista-testmini/questions.jsonl")
    }


@pytest.mark.parametrize("model", MODELS)
def test_the_published_flags(model: str) -> None:
    asked, outputs = questions(), rows(f"mathvista-testmini/outputs_{model}.jsonl")
    told = [judged_prediction_of(Reply(row["extraction"]), asked[row["pid"]]) for row in outputs]
    scores = [is_gold(one, asked[row["pid"]]) for one, row in zip(told, outputs, strict=True)]
    assert scores == [float(row["correct"]) for row in outputs]
    assert sum(scores) == golden()["mathvista_testmini"]["correct"][model]


@pytest.mark.parametrize("model", MODELS)
def test_the_published_predictions(model: str) -> None:
    """Equal, but where the published files come from a script that took no "3.4" for a whole number: none is right."""
    asked = questions()
    for row in rows(f"mathvista-testmini/outputs_{model}.jsonl"):
        sample = asked[row["pid"]]
        told = prediction(row["extraction"], sample)
        if told != row["prediction"]:
            assert sample.facts["answer_type"] == "integer"
            assert (row["prediction"], row["correct"]) == (None, False)
            assert "." in row["extraction"]


@pytest.mark.parametrize(("model", "alike"), [("bard", 975), ("llava_llama_2_13b", 910), ("random_guess", 1000)])
def test_rules_without_a_language_model(model: str, alike: int) -> None:
    """Of 1,000 flags, at least so many come out as with GPT-4; the rest are answers that only imply an option."""
    asked, outputs = questions(), rows(f"mathvista-testmini/outputs_{model}.jsonl")
    told = [own_prediction_of(Reply(row["response"]), asked[row["pid"]]) for row in outputs]
    scores = [is_gold(one, asked[row["pid"]]) for one, row in zip(told, outputs, strict=True)]
    assert sum(score == row["correct"] for score, row in zip(scores, outputs, strict=True)) >= alike


def asked(
    answer_type: str = "integer", *, gold: str = "3", options: tuple[str, ...] = (), precision: int = 1
) -> Sample:
    return Sample("1", "?", options=options, golds=(gold,), facts={"answer_type": answer_type, "precision": precision})


@pytest.mark.parametrize(
    ("text", "sample", "value"),
    [
        ("3.0", asked(), "3"),
        ("three", asked(), "3"),
        ("There are 3 items sold less than 5 units.", asked(), "3"),
        ("The answer is 1982 with an income of $931,441.", asked(), "1982"),
        ("4 + 5 = 9\nSo the sum is 4 + 5 = 9.", asked(), "9"),
        ("It is **12**, more than the 7 before.", asked(), "12"),
        ("The total is 131,253.46", asked("float"), "131253.5"),
        ("-4.26", asked("float"), "-4.3"),
        ("3", asked("float", precision=2), "3.0"),
        ("It is [2014, 2016].", asked("list"), "[2014, 2016]"),
        ("[2014,2016]", asked("list"), "[2014, 2016]"),
        (r"so $x = \boxed{55}$.", asked("text", options=("27", "54", "55", "83")), "55"),
        ("The correct answer is **(C) 145°**.", asked("text", options=("135°", "140°", "145°")), "145°"),
        ("I do not know.", asked(), None),
        ("", asked(), None),
        ("No idea.", asked("text", options=("left", "right")), None),
    ],
)
def test_our_rules(text: str, sample: Sample, value: str | None) -> None:
    """Lists and decimals that other kits never take for right; and no option where none is named."""
    assert own_prediction_of(Reply(text), sample).value == value


def test_official_rules() -> None:
    lengths = asked("text", options=("6cm", "7cm"), gold="7cm")
    assert official_prediction_of(Reply('The answer is "7cm".'), lengths).value == "7cm"
    assert official_prediction_of(Reply("(b)"), lengths).value == "7cm"
    assert official_prediction_of(Reply("about 7 cm"), lengths).value == "7cm"  # the fewest edits
    assert official_prediction_of(Reply("It is 3."), asked()).value is None
    assert official_prediction_of(Reply(""), lengths).value is None
    assert prediction("inf", asked()) is None
    assert prediction("1e400", asked()) is None


def test_golds_are_right_in_their_own_form() -> None:
    for sample in questions().values():
        gold = f"({LETTERS[sample.options.index(sample.golds[0])]})" if sample.options else sample.golds[0]
        assert is_gold(judged_prediction_of(Reply(gold), sample), sample) == 1, sample.golds
