"""A report on the disk, in every form that can be written here."""

import json
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from anyres.errors import OptionError
from anyres.evaluation.report.markdown import make_markdown
from anyres.evaluation.report.page import MAX_PICTURE_BYTES, make_page
from anyres.evaluation.report.results import Result
from anyres.evaluation.report.scores_json import scores_dict
from anyres.evaluation.report.sheets import write_csv, write_xlsx

__all__ = ["FORMS", "Written", "write_report"]

FORMS = ("html", "md", "json", "csv", "xlsx")


class Written(NamedTuple):
    """The files, and what was left out with the reason."""

    paths: tuple[Path, ...]
    left_out: str = ""


def write_report(
    results: Sequence[Result],
    folder: Path,
    *,
    title: str,
    forms: Sequence[str] = FORMS,
    max_picture_bytes: int = MAX_PICTURE_BYTES,
) -> Written:
    """report.html, report.md, scores.json, report.xlsx and a folder csv. XLSX is left out where openpyxl is missing."""
    wrong = [form for form in forms if form not in FORMS]
    if wrong:
        raise OptionError("--form", repr(wrong[0]), ", ".join(FORMS))
    about = _about(results)
    paths: list[Path] = []
    left_out = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if "html" in forms:
            page = make_page(results, title=title, about=about, max_picture_bytes=max_picture_bytes)
            paths.append(_put(folder / "report.html", page))
        if "md" in forms:
            paths.append(_put(folder / "report.md", make_markdown(results, title=title, about=about)))
        if "json" in forms:
            text = json.dumps(scores_dict(results), ensure_ascii=False, indent=1)
            paths.append(_put(folder / "scores.json", f"{text}\n"))
        if "csv" in forms:
            write_csv(results, folder / "csv")
            paths.append(folder / "csv")
        if "xlsx" in forms and find_spec("openpyxl") is not None:
            paths.append(write_xlsx(results, folder / "report.xlsx"))
        elif "xlsx" in forms:
            left_out = "report.xlsx needs openpyxl: pip install 'anyres[evaluation]'"
    except OSError as error:
        raise OptionError("--out", f"{folder} cannot be written ({error.strerror})", "a folder") from None
    return Written(tuple(paths), left_out)


def _put(path: Path, text: str) -> Path:
    """As a whole or not at all."""
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text, encoding="utf-8", errors="backslashreplace")
    return staged.replace(path)


def _about(results: Sequence[Result]) -> str:
    """What was run when, by which versions, as the records tell."""
    records = [record for result in results for entry in result.entries for record in entry.answers.records.values()]
    versions = dict.fromkeys(f"{name} {value}" for record in records for name, value in record.versions.items())
    versions = {text: None for text in versions if not text.startswith("benchmark ")}
    models = len({record.model for record in records})
    last = max((record.at for record in records), default=0.0)
    counts = (f"{len(results)} benchmark", "s" * (len(results) != 1), f", {models} model", "s" * (models != 1))
    parts = [
        f"{''.join(counts)}, {len(records):,} answers",
        time.strftime("last one %Y-%m-%d %H:%M UTC", time.gmtime(last)) if last else "",
        ", ".join(versions),
    ]
    return "; ".join(part for part in parts if part)
