"""Trains the embedded checkpoint, version 0, on the CPU: `python -m recipes.tiny.train --out runs/tiny --minutes 120`.

The loss is that of the answer's tokens plus that of an auxiliary head, dropped afterwards, which says what lies in
the cell of each visual token, and where (docs/decisions.md has the figures that led here). Difficulty follows the
model: it rises while printed lines are answered right and falls when they are not.

Every thread computes the gradient of a batch of its own with one core: the products are too small to share one among
cores, and no thread waits for another at each of them while a data worker takes its turn.
"""

import argparse
import csv
import json
import math
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from anyres.processing.tokenizer import Tokenizer
from anyres.training.loss import Tap
from anyres.training.muon import Muon
from recipes.tiny.auxiliary import SIDE, AuxiliaryHead, Tapped
from recipes.tiny.batches import IGNORED, Batch, BatchPool, Plan, make_batch, per_question
from recipes.tiny.notes import NOTE_SIZES
from recipes.tiny.scenes import FURTHER, SCENE_SIZES
from recipes.tiny.shape import model_config

LINES = ("line",)
SCENES = ("colour", "shape", *7 * ("count",), *3 * ("most",), *2 * ("box",), "absent", "present")
"""Tasks of a scene, the harder ones more often."""
NOTES = ("note",)
CLIPS = ("order", "order", "motion", "change", "change", "moves")
CLIP_SIZES = ((84, 84), (84, 84), (112, 112))
BATCH_COST = 7000.0
"""Parameters, in thousands and counted for every token that they are applied to: about 0.3 s of one core."""
EARLY, LATE = 1, 2
"""Indices of the decoder layers after which the auxiliary head asks."""
FIRST_TOKEN = 4.0
"""How many later ones the first token of an answer counts for: it says yes or no, there or not, how many."""


@dataclass
class Progress:
    """All that a continued run needs beside the tensors."""

    step: int = 0
    samples: int = 0
    difficulty: float = 0.0
    seconds: float = 0.0


def main() -> None:
    Trainer(parser().parse_args()).run()


def parser() -> argparse.ArgumentParser:
    """The options of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=Path("anyres/checkpoints/tiny"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument(
        "--decay-minutes", type=float, default=0.0, help="the last minutes, in which the rate falls to 0"
    )
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument("--aux", type=float, default=1.0)
    parser.add_argument("--max-difficulty", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--max-uses", type=int, default=6)
    parser.add_argument("--batches", type=int, default=2, help="in one step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fresh-optimisers", action="store_true", help="forget momentum; the auxiliary head may differ"
    )
    parser.add_argument("--stage", choices=("vision", "last", "all"), default="all", help="last: only the last layer")
    parser.add_argument("--bf16", action="store_true", help="products in bfloat16, on CPUs with units for it")
    parser.add_argument("--notes", type=int, default=0, help="batches of notes among about 90 others, 15 a unit")
    parser.add_argument("--head-steps", type=int, default=0, help="first ones, only of a new auxiliary head")
    parser.add_argument("--validate-minutes", type=float, default=4.0)
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from where --out holds no state")
    parser.add_argument("--difficulty", type=float, default=0.0, help="of the first step of a new run")
    return parser


class Trainer:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.out: Path = arguments.out
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(arguments.seed)
        self.tokenizer = Tokenizer.from_folder(arguments.tokenizer)
        self.model = Qwen2VL(model_config(self.tokenizer))
        initialise(self.model)
        if arguments.start:
            self.model.load_state_dict(load_model(arguments.start, dtype=torch.float32).state_dict())
        self.auxiliary = AuxiliaryHead(self.model.config.text.hidden_size)
        if arguments.stage == "last":
            self.model.requires_grad_(False).model.layers[-1].requires_grad_(True)
            self.auxiliary.requires_grad_(False)
        self.parameters = [p for p in (*self.model.parameters(), *self.auxiliary.parameters()) if p.requires_grad]
        self.taps = taps_of(self.model)
        self.progress = Progress(difficulty=arguments.difficulty)
        self.ended = False
        torch.set_num_threads(1)
        self.threads = ThreadPoolExecutor(arguments.threads, initializer=torch.set_num_threads, initargs=(1,))
        self.optimisers = optimisers(self.model, self.auxiliary, arguments, self.threads)
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        if (self.out / "state.pt").exists():
            self.load()
        self.pool = BatchPool(
            arguments.tokenizer, plans(arguments.notes), workers=arguments.workers, seed=int(time.time()), capacity=2500
        )
        self.validation = validation_batches(self.tokenizer)

    def run(self) -> None:
        """Until the time is up; told to end (SIGTERM), it saves first."""
        signal.signal(signal.SIGTERM, self.end)
        started = saved = validated = time.monotonic()
        budget = 60 * self.arguments.minutes
        before = self.progress.seconds
        while (elapsed := time.monotonic() - started) < budget and not self.ended:
            self.set_rates(budget - elapsed)
            self.pool.difficulty.value = self.progress.difficulty
            figures = self.step()
            self.progress.seconds = before + time.monotonic() - started
            if self.progress.step % 25 == 0:
                self.log(figures)
            if time.monotonic() - validated > 60 * self.arguments.validate_minutes:
                self.validate()
                validated = time.monotonic()
            if time.monotonic() - saved > 120:
                self.save()
                saved = time.monotonic()
        self.validate()
        self.save()

    def end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.ended = True

    def set_rates(self, left_s: float) -> None:
        decay_s = 60 * self.arguments.decay_minutes
        falling = min(1.0, left_s / decay_s) if decay_s else 1.0
        warm = min(1.0, (self.progress.step + 1) / 100)
        head_only = self.progress.step < self.arguments.head_steps
        rates = (self.arguments.lr, self.arguments.adam_lr)
        for optimiser, rate in zip(self.optimisers, rates, strict=True):
            for group in optimiser.param_groups:
                kept = head_only and not group.get("head")
                group["lr"] = 0.0 if kept else rate * warm * max(falling, 0.01)

    def step(self) -> dict[str, float]:
        batches = [self.pool.next(max_uses=self.arguments.max_uses) for _ in range(self.arguments.batches)]
        figures: dict[str, float] = {}
        all_gradients = []
        for batch, (gradients, seen) in zip(batches, self.threads.map(self.gradients, batches), strict=True):
            all_gradients.append(gradients)
            kind = kind_of(batch)
            figures |= {f"{kind}_{name}": value for name, value in seen.items()}
            if kind == "line":
                self.adapt(seen["cells"] if self.arguments.stage == "vision" else seen["tokens"])
            self.progress.samples += len(batch.answers)
        for p, *parts in zip(self.parameters, *all_gradients, strict=True):
            known = [part for part in parts if part is not None]
            p.grad = torch.stack(known).sum(0) / len(batches) if known else None
        norm = float(nn.utils.clip_grad_norm_(self.parameters, 1.0))
        if not math.isfinite(norm):
            raise SystemExit(f"gradient norm {norm} in step {self.progress.step}: stopped before the step")
        figures["norm"] = norm
        for optimiser in self.optimisers:
            optimiser.step()
        self.progress.step += 1
        decay = min(0.99, 1 - 1 / (1 + self.progress.step / 10))
        for name, p in self.model.named_parameters():
            self.average[name].lerp_(p.detach(), 1 - decay)
        return figures

    def gradients(self, batch: Batch) -> tuple[tuple[Tensor | None, ...], dict[str, float]]:
        """Of the model's and the head's parameters, None for those that the batch has no use for."""
        losses = vision_losses if self.arguments.stage == "vision" else answer_losses
        weight = 0.0 if self.arguments.stage == "last" else self.arguments.aux
        with torch.autocast("cpu", torch.bfloat16, enabled=self.arguments.bf16):
            loss, seen = losses(self.model, self.auxiliary, batch, weight, self.taps)
        return torch.autograd.grad(loss, self.parameters, allow_unused=True), seen

    def adapt(self, accuracy: float) -> None:
        change = 0.0015 if accuracy > 0.6 else -0.0005
        wanted = self.progress.difficulty + change
        self.progress.difficulty = min(self.arguments.max_difficulty, max(0.0, wanted))

    def log(self, figures: dict[str, float]) -> None:
        state = self.progress
        rate = state.samples / max(state.seconds, 1e-9)
        words = " ".join(f"{name} {value:.3f}" for name, value in sorted(figures.items()))
        print(
            f"step {state.step} {state.seconds / 60:.1f} min {rate:.0f}/s d {state.difficulty:.2f} "
            f"made {self.pool.made} reused {self.pool.reused} {words}",
            flush=True,
        )

    def validate(self) -> None:
        """Held-out samples with the averaged weights; a whole answer is right when every greedy token is."""
        if self.arguments.stage == "vision":
            return
        kept = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.model.load_state_dict(self.average, strict=True)
        row: dict[str, float] = {**asdict(self.progress)}
        for name, batches in self.validation.items():
            right = list(self.threads.map(partial(answer_right, self.model), batches))
            row[name] = float(torch.cat([whole for whole, _ in right]).float().mean())
            row[f"{name}_tokens"] = float(torch.cat([tokens for _, tokens in right]).float().mean())
        self.model.load_state_dict(kept)
        print("validation", json.dumps({name: round(value, 3) for name, value in row.items()}), flush=True)
        path = self.out / "curve.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({name: round(value, 5) for name, value in row.items()})

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "auxiliary": self.auxiliary.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": asdict(self.progress),
        }
        torch.save(state, self.out / "state.tmp")
        (self.out / "state.tmp").replace(self.out / "state.pt")

    def load(self) -> None:
        state = torch.load(self.out / "state.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.auxiliary.load_state_dict(state["auxiliary"], strict=not self.arguments.fresh_optimisers)
        self.average = state["average"]
        self.progress = Progress(**state["progress"])
        if not self.arguments.fresh_optimisers:
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)


Taps = tuple[Tap, Tap]


def taps_of(model: Qwen2VL) -> Taps:
    """Of the layers that the auxiliary head looks into."""
    return Tap(model, EARLY), Tap(model, LATE)


def vision_losses(
    model: Qwen2VL, auxiliary: AuxiliaryHead, batch: Batch, weight: float, taps: Taps
) -> tuple[Tensor, dict[str, float]]:
    """Stage 1: what lies in each cell, without the language model."""
    del weight, taps
    assert batch.cells_MS is not None
    visual_MD = model.encode(batch.pixels_PX(), [batch.grid] * batch.pictures)
    return auxiliary.loss(visual_MD, batch)


def answer_losses(
    model: Qwen2VL, auxiliary: AuxiliaryHead, batch: Batch, weight: float, taps: Taps
) -> tuple[Tensor, dict[str, float]]:
    """Mean loss of the answers' tokens, plus the auxiliary one where cells are known and it has a weight."""
    logits_NV, targets_N, visual_MD, sample_N = answer_logits(model, batch)
    early_TD, late_TD = (tap.take() for tap in taps)
    loss_N = F.cross_entropy(logits_NV, targets_N, reduction="none")
    first_N = torch.cat([torch.ones(1, dtype=torch.bool), sample_N.diff() > 0])
    weights_N = torch.where(first_N & (kind_of(batch) != "line"), FIRST_TOKEN, 1.0)
    loss = (loss_N * weights_N).sum() / weights_N.sum()
    accuracy = float((logits_NV.detach().argmax(-1) == targets_N).float().mean())
    figures = {"loss": loss.item(), "tokens": accuracy}
    if batch.cells_MS is not None and weight:
        visual = (batch.ids_BL == model.config.image_token_id) | (batch.ids_BL == model.config.video_token_id)
        told_N = (batch.labels_BL.flatten() != IGNORED).nonzero()[:, 0]
        before_BS = told_N[first_N][:, None] + torch.arange(1 - SIDE, 1)
        tapped = Tapped(early_TD[visual.flatten()], early_TD[before_BS], late_TD[before_BS], late_TD[told_N], sample_N)
        extra, told = auxiliary.loss(visual_MD, batch, tapped)
        loss = loss + weight * extra
        figures |= told
    return loss, figures


def answer_logits(model: Qwen2VL, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits and targets of all answer tokens, the visual tokens, and the question that each answer token is of."""
    samples, length = batch.ids_BL.shape
    visual_MD = model.encode(batch.pixels_PX(), [batch.grid] * batch.pictures)
    seen_MD = per_question(visual_MD, batch)
    embeds_TD = model.embed(batch.ids_BL.flatten(), seen_MD)
    hidden_TD = model(embeds_TD, batch.positions_3BL.flatten(1), CausalAttention([length] * samples))
    wanted_T = batch.labels_BL.flatten() != IGNORED
    sample_N = torch.arange(samples)[:, None].expand(samples, length).flatten()[wanted_T]
    return model.head(hidden_TD[wanted_T]), batch.labels_BL.flatten()[wanted_T], visual_MD, sample_N


@torch.no_grad()
def answer_right(model: Qwen2VL, batch: Batch) -> tuple[Tensor, Tensor]:
    """Whether each sample's whole answer is right, and whether each answer token is."""
    logits_NV, targets_N, _, sample_N = answer_logits(model, batch)
    right_N = logits_NV.argmax(-1) == targets_N
    wrong_B = torch.zeros(len(batch.answers), dtype=torch.int64).index_add_(0, sample_N, (~right_N).long())
    return wrong_B == 0, right_N


def kind_of(batch: Batch) -> str:
    known = {**dict.fromkeys(LINES, "line"), **dict.fromkeys(NOTES, "note")}
    return "clip" if batch.grid[0] > 1 else known.get(batch.task, "scene")


def plans(notes: int = 0) -> list[Plan]:
    """Sizes of pictures, the likelier ones repeated; every batch holds about the same number of patches.

    Those of notes are there `notes` times.
    """
    shapes: list[tuple[tuple[str, ...], tuple[int, int], int]] = []
    shapes += [(LINES, (28, 28 * n), 1) for n in (4, 6, 8, 10, 12, 14, 16, 20, 24, 28) for _ in range(2)]
    shapes += [(LINES, (56, 28 * n), 1) for n in (4, 6, 8, 10, 12, 14, 16, 18)]
    shapes += [(LINES, (84, 28 * n), 1) for n in (4, 6, 8, 10, 12)]
    shapes += [(SCENES, size, 1) for size in SCENE_SIZES for _ in range(7)]
    shapes += [(NOTES, size, 1) for size in NOTE_SIZES for _ in range(notes)]
    shapes += [(CLIPS, size, 4) for size in CLIP_SIZES for _ in range(3)]
    return [_plan(*shape) for shape in shapes]


def _plan(tasks: tuple[str, ...], size: tuple[int, int], frames: int) -> Plan:
    patches = size[0] * size[1] // 196 * ((frames + 1) // 2)
    tokens = patches / 4 + 60
    questions = 1 + FURTHER if tasks in (SCENES, NOTES) else 1
    samples = max(6, round(BATCH_COST / (2.65 * patches + 1.6 * tokens * questions)))
    return Plan(tasks, size, frames, samples, further=questions > 1)


def validation_batches(tokenizer: Tokenizer) -> dict[str, list[Batch]]:
    """Held-out fonts and texts: easy and full difficulty lines at both heights, scenes and clips."""
    sets = {
        "easy_line": ([Plan(LINES, (28, 28 * 8), 1, 32)], 0.0),
        "line": ([Plan(LINES, (28, 28 * n), 1, 32) for n in (6, 10, 14)], 1.0),
        "tall_line": ([Plan(LINES, (56, 28 * n), 1, 24) for n in (8, 16)], 0.4),
        "large_line": ([Plan(LINES, (28, 28 * n), 1, 32) for n in (8, 16, 24)], 0.4),
        "note": ([Plan(NOTES, size, 1, 32) for size in ((28, 336), (56, 280), (84, 280))], 0.6),
        **{task: ([Plan((task,), (140, 140), 1, 48)], 1.0) for task in sorted(set(SCENES))},
        **{task: ([Plan((task,), (84, 84), 4, 48)], 1.0) for task in sorted(set(CLIPS))},
    }
    return {
        name: [
            make_batch(plan, split="held_out", seed=900 + i, difficulty=level, tokenizer=tokenizer)
            for i, plan in enumerate(wanted)
        ]
        for name, (wanted, level) in sets.items()
    }


def initialise(model: Qwen2VL) -> None:
    """Normal weights by fan-in, zero biases; branches start at zero so that the residual stream starts clean."""
    for name, p in model.named_parameters():
        if p.dim() < 2:
            nn.init.constant_(p, 0.0 if name.endswith("bias") else 1.0)
        elif name.endswith(("embed_tokens.weight", "merger.mlp.2.weight")):
            nn.init.normal_(p, std=0.02)
        elif name.endswith(("attn.proj.weight", "fc2.weight", "o_proj.weight", "down_proj.weight")):
            nn.init.zeros_(p)
        else:
            nn.init.normal_(p, std=0.7 * p.shape[1] ** -0.5)


def optimisers(
    model: Qwen2VL, auxiliary: AuxiliaryHead, arguments: argparse.Namespace, threads: ThreadPoolExecutor
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = [p for name, p in learning if p.dim() == 2 and (".blocks." in name or ".layers." in name)]
    chosen = {id(p) for p in hidden}
    others = [p for _, p in learning if id(p) not in chosen]
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    matrices = Muon(hidden, lr=arguments.lr, weight_decay=0.01, dtype=dtype, threads=threads)
    taught = [p for p in auxiliary.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": taught, "head": True}]
    return matrices, torch.optim.AdamW(groups, lr=arguments.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)


if __name__ == "__main__":
    random.seed(0)
    main()
