"""One picture: encoded bytes, a PIL picture of any mode or a numpy array in, an upright 8-bit RGB picture out."""

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from PIL import Image

from anyres.errors import MediaError
from anyres.processing.sniff import PICTURES, sniff

__all__ = ["DECODER_ERRORS", "decode_picture", "open_picture", "picture_from_array", "upright_rgb"]

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_ALLOWED = "PNG, JPEG, WEBP, GIF, BMP, TIFF or PPM"
_WHOLE = "a complete, undamaged file"
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises on damaged files, found by fuzzing; its own texts hold memory addresses and are not repeated.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
)
# `warnings.catch_warnings` changes state of the whole process; two threads inside it would leave it changed.
_warnings_lock = threading.Lock()


def decode_picture(data: bytes, *, name: str, max_pixels: int) -> Image.Image:
    """The upright RGB picture in `data`; the first one of an animated file. Refuses before decoding where it can."""
    picture = open_picture(data, name=name, max_pixels=max_pixels)
    return upright_rgb(picture, name=name, max_pixels=max_pixels)


def open_picture(data: bytes, *, name: str, max_pixels: int) -> Image.Image:
    """Reads the header only: format, size and number of frames are known, no pixel is decoded."""
    format_ = sniff(data[:4096])
    if format_.key not in PICTURES:
        advice = f"; {format_.advice}" if format_.advice else ""
        raise MediaError(name, f"looks like {format_.words}", _ALLOWED + advice)
    with _quiet():
        try:
            picture: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        except Image.DecompressionBombError as error:  # Pillow's message gives the number, nothing else does
            count = re.search(r"\d+", str(error))
            seen = f"{int(count.group()):,} pixels" if count else "too many pixels"
            raise MediaError(name, seen, f"at most {max_pixels:,} pixels") from None
        except DECODER_ERRORS:
            raise MediaError(name, f"looks like {format_.words}, but its header is damaged", _WHOLE) from None
    _check_size(picture, name, max_pixels)
    return picture


def upright_rgb(picture: Image.Image, *, name: str, max_pixels: int) -> Image.Image:
    """Mode RGB, EXIF orientation applied, see-through parts on white; MediaError when the pixels do not decode.

    The result carries no metadata: its orientation would turn it once more.
    """
    _check_size(picture, name, max_pixels)
    try:
        with _quiet() if picture.format == "TIFF" else nullcontext():  # TIFF parses its tags once more
            picture.load()
        _check_size(picture, name, max_pixels)
        turned = _turn_upright(picture)
    except DECODER_ERRORS:
        raise MediaError(name, "the picture is cut off or damaged", _WHOLE) from None
    rgb = _to_rgb(turned, name)
    rgb.info.clear()
    return rgb


def picture_from_array(array: np.ndarray[Any, Any], *, name: str, max_pixels: int) -> Image.Image:
    """HxW, HxWx1, HxWx3 or HxWx4 of uint8, bool, uint16 (0..65535) or float (0..1)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise MediaError(name, f"an array of shape {array.shape}", "HxW, HxWx1, HxWx3 or HxWx4, no side 0")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise _too_large(name, array.shape[1], array.shape[0], max_pixels)
    picture = Image.fromarray(np.ascontiguousarray(_to_uint8(array, name)))
    return _to_rgb(picture, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of Pillow about bombs and odd metadata: the limit is ours, and odd metadata harms nobody."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_size(picture: Image.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise MediaError(name, f"{width}x{height} pixels", "at least 1x1")
    if width * height > max_pixels:
        raise _too_large(name, width, height, max_pixels)


def _too_large(name: str, width: int, height: int, max_pixels: int) -> MediaError:
    return MediaError(name, f"{width}x{height} pixels ({width * height:,})", f"at most {max_pixels:,} pixels")


def _turn_upright(picture: Image.Image) -> Image.Image:
    with _quiet():
        try:
            orientation = picture.getexif().get(_ORIENTATION, 1)
        except DECODER_ERRORS:  # unreadable EXIF does not spoil a readable picture
            orientation = 1
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if method is None else picture.transpose(method)


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    try:
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            return _deep_to_rgb(picture, name)
        if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
            return _on_white(picture)
        return picture.convert("RGB")
    except DECODER_ERRORS:
        raise MediaError(name, f"colour mode {picture.mode}", "a mode that converts to RGB") from None


def _on_white(picture: Image.Image) -> Image.Image:
    straight = picture.convert("LA") if picture.mode == "La" else picture
    rgba = straight.convert("RGBA")
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _deep_to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Grey of 16 or 32 bits or float, scaled to 8 bits."""
    numbers = np.asarray(picture)
    transparent = picture.info.get("transparency")
    if numbers.dtype.kind == "i":  # mode I: PGM and TIFF keep 16-bit values in it; small values are 8-bit already
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high > 65535:
            raise MediaError(name, f"32-bit values from {low} to {high}", "0 to 65535")
        grey = numbers.astype(np.uint8) if high <= 255 else _to_uint8(numbers.astype(np.uint16), name)
    elif numbers.dtype.kind == "f" and np.isfinite(numbers).all() and 1 < numbers.max() <= 255 and numbers.min() >= 0:
        grey = np.rint(numbers).astype(np.uint8)
    else:
        grey = _to_uint8(numbers, name)
    if isinstance(transparent, int):
        grey = np.where(numbers == transparent, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")


def _to_uint8(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 255 * 257
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if low >= 0 and high <= 1:  # false for NaN
            scaled: np.ndarray[Any, Any] = np.rint(array * 255).astype(np.uint8)
            return scaled
        raise MediaError(name, f"floating-point values from {low:g} to {high:g}", "0 to 1")
    raise MediaError(name, f"values of type {array.dtype}", "uint8, bool, uint16, or floats from 0 to 1")
