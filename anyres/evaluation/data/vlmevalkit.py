"""Results as VLMEvalKit keeps them, in and out: `{model}_{dataset}.xlsx`, TSV or JSON with a column `prediction`."""

import csv
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyres.errors import DatasetError, MissingDependencyError
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row
from anyres.evaluation.record import Record
from anyres.evaluation.report.sheets import write_sheet
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["read_results", "records_of_results", "write_results"]

INDEX, PREDICTION = "index", "prediction"
FAILURES = ("Failed to obtain answer via API.",)
"""What VLMEvalKit writes in place of an answer it did not get."""


def read_results(path: Path) -> Iterator[Row]:
    """The rows of a result file. DatasetError where it is none."""
    rows = _sheet(path) if path.suffix.lower() == ".xlsx" else read_rows(path)
    for number, row in enumerate(rows):
        if not number and not row.damage and not {INDEX, PREDICTION} <= row.values.keys():
            seen = f"columns {', '.join(map(str, row.values))}"[:200]
            raise DatasetError(str(path), seen, f"{INDEX} and {PREDICTION}, as VLMEvalKit writes them")
        yield row


def records_of_results(
    path: Path, samples: Sequence[Sample], *, benchmark: str, model: str
) -> tuple[list[Record], list[str]]:
    """A record for each prediction whose index is the id of a sample, and the others by name.

    What the kit marks as failed becomes a failed record. Prompts and pictures are not known, so nothing of it is ever
    taken for an answer to a new run.
    """
    ids = {sample.id for sample in samples}
    found: dict[str, Record] = {}
    strays = []
    for row in read_results(path):
        name = row.text(INDEX)
        if name not in ids:
            strays.append(f"{row.name}: index {name}")
            continue
        raw = row.optional(PREDICTION)
        failed = any(mark in raw for mark in FAILURES)
        found[name] = Record(
            id=name,
            benchmark=benchmark,
            model=model,
            key=f"imported from {path.name}",
            prompt="",
            outcome="failed" if failed else "answered",
            raw="" if failed else raw,
            error=raw if failed else "",
            finish_reason="failed" if failed else "stop",
            notes=(f"imported from {path.name}",),
            at=round(time.time(), 3),
        )
    return list(found.values()), strays


def write_results(path: Path, samples: Sequence[Sample], records: Mapping[str, Record]) -> Path:
    """In the kit's columns without pictures, `prediction` as the model wrote it; XLSX, TSV or JSON by the name's end.

    Cells of XLSX end at 32,767 characters. A TSV holds what models wrote letter for letter: it is for the kit, and no
    spreadsheet program should open it.
    """
    rows = [_columns(sample, records[sample.id]) for sample in samples if sample.id in records]
    heading = tuple(dict.fromkeys(name for row in rows for name in row))
    table = [tuple(row.get(name, "") for name in heading) for row in rows]
    ending = path.suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".xlsx":
        return write_sheet(path, [("Sheet1", [heading, *table])])
    if ending == ".tsv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([heading, *table])
        return path
    if ending == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
        return path
    raise DatasetError(str(path), f"a name ending in {ending!r}", ".xlsx .tsv .json")


def _columns(sample: Sample, record: Record) -> dict[str, Any]:
    """`category` and its like come under their own names."""
    hint = {"hint": str(sample.facts["hint"])} if sample.facts.get("hint") else {}
    answers = sample.golds[0] if len(sample.golds) == 1 else json.dumps(list(sample.golds), ensure_ascii=False)
    return {
        INDEX: int(sample.id) if sample.id.isdecimal() and len(sample.id) < 16 else sample.id,
        "question": sample.question,
        **hint,
        **dict(zip(LETTERS, sample.options, strict=False)),
        "answer": answers if sample.golds else "",
        **sample.categories,
        PREDICTION: record.raw if record.outcome == "answered" else f"{FAILURES[0]} {record.error}",
    }


def _sheet(path: Path) -> Iterator[Row]:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise MissingDependencyError(
            str(path), "XLSX needs openpyxl, which is missing", "pip install 'anyres[evaluation]'"
        ) from None
    import zipfile

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DatasetError(str(path), f"not readable ({error})", "an XLSX file") from None
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        heading = [str(name) for name in next(rows, ())]
        for number, row in enumerate(rows, start=2):
            yield Row(f"{path.name}:{number}", dict(zip(heading, row, strict=False)), path.parent)
    finally:
        book.close()
