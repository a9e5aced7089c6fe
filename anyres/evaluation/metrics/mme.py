"""MME: for each subtask, percent of questions right plus percent of pictures whose questions are all right.

Source: arXiv 2306.13394, section 2.3; eval_tool/calculation.py of its project page.
"""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.metrics.groups import groups_of, percent, share_of_full_groups

__all__ = ["COGNITION", "PERCEPTION", "summarise_mme"]

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
QUESTIONS = 2  # of each picture


def summarise_mme(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Total (0 to 2800), perception, cognition and the subtasks that there are.

    A picture with one question only, as --limit leaves behind, counts in acc and not in acc+.
    """
    scores = {name: _subtask(_of(graded, name)) for name in PERCEPTION + COGNITION if _of(graded, name)}
    perception = sum(score for name, score in scores.items() if name in PERCEPTION)
    cognition = sum(score for name, score in scores.items() if name in COGNITION)
    return {"total": perception + cognition, "perception": perception, "cognition": cognition, **scores}


def _of(graded: Sequence[Graded], subtask: str) -> list[Graded]:
    return [one for one in graded if one.sample.categories.get("category") == subtask]


def _subtask(graded: Sequence[Graded]) -> float:
    pictures = groups_of(graded, lambda sample: sample.cluster)
    return percent(graded) + share_of_full_groups([one for one in pictures if len(one.members) >= QUESTIONS])
