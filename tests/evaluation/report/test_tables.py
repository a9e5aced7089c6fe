"""Tables and charts: what they hold, and that words of others stay words in Markdown, CSV, XLSX and SVG."""

import csv
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.benchmarks import benchmark_of
from anyres.evaluation.report.charts import make_charts
from anyres.evaluation.report.inert import LONGEST_CELL, inert_cell, sheet_cell
from anyres.evaluation.report.markdown import make_markdown
from anyres.evaluation.report.results import Answers, make_result
from anyres.evaluation.report.sheets import write_csv, write_xlsx
from anyres.evaluation.report.tables import make_tables
from anyres.evaluation.sample import Sample
from tests.evaluation.report.made_up import FORMULA, HOSTILE, answers, record, result

HEAD = "model | scoring | perception | cognition | OCR | artwork | celebrity | code | color | commonsense | count"
TAIL = "existence | landmark | numerical | position | posters | scene | translation"


def test_scores_have_n_and_an_interval() -> None:
    tables = {table.name: table for table in make_tables([result()])}
    assert list(tables) == ["scores", "answers", "comparisons", "targets", "figures", "broken"]
    heading, row = tables["scores"].heading, tables["scores"].rows[0]
    assert heading == ("benchmark", "model", "n", "official", "lenient", "visual tokens")
    assert row[1:3] == ("org/Tiny-1B-Instruct", 30)
    assert re.fullmatch(r"53\.3 % \[\d+\.\d, \d+\.\d\]", str(row[3]))
    assert "clustered by picture or clip" in tables["scores"].note
    assert "Letters lenient: In lower case, too." in tables["scores"].note
    assert "published target 60 (" in str(tables["targets"].rows[0][-1])
    assert str(tables["targets"].rows[0][-1]).endswith("(on 30 of 40 rows)")
    assert tables["broken"].rows == (("Letters", "letters.tsv:7: no gold <u>; allowed: one"),)


def test_sweeps_and_controls_have_their_tables_and_the_sweep_its_curve() -> None:
    swept = [answers("other", 10 + k, variant=f"max_pixels={k * 50176}", visual_tokens=64 * k) for k in (2, 4)]
    found = result(*swept, answers("other", 5, variant="blind"))
    tables = {table.name: table for table in make_tables([found])}
    assert [row[2] for row in tables["sweeps"].rows] == [
        "as it is",
        "as it is",
        "max_pixels=100352",
        "max_pixels=200704",
    ]
    (control,) = tables["controls"].rows
    assert control[2] == "blind"
    assert control[4] != control[5]
    curve = make_charts([found])[-1]
    assert "score over visual tokens" in curve
    assert curve.count("<circle") == 3


def test_mme_is_laid_out_as_its_users_know_it() -> None:
    mme = benchmark_of("MME")
    samples = [
        Sample(f"{name}/{k}", "?", golds=("yes",), cluster=name, categories={"category": name})
        for name in ("OCR", "code_reasoning", "count")
        for k in range(2)
    ]
    records = {one.id: record(one.id, "tiny", "Yes" if one.id != "count/1" else "No") for one in samples}
    found = make_result(mme, [Answers("tiny", "", samples, records)], draws=20)
    (table,) = [one for one in make_tables([found]) if one.name == "mme"]
    assert " | ".join(table.heading) == f"{HEAD} | {TAIL}"
    row = dict(zip(table.heading, table.rows[0], strict=True))
    assert (row["perception"], row["cognition"]) == (250.0, 200.0)
    assert (row["OCR"], row["count"], row["code"], row["scene"]) == (200.0, 50.0, 200.0, None)


def test_charts_are_whole_svg_without_words_as_markup() -> None:
    found = result(answers("</svg><script>x</script>", 3))
    charts = make_charts([found])
    assert len(charts) == 2, "bars, and a radar of the three kinds"
    for chart in charts:
        assert "<script" not in chart
        drawn = ET.fromstring(chart[chart.index("<svg") : chart.index("</svg>", chart.index("<svg")) + 6])
        assert drawn.attrib["role"] == "img"
    assert charts[0].count("<rect") == 3
    assert charts[0].count('class="target"') == 2
    assert charts[1].count("<polygon") == 3


def test_markdown_shows_words_as_they_are() -> None:
    text = make_markdown([result()], title="Run *1*", about="<b>now</b>")
    assert text.startswith("# Run \\*1\\*\n\n\\<b\\>now\\</b\\>\n")
    assert "Letters \\<b\\>of\\</b\\> all kinds" in text
    rows = [line for line in text.splitlines() if line.startswith("| Letters")]
    assert len(rows) > 10
    assert not re.search(r"(?<!\\)[<>]", text)


def test_csv_has_every_answer_and_no_formula(tmp_path: Path) -> None:
    written = write_csv([result()], tmp_path)
    assert {path.name for path in written} >= {"scores.csv", "samples.csv", "comparisons.csv"}
    with (tmp_path / "samples.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 * 2 * 2
    by_id = {row["id"]: row for row in rows if row["scoring"] == "official" and row["model"] == "other"}
    assert by_id["2"]["raw"] == f"'{FORMULA}"
    assert by_id["1"]["raw"] == f"A {HOSTILE}"
    assert (by_id["3"]["outcome"], by_id["3"]["raw"]) == ("failed", "timed out <i>twice</i>")
    assert (by_id["5"]["extracted"], by_id["5"]["rule"]) == ("", "no letter in front")
    for path in written:
        for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()):
            assert not any(cell[:1] in ("=", "@") for cell in line)


def test_xlsx_keeps_words_as_text_and_says_what_it_cut(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    long = "x" * 40_000
    told = answers("long", 3)
    more = told._replace(
        records={**told.records, "4": record("4", "long", long), "6": record("6", "long", "a\x00b\x1b")}
    )
    path = write_xlsx([result(more)], tmp_path / "report.xlsx")
    book = openpyxl.load_workbook(path)
    assert {"scores", "comparisons", "samples"} <= set(book.sheetnames)
    rows = list(book["samples"].iter_rows())
    heading = [cell.value for cell in rows[0]]
    raw, model, name = heading.index("raw"), heading.index("model"), heading.index("id")
    cells = {(row[model].value, row[name].value): row[raw] for row in rows[1:]}
    assert (cells["other", "2"].value, cells["other", "2"].data_type) == (FORMULA, "s")
    assert cells["other", "2"].quotePrefix
    assert len(cells["long", "4"].value) == LONGEST_CELL
    assert cells["long", "4"].value.endswith("(cut: the whole text is in the records)")
    assert cells["long", "6"].value == "a\ufffdb\ufffd"
    assert not any(cell.data_type == "f" for sheet in book for row in sheet.iter_rows() for cell in row)


@given(st.text())
def test_no_cell_begins_as_a_formula(text: str) -> None:
    cell = inert_cell(text)
    assert not cell.lstrip(" ").startswith(("=", "@", "\t", "\r", "|"))
    assert not (cell[:1] in ("+", "-") and not re.fullmatch(r"[+-]\d+(\.\d+)?", cell))
    assert len(sheet_cell(text)) <= LONGEST_CELL


@pytest.mark.parametrize("text", ["B", "-3.5", "+4", "two - three", "a=b", ""])
def test_harmless_cells_stay_as_they_are(text: str) -> None:
    assert inert_cell(text) == text


@pytest.mark.parametrize("text", ["=1", "+1+1", "-cmd|' /C calc'!A0", "@SUM(1)", " =1", "\t=1", "-", "＝1"])
def test_harmful_cells_are_quoted(text: str) -> None:
    assert inert_cell(text) == f"'{text}"
