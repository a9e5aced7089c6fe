"""Measures a checkpoint on held-out content and writes its card: `python -m recipes.tiny.card FOLDER`.

Every sample goes the way of a user's question: picture -> processor -> engine -> text. Beside each figure stands the
blind one: the same questions about grey pictures of the same size, and the commonest answer of the training split;
where all print is to be read, what tesseract and rapidocr read in the same pictures, where they are installed.
"""

import argparse
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import anyres
from anyres.chat import GenerationOptions, ImagePart, Message, TextPart, VideoPart
from recipes.tiny import scores
from recipes.tiny.corpus import corpus
from recipes.tiny.examination import Model
from recipes.tiny.factory import Sample, make_sample
from recipes.tiny.notes import kind_of
from recipes.tiny.readers import Page, Reader, installed_readers

BOX = re.compile(r"\((\d+),(\d+)\),\((\d+),(\d+)\)")
LETTERS = re.compile(r"[^\W\d_]+")
FIRST_SEED = 5_000_000  # far from those that training drew for its own validation


@dataclass(frozen=True)
class Row:
    """One line of the card: which samples, and how they are scored."""

    name: str
    tasks: tuple[str, ...]
    difficulty: float
    metric: str
    target: float | None
    any_size: bool = False
    natural: bool = False
    """Only words of the corpus and figures, no codes and made-up words."""
    asked: str = ""
    """Of notes: "value", "absent", "fields" or "all"; only questions for that."""

    @property
    def reads_all(self) -> bool:
        """Whether its answers are all print of their pictures."""
        return self.tasks == ("line",) or self.asked == "all"


NOTE = ("note",)
ROWS = (
    Row("large print (about 17 px a character and more): characters", ("line",), 0.4, "characters", 0.97),
    Row("large print: whole line", ("line",), 0.4, "exact", 0.85),
    Row("large print, words and figures only: characters", ("line",), 0.4, "characters", 0.97, natural=True),
    Row("large print, words and figures only: whole line", ("line",), 0.4, "exact", 0.85, natural=True),
    Row("print of 10-17 px a character, all kinds of noise: characters", ("line",), 1.0, "characters", 0.97),
    Row("print of 10-17 px a character, all kinds of noise: whole line", ("line",), 1.0, "exact", 0.85),
    Row("the same in pictures of any size: characters", ("line",), 1.0, "characters", None, any_size=True),
    Row("note of one to four rows, large print: the value beside a name", NOTE, 0.4, "exact", None, asked="value"),
    Row("the same of small print, all kinds of noise", NOTE, 1.0, "exact", None, asked="value"),
    Row("note: says that a name is not there", NOTE, 0.4, "exact", None, asked="absent"),
    Row("note: all names and values as JSON, F1", NOTE, 0.4, "fields", None, asked="fields"),
    Row("note: all rows read: characters", NOTE, 0.4, "characters", None, asked="all"),
    Row("colour of a thing", ("colour",), 1.0, "exact", 0.95),
    Row("shape of a thing", ("shape",), 1.0, "exact", 0.95),
    Row("number of things", ("count",), 1.0, "exact", 0.95),
    Row("number of things that nearly all are of a kind", ("most",), 1.0, "exact", None),
    Row("box of a named thing, IoU >= 0.5", ("box",), 1.0, "box", 0.85),
    Row("says that an absent thing is absent", ("absent",), 1.0, "exact", None),
    Row("is it there: yes or no", ("present",), 1.0, "exact", None),
    Row("clip: which came first or last", ("order",), 1.0, "exact", None),
    Row("clip: which way it moves", ("motion",), 1.0, "exact", None),
    Row("clip: what appears or disappears", ("change",), 1.0, "exact", None),
    Row("clip: does anything move", ("moves",), 1.0, "exact", None),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--rows", nargs="+", default=[""], help="only rows whose names begin so")
    parser.add_argument("--rapidocr", metavar="PYTHON", help="an interpreter that has rapidocr")
    parser.add_argument("--out", type=Path, help="where the card is written; into the folder")
    parser.add_argument("--notes", type=Path, help="a text file with the run's hardware, hours and samples")
    arguments = parser.parse_args()
    model = anyres.load(arguments.folder)
    readers, _ = installed_readers(arguments.rapidocr)
    wanted = [row for row in ROWS if row.name.startswith(tuple(arguments.rows))]
    rows = [measure(model, row, arguments.samples, readers) for row in wanted]
    notes = arguments.notes.read_text(encoding="utf-8").strip() if arguments.notes else ""
    write_card(arguments.out or arguments.folder, rows, arguments.samples, notes)


def measure(model: Model, row: Row, count: int, readers: Mapping[str, Reader] | None = None) -> dict[str, object]:
    """The row's figure, the blind ones, and those of other programs that read."""
    samples = list(islice(samples_of(row), count))
    score = METRICS[row.metric]
    figure = score(answers(model, samples), samples)
    grey = [Sample(s.task, tuple(np.full_like(f, 128) for f in s.frames), s.question, s.answer, None) for s in samples]
    blind = score(answers(model, grey), samples)
    common = score([commonest(row)] * count, samples)
    others = {name: score(read(reader, samples), samples) for name, reader in (readers or {}).items() if row.reads_all}
    told = "".join(f", {name} {value:.3f}" for name, value in others.items())
    print(f"{row.name}: {figure:.3f} (blind {blind:.3f}, commonest answer {common:.3f}{told})", flush=True)
    return {
        "name": row.name,
        "target": row.target,
        "figure": round(figure, 4),
        "blind": round(blind, 4),
        "commonest": round(common, 4),
        "readers": {name: round(value, 4) for name, value in others.items()},
    }


def read(reader: Reader, samples: Sequence[Sample]) -> list[str]:
    """What another program reads in the samples' pictures."""
    return [text or "" for text in reader([Page(sample.frames[0], "latin") for sample in samples])]


def samples_of(row: Row) -> Iterator[Sample]:
    """Held-out samples without end."""
    for seed in itertools.count(FIRST_SEED):
        sample = sample_of(row, seed)
        natural = not row.natural or is_natural(sample.answer)
        if natural and row.asked in ("", kind_of(sample.question, sample.answer)):
            yield sample


def is_natural(text: str) -> bool:
    """Whether all of its runs of letters are words of the held-out corpus, and none touches a digit.

    >>> is_natural("Total: $73,047.8"), is_natural("1bF-90bAAF"), is_natural("obywko")
    (True, False, False)
    """
    return not re.search(r"[^\W\d_]\d|\d[^\W\d_]", text) and known_words() >= set(LETTERS.findall(text.lower()))


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """The words of the held-out documents and dictionary, in lower case."""
    held_out = corpus("held_out")
    return frozenset(LETTERS.findall(" ".join([*held_out.words, *held_out.paragraphs]).lower()))


def sample_of(row: Row, seed: int) -> Sample:
    """A held-out sample; with `any_size`, stretched so that the processor has to resize it."""
    task = row.tasks[seed % len(row.tasks)]
    sample = make_sample(task, split="held_out", seed=seed, difficulty=row.difficulty)
    if not row.any_size:
        return sample
    scale = 1 + 0.9 * np.random.default_rng(seed).random()
    return Sample(task, tuple(stretched(f, scale) for f in sample.frames), sample.question, sample.answer, None)


def stretched(frame: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The frame at `scale` times its size, as another camera or scanner would have given it."""
    picture = Image.fromarray(frame)
    size = (round(picture.width * scale), round(picture.height * scale))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def answers(model: Model, samples: Sequence[Sample]) -> list[str]:
    """Greedy answers through the public API."""
    options = GenerationOptions(max_tokens=64, temperature=0.0)
    return [answer.text for answer in model.chat_batch([conversation(s) for s in samples], options=options)]


def conversation(sample: Sample) -> list[Message]:
    """The sample as a user would ask it."""
    frames = list(sample.frames)
    part = VideoPart(frames) if len(frames) > 1 else ImagePart(frames[0])
    return [Message("user", [part, TextPart(sample.question)])]


def commonest(row: Row) -> str:
    """The answer that is right most often without looking."""
    told = (make_sample(row.tasks[0], split="train", seed=i, difficulty=row.difficulty).answer for i in range(400))
    return Counter(told).most_common(1)[0][0]


def exact(told: Sequence[str], samples: Sequence[Sample]) -> float:
    """Share of answers equal to the wanted one."""
    return float(np.mean([text.strip() == sample.answer for text, sample in zip(told, samples, strict=True)]))


def characters(told: Sequence[str], samples: Sequence[Sample]) -> float:
    """1 - edits / characters over all samples (1 - character error rate)."""
    edits = sum(scores.edit_distance(text, sample.answer) for text, sample in zip(told, samples, strict=True))
    return max(0.0, 1 - edits / sum(len(sample.answer) for sample in samples))


def boxes(told: Sequence[str], samples: Sequence[Sample]) -> float:
    """Share of answers whose first box overlaps the right one by half of their union."""
    return float(np.mean([overlap(text, sample.answer) >= 0.5 for text, sample in zip(told, samples, strict=True)]))


def fields(told: Sequence[str], samples: Sequence[Sample]) -> float:
    """F1 of the fields of JSON answers; 0 for what is no JSON."""
    return float(np.mean([field_share(text, sample.answer) for text, sample in zip(told, samples, strict=True)]))


def field_share(told: str, wanted: str) -> float:
    """
    >>> field_share('{"a": "1", "b": "2"}', '{"a": "1", "b": "3"}'), field_share("a 1", '{"a": "1"}')
    (0.5, 0.0)
    """
    try:
        found = Counter(scores.leaves(json.loads(told)))
    except ValueError:
        return 0.0
    return scores.f1(found, Counter(scores.leaves(json.loads(wanted))))


METRICS: dict[str, Callable[[Sequence[str], Sequence[Sample]], float]] = {
    "exact": exact,
    "characters": characters,
    "box": boxes,
    "fields": fields,
}


def overlap(first: str, second: str) -> float:
    """Intersection over union of the first box in each text; 0 where there is none.

    >>> overlap("(0,0),(10,10)", "(0,5),(10,10)")
    0.5
    """
    found = BOX.search(first), BOX.search(second)
    if found[0] is None or found[1] is None:
        return 0.0
    first_box, second_box = (tuple(int(n) for n in match.groups()) for match in found if match)
    return scores.overlap(first_box, second_box)


def write_card(folder: Path, rows: Sequence[dict[str, object]], count: int, notes: str) -> None:
    """`card.json` for programs and `CARD.md` for people, beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    card = {"samples_per_row": count, "rows": list(rows), "notes": notes}
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    others = list(dict.fromkeys(name for row in rows for name in _readers(row)))
    shares = ("figure", "target", "blind", "commonest")
    lines = [
        "# Card of `tiny`, version 0",
        "",
        f"{count} held-out samples a row (fonts, texts and seeds never trained on), greedy answers through the public",
        "API. *Blind*: the same questions about grey pictures. *Commonest*: always the likeliest training answer.",
        "",
        f"| {' | '.join(('what', *shares, *others))} |",
        "|" + "---|" * (1 + len(shares) + len(others)),
        *(
            f"| {row['name']} | "
            + " | ".join(map(_percent, (*map(row.get, shares), *map(_readers(row).get, others))))
            + " |"
            for row in rows
        ),
        "",
        notes,
        "",
    ]
    (folder / "CARD.md").write_text("\n".join(lines), encoding="utf-8")


def _readers(row: Mapping[str, object]) -> Mapping[str, object]:
    found = row.get("readers")
    return found if isinstance(found, dict) else {}


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else "-"


if __name__ == "__main__":
    main()
