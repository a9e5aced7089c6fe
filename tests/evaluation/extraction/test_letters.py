"""Letters: hand-worked answers for each rule, and what must hold for any answer."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from anyres.evaluation.extraction.letters import letter, vlmevalkit_letter
from anyres.evaluation.sample import LETTERS

COLOURS = ("red", "green", "blue", "light blue")
TEN = tuple(f"choice {number}" for number in range(10))


@pytest.mark.parametrize(
    ("answer", "found", "rule"),
    [
        ("B", "B", "a letter alone"),
        (" (b). ", "B", "a letter alone"),
        ("**C**", "C", "a letter alone"),
        ("The answer is B.", "B", "the answer is"),
        ("The correct answer is **(C)**", "C", "the answer is"),
        ("**Answer:** D", "D", "the answer is"),
        ("The answer is option B, not C", "B", "the answer is"),
        ("The answer is A. No, wait: the answer is C.", "C", "the answer is"),
        ("The answer is A because it is red", "A", "the answer is"),
        ("<think>The answer is A?</think>The answer is B", "B", "the answer is"),
        ("So \\boxed{C}", "C", "the answer is"),
        ("\\boxed{\\text{D}}", "D", "the answer is"),
        ("答案是B", "B", "the answer is"),
        ("答案：C。", "C", "the answer is"),
        ("应选D", "D", "the answer is"),
        ("B. green", "B", "a letter that begins a line"),
        ("(B) green", "B", "a letter that begins a line"),
        ("C: it looks blue to me", "C", "a letter that begins a line"),
        ("Let me see.\nB) green", "B", "a letter that begins a line"),
        ("I would take (C) here", "C", "a letter in brackets"),
        ("blue.", "C", "an option's text alone"),
        ("Light  Blue", "D", "an option's text alone"),
        ("As the clip shows, C", "C", "the only letter"),
        ("C, since it is so dark", "C", "the only letter"),
        ("Option B seems best", "B", "the only letter"),
        ("The answer is B, not C", "B", "the answer is"),
        ("Answer: (B), and here is why", "B", "the answer is"),
        ("E. coli is green", "B", "the only option's text"),
        ("I think it is green", "B", "the only option's text"),
        ("It's a light blue car", "D", "the only option's text"),
        ("它是red的", "A", "the only option's text"),
    ],
)
def test_what_is_chosen_and_why(answer: str, found: str, rule: str) -> None:
    assert letter(answer, COLOURS) == (found, rule)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   ",
        "I cannot see any colour",
        "A person walks by",
        "A vehicle. A 4x4.",
        "E",  # there are four options
        "(A) red (C) blue (D) light blue",  # a model's real answer
        "The correct answer is (B), (C), and (D).",  # another
        "The answer is A or C",
        "A, B or C",
        "A. red\nB. green\nC. blue\nD. light blue",  # all read aloud
        "red or green",
        "Vitamin C is in green things",  # a letter and another option's text
        "Infrared",  # not the word red
        "AB",
        "I'd say it's dark",
        "U.S.A.",
    ],
)
def test_no_choice_is_no_answer(answer: str) -> None:
    assert letter(answer, COLOURS).value is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("I think it may be J", "J"),
        ("I", "I"),
        ("The answer is I.", "I"),
        ("(I) choice 8", "I"),
        ("I believe so", None),
        ("K", None),
    ],
)
def test_a_pronoun_is_no_ninth_option(answer: str, found: str | None) -> None:
    assert letter(answer, TEN).value == found


@pytest.mark.parametrize(
    ("answer", "found", "rule"),
    [
        ("B", "B", "one letter, late"),
        ("It must be (B).", "B", "one letter, late"),
        ("look: A cat sits", "A", "one letter, late"),  # the article
        ("B is what I would choose here", None, "no option inferred"),  # too early
        ("A or B", None, "no option inferred"),
        ("Z", None, "refusal"),
        ("I'm sorry, but without the image provided B", None, "refusal"),
        ("The answer is **C** as we have all seen now", "C", "answer is X"),
        ("The answer is blue", "B", "answer is X"),  # it reads the b of blue
        ("it looks like green", "B", "the only option's text"),
        ("it looks like red or green", None, "no option inferred"),
        ("it is green, and here follows far more text than all four of the options have", None, "no option inferred"),
        ("Failed to obtain answer via API: green", "B", "the only option's text"),
    ],
)
def test_vlmevalkits_rules(answer: str, found: str | None, rule: str) -> None:
    assert vlmevalkit_letter(answer, COLOURS) == (found, rule)


texts = st.text(alphabet=st.sampled_from("ABCDI abcdeis().:*\n,猫选答案是红"), max_size=40)
options = st.lists(st.text(alphabet="abcxyz ", min_size=1, max_size=8), min_size=1, max_size=10).map(tuple)


@given(texts, options)
def test_only_options_are_found_whatever_is_said(text: str, options: tuple[str, ...]) -> None:
    for rules in (letter, vlmevalkit_letter):
        found = rules(text, options)
        assert found.value is None or found.value in LETTERS[: len(options)]
        assert found == rules(text, options)
        assert found.rule


@given(
    st.integers(0, 9), st.sampled_from(["{}", "({})", "{}.", "**{}**", "The answer is {}.", "Answer: ({})", "\n{}\n"])
)
def test_each_letter_is_found_in_each_usual_form(place: int, form: str) -> None:
    assert letter(form.format(LETTERS[place]), TEN).value == LETTERS[place]


@given(st.permutations(("a red car", "two dogs", "nothing", "the sea")), st.integers(0, 3))
def test_words_are_found_wherever_their_option_stands(options: list[str], place: int) -> None:
    assert letter(f"It shows {options[place]}!", options).value == LETTERS[place]


@given(st.integers(0, 2**32))
def test_words_without_any_option_choose_nothing(seed: int) -> None:
    words = random.Random(seed).choices(["a", "the", "it", "seems", "to", "be", "very", "dark", "I", "am"], k=8)
    assume(words[0] != "I" or words[1] != "I")
    said = " ".join(words)
    assume("I I" not in said and not said.endswith(" I"))
    assert letter(said, COLOURS).value is None
