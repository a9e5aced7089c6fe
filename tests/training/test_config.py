"""The configuration file: every key read, every mistake named."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from anyres.errors import OptionError
from anyres.training.config import (
    DataConfig,
    OptimiserConfig,
    SavesConfig,
    ScheduleConfig,
    StepConfig,
    TrainingConfig,
    changed_keys,
    read_config,
)

WHOLE = """
out = "runs/a"
model = "org/name"
epochs = 2
seed = 3
device = "cpu"
log_every = 5

[data]
files = ["a.jsonl", "b.json"]
media_folder = "pictures"
max_pixels = 100_352
shuffle = false
max_rejected = 0.1
workers = 4
look_ahead = 32
learn_newline = false

[step]
tokens = 2048
patches = 4096
packs = 8
threads = 2
precision = "bf16"

[optimiser]
kind = "muon"
lr = 1e-4
vision_lr = 2e-5
merger_lr = 1
auxiliary_lr = 1e-3
muon_lr = 0.02
momentum = 0.9
betas = [0.8, 0.9]
eps = 1e-6
weight_decay = 0.1
clip = 0
ema = 0.99
freeze = ["vision"]

[schedule]
shape = "linear"
warmup_steps = 10
decay = 0.2
floor = 0.01

[saves]
every_steps = 7
every_minutes = 1.5
keep = 3
dtype = "float32"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, WHOLE)) == TrainingConfig(
        out="runs/a",
        model="org/name",
        epochs=2.0,
        seed=3,
        device="cpu",
        log_every=5,
        data=DataConfig(("a.jsonl", "b.json"), "pictures", 100_352, False, 0.1, 4, 32, False),
        step=StepConfig(2048, 4096, 8, 2, "bf16"),
        optimiser=OptimiserConfig(
            "muon", 1e-4, 2e-5, 1.0, 1e-3, 0.02, 0.9, (0.8, 0.9), 1e-6, 0.1, 0.0, 0.99, ("vision",)
        ),
        schedule=ScheduleConfig("linear", 10, 0.2, 0.01),
        saves=SavesConfig(7, 1.5, 3, "float32"),
    )


def test_the_shortest_file(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, 'out = "a"\nsteps = 1')) == TrainingConfig(out="a", steps=1)


def test_every_key_is_documented() -> None:
    words = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    for name, value in asdict(TrainingConfig(out="a", steps=1)).items():
        for key in value if isinstance(value, dict) else [name]:
            assert f"`{key}`" in words, key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("outt = 1", "outt: an unknown key; allowed: out, model, steps"),
        ("[data]\nfile = []", "data.file: an unknown key; allowed: files, media_folder"),
        ("[optimizer]\nlr = 1", "optimizer: an unknown key"),
        ("[optimiser]\nlearning_rate = 1e-4", "optimiser.learning_rate: an unknown key; allowed: kind, lr"),
        ("data = 3", r"data: 3; allowed: a table, \[data\]"),
        ("[optimiser]\nlr = '1e-4'", "optimiser.lr: '1e-4'; allowed: a number"),
        ("[optimiser]\nlr = true", "optimiser.lr: True; allowed: a number"),
        ("[optimiser]\nlr = 0", "optimiser.lr: 0.0; allowed: a number above 0"),
        ("[optimiser]\nlr = -1", "optimiser.lr"),
        ("[optimiser]\nlr = nan", "optimiser.lr"),
        ("[optimiser]\nlr = inf", "optimiser.lr"),
        ("[optimiser]\nbetas = [0.9]", "optimiser.betas.*a list of 2"),
        ("[optimiser]\nbetas = [0.9, 1.0]", "optimiser.betas"),
        ("[optimiser]\nema = 1", "optimiser.ema"),
        ("[optimiser]\nkind = 'sgd'", "optimiser.kind: 'sgd'; allowed: adamw or muon"),
        ("[optimiser]\nfreeze = ['vit']", "'vit'; allowed: vision or merger or language"),
        ("[optimiser]\nfreeze = ['vision', 'merger', 'language']", "every part"),
        ("[optimiser]\nfreeze = 'vision'", "a list of texts"),
        ("[data]\nfiles = [1]", "data.files: 1; allowed: a text"),
        ("[data]\nworkers = -1", "data.workers"),
        ("[data]\nworkers = 1.5", "a whole number"),
        ("[data]\nshuffle = 1", "true or false"),
        ("[data]\nmax_rejected = 1.5", "from 0 to 1"),
        ("[data]\nmax_pixels = 0", "data.max_pixels"),
        ("[step]\ntokens = 0", "step.tokens"),
        ("[step]\nprecision = 'fp8'", "auto or fp32 or bf16"),
        ("[schedule]\ndecay = 2", "schedule.decay"),
        ("[saves]\nkeep = 0", "saves.keep"),
        ("seed = -1", "seed"),
        ("log_every = 0", "log_every"),
        ("epochs = 2", "steps and epochs; allowed: exactly one"),
        ("steps = 1\n", "no TOML"),
        ("x = [", "no TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        read_config(write(tmp_path, f'out = "a"\nsteps = 1\n{text}'))
    assert "train.toml" in caught.value.item


@pytest.mark.parametrize(
    ("text", "words"),
    [("steps = 1", "out: missing"), ('out = "a"', "none of them"), ('out = "a"\nsteps = 0', "above 0")],
)
def test_what_is_missing_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        read_config(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="No such file"):
        read_config(tmp_path / "train.toml")
    (tmp_path / "train.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="no TOML"):
        read_config(tmp_path / "train.toml")


def test_what_may_change_when_a_run_goes_on() -> None:
    old = TrainingConfig(out="a", steps=1)
    longer = TrainingConfig(
        out="b",
        minutes=3,
        device="cuda",
        data=DataConfig(workers=9),
        step=StepConfig(threads=3),
        optimiser=OptimiserConfig(lr=1.0, clip=0.0),
        schedule=ScheduleConfig(decay=0.0),
        saves=SavesConfig(keep=9),
    )
    assert changed_keys(asdict(old), asdict(longer)) == []
    other = replace(
        old,
        seed=1,
        data=DataConfig(look_ahead=3),
        step=StepConfig(tokens=7, precision="fp32"),
        optimiser=OptimiserConfig(kind="muon", ema=0.5),
    )
    changed = ["data.look_ahead", "optimiser.ema", "optimiser.kind", "seed", "step.precision", "step.tokens"]
    assert changed_keys(asdict(old), asdict(other)) == changed
