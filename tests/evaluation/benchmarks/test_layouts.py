"""Each benchmark's published rows, and VLMEvalKit's: what becomes of their fields."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from anyres.chat import ImagePart, Message, TextPart
from anyres.errors import DatasetError, OptionError
from anyres.evaluation.benchmarks import BENCHMARKS, benchmark_of
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.sample import Reply, Sample

PICTURE = "data:image/png;base64,AAAA"


def read(benchmark: str, rows: Sequence[Mapping[str, Any]] | Mapping[str, Any], folder: Path) -> tuple[Sample, ...]:
    """Of rows as the JSON file that their authors publish."""
    (folder / "data.json").write_text(json.dumps(rows), "utf-8")
    samples, broken = read_samples(benchmark_of(benchmark), folder / "data.json")
    assert not broken
    return samples


def read_table(benchmark: str, text: str, folder: Path) -> tuple[Sample, ...]:
    """Of VLMEvalKit's TSV; blanks between columns stand for tabs here."""
    heading, *lines = text.splitlines()
    pictured = [line if "image_path" in heading else f"{line} | a.png" for line in lines]
    heading = heading if "image_path" in heading else f"{heading} | image_path"
    table = "\n".join("\t".join(line.split(" | ")) for line in (heading, *pictured))
    (folder / "data.tsv").write_text(table, "utf-8")
    samples, broken = read_samples(benchmark_of(benchmark), folder / "data.tsv")
    assert not broken
    return samples


def asked(benchmark: str, sample: Sample) -> str:
    (message,) = benchmark_of(benchmark).prompt(sample)
    assert isinstance(message, Message)
    assert message.parts[:-1] == sample.media
    text = message.parts[-1]
    assert isinstance(text, TextPart)
    return text.text


SHORTLY = "\nPlease try to answer the question with short words or phrases if possible."


def test_docvqa(tmp_path: Path) -> None:
    row = {"questionId": 337, "question": "Which date?", "question_types": ["handwritten", "form"], "docId": 279}
    rows = {"dataset_name": "SP-DocVQA", "data": [{**row, "image": "documents/a.png", "answers": ["1/8/93", "1993"]}]}
    (sample,) = read("DocVQA", rows, tmp_path)
    assert (sample.id, sample.golds, sample.categories["category"]) == ("337", ("1/8/93", "1993"), "handwritten")
    assert sample.media == (ImagePart(tmp_path / "documents" / "a.png"),)
    assert asked("DocVQA", sample) == "Which date?" + SHORTLY
    (sample,) = read_table("DocVQA_VAL", "index | question | answer\n7 | Which? | ['a', \"b's\"]", tmp_path)
    assert (sample.id, sample.golds) == ("7", ("a", "b's"))


def test_infovqa_and_a_test_split_without_answers(tmp_path: Path) -> None:
    rows = {"data": [{"questionId": 1, "question": "How many?", "image_local_name": "3.jpeg", "data_split": "test"}]}
    (sample,) = read("InfoVQA", rows, tmp_path)
    assert (sample.golds, sample.media) == ((), (ImagePart(tmp_path / "3.jpeg"),))
    official = BENCHMARKS["InfoVQA"].scorings[0]
    assert official.grade(official.extract(Reply("7"), sample), sample) == 0


def test_chartqa(tmp_path: Path) -> None:
    (tmp_path / "test_human.json").write_text('[{"imgname": "1.png", "query": "Sum?", "label": "[2, 3]"}]', "utf-8")
    (tmp_path / "test_augmented.json").write_text('[{"imgname": "1.png", "query": "Year?", "label": "2015"}]', "utf-8")
    human, augmented = BENCHMARKS["ChartQA"].read(tmp_path)
    assert (human.golds, augmented.golds) == (("[2, 3]",), ("2015",))
    assert (human.categories["split"], augmented.categories["split"]) == ("human", "augmented")
    assert human.cluster == augmented.cluster == "1.png"
    assert human.media == (ImagePart(tmp_path / "png" / "1.png"),)
    assert human.id != augmented.id
    assert asked("ChartQA", human) == "Sum?" + SHORTLY


def test_chartqa_of_the_hub_and_of_vlmevalkit(tmp_path: Path) -> None:
    hub = {"query": "Sum?", "label": ["14"], "human_or_machine": 1, "image": PICTURE}
    (sample,) = read("ChartQA", [hub], tmp_path)
    assert (sample.golds, sample.categories["split"]) == (("14",), "augmented")
    other = {"question": "Sum?", "answer": "14", "type": "human_test", "image": PICTURE}
    assert read("ChartQA", [other], tmp_path)[0].categories["split"] == "human"
    table = "index | question | answer | split\n1 | Sum? | 14 | test_human\n2 | Sum? | 15 | test_augmented"
    assert [one.categories["split"] for one in read_table("ChartQA_TEST", table, tmp_path)] == ["human", "augmented"]


def test_textvqa(tmp_path: Path) -> None:
    row = {
        "question_id": 34602,
        "image_id": "0054c91",
        "question": "what brand?",
        "answers": ["nokia"] * 9 + ["toshiba"],
    }
    (sample,) = read("TextVQA", {"data": [row]}, tmp_path)
    assert (len(sample.golds), sample.cluster) == (10, "0054c91")
    assert sample.media == (ImagePart(tmp_path / "train_images" / "0054c91.jpg"),)
    table = f"index | question | answer\n1 | what brand? | {['nokia'] * 10}"
    assert read_table("TextVQA_VAL", table, tmp_path)[0].golds == ("nokia",) * 10


def test_ocrbench(tmp_path: Path) -> None:
    row = {"dataset_name": "IIIT5K", "id": "0", "image_path": "a.png", "question": "what is written in the image?"}
    several = {**row, "id": "1", "answers": ["A", "B"], "type": "Scene Text-centric VQA"}
    one, two = read("OCRBench", [{**row, "answers": "CENTRE", "type": "Regular Text Recognition"}, several], tmp_path)
    assert (one.golds, two.golds) == (("CENTRE",), ("A", "B"))
    assert one.categories == {"category": "Regular Text Recognition", "source": "IIIT5K"}
    hub = {"dataset": "HME100k", "question_type": "other", "question": "?", "answer": ["x"], "image": PICTURE}
    (formula,) = read("OCRBench", [hub], tmp_path)
    assert formula.categories["category"] == "Handwritten Mathematical Expression Recognition"
    table = "index | question | answer | category\n3 | ? | ['x', 'y'] | Doc-oriented VQA"
    (sample,) = read_table("OCRBench", table, tmp_path)
    assert (sample.golds, sample.categories["category"]) == (("x", "y"), "Doc-oriented VQA")


def test_mtvqa_has_several_questions_a_picture(tmp_path: Path) -> None:
    pairs = [{"question": "Was?", "answer": "Brot."}, {"question": "Wo?", "answer": "Hier"}]
    rows = [
        {"id": "a", "image": PICTURE, "qa_pairs": str(pairs), "lang": "DE"},
        {"id": "b", "image": PICTURE, "qa_pairs": pairs[:1], "lang": "de"},
    ]
    samples = read("MTVQA", rows, tmp_path)
    assert [one.id for one in samples] == ["a_0", "a_1", "b_0"]
    assert [one.golds for one in samples] == [("Brot.",), ("Hier",), ("Brot.",)]
    assert samples[0].cluster == samples[1].cluster != samples[2].cluster
    assert {one.categories["category"] for one in samples} == {"DE"}
    table = "index | question | answer | category\n3 | Was? | Brot | DE"
    assert read_table("MTVQA_TEST", table, tmp_path)[0].golds == ("Brot",)


def test_a_broken_pair_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = {"id": "b", "image": PICTURE, "qa_pairs": [{"question": "Wo?", "answer": "Hier"}], "lang": "DE"}
    (tmp_path / "data.json").write_text(json.dumps([{**good, "id": "a", "qa_pairs": [{"q": 1}]}, good]), "utf-8")
    samples, broken = read_samples(BENCHMARKS["MTVQA"], tmp_path / "data.json")
    assert [one.id for one in samples] == ["b_0"]
    assert [error.item for error in broken] == ["data.json[1]: qa_pairs"]


def test_ai2d_numbers_its_options(tmp_path: Path) -> None:
    row = {"question": "Which?", "options": ["a", "b", "c", "d"], "answer": "2", "image": PICTURE, "index": 5}
    (sample,) = read("AI2D", [row], tmp_path)
    assert (sample.id, sample.golds) == ("5", ("C",))
    table = "index | question | A | B | answer\n1 | Which? | 1 | 2 | B"
    assert read_table("AI2D_TEST", table, tmp_path)[0].golds == ("B",)
    with pytest.raises(DatasetError, match="below 4"):
        read("AI2D", [{**row, "answer": "4"}], tmp_path)


def test_mmstar_and_mmt_bench(tmp_path: Path) -> None:
    table = "index | question | A | B | answer | category | l2-category\n1 | Which? | x | y | A | fine | perception"
    (sample,) = read_table("MMStar", table, tmp_path)
    assert sample.categories == {"category": "fine", "l2-category": "perception"}
    assert asked("MMStar", sample).startswith("Question: Which?\nOptions:\nA. x\nB. y\nPlease select")
    many = " | ".join("ABCDEFGHI")
    table = f"index | question | {many} | answer | category\n1 | ? | {' | '.join('abcdefghi')} | I | t"
    assert read_table("MMT-Bench_VAL", table, tmp_path)[0].golds == ("I",)


def test_realworldqa(tmp_path: Path) -> None:
    ending = "Please answer directly with only the letter of the correct option and nothing else."
    choice = {"image": PICTURE, "question": f"Which?\n\nA. left\nB. right\n{ending}", "answer": "B"}
    count = {"image": PICTURE, "question": "How many lanes? Please answer directly with a single word.", "answer": "2"}
    word = {"image": PICTURE, "question": "Uphill?\n\nA. no\nB. yes", "answer": "Downhill."}
    first, second, third = read("RealWorldQA", [choice, count, word], tmp_path)
    assert (first.options, first.golds) == (("left", "right"), ("B",))
    assert asked("RealWorldQA", first) == choice["question"]  # its options stand there already
    assert (second.options, second.golds) == ((), ("2",))
    assert (third.options, third.golds) == ((), ("downhill",))
    official, strict = BENCHMARKS["RealWorldQA"].scorings
    for scoring in (official, strict):
        found = [scoring.extract(Reply(text), second).value for text in ("2.", " 2", "two")]
        assert found == ["2", "2", "two"]
    assert strict.extract(Reply("The answer is 2."), second).value == "2"
    table = "index | question | A | B | answer\n1 | Which? | left | right | A"
    (sample,) = read_table("RealWorldQA", table, tmp_path)
    assert asked("RealWorldQA", sample).startswith("Question: Which?\nOptions:\nA. left")


def test_hallusionbench(tmp_path: Path) -> None:
    row = {"category": "VS", "subcategory": "chart", "set_id": "0", "figure_id": "0", "question_id": "1"}
    blind = {**row, "visual_input": "0", "question": "Is it?", "gt_answer": "1", "filename": None}
    seen = {
        **row,
        "figure_id": "1",
        "visual_input": "1",
        "question": "Is it?",
        "gt_answer": "0",
        "filename": "./VS/0_1.png",
    }
    first, second = read("HallusionBench", [blind, seen], tmp_path)
    assert (first.media, first.golds, first.id) == ((), ("yes",), "VS_chart_0_0_1")
    assert (second.media, second.golds) == ((ImagePart(tmp_path / "./VS/0_1.png"),), ("no",))
    assert first.cluster == second.cluster == "VS_chart_0"
    assert asked("HallusionBench", first) == "Is it? Please answer yes or no."
    table = (
        "index | question | answer | category | l2-category\n"
        "HallusionBench_VD_figure_3_1_2 | Is it? | Yes | VD | figure"
    )
    (sample,) = read_table("HallusionBench", table, tmp_path)
    assert (sample.cluster, sample.facts) == ("VD_figure_3", {"figure": "1", "question": "2"})
    with pytest.raises(DatasetError, match="0, 1, No or Yes"):
        read("HallusionBench", [{**blind, "gt_answer": "2"}], tmp_path)


def test_mmvet(tmp_path: Path) -> None:
    rows = {
        "v1_0": {
            "imagename": "v1_0.png",
            "question": "What is x?",
            "answer": "-1<AND>-5",
            "capability": ["ocr", "math"],
        },
        "v1_1": {"imagename": "v1_1.png", "question": "Why?", "answer": "fun", "capability": ["rec"]},
    }
    first, second = read("MM-Vet", rows, tmp_path)
    assert (first.id, first.golds, first.categories["category"]) == ("v1_0", ("-1<AND>-5",), "ocr,math")
    assert first.media == (ImagePart(tmp_path / "images" / "v1_0.png"),)
    assert asked("MMVet", second) == "Why?"
    table = "index | question | answer | category\n0 | Why? | fun | rec,gen"
    assert read_table("MMVet", table, tmp_path)[0].categories == {"category": "rec,gen"}


def test_mme_of_the_hub_and_of_vlmevalkit(tmp_path: Path) -> None:
    row = {"question_id": "code_reasoning/0020.png", "image": PICTURE, "category": "code_reasoning"}
    pair = [{**row, "question": f"Is it {word}?", "answer": answer} for word, answer in (("a", "Yes"), ("b", "No"))]
    first, second = read("MME", pair, tmp_path)
    assert first.id != second.id
    assert first.cluster == second.cluster
    heading = "index | question | answer | category | image_path"
    table = f"{heading}\n0 | Is it? | Yes | OCR | OCR/1.jpg\n1 | So? | No | OCR | OCR/1.jpg"
    first, second = read_table("MME", table, tmp_path)
    assert (first.id, first.golds, first.cluster) == ("0", ("yes",), second.cluster)
    with pytest.raises(DatasetError, match="existence or count"):
        read("MME", [{**pair[0], "category": "smell"}], tmp_path)


def test_parquet_of_the_hub(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    row = {"questionId": "9", "question": "Which?", "answers": ["a"], "image": {"bytes": b"\x89PNG", "path": "a.png"}}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "validation-00000-of-00001.parquet")
    (sample,) = BENCHMARKS["DocVQA"].read(tmp_path)
    assert (sample.id, sample.golds, sample.media) == ("9", ("a",), (ImagePart(b"\x89PNG"),))


OWN_ROWS: dict[str, dict[str, Any]] = {
    "AI2D": {"index": 1, "A": "x", "B": "y", "answer": "A"},
    "DocVQA": {"questionId": 1, "answers": ["x"]},
    "HallusionBench": {
        "category": "VD",
        "subcategory": "a",
        "set_id": "0",
        "figure_id": "0",
        "question_id": "0",
        "gt_answer": "1",
    },
    "MMMU": {"id": "validation_Art_1", "options": ["x", "y"], "answer": "A", "question_type": "multiple-choice"},
    "MMVet": {"id": "v1_0", "answer": "x"},
    "OCRBench": {"id": "1", "answers": ["x"], "type": "Scene Text-centric VQA"},
    "TextVQA": {"question_id": 1, "answers": ["x"] * 10},
}


@pytest.mark.parametrize("name", [name for name in OWN_ROWS if name != "HallusionBench"])
def test_rows_without_a_picture_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps([{**OWN_ROWS[name], "question": "Which?"}]), "utf-8")
    with pytest.raises(DatasetError, match=r"data\.json\[1\]: image"):
        read_samples(BENCHMARKS[name], tmp_path / "data.json")


@pytest.mark.parametrize("name", OWN_ROWS)
def test_rows_without_a_question_are_named(name: str, tmp_path: Path) -> None:
    rows = [{**OWN_ROWS[name], "image": PICTURE, "question": question} for question in ("Which?", "")]
    for number, row in enumerate(rows):
        row |= {
            key: f"{value}{number}" for key, value in row.items() if key in ("id", "questionId", "index", "question_id")
        }
    (tmp_path / "data.json").write_text(json.dumps(rows), "utf-8")
    samples, broken = read_samples(BENCHMARKS[name], tmp_path / "data.json")
    wanted = 2 if name == "AI2D" else 1  # a choice may stand in its picture
    assert len(samples) == wanted
    assert [error.item for error in broken] == ["data.json[2]: question"] * (2 - wanted)


@pytest.mark.parametrize(("given", "near"), [("docvq", "DocVQA"), ("mmbench_e", "MMBench_EN"), ("chart", "ChartQA")])
def test_near_names(given: str, near: str) -> None:
    with pytest.raises(OptionError, match=near):
        benchmark_of(given)
