"""How samples are asked: the prompts that VLMEvalKit gives to Qwen2-VL, pictures first, then the text."""

import re

from anyres.chat import Message, Part, TextPart
from anyres.evaluation.sample import LETTERS, Sample

__all__ = [
    "asked",
    "choice_prompt",
    "choice_text",
    "listed_options",
    "plain_prompt",
    "short_answer_prompt",
    "yes_no_prompt",
]

CHINESE = re.compile(r"[一-鿿]")
CHOOSE = "Please select the correct answer from the options above."
CHOOSE_CHINESE = "请直接回答选项字母。"
SHORTLY = "\nPlease try to answer the question with short words or phrases if possible."
YES_OR_NO = " Please answer yes or no."


def plain_prompt(sample: Sample) -> tuple[Message, ...]:
    """The question as it stands, after its pictures."""
    return asked(sample, sample.question)


def short_answer_prompt(sample: Sample) -> tuple[Message, ...]:
    """The question with a wish for short words."""
    return asked(sample, sample.question + SHORTLY)


def yes_no_prompt(sample: Sample) -> tuple[Message, ...]:
    """The question with a wish for yes or no."""
    return asked(sample, sample.question + YES_OR_NO)


def choice_prompt(sample: Sample) -> tuple[Message, ...]:
    """The question with its options; the ending is Chinese where any of it is."""
    return asked(sample, choice_text(sample))


def choice_text(sample: Sample, *, chinese: bool = True) -> str:
    """Hint, question, options and ending. A question without options has no ending.

    >>> print(choice_text(Sample("1", "Which?", options=("red", "blue"))))
    Question: Which?
    Options:
    A. red
    B. blue
    Please select the correct answer from the options above.
    """
    hint = f"Hint: {sample.facts['hint']}\n" if sample.facts.get("hint") else ""
    text = f"{hint}Question: {sample.question}\n"
    if not sample.options:
        return text.rstrip()
    text += f"Options:\n{listed_options(sample)}"
    return text + (CHOOSE_CHINESE if chinese and CHINESE.search(text) else CHOOSE)


def listed_options(sample: Sample) -> str:
    """A line for each option, with its letter."""
    return "".join(f"{name}. {option}\n" for name, option in zip(LETTERS, sample.options, strict=False))


def asked(sample: Sample, text: str) -> tuple[Message, ...]:
    """Its pictures and clips, then the text."""
    parts: tuple[Part, ...] = (*sample.media, TextPart(text))
    return (Message("user", parts),)
