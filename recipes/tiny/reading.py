"""Task 1: one line, word, number, date or code to read, in several scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from recipes.tiny import phrases
from recipes.tiny.assets import LANGUAGES, Assets
from recipes.tiny.corpus import cut
from recipes.tiny.example import Example
from recipes.tiny.fonts import Face
from recipes.tiny.paper import CELL, Paper, Pen, Theme, asked, face_for, pick, rounded, theme

__all__ = ["KINDS", "SHARES", "choose_language", "make_reading", "question_for", "text_of"]

SHARES: Mapping[str, float] = {
    "en": 0.32, "zh": 0.25, "de": 0.08, "fr": 0.07, "es": 0.06, "vi": 0.05, "ru": 0.05, "ja": 0.04, "ko": 0.03,
    "ar": 0.02, "el": 0.015, "it": 0.01, "pt": 0.01,
}  # fmt: skip
"""How often each language is drawn, of those that the assets have."""
KINDS: Mapping[str, float] = {"prose": 0.36, "words": 0.2, "name": 0.08, "number": 0.12, "price": 0.07, "date": 0.07,
                              "code": 0.1}  # fmt: skip
TASKS = {"words": "word", "number": "number", "price": "number", "date": "date", "code": "code"}
"""The task each kind counts for; the others are lines."""
CLOSE = ("zh", "ja")
"""Languages without blanks between words."""
QUESTIONS: Mapping[str, Sequence[str]] = {
    "en": ("Read the text.", "What does it say?", "What is written here?", "Transcribe the text."),
    "zh": ("读出图中的文字。", "图中写了什么？", "请识别文字。"),
    "ja": ("文字を読んでください。", "何と書いてありますか。"),
    "ko": ("글자를 읽어 주세요.", "무엇이라고 쓰여 있습니까?"),
    "de": ("Lies den Text.", "Was steht hier?"),
    "fr": ("Lis le texte.", "Qu'est-ce qui est écrit ?"),
    "es": ("Lee el texto.", "¿Qué dice aquí?"),
    "vi": ("Đọc dòng chữ này.",),
    "ru": ("Прочитай текст.", "Что здесь написано?"),
    "ar": ("اقرأ النص.",),
}
KIND_QUESTIONS: Mapping[str, Sequence[str]] = {
    "words": ("Read the words.", "Which words are these?"),
    "number": ("What number is this?", "Read the number."),
    "price": ("What is the amount?", "Read the amount."),
    "date": ("What is the date?", "Read the date or time."),
    "code": ("What is the code?", "Read the code."),
}
YEARS = (1950, 2040)


class Print(NamedTuple):
    """How a line is set: the picture's rows of cells, the em and the space between letters in pixels."""

    rows: int
    em: int
    tracking: float
    columns: int
    """Cells that the text should about fill."""


def make_reading(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """One line of print and what it says; 4 visual tokens upwards."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    language = choose_language(rng, assets, split)
    kind = pick_by(rng, KINDS)
    setting = choose_print(rng, difficulty)
    face, text = choose_text(rng, kind, language, setting, split=split, difficulty=difficulty, assets=assets)
    colours = theme(rng, difficulty)
    paper, setting = prepared(rng, text, face, setting, colours)
    hardness = difficulty * float(rng.random())
    if rng.random() < 0.25 * hardness:
        add_neighbours(rng, paper, text, face, setting, colours)
    print_line(rng, paper, text, face, setting, colours)
    if rng.random() < 0.1 * difficulty:
        add_rule(rng, paper, colours)
    question = question_for(rng, kind, language)
    task = TASKS.get(kind, "line")
    metric = "exact" if kind in ("number", "price", "date", "code") else "characters"
    read = "" if metric == "exact" and (kind == "code" or language not in CLOSE) else language
    example = asked(paper.sheet(rng, hardness), question, text, task=task, metric=metric, language=read)
    return replace(example, dense=(None,)) if LANGUAGES[language] == "arabic" else example


def choose_language(rng: np.random.Generator, assets: Assets, split: str, left_out: Sequence[str] = ()) -> str:
    """One of the languages that can be printed, by SHARES."""
    known = [name for name in assets.languages(split) if name in SHARES and name not in left_out]
    return pick_by(rng, {name: SHARES[name] for name in known})


def pick_by(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """A key, drawn by its share."""
    edges = np.cumsum([*shares.values()])
    return [*shares][int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def question_for(rng: np.random.Generator, kind: str, language: str) -> str:
    """A question about a kind of text, in English or in the text's language."""
    if kind in KIND_QUESTIONS and rng.random() < 0.4:
        return pick(rng, KIND_QUESTIONS[kind])
    return pick(rng, QUESTIONS[language if language in QUESTIONS and rng.random() < 0.5 else "en"])


# ---- what is printed ----


def choose_text(
    rng: np.random.Generator, kind: str, language: str, setting: Print, *, split: str, difficulty: float, assets: Assets
) -> tuple[Face, str]:
    """A text of about the wanted length and a face that draws it; a plain number where no face draws any other."""
    script = LANGUAGES[language]
    families = assets.families(script, split)
    if script == "latin" and kind in TASKS and rng.random() < 0.3:
        families = assets.families(pick(rng, ("receipt", "mono")), split) or families
    if script == "latin" and rng.random() < 0.25 * difficulty:
        families = assets.families("handwriting", split) or families
    advance = setting.em * (0.55 if language not in (*CLOSE, "ko") else 1.0) + setting.tracking
    length = max(2, int(setting.columns * CELL / advance))
    for _ in range(6):
        text = text_of(rng, kind, language, split=split, length=length, assets=assets)
        face = face_for(rng, families, text, difficulty=difficulty) if text else None
        if face is not None:
            return face, text
    text = phrases.digits(rng, min(length, 6))
    face = face_for(rng, assets.families("latin", split), text)
    assert face is not None
    return face, text


def text_of(rng: np.random.Generator, kind: str, language: str, *, split: str, length: int, assets: Assets) -> str:
    """A text of one of KINDS of at most about `length` characters; "" where the language has none of the kind."""
    if kind in ("prose", "words"):
        return from_texts(rng, kind, language, split=split, length=length, assets=assets)
    if kind == "name":
        known = assets.phrases(pick(rng, ("name", "street", "city", "company", "job")), language, split)
        text = pick(rng, known) if known else phrases.name(rng, split, length)
        return clipped(text, length, language)
    if kind == "code":
        return clipped(phrases.code(rng, split, min(length, 16)), length, "en")
    if language in CLOSE:
        return eastern(rng, kind)
    return {"number": phrases.number, "price": phrases.price, "date": phrases.moment}[kind](rng, split, length)


def from_texts(rng: np.random.Generator, kind: str, language: str, *, split: str, length: int, assets: Assets) -> str:
    """A piece of a sentence, or words in no order."""
    texts = assets.sentences(language, split) if kind == "prose" else assets.words(language, split)
    if not texts:
        return ""
    text = pick(rng, texts)
    if kind == "words":
        text = min((text, *(pick(rng, texts) for _ in range(3))), key=lambda word: len(word) > length)
        while len(text) < length - 3 and rng.random() < 0.75:
            text += ("" if language in CLOSE else " ") + pick(rng, texts)
        if LANGUAGES[language] in ("latin", "cyrillic", "greek") and (draw := rng.random()) < 0.4:
            text = text.upper() if draw < 0.2 else text.title()
        return clipped(text, length, language)
    if language in CLOSE:
        return text[int(rng.integers(max(1, len(text) - length))) :][:length].strip()
    starts = [0, *(index + 1 for index, char in enumerate(text) if char == " ")]
    text = text[pick(rng, starts) :]
    first = text.partition(" ")[0]
    return first if length <= len(first) <= length + 6 else cut(text, length)


def clipped(text: str, length: int, language: str) -> str:
    """At most `length` characters, cut between words where there are blanks."""
    return (text[:length] if language in CLOSE else cut(text, length)).strip()


def eastern(rng: np.random.Generator, kind: str) -> str:
    """A number, an amount or a date as Chinese and Japanese texts write them."""
    year, month, day = int(rng.integers(*YEARS)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    hour, minute = int(rng.integers(24)), int(rng.integers(60))
    amount = int(phrases.digits(rng, int(rng.integers(1, 6))))
    options = {
        "date": (
            f"{year}年{month}月{day}日", f"{year}-{month:02}-{day:02}", f"{month}月{day}日", f"{hour:02}:{minute:02}",
            f"{year}/{month}/{day} {hour}:{minute:02}",
        ),
        "price": (f"￥{amount:,}", f"¥{amount}.{day:02}", f"{amount}元", f"{amount}.{minute:02}元"),
        "number": (
            str(amount), f"{amount:,}", f"{day}%", f"第{day}页", f"共{day}项", f"{amount}人", f"{hour}.{minute}",
            f"No.{amount}",
        ),
    }  # fmt: skip
    return pick(rng, options[kind])


# ---- how it is printed ----


def choose_print(rng: np.random.Generator, difficulty: float) -> Print:
    """Easy print is large and spaced: a cell holds one to two letters; hard print has an em of 11 pixels upwards."""
    rows = int(rng.choice((1, 2, 3), p=(0.76, 0.2, 0.04)))
    largest = 0.86 * CELL * rows
    smallest = largest * 0.8 * (1 - difficulty) + 11 * difficulty
    em = round(float(rng.uniform(smallest, largest)))
    wanted = 27 - 30 * difficulty
    tracking = max(0.0, wanted - em * 0.55) * float(rng.uniform(0.2, 1)) if rng.random() < 0.8 else 0.0
    if rng.random() < 0.05:
        tracking = float(rng.uniform(0.1, 0.4)) * em
    columns = int(rng.integers(4, 9 + int(26 * difficulty)))
    return Print(rows, em, tracking, columns if rows == 1 else min(columns, 20))


def prepared(rng: np.random.Generator, text: str, face: Face, setting: Print, colours: Theme) -> tuple[Paper, Print]:
    """A sheet that the text fits on, and the setting with an em that fits its height."""
    height = setting.rows * CELL
    top, bottom = extent(face, setting.em, text)
    if bottom - top > 0.95 * height:
        setting = setting._replace(em=max(8, int(setting.em * 0.95 * height / (bottom - top))))
    if JOINED & set(map(ord, text)):
        setting = setting._replace(tracking=0.0)
    span = float(face.at(setting.em).getlength(text)) + setting.tracking * (len(text) - 1)
    width = max(4 * CELL, rounded(span + float(rng.uniform(6, 24))))
    return Paper((height, width), colours.paper), setting


JOINED = frozenset(range(0x600, 0x700))
"""Arabic: letters that must touch, in lines that run to the left."""


def extent(face: Face, em: int, text: str) -> tuple[float, float]:
    """The ink's top and bottom around the baseline."""
    _, top, _, bottom = face.at(em).getbbox(text, anchor="ls")
    return top, bottom


def print_line(rng: np.random.Generator, paper: Paper, text: str, face: Face, setting: Print, colours: Theme) -> None:
    """Prints the text somewhere on the sheet, whole."""
    pen = Pen(face, setting.em, colours.ink)
    top, bottom = extent(face, setting.em, text)
    free = max(0.0, paper.height - (bottom - top))
    baseline = free * float(np.clip(rng.normal(0.5, 0.15), 0.05, 0.95)) - top
    span = pen.width(text) + setting.tracking * (len(text) - 1)
    left = 3 + float(rng.uniform(0, max(1.0, min(paper.width - span - 6, 40.0))))
    if JOINED & set(map(ord, text)):
        paper.word(text, (left, baseline), pen)
        return
    if setting.tracking < 0.5:
        paper.write(text, (left, baseline), pen)
        return
    for char in text:
        if char != " ":
            paper.word(char, (left, baseline), pen)
        left += pen.width(char) + setting.tracking


def add_neighbours(
    rng: np.random.Generator, paper: Paper, text: str, face: Face, setting: Print, colours: Theme
) -> None:
    """Slivers of the lines above and below, as a crop of a page holds them."""
    top, bottom = extent(face, setting.em, text)
    if paper.height - (bottom - top) < 8:
        return
    shuffled = "".join(rng.permutation([*text]).tolist())
    font = face.at(setting.em)
    for baseline in (-top * float(rng.uniform(0, 0.25)), paper.height - top * float(rng.uniform(0.75, 1))):
        paper.draw.text((float(rng.uniform(-20, 10)), baseline), shuffled, fill=colours.ink, font=font, anchor="ls")


def add_rule(rng: np.random.Generator, paper: Paper, colours: Theme) -> None:
    """The rule of a form or of a table cell at an edge."""
    y = 0 if rng.random() < 0.4 else paper.height - 1 - int(rng.integers(2))
    paper.rule((0, y), (paper.width, y), colours.rule, 1 + int(rng.random() < 0.3))
