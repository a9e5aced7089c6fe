"""Pictures of a benchmark that also lie in a folder, as one to train on: the same file, or the same to the eye."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from anyres.chat import ImagePart
from anyres.errors import AnyresError
from anyres.evaluation.sample import Sample
from anyres.processing.media import open_image

__all__ = ["Leak", "find_leaks", "picture_hash"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SIDE = 16
NEAR = 10
"""Bits of 256 by which copies differ that were resized or stored as JPEG; different photographs differ by 80 or more."""
FLAT = 4
"""Bits that a picture of hardly any contrast has set: two white pages are no copies of one another."""


class Leak(NamedTuple):
    """`bits` is by how many of 256 the two differ, 0 for what looks the same."""

    sample: str
    file: Path
    bits: int


def find_leaks(
    samples: Iterable[Sample], folder: Path, *, tell: Callable[[int], object] = lambda _: None
) -> list[Leak]:
    """Pictures of samples that lie in the folder or below it. What cannot be read is left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS]
    known = list(_hashes(files, tell))
    if not known:
        return []
    table = np.array([hash_ for _, hash_ in known])
    found = []
    for sample, hash_ in _pictures(samples):
        gaps = (table != hash_).sum(axis=1)
        found += [Leak(sample.id, known[place][0], int(gaps[place])) for place in np.flatnonzero(gaps <= NEAR)]
    return found


def picture_hash(picture: Image.Image) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """256 bits: whether each of 16x16 places is brighter than the one to its right."""
    small = picture.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.int16)
    return (values[:, 1:] > values[:, :-1]).reshape(-1)


def _hashes(files: Sequence[Path], tell: Callable[[int], object]) -> Iterator[tuple[Path, object]]:
    for done, path in enumerate(files, start=1):
        tell(done)
        found = _hash(path)
        if found is not None:
            yield path, found


def _pictures(samples: Iterable[Sample]) -> Iterator[tuple[Sample, object]]:
    for sample in samples:
        for part in sample.media:
            if isinstance(part, ImagePart) and (found := _hash(part.image)) is not None:
                yield sample, found


def _hash(source: object) -> object | None:
    try:
        found = picture_hash(open_image(source).picture)
    except AnyresError:
        return None
    return found if int(found.sum()) >= FLAT else None
