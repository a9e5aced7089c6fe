"""Questions with options: their rows, their rotations, and how the letter is scored."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from anyres.chat import Message
from anyres.evaluation.benchmark import Scoring, Summarise
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.extraction.letters import letter_of, vlmevalkit_letter_of
from anyres.evaluation.metrics.exact import is_gold, summarise_mean
from anyres.evaluation.prompts import listed_options
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["choice_sample", "choice_scorings", "options_of", "rotations"]

KINDS = ("l2-category", "l2_category", "category", "split")
JUDGE = """\
A model was asked a question with options. Tell which option its answer means.
Reply with the letter of that option alone, or with Z if the answer means none of them or several.

Question: {question}
Options:
{options}Answer: {answer}
Letter:"""


def choice_sample(row: Row) -> Sample:
    """Of a row in VLMEvalKit's layout (A, B, ... in columns), or with its options in a list or by letter.

    Each has a picture. The gold is a letter, or the number of the option from 0 on where options come as a list.
    """
    options = options_of(row)
    media = row.needed_pictures("image", "image_path")
    gold = gold_letter(row, options)
    name = row.text("index", "id", "question_id")
    return Sample(
        id=name,
        question=row.optional("question").strip(),
        media=media,
        options=options,
        golds=(gold,) if gold else (),
        cluster=picture_cluster(media) or name,
        categories={kind.replace("_", "-"): row.text(kind) for kind in KINDS if row.has(kind)},
        facts={"hint": row.text("hint")} if row.has("hint") else {},
    )


def options_of(row: Row) -> tuple[str, ...]:
    """In columns A, B, ..., or in `options` or `choices`."""
    held = row.value("options", "choices")
    if isinstance(held, Mapping):
        return Row(row.name, held).options()
    return row.texts("options", "choices") if held is not None else row.options()


def gold_letter(row: Row, options: tuple[str, ...]) -> str:
    """ "" where there is none."""
    if row.optional("answer").strip().isdecimal() and not row.has("A"):
        place = row.whole("answer")
        if place >= len(options):
            raise row.wrong(str(place), f"below {len(options)}", columns=("answer",))
        return LETTERS[place]
    return row.letter("answer", options=options)


def rotations(sample: Sample) -> tuple[Sample, ...]:
    """The question with its options in each rotation, itself first: in rotation k, option i shows what i + k was.

    >>> [(one.id, one.options, one.golds) for one in rotations(Sample("7", "?", options=("x", "y"), golds=("B",)))]
    [('7', ('x', 'y'), ('B',)), ('1000007', ('y', 'x'), ('A',))]
    """
    return tuple(_rotated(sample, turn) for turn in range(max(1, len(sample.options))))


def choice_scorings(summarise: Summarise = summarise_mean) -> tuple[Scoring, ...]:
    """By VLMEvalKit's rules, by our own, and by a judge, who reads every answer: never a mixture of rules and judge."""
    kit = "Letters as VLMEvalKit infers them by rules; what they leave open is wrong here."
    own = "Our rules: an article A is no choice, and what the answer states counts wherever it stands."
    asked = "A judge reads every answer, with a prompt of ours; VLMEvalKit asks one only where its rules find nothing."
    return (
        Scoring("official", 1, vlmevalkit_letter_of, is_gold, summarise, about=kit),
        Scoring("strict", 1, letter_of, is_gold, summarise, about=own),
        Scoring("judge", 1, letter_of, is_gold, summarise, about=asked, ask_judge=ask_which),
    )


def ask_which(sample: Sample, answer: str) -> tuple[Message, ...]:
    """The judge sees no picture."""
    text = JUDGE.format(question=sample.question, options=listed_options(sample), answer=answer)
    return (Message("user", text),)


def _rotated(sample: Sample, turn: int) -> Sample:
    if not turn:
        return sample
    options = sample.options[turn:] + sample.options[:turn]
    return replace(
        sample, id=_turned_id(sample.id, turn), options=options, golds=_turned(sample.golds, turn, sample.letters)
    )


def _turned(golds: Iterable[str], turn: int, letters: str) -> tuple[str, ...]:
    return tuple(letters[(letters.index(gold) - turn) % len(letters)] for gold in golds)


def _turned_id(name: str, turn: int) -> str:
    return str(int(name) + turn * 1_000_000) if name.isdecimal() else f"{name}@{turn}"
