"""What a run answers on held-out content while it goes on: a few questions of each group, asked as users ask."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from anyres.engine.engine import LocalChatModel
from anyres.engine.request import GenerationDefaults
from anyres.model.qwen2vl import Qwen2VL
from anyres.processing.processor import Processor
from recipes.tiny.assets import Assets
from recipes.tiny.examination import answers, scored
from recipes.tiny.example import Example
from recipes.tiny.mixture import Task, example_of, shares_at
from recipes.tiny.report_card import share_of

__all__ = ["Validation"]

FIRST_SEED = 8_000_000
MOST_TOKENS = 64
"""Of an answer: what is cut off counts as not told."""
LARGEST = 0.6
"""Difficulty up to which groups are validated, so that it takes seconds."""


class Validation:
    """Asks `samples` questions of each group every `minutes` (0: never), always the same ones at the same levels.

    `folder` holds the tokenizer and the configuration; `reading` is the group whose level opens tasks.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[Task],
        *,
        assets: Assets,
        samples: int,
        minutes: float,
        reading: str,
        languages: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.tasks, self.assets, self.samples = folder, tuple(tasks), assets, samples
        self.minutes, self.reading, self.clock = minutes, reading, clock
        self.languages = tuple(languages)
        self._last = clock()

    @property
    def due(self) -> bool:
        """Whether the next round should begin."""
        return self.minutes > 0 and self.clock() - self._last >= 60 * self.minutes

    def figures(self, model: Qwen2VL, levels: Mapping[str, float]) -> dict[str, float]:
        """`valid GROUP` of each group, 0 to 1 by the metrics of the card, and `valid seconds`, what it took.

        Neither weights nor random numbers of the run are touched.
        """
        began = self.clock()
        processor = Processor.from_folder(self.folder)
        defaults = GenerationDefaults.from_folder(self.folder, model.config, processor.tokenizer)
        asked = self.examples(levels)
        told: dict[str, float] = {}
        with torch.random.fork_rng([] if model.device.type == "cpu" else [model.device]):
            talker = LocalChatModel(model, processor, defaults=defaults)
            for group, examples in asked.items():
                texts = answers(talker, examples, most_tokens=MOST_TOKENS)
                told[f"valid {group}"] = share_of(scored(*pair) for pair in zip(texts, examples, strict=True))
        self._last = self.clock()
        return told | {"valid seconds": self._last - began}

    def examples(self, levels: Mapping[str, float]) -> dict[str, list[Example]]:
        """The held-out examples of each group at its level, tasks drawn by the shares that they have by then."""
        found: dict[str, list[Example]] = {}
        for group in dict.fromkeys(task.group for task in self.tasks):
            tasks = [task for task in self.tasks if task.group == group]
            shares = shares_at(tasks, levels[self.reading])
            for place in range(self.samples):
                rng = np.random.default_rng([FIRST_SEED, place])
                task = tasks[int(rng.choice(len(tasks), p=shares))]
                difficulty = min(LARGEST, levels[group])
                example = example_of(
                    task, rng, split="held_out", difficulty=difficulty, assets=self.assets, languages=self.languages
                )
                found.setdefault(group, []).append(example)
        return found
