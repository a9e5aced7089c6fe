"""A small benchmark of sums, models that answer it in every way, and a program that is killed while it runs it.

python -m tests.evaluation.run.small FOLDER COUNT SECONDS
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

from anyres.chat import Answer, Message, Usage
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring
from anyres.evaluation.models.query import Query, Told
from anyres.evaluation.models.remote import spelled
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.run.asking import Answering, Asker
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Coordinates, Reply, Sample


def _extract(reply: Reply, sample: Sample) -> Extraction:
    return Extraction(reply.text or None, "whole" if reply.text else "empty")


def _grade(extraction: Extraction, sample: Sample) -> float:
    return float(extraction.value in sample.golds)


def _summarise(graded: Sequence[Graded]) -> Mapping[str, float]:
    return {"overall": 100 * sum(one.score for one in graded) / max(1, len(graded))}


def _ask_judge(sample: Sample, raw: str) -> tuple[Message, ...]:
    return (Message("user", f"{sample.question} {raw} Right?"),)


EXACT = Scoring("official", 1, _extract, _grade, _summarise)
JUDGED = Scoring(
    "judge", 1, _extract, lambda extraction, _: float(extraction.value == "1"), _summarise, ask_judge=_ask_judge
)


def sums(count: int, **more: object) -> tuple[Sample, ...]:
    return tuple(Sample(str(n), f"{n}+{n}=", golds=(str(2 * n),), **more) for n in range(count))  # type: ignore[arg-type]


def benchmark(*scorings: Scoring) -> Benchmark:
    return Benchmark(
        "Sums",
        "Sums",
        "none",
        read=lambda _: sums(10),
        prompt=lambda sample: (Message("user", (*sample.media, *Message("user", sample.question).parts)),),
        scorings=scorings or (EXACT,),
    )


def task(folder: Path, count: int = 10, *, samples: Sequence[Sample] = (), **more: object) -> Task:
    held = dict(more)
    asked = held.pop("benchmark", benchmark())
    return Task(asked, tuple(samples) or sums(count), ModelSpec("adder", "adder"), folder, **held)  # type: ignore[arg-type]


class Adder:
    """Adds, in a moment; `answer` may do otherwise. Counts what it was asked."""

    name, identity, at_once = "adder", "adder 1", 4
    coordinates: Coordinates = "thousandths"
    versions: Mapping[str, str] = {}

    def __init__(self, answer: Callable[[str], str | Told] | None = None, *, pause_s: float = 0.0) -> None:
        self.asked: list[str] = []
        self._answer = answer or (lambda question: str(eval(question.rstrip("="))))
        self._pause_s = pause_s
        self._lock = Lock()

    def rendered(self, messages: Sequence[Message]) -> str:
        return spelled(messages)

    def ask(self, query: Query) -> Told:
        question = query.messages[0].parts[-1].text  # type: ignore[union-attr]
        with self._lock:
            self.asked.append(question)
        time.sleep(self._pause_s)
        told = self._answer(question)
        return told if isinstance(told, Told) else Told(Answer(told, "stop", Usage(3, 0, 0, 1)), latency_s=0.5)

    def close(self) -> None:
        pass


if __name__ == "__main__":
    folder, count, pause_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    mine = task(folder, count)
    asker = Asker(Answering(mine), Adder(pause_s=pause_s))
    left: Sequence[Sample] = mine.asked
    print("started", flush=True)
    while left:
        left = asker.run(left)[:]
        asker = Asker(Answering(mine), Adder(pause_s=pause_s))
        time.sleep(0.01 if left else 0)
