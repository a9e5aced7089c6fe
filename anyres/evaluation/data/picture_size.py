"""How large a picture is, from its header, for boxes that are told in parts of it."""

from anyres.chat import ImagePart
from anyres.errors import AnyresError, DatasetError
from anyres.evaluation.data.rows import Row
from anyres.processing.media import DEFAULT_LIMITS, read_bytes
from anyres.processing.picture import open_picture

__all__ = ["picture_size"]

ORIENTATION = 0x0112  # EXIF
ON_ITS_SIDE = (5, 6, 7, 8)


def picture_size(row: Row, picture: ImagePart) -> tuple[int, int]:
    """Width and height as models see it, upright: of the row's columns, else of the picture's header.

    DatasetError where it is neither told nor can be read; a picture at an address is not fetched for it.
    """
    if row.has("width", "image_width") and row.has("height", "image_height"):
        return row.whole("width", "image_width"), row.whole("height", "image_height")
    source = picture.image
    if isinstance(source, str) and "://" in source:
        raise DatasetError(row.name, f"no size of {source}", "columns width and height where pictures are addresses")
    try:
        data = read_bytes(source, kind="image", limits=DEFAULT_LIMITS)
        opened = open_picture(data.data, name=data.name, max_pixels=DEFAULT_LIMITS.max_image_pixels)
    except AnyresError as error:
        raise DatasetError(row.name, str(error), "a picture whose size can be read") from error
    width, height = opened.size
    return (height, width) if opened.getexif().get(ORIENTATION) in ON_ITS_SIDE else (width, height)
