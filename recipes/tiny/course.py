"""Trains the embedded checkpoint, version 1: `python -m recipes.tiny.course --out runs/v1 --minutes 480 --bf16`.

The same command goes on from the newest save in `--out`; a larger `--minutes`, counted over all sittings, trains on.
Every save is a checkpoint that `anyres.load` opens. What is learnt is in recipes/tiny/mixture.py, the heads beside the
model in recipes/tiny/teachers.py, the shape in recipes/tiny/scale.py.
"""

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.engine.device import choose_device
from anyres.errors import CheckpointError
from anyres.processing.tokenizer import Tokenizer
from anyres.training.config import (
    DataConfig,
    OptimiserConfig,
    SavesConfig,
    ScheduleConfig,
    StepConfig,
    TrainingConfig,
)
from anyres.training.saves import complete_saves
from anyres.training.trainer import Figures, Trainer
from anyres.training.workers import DEPTH
from recipes.tiny.assets import LANGUAGES
from recipes.tiny.levels import Levels, block_size
from recipes.tiny.mixture import GROUPS, READING, TASKS, Mixture, Task, answer_ids, group_of, missing, opened_assets
from recipes.tiny.scale import MAX_PIXELS, SCALES, new_model, write_start
from recipes.tiny.taught import CLASSES, build_classes
from recipes.tiny.teachers import Teachers
from recipes.tiny.validation import Validation

__all__ = ["Course", "main", "parser"]

RISE, FALL = 0.04, 0.014
"""Change of a level for every SAMPLES_OF_CHANGE samples of the run."""
SAMPLES_OF_CHANGE = 1024
FEWEST_SAMPLES = 24
"""Of a group, below which its answers say too little to change its level."""
LINE_EVERY_S = 20.0
FLOOR = 0.01


def main(arguments: Sequence[str] | None = None) -> None:
    course = Course(parser().parse_args(arguments))
    signal.signal(signal.SIGTERM, course.end)
    signal.signal(signal.SIGINT, course.end)
    course.run()


def parser() -> argparse.ArgumentParser:
    """The options of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    limit = parser.add_mutually_exclusive_group(required=True)
    limit.add_argument("--minutes", type=float, help="of the run, over all its sittings")
    limit.add_argument("--steps", type=int, help="of the run, instead of minutes")
    parser.add_argument("--decay-minutes", type=float, default=0.0, help="the last ones, in which the rates fall")
    parser.add_argument("--start", type=Path, help="a checkpoint or a training_state.pt of the same shape")
    parser.add_argument("--teachers", type=Path, help="what was kept of a run; else of --start, where that is a file")
    parser.add_argument("--level", type=float, default=0.0, help="of all groups in the first block of a new run")
    parser.add_argument(
        "--levels", type=of_group, nargs="+", default=[], metavar="GROUP=LEVEL", help="of some, instead"
    )
    parser.add_argument("--tasks", nargs="+", help="groups, as in recipes/tiny/mixture.py; all of them when absent")
    parser.add_argument("--languages", nargs="+", default=[], choices=(*LANGUAGES,), help="to be read; all when absent")
    parser.add_argument("--shares", type=of_group, nargs="+", default=[], metavar="GROUP=FACTOR", help="more of some")
    parser.add_argument("--tokenizer", type=Path, help="a folder with the vocabulary; dashscope's ranks when absent")
    parser.add_argument("--scale", choices=tuple(SCALES), default="version-1")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bf16", action="store_true", help="products in bfloat16, where there are units for it")
    parser.add_argument("--threads", type=int, default=2, help="packs at once on a CPU, one core each")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=2048, help="of a pack, visual ones among them")
    parser.add_argument("--patches", type=int, default=4400, help="of a pack: no fewer than a picture's")
    parser.add_argument("--packs", type=int, default=2, help="in a step")
    parser.add_argument("--lr", type=float, default=2e-3, help="of AdamW")
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--teacher-steps", type=int, default=0, help="first ones, in which only the teachers learn")
    parser.add_argument("--warmup-steps", type=int, default=100)
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--validate-minutes", type=float, default=15.0, help="0: never")
    parser.add_argument("--validate-samples", type=int, default=4, help="held-out questions of each group")
    parser.add_argument("--seed", type=int, default=0)
    return parser


class Course:
    """One sitting: the trainer with its mixture and teachers, and the levels that follow the answers."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out: Path = options.out
        self.ended = False
        start = self.out / "start"
        write_start(start, SCALES[options.scale], tokenizer=options.tokenizer)
        assets = opened_assets(None)
        tasks = wanted_tasks(options.tasks, dict(options.shares))
        absent = missing(tasks, assets)
        for task, reason in absent.items():
            say(f"left out: {task.group} {task.name} ({reason})")
        config = training_config(options)
        self.block = block_size(
            tokens=config.step.tokens,
            packs=config.step.packs,
            look_ahead=config.data.look_ahead,
            workers_ahead=DEPTH * max(1, config.data.workers),
        )
        tokenizer = Tokenizer.from_folder(start)
        known = taught_before(options)
        if (
            known and known.classes and not (self.out / CLASSES).is_file()
        ):  # tells apart what that run did, whatever the packs are here
            (self.out / CLASSES).write_text(known.classes, encoding="utf-8")
        classes = build_classes(assets, tokenizer, self.out / CLASSES)
        self.levels = Levels(self.out / "levels.csv", tuple(GROUPS))
        tasks = tuple(task for task in tasks if task not in absent)
        self.validation = Validation(
            start,
            tasks,
            assets=assets,
            samples=options.validate_samples,
            minutes=options.validate_minutes,
            reading=READING,
            languages=options.languages,
        )
        mixture = Mixture(
            tasks,
            self.levels.path,
            self.out / CLASSES,
            self.block,
            options.seed,
            languages=tuple(options.languages),
        )
        model = new_model(start, weights=options.start, seed=options.seed)
        self.teachers = Teachers(model, classes, tokenizer, groups=len(GROUPS))
        self._start_teachers(known)
        if config.step.threads:
            torch.set_num_threads(config.step.threads)  # of the optimiser; each of the threads has one core
        self.trainer = Trainer(
            model, folder=start, source=mixture, config=config, auxiliary=self.teachers, answer_ids=answer_ids
        )
        self._decide_again()
        self._said = time.monotonic()
        self._began = self._said, self.trainer.progress.samples

    def run(self) -> None:
        """Until the time is up; told to end (Ctrl-C, SIGTERM), it finishes the step and saves first."""
        self.trainer.run(on_step=self.after_step, stop=lambda: self.ended)
        say(f"{complete_saves(self.out)[-1]}")

    def end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.ended = True

    def after_step(self, figures: Figures) -> None:
        """Counts who answered right; at the end of a block, decides the levels of the block after the next."""
        for name, told in zip(figures.names, figures.told, strict=True):
            group = GROUP_NUMBERS[group_of(name)]
            self.teachers.right_G[group] += told
            self.teachers.seen_G[group] += 1
        decided, block = self.levels.decided, self.trainer.data_state.cursor // self.block
        while decided < block + 2:
            self._change_levels()
            self.levels.add(self._levels())
            decided += 1
        if self.validation.due:
            self._validate()
        if time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            say(self._line(figures))

    def _validate(self) -> None:
        """What the averaged weights answer, into the curves and the log."""
        with self.trainer.averaged():
            figures = self.validation.figures(self.trainer.model, self._levels())
        self.trainer.meter.add(figures)
        say(" ".join(f"{name} {value:.2f}" for name, value in figures.items()))

    def _change_levels(self) -> None:
        teachers = self.teachers
        scale = self.block / SAMPLES_OF_CHANGE
        told: dict[str, float] = {}
        for number, (group, enough) in enumerate(GROUPS.items()):
            if teachers.seen_G[number] < FEWEST_SAMPLES:
                continue
            share = float(teachers.right_G[number] / teachers.seen_G[number])
            change = RISE if share > enough else -FALL
            level = float(teachers.levels_G[number]) + scale * change
            teachers.levels_G[number] = min(1.0, max(0.0, level))
            teachers.right_G[number] = teachers.seen_G[number] = 0.0
            told |= {f"told {group}": share, f"level {group}": float(teachers.levels_G[number])}
        self.trainer.meter.add(told)

    def _levels(self) -> dict[str, float]:
        return {group: float(level) for group, level in zip(GROUPS, self.teachers.levels_G, strict=True)}

    def _start_teachers(self, known: "Known | None") -> None:
        """A new run begins at one level, with the teachers and the levels of the run that it starts from; `--levels`
        come last."""
        self.teachers.levels_G.fill_(self.options.level)
        if known:
            ours = self.teachers.state_dict()
            fitting = {
                name: one for name, one in known.teachers.items() if name in ours and one.shape == ours[name].shape
            }
            self.teachers.load_state_dict(fitting, strict=False)
        for group, level in self.options.levels:
            self.teachers.levels_G[GROUP_NUMBERS[group]] = level

    def _decide_again(self) -> None:
        """The file as it was at the save that the run goes on from."""
        blocks = self.trainer.data_state.cursor // self.block + 2
        self.levels.keep(blocks if self.trainer.progress.step else 0)
        for _ in range(blocks - self.levels.decided):
            self.levels.add(self._levels())

    def _line(self, figures: Figures) -> str:
        began, samples = self._began
        progress, teachers = self.trainer.progress, self.teachers
        speed = (progress.samples - samples) / (time.monotonic() - began)
        shares = (teachers.right_G / teachers.seen_G.clamp(min=1)).tolist()
        told = zip(self._levels().items(), shares, strict=True)
        groups = " ".join(f"{group} {level:.2f}:{share:.0%}" for (group, level), share in told)
        return (
            f"step {figures.step} {progress.seconds / 60:.1f} min {progress.share:.1%} {speed:.0f}/s "
            f"loss {figures.loss:.3f} norm {figures.norm:.2f} | level:told {groups}"
        )


class Known(NamedTuple):
    """The teachers of a run, and the text of the classes that they tell apart, where it is known."""

    teachers: Mapping[str, Tensor]
    classes: str | None


def taught_before(options: argparse.Namespace) -> Known | None:
    """What the run taught with that a new one starts from, if its file is given."""
    start: Path | None = options.start
    file: Path | None = options.teachers or (start if start is not None and start.is_file() else None)
    if file is None:
        return None
    if not file.is_file():
        raise CheckpointError(str(file), "no such file", "one that `python -m recipes.tiny keep` wrote")
    state = torch.load(file, weights_only=True)
    beside = file.parent.parent / CLASSES
    classes = state.get("classes") or (beside.read_text(encoding="utf-8") if beside.is_file() else None)
    return Known(state["auxiliary"] or {}, classes)


GROUP_NUMBERS = {group: number for number, group in enumerate(GROUPS)}


def of_group(text: str) -> tuple[str, float]:
    """A group and what is said of it.

    >>> of_group("line=0.5")
    ('line', 0.5)
    """
    group, _, value = text.partition("=")
    if group not in GROUPS:
        raise argparse.ArgumentTypeError(f"{group!r}; allowed: {', '.join(GROUPS)}")
    return group, float(value)


def wanted_tasks(groups: Sequence[str] | None, shares: Mapping[str, float] | None = None) -> tuple[Task, ...]:
    """The tasks of some groups, in the order of the mixture, their shares times the factors of their groups."""
    unknown = set(groups or ()) - set(GROUPS)
    if unknown:
        raise SystemExit(f"--tasks: {', '.join(sorted(unknown))}; allowed: {', '.join(GROUPS)}")
    factors = shares or {}
    wanted = (task for task in TASKS if groups is None or task.group in groups)
    return tuple(task._replace(share=task.share * factors.get(task.group, 1.0)) for task in wanted)


def training_config(options: argparse.Namespace) -> TrainingConfig:
    """What docs/training.md calls the configuration: Muon for hidden matrices, an average, a fall at the end."""
    return TrainingConfig(
        out=str(options.out),
        model=str(options.start or "new"),
        steps=options.steps,
        minutes=options.minutes,
        seed=options.seed,
        device=options.device,
        data=DataConfig(max_pixels=MAX_PIXELS, workers=options.workers, learn_newline=False),
        step=StepConfig(
            tokens=options.tokens,
            patches=options.patches,
            packs=options.packs,
            threads=options.threads if choose_device(options.device).type == "cpu" else 0,
            precision="bf16" if options.bf16 else "fp32",
        ),
        optimiser=OptimiserConfig(
            kind="muon", lr=options.lr, muon_lr=options.muon_lr, betas=(0.9, 0.98), ema=0.99, weight_decay=0.01
        ),
        schedule=ScheduleConfig(
            shape="linear",
            warmup_steps=options.warmup_steps,
            auxiliary_steps=options.teacher_steps,
            decay=min(1.0, options.decay_minutes / options.minutes) if options.minutes else 0.0,
            floor=FLOOR,
        ),
        saves=SavesConfig(every_steps=0, every_minutes=options.save_minutes, dtype="bfloat16"),
    )


def say(line: str) -> None:
    """On standard output at once, where a log may be."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
