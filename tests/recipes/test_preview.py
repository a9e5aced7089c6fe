"""The contact sheet, its captions, and the list of the recipe's commands."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from recipes.tiny import preview
from recipes.tiny.__main__ import COMMANDS, listed
from recipes.tiny.__main__ import main as recipe
from recipes.tiny.assets import Assets, PackedFace
from recipes.tiny.caption import MORE, Captions
from recipes.tiny.conversation import about_clip, about_pictures, in_words
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.mixture import TASKS
from recipes.tiny.preview import Sheet, best_columns, chosen_tasks, contact_sheet, main, marked, strip, tile

FACE = builtin_fonts().train[0][0]
CAPTIONS = Captions([FACE], 14)
SHEET = Sheet(CAPTIONS, 300, 200)
RED = (255, 0, 0)


def frame(height: int = 56, width: int = 84, tone: int = 90) -> np.ndarray:
    return np.full((height, width, 3), tone, np.uint8)


class Only(PackedFace):
    """A face that is told what it draws."""

    def covers(self, text: str) -> bool:
        return text in self.family


# ---- captions ----


def test_each_character_goes_to_the_first_face_that_draws_it() -> None:
    first, second = Only("a", "abc.", None, True), Only("b", "xyzc", None, True)
    runs = list(Captions([first, second], 12).runs("ab c xx yc?"))
    assert [(run.face.name, run.text) for run in runs] == [("a", "ab c "), ("b", "xx y"), ("a", "c?")]


@given(st.text("ab \n", max_size=60), st.integers(20, 120))
def test_lines_are_no_wider_than_wanted_and_lose_no_letter(text: str, width: int) -> None:
    lines = CAPTIONS.wrapped(text, width)
    assert all(CAPTIONS.width(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_break_between_words_where_they_can() -> None:
    assert CAPTIONS.wrapped("one two three", CAPTIONS.width("one two")) == ["one two", "three"]
    assert CAPTIONS.wrapped("a\n\nb", 100) == ["a", "", "b"]
    assert len(CAPTIONS.wrapped("w" * 40, CAPTIONS.width("w" * 11))) == 4


def test_a_long_answer_says_that_it_goes_on() -> None:
    lines = CAPTIONS.wrapped("\n".join(["line"] * 9), 100, most=3)
    assert lines == ["line", "line", f"li{MORE}"]


def test_what_is_written_stands_on_its_baseline() -> None:
    picture = Image.new("RGB", (100, 40), "white")
    CAPTIONS.write(ImageDraw.Draw(picture), (5, 30), "HH", "black")
    rows, columns = np.nonzero(np.asarray(picture.convert("L")) < 128)
    assert 29 <= rows.max() + 1 <= 31
    assert columns.min() >= 5


@pytest.mark.skipif(not (Path("recipes/tiny/assets/fonts.zip")).is_file(), reason="the pack of faces is not built")
def test_all_scripts_have_a_face() -> None:
    captions = Captions.of(Assets.open(), 14)
    for text in ("Straße", "Привет", "Ωμέγα", "你好", "ひらがな", "한국어", "العربية"):
        assert all(run.face.covers(run.text) for run in captions.runs(text)), text


# ---- tiles ----


def test_frames_are_told_apart_and_never_enlarged() -> None:
    assert strip([], 100, 100) is None
    one = strip([frame()], 300, 200)
    assert one is not None
    assert one.size == (84, 56)
    many = strip([frame()] * 16, 300, 120)
    assert many is not None
    assert many.width <= 300
    assert many.height <= 120


@given(st.integers(1, 16), st.integers(28, 900), st.integers(28, 900))
def test_all_frames_fit(count: int, width: int, height: int) -> None:
    columns, scale = best_columns([(width, height)] * count, 400, 300)
    rows = -(-count // columns)
    assert columns * width * scale <= 400
    assert rows * height * scale <= 300
    assert 0 < scale <= 1


def test_a_tile_holds_the_picture_and_every_turn() -> None:
    example = about_pictures("x", [frame()], ("First?", "one", "Then?", "two"), dense=[None])
    told = [line for line, _ in preview.captions_of(example, "head", SHEET)]
    assert told[-4:] == ["First?", "one", "Then?", "two"]
    assert "6 tokens" in told[0]
    picture = tile(example, SHEET, "head")
    assert picture.size == (300, 56 + preview.GAP + 5 * CAPTIONS.pitch + preview.GAP)
    assert (np.asarray(picture)[:56, :84] == 90).all()


def test_talk_and_clips_have_tiles_too() -> None:
    talk = in_words("talk", ("Hello.", "Hello!"))
    assert "no picture" in preview.captions_of(talk, "", SHEET)[0][0]
    assert tile(talk, SHEET, "").width == 300
    clip = about_clip("clip", [frame()] * 4, ("Moves?", "no"), dense=None)
    assert preview.visual_tokens(clip) == 12


def test_json_of_many_fields_gets_a_line_a_field() -> None:
    long = '{"seller": "' + "x" * 120 + '", "total": "3"}'
    assert preview.said(about_pictures("x", [frame()], ("?", long), dense=[None]).messages[-1]).count("\n") == 3
    assert preview.said(in_words("x", ("?", '{"a": 1}')).messages[-1]) == '{"a": 1}'


def test_boxes_and_points_of_the_answer_are_drawn() -> None:
    still = frame(100, 100)
    box = "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(100,200),(500,600)<|box_end|>"
    shown = marked([still], box)[0]
    assert tuple(shown[20, 30]) == RED
    assert tuple(shown[40, 10]) == RED
    assert tuple(shown[40, 30]) == (90, 90, 90)
    assert tuple(marked([still], "<|box_start|>(500,500)<|box_end|>")[0][50, 47]) == RED
    assert marked([still], "no box")[0] is still
    assert (still == 90).all()


# ---- the whole sheet ----


def test_a_row_for_each_task_and_a_column_for_each_difficulty() -> None:
    tasks = chosen_tasks(["shape"])
    assert [task.maker for task in tasks] == ["make_shapes"]
    page = contact_sheet(tasks * 2, SHEET, split="held_out", difficulties=(0.1, 1.0), seed=1, assets=Assets.open())
    assert page.width == 2 * 300 + preview.GAP
    again = contact_sheet(tasks * 2, SHEET, split="held_out", difficulties=(0.1, 1.0), seed=1, assets=Assets.open())
    assert page.tobytes() == again.tobytes()
    other = contact_sheet(tasks * 2, SHEET, split="held_out", difficulties=(0.1, 1.0), seed=2, assets=Assets.open())
    assert page.tobytes() != other.tobytes()


@settings(deadline=None)
@given(st.sets(st.sampled_from([task.name for task in TASKS] + [task.group for task in TASKS]), min_size=1))
def test_tasks_are_chosen_by_group_and_by_name(wanted: set[str]) -> None:
    assert all({task.group, task.name} & wanted for task in chosen_tasks(sorted(wanted)))


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(SystemExit, match=r"--tasks: poems; allowed: .*bill"):
        chosen_tasks(["line", "poems"])


def test_the_command_writes_a_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    recipe(["preview", str(out), "--tasks", "shape", "shape-clip", "--difficulties", "0.5", "--width", "200"])
    with Image.open(out) as picture:
        assert picture.width == 200
        assert f"{out}: 200x{picture.height}" in capsys.readouterr().out


def test_a_task_whose_pack_is_not_built_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "packs"
    empty.mkdir()
    monkeypatch.setattr(preview, "opened_assets", lambda folder: Assets.open(empty))
    main([str(tmp_path / "sheet.png"), "--tasks", "shape", "flag", "--difficulties", "0.1"])
    assert "left out: thing flag" in capsys.readouterr().out


# ---- the list of commands ----


def test_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    recipe([])
    assert capsys.readouterr().out.strip() == listed()
    assert all(name in listed() for name in COMMANDS)


def test_a_command_that_is_none() -> None:
    with pytest.raises(SystemExit, match="no command 'dance'; allowed: pack, preview"):
        recipe(["dance"])
