"""MVBench: twenty tasks of two hundred questions each about short clips.

Paper: Li et al., arXiv 2311.17005. The scoring "official" is its script's, in which an empty answer is right and
"A person walks" chooses (A): compare with "strict".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from anyres.chat import VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring
from anyres.evaluation.choices import choice_scorings
from anyres.evaluation.clips import CLIPS, FOLDERS, clip_file, clip_prompt
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import each_of, samples_of_rows
from anyres.evaluation.metrics.subtasks import summarise_mean_of
from anyres.evaluation.published import targets
from anyres.evaluation.sample import LETTERS, Reply, Sample

__all__ = ["MVBENCH", "first_word_of", "is_first_word"]

PLACES = {
    "action_sequence": "star/Charades_v1_480",
    "action_prediction": "star/Charades_v1_480",
    "action_antonym": "ssv2_video",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_v1_480",
    "object_shuffle": "perception/videos",
    "moving_direction": "clevrer/video_validation",
    "action_localization": "sta/sta_video",
    "scene_transition": "scene_qa/video",
    "action_count": "perception/videos",
    "moving_count": "clevrer/video_validation",
    "moving_attribute": "clevrer/video_validation",
    "state_change": "perception/videos",
    "fine_grained_pose": "nturgbd",
    "character_order": "perception/videos",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "counterfactual_inference": "clevrer/video_validation",
}
"""Where the published folder has the clips of each task."""
FRAMES_PER_SECOND = 3  # of the folders of frames
PICTURES = (".jpg", ".png")


def read_mvbench(path: Path) -> Iterable[Sample]:
    """The published folder (`json/<task>.json`, clips in `video/...`), one such file, or VLMEvalKit's TSV."""
    if path.is_file():
        return samples_of_rows(path, partial(_sample, task=path.stem))
    folder = path / "json" if (path / "json").is_dir() else path
    files = [folder / f"{task}.json" for task in PLACES if (folder / f"{task}.json").is_file()]
    if not files:
        raise DatasetError(str(path), "no task", f"files as {next(iter(PLACES))}.json in it or in json")
    return each_of(_Task(file) for file in files)


class _Task(Iterator[Sample]):
    """The samples of a task's file; a broken row does not end it."""

    def __init__(self, file: Path) -> None:
        self._task = file.stem
        self._rows = read_rows(file)

    def __next__(self) -> Sample:
        return _sample(next(self._rows), task=self._task)


def _sample(row: Row, task: str) -> Sample:
    task = row.optional("task_type").lower().replace("-", "_").replace(" ", "_") or task
    options = row.texts("candidates", "options")
    answer = row.optional("answer")
    if answer and answer not in options:
        raise row.wrong(repr(answer)[:80], "one of the candidates", columns=("answer",))
    clip = _clip(row, task)
    name = row.text("video")
    return Sample(
        id=f"{task}/{row.optional('index', 'id') or row.name.partition('[')[2].rstrip(']') or row.name}",
        question=row.text("question"),
        media=(clip,),
        options=options,
        golds=(LETTERS[options.index(answer)],) if answer else (),
        cluster=f"{task}/{name}",
        categories={"category": task},
    )


def _clip(row: Row, task: str) -> VideoPart:
    """A file, or a folder of frames, three for each second; within `start` and `end` seconds where the row has them."""
    place = row.optional("prefix") or PLACES.get(task, "")
    folders = [f"{around}{place}" for around in ("../video/", "video/", "")] + list(FOLDERS)
    start, end = (row.number(name) if row.has(name) else None for name in ("start", "end"))
    directories = (row.folder / folder / row.text("video") for folder in folders)
    directory = next((one for one in directories if one.is_dir()), None)
    if directory is None:
        return VideoPart(clip_file(row, row.text("video"), folders=folders), start=start, end=end)
    frames = sorted(one for one in directory.iterdir() if one.suffix.lower() in PICTURES)
    first = round((start or 0) * FRAMES_PER_SECOND)
    last = len(frames) if end is None else round(end * FRAMES_PER_SECOND) + 1
    return VideoPart([str(frame) for frame in frames[first:last]])


def first_word_of(reply: Reply, sample: Sample) -> Extraction:
    """As the script: what stands before the first blank, in lower case, without full stops. Of an empty answer it is
    the empty word, and not no answer."""
    return Extraction(reply.text.lower().split(" ")[0].replace(".", ""), "first word")


def is_first_word(extraction: Extraction, sample: Sample) -> float:
    """As the script: the word is part of "(a)", or has it in it; the empty word is part of everything."""
    if extraction.value is None or not sample.golds:
        return 0.0
    gold = f"({sample.golds[0].lower()})"
    return float(extraction.value in gold or gold in extraction.value)


def summarise_mvbench(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean over the tasks that there are, then each."""
    return summarise_mean_of(graded, "category")


MVBENCH = Benchmark(
    name="MVBench",
    title="MVBench: twenty tasks about short clips",
    paper="https://arxiv.org/abs/2311.17005",
    read=read_mvbench,
    prompt=clip_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            first_word_of,
            is_first_word,
            summarise_mvbench,
            about='The authors\' script, bug for bug: "", "(" and "A person" choose (A).',
        ),
        *choice_scorings(summarise_mvbench)[1:],
    ),
    settings=CLIPS,
    targets=targets(63.2, 67.0, 73.6, source="arXiv 2409.12191v2, table 4", n=4000),
    official_rows=4000,
)
