"""The tables of a report, once for all its forms: a title, a heading and rows of text and numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anyres.evaluation.report.results import Entry, Result, ScoredBy
from anyres.evaluation.statistics import Interval

__all__ = ["MME_COLUMNS", "Cell", "Table", "figure_words", "make_tables", "sample_rows"]

Cell = str | int | float | None
MME = "MME"
MME_COLUMNS = (
    "perception",
    "cognition",
    "OCR",
    "artwork",
    "celebrity",
    "code_reasoning",
    "color",
    "commonsense_reasoning",
    "count",
    "existence",
    "landmark",
    "numerical_calculation",
    "position",
    "posters",
    "scene",
    "text_translation",
)
SWEEP = "="
SAMPLE_HEADING = (
    "benchmark",
    "model",
    "variant",
    "id",
    "question",
    "gold",
    "outcome",
    "finish_reason",
    "raw",
    "scoring",
    "extracted",
    "rule",
    "score",
    "prompt",
    "visual_tokens",
    "latency_s",
)


@dataclass(frozen=True)
class Table:
    """`note` stands under it."""

    name: str
    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def make_tables(results: Sequence[Result]) -> list[Table]:
    """Those that have rows."""
    tables = [
        _scores(results),
        _answers(results),
        _duels(results),
        _targets(results),
        _mme(results),
        _sweeps(results),
        _controls(results),
        _figures(results),
        _broken(results),
    ]
    return [table for table in tables if table.rows]


def figure_words(figure: Interval | None, unit: str) -> str:
    """As `43.1 % [40.0, 46.2]`.

    >>> figure_words(Interval(43.1, 40.0, 46.2, 1.6), "%")
    '43.1 % [40.0, 46.2]'
    """
    if figure is None:
        return "-"
    mark = " %" if unit == "%" else ""
    return f"{figure.value:.{_digits(unit)}f}{mark} [{figure.low:.1f}, {figure.high:.1f}]"


def sample_rows(results: Sequence[Result]) -> Iterable[tuple[Cell, ...]]:
    """A row for every sample, model, way and scoring, with SAMPLE_HEADING first."""
    yield SAMPLE_HEADING
    for result in results:
        for entry in result.entries:
            for scored in entry.by.values():
                yield from _samples(result, entry, scored)


def _samples(result: Result, entry: Entry, scored: ScoredBy) -> Iterable[tuple[Cell, ...]]:
    for one in scored.graded:
        record = entry.answers.records[one.sample.id]
        yield (
            result.benchmark.name,
            entry.answers.model,
            entry.answers.variant,
            one.sample.id,
            one.sample.question,
            " | ".join(one.sample.golds),
            record.outcome,
            record.finish_reason,
            record.raw or record.error,
            scored.scoring.name,
            "" if one.extraction.value is None else str(one.extraction.value),
            one.extraction.rule,
            one.score,
            record.prompt,
            record.visual_tokens,
            round(record.latency_s, 4),
        )


def _digits(unit: str) -> int:
    return 1 if unit == "%" else 2


def _scores(results: Sequence[Result]) -> Table:
    names = list(dict.fromkeys(scoring.name for result in results for scoring in result.benchmark.scorings))
    rows: list[tuple[Cell, ...]] = [
        (
            result.benchmark.title,
            entry.answers.model,
            entry.counts.asked,
            *(_scored(entry.by.get(name)) for name in names),
            round(entry.visual_tokens),
        )
        for result in results
        for entry in result.plain
    ]
    note = "In brackets: 95 % interval, clustered by picture or clip. " + " ".join(_about(results))
    return Table("scores", "Scores", ("benchmark", "model", "n", *names, "visual tokens"), tuple(rows), note.strip())


def _scored(scored: ScoredBy | None) -> str:
    if scored is None:
        return "-"
    return figure_words(scored.headline, scored.scoring.unit) if scored.graded else "not judged"


def _about(results: Sequence[Result]) -> Iterable[str]:
    return dict.fromkeys(
        f"{result.benchmark.name} {scoring.name}: {scoring.about.rstrip('.')}."
        for result in results
        for scoring in result.benchmark.scorings
        if scoring.about
    )


def _answers(results: Sequence[Result]) -> Table:
    rest = ("not judged", "no gold", "strays")
    heading = ("benchmark", "model", "samples", "asked", "failed", "nothing found", "cut")
    rows = [
        (
            result.benchmark.name,
            entry.name,
            entry.counts.samples,
            entry.counts.asked,
            entry.counts.failed,
            entry.counts.unread,
            entry.counts.cut,
            entry.counts.unjudged,
            entry.counts.no_gold,
            entry.counts.strays,
        )
        for result in results
        for entry in result.entries
    ]
    note = (
        "Failed requests and answers in which nothing was found count as wrong; nothing is guessed for them. Cut "
        "answers ended at their length. Strays are records of samples that the data does not have; they do not count."
    )
    return Table("answers", "What became of the questions", (*heading, *rest), tuple(rows), note)


def _duels(results: Sequence[Result]) -> Table:
    heading = ("benchmark", "scoring", "first", "second", "n", "difference", "95 % interval", "p", "p adjusted")
    outcomes = ("wins", "losses", "ties", "detectable")
    rows = [
        (
            result.benchmark.name,
            duel.scoring,
            duel.first,
            duel.second,
            duel.difference.n,
            round(duel.difference.value, 2),
            f"{duel.difference.low:+.1f} to {duel.difference.high:+.1f}",
            _p_words(duel.difference.p),
            _p_words(duel.p_adjusted),
            duel.difference.wins,
            duel.difference.losses,
            duel.difference.ties,
            round(duel.difference.detectable, 1) if duel.difference.wins + duel.difference.losses else None,
        )
        for result in results
        for duel in result.duels
    ]
    note = (
        "First minus second on the samples that both answered. p: paired permutation test, swapped picture by picture; "
        "adjusted for the other comparisons of the benchmark (Holm). Detectable: the smallest true difference that so "
        "many samples would show in 80 % of cases."
    )
    return Table("comparisons", "Model against model", (*heading, *outcomes), tuple(rows), note)


def _p_words(p: float) -> str:
    return "< 0.002" if p < 0.002 else f"{p:.3f}"


def _targets(results: Sequence[Result]) -> Table:
    heading = ("benchmark", "model", "figure", "ours", "published", "source", "verdict")
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        for one in result.checked:
            part = f" (on {one.part})" if one.is_part else ""
            target, ours = one.verdict.target, round(one.verdict.value, 2)
            figure = f"{one.scoring} {target.figure}"
            source = f"{target.source}, {target.split} split" if target.split else target.source
            words = one.verdict.words + part
            rows.append((result.benchmark.name, one.entry, figure, ours, target.value, source, words))
    return Table("targets", "Against published figures", heading, tuple(rows))


def _mme(results: Sequence[Result]) -> Table:
    """As VLMEvalKit's users know it: sums first, then the subtasks by name."""
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        for entry in result.plain if result.benchmark.name == MME else ():
            for scored in entry.by.values():
                figures = [scored.figures.get(name) for name in MME_COLUMNS]
                shown = (None if one is None else round(one.value, 2) for one in figures)
                rows.append((entry.answers.model, scored.scoring.name, *shown))
    heading = (
        "model",
        "scoring",
        *(name.split("_")[-1] if "text_" in name else name.split("_")[0] for name in MME_COLUMNS),
    )
    return Table("mme", "MME", heading, tuple(rows))


def _sweeps(results: Sequence[Result]) -> Table:
    heading = ("benchmark", "model", "way", "n", "score", "visual tokens", "s a sample", "tokens/s")
    rows = [
        (
            result.benchmark.name,
            entry.answers.model,
            entry.answers.variant or "as it is",
            entry.counts.asked,
            _scored(entry.by[result.official.name]),
            round(entry.visual_tokens),
            round(entry.latency_s, 2),
            round(entry.tokens_per_s, 1),
        )
        for result in results
        if any(SWEEP in entry.answers.variant for entry in result.entries)
        for entry in result.entries
        if not entry.answers.variant or SWEEP in entry.answers.variant
    ]
    return Table("sweeps", "Resolution and frames", heading, tuple(rows), "Mean visual tokens of a sample, all items.")


def _controls(results: Sequence[Result]) -> Table:
    heading = ("benchmark", "model", "control", "n", "score", "the same samples as they are")
    rows = [
        (
            result.benchmark.name,
            entry.answers.model,
            entry.answers.variant,
            entry.counts.asked,
            _scored(entry.by[result.official.name]),
            _scored(next((one.by[result.official.name] for one in result.plain if _same_model(one, entry)), None)),
        )
        for result in results
        for entry in result.entries
        if entry.answers.variant and SWEEP not in entry.answers.variant
    ]
    note = (
        "Blind: without the picture, so what is right was guessed or known. Shuffled: options in another order. "
        "Circular: a question counts only if it is right in every rotation of its options."
    )
    return Table("controls", "Controls", heading, tuple(rows), note)


def _same_model(one: Entry, other: Entry) -> bool:
    return one.answers.model == other.answers.model


def _figures(results: Sequence[Result]) -> Table:
    heading = ("benchmark", "model", "scoring", "figure", "value", "low", "high", "standard error", "unit", "n")
    rows: list[tuple[Cell, ...]] = [
        (
            result.benchmark.name,
            entry.name,
            scored.scoring.name,
            name,
            *(round(value, 4) for value in figure),
            scored.scoring.unit,
            len(scored.graded),
        )
        for result in results
        for entry in result.entries
        for scored in entry.by.values()
        for name, figure in scored.figures.items()
    ]
    return Table("figures", "All figures", heading, tuple(rows), "n: samples scored in the whole run.")


def _broken(results: Sequence[Result]) -> Table:
    rows = [(result.benchmark.name, str(error)) for result in results for error in result.broken]
    note = "They were not asked and do not count."
    return Table("broken", "Rows that could not be read", ("benchmark", "row"), tuple(rows), note)
