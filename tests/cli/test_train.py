"""`anyres train`: from a file of rows to a checkpoint that answers."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.cli import train as train_module
from anyres.cli.signals import Signals
from anyres.training.trainer import Figures, Trainer
from tests.cli.conftest import Run
from tests.cli.test_ask import Screen

COLOURS = ("red", "green", "blue")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six rows: colours of squares, the fourth without its picture, the fifth damaged."""
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (60, 56 + 10 * number), colour).save(tmp_path / f"{colour}.png")
    lines = [row(f"{colour}.png", colour) for colour in COLOURS]
    lines += [row("gone.png", "red"), row("red.png", "red")[:-3], row("blue.png", "blue")]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def row(picture: str, answer: str) -> str:
    turns = [{"from": "human", "value": "<image>Colour?"}, {"from": "gpt", "value": answer}]
    return json.dumps({"conversations": turns, "images": [picture]})


def write_config(data: Path, checkpoint: Path, *, steps: int = 3, extra: str = "", max_rejected: float = 0.5) -> Path:
    path = data.with_name("train.toml")
    path.write_text(
        f'model = "{checkpoint}"\nout = "{data.with_name("run")}"\nsteps = {steps}\nlog_every = 1\n'
        f'device = "cpu"\n{extra}\n'
        f'[data]\nfiles = ["{data}"]\nworkers = 0\nlook_ahead = 4\nmax_rejected = {max_rejected}\n'
        '[step]\ntokens = 128\npatches = 128\nprecision = "fp32"\n[optimiser]\nlr = 1e-3\n'
    )
    return path


def test_it_trains_and_the_result_answers(data: Path, checkpoint: Path, run: Run) -> None:
    result = run("train", write_config(data, checkpoint))
    assert result.exit_code == 0, result.stderr
    folder = Path(result.stdout.strip())
    assert folder == data.parent / "run" / "step-00000003"
    assert "step 1  loss " in result.stderr
    assert "samples/s" in result.stderr
    assert f"samples could not be used: see {data.parent}" in result.stderr
    reasons = [json.loads(line) for line in (data.parent / "run" / "rejected.jsonl").read_text().splitlines()]
    assert {one["name"]: one["error"] for one in reasons} == {"rows.jsonl:4": "MediaError", "row 4": "DatasetError"}
    assert "rows.jsonl:5: no JSON" in next(one["reason"] for one in reasons if one["row"] == 4)
    answer = run("ask", data.with_name("red.png"), "Colour?", "--model", folder, "--max-tokens", "4")
    assert answer.exit_code == 0, answer.stderr


def test_the_same_command_goes_on(data: Path, checkpoint: Path, run: Run) -> None:
    assert run("train", write_config(data, checkpoint)).exit_code == 0
    again = run("train", write_config(data, checkpoint), "--json")
    assert json.loads(again.stdout)["steps"] == 3
    result = run("train", write_config(data, checkpoint, steps=5), "--json", "--quiet")
    shown = json.loads(result.stdout)
    assert shown["path"].endswith("step-00000005")
    assert shown["steps"] == 5
    assert shown["samples"] > 5
    assert result.stderr == ""
    assert sorted(path.name for path in (data.parent / "run").glob("step-*")) == ["step-00000003", "step-00000005"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("stepps = 3", "stepps: an unknown key; allowed: out, model"),
        ("seed = -3", "seed: -3"),
        ("epochs = 1", "exactly one"),
    ],
)
def test_bad_configuration_is_one_line(data: Path, checkpoint: Path, run: Run, extra: str, words: str) -> None:
    result = run("train", write_config(data, checkpoint, extra=extra))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_missing_files_are_one_line(tmp_path: Path, data: Path, checkpoint: Path, run: Run) -> None:
    result = run("train", tmp_path / "none.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "none.toml" in result.stderr
    config = write_config(data, checkpoint)
    data.unlink()
    result = run("train", config)
    assert result.exit_code == 2
    assert "rows.jsonl: cannot be read" in result.stderr


def test_too_many_bad_rows_are_one_line(data: Path, checkpoint: Path, run: Run) -> None:
    result = run("train", write_config(data, checkpoint, max_rejected=0.0), "--quiet")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "rows cannot be used, see" in result.stderr
    assert "data.max_rejected" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step_and_saves(
    data: Path, checkpoint: Path, run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    original = Trainer.train_step

    def interrupted(self: Trainer, *arguments: Any) -> Figures:
        if self.progress.step == 1:
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    before = signal.getsignal(number)
    result = run("train", write_config(data, checkpoint, steps=500))
    assert result.exit_code == 130
    assert result.stdout.strip().endswith("step-00000002")
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait() -> None:
    signals = Signals()
    signals._note(signal.SIGINT, None)
    assert signals.came
    with pytest.raises(KeyboardInterrupt):
        signals._note(signal.SIGINT, None)


def test_a_terminal_gets_a_bar(data: Path, checkpoint: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen)
    trainer = train_module._trainer(write_config(data, checkpoint))
    with train_module._progress(trainer, quiet=False) as show:
        trainer.run(on_step=show)
    assert "step 3  loss " in screen.getvalue()
    assert "100%" in screen.getvalue()
    assert "left" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (360_000, "100:00:00")]
)
def test_time_left(seconds: float, shown: str) -> None:
    assert train_module._clock(seconds) == shown
