"""Sheets with drawn things on them: what a camera makes of them, with the names and letters of each cell."""

from collections.abc import Sequence

import numpy as np

from recipes.tiny.conversation import about_pictures
from recipes.tiny.example import Example
from recipes.tiny.paper import Paper
from recipes.tiny.regions import Region, dense_of
from recipes.tiny.things import weathered

__all__ = ["about_drawing"]


def about_drawing(
    rng: np.random.Generator,
    paper: Paper,
    regions: Sequence[Region],
    *,
    task: str,
    turns: tuple[str, str],
    metric: str = "exact",
    hardness: float = 0.0,
    language: str = "en",
) -> Example:
    """A question about a sheet that is neither turned nor bent, so that its things stay where they were drawn."""
    sheet = paper.sheet()
    frame = weathered(rng, sheet.frame.astype(np.float32), hardness * float(rng.random()))
    dense = dense_of(regions, (paper.height, paper.width), letters=sheet.letters)
    return about_pictures(task, [frame], turns, dense=[dense], metric=metric, language=language)
