"""The picture of a run's curves."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anyres.errors import DatasetError
from recipes.tiny.__main__ import main as recipe
from recipes.tiny.curve import draw, number, panels, read_curve, smoothed

RUN = """step,loss,names_loss,told line,level line,level shape,samples,seconds,valid line,valid shape,valid seconds
10,3.5,1.5,,,,100,5,,,
20,2.5,1.2,0.5,0.02,0.02,200,9,0.25,0.5,3
30,1.5,,,,,300,14,,,
40,1.25,0.9,0.7,0.04,0.01,400,20,0.5,0.75,3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "curve.csv").write_text(RUN)
    return tmp_path


def test_columns_are_read_with_their_gaps(folder: Path) -> None:
    curve = read_curve(folder)
    assert curve == read_curve(folder / "curve.csv") or math.isnan(curve["valid line"][0])
    assert curve["samples"] == [100, 200, 300, 400]
    assert curve["valid line"][1::2] == [0.25, 0.5]
    assert math.isnan(curve["valid line"][0])


def test_panels_of_a_run(folder: Path) -> None:
    found = {panel.title.split()[0]: panel.columns for panel in panels(read_curve(folder))}
    assert found == {
        "loss": ("loss", "names_loss"),
        "right": ("valid line", "valid shape"),
        "tokens": ("told line",),
        "level": ("level line", "level shape"),
    }


def test_what_is_drawn(folder: Path) -> None:
    figure = draw(read_curve(folder), title="a run")
    losses, valid, _, levels = figure.axes
    assert losses.get_yscale() == "log"
    line = next(one for one in valid.lines if one.get_label() == "line")
    assert line.get_xydata().tolist() == [[200, 0.25], [400, 0.5]]
    assert valid.get_ylim()[0] == 0
    assert [text.get_text() for text in levels.get_legend().get_texts()] == ["line", "shape"]
    smooth = next(one for one in losses.lines if one.get_label() == "loss")
    assert smooth.get_ydata().tolist() == pytest.approx([3.5, 3.0, 2.5, 2.1875])


def test_the_command_writes_a_png(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "curve.png"
    recipe(["curve", str(folder), str(out)])
    with Image.open(out) as picture:
        assert picture.height > picture.width
    assert capsys.readouterr().out.strip() == str(out)


@pytest.mark.parametrize(("text", "said"), [(None, "no such file"), ("", "no rows"), ("step,loss\n", "no rows")])
def test_nothing_to_draw_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "curve.csv").write_text(text)
    with pytest.raises(DatasetError, match=said):
        read_curve(tmp_path)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 9))
def test_smoothing_keeps_length_and_bounds(values: list[float], window: int) -> None:
    told = smoothed(values, window)
    assert len(told) == len(values)
    assert all(min(values) - 1e-6 <= value <= max(values) + 1e-6 for value in told)
    assert told[0] == values[0]


@given(st.one_of(st.floats(allow_nan=False), st.text()))
def test_cells_that_are_no_numbers_are_gaps(value: object) -> None:
    assert isinstance(number(str(value)), float)
