"""Pictures of a report, small and once each, and the boxes that are drawn on them."""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from anyres.chat import ImagePart, VideoPart
from anyres.errors import AnyresError
from anyres.evaluation.data.rows import picture_cluster
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Sample
from anyres.grounding import parse_grounding

__all__ = ["Album", "UnitBox", "answer_boxes", "gold_boxes"]

LONGEST_SIDE = 448
QUALITY = 70
THOUSAND = 1000
GOLD_BOX = "box"
"""The key of Sample.facts that holds a gold box: [x1, y1, x2, y2] in pixels of the picture."""


class UnitBox(NamedTuple):
    """A box in shares of the picture's width and height."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str = ""


class Thumbnail(NamedTuple):
    """`width` and `height` are those of the whole picture, upright."""

    uri: str
    width: int
    height: int


class Album:
    """Thumbnails by picture, as long as there is room; what cannot be read or does not fit has a line that says so."""

    def __init__(self, *, max_bytes: int) -> None:
        self.thumbnails: dict[str, Thumbnail] = {}
        self.notes: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._left = max_bytes

    @property
    def is_full(self) -> bool:
        return self._left <= 0

    def add(self, part: ImagePart | VideoPart) -> str:
        """The key of a picture or clip (its middle frame), which says nothing of where it lies."""
        key = self._keys.setdefault(picture_cluster([part]), f"p{len(self._keys)}")
        if key in self.thumbnails or key in self.notes:
            return key
        if self.is_full:
            return key
        try:
            made = _thumbnail(part)
        except AnyresError as error:
            self.notes[key] = str(error)
            return key
        self._left -= len(made.uri)
        self.thumbnails[key] = made
        return key


def answer_boxes(record: Record, size: tuple[int, int] | None) -> list[UnitBox]:
    """The boxes that an answer writes, in the convention that its model declared; `size` of the picture for pixels."""
    found = parse_grounding(record.raw).boxes
    if record.coordinates == "pixels":
        if size is None:
            return []
        across, down = size
    else:
        across = down = 1 if record.coordinates == "unit" else THOUSAND
    return [_clamped(box.edges, across, down, box.label) for box in found]


def gold_boxes(sample: Sample, size: tuple[int, int] | None) -> list[UnitBox]:
    """Of samples whose facts hold one in pixels."""
    box = sample.facts.get(GOLD_BOX)
    if size is None or not isinstance(box, (list, tuple)) or len(box) != 4 or not all(map(_is_number, box)):
        return []
    return [_clamped(box, *size, "gold")]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _clamped(edges: Iterable[float], across: float, down: float, label: str) -> UnitBox:
    x1, y1, x2, y2 = edges
    shares: Sequence[float] = (x1 / across, y1 / down, x2 / across, y2 / down)
    left, top, right, bottom = (round(min(1.0, max(0.0, share)), 4) for share in shares)
    return UnitBox(left, top, right, bottom, label)


def _thumbnail(part: ImagePart | VideoPart) -> Thumbnail:
    from PIL import Image

    from anyres.processing.media import open_image, open_video

    if isinstance(part, VideoPart):
        with open_video(part.video) as clip:
            picture = Image.fromarray(next(clip.iter_frames([clip.total_frames // 2])))
    else:
        picture = open_image(part.image).picture
    small = picture.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY)
    uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Thumbnail(uri, picture.width, picture.height)
