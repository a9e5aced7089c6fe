"""A tiny random checkpoint, examples that need no files, and a trainer on both."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.errors import MediaError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from anyres.processing.image import normalise_table
from anyres.processing.processor import Processor
from anyres.training.config import DataConfig, OptimiserConfig, SavesConfig, StepConfig, TrainingConfig
from anyres.training.packing import PackedBatch, collate
from anyres.training.supervision import TrainingExample, TrainingSample, supervise
from anyres.training.trainer import Figures, Trainer
from tests.engine.conftest import write_checkpoint

COLOURS = {"red": (230, 20, 20), "green": (20, 200, 30), "blue": (20, 40, 230), "white": (250, 250, 250)}


@dataclass(frozen=True)
class Squares:
    """Pictures of one colour, of several sizes, without files: what colour is it? Number `broken` cannot be read."""

    length: int | None = 24
    broken: int = -1
    sizes: tuple[int, ...] = (28, 56, 84)

    def example(self, index: int) -> TrainingExample:
        if index == self.broken:
            raise MediaError(f"square{index}", "no such file", "a picture")
        rng = np.random.default_rng(index)
        colour = list(COLOURS)[index % len(COLOURS)]
        height, width = (int(side) for side in rng.choice(self.sizes, 2))
        picture = np.clip(np.array(COLOURS[colour]) + rng.integers(-20, 20, (height, width, 3)), 0, 255)
        parts = [ImagePart(picture.astype(np.uint8)), TextPart("Colour?")]
        return TrainingExample(
            f"square{index}",
            (Message("system", ""), Message("user", parts), Message("assistant", colour)),
            extras=index,
        )


def mixed_examples() -> list[TrainingExample]:
    """Text alone, one picture, two unequal ones, a clip, several turns."""
    rng = np.random.default_rng(5)
    grey = [rng.integers(0, 255, (28 * h, 28 * w, 3), dtype=np.uint8) for h, w in ((1, 1), (2, 3), (1, 4), (2, 2))]
    asked: list[tuple[Message, ...]] = [
        (Message("system", ""), Message("user", "hi"), Message("assistant", "hello there")),
        (Message("user", [ImagePart(grey[0]), TextPart("What?")]), Message("assistant", "a")),
        (
            Message("user", [ImagePart(grey[1]), TextPart(" and "), ImagePart(grey[2])]),
            Message("assistant", "two of it"),
        ),
        (Message("user", [VideoPart([grey[3]] * 4), TextPart("Moves?")]), Message("assistant", "no")),
        (
            Message("system", "Be brief."),
            Message("user", "1+1?"),
            Message("assistant", "2"),
            Message("user", [TextPart("this? "), ImagePart(grey[3])]),
            Message("assistant", "grey"),
        ),
    ]
    return [TrainingExample(f"mixed{i}", messages, extras=i) for i, messages in enumerate(asked)]


def weights_hash(model: torch.nn.Module) -> str:
    """Of every bit of every weight."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("start"), max_new_tokens=8)


@pytest.fixture(scope="session")
def processor(folder: Path) -> Processor:
    return Processor.from_folder(folder)


@pytest.fixture
def model(folder: Path) -> Qwen2VL:
    return load_model(folder, dtype=torch.float32)


@pytest.fixture(scope="session")
def samples(processor: Processor) -> list[TrainingSample]:
    return [supervise(one, processor) for one in mixed_examples()]


@pytest.fixture(scope="session")
def pack(processor: Processor) -> Callable[..., PackedBatch]:
    table_CV = normalise_table(processor.image_config)
    return lambda *samples: collate(samples, normalise_CV=table_CV)


def config_of(out: Path, **changes: Any) -> TrainingConfig:
    """Three samples or so a pack, float32, no processes; changes by the names of fields, whatever their table."""
    limits = {name: changes.pop(name) for name in ("steps", "epochs", "minutes") if name in changes} or {"steps": 4}
    config = TrainingConfig(
        out=str(out),
        device="cpu",
        log_every=1,
        data=DataConfig(workers=0, look_ahead=6),
        step=StepConfig(tokens=100, patches=120, precision="fp32"),
        optimiser=OptimiserConfig(lr=1e-3),
        saves=SavesConfig(every_steps=0),
        **limits,
    )
    for name, value in changes.items():
        for table in ("data", "step", "optimiser", "schedule", "saves"):
            if hasattr(getattr(config, table), name):
                config = replace(config, **{table: replace(getattr(config, table), **{name: value})})
                break
        else:
            config = replace(config, **{name: value})
    return config


@pytest.fixture
def make_trainer(folder: Path, tmp_path: Path) -> Callable[..., Trainer]:
    """A trainer from the checkpoint's weights, in `out` below the test's folder."""

    def make(
        *, out: str = "run", source: Any = None, auxiliary: Any = None, tapped_layer: int | None = None, **changes: Any
    ) -> Trainer:
        return Trainer(
            load_model(folder, dtype=torch.float32),
            folder=folder,
            source=source or Squares(),
            config=config_of(tmp_path / out, **changes),
            auxiliary=auxiliary,
            tapped_layer=tapped_layer,
        )

    return make


def run_of(trainer: Trainer) -> list[Figures]:
    """All steps of a run."""
    steps: list[Figures] = []
    trainer.run(on_step=steps.append)
    return steps
