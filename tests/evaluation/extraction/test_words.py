"""Yes and no, numbers, short answers, punctuation: hand-worked cases and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.extraction.numbers import number_in
from anyres.evaluation.extraction.punctuation import without_punctuation
from anyres.evaluation.extraction.short_answer import plain_words, short_answer
from anyres.evaluation.extraction.yes_no import mme_yes_no, vlmevalkit_yes_no, yes_no


@pytest.mark.parametrize(
    ("answer", "mme", "kit", "ours"),
    [
        ("Yes", "yes", "yes", "yes"),
        ("no.", "no", "no", "no"),
        ("Yes, there is no cat", "yes", None, "yes"),
        ("Not at all", "no", None, None),
        ("Nothing", "no", None, None),
        ("Eyes", "yes", None, None),
        ("Notice the sign: yes", "no", "yes", "yes"),  # "no" found in "notice"
        ("I see; the answer is no", None, "no", "no"),
        ("**Yes**", None, None, "yes"),  # asterisks are not in VQA's punctuation
        ("It is either yes or no", None, None, None),
        ("The answer is yes. No doubt.", None, None, "yes"),
        ("", None, None, None),
        ("  Yes", None, "yes", "yes"),  # only two of its letters are among the first four characters
        ("no-one is there", "no", "no", "no"),
    ],
)
def test_yes_and_no(answer: str, mme: str | None, kit: str | None, ours: str | None) -> None:
    assert (mme_yes_no(answer).value, vlmevalkit_yes_no(answer).value, yes_no(answer).value) == (mme, kit, ours)


@given(st.text(max_size=30))
def test_yes_and_no_of_anything(text: str) -> None:
    for rule in (mme_yes_no, vlmevalkit_yes_no, yes_no):
        assert rule(text).value in ("yes", "no", None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("14", 14),
        ("$14", 14),
        ("-$14.50", -14.5),
        ("1,000", 1000),
        ("1,234,567.8", 1234567.8),
        ("12 000", 12000),
        ("95%", 95),
        ("95 percent.", 95),
        ("3 €", 3),
        ("-.5", -0.5),
        ("−4", -4),
        ("1e3", 1000),
        ("5.", 5),
        ("1,00", None),
        ("12,34", None),
        ("2015-2016", None),
        ("about 5", None),
        ("5 cats", None),
        ("Yes", None),
        ("", None),
        ("%", None),
        ("$", None),
        (".", None),
        ("1.2.3", None),
    ],
)
def test_numbers(text: str, value: float | None) -> None:
    assert number_in(text) == value


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_itself_however_it_is_written(number: int) -> None:
    for form in (f"{number}", f"{number:,}", f"{number}%", f"{number:,}.", f" {number} "):
        assert number_in(form) == number


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_none(text: str) -> None:
    found = number_in(text)
    assert found is None or found == found


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris", "Paris"),
        ("Paris.", "Paris"),
        ('The answer is "Paris".', "Paris"),
        ("The final answer is: 3.5", "3.5"),
        ("It is big. Therefore, the correct answer is 12.", "12"),
        ("The answer is 3. The answer is 4.", "4"),
        ("**Answer:** blue", "blue"),
        ("Answer: 5 apples", "5 apples"),
        ("So \\boxed{12} and \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("<think>maybe 3</think> 4", "4"),
        ("The answer is", "The answer is"),
        ("   ", None),
        ("", None),
    ],
)
def test_short_answers(text: str, answer: str | None) -> None:
    assert short_answer(text).value == answer


@given(st.text(max_size=40))
def test_short_answers_are_part_of_what_was_said(text: str) -> None:
    found = short_answer(text)
    assert found.value is None or (found.value and found.value in text)
    assert plain_words(plain_words(text)) == plain_words(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("well-known", "well known"),  # touches no blank: becomes one
        ("well- known", "well known"),  # touches one: goes
        ("1,000-2", "10002"),  # a comma between digits: all marks go
        ("a.b. 3.5 .", "ab 3.5 "),
        ("What? (yes)", "What yes "),
    ],
)
def test_punctuation(text: str, plain: str) -> None:
    assert without_punctuation(text) == plain
