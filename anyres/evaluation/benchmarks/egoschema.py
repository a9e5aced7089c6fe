"""EgoSchema: five-way choices about three minutes of what somebody with a camera on the head does.

Paper: Mangalam et al., arXiv 2308.09126. Answers of 500 of the 5,031 questions are published; the others only its
server has.
"""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from anyres.chat import VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.choices import choice_scorings
from anyres.evaluation.clips import CLIPS, clip_file, clip_prompt
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.published import targets
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["EGOSCHEMA"]

OPTIONS = tuple(f"option {number}" for number in range(5))
ANSWERS = "subset_answers.json"


def read_egoschema(path: Path) -> Iterable[Sample]:
    """The published questions.json with subset_answers.json beside it, or the hub's parquet (`option`, `answer`)."""
    answers = (path if path.is_dir() else path.parent) / ANSWERS
    golds: Mapping[str, int] = {}
    if answers.is_file():
        try:
            golds = json.loads(answers.read_text("utf-8"))
        except ValueError as error:
            raise DatasetError(str(answers), f"not readable ({error})", "JSON of answers by q_uid") from error
    questions = path / "questions.json" if (path / "questions.json").is_file() else path
    return samples_of_rows(questions, partial(_sample, golds=golds))


def _sample(row: Row, golds: Mapping[str, int]) -> Sample:
    options = row.texts("option", "options") or tuple(row.text(name) for name in OPTIONS)
    video = row.text("q_uid", "video_idx")
    gold = row.optional("answer", "truth") or str(golds.get(video, ""))
    if gold and gold not in [str(number) for number in range(len(options))]:
        raise row.wrong(repr(gold), f"0 to {len(options) - 1}", columns=("answer",))
    return Sample(
        id=row.text("q_uid", "question_idx", "video_idx"),
        question=row.text("question"),
        media=(VideoPart(clip_file(row, video)),),
        options=tuple(_without_letter(option) for option in options),
        golds=(LETTERS[int(gold)],) if gold else (),
        cluster=video,
    )


def _without_letter(option: str) -> str:
    """The hub's options begin with `A. `."""
    return option[3:] if option[1:3] == ". " and option[0] in LETTERS[:5] else option


EGOSCHEMA = Benchmark(
    name="EgoSchema",
    title="EgoSchema: long clips seen from the head",
    paper="https://arxiv.org/abs/2308.09126",
    read=read_egoschema,
    prompt=clip_prompt,
    scorings=choice_scorings(),
    settings=CLIPS,
    targets=targets(54.9, 66.7, 77.9, source="arXiv 2409.12191v2, table 4", split="test", n=5031),
    official_rows=5031,
    aliases=("EgoSchema_subset",),
)
