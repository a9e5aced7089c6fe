"""Drawn interfaces: where a part is, where to click, what is ticked or filled in, and what to do next."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from recipes.tiny.assets import Assets, script_of
from recipes.tiny.conversation import Frame, about_pictures, pick
from recipes.tiny.example import Dense, Example
from recipes.tiny.fonts import Face
from recipes.tiny.regions import Box, Size, dense_of, found, point_text
from recipes.tiny.screen_drawing import Canvas, Widget
from recipes.tiny.screen_rows import ROWS, Screen, buttons, check_boxes, fields, lists, radio_buttons, switches, tabs
from recipes.tiny.screen_styles import sheet_for
from recipes.tiny.screen_words import CLICK, EMPTY, FIELD, LABELS, NEXT, STATE, WHERE
from recipes.tiny.things import CELL, weathered

__all__ = ["make_ui_box", "make_ui_field", "make_ui_next", "make_ui_point", "make_ui_state"]

TALLEST = 32 * CELL


# ---- whole screens ----


def face_for(rng: np.random.Generator, assets: Assets, language: str, split: str) -> Face | None:
    """A plain face of the language's script; None where there is none."""
    families = assets.families(script_of(language), split)
    plain = [face for family in families for face in family[:6] if face.plain]
    return pick(rng, plain or [face for family in families for face in family]) if families else None


def choose_face(rng: np.random.Generator, assets: Assets, split: str, difficulty: float) -> tuple[str, Face]:
    """(language of the labels, face): English first, others as it gets harder."""
    language = pick(rng, list(LABELS)) if rng.random() < 0.6 * difficulty else "en"
    face = face_for(rng, assets, language, split)
    if face is None or not face.covers("".join(LABELS[language])):
        language, face = "en", face_for(rng, assets, "en", split)
    assert face is not None
    return language, face


def start(rng: np.random.Generator, assets: Assets, split: str, difficulty: float) -> Screen:
    """An empty window of the split, larger and in smaller print as it gets harder."""
    language, face = choose_face(rng, assets, split, difficulty)
    em = max(11, round(20 - 9 * difficulty * float(rng.uniform(0.4, 1))))
    width = CELL * int(rng.integers(6, 8 + round(20 * difficulty)))
    sheet = sheet_for(rng, split)
    canvas = Canvas(Image.new("RGB", (width, TALLEST), sheet.surface), sheet, face, em)
    columns = int(rng.integers(1, 1 + max(1, min(3, width // (15 * em)))))
    return Screen(rng, canvas, assets, split, language, difficulty, [canvas.gap] * columns)


def filled(screen: Screen, wanted: Sequence[Callable[[Screen], None]]) -> Screen:
    """Adds the wanted rows and others among them, until the window is full."""
    rng = screen.rng
    extra = int(rng.integers(0 if len(wanted) > 1 else 1, 2 + round(9 * screen.difficulty)))
    rows = [*wanted, *(pick(rng, ROWS) for _ in range(extra))]
    for place in rng.permutation(len(rows)):
        screen.column = screen.tops.index(min(screen.tops))
        if screen.y < TALLEST - 8 * screen.canvas.row:
            rows[place](screen)
    return screen


def finished(screen: Screen) -> Canvas:
    """Cut to what is used; sometimes a window with a title bar on a desktop."""
    canvas, rng = screen.canvas, screen.rng
    height = min(TALLEST, max(screen.tops) + canvas.gap)
    inner = canvas.picture.crop((0, 0, canvas.picture.width, height))
    windowed = rng.random() < 0.25 + 0.5 * screen.difficulty
    title = canvas.row if windowed else 0
    x, y = (int(value) for value in rng.integers(0, 1 + round(60 * screen.difficulty), 2) * windowed)
    size = (-(-(height + title + y) // CELL) * CELL, -(-(inner.width + x) // CELL) * CELL)
    ground = canvas.sheet.desktop if windowed else canvas.sheet.surface
    whole = Canvas(Image.new("RGB", (size[1], size[0]), ground), canvas.sheet, canvas.face, canvas.em)
    whole.picture.paste(inner, (x, y + title))
    whole.widgets += [part._replace(box=moved(part.box, x, y + title)) for part in canvas.widgets]
    if windowed:
        draw_title(screen, whole, (x, y, x + inner.width, y + title))
    whole.letters += [(char, left + x, middle + y + title) for char, left, middle in canvas.letters]
    return whole


def draw_title(screen: Screen, whole: Canvas, box: tuple[int, int, int, int]) -> None:
    """The title bar of a window, with its name and a close button."""
    sheet = whole.sheet
    whole.pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=sheet.bar)
    whole.text(box[0] + whole.gap, (box[1] + box[3]) / 2, screen.label(box[2] - box[0] - 3 * whole.em), sheet.bar_ink)
    side, arm = box[3] - box[1], (box[3] - box[1]) * 0.3
    x1, y1, x2, y2 = box[2] - side + arm, box[1] + arm, box[2] - arm, box[3] - arm
    whole.pen.line([(x1, y1), (x2, y2)], fill=sheet.bar_ink, width=2)
    whole.pen.line([(x1, y2), (x2, y1)], fill=sheet.bar_ink, width=2)
    if "close" not in screen.used:
        screen.used.add("close")
        whole.add("icon", "close", (box[2] - side, box[1], box[2], box[3]))


def moved(box: Box, x: float, y: float) -> Box:
    """The box, shifted."""
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def shown(
    rng: np.random.Generator,
    assets: Assets,
    wanted: Sequence[Callable[[Screen], None]],
    *,
    split: str,
    difficulty: float,
) -> tuple[Screen, Canvas]:
    """A finished screen with at least two parts."""
    while True:
        screen = filled(start(rng, assets, split, difficulty), wanted)
        canvas = finished(screen)
        if len(canvas.widgets) >= 2:
            return screen, canvas


def seen(screen: Screen, canvas: Canvas, asked: Widget | None) -> tuple[Frame, Dense, Size]:
    """The picture, sometimes as a camera sees the screen, and its dense teachers."""
    size = (canvas.picture.height, canvas.picture.width)
    frame = np.asarray(canvas.picture)
    if screen.rng.random() < 0.5 * screen.difficulty:
        frame = weathered(screen.rng, frame.astype(np.float32), 0.6 * screen.difficulty)
    regions = [part.region for part in canvas.widgets]
    return frame, dense_of(regions, size, letters=canvas.cells(size), asked=asked.region if asked else None), size


# ---- tasks ----


def example(
    screen: Screen, canvas: Canvas, task: str, asked: Widget | None, turns: tuple[str, str], metric: str
) -> Example:
    """The example of a screen; `{box}` and `{point}` in the answer stand for the place of what is asked."""
    frame, dense, size = seen(screen, canvas, asked)
    answer = turns[1]
    if asked is not None:
        answer = answer.replace("{box}", found(f"{asked.label} {asked.kind}", [asked.box], size))
        answer = answer.replace("{point}", point_text(asked.box, size))

    def further(rng: np.random.Generator) -> tuple[str, str]:
        other = pick(rng, canvas.widgets)
        if rng.random() < 0.5:
            return pick(rng, CLICK[other.kind]).format(other.label), point_text(other.box, size)
        called = f"{other.label} {other.kind}"
        return pick(rng, WHERE).format(f"the {called}"), found(called, [other.box], size)

    turns = (turns[0], answer)
    return about_pictures(task, [frame], turns, dense=[dense], metric=metric, language=screen.language, further=further)


def make_ui_box(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Where a part is; one in eight is not there, which is to be said."""
    screen, canvas = shown(rng, assets, (pick(rng, ROWS[:-1]), buttons), split=split, difficulty=difficulty)
    asked = pick(rng, canvas.widgets)
    if rng.random() < 1 / 8 and (other := screen.label(1e9)):
        called = f"{other} {asked.kind if asked.kind != 'icon' else 'button'}"
        turns = (pick(rng, WHERE).format(f"the {called}"), f"There is no {called}.")
        return example(screen, canvas, "ui-box", None, turns, "exact")
    question = pick(rng, WHERE).format(f"the {asked.label} {asked.kind}")
    return example(screen, canvas, "ui-box", asked, (question, "{box}"), "box")


def make_ui_point(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Where to click."""
    screen, canvas = shown(rng, assets, (pick(rng, ROWS[:-1]), buttons), split=split, difficulty=difficulty)
    asked = pick(rng, canvas.widgets)
    question = pick(rng, CLICK[asked.kind]).format(asked.label)
    return example(screen, canvas, "ui-point", asked, (question, "{point}"), "point")


def make_ui_state(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Whether something is ticked, on, chosen or open: yes half of the time."""
    wanted, on = pick(rng, (check_boxes, check_boxes, switches, radio_buttons, tabs)), rng.random() < 0.5
    while True:
        screen, canvas = shown(rng, assets, (wanted,), split=split, difficulty=difficulty)
        parts = [part for part in canvas.widgets if part.kind in STATE and (part.state == "on") == on]
        if parts:
            break
    asked = pick(rng, parts)
    turns = (pick(rng, STATE[asked.kind]).format(asked.label), "yes" if on else "no")
    return example(screen, canvas, "ui-state", asked, turns, "exact")


def make_ui_field(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What a field holds."""
    while True:
        screen, canvas = shown(rng, assets, (fields, pick(rng, (fields, lists))), split=split, difficulty=difficulty)
        parts = [part for part in canvas.widgets if part.kind in ("field", "list")]
        if parts:
            break
    asked = pick(rng, parts)
    turns = (pick(rng, FIELD).format(asked.label), asked.state or EMPTY)
    return example(screen, canvas, "ui-field", asked, turns, "characters")


def make_ui_next(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """The next click of a task: the first box that is not ticked yet, or the button when all are."""
    while True:
        screen, canvas = shown(rng, assets, (check_boxes, buttons), split=split, difficulty=difficulty)
        boxes = [part for part in canvas.widgets if part.kind == "check box"][:3]
        pushed = [part for part in canvas.widgets if part.kind == "button"]
        if boxes and pushed:
            break
    wanted = [boxes[i] for i in rng.permutation(len(boxes))[: int(rng.integers(1, len(boxes) + 1))]]
    button = pick(rng, pushed)
    asked = next((part for part in wanted if part.state == "off"), button)
    question = pick(rng, NEXT).format(" and ".join(part.label for part in wanted), button.label)
    answer = f"Click <|object_ref_start|>{asked.label}<|object_ref_end|>{{point}}"
    return example(screen, canvas, "ui-next", asked, (question, answer), "point")
