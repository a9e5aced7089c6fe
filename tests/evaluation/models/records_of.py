"""The records of a small run of real pictures by the embedded checkpoint, however it is run; for comparison.

python -m tests.evaluation.models.records_of FOLDER [--ray ADDRESS --workers N]
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from anyres.chat import ImagePart
from anyres.evaluation.models.opening import open_model
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.record import TIMES
from anyres.evaluation.run.asking import Answering, Asker
from anyres.evaluation.run.record_file import read_records
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Sample
from tests.evaluation.run.small import benchmark

EXAMPLES = Path(__file__).parents[3] / "examples"
TINY = ModelSpec("tiny", "tiny", dtype="float32", at_once=6)


def pictures(count: int = 24) -> tuple[Sample, ...]:
    names = sorted(path.name for path in EXAMPLES.glob("*.png"))
    words = ("Read the text.", "What colour is it?", "How many things are there?")
    return tuple(
        Sample(f"{number}", words[number % 3], media=(ImagePart(EXAMPLES / names[number % len(names)]),))
        for number in range(count)
    )


def compared(path: Path) -> dict[str, str]:
    """Every record as the line that it is, but for the fields of times."""
    return {
        name: json.dumps({key: value for key, value in asdict(record).items() if key not in TIMES}, sort_keys=True)
        for name, record in read_records(path).items()
    }


def asked(folder: Path, spec: ModelSpec) -> Path:
    task = Task(benchmark(), pictures(), spec, folder)
    model = open_model(spec)
    try:
        assert Asker(Answering(task), model).run(task.asked) == []
    finally:
        model.close()
    return task.path


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ray")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    path = asked(given.folder, replace(TINY, ray=given.ray, ray_workers=given.workers))
    sys.stdout.write(f"{path}\n")
