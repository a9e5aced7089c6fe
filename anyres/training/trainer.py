"""The trainer: one process, one device, steps of one or several packs.

A step draws all its packs, counts their learnt tokens, sums the gradients of the packs' shares of the loss, clips them
and updates the weights; a number that is not finite stops the run before that. What a step depends on is saved with it,
so a run that is cut off and goes on is, on a CPU, bit for bit the run that was not.
"""

import math
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from anyres.engine.device import DTYPES, choose_device, faster_cpu_dtype
from anyres.errors import CheckpointError, DatasetError, NumericsError, OptionError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import save_model
from anyres.processing.image import DEFAULT_MAX_PIXELS
from anyres.training.config import SavesConfig, TrainingConfig, changed_keys
from anyres.training.curves import Curves, Meter, Quarantine
from anyres.training.dataset import Order, Source
from anyres.training.loader import Loader, LoaderState, Step, too_many
from anyres.training.loss import PackLoss, StepTotals, Tap, pack_loss
from anyres.training.optimiser import Average, Optimiser
from anyres.training.packing import Budget, PackedBatch, collate
from anyres.training.preparing import Recipe
from anyres.training.saves import complete_saves, save
from anyres.training.schedule import progress_of, rate_factor
from anyres.training.supervision import AnswerIds, answer_ids

__all__ = ["Figures", "Progress", "Trainer"]

STATE_FILE = "training_state.pt"
COPIED = (  # what a checkpoint's folder holds beside weights and config.json, where it is there
    *("generation_config.json", "preprocessor_config.json", "chat_template.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json"),
    *("special_tokens_map.json", "LICENSE"),
)
NAMED = 20  # samples that an error lists


@dataclass
class Progress:
    """How far a run is, over all its sittings. `share` of it is done: 0 to 1."""

    step: int = 0
    samples: int = 0
    tokens: int = 0
    learnt_tokens: int = 0
    patches: int = 0
    seconds: float = 0.0
    share: float = 0.0


class Figures(NamedTuple):
    """One step: the mean loss of its answers, the gradient's norm before clipping, and what was in it.

    `told` is, for each of the samples `names`, the share of its learnt tokens that were told right.
    """

    step: int
    loss: float
    norm: float
    factor: float
    names: tuple[str, ...]
    others: Mapping[str, float]
    told: tuple[float, ...] = ()


class Trainer:
    """Trains `model` in place, from the newest save in `config.out` where there is one.

    `folder` is the checkpoint whose tokenizer and processing the model belongs to. `source` gives the examples;
    `config.data` says how they are read, not which. `auxiliary` is an `nn.Module` with the method of `Auxiliary`,
    `tapped_layer` the decoder layer whose output it sees. `clock` tells seconds.
    """

    def __init__(
        self,
        model: Qwen2VL,
        *,
        folder: Path,
        source: Source,
        config: TrainingConfig,
        auxiliary: Any = None,
        tapped_layer: int | None = None,
        answer_ids: AnswerIds = answer_ids,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.folder, self.source, self.clock = config, folder, source, clock
        self.out = Path(config.out)
        self.device = choose_device(config.device)
        self.model = model.to(self.device, torch.float32)
        self.auxiliary: nn.Module | None = None if auxiliary is None else auxiliary.to(self.device)
        self.export_dtype = _export_dtype(config, model)
        self.tap = None if tapped_layer is None else Tap(model, tapped_layer)
        torch.manual_seed(config.seed)
        self.progress, self.data_state, self.meter = Progress(), LoaderState(), Meter()
        saved = self._saved_state()
        self.bf16 = saved["bf16"] if saved else _use_bf16(config, self.device)
        muon_dtype = torch.bfloat16 if self.bf16 else torch.float32
        self.optimiser = Optimiser(model, self.auxiliary, config.optimiser, muon_dtype=muon_dtype)
        self.average = Average(model, config.optimiser.ema) if config.optimiser.ema else None
        max_pixels = config.data.max_pixels or DEFAULT_MAX_PIXELS
        budget = Budget(config.step.tokens, config.step.patches)
        self.recipe = Recipe(folder, source, budget, max_pixels, config.data.learn_newline, answer_ids)
        if saved:
            self._restore(saved)

    @property
    def finished(self) -> bool:
        return self._share_done() >= 1

    def run(
        self, *, on_step: Callable[[Figures], None] | None = None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """To the limit of the configuration, or until `stop` says so after a step; either way it saves at the end.

        Raises DatasetError when too many rows are bad and NumericsError when numbers are not finite; what was saved
        before stays.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        clock = _Sitting(self.progress, self.clock)
        quarantine = Quarantine(self.out, cursor=self.data_state.cursor)
        with (
            closing(Curves(self.out, step=self.progress.step)) as curves,
            closing(self._loader()) as loader,
            _pool(self.config.step.threads) as pool,
        ):
            for step in () if self.finished else loader:
                quarantine.add(step.rejections)
                self._check_share(step, quarantine.path)
                figures = self.train_step(step, pool) if step.packs else None
                clock.read()
                if figures is None:
                    continue
                self._log(figures, curves)
                if on_step is not None:
                    on_step(figures)
                if clock.save_is_due(self.config.saves):
                    self.save()
                    clock.saved()
                if self.finished or stop():
                    break
        if clock.unsaved:
            self.save()

    def train_step(self, step: Step, pool: ThreadPoolExecutor | None = None) -> Figures:
        """One update of the weights. With a pool, each of its threads has the gradient of a pack of its own to find."""
        packs = [pack.to(self.device) for pack in step.packs]
        self.optimiser.zero_grad()
        losses = self._gradients(packs, StepTotals.of(step.packs), pool)
        loss = float(torch.stack([one.answers for one in losses]).double().sum())
        norm = float(nn.utils.clip_grad_norm_(self.optimiser.parameters, self.config.optimiser.clip or math.inf))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(packs, loss, norm)
        factor = self._factor()
        alone = self.auxiliary is not None and self.progress.step < self.config.schedule.auxiliary_steps
        self.optimiser.set_rates(1.0 if alone else factor, only="auxiliary" if alone else None)
        self.optimiser.step(pool)
        self._count(step)
        if self.average is not None:
            self.average.update(self.progress.step)
        names = tuple(name for pack in packs for name in pack.names)
        told = tuple(share for one in losses for share in one.told_B.tolist())
        return Figures(self.progress.step, loss, norm, factor, names, _means([one.figures for one in losses]), told)

    def save(self) -> Path:
        """The folder of a new save: a checkpoint that `anyres.load` opens, of the averaged weights where there are
        any, and all that the next sitting needs."""
        return save(self.out, self.progress.step, self._write, keep=self.config.saves.keep)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the model has the averaged weights, where an average is kept."""
        with self.average.in_place() if self.average is not None else nullcontext():
            yield

    # One step.

    def _gradients(
        self, packs: list[PackedBatch], totals: StepTotals, pool: ThreadPoolExecutor | None
    ) -> list[PackLoss]:
        """Sums the packs' gradients in their order, so that the sum does not depend on the threads."""
        if pool is None:
            return [self._backward(self._loss(pack, totals)) for pack in packs]
        losses = []
        for loss, gradients in pool.map(lambda pack: self._loss_and_gradients(pack, totals), packs):
            losses.append(loss)
            for p, part in zip(self.optimiser.parameters, gradients, strict=True):
                if part is not None:
                    p.grad = part if p.grad is None else p.grad + part
        return losses

    def _loss(self, pack: PackedBatch, totals: StepTotals) -> PackLoss:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            auxiliary: Any = self.auxiliary  # an nn.Module that is an Auxiliary as well
            return pack_loss(self.model, pack, totals, auxiliary=auxiliary, tap=self.tap)

    def _backward(self, loss: PackLoss) -> PackLoss:
        loss.total.backward()
        return loss._replace(total=loss.total.detach())

    def _loss_and_gradients(self, pack: PackedBatch, totals: StepTotals) -> tuple[PackLoss, tuple[Tensor | None, ...]]:
        loss = self._loss(pack, totals)
        gradients = torch.autograd.grad(loss.total, self.optimiser.parameters, allow_unused=True)
        return loss._replace(total=loss.total.detach()), gradients

    def _factor(self) -> float:
        """Of the learning rates, for the step to come."""
        schedule, steps = self.config.schedule, self.config.steps
        step = max(0, self.progress.step - schedule.auxiliary_steps)
        progress = self._share_done() if steps is None else progress_of(step, schedule.warmup_steps, steps)
        return rate_factor(schedule, step=step, progress=progress)

    def _count(self, step: Step) -> None:
        progress, self.data_state = self.progress, step.state
        progress.step += 1
        progress.samples += sum(len(pack.samples) for pack in step.packs)
        progress.tokens += sum(pack.size.tokens for pack in step.packs)
        progress.patches += sum(pack.size.patches for pack in step.packs)
        progress.learnt_tokens += sum(len(pack.learnt_N) for pack in step.packs)

    def _share_done(self) -> float:
        config, progress = self.config, self.progress
        if config.steps is not None:
            return progress.step / config.steps
        if config.minutes is not None:
            return progress.seconds / 60 / config.minutes
        return (self.data_state.cursor - len(self.data_state.waiting)) / self._last_sample()

    def _not_finite(self, packs: list[PackedBatch], loss: float, norm: float) -> NumericsError:
        """Names the samples whose own loss is not finite; all of the step where only the gradient is not."""
        samples = [(pack, one) for pack in packs for one in pack.samples]
        with torch.no_grad():
            alone = [collate([one], normalise_CV=pack.normalise_CV.cpu()).to(self.device) for pack, one in samples]
            bad = [one.names[0] for one in alone if not self._loss(one, StepTotals(1.0, 1)).total.isfinite()]
        self.optimiser.zero_grad()
        names = bad or [one.name for _, one in samples]
        listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        seen = f"loss {loss}, gradient norm {norm} with {listed}"
        return NumericsError(f"step {self.progress.step + 1}", seen, "finite numbers; the weights are as before it")

    # Around the steps.

    def _loader(self) -> Loader:
        data = self.config.data
        return Loader(
            self.recipe,
            Order(self.source.length, seed=self.config.seed, shuffle=data.shuffle),
            packs=self.config.step.packs,
            look_ahead=data.look_ahead,
            workers=data.workers,
            max_rejected=data.max_rejected,
            last=None if self.config.epochs is None else self._last_sample(),
            state=self.data_state,
        )

    def _last_sample(self) -> int:
        assert self.config.epochs is not None
        if self.source.length is None:
            raise OptionError("epochs", "of a source without end", "steps or minutes")
        return max(1, round(self.config.epochs * self.source.length))

    def _check_share(self, step: Step, report: Path) -> None:
        state, share = step.state, self.config.data.max_rejected
        if too_many(state, share):
            last = f"; the last: {step.rejections[-1].row.reason}" if step.rejections else ""
            seen = f"{state.rejected} of {state.cursor} rows cannot be used, see {report}{last}"
            raise DatasetError("data", seen, f"a share of {share:g} (data.max_rejected)")
        if not step.packs:
            self.data_state = state

    def _log(self, figures: Figures, curves: Curves) -> None:
        self.progress.share = min(1.0, self._share_done())
        self.meter.add({"loss": figures.loss, "gradient_norm": figures.norm, **figures.others})
        if figures.step % self.config.log_every == 0 or self.finished:
            curves.add(figures.step, {**self.meter.take(), **_totals(self.progress), **self._rates()})

    def _rates(self) -> dict[str, float]:
        return {f"rate {name}": rate for name, rate in self.optimiser.rates().items()}

    # Saving and going on.

    def _write(self, staging: Path) -> None:
        with self.averaged():
            save_model(self.model, staging, dtype=self.export_dtype)
        for name in COPIED:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, staging / name)
        torch.save(self._state(), staging / STATE_FILE)

    def _state(self) -> dict[str, Any]:
        return {
            "config": asdict(self.config),
            "rows": self.source.length,
            "bf16": self.bf16,
            "model": self.model.state_dict(),
            "auxiliary": self.auxiliary.state_dict() if self.auxiliary is not None else None,
            "average": self.average.tensors if self.average is not None else None,
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
            "data": self.data_state._asdict(),
            "meter": asdict(self.meter),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def _saved_state(self) -> dict[str, Any] | None:
        """Of the newest whole save; OptionError when the run was another one."""
        saves = complete_saves(self.out)
        if not saves:
            return None
        path = saves[-1] / STATE_FILE
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(str(path), f"cannot be read ({error})", "a save of this trainer") from None
        changed = changed_keys(state["config"], asdict(self.config))
        if changed:
            raise OptionError(", ".join(changed), f"not as in {path.parent}", "the same, or another folder in `out`")
        if state["rows"] != self.source.length:
            seen = f"{self.source.length} rows"
            raise OptionError("data.files", seen, f"{state['rows']} rows, as in {path.parent}, or another `out`")
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.auxiliary is not None:
            self.auxiliary.load_state_dict(state["auxiliary"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress, self.meter = Progress(**state["progress"]), Meter(**state["meter"])
        self.data_state = LoaderState(**state["data"])
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state_all(state["random_cuda"])


class _Sitting:
    """The time of one call of `run`, and when it saved last."""

    def __init__(self, progress: Progress, clock: Callable[[], float]) -> None:
        self._progress, self._clock = progress, clock
        self._zero = clock() - progress.seconds
        self.saved()

    @property
    def unsaved(self) -> bool:
        return self._progress.step > self._step

    def read(self) -> None:
        self._progress.seconds = self._clock() - self._zero

    def saved(self) -> None:
        self._step, self._seconds = self._progress.step, self._progress.seconds

    def save_is_due(self, saves: SavesConfig) -> bool:
        by_steps = saves.every_steps and self._progress.step % saves.every_steps == 0
        by_time = saves.every_minutes and self._progress.seconds - self._seconds >= 60 * saves.every_minutes
        return bool(by_steps or by_time)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor | None]:
    """Threads that compute on one core each."""
    if not threads:
        yield None
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure, over the packs that have it."""
    values: dict[str, list[float]] = {}
    for one in figures:
        for name, value in one.items():
            values.setdefault(name, []).append(float(value))
    return {name: sum(listed) / len(listed) for name, listed in values.items()}


def _totals(progress: Progress) -> dict[str, float]:
    rate = progress.samples / progress.seconds if progress.seconds else 0.0
    return {name: value for name, value in asdict(progress).items() if name != "step"} | {"samples_per_s": rate}


def _use_bf16(config: TrainingConfig, device: torch.device) -> bool:
    if config.step.precision != "auto":
        return config.step.precision == "bf16"
    return device.type != "cpu" or faster_cpu_dtype() == torch.bfloat16


def _export_dtype(config: TrainingConfig, model: Qwen2VL) -> torch.dtype:
    name = model.config.torch_dtype if config.saves.dtype == "checkpoint" else config.saves.dtype
    return DTYPES.get(name, torch.float32)
