"""Samples of one picture size -> tensors for one pass; made by worker processes, kept in a pool, drawn again."""

import multiprocessing as mp
import os
import pickle
import queue
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.config import CLIP_MEAN, CLIP_STD
from anyres.model_input import Grid
from anyres.processing.positions import rope_positions
from anyres.processing.template import SpecialToken, render
from anyres.processing.tokenizer import Tokenizer
from anyres.training.supervision import answer_ids
from recipes.tiny.factory import CLASSES, Sample, make_sample
from recipes.tiny.lines import IGNORED, LONGEST, reading_order
from recipes.tiny.places import NOBODY, asked
from recipes.tiny.scenes import Asked
from recipes.tiny.vocabulary import spelled_ids

__all__ = ["IGNORED", "LONGEST", "Batch", "BatchPool", "Plan", "collate", "make_batch", "per_question"]

PATCH, MERGE, TOKEN_SIDE = 14, 2, 28
PRINTED = ("line", "note")
"""Tasks whose answers are spelled letter by letter."""
FEWEST = 24
"""Batches that are pooled before any is used again."""


@dataclass(frozen=True)
class Plan:
    """What one batch is made of: tasks drawn at random among `tasks`, all of one picture size.

    With `further`, every sample brings its further questions along.
    """

    tasks: tuple[str, ...]
    size: tuple[int, int]
    frames: int
    samples: int
    further: bool = False


@dataclass
class Batch:
    """B questions about pictures of one grid, as many about each; M runs over the visual tokens of all pictures.

    `cells_MS` counts classes from 0, -1 for an empty slot. `order_M` is the index in the answer of the first character
    of a cell, IGNORED where there is none. `places_MX` has the columns of recipes/tiny/places.py.
    `asked_B7` holds the colour and the shape that the question names, and its referent; `spread_BM` how many of the
    things that it is about have their centre in each cell of its picture.
    """

    task: str
    frames_PFHW3: np.ndarray
    ids_BL: Tensor
    labels_BL: Tensor
    positions_3BL: Tensor
    cells_MS: Tensor | None
    order_M: Tensor | None
    places_MX: Tensor | None
    asked_B7: Tensor
    answers: list[str]
    spread_BM: Tensor | None = None
    uses: int = 0

    @property
    def pictures(self) -> int:
        return len(self.frames_PFHW3)

    @property
    def questions(self) -> int:
        """About each picture."""
        return len(self.answers) // self.pictures

    @property
    def grid(self) -> Grid:
        _, frames, height, width, _ = self.frames_PFHW3.shape
        return ((frames + 1) // 2, height // PATCH, width // PATCH)

    def pixels_PX(self) -> Tensor:
        """Normalised patches of all samples in storage order, as `anyres.processing.image` makes them one by one."""
        frames = torch.from_numpy(self.frames_PFHW3)
        if frames.shape[1] % 2:
            frames = torch.cat([frames, frames[:, -1:]], dim=1)
        x = (frames.float() / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
        b, (t, h, w) = self.pictures, self.grid
        x = x.view(b, t, 2, h // MERGE, MERGE, PATCH, w // MERGE, MERGE, PATCH, 3)
        return x.permute(0, 1, 3, 6, 4, 7, 9, 2, 5, 8).reshape(b * t * h * w, -1)


def collate(samples: Sequence[Sample], tokenizer: Tokenizer, *, further: bool = False) -> Batch:
    """Token rows are padded on the right, where a causal model never looks back from.

    With `further`, a sample's further questions follow its own, and all samples must have as many.
    """
    frames = np.stack([np.stack(sample.frames) for sample in samples])
    grid = ((frames.shape[1] + 1) // 2, frames.shape[2] // PATCH, frames.shape[3] // PATCH)
    own = [(one, Asked(one.question, one.answer, one.referent or NOBODY, one.spread)) for one in samples]
    told = [pair for pair in own for pair in (pair, *((pair[0], more) for more in pair[0].further if further))]
    rows = [_row(sample, one, grid, tokenizer) for sample, one in told]
    longest = max(len(ids) for ids, _, _ in rows)
    ids_BL = torch.zeros(len(rows), longest, dtype=torch.int64)
    labels_BL = torch.full((len(rows), longest), IGNORED)
    positions_3BL = torch.zeros(3, len(rows), longest, dtype=torch.int64)
    for i, (ids, answer_length, positions_3T) in enumerate(rows):
        ids_BL[i, : len(ids)] = torch.tensor(ids)
        labels_BL[i, len(ids) - answer_length - 1 : len(ids) - 1] = ids_BL[i, len(ids) - answer_length : len(ids)]
        positions_3BL[:, i, : len(ids)] = positions_3T
    cells = [sample.cells for sample in samples if sample.cells is not None]
    cells_MS = torch.from_numpy(np.concatenate(cells)).long() if len(cells) == len(samples) else None
    places = [sample.places for sample in samples if sample.places is not None]
    places_MX = torch.from_numpy(np.concatenate(places)) if len(places) == len(samples) else None
    order_M = None
    if samples[0].task in PRINTED:
        order_M = torch.cat([_order_of(sample, grid[2] // MERGE) for sample in samples])
    asked_B7 = torch.tensor([(*asked(one.question), *one.referent) for _, one in told])
    spreads = [one.spread for _, one in told if one.spread is not None]
    spread_BM = torch.tensor(spreads) if len(spreads) == len(told) else None
    answers = [one.answer for _, one in told]
    return Batch(
        samples[0].task, frames, ids_BL, labels_BL, positions_3BL, cells_MS, order_M, places_MX, asked_B7, answers,
        spread_BM,
    )  # fmt: skip


def per_question(rows_MX: Tensor, batch: Batch) -> Tensor:
    """Rows of the visual tokens of every picture, once more for each question about it."""
    pictures_PMX = rows_MX.view(batch.pictures, -1, rows_MX.shape[-1])
    return pictures_PMX.repeat_interleave(batch.questions, dim=0).flatten(0, 1)


def make_batch(plan: Plan, *, split: str, seed: int, difficulty: float, tokenizer: Tokenizer) -> Batch:
    """`plan.samples` samples, each from its own seed."""
    rng = random.Random(seed)
    samples = [
        make_sample(
            rng.choice(plan.tasks), split=split, seed=rng.getrandbits(48), difficulty=difficulty, size=plan.size
        )
        for _ in range(plan.samples)
    ]
    return collate(samples, tokenizer, further=plan.further)


class BatchPool:
    """Batches drawn by worker processes without end; when none is fresh, an earlier one is used again."""

    def __init__(
        self, tokenizer_folder: Path, plans: Sequence[Plan], *, workers: int, seed: int, capacity: int
    ) -> None:
        self._context = mp.get_context("spawn")
        self.difficulty = self._context.Value("d", 0.0)
        self._fresh = self._context.Queue(maxsize=4 * workers)
        self._recipe = (tokenizer_folder, tuple(plans))
        self._pool: list[Batch] = []
        self._capacity = capacity
        self._rng = random.Random(seed)
        self.made = 0
        self.reused = 0
        self._workers = [self._worker() for _ in range(workers)]

    def _worker(self) -> BaseProcess:
        arguments = (self._fresh, self.difficulty, *self._recipe, self._rng.getrandbits(48))
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        return process

    def next(self, *, max_uses: int) -> Batch:
        """A fresh batch if one is ready or too few are pooled, else one used fewer than `max_uses` times."""
        batch = self._take_fresh()
        if batch is None:
            index = self._rng.randrange(len(self._pool))
            batch = self._pool[index]
            self.reused += 1
            if batch.uses + 1 >= max_uses:
                self._pool[index] = self._pool[-1]
                self._pool.pop()
        batch.uses += 1
        return batch

    def _take_fresh(self) -> Batch | None:
        try:
            batch: Batch = pickle.loads(self._fresh.get(block=len(self._pool) < FEWEST, timeout=20))  # noqa: S301
        except queue.Empty:
            self._workers = [one if one.is_alive() else self._worker() for one in self._workers]
            if not self._pool:
                raise
            return None
        self.made += 1
        self._pool.append(batch)
        if len(self._pool) > self._capacity:
            self._pool.pop(self._rng.randrange(len(self._pool) - 1))
        return batch


def _work(fresh: "mp.Queue[bytes]", difficulty: object, folder: Path, plans: tuple[Plan, ...], seed: int) -> None:
    torch.set_num_threads(1)
    os.nice(5)
    tokenizer = Tokenizer.from_folder(folder)
    rng = random.Random(seed)
    while True:
        level: float = difficulty.value  # type: ignore[attr-defined]
        drawn = level * rng.random() ** 0.7
        plan, drawn_seed = rng.choice(plans), rng.getrandbits(48)
        batch = make_batch(plan, split="train", seed=drawn_seed, difficulty=drawn, tokenizer=tokenizer)
        # As bytes: tensors in a queue are handles of memory that is lost with the worker.
        fresh.put(pickle.dumps(batch))


def _order_of(sample: Sample, columns: int) -> Tensor:
    if sample.order is not None:
        return torch.tensor(sample.order)
    assert sample.cells is not None
    letters = ["".join(CLASSES[one] for one in cell if one >= 0) for cell in sample.cells]
    return torch.tensor(reading_order(letters, sample.answer, columns))


def _row(sample: Sample, one: Asked, grid: Grid, tokenizer: Tokenizer) -> tuple[list[int], int, Tensor]:
    kind = "video" if len(sample.frames) > 1 else "image"
    before, after = _prompt(one.question, kind, tokenizer)
    visual_tokens = grid[0] * grid[1] * grid[2] // MERGE**2
    told = spelled_ids(one.answer, tokenizer) if sample.task in PRINTED else answer_ids(one.answer, tokenizer, None)
    answer = [*told, tokenizer.special_id("<|im_end|>")]
    ids = [*before, *[tokenizer.special_id(f"<|{kind}_pad|>")] * visual_tokens, *after, *answer]
    positions = rope_positions([len(before), grid, len(after) + len(answer)])
    return ids, len(answer), positions.positions_3T


@lru_cache(maxsize=4096)
def _prompt(question: str, kind: str, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    part = ImagePart(None) if kind == "image" else VideoPart(None)
    before: list[int] = []
    after: list[int] = []
    for segment in render([Message("user", [part, TextPart(question)])]):
        if isinstance(segment, (ImagePart, VideoPart)):
            before, after = after, []
        else:
            after.extend(_segment_ids(segment, tokenizer))
    return tuple(before), tuple(after)


def _segment_ids(segment: SpecialToken | str, tokenizer: Tokenizer) -> list[int]:
    return (
        [tokenizer.special_id(segment.token)] if isinstance(segment, SpecialToken) else tokenizer.encode_text(segment)
    )
