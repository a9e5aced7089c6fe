"""A row's number to its sample, or to the reason why it has none; the work that loader workers do."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from anyres.errors import (
    AnyresError,
    ContextLengthError,
    DatasetError,
    DownloadError,
    MediaError,
    MessageError,
    OptionError,
)
from anyres.processing.image import DEFAULT_MAX_PIXELS
from anyres.processing.processor import Processor
from anyres.training.dataset import Source
from anyres.training.packing import Budget
from anyres.training.supervision import AnswerIds, TrainingSample, answer_ids, supervise

__all__ = ["Preparer", "Recipe", "Rejected"]

# What a row can be blamed for. A missing package or a damaged checkpoint is not among them and stops the run.
ROW_ERRORS = (ContextLengthError, DatasetError, DownloadError, MediaError, MessageError, OptionError)


class Rejected(NamedTuple):
    """A row that is not trained on."""

    row: int
    name: str
    error: str
    reason: str


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to make samples: picklable, functions of modules included."""

    folder: Path
    source: Source
    budget: Budget
    max_pixels: int = DEFAULT_MAX_PIXELS
    learn_newline: bool = True
    answer_ids: AnswerIds = answer_ids


class Preparer:
    """Calls make the sample of a row."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.processor = Processor.from_folder(recipe.folder, default_max_pixels=recipe.max_pixels)

    def __call__(self, row: int) -> TrainingSample | Rejected:
        name = f"row {row}"
        try:
            example = self.recipe.source.example(row)
            name = example.name
            sample = supervise(
                example,
                self.processor,
                answer_ids=self.recipe.answer_ids,
                learn_newline=self.recipe.learn_newline,
            )
            _check_size(sample, self.recipe.budget)
        except ROW_ERRORS as error:
            return _rejected(row, name, error)
        return sample


def _check_size(sample: TrainingSample, budget: Budget) -> None:
    """A sample is never cut: what is larger than a pack is left out."""
    seen = f"{sample.tokens} tokens and {sample.patches} patches"
    if sample.tokens > budget.tokens or sample.patches > budget.patches:
        raise ContextLengthError(sample.name, seen, f"at most {budget.tokens} tokens and {budget.patches} patches")


def _rejected(row: int, name: str, error: AnyresError) -> Rejected:
    return Rejected(row, name, type(error).__name__, str(error))
