"""Pictures of a benchmark that also lie in a folder, as one to train on: the same pixels, or the same to the eye."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from anyres.chat import ImagePart
from anyres.errors import AnyresError
from anyres.evaluation.sample import Sample
from anyres.processing.media import open_image

__all__ = ["NEAR", "Leak", "find_leaks", "picture_bits"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SIDE = 16
MARGIN = 2  # levels of grey, above the noise of JPEG
NEAR = 16
"""Bits of 256. Of 63 photographs, scans, charts and tables, copies made two thirds as large and saved as JPEG of
quality 60 differ from theirs by 12 at most, and no two different ones by less than 37."""

Bits = np.ndarray[Any, np.dtype[np.bool_]]


class Leak(NamedTuple):
    """`bits` is by how many of 256 the two differ, 0 for what looks the same."""

    sample: str
    file: Path
    bits: int


class _Look(NamedTuple):
    """What a picture looks like, and a digest of its pixels."""

    bits: Bits
    digest: bytes


def find_leaks(
    samples: Iterable[Sample], folder: Path, *, tell: Callable[[int], object] = lambda _: None
) -> list[Leak]:
    """Pictures of samples that lie in the folder or below it. What cannot be read is left out.

    Pictures of hardly any contrast, as blank pages, are the same only pixel by pixel.
    """
    known: list[tuple[Path, _Look]] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and (look := _look(path)) is not None:
            known.append((path, look))
            tell(len(known))
    if not known:
        return []
    table = np.array([look.bits for _, look in known])
    return [leak for sample, look in _pictures(samples) for leak in _matches(sample, look, known, table)]


def picture_bits(picture: Image.Image) -> Bits:
    """256 bits: whether each of 16x16 places is brighter than the one to its left."""
    small = picture.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.int16)
    bits: Bits = (values[:, 1:] > values[:, :-1] + MARGIN).reshape(-1)
    return bits


def _matches(sample: Sample, look: _Look, known: list[tuple[Path, _Look]], table: Bits) -> Iterator[Leak]:
    gaps = (table != look.bits).sum(axis=1)
    for place in np.flatnonzero(gaps <= NEAR).tolist():
        path, other = known[place]
        if min(look.bits.sum(), other.bits.sum()) > NEAR or look.digest == other.digest:
            yield Leak(sample.id, path, int(gaps[place]))


def _pictures(samples: Iterable[Sample]) -> Iterator[tuple[Sample, _Look]]:
    for sample in samples:
        for part in sample.media:
            if isinstance(part, ImagePart) and (look := _look(part.image)) is not None:
                yield sample, look


def _look(source: object) -> _Look | None:
    try:
        picture = open_image(source).picture
    except AnyresError:
        return None
    pixels = f"{picture.size}".encode() + picture.tobytes()
    return _Look(picture_bits(picture), hashlib.sha256(pixels).digest())
