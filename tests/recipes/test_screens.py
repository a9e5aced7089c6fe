"""Drawn interfaces: what is asked is on the screen, where it is said to be and as it is said to be."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recipes.tiny import screens
from recipes.tiny.assets import Assets
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.regions import box_at
from recipes.tiny.screen_drawing import Canvas, Widget
from recipes.tiny.screen_rows import ROWS, Screen, buttons, check_boxes, tabs
from recipes.tiny.screen_styles import SHEETS, sheet_for
from recipes.tiny.screen_words import CLICK, LABELS, STATE, labels
from tests.recipes.samples import Maker, check, made, media, names, numbers, question, same, tiny_assets, tokens

MAKERS = (screens.make_ui_box, screens.make_ui_point, screens.make_ui_state, screens.make_ui_field,
          screens.make_ui_next)  # fmt: skip
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """With a pack of icons."""
    return tiny_assets(tmp_path_factory.mktemp("screens"))


def blank(assets: Assets, sheet: int = 0, width: int = 420, columns: int = 1) -> Screen:
    """An empty white window."""
    picture = Image.new("RGB", (width, 896), SHEETS[sheet].surface)
    canvas = Canvas(picture, SHEETS[sheet], builtin_fonts().train[0][0], 18)
    return Screen(np.random.default_rng(1), canvas, assets, "train", "en", 0.5, [8] * columns)


@few
@given(st.sampled_from(MAKERS), st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["train", "held_out"]))
def test_every_example_holds_together(assets: Assets, maker: Maker, seed: int, difficulty: float, split: str) -> None:
    example = made(maker, assets, seed, difficulty, split)
    check(example)
    assert same(example, made(maker, assets, seed, difficulty, split))
    assert example.dense[0] is not None
    assert example.dense[0].letters is not None


@pytest.mark.parametrize("maker", MAKERS)
def test_easy_screens_are_small(assets: Assets, maker: Maker) -> None:
    easy = [tokens(made(maker, assets, seed, 0.0)) for seed in range(30)]
    assert np.mean(easy) <= 55
    assert np.mean([tokens(made(maker, assets, seed, 1.0)) for seed in range(15)]) > 2 * np.mean(easy)


def test_screens_work_without_the_icon_pack(tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = Assets.open(tmp_path_factory.mktemp("bare"))
    found = set().union(*(names(made(screens.make_ui_box, bare, seed, 0.8)) for seed in range(15)))
    assert "button" in found
    assert not any(name.endswith(" icon") and name != "close icon" for name in found)


def test_a_point_lies_in_the_box_that_places_tell(assets: Assets) -> None:
    for maker in (screens.make_ui_point, screens.make_ui_next):
        for seed in range(25):
            example = made(maker, assets, seed, 0.5)
            assert example.metric == "point"
            ((x, y),) = numbers(example.answer)
            frame, dense = media(example)[0][0], example.dense[0]
            assert dense is not None
            size = (frame.shape[0], frame.shape[1])
            told = box_at(dense, size, (x, y))
            assert told is not None
            assert told[0] <= x * size[1] / 1000 <= told[2]
            assert (told[0] + told[2]) / 2 == pytest.approx(x * size[1] / 1000, abs=1.5)


def test_the_letters_of_what_is_asked_lie_in_its_box(assets: Assets) -> None:
    seen = 0
    for seed in range(60):
        example = made(screens.make_ui_box, assets, seed, 0.2)
        if example.metric != "box" or " button" not in question(example) or " radio" in question(example):
            continue
        label = example.answer.split("<|object_ref_start|>")[1].split(" button<|")[0]
        (box,), frame, dense = numbers(example.answer), media(example)[0][0], example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        rows, columns = frame.shape[0] // 28, frame.shape[1] // 28
        inside = "".join(
            dense.letters[row * columns + column]
            for row in range(box[1] * rows // 1000, box[3] * rows // 1000 + 1)
            for column in range(box[0] * columns // 1000, min(columns - 1, box[2] * columns // 1000) + 1)
        )
        assert not Counter(label.replace(" ", "")) - Counter(inside)
        seen += 1
    assert seen >= 8


def test_what_is_absent_is_said_to_be_absent(assets: Assets) -> None:
    told = [made(screens.make_ui_box, assets, seed, 0.3) for seed in range(120)]
    absent = [example for example in told if example.metric == "exact"]
    assert 5 <= len(absent) <= 30
    assert all(example.answer.startswith("There is no ") for example in absent)


def test_states_are_yes_half_of_the_time_for_every_kind(assets: Assets) -> None:
    told: dict[str, Counter[str]] = {}
    for seed in range(240):
        example = made(screens.make_ui_state, assets, seed, 0.2)
        kind = next(kind for kind, ways in STATE.items()
                    if any(question(example).startswith(way.split("{")[0])
                           and question(example).endswith(way.split("}")[1]) for way in ways))  # fmt: skip
        told.setdefault(kind, Counter())[example.answer] += 1
    assert set(told) == set(STATE)
    for counts in told.values():
        assert 0.3 < counts["yes"] / sum(counts.values()) < 0.7


@pytest.mark.parametrize("sheet", range(len(SHEETS)))
def test_marks_look_different_when_on(assets: Assets, sheet: int) -> None:
    for kind in ("check box", "switch", "radio button"):
        shown = []
        for on in (False, True):
            screen = blank(assets, sheet)
            screen.canvas.choice(10, 10, "", kind=kind, on=on)
            shown.append(np.asarray(screen.canvas.picture).astype(int))
        changed = np.abs(shown[0] - shown[1]).max(axis=2)
        assert (changed > 40).sum() > 20, (SHEETS[sheet].name, kind)


@pytest.mark.parametrize("sheet", SHEETS)
def test_print_is_readable_on_every_sheet(sheet: object) -> None:
    assert isinstance(sheet, type(SHEETS[0]))
    pairs = ((sheet.ink, sheet.surface), (sheet.ink, sheet.field), (sheet.bar_ink, sheet.bar),
             (sheet.accent_ink, sheet.accent), (sheet.muted, sheet.surface))  # fmt: skip
    for ink, ground in pairs:
        assert max(abs(a - b) for a, b in zip(ink, ground, strict=True)) > 80


def test_sheets_and_labels_are_split_by_content() -> None:
    rng = np.random.default_rng(0)
    train = {sheet_for(rng, "train").name for _ in range(200)}
    held_out = {sheet_for(rng, "held_out").name for _ in range(50)}
    assert not train & held_out
    assert len(held_out) == 2
    assert len(train) == len(SHEETS) - 2
    for language, all_labels in LABELS.items():
        parts = [set(labels(language, split)) for split in ("train", "held_out")]
        assert not parts[0] & parts[1]
        assert parts[0] | parts[1] == set(all_labels)
        assert all(parts)


def test_a_field_is_read_or_empty(assets: Assets) -> None:
    told = [made(screens.make_ui_field, assets, seed, 0.3) for seed in range(80)]
    empty = [example for example in told if example.answer == "It is empty."]
    assert 2 <= len(empty) <= 30
    for example in told:
        if example.answer == "It is empty.":
            continue
        assert example.dense[0] is not None
        assert example.dense[0].letters is not None
        assert not Counter(example.answer.replace(" ", "")) - Counter("".join(example.dense[0].letters))


def test_the_next_click_is_an_open_box_or_else_the_button(assets: Assets) -> None:
    ended = Counter[bool]()
    for seed in range(60):
        example = made(screens.make_ui_next, assets, seed, 0.2)
        target = example.answer.split("<|object_ref_start|>")[1].split("<|object_ref_end|>")[0]
        asked = question(example)
        assert target in asked
        ended[asked.split(" click ")[-1].startswith(target) or asked.split(" press ")[-1].startswith(target)] += 1
    assert min(ended.values()) >= 10


def test_rows_stay_in_their_column_and_do_not_overlap(assets: Assets) -> None:
    for row in set(ROWS):
        screen = blank(assets, columns=2)
        for _ in range(3):
            for screen.column in (0, 1):
                row(screen)
        parts = screen.canvas.widgets
        assert len({part.label for part in parts}) == len(parts)
        for place, part in enumerate(parts):
            assert part.box[2] <= 210 or part.box[0] >= 210
            for other in parts[place + 1 :]:
                apart = (part.box[2] <= other.box[0] or other.box[2] <= part.box[0]
                         or part.box[3] <= other.box[1] or other.box[3] <= part.box[1])  # fmt: skip
                assert apart, (part, other)


def test_one_tab_of_several_is_open(assets: Assets) -> None:
    screen = blank(assets)
    tabs(screen)
    assert [part.state for part in screen.canvas.widgets].count("on") == 1
    narrow = blank(assets, width=90)
    tabs(narrow)
    assert narrow.canvas.widgets == []


def test_parts_are_drawn_inside_of_their_boxes(assets: Assets) -> None:
    for row in (buttons, check_boxes):
        screen = blank(assets)
        before = np.asarray(screen.canvas.picture).copy()
        row(screen)
        changed = (np.asarray(screen.canvas.picture) != before).any(axis=2)
        for part in screen.canvas.widgets:
            x1, y1, x2, y2 = (round(side) for side in part.box)
            assert changed[y1:y2, x1:x2].any()
            changed[y1:y2, x1 : x2 + 2] = False
        assert not changed.any()


def test_letters_come_in_reading_order(assets: Assets) -> None:
    canvas = blank(assets).canvas
    canvas.text(2, 14, "ab cd", (0, 0, 0))
    canvas.text(2, 42, "xy", (0, 0, 0))
    cells = canvas.cells((56, 84))
    assert "".join(cells[:3]) == "abcd"
    assert "".join(cells[3:]) == "xy"
    assert cells[0].startswith("ab")


def test_parts_are_named_by_their_looks() -> None:
    assert Widget("check box", "A", (0, 0, 1, 1), "on").region.name == "ticked check box"
    assert Widget("check box", "A", (0, 0, 1, 1), "off").region.name == "empty check box"
    assert Widget("field", "Name", (0, 0, 1, 1), "on").region.name == "field"
    assert Widget("icon", "search", (0, 0, 1, 1)).region.name == "search icon"
    assert set(CLICK) == {"button", "check box", "switch", "radio button", "field", "list", "tab", "menu", "icon"}
