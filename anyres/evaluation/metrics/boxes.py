"""Boxes and points against those of the gold, all in pixels of the picture."""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.metrics.groups import mean, percent
from anyres.evaluation.sample import Sample
from anyres.grounding import Box, Point

__all__ = ["is_hit", "is_inside", "overlap", "summarise_by_split"]

HALF = 0.5


def overlap(extraction: Extraction, sample: Sample) -> float:
    """Intersection over union, without the pixel that VOC adds; 0 where there is no box.

    >>> overlap(Extraction([0, 0, 10, 10], ""), Sample("1", "?", facts={"box": [5, 0, 15, 10]}))
    0.3333333333333333
    """
    return Box(*extraction.value).iou(Box(*sample.facts["box"])) if extraction.value else 0.0


def is_hit(extraction: Extraction, sample: Sample) -> float:
    """1 if they overlap by half of their union."""
    return float(overlap(extraction, sample) >= HALF)


def is_inside(extraction: Extraction, sample: Sample) -> float:
    """1 if the point lies in the box of the gold or on its edge."""
    return float(extraction.value is not None and Box(*sample.facts["box"]).contains(Point(*extraction.value)))


def summarise_by_split(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The unweighted mean over the splits that there are, each split, and the mean overlap of all samples."""
    names = sorted({one.sample.categories.get("split", "") for one in graded})
    splits = {
        name: percent([one for one in graded if one.sample.categories.get("split", "") == name]) for name in names
    }
    return {
        "overall": mean(list(splits.values())),
        **{name: value for name, value in splits.items() if name},
        "mean IoU": 100 * mean([overlap(one.extraction, one.sample) for one in graded]),
    }
