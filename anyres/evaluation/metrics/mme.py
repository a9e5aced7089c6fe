"""MME: for each subtask, percent of questions right plus percent of pictures whose questions are all right.

Source: arXiv 2306.13394, section 2.3; eval_tool/calculation.py of its project page.
"""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.metrics.exact import by_category
from anyres.evaluation.metrics.groups import groups_of, percent_by

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
    pictures = groups_of(graded, lambda sample: (sample.categories["category"], sample.cluster))
    pairs = [(one.members[0].sample, float(one.full), one.times) for one in pictures if len(one.members) >= QUESTIONS]
    acc = by_category(graded, "category")
    acc_plus = percent_by((sample.categories["category"], full, times) for sample, full, times in pairs)
    scores = {name: acc[name] + acc_plus.get(name, 0.0) for name in PERCEPTION + COGNITION if name in acc}
    perception = sum([score for name, score in scores.items() if name in PERCEPTION])
    cognition = sum([score for name, score in scores.items() if name in COGNITION])
    return {"total": perception + cognition, "perception": perception, "cognition": cognition, **scores}
