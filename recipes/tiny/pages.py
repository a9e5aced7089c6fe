"""Task 2: pages of headings, paragraphs and lists in one or two columns: read all, read a place, find a text."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from anyres.grounding import Box as Place
from recipes.tiny.assets import SENTENCE, Assets, Block, Document, script_of
from recipes.tiny.example import Box, Example
from recipes.tiny.fonts import Face
from recipes.tiny.layout import Cut, Laid, Style, fill, laid_out
from recipes.tiny.paper import CELL, Paper, Sheet, around, asked, em_at, face_for, pick, room, rounded, theme
from recipes.tiny.reading import CLOSE, choose_language, pick_by

__all__ = ["TASKS", "make_page", "thousandths"]

TASKS: Mapping[str, float] = {"page": 0.4, "page-box": 0.18, "page-find": 0.27, "page-heading": 0.15}
QUESTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "page": {
        "en": ("Read the page.", "Read all the text.", "Transcribe the page.", "What does the page say?"),
        "zh": ("读出整页文字。", "请识别页面上的全部文字。"),
        "de": ("Lies die ganze Seite.",),
        "fr": ("Lis toute la page.",),
        "es": ("Lee toda la página.",),
        "ru": ("Прочитай всю страницу.",),
        "ja": ("ページ全体を読んでください。",),
    },
    "page-box": {
        "en": ("Read the text in the box {}.", "What does it say in the box {}?"),
        "zh": ("读出方框 {} 中的文字。",),
    },
    "page-find": {
        "en": ('Where is "{}"?', 'Find the text "{}".', 'Give the box of "{}".'),
        "zh": ("“{}”在哪里？",),
    },
    "page-heading": {
        "en": ("What is the heading?", "What is the title of this page?", "Read the heading."),
        "zh": ("标题是什么？",),
        "de": ("Wie lautet die Überschrift?",),
        "fr": ("Quel est le titre ?",),
        "es": ("¿Cuál es el título?",),
    },
}
LONGEST = {"page": 620, "page-box": 900, "page-find": 900, "page-heading": 700}
"""Most characters of the hardest pages of each task: what has to be written out is shorter."""
LOOSE = 0.95
"""Most characters to a visual token where an em is as large as one; margins and short lines take the rest."""
WIDE = 0.3
"""Share of the pages that are cut-outs of a few long lines: the others are of short ones where they are easy, and that
teaches too little of where the next line begins."""
LETTERS, LINES = (26, 44), (1.6, 3.4)
"""Characters of such a line, and how many lines."""
LARGE, EASY = 0.45, 0.1
"""Share of the pages of large print, as of a scan (300 dots an inch make 50 pixels of 12 points), and up to where there
are none: the easiest pages are small."""
ABSENT = 0.08
"""Share of the searches for a text that is not there."""
HEADINGS = ("title", "heading")
BULLETS = ("•", "-", "–", "*", "▪")
LEFT_OUT = ("ar",)
"""Lines that run to the left are not laid out."""


class Size(NamedTuple):
    """The em of the print in pixels, and about how many characters a line and the whole text have."""

    em: int
    line: int
    text: int


class Asked(NamedTuple):
    """A question about a page before its page is printed."""

    task: str
    target: str = ""
    """The text that is searched, or "" where none is."""
    there: bool = True


def make_page(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A page and a question about it; about 30 to 1,000 visual tokens, 3 short lines to a hundred words."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    task = pick_by(rng, TASKS)
    size = choose_size(rng, task, difficulty)
    while True:
        language = choose_language(rng, assets, split, LEFT_OUT)
        blocks = choose_blocks(rng, language, task, size.text, split=split, difficulty=difficulty, assets=assets)
        style = choose_style(rng, blocks, language, size, split=split, difficulty=difficulty, assets=assets)
        if style is not None:
            break
    for _ in range(6):
        about = choose_target(rng, task, blocks, language, split=split, assets=assets)
        page = shortened(blocks, style, about.target if about.there else "", difficulty)
        if sum(line.target[1] > 0 for line in page.lines) <= 1:
            break
    sheet, marks = printed(rng, page, style, difficulty)
    question, answer, metric = asked_about(rng, about, page, sheet, marks, language=language)

    def further(rng: np.random.Generator) -> tuple[str, str] | None:
        other = pick_by(rng, {name: share for name, share in TASKS.items() if name != "page-find"})
        if other == "page-heading" and (len(page.blocks) < 2 or page.blocks[0].kind not in HEADINGS):
            return None
        return asked_about(rng, Asked(other), page, sheet, marks, language=language)[:2]

    return asked(sheet, question, answer, task=task, metric=metric, language=language, further=further)


# ---- what the page says ----


def choose_size(rng: np.random.Generator, task: str, difficulty: float) -> Size:
    """Small print and much of it where it is hard; now and then large print, or long lines."""
    em = em_at(rng, difficulty)
    if difficulty > EASY and rng.random() < LARGE:
        em = round(em * float(rng.uniform(1.2, 2.4)))
    if difficulty > EASY and rng.random() < WIDE:
        line = int(rng.integers(*LETTERS))
        return Size(em, line, int(line * float(rng.uniform(*LINES))))
    line = int(float(rng.uniform(11, 17)) * (1 - difficulty) + float(rng.uniform(26, 56)) * difficulty)
    text = int(float(rng.uniform(28, 60)) * (1 - difficulty) + float(rng.uniform(150, LONGEST[task])) * difficulty)
    return Size(em, line, min(text, int(LOOSE * room(difficulty) * (CELL / em) ** 2)))


def choose_blocks(
    rng: np.random.Generator, language: str, task: str, wanted: int, *, split: str, difficulty: float, assets: Assets
) -> list[Block]:
    """Blocks of one document, shortened to about the wanted characters, numbered or marked where they are items."""
    document = pick(rng, assets.documents(language, split))
    wanted = wanted // 2 if language in (*CLOSE, "ko") else wanted
    blocks = start_at(rng, document, heading=task == "page-heading" or rng.random() < 0.5)
    longest = max(12, wanted // (2 if difficulty < 0.3 else 1))
    chosen: list[Block] = []
    number, ordered, mark = 0, rng.random() < 0.5, pick(rng, BULLETS)
    for block in blocks:
        text = shorter(block.text, longest, language)
        number = number + 1 if block.kind == "item" else 0
        if block.kind == "item":
            text = f"{number}. {text}" if ordered else f"{mark} {text}"
        full = sum(len(one.text) for one in chosen) + len(text) > wanted
        if chosen and (full or (task == "page-heading" and block.kind in HEADINGS)):
            break
        chosen.append(Block(block.kind, text))
    if task == "page-heading" and chosen[0].kind not in HEADINGS:
        chosen[0] = Block("heading", shorter(chosen[0].text, 24, language))
    return chosen


def start_at(rng: np.random.Generator, document: Document, *, heading: bool) -> Sequence[Block]:
    """The blocks from a drawn one on; from a title or heading with text after it where one is wanted and there."""
    last = len(document.blocks) - 1
    starts = [
        index
        for index, block in enumerate(document.blocks)
        if block.kind in HEADINGS and index < last and document.blocks[index + 1].kind not in HEADINGS
    ]
    return document.blocks[pick(rng, starts) if heading and starts else int(rng.integers(last + 1)) :]


def shorter(text: str, length: int, language: str) -> str:
    """At most about `length` characters: whole sentences where one fits, else whole words."""
    if len(text) <= length:
        return text
    kept = ""
    for part in SENTENCE.split(text):
        joined = part if not kept else kept + ("" if language in CLOSE else " ") + part
        if len(joined) > length:
            break
        kept = joined
    if any(char.isalpha() for char in kept):
        return kept.strip()
    if language in CLOSE:
        return text[:length].strip()
    return text[: length + 1].rpartition(" ")[0].strip() or text.partition(" ")[0]


def choose_target(
    rng: np.random.Generator, task: str, blocks: Sequence[Block], language: str, *, split: str, assets: Assets
) -> Asked:
    """What is searched: a text of the page, or now and then one of another document that the page does not hold."""
    if task != "page-find":
        return Asked(task)
    if rng.random() < ABSENT:
        other = searched(rng, pick(rng, assets.documents(language, split)).blocks, language)
        if other.lower() not in "\n".join(block.text for block in blocks).lower():
            return Asked(task, other, there=False)
    return Asked(task, searched(rng, blocks, language))


def searched(rng: np.random.Generator, blocks: Sequence[Block], language: str) -> str:
    """A few words of a block, or some characters where there are no blanks; they occur once on the page."""
    everything = "\n".join(block.text for block in blocks)
    for _ in range(12):
        text = pick(rng, blocks).text
        if language in CLOSE:
            start = int(rng.integers(max(1, len(text) - 3)))
            found = text[start : start + int(rng.integers(2, 7))].strip()
        else:
            words = text.split(" ")
            start = int(rng.integers(len(words)))
            found = " ".join(words[start : start + int(rng.integers(1, 4))]).strip(".,:;!?()\"“”„«»'")
        if len(found) > 1 and everything.count(found) == 1 and '"' not in found:
            return found
    return max(blocks, key=lambda block: len(block.text)).text[:8].strip()


# ---- how it is printed ----


def choose_style(
    rng: np.random.Generator,
    blocks: Sequence[Block],
    language: str,
    size: Size,
    *,
    split: str,
    difficulty: float,
    assets: Assets,
) -> Style | None:
    """Faces and measures for print of `size`; None where no face draws all of it."""
    em, letters, _ = size
    text = "".join(sorted(set("".join(block.text for block in blocks))))
    families = assets.families(script_of(language), split)
    body = face_for(rng, families, text, difficulty=min(difficulty, 0.3))
    if body is None:
        return None
    close = language in (*CLOSE, "ko")
    return Style(
        body=body,
        bold=heavier(rng, body, families, text),
        em=em,
        heading=round(em * float(rng.uniform(1.05, 1.25 + 0.35 * difficulty))),
        leading=float(rng.uniform(1.22, 1.55)),
        measure=(letters // 2 + 2) * em if close else letters * em * 0.52,
        columns=2 if difficulty > 0.35 and rng.random() < 0.3 else 1,
        margin=float(rng.uniform(6, 12 + 30 * difficulty)),
        gap=float(rng.uniform(0.2, 0.8)) * em,
        indent=float(rng.choice((0.0, 1.4))) * em * (0.3 + 0.7 * difficulty),
        justified=not close and difficulty > 0.4 and rng.random() < 0.3,
        centred=rng.random() < 0.25,
        coloured=rng.random() < 0.35,
        close=language in CLOSE,
    )


def heavier(rng: np.random.Generator, body: Face, families: Sequence[Sequence[Face]], text: str) -> Face:
    """A bold face of the same family, or now and then of another; else the body's own."""
    marks = ("bold", "700", "demi", "medium")
    same = [face for family in families for face in family if face.family == body.family or rng.random() < 0.1]
    bold = [face for face in same if any(mark in face.name.lower() for mark in marks) and face.plain]
    return face_for(rng, [bold] if bold else [], text) or body


def shortened(blocks: Sequence[Block], style: Style, target: str, difficulty: float) -> Laid:
    """The page, less its last blocks where it would take too many visual tokens; the target's block stays."""
    kept = list(blocks)
    while True:
        page = laid_out(kept, style, target)
        tokens = rounded(page.height) * rounded(page.width) // CELL**2
        droppable = len(kept) > 1 and target not in kept[-1].text if target else len(kept) > 1
        if tokens <= 1.15 * room(difficulty) or not droppable:
            return page
        kept.pop()


def printed(rng: np.random.Generator, page: Laid, style: Style, difficulty: float) -> tuple[Sheet, list[Cut]]:
    """The page on a sheet of whole cells, spoiled by the difficulty, and the sheet's words that its lines became."""
    colours = theme(rng, difficulty)
    spare = CELL * float(rng.random()) * difficulty
    paper = Paper((rounded(page.height + spare), rounded(page.width + spare)), colours.paper)
    free = (paper.width - page.width, paper.height - page.height)
    at = (free[0] * float(rng.uniform(0.2, 0.8)), free[1] * float(rng.uniform(0.2, 0.8)))
    marks = fill(paper, page, style, colours, at)
    return paper.sheet(rng, difficulty * float(rng.random())), marks


# ---- what is asked ----


def asked_about(
    rng: np.random.Generator,
    wanted: Asked,
    page: Laid,
    sheet: Sheet,
    marks: Sequence[Cut],
    *,
    language: str,
) -> tuple[str, str, str]:
    """Question, answer and metric."""
    known = QUESTIONS[wanted.task]
    question = pick(rng, known[language if language in known and rng.random() < 0.5 else "en"])
    if wanted.task == "page-find":
        question = question.format(wanted.target)
        if not wanted.there:
            return question, f'There is no "{wanted.target}".', "exact"
        box = box_of(sheet, [(mark.target, mark.target_end) for mark in marks if mark.target_end > mark.target])
        return question, named(wanted.target, thousandths(box, sheet)), "box"
    if wanted.task == "page-box":
        number = int(rng.integers(len(page.blocks)))
        box = box_of(sheet, [(mark.start, mark.end) for mark in marks if mark.block == number])
        return question.format(thousandths(box, sheet)), page.blocks[number].text, "characters"
    if wanted.task == "page-heading":
        return question, page.blocks[0].text, "characters"
    return question, "\n".join(block.text for block in page.blocks), "characters"


def box_of(sheet: Sheet, spans: Sequence[tuple[int, int]]) -> Box:
    """Around the sheet's words of all spans."""
    return around([sheet.words[index].box for start, end in spans for index in range(start, end)])


def thousandths(box: Box, sheet: Sheet) -> str:
    """`(x1,y1),(x2,y2)` in thousandths of the sheet, as Qwen2-VL writes boxes."""
    height, width, _ = sheet.frame.shape
    place = Place(*box).to_thousandths(width=width, height=height)
    return f"({place.x1:.0f},{place.y1:.0f}),({place.x2:.0f},{place.y2:.0f})"


def named(name: str, corners: str) -> str:
    """A named box."""
    return f"<|object_ref_start|>{name}<|object_ref_end|><|box_start|>{corners}<|box_end|>"
