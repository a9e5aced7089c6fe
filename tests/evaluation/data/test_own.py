"""Own data in five lines: every metric with a right and a wrong answer, and what is said about wrong YAML."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.chat import ImagePart, TextPart, VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.data.own import METRICS, own_benchmark
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Sample
from anyres.evaluation.scoring import graded


def written(folder: Path, rows: list[dict[str, Any]], spec: str) -> Path:
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = folder / "own.yaml"
    path.write_text(spec, encoding="utf-8")
    return path


def text_of(path: Path, sample: Sample) -> str:
    (message,) = own_benchmark(path).prompt(sample)
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


FIVE_LINES = """\
name: receipts
data: data.jsonl
question: "What is the {field}? {unknown} Answer with the value alone."
answer: value
metric: anls
"""


def test_five_lines_make_a_benchmark(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "field": "total", "value": "12.50"},
        {"image": "a.png", "field": "date", "value": "1 May"},
    ]
    path = written(tmp_path, rows, FIVE_LINES)
    benchmark = own_benchmark(path)
    first, second = read_samples(benchmark, path).samples
    assert (first.id, first.question) == ("data.jsonl:1", "What is the total? {unknown} Answer with the value alone.")
    assert first.golds == ("12.50",)
    assert first.media == (ImagePart(tmp_path / "a.png"),)
    assert first.cluster == second.cluster != ""
    assert text_of(path, first) == first.question
    (message,) = benchmark.prompt(first)
    assert isinstance(message.parts[0], ImagePart)
    record = Record(second.id, "receipts", "tiny", "k", "", raw="1 Mai")
    (one,) = graded(benchmark.scorings[0], [second], {second.id: record})
    assert one.score == pytest.approx(0.8)


BOX = [20, 10, 60, 40]
CASES = [
    ("anls", {"answer": ["Paris", "paris"]}, "Paris", "Rome"),
    ("choice", {"A": "red", "B": "blue", "answer": "B"}, "The answer is B.", "(A)"),
    ("choice", {"options": ["red", "blue"], "answer": 1}, "B", "A"),
    ("choice", {"options": ["red", "blue"], "answer": "blue"}, "B", "A"),
    ("contains", {"answer": "12"}, "It is 12 euros.", "13"),
    ("exact", {"answer": "Yes"}, "the answer is yes.", "no"),
    ("number", {"answer": 14}, "$14.50", "15"),
    ("vqa", {"answer": ["dog"] * 9 + ["cat"]}, "A dog", "bird"),
    ("yes_no", {"answer": "Yes"}, "Yes, it is.", "Nothing"),
    ("box", {"answer": BOX}, "<|box_start|>(200,200),(600,800)<|box_end|>", "<|box_start|>(0,0),(9,9)<|box_end|>"),
    ("point", {"answer": BOX}, "<|box_start|>(400,500)<|box_end|>", "<|box_start|>(0,0)<|box_end|>"),
    ("table", {"answer": "<table><tr><td>1</td></tr></table>"}, "<table><tr><td>1</td></tr></table>", "none"),
]


@pytest.mark.parametrize(("metric", "row", "right", "wrong"), CASES)
def test_every_metric(tmp_path: Path, metric: str, row: dict[str, Any], right: str, wrong: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (100, 50)).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    rows = [{"id": name, "question": "?", "image": "a.png", **row} for name in ("right", "wrong")]
    path = written(tmp_path, rows, f"name: own\ndata: data.jsonl\nmetric: {metric}\n")
    benchmark = own_benchmark(path)
    samples = read_samples(benchmark, path).samples
    records = {
        one.id: Record(one.id, "own", "tiny", "k", "", raw=right if one.id == "right" else wrong) for one in samples
    }
    scored = graded(benchmark.scorings[0], samples, records)
    assert [one.score for one in scored] == [1.0, 0.0]
    assert benchmark.scorings[0].summarise(scored)["overall"] == 50.0


def test_every_metric_is_tried() -> None:
    assert {case[0] for case in CASES} == set(METRICS)


def test_options_are_listed_unless_the_prompt_is_given(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "A": "red", "B": "blue", "answer": "B", "category": "colour"}]
    path = written(tmp_path, rows, "name: own\ndata: data.jsonl\nmetric: choice\n")
    (sample,) = read_samples(own_benchmark(path), path).samples
    assert text_of(path, sample).startswith("Question: Which?\nOptions:\nA. red\nB. blue\n")
    assert sample.categories == {"category": "colour"}
    path = written(tmp_path, rows, 'name: own\ndata: data.jsonl\nmetric: choice\nprompt: "Q: {question} {x}"\n')
    assert text_of(path, sample) == "Q: Which? {x}"


def test_other_keys(tmp_path: Path) -> None:
    rows = [{"nr": 7, "q": "?", "clip": "a.mp4", "page": "p1", "gold": ""}]
    path = written(
        tmp_path,
        rows,
        'name: own\ndata: data.jsonl\nmetric: exact\nquestion: "{q}"\nanswer: [other, gold]\nid: nr\nvideo: clip\n'
        "cluster: page\nmax_tokens: 16\nmax_pixels: 200704\nrows: 1\ntitle: Our own\n",
    )
    benchmark = own_benchmark(path)
    (sample,) = read_samples(benchmark, path).samples
    assert (sample.id, sample.golds, sample.cluster) == ("7", (), "p1")
    assert sample.media == (VideoPart(tmp_path / "a.mp4"),)
    assert (benchmark.settings.max_tokens, benchmark.settings.max_pixels) == (16, 200704)
    assert (benchmark.official_rows, benchmark.title) == (1, "Our own")


BASE = "name: own\ndata: data.jsonl\nmetric: exact\n"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "a YAML NoneType"),
        ("- a", "a YAML list"),
        ("a: [", "not YAML"),
        ("!!python/object/apply:os.system [ls]", "not YAML"),
        ("name: own\ndata: data.jsonl\n", "metric: missing"),
        (BASE + "metrik: 1\n", "metrik: an unknown key; allowed: name, data, metric"),
        (BASE.replace("exact", "exakt"), "metric: 'exakt'; allowed: anls, box"),
        (BASE.replace("own", "../own"), "name: '../own'"),
        (BASE + "max_tokens: many\n", "max_tokens: 'many'; allowed: a whole number"),
        (BASE + "max_tokens: true\n", "max_tokens: True"),
        (BASE + "answer: 3\n", "answer: 3; allowed: a column, or a list of columns"),
        (BASE + "prompt: hello\n", r"a text with \{question\} in it"),
        ("name: 3\ndata: a\nmetric: exact\n", "name: 3; allowed: a text"),
    ],
)
def test_wrong_yaml_is_told_by_key(tmp_path: Path, spec: str, told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        own_benchmark(written(tmp_path, [], spec))


@pytest.mark.parametrize(
    ("metric", "row", "told"),
    [
        ("choice", {"question": "?", "answer": "A"}, "options or choices: nothing"),
        ("choice", {"question": "?", "A": "x", "answer": "B"}, "one of A"),
        ("yes_no", {"question": "?", "answer": "maybe"}, "yes or no"),
        ("box", {"question": "?", "answer": [1, 2, 3]}, "x1, y1, x2, y2"),
        ("box", {"question": "?", "answer": BOX}, "a picture for the box"),
        ("exact", {"answer": "x"}, "a column question, or `question:` in the YAML"),
    ],
)
def test_wrong_rows_are_told_by_name(tmp_path: Path, metric: str, row: dict[str, Any], told: str) -> None:
    fine = {"id": "fine", "question": "?", "A": "x", "B": "y", "answer": "A" if metric == "choice" else "yes"}
    rows = [row, fine] if metric in ("choice", "yes_no", "exact") else [row]
    path = written(tmp_path, rows, f"name: own\ndata: data.jsonl\nmetric: {metric}\n")
    if len(rows) == 1:
        with pytest.raises(DatasetError, match=told):
            read_samples(own_benchmark(path), path)
        return
    samples, broken = read_samples(own_benchmark(path), path)
    assert [one.id for one in samples] == ["fine"]
    assert len(broken) == 1
    assert told in str(broken[0])
    assert "data.jsonl:1" in str(broken[0])


def test_templates_reach_nothing_but_columns(tmp_path: Path) -> None:
    rows = [{"question": "{answer.__class__}", "answer": "x", "{answer": "no"}]
    path = written(tmp_path, rows, BASE + 'question: "{question} {question.__class__} {0}"\n')
    (sample,) = read_samples(own_benchmark(path), path).samples
    assert sample.question == "{answer.__class__} {question.__class__} {0}"
