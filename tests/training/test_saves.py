"""Saves that crashes cannot damage, and runs that go on as if nothing had happened."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import anyres
from anyres.errors import CheckpointError, OptionError
from anyres.training import saves
from anyres.training.saves import complete_saves, save
from anyres.training.trainer import Trainer
from tests.training.conftest import Squares, run_of, weights_hash

Make = Callable[..., Trainer]


def write_two(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"a" * 1000)
    (folder / "b.json").write_text("{}")


def names(folder: Path) -> list[str]:
    return [path.name for path in complete_saves(folder)]


def test_saves_are_kept_up_to_a_number(tmp_path: Path) -> None:
    for step in (5, 10, 99_999_999, 100_000_001):
        made = save(tmp_path, step, write_two, keep=2)
        assert made.is_dir()
    assert names(tmp_path) == ["step-99999999", "step-100000001"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-100000001", "step-99999999"]


@pytest.mark.parametrize("damage", ["mark", "missing", "short", "garbage"])
def test_a_damaged_save_is_passed_over(tmp_path: Path, damage: str) -> None:
    for step in (1, 2):
        save(tmp_path, step, write_two, keep=5)
    newest = tmp_path / "step-00000002"
    if damage == "mark":
        (newest / "COMPLETE").unlink()
    elif damage == "missing":
        (newest / "a.bin").unlink()
    elif damage == "short":
        (newest / "a.bin").write_bytes(b"a" * 999)
    else:
        (newest / "COMPLETE").write_bytes(b"{")
    assert names(tmp_path) == ["step-00000001"]


class CrashError(Exception):
    """The moment at which the power fails."""


def test_a_crash_at_any_moment_leaves_a_whole_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes at the n-th change of the disk, for every n, while step 3 is saved and step 1 deleted."""
    happened = []
    for moment in range(30):
        folder = tmp_path / str(moment)
        for step in (1, 2):
            save(folder, step, write_two, keep=2)
        crashed = crash_at(moment, lambda folder=folder: save(folder, 3, write_two, keep=2), monkeypatch)
        happened.append(crashed)
        newest = names(folder)[-1]
        assert newest in ("step-00000002", "step-00000003")
        assert (folder / newest / "a.bin").stat().st_size == 1000
        save(folder, 4, write_two, keep=2)
        assert names(folder)[-1] == "step-00000004"
        assert not list(folder.glob(".saving-*"))
    assert happened[0]
    assert not happened[-1]
    assert sum(happened) > 8  # files written, synced and removed, folders renamed


def crash_at(moment: int, action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    left = [moment]

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for place, name in ((os, "fsync"), (os, "unlink"), (os, "rmdir"), (Path, "mkdir"), (Path, "rename")):
            patched.setattr(place, name, counted(getattr(place, name)))
        for name in ("write_bytes", "write_text", "unlink"):
            patched.setattr(Path, name, counted(getattr(Path, name)))
        try:
            action()
        except CrashError:
            return True
    return False


def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    save(tmp_path, 1, write_two, keep=1)
    with pytest.raises(CheckpointError, match="No space left"):
        save(tmp_path, 2, full, keep=1)
    assert names(tmp_path) == ["step-00000001"]


def test_every_file_is_synced_before_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(saves, "_sync", lambda path: synced.append(path.name))
    save(tmp_path, 1, write_two, keep=1)
    assert synced == ["a.bin", "b.json", "COMPLETE", ".saving-step-00000001", tmp_path.name]


OPTIONS = {"kind": "muon", "ema": 0.9, "packs": 2, "warmup_steps": 2, "weight_decay": 0.1, "log_every": 2}


def test_resume_is_bitwise(make_trainer: Make, tmp_path: Path) -> None:
    """Seven steps in one sitting, and in three: the same samples, losses, weights, averages, curves and reports."""
    source = Squares(length=20, broken=3)
    whole = make_trainer(out="whole", source=source, steps=7, **OPTIONS)
    expected = run_of(whole)
    torch.manual_seed(99)  # a new process starts with other random numbers
    steps = []
    for until in (3, 4, 7):
        part = make_trainer(out="parts", source=source, steps=7, **OPTIONS)
        part.run(on_step=steps.append, stop=lambda part=part, until=until: part.progress.step == until)
    assert steps == expected
    assert weights_hash(part.model) == weights_hash(whole.model)
    assert part.average is not None
    assert whole.average is not None
    assert all(torch.equal(one, whole.average.tensors[name]) for name, one in part.average.tensors.items())
    assert part.data_state == whole.data_state
    timeless = re.compile(r"(?<=,)\d+\.\d+(e-\d+)?")
    for name in ("curve.csv", "rejected.jsonl"):
        one, other = ((tmp_path / run / name).read_text().splitlines() for run in ("parts", "whole"))
        assert len(one) == len(other)
        assert [timeless.sub("", line)[:20] for line in one] == [timeless.sub("", line)[:20] for line in other]


def test_a_save_is_a_checkpoint_with_all_its_files(make_trainer: Make, folder: Path, tmp_path: Path) -> None:
    make_trainer(steps=2, dtype="bfloat16").run()
    made = tmp_path / "run" / "step-00000002"
    held = {path.name for path in made.iterdir()}
    assert held == {
        "COMPLETE",
        "config.json",
        "model.safetensors",
        "training_state.pt",
        *(p.name for p in folder.iterdir()),
    }
    assert json.loads((made / "config.json").read_text())["torch_dtype"] == "bfloat16"
    chat = anyres.load(made, device="cpu")
    assert chat.model.dtype == torch.bfloat16
    assert chat.chat([anyres.Message("user", "hi")]).finish_reason in ("stop", "length")


def test_another_run_in_the_same_folder_is_refused(make_trainer: Make) -> None:
    make_trainer(steps=1).run()
    with pytest.raises(OptionError, match=r"optimiser\.kind, seed: not as in .*step-00000001"):
        make_trainer(steps=2, seed=5, kind="muon")
    with pytest.raises(OptionError, match="25 rows; allowed: 24 rows"):
        make_trainer(steps=2, source=Squares(length=25))
    assert make_trainer(steps=2, lr=0.5).progress.step == 1


def test_a_new_rate_counts_when_a_run_goes_on(make_trainer: Make) -> None:
    make_trainer(steps=1, lr=1e-3, decay=0.0).run()
    trainer = make_trainer(steps=2, lr=5e-4, decay=0.0)
    trainer.run()
    assert set(trainer.optimiser.rates().values()) == {5e-4}


def test_a_state_that_is_no_state_is_told(make_trainer: Make, tmp_path: Path) -> None:
    make_trainer(steps=1).run()
    path = tmp_path / "run" / "step-00000001" / "training_state.pt"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(CheckpointError, match=r"training_state\.pt"):
        make_trainer(steps=2)


KILLED = """
import sys
from pathlib import Path
import torch
from anyres.model.weights import load_model
from anyres.training.trainer import Trainer
from tests.training.conftest import Squares, config_of
torch.set_num_threads(1)
folder, out = map(Path, sys.argv[1:])
config = config_of(out, steps=400, every_steps=1, keep=2, ema=0.9, decay=0.0)
trainer = Trainer(load_model(folder, dtype=torch.float32), folder=folder, source=Squares(), config=config)
trainer.run(on_step=lambda figures: print(figures.step, *figures.names, flush=True))
"""


def test_kill_9_loses_nothing_that_was_saved_and_repeats_no_sample(
    make_trainer: Make, folder: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(tmp_path / "killed")],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    time.sleep(0.013)  # somewhere in a step or a save
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    done = {int(step): samples for step, *samples in (line.split() for line in lines)}
    saved = int(complete_saves(tmp_path / "killed")[-1].name[5:])
    assert max(done) - 1 <= saved <= max(done)  # a save follows each step at once
    last = saved + 3
    resumed = make_trainer(out="killed", steps=last, every_steps=1, keep=2, ema=0.9, decay=0.0)
    after = {figures.step: list(figures.names) for figures in run_of(resumed)}
    assert min(after) == saved + 1
    whole = make_trainer(out="whole", steps=last, ema=0.9, decay=0.0)
    expected = {figures.step: list(figures.names) for figures in run_of(whole)}
    assert {step: done[step] for step in range(1, saved + 1)} | after == expected
    assert weights_hash(resumed.model) == weights_hash(whole.model)
    rows = (tmp_path / "killed" / "curve.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(1, last + 1))
