"""Perception Test: three-way choices about everyday scenes that were staged for it.

Paper: Patraucean et al., arXiv 2305.13786. The published figures are of the test split, whose answers only its server
has; the validation split can be scored here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from anyres.chat import VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.choices import choice_scorings
from anyres.evaluation.clips import CLIPS, clip_file, clip_prompt
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.published import targets
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["PERCEPTION_TEST"]


def read_perceptiontest(path: Path) -> Iterable[Sample]:
    """The published JSON (`{video: {"mc_question": [...]}}`), or rows with `video_name`, `options`, `answer_id`."""
    if path.suffix.lower() != ".json":
        return samples_of_rows(path, _sample)
    try:
        read = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(str(path), f"not readable ({error})", "JSON") from error
    if isinstance(read, Mapping) and not isinstance(read.get("data"), list):
        return map(_sample, _rows(path, read))
    return samples_of_rows(path, _sample)


def _rows(path: Path, read: Mapping[str, Any]) -> Iterator[Row]:
    for video, held in read.items():
        questions = held.get("mc_question") if isinstance(held, Mapping) else None
        for question in questions if isinstance(questions, list) else [None]:
            name = f"{path.name}: {video}"
            if isinstance(question, Mapping):
                yield Row(name, {**question, "video_name": video}, path.parent)
            else:
                yield Row(name, {}, path.parent, "no list of questions under mc_question")


def _sample(row: Row) -> Sample:
    options = row.texts("options")
    video = row.text("video_name", "video", "video_id")
    gold = row.optional("answer_id", "answer")
    if gold and gold not in [str(number) for number in range(len(options))]:
        raise row.wrong(repr(gold), f"0 to {len(options) - 1}", columns=("answer_id",))
    return Sample(
        id=f"{video}/{row.text('question_id', 'id')}",
        question=row.text("question"),
        media=(VideoPart(clip_file(row, video)),),
        options=options,
        golds=(LETTERS[int(gold)],) if gold else (),
        cluster=video,
        categories={"category": row.optional("area"), "l2-category": row.optional("reasoning")},
    )


PERCEPTION_TEST = Benchmark(
    name="PerceptionTest",
    title="Perception Test: choices about staged scenes",
    paper="https://arxiv.org/abs/2305.13786",
    read=read_perceptiontest,
    prompt=clip_prompt,
    scorings=choice_scorings(),
    settings=CLIPS,
    targets=targets(53.9, 62.3, 68.0, source="arXiv 2409.12191v2, table 4", split="test"),
    aliases=("perceptiontest_val_mc", "PerceptionTest_val"),
)
