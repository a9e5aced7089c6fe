"""VQA accuracy against the answers of ten people. Source: arXiv 1505.00468 and its vqaEval.py."""

from collections.abc import Sequence

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.punctuation import without_punctuation
from anyres.evaluation.sample import Sample

__all__ = ["vqa_accuracy", "vqa_accuracy_of", "vqa_plain"]

AGREE = 3  # answers that make one right
ARTICLES = ("a", "an", "the")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(NUMBERS)}}
CONTRACTED = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's isn't
it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've shouldn't
somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's they'd
they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd where's where've
who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've
"""
TWICE_CONTRACTED = """
couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've something'd've
there'd've they'd've we'd've who'd've wouldn't've y'all'll you'd've
"""
THRICE_CONTRACTED = ("'ow's'at", "y'all'd've")
ODD = {"somebody'd": "somebodyd"}  # as the original has it


def _without_one_apostrophe(word: str) -> dict[str, str]:
    return {word[:place] + word[place + 1 :]: word for place, letter in enumerate(word) if letter == "'"}


CONTRACTIONS = ODD | {
    lost: word
    for whole in (*CONTRACTED.split(), *TWICE_CONTRACTED.split(), *THRICE_CONTRACTED)
    for lost, word in _without_one_apostrophe(whole).items()
}


def vqa_accuracy_of(extraction: Extraction, sample: Sample) -> float:
    """`vqa_accuracy` of what was extracted."""
    return vqa_accuracy(extraction.value, sample.golds) if extraction.value is not None else 0.0


def vqa_accuracy(answer: str, golds: Sequence[str]) -> float:
    """The mean over each set of all but one person of min(1, people who say the same / 3).

    >>> [round(vqa_accuracy("cat", ["cat"] * same + ["dog"] * (10 - same)), 2) for same in range(5)]
    [0.0, 0.3, 0.6, 0.9, 1.0]
    """
    said = vqa_plain(answer)
    same = [vqa_plain(gold) == said for gold in golds]
    others = [sum(same) - one for one in same]
    return sum(min(1.0, count / AGREE) for count in others) / max(1, len(golds))


def vqa_plain(text: str) -> str:
    """Lower case without articles and punctuation, numbers up to ten as digits, contractions with their apostrophes.

    >>> vqa_plain("The two dogs, dont\\tthey?")
    "2 dogs don't they"
    """
    cleaned = without_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = [DIGITS.get(word, word) for word in cleaned.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
