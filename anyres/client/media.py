"""Pictures as parts of a request: bytes in data: URLs, never a path. Clips are in clips.py."""

import base64
import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from anyres.chat import ImagePart, VideoPart
from anyres.client.dialect import Dialect
from anyres.errors import MediaError, OptionError

if TYPE_CHECKING:
    from PIL import Image

    from anyres.processing.image import Size

__all__ = [
    "MediaRules",
    "Sent",
    "data_url",
    "is_address",
    "knobs_of",
    "original_url",
    "picture_parts",
    "refuse_encoded",
    "url_of",
]

MOST_FRAMES = 16
JPEG_QUALITY = 95
AS_THEY_ARE = ("PNG", "JPEG", "WEBP")
_WIRE_NAMES = {"start": "video_start", "end": "video_end"}
_WORDS = {"pictures": ("auto", "fitted", "original"), "video": ("auto", "file", "frames", "images")}
_CHECKPOINT_PIXELS = 16384 * 28 * 28  # Qwen2-VL's own limit


@dataclass(frozen=True)
class MediaRules:
    """How pictures and clips travel.

    `pictures`: "fitted" ones are resized here to what Qwen2-VL sees, and sent without loss; "original" bytes go as they
    are and addresses as addresses; "auto" is fitted, but for anyres servers, which resize by the same rule.
    `video`: the "file", chosen "frames" as one clip, or "images" one by one, at most `most_frames` of them; "auto" is
    what the server is known to take best. `most_images` and `most_videos` bound a whole conversation.
    """

    pictures: Literal["auto", "fitted", "original"] = "auto"
    video: Literal["auto", "file", "frames", "images"] = "auto"
    most_images: int | None = None
    most_videos: int | None = None
    most_frames: int = MOST_FRAMES

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise OptionError(name, repr(getattr(self, name)), ", ".join(words))
        for name, low in (("most_images", 0), ("most_videos", 0), ("most_frames", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < low):
                raise OptionError(name, repr(value), f"a whole number from {low}")


class Sent(NamedTuple):
    """Parts of a message in OpenAI's form, and what was changed on the way."""

    parts: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()


def picture_parts(part: ImagePart, rules: MediaRules, dialect: Dialect) -> Sent:
    """One picture. Raises MediaError and OptionError as the local model does."""
    from anyres.processing.image import check_pixel_options

    check_pixel_options(part)
    refuse_encoded(part.image)
    knobs = knobs_of(part)
    told = set(knobs) <= dialect.image_names
    whole = rules.pictures == "original" or (rules.pictures == "auto" and dialect.sizes_itself)
    if not whole or not told:
        return _fitted(part)
    url = part.image if rules.pictures == "original" and is_address(part.image) else original_url(part.image)
    if {"resized_height"} & set(knobs):
        return Sent(({"type": "image", "image": url, **knobs},))
    return Sent(({"type": "image_url", "image_url": {"url": url}, **knobs},))


def refuse_encoded(source: object) -> None:
    if hasattr(source, "grid_thw"):
        name = str(getattr(source, "name", "picture"))
        raise MediaError(name, "prepared or encoded by a local model", "a path, address, bytes, picture or array")


def knobs_of(part: ImagePart | VideoPart) -> dict[str, Any]:
    """What is set, under the names servers have."""
    held = {one.name: getattr(part, one.name) for one in fields(part)[1:]}
    if held["max_pixels"] == "checkpoint":
        held["max_pixels"] = _CHECKPOINT_PIXELS
    return {_WIRE_NAMES.get(name, name): value for name, value in held.items() if value is not None}


def _fitted(part: ImagePart) -> Sent:
    """The picture in the size that Qwen2-VL sees: the file itself where it has that size, else a PNG."""
    from anyres.processing.image import resize, shrunk_note
    from anyres.processing.media import open_image

    name, picture = open_image(part.image)
    size = _target(part, picture, name)
    note = "" if part.resized_height is not None else shrunk_note(name, _size(picture), size)
    kept = _kept_bytes(part.image) if (size.width, size.height) == picture.size else None
    url = data_url(resize(picture, size), "PNG") if kept is None else kept
    return Sent(({"type": "image_url", "image_url": {"url": url}},), (note,) if note else ())


def _target(part: ImagePart, picture: "Image.Image", name: str) -> "Size":
    from anyres.config import ImageProcessorConfig
    from anyres.processing.image import DEFAULT_MAX_PIXELS, max_pixels_of, pair_size, target_size

    config = ImageProcessorConfig()
    if part.resized_height is not None and part.resized_width is not None:
        return pair_size(part.resized_height, part.resized_width, config)
    low = config.min_pixels if part.min_pixels is None else part.min_pixels
    high = max_pixels_of(part.max_pixels, low, config=config, default_max_pixels=DEFAULT_MAX_PIXELS)
    return target_size(_size(picture), config=config, min_pixels=low, max_pixels=high, name=name)


def _size(picture: "Image.Image") -> "Size":
    from anyres.processing.image import Size

    return Size(picture.height, picture.width)


def _kept_bytes(source: object) -> str | None:
    """A file that may go as it is: of a format all servers read, one picture, upright."""
    from PIL import Image

    from anyres.processing.media import DEFAULT_LIMITS, read_bytes
    from anyres.processing.picture import open_picture

    if isinstance(source, Image.Image) or hasattr(source, "shape") or is_address(source):
        return None  # an address may show another picture the second time
    name, data = read_bytes(source, kind="image", limits=DEFAULT_LIMITS)
    picture = open_picture(data, name=name, max_pixels=DEFAULT_LIMITS.max_image_pixels)
    turned = picture.getexif().get(0x0112, 1) != 1
    plain = picture.format in AS_THEY_ARE and picture.mode in ("L", "RGB") and getattr(picture, "n_frames", 1) == 1
    return url_of(data, f"image/{str(picture.format).lower()}") if plain and not turned else None


def original_url(source: object) -> str:
    """The file's own bytes where all servers read its format, else a PNG of the same size."""
    from PIL import Image

    from anyres.processing.media import DEFAULT_LIMITS, open_image, read_bytes
    from anyres.processing.picture import open_picture

    if isinstance(source, Image.Image) or hasattr(source, "shape"):
        return data_url(open_image(source).picture, "PNG")
    name, data = read_bytes(source, kind="image", limits=DEFAULT_LIMITS)
    picture = open_picture(data, name=name, max_pixels=DEFAULT_LIMITS.max_image_pixels)
    if picture.format in AS_THEY_ARE:
        return url_of(data, f"image/{str(picture.format).lower()}")
    return data_url(open_image(data).picture, "PNG")


def data_url(picture: "Image.Image", format_: Literal["PNG", "JPEG"]) -> str:
    """PNG keeps every pixel; JPEG is for servers that take frames in no other form."""
    file = io.BytesIO()
    if format_ == "JPEG":
        picture.save(file, format_, quality=JPEG_QUALITY, subsampling=0)
    else:
        picture.save(file, format_)
    return url_of(file.getvalue(), f"image/{format_.lower()}")


def url_of(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def is_address(source: object) -> bool:
    """Whether a server could fetch it itself."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))
