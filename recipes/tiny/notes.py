"""Pictures of a few printed rows: what stands beside a name, all of it as JSON, all of it read, what is not there."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.tiny import lines
from recipes.tiny.corpus import corpus, cut, pick, prose
from recipes.tiny.fonts import Face, FontSet
from recipes.tiny.lines import CELL, IGNORED, LONGEST, SLOTS, Layout, Setting, cells_at, lay_out, most_in_a_cell
from recipes.tiny.phrases import FIRST_NAMES, LAST_NAMES, MONTHS, digits, pseudo_words
from recipes.tiny.texts import make_text

__all__ = ["FURTHER", "NOTE_SIZES", "Note", "kind_of", "make_note"]

NOTE_SIZES = (
    *((28, 28 * columns) for columns in (8, 12, 16, 20)),
    *((56, 28 * columns) for columns in (6, 8, 10, 12, 14, 16, 18)),
    *((84, 28 * columns) for columns in (6, 8, 10, 12)),
    *((112, 28 * columns) for columns in (6, 7, 8, 9)),
)
ATTEMPTS, MOST_ATTEMPTS = 12, 150
"""With which print is spaced and then shrunk to fit, before it is cut."""
SMALLEST = 13.0
"""Pixels of an em."""
FURTHER = 3
"""Questions about a note beside its first one."""
KEYS = (
    "Total", "Date", "Time", "Tax", "Price", "Name", "No.", "Room", "Seat", "Gate", "City", "Tel.", "Cash", "Change",
    "Amount", "Due", "Paid", "Code", "Order", "Weight", "Table", "Item", "Sum", "VAT", "Phone", "Born", "Class",
    "Height", "Width", "Page", "Flight", "Train", "Hotel", "Guest", "Shop", "From", "To", "Start", "End", "Qty",
    "Invoice", "Receipt", "Subtotal", "Street", "Member", "Issued", "Expires", "Level", "Size", "Colour", "Model",
    "Balance", "Discount", "Fee", "Rent", "Speed", "Length", "Account", "Ref.", "Datum", "Summe", "Nom", "Prix",
)  # fmt: skip
"""What stands before a value: those whose checksum says so are held out."""
FIELD = ("What is the {}?", "What does it say for {}?", "What is {}?", "Read the {}.", "Tell me the {}.", "{}?")
AMOUNT = ("How much is {}?", "What does {} cost?", "What is the price of {}?", *FIELD[:4])
ALL = ("Write it as JSON.", "Give all fields as JSON.", "Turn it into JSON.", "Extract the fields as JSON.")
READ = ("Read all the text.", "Read all lines.", "Transcribe all of it.", "Read the text.", "What does it say?")


class Row(NamedTuple):
    """A printed row: a key and its value, or a text alone; how key and value are told apart."""

    key: str
    value: str
    gap: str
    """":" or "" between them; "r" sets the value at the right edge."""

    @property
    def text(self) -> str:
        """As it is read."""
        return f"{self.key}{':' if self.gap == ':' else ''} {self.value}" if self.key else self.value


class Note(NamedTuple):
    """A picture uint8 [H, W, 3], (question, answer) pairs about it, the characters of each cell, and the place of the
    first of them in all that is printed, IGNORED where there is none."""

    frame: NDArray[np.uint8]
    asked: list[tuple[str, str]]
    cells: list[list[str]]
    order: list[int]


class Run(NamedTuple):
    """A laid out piece of a row: its left edge and baseline in native pixels, its place in all that is read."""

    layout: Layout
    left: float
    baseline: float
    start: int


def make_note(
    rng: np.random.Generator, *, split: str, difficulty: float, size: tuple[int, int] | None, fonts: FontSet
) -> Note:
    """A note of one to four rows, half of them of keys and values; a quarter is easier than `difficulty`."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    size = size or NOTE_SIZES[int(rng.integers(len(NOTE_SIZES)))]
    face = lines.choose_face(rng, fonts.families(split), difficulty)
    count = rows_for(rng, size[0])
    setting = choose_setting(rng, size, face, count, difficulty)
    fitting = int(0.94 * size[1] / setting.stretch / (natural(face) * setting.em + setting.tracking))
    keyed = count == 1 or rng.random() < 0.75
    rows = keyed_rows(rng, count, fitting, split) if keyed else text_rows(rng, count, fitting, split)
    rows = [row for row in rows if face.covers(row.text)] or [Row("", digits(rng, 4), "")]
    rows, setting, runs = placed(rng, rows, setting)
    frame, slope = printed(rng, runs, setting)
    return Note(frame, questions(rng, rows, split), *told(runs, slope, setting))


def rows_for(rng: np.random.Generator, height: int) -> int:
    """As many rows as a picture of the height has cells, now and then one less."""
    cells = height // CELL
    return max(1, cells - int(cells > 1 and rng.random() < 0.3))


def choose_setting(
    rng: np.random.Generator, size: tuple[int, int], face: Face, rows: int, difficulty: float
) -> Setting:
    """Print that fills its rows, spaced as lines of the difficulty are."""
    pitch = size[0] / rows
    em = float(np.clip(pitch * rng.uniform(0.72, 0.97), 17, 34))
    wanted = lines.pitch_at(rng, 0.35 + 0.65 * difficulty)
    tracking = max(min(wanted, 19) - natural(face) * em, float(rng.uniform(-0.01, 0.02)) * em)
    scale = max(float(rng.uniform(0.9, 1.9)), 14 / em)
    hardness = difficulty * float(rng.random()) ** 0.7
    return Setting(size[0], size[1], face, em, tracking, scale, 1.0, hardness)


def natural(face: Face) -> float:
    """Advance of a usual character at an em of 1."""
    return face.at(64).getlength("etaoinshrdlu 0123456789") / 23 / 64


# ---- what is printed ----


def held_out(word: str) -> bool:
    """One key in five."""
    return zlib.crc32(word.lower().encode()) % 5 == 0


def key_of(rng: np.random.Generator, split: str, length: int) -> str:
    """A usual key, a word, or one that nobody knows."""
    draw = rng.random()
    if draw < 0.55:
        found = [key for key in KEYS if held_out(key) == (split == "held_out") and len(key) <= max(4, length)]
        key = pick(rng, found or ["Sum", "Item"])
    elif draw < 0.8:
        key = cut(pick(rng, corpus(split).words), length).capitalize()
    else:
        key = cut(pseudo_words(rng, split, length), length).capitalize()
    return key.upper() if rng.random() < 0.2 else key


def value_of(rng: np.random.Generator, split: str, length: int) -> str:
    """An amount, a number, a date, a time, a name, a code or a word of at most `length` characters."""
    while True:
        text = VALUES[int(rng.integers(len(VALUES)))](rng, split)
        if len(text) <= length:
            return text
        length = max(length, 4)


def amount(rng: np.random.Generator, _split: str) -> str:
    """`12.30`, `$4.00`, `1,204.50`, `7,99 €`."""
    whole = f"{int(digits(rng, int(rng.integers(1, 5)))):,}" if rng.random() < 0.3 else str(int(rng.integers(0, 200)))
    text = f"{whole}.{digits(rng, 2)}"
    return pick(
        rng, (text, text, text, f"${text}", f"£{text}", f"{text.replace('.', ';').replace(',', '.')} €")
    ).replace(";", ",")


def plain_number(rng: np.random.Generator, _split: str) -> str:
    """One to six digits, now and then with a letter or a sign."""
    text = digits(rng, int(rng.integers(1, 7)))
    return pick(rng, (text, text, text, f"{text}%", f"A{text}", f"{text[:3]}-{digits(rng, 2)}", f"{text[:3]} kg"))


def date(rng: np.random.Generator, _split: str) -> str:
    """Day, month and year."""
    day, month, year = int(rng.integers(1, 32)), int(rng.integers(1, 13)), int(rng.integers(1950, 2040))
    forms = (f"{day:02}/{month:02}/{year}", f"{year}-{month:02}-{day:02}", f"{day}.{month}.{year}",
             f"{day} {pick(rng, MONTHS)} {year}", f"{day:02}.{month:02}.{year % 100:02}")  # fmt: skip
    return pick(rng, forms)


def clock(rng: np.random.Generator, _split: str) -> str:
    """Hour and minute."""
    hour, minute = int(rng.integers(24)), int(rng.integers(60))
    return pick(rng, (f"{hour:02}:{minute:02}", f"{hour % 12 or 12}:{minute:02} {pick(rng, ('am', 'pm', 'AM', 'PM'))}"))


def person(rng: np.random.Generator, split: str) -> str:
    """A name, half of them invented."""
    last = pick(rng, LAST_NAMES) if rng.random() < 0.5 else pseudo_words(rng, split, 7).split()[0].title()
    return pick(rng, (f"{pick(rng, FIRST_NAMES)} {last}", last, f"{pick(rng, FIRST_NAMES)[0]}. {last}"))


def some_word(rng: np.random.Generator, split: str) -> str:
    """A word of the dictionary, or letters and digits."""
    draw = rng.random()
    word = pick(rng, corpus(split).words)
    return word if draw < 0.4 else word.capitalize() if draw < 0.7 else make_text(rng, split=split, length=8)


VALUES = (amount, amount, amount, plain_number, plain_number, date, clock, person, some_word)


def keyed_rows(rng: np.random.Generator, count: int, fitting: int, split: str) -> list[Row]:
    """Rows with different keys, set in one way."""
    gap = pick(rng, (":", ":", "r", "r", ""))
    goods = gap == "r" and rng.random() < 0.6
    found: dict[str, Row] = {}
    while len(found) < count:
        value = (amount if goods else value_of)(rng, split, *(() if goods else (max(4, fitting // 2 + 2),)))
        key = key_of(rng, split, max(3, fitting - len(value) - 2 - (gap == "r")))
        found.setdefault(key.lower(), Row(key, value, gap))
    return list(found.values())


def text_rows(rng: np.random.Generator, count: int, fitting: int, split: str) -> list[Row]:
    """Running text broken into rows, or rows that have nothing to do with each other."""
    if rng.random() < 0.5:
        return [Row("", make_text(rng, split=split, length=max(2, fitting)), "") for _ in range(count)]
    words = prose(rng, split, count * fitting).split()
    rows = [""]
    for word in words:
        joined = f"{rows[-1]} {word}".strip()
        if len(joined) <= fitting or not rows[-1]:
            rows[-1] = joined[: max(2, fitting)]
        elif len(rows) < count:
            rows.append(word[: max(2, fitting)])
        else:
            break
    return [Row("", row, "") for row in rows if row] or [Row("", digits(rng, 4), "")]


# ---- how it is printed ----


def placed(rng: np.random.Generator, rows: list[Row], setting: Setting) -> tuple[list[Row], Setting, list[Run]]:
    """The runs of all rows, in print small enough for the longest and for SLOTS characters a cell; it is cut where
    print would become too small."""
    left = float(rng.uniform(0.05, 0.4)) * CELL * setting.scale
    shift = float(rng.uniform(-0.04, 0.04))
    for attempt in range(MOST_ATTEMPTS):
        runs = list(runs_of(rows, setting, left, shift))
        crowded = max(most_in_a_cell(run.layout, run.left, setting.scale) for run in runs) > SLOTS
        if not crowded and all(fits(run, runs, setting) for run in runs):
            break
        if crowded:
            setting = replace(setting, tracking=setting.tracking + 0.4)
        elif attempt < ATTEMPTS and setting.tracking > 0.02 * setting.em:
            setting = replace(setting, tracking=0.7 * setting.tracking - 0.05)
        elif attempt < 2 * ATTEMPTS and setting.em > SMALLEST:
            setting = replace(setting, em=0.93 * setting.em)
        else:
            longest = max(rows, key=lambda row: len(row.text))
            rows = [shorter(row) if row is longest else row for row in rows]
    return rows, setting, runs


def fits(run: Run, runs: Sequence[Run], setting: Setting) -> bool:
    """Whether a run ends inside of the picture and before what else stands in its row."""
    end = run.left + run.layout.width
    beside = [other.left for other in runs if other.baseline == run.baseline and other.start > run.start]
    return run.left >= 0 and end <= min([setting.width * setting.scale - 2, *(x - 0.3 * setting.em for x in beside)])


def shorter(row: Row) -> Row:
    """One letter less of the key, or of what stands alone."""
    if len(row.key) > 2:
        return row._replace(key=row.key[:-1].strip())
    return row._replace(value=row.value[:-1].strip() or row.value[:1])


def runs_of(rows: Sequence[Row], setting: Setting, left: float, shift: float) -> Iterator[Run]:
    """Every row in the middle of its share of the height."""
    pitch, start = setting.height * setting.scale / len(rows), 0
    for number, row in enumerate(rows):
        baseline = round((number + 0.5 + shift) * pitch + 0.34 * setting.em * setting.scale)
        if row.gap == "r":
            yield Run(lay_out(row.key, setting), left, baseline, start)
            value = lay_out(row.value, setting)
            yield Run(value, setting.width * setting.scale - left - value.width, baseline, start + len(row.key) + 1)
        else:
            yield Run(lay_out(row.text, setting), left, baseline, start)
        start += len(row.text) + 1


def printed(rng: np.random.Generator, runs: Sequence[Run], setting: Setting) -> tuple[NDArray[np.uint8], float]:
    """The picture and the slope of its rows."""
    height, width = round(setting.height * setting.scale), round(setting.width * setting.scale)
    canvas = np.zeros((height, width), dtype=np.uint8)
    for run in runs:
        lines.stamp(canvas, run.layout, run.left, run.baseline, slice(0, height))
    slope = 0.0
    if rng.random() < 0.6 * setting.hardness:
        canvas, slope = lines.tilt(rng, canvas, round(0.06 * height), setting.hardness)
    grey = lines.shrink(rng, lines.print_grey(rng, canvas, setting), setting)
    return lines.coloured(rng, grey, setting.hardness), slope


def told(runs: Sequence[Run], slope: float, setting: Setting) -> tuple[list[list[str]], list[int]]:
    """The characters of each cell, and the place of the first of them in all that is read."""
    count = setting.height // CELL * (setting.width // CELL)
    cells: list[list[str]] = [[] for _ in range(count)]
    order = [IGNORED] * count
    for run in runs:
        for cell, index in cells_at(run.layout, run.left, run.baseline, slope, setting):
            if len(cells[cell]) < SLOTS:
                cells[cell].append(run.layout.text[index])
            if order[cell] == IGNORED:
                order[cell] = min(run.start + index, LONGEST - 1)
    return cells, order


# ---- what is asked ----


def questions(rng: np.random.Generator, rows: Sequence[Row], split: str) -> list[tuple[str, str]]:
    """1 + FURTHER questions about the rows, in no order, no two alike while there are others."""
    keyed = [row for row in rows if row.key]
    read = "\n".join(row.text for row in rows)
    if not keyed:
        return [(pick(rng, READ), read) for _ in range(1 + FURTHER)]
    written = json.dumps({row.key: row.value for row in keyed}, ensure_ascii=False)
    missing = spoken(rng, absent_key(rng, keyed, split))
    found = [
        (pick(rng, READ[:3]), read),
        (pick(rng, ALL), written),
        (pick(rng, FIELD).format(missing), absence(missing)),
    ]
    for row in keyed:
        ways = AMOUNT if row.gap == "r" else FIELD
        found.append((pick(rng, ways).format(spoken(rng, row.key)), row.value))
    return [found[int(index)] for index in rng.permutation(len(found))[: 1 + FURTHER]]


def kind_of(question: str, answer: str) -> str:
    """What is asked of a note: a "value", one that is "absent", all "fields", or "all" that is printed.

    >>> kind_of("What is the tax?", "1.20"), kind_of("Write it as JSON.", "{}"), kind_of("Tax?", "There is no Tax.")
    ('value', 'fields', 'absent')
    """
    if question in READ:
        return "all"
    return "fields" if question in ALL else "absent" if answer.startswith("There is no ") else "value"


def absence(key: str) -> str:
    """What is said of a key that is not there."""
    return f"There is no {key}."


def absent_key(rng: np.random.Generator, rows: Sequence[Row], split: str) -> str:
    """A key that none of the rows has."""
    while True:
        key = key_of(rng, split, 10)
        if key.lower() not in (row.key.lower() for row in rows):
            return key


def spoken(rng: np.random.Generator, key: str) -> str:
    """A key as one asks for it: as printed, or in small letters."""
    return key if rng.random() < 0.5 else key.lower()
