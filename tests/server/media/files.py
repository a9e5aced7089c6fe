"""Files made by code: good ones of every format, and those that mean harm."""

import base64
import io
import struct
import zlib
from collections.abc import Sequence

import av
import numpy as np
from PIL import Image

from tests.scheduling import ordinary_scheduling


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def photo(width: int = 80, height: int = 60, seed: int = 1) -> Image.Image:
    """Neither flat nor noise: something a decoder can get wrong."""
    numbers = np.random.default_rng(seed)
    coarse = numbers.integers(0, 256, (max(2, height // 8), max(2, width // 8), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, container: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, container, **options)  # type: ignore[arg-type]
    return file.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of a hundred bytes that claims any size, with more chunks before its pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"\0" * 40)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in body)


def flat_png(side: int) -> bytes:
    """A true one: side * side black pixels in a few kilobytes, deflated a thousandfold."""
    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(1 + side * 3)) for _ in range(side)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in body)


def clip(
    frames: int = 30,
    codec: str = "libx264",
    container: str = "mp4",
    size: tuple[int, int] = (96, 64),
    rate: int = 10,
    rotation: int = 0,
) -> bytes:
    """Frames that differ everywhere from each other."""
    file = io.BytesIO()
    with ordinary_scheduling(), av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            pixels = np.asarray(photo(*size, seed=number))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    data = file.getvalue()
    return turned(data) if rotation else data


def turned(mp4: bytes) -> bytes:
    """With the display matrix of a quarter turn, as telephones write it."""
    place = mp4.index(b"tkhd") + 4
    version = mp4[place]
    matrix = place + 4 + (32 if version else 20) + 16
    quarter = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 64 << 16, 0, 0x40000000)
    return mp4[:matrix] + quarter + mp4[matrix + 36 :]


def animation(container: str, frames: int = 6) -> bytes:
    pictures = [photo(seed=number) for number in range(frames)]
    return encoded(pictures[0], container, save_all=True, append_images=pictures[1:], duration=100)


def pdf(
    texts: Sequence[str] = ("first", "second"),
    width: float = 300,
    height: float = 200,
    *,
    catalog: str = "",
    page: str = "",
    more: Sequence[str] = (),
) -> bytes:
    """A document of one line on each page, with a table of where its objects are. `more` objects follow those of the
    pages, from number 4 + 2 * pages on; `catalog` and `page` are written into those objects."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(texts)))
    objects = [
        f"<</Type/Catalog/Pages 2 0 R{catalog}>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(texts)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, text in enumerate(texts):
        stream = f"BT /F1 36 Tf 20 80 Td ({text}) Tj ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.7f} {height:.7f}]/Contents {5 + 2 * number} 0 R"
            f"/Resources<</Font<</F1 3 0 R>>>>{page}>>"
        )
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    objects += more
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, words in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj{words}endobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    out += f"trailer<</Root 1 0 R/Size {len(objects) + 1}>>\nstartxref\n{out.index(b'xref')}\n%%EOF".encode()
    return bytes(out)
