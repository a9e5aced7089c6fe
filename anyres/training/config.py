"""What a run is told: a TOML file with the tables below, read into frozen dataclasses.

Every key has a default except `out`, one limit (`steps`, `epochs` or `minutes`), and where the data is. An unknown key
is an error that names the known ones: a misspelt learning rate must not train for a night at the default.
"""

import dataclasses
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from anyres.errors import OptionError

__all__ = [
    "DataConfig",
    "OptimiserConfig",
    "SavesConfig",
    "ScheduleConfig",
    "StepConfig",
    "TrainingConfig",
    "changed_keys",
    "read_config",
]

PARTS = ("vision", "merger", "language")


@dataclass(frozen=True)
class DataConfig:
    """`[data]`. Files are JSON or JSONL; relative pictures are looked for in `media_folder`, else beside their file.

    `max_rejected` is the share of rows that may be bad; `look_ahead` how many samples wait to be packed.
    """

    files: tuple[str, ...] = ()
    media_folder: str = ""
    max_pixels: int | None = None
    shuffle: bool = True
    max_rejected: float = 0.05
    workers: int = 2
    look_ahead: int = 64
    learn_newline: bool = True

    def __post_init__(self) -> None:
        _at_least("data.max_pixels", self.max_pixels, 1)
        _at_least("data.workers", self.workers, 0)
        _at_least("data.look_ahead", self.look_ahead, 1)
        _within("data.max_rejected", self.max_rejected, 0, 1)


@dataclass(frozen=True)
class StepConfig:
    """`[step]`: the budgets of a pack, how many packs make a step, and in which numbers they are computed.

    `threads` above 0 computes that many packs at once on a CPU, each on one core. `precision` "auto" is bf16 on a GPU,
    and on a CPU what is measured to multiply faster.
    """

    tokens: int = 4096
    patches: int = 8192
    packs: int = 1
    threads: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        for name in ("tokens", "patches", "packs"):
            _at_least(f"step.{name}", getattr(self, name), 1)
        _at_least("step.threads", self.threads, 0)


@dataclass(frozen=True)
class OptimiserConfig:
    """`[optimiser]`. A part without a rate of its own has `lr`; `freeze` names parts that do not learn.

    With kind "muon" the matrices of the layers go to Muon at `muon_lr`, times a part's rate over `lr`. Weight decay is
    for matrices only. `ema` 0 keeps no average of the weights, `clip` 0 clips no gradient.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    lr: float = 1e-5
    vision_lr: float | None = None
    merger_lr: float | None = None
    auxiliary_lr: float | None = None
    muon_lr: float = 0.01
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lr", "vision_lr", "merger_lr", "auxiliary_lr", "muon_lr", "eps", "weight_decay", "clip"):
            _at_least(f"optimiser.{name}", getattr(self, name), 0)
        _require(self.lr > 0, "optimiser.lr", str(self.lr), "a number above 0")
        for name, value in (("momentum", self.momentum), ("ema", self.ema), ("betas", max(self.betas))):
            _require(0 <= value < 1, f"optimiser.{name}", str(value), "0 or more, below 1")
        for part in self.freeze:
            _require(part in PARTS, "optimiser.freeze", repr(part), " or ".join(PARTS))
        _require(set(self.freeze) != set(PARTS), "optimiser.freeze", "every part", "at least one part that learns")


@dataclass(frozen=True)
class ScheduleConfig:
    """`[schedule]`: the rate rises over `warmup_steps`, stays, and falls in the last share `decay` of the run.

    decay = 1 falls all the way (the cosine of transformers); decay = 0 is a constant rate; shape "linear" with
    decay = 0.2 stays constant and falls in the last fifth. `floor` is the share of the rate that is left at the end.
    In `auxiliary_steps` first, before the warm-up, only an auxiliary module learns, if the caller gave one: a fresh one
    beside a model that knows something would spoil it.
    """

    shape: Literal["cosine", "linear"] = "cosine"
    warmup_steps: int = 0
    decay: float = 1.0
    floor: float = 0.0
    auxiliary_steps: int = 0

    def __post_init__(self) -> None:
        _at_least("schedule.warmup_steps", self.warmup_steps, 0)
        _at_least("schedule.auxiliary_steps", self.auxiliary_steps, 0)
        _within("schedule.decay", self.decay, 0, 1)
        _within("schedule.floor", self.floor, 0, 1)


@dataclass(frozen=True)
class SavesConfig:
    """`[saves]`: a save after every so many steps or minutes (0 = not by that), and how many are kept.

    `dtype` is that of the weights for inference; training goes on from float32 in any case.
    """

    every_steps: int = 500
    every_minutes: float = 0.0
    keep: int = 2
    dtype: Literal["checkpoint", "float32", "bfloat16", "float16"] = "checkpoint"

    def __post_init__(self) -> None:
        _at_least("saves.every_steps", self.every_steps, 0)
        _at_least("saves.every_minutes", self.every_minutes, 0)
        _at_least("saves.keep", self.keep, 1)


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run. `model` is what `anyres.load` takes; `out` the folder of saves, curves and reports."""

    out: str = ""
    model: str = "tiny"
    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    log_every: int = 10
    data: DataConfig = field(default_factory=DataConfig)
    step: StepConfig = field(default_factory=StepConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    saves: SavesConfig = field(default_factory=SavesConfig)

    def __post_init__(self) -> None:
        _require(self.out != "", "out", "missing", "the folder of the run")
        limits = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        seen = " and ".join(limits) or "none of them"
        _require(len(limits) == 1, "steps, epochs, minutes", seen, "exactly one of them")
        positive = getattr(self, limits[0]) > 0
        _require(positive, limits[0], str(getattr(self, limits[0])), "a number above 0")
        _at_least("log_every", self.log_every, 1)
        _at_least("seed", self.seed, 0)


# What may differ when a run goes on: how long and how fast, not what it learns from and in which order.
CHANGEABLE = {
    *("out", "steps", "epochs", "minutes", "device", "log_every", "saves", "schedule"),
    *("data.workers", "data.max_rejected", "data.media_folder", "step.threads", "optimiser.lr", "optimiser.vision_lr"),
    *("optimiser.merger_lr", "optimiser.auxiliary_lr", "optimiser.muon_lr", "optimiser.clip", "model"),
}


def read_config(path: Path) -> TrainingConfig:
    """The configuration in a TOML file; OptionError names the key that is unknown, missing or out of range."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(str(path), f"cannot be read ({error.strerror})", "a TOML file") from None
    except ValueError as error:  # damaged TOML, or bytes that are no UTF-8
        raise OptionError(str(path), f"no TOML ({error})", "a TOML file, see docs/training.md") from None
    try:
        config: TrainingConfig = _read(TrainingConfig, raw, "")
    except OptionError as error:
        raise OptionError(f"{path}: {error.item}", error.seen, error.allowed) from None
    return config


def changed_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Keys that must stay the same in a run that goes on, and do not; both are `dataclasses.asdict` of a config.

    >>> changed_keys({"seed": 0, "steps": 5, "data": {"workers": 1}}, {"seed": 1, "steps": 9, "data": {"workers": 2}})
    ['seed']
    """
    changed = []
    for name in new.keys() - CHANGEABLE:
        here, there = new[name], old.get(name)
        if f"{prefix}{name}" in CHANGEABLE:
            continue
        if isinstance(here, dict) and isinstance(there, dict):
            changed += changed_keys(there, here, f"{prefix}{name}.")
        elif here != there:
            changed.append(f"{prefix}{name}")
    return sorted(changed)


def _read(cls: Any, raw: dict[str, Any], table: str) -> Any:
    hints = get_type_hints(cls)
    for name in raw:
        if name not in hints:
            raise OptionError(f"{table}{name}", "an unknown key", ", ".join(one.name for one in fields(cls)))
    return cls(**{name: _value(value, hints[name], f"{table}{name}") for name, value in raw.items()})


def _value(raw: Any, hint: Any, item: str) -> Any:
    """A value of TOML as the type of its field."""
    if dataclasses.is_dataclass(hint):
        _require(isinstance(raw, dict), item, repr(raw), f"a table, [{item}]")
        return _read(hint, raw, f"{item}.")
    if get_origin(hint) is UnionType:  # of a type and None, which TOML cannot say
        return _value(raw, get_args(hint)[0], item)
    if get_origin(hint) is Literal:
        _require(raw in get_args(hint), item, repr(raw), " or ".join(get_args(hint)))
        return raw
    if get_origin(hint) is tuple:
        return _list(raw, get_args(hint), item)
    right = isinstance(raw, (int, float) if hint is float else hint) and (hint is bool or not isinstance(raw, bool))
    _require(right, item, repr(raw), _WORDS[hint])
    return hint(raw)


_WORDS = {str: "a text in quotes", bool: "true or false", int: "a whole number", float: "a number"}


def _list(raw: Any, kinds: tuple[Any, ...], item: str) -> tuple[Any, ...]:
    several = kinds[-1] is Ellipsis
    words = f"a list of {'texts' if several else len(kinds)}"
    _require(isinstance(raw, list) and (several or len(raw) == len(kinds)), item, repr(raw), words)
    return tuple(_value(one, kinds[0], item) for one in raw)


def _require(holds: bool, item: str, seen: str, allowed: str) -> None:
    if not holds:
        raise OptionError(item, seen, allowed)


def _at_least(item: str, value: float | None, low: float) -> None:
    _require(value is None or low <= value < float("inf"), item, str(value), f"a number from {low} up")


def _within(item: str, value: float, low: float, high: float) -> None:
    _require(low <= value <= high, item, str(value), f"a number from {low} to {high}")
