"""The four cases: a right answer, the mistakes that were really made, and answers that are none."""

import json
from pathlib import Path

import pytest

from anyres.evaluation.benchmark import Benchmark, Graded
from anyres.evaluation.benchmarks.case_balance_sheet import CASE_BALANCE_SHEET, compared
from anyres.evaluation.benchmarks.case_invoice import CASE_INVOICE
from anyres.evaluation.benchmarks.case_leaderboard import CASE_LEADERBOARD
from anyres.evaluation.benchmarks.case_worksheet import CASE_WORKSHEET, worked
from anyres.evaluation.cases.leaderboard import columns
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.metrics.arithmetic import evaluate
from anyres.evaluation.run.sources import find_data
from anyres.evaluation.sample import Reply, Sample

CASES = (CASE_WORKSHEET, CASE_INVOICE, CASE_BALANCE_SHEET, CASE_LEADERBOARD)
LEFT_OUT = {"4", "5", "7", "8", "9", "31"}  # rows that Qwen2-VL-7B left out in 2024


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Benchmark:
    return request.param  # type: ignore[no-any-return]


def first(benchmark: Benchmark) -> Sample:
    return next(iter(benchmark.read(Path())))


def graded(benchmark: Benchmark, answer: str, scoring: int = 0, sample: Sample | None = None) -> list[Graded]:
    sample = sample or first(benchmark)
    extraction = benchmark.scorings[scoring].extract(Reply(answer), sample)
    return [Graded(sample, extraction, benchmark.scorings[scoring].grade(extraction, sample))]


def figures(benchmark: Benchmark, answer: str, scoring: int = 0) -> dict[str, float]:
    return dict(benchmark.scorings[scoring].summarise(graded(benchmark, answer, scoring)))


def right_answer(benchmark: Benchmark, sample: Sample) -> str:
    if benchmark is CASE_WORKSHEET:
        texts = sample.facts["expressions"]
        return "\n".join(f"{n}. {text} = {evaluate(text)}+0 = {evaluate(text)}" for n, text in enumerate(texts, 1))
    if benchmark is CASE_INVOICE:
        return json.dumps(sample.facts["fields"])
    if benchmark is CASE_BALANCE_SHEET:
        return json.dumps(sample.facts["rows"], ensure_ascii=False)
    rows = [columns(), ["---"] * 15, *sample.facts["rows"]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def test_right_answers_of_all_samples(case: Benchmark) -> None:
    read = read_samples(case, Path("nowhere"))
    assert (len(read.samples), read.broken) == (case.official_rows, ())
    assert find_data(case.name, Path("/nowhere")).open() is case
    for number in range(len(case.scorings)):
        grades = [one for sample in read.samples for one in graded(case, right_answer(case, sample), number, sample)]
        assert [one.score for one in grades] == pytest.approx([1.0] * len(grades))
        assert next(iter(case.scorings[number].summarise(grades).values())) == pytest.approx(100)
    assert all(sample.golds and sample.media and case.prompt(sample) for sample in read.samples)


def test_no_answer(case: Benchmark) -> None:
    for number, scoring in enumerate(case.scorings):
        for answer in ("", "I cannot read it.", "1234", "{}", "||"):
            (one,) = graded(case, answer, number)
            assert one.score == 0
        assert scoring.summarise([one])[next(iter(scoring.summarise([one])))] == 0
        assert set(scoring.summarise([]).values()) == {0}


def test_one_wrong_result() -> None:
    """Qwen2-VL-7B in 2024: 102×99 = 10102."""
    right = right_answer(CASE_WORKSHEET, first(CASE_WORKSHEET))
    told = figures(CASE_WORKSHEET, right.replace("= 10098+0 = 10098", "= 102×100-98 = 10102"))
    assert told == {
        "result": 95,
        "reading": 100,
        "steps": pytest.approx(100 * 39 / 40),
        "all right": 95,
        "answered": 100,
    }


def test_reading_steps_and_results_are_told_apart() -> None:
    sample = first(CASE_WORKSHEET)
    lines = [
        "175-75+25 = 100+25 = 125",
        "65+35×18 = 695",
        "725-(125+237) = 725-360 = 365 = 363",
        "(114+166)÷35 = 280÷35",
    ]
    (one,) = graded(CASE_WORKSHEET, "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1)))
    right, misread, wrong_step, unfinished = worked(one.extraction, sample)[:4]
    assert right == (1, 2, 2, 1)
    assert misread == (0, 1, 1, 0)
    assert wrong_step == (1, 1, 3, 1)
    assert unfinished == (1, 1, 1, 0)  # not worked out to the end
    assert worked(one.extraction, sample)[4] == (0, 0, 0, 0)


def test_a_line_that_was_left_out_moves_no_other() -> None:
    answer = right_answer(CASE_WORKSHEET, first(CASE_WORKSHEET)).splitlines()
    unnumbered = [line.split(". ", 1)[1] for line in answer]
    assert figures(CASE_WORKSHEET, "\n".join(unnumbered[:6] + unnumbered[7:]))["result"] == 95
    assert figures(CASE_WORKSHEET, "\n".join(answer[:6] + answer[7:]))["answered"] == 95


def test_rows_that_were_left_out() -> None:
    rows = [row for row in first(CASE_BALANCE_SHEET).facts["rows"] if row["行次"] not in LEFT_OUT]
    told = figures(CASE_BALANCE_SHEET, json.dumps(rows, ensure_ascii=False))
    assert told["rows"] == pytest.approx(100 * 8 / 14)
    assert told["cells"] == pytest.approx(100 * 8 / 14)
    assert (told["order"], told["separators"], told["invented"], told["whole sheets"]) == (100, 100, 0, 0)


def test_order_separators_and_inventions() -> None:
    rows = [dict(row) for row in first(CASE_BALANCE_SHEET).facts["rows"]]
    rows[0], rows[1] = rows[1], rows[0]
    rows[1]["年初数"] = "62469.37"  # right, but for its separator
    rows[5]["期末数"] = "33,979.07"  # wrong
    rows[9]["行次"] = "99"  # found by its name
    rows.append({"名称": "固定资产", "行次": "40", "年初数": "1.00", "期末数": "2.00"})
    (one,) = graded(CASE_BALANCE_SHEET, json.dumps({"rows": rows}, ensure_ascii=False))
    counts = compared(one.extraction, one.sample)
    assert counts == (14, 14, 13, 15, 56, 54, 5, 4)
    told = figures(CASE_BALANCE_SHEET, json.dumps(rows, ensure_ascii=False))
    assert told["invented"] == pytest.approx(100 / 15)


def test_numbers_and_cut_json() -> None:
    """Numbers instead of texts are right in value; of a list that was cut the whole rows count."""
    text = json.dumps(first(CASE_BALANCE_SHEET).facts["rows"], ensure_ascii=False)
    numbers = text.replace('"0.00"', "0.0").replace('"行次": "1"', '"行次": 1')
    assert figures(CASE_BALANCE_SHEET, numbers)["cells"] == 100
    assert figures(CASE_BALANCE_SHEET, text[: len(text) // 2])["rows"] == 50


def test_fields_as_printed_or_by_value() -> None:
    fields = dict(first(CASE_INVOICE).facts["fields"])
    fields["total"], fields["seller"] = float(fields["total"].replace(",", "")), fields["seller"].upper()
    fields["tax"] = "0.01"
    del fields["date"]
    answer = f"```json\n{json.dumps(fields)}\n```"
    assert figures(CASE_INVOICE, answer, 0)["fields"] == pytest.approx(60)
    assert figures(CASE_INVOICE, answer, 1)["fields"] == pytest.approx(80)
    assert figures(CASE_INVOICE, answer)["JSON"] == 100


def test_a_row_without_its_model() -> None:
    sample = first(CASE_LEADERBOARD)
    lines = right_answer(CASE_LEADERBOARD, sample).splitlines()
    del lines[5]
    lines[7] = lines[7].replace("|", "| x", 2)  # a cell wrong
    told = figures(CASE_LEADERBOARD, "\n".join(lines))
    assert told["overall"] == pytest.approx(100 * (21 * 15 - 15 - 2) / (21 * 15))
    assert (told["rows"], told["rows without a mistake"]) == (90, 90)
    assert 90 < figures(CASE_LEADERBOARD, "\n".join(lines), 1)["overall"] < 97
