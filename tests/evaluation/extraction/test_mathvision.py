"""MathVision: real answers with what the authors' script made of them (outputs/ of github.com/mathllm/MATH-V)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.extraction.mathvision import boxed, official_answer, own_answer_of
from anyres.evaluation.metrics.mathvision import is_answer, is_official_answer
from anyres.evaluation.sample import Reply, Sample

REAL = [  # Qwen-VL-Max and Gemini-Pro-CoT: the end of the response, `model_answer`
    ("60", "60"),
    ("C", "c"),
    ("(C)", "c"),
    ("A, b, c", "a,b,c"),
    ("8 kg", "8kg"),
    ("12 $\\mathrm{m}$", "12\\mathrm{m}"),
    ("9:30", "9:30"),
    ("Image 2", "image2"),
    ("Therefore, the length of the straight line $AE$ is $$\\boxed{ 30 \\text{ cm} }$$", "30{cm}"),
    ("which is 6(1/3) = 2.\n\n\\boxed{E}", "e"),
    ("\\boxed{None of the above choices.}", "noneoftheabovechoices"),
    ("$$\\boxed{AD = \\sqrt{2018^2 + 2019^2}}$$", "\\sqrt{2018^2+2019^2}"),
    ("Therefore, the answer is (A) 75%.\n\n\\boxed{A}", "a"),
    ("The final answer is \\(\\boxed{2\\sqrt{3}}\\).", "2\\sqrt{3}"),
    ("\\boxed{\\text{D}}", "d"),
    ("the white part is \\(16 - 4\\cdot 2\\pi = \\boxed{16 - 8\\pi}\\).", "16-8\\pi"),
    ("Therefore, the number in vertex \\(A\\) is \\boxed{38}.", "38"),
    ("with a smaller hexagon inside it.\n\nThe answer is (C).", "c"),
    ("The answer is (C).\n\nThe barber has to write the word backwards so that it will be readable.", "c"),
    ("\\boxed{\\frac{3 \\sqrt{11}}{2} \\mathrm{~cm}}", "\\frac{3\\sqrt{11}}{2}\\mathrm{~cm}"),
]


@pytest.mark.parametrize(("response", "model_answer"), REAL)
def test_real_answers(response: str, model_answer: str) -> None:
    assert official_answer(response).value == model_answer


def choice(gold: str, *options: str) -> Sample:
    return Sample("1", "?", options=options, golds=(gold,))


def number(gold: str) -> Sample:
    return Sample("1", "?", golds=(gold,))


@pytest.mark.parametrize(
    ("answer", "sample", "official", "strict"),
    [
        ("38", number("38"), 1, 1),
        ("38.0", number("38"), 1, 1),
        (r"\boxed{\frac{1}{3}}", number("0.33"), 1, 0),  # the script compares two decimals
        (r"\boxed{\frac{1}{2}}", number("0.5"), 1, 1),
        (r"\boxed{16 - 8\pi}", number(r"16-8\pi"), 1, 1),
        ("(2, 3)", number("(2,3)"), 1, 1),
        ("(2, 4)", number("(2,3)"), 0, 0),
        (r"The answer is \boxed{B}.", choice("B", "4", "5"), 1, 1),
        ("5", choice("B", "4", "5"), 1, 1),  # the option's text
        ("So it is the second, (B).", choice("B", "4", "5"), 1, 1),
        ("The answer is B because 5 is odd.", choice("B", "4", "5"), 0, 1),
        ("We count and get 12 in all. That was easy", number("12"), 0, 1),
        ("", number("12"), 0, 0),
        ("I cannot tell", choice("A", "4", "5"), 0, 0),
        ("A", choice("A", "A", "B"), 1, 1),
    ],
)
def test_right_or_not(answer: str, sample: Sample, official: float, strict: float) -> None:
    assert is_official_answer(official_answer(answer), sample) == official
    assert is_answer(own_answer_of(Reply(answer), sample), sample) == strict


def test_boxes() -> None:
    assert boxed(r"\boxed{1}, no: \boxed{\frac{\sqrt{2}}{2}}") == r"\frac{\sqrt{2}}{2}"
    assert boxed(r"\boxed{\frac{1}{2}") == r"\frac{1}{2}"
    assert boxed("none") == ""


@given(st.text(max_size=60) | st.text("\\boxed{}()ABC is.=\n 1/2$", max_size=60))
def test_any_answer_is_read(text: str) -> None:
    for sample in (number("1/2"), choice("A", "1", "2")):
        assert is_official_answer(official_answer(text), sample) in (0, 1)
        assert is_answer(own_answer_of(Reply(text), sample), sample) in (0, 1)
