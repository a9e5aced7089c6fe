"""The report as one HTML file: tables, charts and every sample, with no request to anywhere.

What models wrote is data in it: a block of JSON that cannot end its element, shown as text by a script whose hash the
page's policy names. Nothing else in the page may run, load or be sent.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from anyres.chat import ImagePart
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.record import Record
from anyres.evaluation.report.charts import COLOURS, make_charts
from anyres.evaluation.report.pictures import Album, answer_boxes, gold_boxes
from anyres.evaluation.report.results import Entry, Result
from anyres.evaluation.report.tables import Cell, Table, make_tables
from anyres.evaluation.run.variant import MARK
from anyres.evaluation.sample import Sample

__all__ = ["MAX_PICTURE_BYTES", "make_page"]

MAX_PICTURE_BYTES = 24_000_000
LONG = 40  # characters from which a cell may wrap
OPEN = ("scores", "comparisons", "targets", "mme", "sweeps", "controls")
"""Tables that are seen at once; the others unfold."""
JOINED = ("blind", "shuffled")
"""Controls that ask each question once: their answers stand beside those to the question as it is."""
FILTERS = """
<label>Benchmark<select id=benchmark></select></label>
<label>Scoring<select id=scoring></select></label>
<label>First<select id=first></select></label>
<label>Second<select id=second></select></label>
<label>Show<select id=show></select></label>
<label>Category<select id=category></select></label>
<label>Search<input id=search type=search autocomplete=off></label>
"""


def make_page(results: Sequence[Result], *, title: str, about: str, max_picture_bytes: int = MAX_PICTURE_BYTES) -> str:
    """`about` is the line under the title. Pictures are small, and those of wrong answers come first if not all fit."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'unsafe-inline'; script-src 'sha256-{_sha256(script)}'"
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name=viewport content="width=device-width, initial-scale=1"><meta name=referrer content=no-referrer>'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        '<a class=skip href="#samples">To the samples</a>'
        f"<header><h1>{escape(title)}</h1><p>{escape(about)}</p><button id=theme type=button>Dark</button></header>"
        f"<main>{_summary(results)}{_browser()}</main>"
        f'<script type="application/json" id=data>{_json(_data(results, max_picture_bytes))}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _summary(results: Sequence[Result]) -> str:
    tables = make_tables(results)
    first = "".join(_section(table) for table in tables if table.name == "scores")
    charts = f"<section><h2>Charts</h2><div class=charts>{''.join(make_charts(results))}</div></section>"
    rest = "".join(_section(table) for table in tables if table.name != "scores")
    return first + charts + rest


def _section(table: Table) -> str:
    numeric = [all(isinstance(row[place], (int, float)) for row in table.rows) for place in range(len(table.heading))]
    heading = "".join(
        f"<th scope=col{' class=n' if right else ''}>{escape(name)}</th>"
        for name, right in zip(table.heading, numeric, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    body = f"<div class=scroll><table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table></div>{note}"
    if table.name in OPEN:
        return f"<section id=table-{table.name}><h2>{escape(table.title)}</h2>{body}</section>"
    return f"<section id=table-{table.name}><details><summary>{escape(table.title)}</summary>{body}</details></section>"


def _cell(value: Cell) -> str:
    if isinstance(value, (int, float)):
        return f"<td class=n>{value:,}</td>"
    words = "-" if value is None else value
    return f"<td{' class=words' if len(words) > LONG else ''}>{escape(words)}</td>"


def _browser() -> str:
    return (
        f"<section id=samples hidden><h2>Samples</h2><div id=filters>{FILTERS}</div>"
        "<p class=note>j and k, or the arrow keys in the list, go from sample to sample; / searches.</p>"
        "<div id=browser><div><ol id=list aria-label=Samples></ol><div id=pager><button id=back type=button>Back"
        "</button><button id=on type=button>Next</button><span id=count role=status></span></div></div>"
        "<article id=detail aria-label=Sample tabindex=0></article></div></section>"
    )


class _Texts:
    """Texts that come often, as prompts do, once each."""

    def __init__(self) -> None:
        self.all: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self.all.setdefault(text, len(self.all))


def _data(results: Sequence[Result], max_picture_bytes: int) -> dict[str, Any]:
    album, texts = Album(max_bytes=max_picture_bytes), _Texts()
    _fill(album, results)
    models = list(dict.fromkeys(entry.answers.model for result in results for entry in result.entries))
    benchmarks = [_benchmark(result, models, album, texts) for result in results if result.entries]
    return {
        "benchmarks": benchmarks,
        "texts": list(texts.all),
        "pictures": {key: list(one) for key, one in album.thumbnails.items()},
        "notes": album.notes,
    }


def _fill(album: Album, results: Sequence[Result]) -> None:
    """Wrong answers are what a reader looks at."""
    for is_wrong in (True, False):
        for result in results:
            wrong = {
                _joined_id(entry, one.sample.id)
                for entry in result.entries
                for one in entry.by[result.official.name].graded
                if one.score < 1
            }
            for key, sample in _samples(result).items():
                for part in sample.media if (key in wrong) is is_wrong else ():
                    album.add(part)


def _joined_id(entry: Entry, id_: str) -> str:
    """What stands beside each other: blind or in another order, a question stays the question that it is."""
    return id_.removesuffix(f"{MARK}{entry.answers.variant}") if entry.answers.variant in JOINED else id_


def _samples(result: Result) -> dict[str, Sample]:
    """Those of every way that somebody answered, each once, as they are where they were asked so."""
    found: dict[str, Sample] = {}
    for entry in sorted(result.entries, key=lambda entry: entry.answers.variant in JOINED):
        for sample in entry.answers.samples:
            if sample.id in entry.answers.records:
                found.setdefault(_joined_id(entry, sample.id), sample)
    return found


def _benchmark(result: Result, models: Sequence[str], album: Album, texts: _Texts) -> dict[str, Any]:
    told = [_told(entry) for entry in result.entries]
    return {
        "name": result.benchmark.name,
        "title": result.benchmark.title,
        "scorings": [scoring.name for scoring in result.benchmark.scorings],
        "entries": [
            {"name": entry.name, "colour": models.index(entry.answers.model) % COLOURS} for entry in result.entries
        ],
        "samples": [
            _sample(sample, [one.get(key) for one in told], album, texts) for key, sample in _samples(result).items()
        ],
    }


class _Told(NamedTuple):
    """An answer to a sample, the sample as it was asked, and what each scoring made of it."""

    record: Record
    sample: Sample
    scored: tuple[Graded | None, ...]


def _told(entry: Entry) -> dict[str, _Told]:
    """By what they are joined by."""
    by = [{one.sample.id: one for one in scored.graded} for scored in entry.by.values()]
    return {
        _joined_id(entry, sample.id): _Told(record, sample, tuple(one.get(sample.id) for one in by))
        for sample in entry.answers.samples
        if (record := entry.answers.records.get(sample.id)) is not None
    }


def _sample(sample: Sample, told: Sequence[_Told | None], album: Album, texts: _Texts) -> dict[str, Any]:
    media = [album.add(part) for part in sample.media]
    first = album.thumbnails.get(media[0]) if media and isinstance(sample.media[0], ImagePart) else None
    size = None if first is None else (first.width, first.height)
    answers = [None if one is None else _answer(one, sample, size, texts) for one in told]
    return {
        "id": sample.id,
        "question": sample.question,
        "options": sample.options,
        "golds": sample.golds,
        "categories": dict(sample.categories),
        "media": media,
        "boxes": gold_boxes(sample, size),
        "answers": answers,
    }


def _answer(told: _Told, shown: Sample, size: tuple[int, int] | None, texts: _Texts) -> dict[str, Any]:
    record = told.record
    moved = f"in its order of options the gold is {' or '.join(told.sample.golds)}; "
    return {
        "raw": texts.place(record.raw),
        "prompt": texts.place(record.prompt),
        "error": record.error if record.outcome == "failed" else "",
        "finish": record.finish_reason,
        "judged": record.judged,
        "boxes": answer_boxes(record, size),
        "by": [
            None if one is None else [_shown(one.extraction), one.extraction.rule, one.score] for one in told.scored
        ],
        "facts": (moved if told.sample.options != shown.options else "") + _facts(record),
    }


def _shown(extraction: Extraction) -> str | None:
    value = extraction.value
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _facts(record: Record) -> str:
    """What a reader needs to believe the answer: how it ended, what it was shown, with which settings."""
    grids = ", ".join("x".join(map(str, grid)) for grid in record.grids_thw)
    read = f"{record.prompt_tokens:,} tokens read ({record.visual_tokens:,} of them visual)"
    settings = ", ".join(f"{name} {value}" for name, value in record.settings.items())
    parts = [
        f"ended by {record.finish_reason}",
        f"{read}, {record.completion_tokens:,} written",
        f"{record.latency_s:.2f} s",
        f"grid {grids}" if grids else "",
        settings,
        *record.notes,
    ]
    return "; ".join(part for part in parts if part)


def _json(value: object) -> str:
    """JSON that may stand in a script element: no `<` that could open or end one."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _asset(name: str) -> str:
    return (files("anyres.evaluation.report") / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
