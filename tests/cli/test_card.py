"""`anyres card`: the embedded checkpoint's, and folders with half a card."""

import json
from pathlib import Path

import pytest

from anyres.cli.card import read_card
from anyres.errors import CheckpointError
from anyres.model.hub import resolve
from tests.cli.conftest import Run

ROWS = [
    {"task": "line", "language": "zh", "figure": 0.9712, "target": 0.97, "readers": {"tesseract": 0.5}, "samples": 60},
    {"task": "\x1b[2Jbox[red]", "language": "", "figure": 1, "target": None, "readers": {}, "samples": 1200},
]


@pytest.fixture
def folder(tmp_path: Path, checkpoint: Path) -> Path:
    """A checkpoint with a card of two rows."""
    for file in checkpoint.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "card.json").write_text(json.dumps({"rows": ROWS, "notes": "Trained on\ntwo cores.\n"}))
    return tmp_path


def test_the_embedded_checkpoint_has_a_card(run: Run) -> None:
    lines = run("card").stdout.splitlines()
    rows = json.loads((resolve(None) / "card.json").read_text())["rows"]
    assert lines[0].split() == ["what", "target", "figure", "blind", "commonest", *rows[0]["readers"]]
    for row, line in zip(rows, lines[1:], strict=False):
        assert line.startswith(row["name"])
        assert f"{100 * row['figure']:.1f} %" in line
    assert "two shared CPU cores" in " ".join(lines)


def test_as_json(run: Run) -> None:
    assert json.loads(run("card", "--json").stdout) == json.loads((resolve(None) / "card.json").read_text())
    assert run("card", "tiny", "--json").stdout == run("card", "--json").stdout


def test_a_table_of_all_columns(run: Run, folder: Path) -> None:
    lines = run("card", folder).stdout.splitlines()
    assert lines[0].split() == ["what", "language", "figure", "target", "samples", "tesseract"]
    assert lines[1].split() == ["line", "zh", "97.1", "%", "97.0", "%", "60", "50.0", "%"]
    assert lines[2].split() == ["\\x1b[2Jbox[red]", "-", "100.0", "%", "-", "1200", "-"]
    assert lines[3:] == ["", "Trained on", "two cores."]


def test_a_text_serves_where_there_is_no_json(run: Run, folder: Path) -> None:
    (folder / "card.json").unlink()
    (folder / "CARD.md").write_text("# Card\x1b[2J\n\nGood.\n")
    assert run("card", folder).stdout == "# Card\\x1b[2J\n\nGood.\n"
    result = run("card", folder, "--json")
    assert result.exit_code == 2
    assert "no card" in result.stderr


def test_no_card_at_all(run: Run, checkpoint: Path) -> None:
    result = run("card", checkpoint)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"anyres: {checkpoint}: no card; allowed: a folder with card.json or CARD.md\n"


def test_no_such_model(run: Run, tmp_path: Path) -> None:
    result = run("card", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "rows"),
        (b"{}", "rows"),
        (b'{"rows": [1]}', "rows"),
        (b'{"rows": [{}]}', "rows"),
        (b'{"rows": {"a": 1}}', "rows"),
    ],
)
def test_a_damaged_card_is_named(text: bytes, said: str, folder: Path, run: Run) -> None:
    (folder / "card.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=said):
        read_card(folder)
    result = run("card", folder)
    assert result.exit_code == 2
    assert "card.json" in result.stderr
    assert result.stderr.count("\n") == 1


def test_values_of_other_kinds_are_shown(run: Run, folder: Path) -> None:
    (folder / "card.json").write_text('{"rows": [{"name": "a", "interval": [0.1, 0.2], "done": true}]}')
    assert run("card", folder).stdout.splitlines()[1].split() == ["a", "[0.1,", "0.2]", "True"]
