"""PubTabNet: real tables, read from both layouts; a real model's tables scored as its authors did."""

import json
from pathlib import Path

import pytest

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Graded
from anyres.evaluation.benchmarks.pubtabnet import PUBTABNET
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.sample import Reply, Sample
from tests.evaluation.shared_data import golden, rows, shared

OFFICIAL, STRUCTURE, CELLS = PUBTABNET.scorings


def test_real_tables() -> None:
    read = read_samples(PUBTABNET, shared("pubtabnet-examples/tables.jsonl"))
    assert (len(read.samples), read.broken) == (20, ())
    assert {sample.categories["category"] for sample in read.samples} == {"simple", "complex"}
    for sample in read.samples[:5]:
        for scoring in PUBTABNET.scorings:
            extraction = scoring.extract(Reply(f"Sure!\n```html\n{sample.golds[0]}\n```"), sample)
            assert scoring.grade(extraction, sample) == 1


def test_a_real_models_tables() -> None:
    """Published figures of the source project, through answers and extraction."""
    figures = {}
    for scoring in (OFFICIAL, STRUCTURE):
        graded = []
        for pair in rows("pubtabnet-examples/teds_pairs.jsonl")[1:]:
            sample = Sample(pair["id"], "?", golds=(pair["gold_html"],), categories={"category": pair["type"]})
            extraction = scoring.extract(Reply(pair["pred_html"]), sample)
            graded.append(Graded(sample, extraction, scoring.grade(extraction, sample)))
        figures[scoring.name] = scoring.summarise(graded)["overall"] / 100
    assert figures["official"] == pytest.approx(golden()["teds"]["mean"], abs=1e-12)
    assert figures["structure"] == pytest.approx(golden()["teds"]["mean_structure_only"], abs=1e-12)


def test_the_published_layout(tmp_path: Path) -> None:
    """Tokens of structure and cells make the same page as the text."""
    row = rows("pubtabnet-examples/tables.jsonl")[0]
    (tmp_path / "val").mkdir()
    (tmp_path / "val/a.png").write_bytes((shared("pubtabnet-examples") / row["image"]).read_bytes())
    html = {"structure": {"tokens": row["structure"]}, "cells": row["cells"]}
    published = {"filename": "a.png", "split": "val", "imgid": 7, "html": html}
    path = tmp_path / "PubTabNet.jsonl"
    path.write_text(json.dumps(published) + "\n", "utf-8")
    (sample,) = read_samples(PUBTABNET, path).samples
    assert (sample.id, sample.golds[0]) == ("7", row["html"])
    for change, told in (({"filename": "b.png"}, "no picture b.png"), ({"html": {"cells": []}}, "no tokens")):
        path.write_text(json.dumps(published | change) + "\n", "utf-8")
        with pytest.raises(DatasetError, match=told):
            read_samples(PUBTABNET, path)


def test_markdown_is_read_too() -> None:
    gold = "<table><thead><tr><td>a</td><td>b</td></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>"
    sample = Sample("1", "?", golds=(gold,))
    for scoring in PUBTABNET.scorings:
        assert scoring.grade(scoring.extract(Reply("|a|b|\n|---|---|\n|1|2|"), sample), sample) == 1
        assert scoring.grade(scoring.extract(Reply("no table"), sample), sample) == 0
