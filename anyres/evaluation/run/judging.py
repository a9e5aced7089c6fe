"""The judge's turn: a model is asked about answers that no rule can score.

A judge that fails leaves the answer without a judgement, which is told apart from a bad one. No other judge and no rule
takes its place.
"""

from dataclasses import replace

from anyres.chat import GenerationOptions
from anyres.evaluation.models.query import AskedModel, Query, Told
from anyres.evaluation.record import Record
from anyres.evaluation.run.asking import Asked
from anyres.evaluation.run.key import Keyed
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Sample

__all__ = ["Judging"]

OPTIONS = GenerationOptions(max_tokens=1024, temperature=0.0)


class Judging:
    """Asks `judge` about every answer that it has not judged. Failures of earlier sittings are tried again."""

    def __init__(self, task: Task, judge: str, *, since: float = 0.0) -> None:
        self.task = task
        self._judge = judge
        self._since = since

    def claim(self, sample: Sample) -> str:
        return f"judged {sample.id}"

    def query(self, sample: Sample, known: Record | None) -> Query | None:
        scoring = self.task.judged_by
        if scoring is None or scoring.ask_judge is None or known is None or known.outcome == "failed":
            return None
        return Query(scoring.ask_judge(sample, known.raw), OPTIONS)

    def is_done(self, known: Record | None, keyed: Keyed) -> bool:
        del keyed
        if known is None or known.judge != self._judge:
            return False
        return known.judged is not None or known.at >= self._since > 0

    def record(self, asked: Asked, told: Told, model: AskedModel, *, cached: bool) -> Record:
        del cached
        assert asked.known is not None, "a judge is asked about answers only"
        words = None if told.answer is None else told.answer.text
        error = "" if words is not None else told.error
        judged = replace(asked.known, judge=model.name, judged=words, judge_error=error)
        return self.task.scored(judged, asked.sample)
