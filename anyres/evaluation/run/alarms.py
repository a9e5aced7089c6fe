"""Signs that a run measures something else than the model: the same answer to everything, no answer, cut answers.

They are looked for after 50 samples, so that nobody learns of them at the end, and again each time the number doubles.
"""

from collections import Counter
from collections.abc import Sequence

from anyres.evaluation.record import Record

__all__ = ["FIRST", "alarms", "is_due"]

FIRST = 50
MOST_ALIKE = 0.95
MOST_SILENT = 0.2


def is_due(before: int, now: int) -> bool:
    """Whether a number at which to look lies between.

    >>> [is_due(*pair) for pair in ((0, 49), (49, 50), (50, 99), (90, 130), (199, 200))]
    [False, True, False, True, True]
    """
    mark = FIRST
    while mark <= now:
        if before < mark:
            return True
        mark *= 2
    return False


def alarms(records: Sequence[Record]) -> list[str]:
    """What looks wrong, in words; [] for fewer than 50 records."""
    if len(records) < FIRST:
        return []
    answered = [one for one in records if one.outcome == "answered"]
    shares = {
        "failed": [one for one in records if one.outcome == "failed"],
        "are empty": [one for one in answered if not one.raw.strip()],
        "were cut at their longest": [one for one in answered if one.finish_reason == "length"],
        "ended because they said the same again and again": [
            one for one in answered if one.finish_reason == "repetition"
        ],
        "say nothing that the official extraction reads": [one for one in answered if _is_unread(one)],
    }
    found = [
        f"{len(those)} of {len(records)} {words}, as {those[0].id}"
        for words, those in shares.items()
        if len(those) > MOST_SILENT * len(records)
    ]
    return found + _alike(answered)


def _is_unread(record: Record) -> bool:
    first = next(iter(record.scores.values()), None)
    return bool(record.raw.strip()) and first is not None and first["value"] is None and first["rule"] != "not judged"


def _alike(answered: Sequence[Record]) -> list[str]:
    """Where questions have different golds the scores of one answer to all differ too; where all are right it is no
    alarm."""
    said = Counter(one.raw.strip() for one in answered)
    if not said:
        return []
    text, times = said.most_common(1)[0]
    right = [next(iter(one.scores.values()), {"score": 1.0})["score"] for one in answered if one.raw.strip() == text]
    if not text or times < MOST_ALIKE * len(answered) or all(score == 1.0 for score in right):
        return []
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return [f"{times} of {len(answered)} answers are {shown!r}"]
