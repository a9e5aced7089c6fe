"""Benchmarks of clips: published layouts with real clips, prompts, subtitles, and the faults of other kits."""

import json
import shutil
from pathlib import Path

import pytest

from anyres.chat import VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Graded, Scoring
from anyres.evaluation.benchmarks.egoschema import EGOSCHEMA
from anyres.evaluation.benchmarks.mvbench import MVBENCH
from anyres.evaluation.benchmarks.perceptiontest import PERCEPTION_TEST
from anyres.evaluation.benchmarks.videomme import VIDEO_MME, VIDEO_MME_SUBTITLES
from anyres.evaluation.clips import Subtitle, clip_prompt, frame_times, read_srt, shown
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.sample import Reply, Sample

CLIPS = Path(__file__).parents[3] / "examples" / "clips"


def scoring(benchmark: Benchmark, name: str) -> Scoring:
    return next(one for one in benchmark.scorings if one.name == name)


def score(benchmark: Benchmark, name: str, answer: str, sample: Sample) -> float:
    one = scoring(benchmark, name)
    return one.grade(one.extract(Reply(answer), sample), sample)


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in value) if isinstance(value, list) else json.dumps(value)
    path.write_text(text if path.suffix == ".jsonl" or not isinstance(value, list) else json.dumps(value), "utf-8")
    return path


def test_mvbench(tmp_path: Path) -> None:
    rows = [
        {"video": "a.mkv", "question": "What?", "candidates": ["run", "swim", "walk"], "answer": "swim"},
        {"video": "none", "question": "What?", "candidates": ["x", "y"], "answer": "z"},
        {"video": "b.mp4", "question": "What?", "candidates": ["x", "y"], "answer": "x", "start": 1.5, "end": 3.0},
    ]
    write(tmp_path / "json/action_sequence.json", rows)
    tv = {"video": "show", "question": "Who?", "candidates": ["x", "y"], "answer": "y", "start": 1.0, "end": 2.0}
    write(tmp_path / "json/episodic_reasoning.json", [tv])
    clips = tmp_path / "video/star/Charades_v1_480"
    clips.mkdir(parents=True)
    shutil.copy(CLIPS / "sign_book.mkv", clips / "a.mkv")
    frames = tmp_path / "video/tvqa/frames_fps3_hq/show"
    frames.mkdir(parents=True)
    for number in range(9):
        (frames / f"{number:05}.jpg").write_bytes(b"")
    read = read_samples(MVBENCH, tmp_path)
    one, cut, show = read.samples
    assert str(read.broken[0]) == "action_sequence.json[2]: answer: 'z'; allowed: one of the candidates"
    assert (one.id, one.golds, one.categories["category"]) == ("action_sequence/1", ("B",), "action_sequence")
    assert Path(one.media[0].video).resolve() == clips / "a.mkv"
    assert (cut.media[0].start, cut.media[0].end) == (1.5, 3.0)
    assert [Path(frame).name for frame in show.media[0].video] == ["00003.jpg", "00004.jpg", "00005.jpg", "00006.jpg"]
    with pytest.raises(DatasetError, match="no task"):
        read_samples(MVBENCH, tmp_path / "video")


@pytest.mark.parametrize(
    ("answer", "official", "strict"),
    [
        ("", 1, 0),  # right for the authors' script, whatever the gold
        ("(", 1, 0),
        ("A person walks", 1, 0),
        ("(A) run", 1, 1),
        ("A.", 1, 1),
        ("The answer is (A).", 0, 1),
        ("As the clip shows, B", 0, 0),
        ("B", 0, 0),
    ],
)
def test_mvbench_scorings(answer: str, official: float, strict: float) -> None:
    sample = Sample("1", "?", options=("run", "swim", "hide"), golds=("A",), categories={"category": "t"})
    assert score(MVBENCH, "official", answer, sample) == official
    assert score(MVBENCH, "strict", answer, sample) == strict


def test_mvbench_is_a_mean_over_tasks() -> None:
    samples = [
        Sample(f"{t}/{n}", "?", categories={"category": t}) for t, count in (("a", 3), ("b", 1)) for n in range(count)
    ]
    one = scoring(MVBENCH, "official")
    graded = [Graded(s, one.extract(Reply("A"), s), float(s.id == "a/0")) for s in samples]
    assert one.summarise(graded) == {"overall": pytest.approx(100 / 6), "a": pytest.approx(100 / 3), "b": 0}


def test_perception_test(tmp_path: Path) -> None:
    question = {"id": 0, "question": "Which?", "options": ["left", "right", "none"], "answer_id": 1, "area": "physics"}
    published = {"video_1": {"metadata": {}, "mc_question": [question, question | {"id": 1, "answer_id": 3}]}, "v2": {}}
    read = read_samples(PERCEPTION_TEST, write(tmp_path / "mc_question_valid.json", published))
    (sample,) = read.samples
    assert (sample.id, sample.golds, sample.cluster) == ("video_1/0", ("B",), "video_1")
    assert len(read.broken) == 2
    row = {"video_name": "video_1", "question_id": "9", "question": "Which?", "options": ["l", "r", "n"]}
    (hidden,) = read_samples(PERCEPTION_TEST, write(tmp_path / "hub.jsonl", [row])).samples
    assert hidden.golds == ()  # of the test split no answers are published
    for answer in ("B", "B.", "(B) right", "The answer is B", "right"):  # a bare letter alone counts elsewhere
        assert score(PERCEPTION_TEST, "strict", answer, sample) == 1


def test_egoschema(tmp_path: Path) -> None:
    options = {f"option {n}": f"does {n}" for n in range(5)}
    questions = [{"q_uid": name, "question": "What?"} | options for name in ("u1", "u2")]
    write(tmp_path / "questions.json", questions)
    write(tmp_path / "subset_answers.json", {"u2": 4})
    one, two = read_samples(EGOSCHEMA, tmp_path).samples
    assert (one.golds, two.golds, two.options[4]) == ((), ("E",), "does 4")
    assert read_samples(EGOSCHEMA, tmp_path / "questions.json").samples == (one, two)
    hub = {"question_idx": "7", "video_idx": "u3", "question": "?", "option": ["A. x", "B. y"], "answer": "1"}
    (three,) = read_samples(EGOSCHEMA, write(tmp_path / "hub.jsonl", [hub])).samples
    assert (three.id, three.options, three.golds) == ("7", ("x", "y"), ("B",))
    with pytest.raises(DatasetError, match="0 to 1"):
        read_samples(EGOSCHEMA, write(tmp_path / "hub.jsonl", [hub | {"answer": "5"}]))


SRT = """1
00:00:00,000 --> 00:00:01,200
Look at <i>this</i>

2
00:00:01,900 --> 00:00:01,950
between two frames

3
00:00:03,000 --> 00:00:04,000
book
"""


def video_mme(folder: Path) -> Sample:
    row = {
        "videoID": "abc",
        "question_id": "001-1",
        "question": "What is signed?",
        "duration": "short",
        "domain": "Hands",
    }
    row |= {
        "options": ["A. eat", "B. book", "C. run", "D. none"],
        "answer": "B",
        "task_type": "OCR",
        "sub_category": "x",
    }  # type: ignore[dict-item]
    (folder / "data").mkdir()
    (folder / "subtitle").mkdir()
    shutil.copy(CLIPS / "sign_book.mkv", folder / "data/abc.mkv")
    (folder / "subtitle/abc.srt").write_text(SRT, "utf-8")
    (sample,) = read_samples(VIDEO_MME, write(folder / "rows.jsonl", [row])).samples
    return sample


def test_video_mme(tmp_path: Path) -> None:
    sample = video_mme(tmp_path)
    assert sample.media == (VideoPart(tmp_path / "data/abc.mkv"),)
    (message,) = VIDEO_MME.prompt(sample)
    assert message.parts[-1].text == (
        "These are the frames of a video. Select the best answer to the following multiple-choice question based on "
        "the video. Respond with only the letter (A, B, C, or D) of the correct option.\nQuestion: What is signed?\n"
        "A. eat\nB. book\nC. run\nD. none\nAnswer: "
    )
    assert score(VIDEO_MME, "strict", "As the clip shows, B", sample) == 1  # and not A, the first capital
    assert score(VIDEO_MME, "strict", "The best answer is: B", sample) == 1
    one = scoring(VIDEO_MME, "strict")
    figures = one.summarise([Graded(sample, one.extract(Reply("B"), sample), 1.0)])
    assert figures == {"overall": 100, "short": 100, "Hands": 100, "OCR": 100}


def test_subtitles_are_those_of_the_frames(tmp_path: Path) -> None:
    """The clip has 109 frames, 3.6 seconds; at two a second the processor takes eight of them."""
    sample = video_mme(tmp_path)
    times = frame_times(VideoPart(tmp_path / "data/abc.mkv"))
    assert len(times) == 8
    assert times[0] == 0
    text = VIDEO_MME_SUBTITLES.prompt(sample)[0].parts[-1].text
    assert text.startswith("This video's subtitles are listed below:\nLook at this\nbook\nThese are the frames")
    (tmp_path / "subtitle/abc.srt").unlink()
    assert VIDEO_MME_SUBTITLES.prompt(sample) == VIDEO_MME.prompt(sample)


def test_subtitle_files() -> None:
    assert read_srt(SRT.replace("\n", "\r\n"))[2] == Subtitle(3.0, 4.0, "book")
    assert read_srt("") == read_srt("no times") == ()
    assert shown(read_srt(SRT), [1.92]) == ["between two frames"]


def test_two_and_five_options() -> None:
    texts = [clip_prompt(Sample("1", "?", options=("x",) * count))[0].parts[-1].text for count in (2, 5)]
    assert "(A, or B)" in texts[0]
    assert "(A, B, C, D, or E)" in texts[1]
