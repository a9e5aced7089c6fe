"""Files that mean harm: each is refused with its code, in a moment, and the door is as good as before."""

import gzip
import http.server
import os
import re
import socketserver
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anyres.chat import ImagePart
from anyres.processing.image import image_to_visual
from anyres.server.decoder import Decoder, UndecodableError
from anyres.server.media import ImageOptions, MediaRequest, RefusedMediaError, VideoOptions
from tests.server.media.conftest import CONFIG, OpenDoor
from tests.server.media.files import animation, clip, encoded, flat_png, pdf, photo, png, png_chunk, url

PHOTO = encoded(photo())
CLIP = clip()
SECRETS = re.compile(r"0x[0-9a-f]{6,}|Traceback|/usr|/root|/home|/tmp|site-packages|\.py\b")
FORMAT, DAMAGED, LARGE = "unsupported_image_media_type", "image_parse_error", "image_too_large"
NO_CLIP = "unsupported_video_format"


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


def webp_header(width: int, height: int) -> bytes:
    """An extended one: the size of its canvas in 24 bits."""
    body = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def tiff(width: int, height: int, *more: tuple[int, int, int, int]) -> bytes:
    """Entries are (tag, type, count, value)."""
    entries = sorted([(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), *more])
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + table + bytes(4) + bytes(200)


def tiff_in_tiles() -> bytes:
    tiles = ((322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 100), (325, 4, 1, 99), (259, 3, 1, 1))
    return tiff(60_000, 60_000, *tiles)


def tiff_that_bites_its_tail() -> bytes:
    data = bytearray(tiff(10, 10, (273, 4, 1, 8), (279, 4, 1, 100), (259, 3, 1, 1)))
    place = 10 + 12 * struct.unpack_from("<H", data, 8)[0]
    struct.pack_into("<I", data, place, 8)
    return bytes(data)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif_of_frames(count: int) -> bytes:
    """Each of one pixel."""
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * count + b";"


def png_in_frames(count: int) -> bytes:
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    control = struct.pack(">IIIII", 0, 1, 1, 0, 0) + struct.pack(">HHBB", 1, 10, 0, 0)
    pixel = zlib.compress(b"\0\0\0\0")
    parts = [png_chunk(b"IHDR", head), png_chunk(b"acTL", struct.pack(">II", count, 0)), png_chunk(b"fcTL", control)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IDAT", pixel) + png_chunk(b"IEND", b"")


TEXT_BOMB = b"key\0\0" + zlib.compress(bytes(200_000_000), 9)

IMAGES: dict[str, tuple[bytes, str]] = {
    # What is no picture at all
    "SVG": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/>', FORMAT),
    "HTML": (b"<!doctype html><script>1</script>", FORMAT),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), FORMAT),
    "AVIF": (b"\0\0\0\x1cftypavif" + bytes(99), FORMAT),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n", FORMAT),
    "EPS in DOS clothes": (b"\xc5\xd0\xd3\xc6" + bytes(50), FORMAT),
    "FITS": (b"SIMPLE  =                    T" + bytes(99), FORMAT),
    "PSD": (b"8BPS\0\1" + bytes(50), FORMAT),
    "ICNS": (b"icns" + bytes(50), FORMAT),
    "ICO": (b"\0\0\1\0\1\0" + bytes(50), FORMAT),
    "WMF": (b"\xd7\xcd\xc6\x9a" + bytes(50), FORMAT),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), FORMAT),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), FORMAT),
    "JPEG 2000 stream": (b"\xff\x4f\xff\x51" + bytes(50), FORMAT),
    "MPEG": (b"\0\0\1\xba" + bytes(50), FORMAT),
    "McIDAS": (b"\0\0\0\0\0\0\0\4" + bytes(300), FORMAT),
    "GD": (b"\xff\xfe\0\x10\0\x10" + bytes(300), FORMAT),
    "FLI": (b"\0\0\0\0\x11\xaf" + bytes(130), FORMAT),
    "gzip": (gzip.compress(PHOTO), FORMAT),
    "ZIP": (b"PK\3\4" + bytes(50), FORMAT),
    "PDF as a picture": (pdf(), FORMAT),
    "clip as a picture": (CLIP, FORMAT),
    "playlist": (b"ffconcat version 1.0\nfile a.png\n", FORMAT),
    "text": (b"hello", FORMAT),
    "noise": (bytes(range(256)) * 4, FORMAT),
    "a zero byte": (b"\0", FORMAT),
    # Bombs
    "PNG of 9,000 squared": (png(9000, 9000), LARGE),
    "PNG of 13,000 squared": (png(13_000, 13_000), LARGE),
    "PNG of 20,000 squared": (png(20_000, 20_000), LARGE),
    "PNG of 65,535 squared": (png(65_535, 65_535), LARGE),
    "PNG of 2^31-1 squared": (png(2**31 - 1, 2**31 - 1), LARGE),
    "PNG of 8,000 squared, whole": (flat_png(8000), LARGE),
    "JPEG of 65,535 squared": (jpeg_header(65_535, 65_535), LARGE),
    "WEBP of 16,383 squared": (webp_header(16_383, 16_383), LARGE),
    "TIFF in tiles of 60,000 squared": (tiff_in_tiles(), LARGE),
    "BMP of 2^31-1 squared": (bmp(2**31 - 1, 2**31 - 1), LARGE),
    "PPM of 10^9 squared": (b"P6 1000000000 1000000000 255\n", LARGE),
    "PPM of 10^5000": (b"P6 " + b"9" * 5000 + b" 1 255\n", DAMAGED),
    "zTXt bomb": (png(10, 10, (b"zTXt", TEXT_BOMB)), DAMAGED),
    "iTXt bomb": (png(10, 10, (b"iTXt", b"key\0\1\0\0\0" + TEXT_BOMB[5:])), DAMAGED),
    "iCCP bomb": (png(10, 10, (b"iCCP", TEXT_BOMB)), DAMAGED),
    # Shapes
    "100,000 x 1": (encoded(Image.new("1", (100_000, 1))), "invalid_image"),
    "3 x 1200": (encoded(Image.new("L", (3, 1200))), "invalid_image"),
    "PNG of 0 x 5": (png(0, 5), "image_too_small"),
    "PNG of 5 x 0": (png(5, 0), "image_too_small"),
    "GIF of 0 x 0": (b"GIF89a" + bytes(30), "image_too_small"),
    "BMP of 0 x 5": (bmp(0, 5), "image_too_small"),
    # Damage
    "PNG cut": (PHOTO[: len(PHOTO) // 2], DAMAGED),
    "PNG, head alone": (PHOTO[:20], DAMAGED),
    "PNG with a wrong sum": (PHOTO[:40] + b"\xff" + PHOTO[41:], DAMAGED),
    "PNG without pixels": (png(10, 10)[:33] + png_chunk(b"IEND", b""), DAMAGED),
    "JPEG, head alone": (b"\xff\xd8\xff", DAMAGED),
    "JPEG without tables": (jpeg_header(100, 100), DAMAGED),
    "WEBP cut": (encoded(photo(), "WEBP")[:60], DAMAGED),
    "TIFF of nothing": (b"II*\0" + bytes(20), DAMAGED),
    "TIFF with offsets outside": (tiff(10, 10, (273, 4, 1, 2**31), (279, 4, 1, 100), (259, 3, 1, 1)), DAMAGED),
    "TIFF of floats out of range": (encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), DAMAGED),
    "empty": (b"", "empty_image_file"),
}


def refusal_of(door: OpenDoor, request: MediaRequest) -> RefusedMediaError:
    with pytest.raises(RefusedMediaError) as caught:
        door(request)
    assert not SECRETS.search(str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 600
    return caught.value


def result(door: OpenDoor, kind: str, data: bytes) -> list[Any] | RefusedMediaError:
    options = VideoOptions() if kind == "video" else ImageOptions()
    try:
        [parts] = door(MediaRequest(kind, url(data), options=options))  # type: ignore[arg-type]
    except RefusedMediaError as error:
        return error
    return parts


@pytest.fixture
def unharmed(door: OpenDoor) -> Iterator[OpenDoor]:
    """The door gives the right answer afterwards."""
    yield door
    [[part]] = door(MediaRequest("image", url(PHOTO)))
    assert part.image.content_key == image_to_visual(ImagePart(PHOTO), config=CONFIG).content_key


@pytest.mark.parametrize("name", list(IMAGES))
def test_pictures(name: str, unharmed: OpenDoor) -> None:
    data, code = IMAGES[name]
    begun = time.monotonic()
    assert refusal_of(unharmed, MediaRequest("image", url(data, "image/png"))).code == code
    assert time.monotonic() - begun < 20  # no limit of time was needed
    if code == FORMAT and name != "PDF as a picture":
        assert refusal_of(unharmed, MediaRequest("file", url(data))).code == code


def moov(*boxes: bytes) -> bytes:
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"".join(boxes))


def with_number(mp4: bytes, name: bytes, offset: int, number: int, form: str = ">I") -> bytes:
    """One number in the first box of a name, another."""
    data = bytearray(mp4)
    struct.pack_into(form, data, data.index(name) + 4 + offset, number)
    return bytes(data)


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box(b"moov", body)
    return box(b"ftyp", b"isom\0\0\0\0isom") + body


def of_any_size(side: int) -> bytes:
    """The head of a clip of 300x260 with other numbers in it."""
    data = clip(6, "libvpx", "webm", size=(300, 260))
    assert data.count(b"\xb0\x82\x01\x2c\xba\x82\x01\x04") == 1
    sides = struct.pack(">HHHH", 0xB082, side, 0xBA82, side)
    return data.replace(b"\xb0\x82\x01\x2c\xba\x82\x01\x04", sides)


CLIPS: dict[str, tuple[bytes, str]] = {
    "a picture": (encoded(photo(), "JPEG"), NO_CLIP),
    "text": (b"just text", NO_CLIP),
    "empty": (b"", NO_CLIP),
    "PDF": (pdf(), NO_CLIP),
    "Ogg": (b"OggS\0\2" + bytes(40), NO_CLIP),
    "one frame": (clip(1), NO_CLIP),
    "one frame of GIF": (encoded(photo(), "GIF"), NO_CLIP),
    "ffv1": (clip(3, "ffv1", "matroska"), NO_CLIP),
    "JPEG 2000 in MOV": (clip(3, "jpeg2000", "mov"), NO_CLIP),
    "cut": (CLIP[:300], NO_CLIP),
    "no index": (CLIP[: CLIP.index(b"moov")], NO_CLIP),
    "frames of 16,000 squared": (of_any_size(16_000), "video_too_large"),
    "frames of 65,535 squared": (of_any_size(65_535), ""),  # FFmpeg looks at the frames then
    "another size in its head": (with_number(CLIP, b"avc1", 24, 0xFFFFFFFF), ""),
    "another size in its frames": (of_any_size(256), ""),
    "empty moov": (moov(), NO_CLIP),
    "moov inside moov": (nested(5000), NO_CLIP),
    "moov of 2^63 bytes": (box(b"ftyp", b"isom\0\0\0\0isom") + struct.pack(">I4sQ", 1, b"moov", 2**63), NO_CLIP),
    "moov that refers to a file": (CLIP.replace(b"url \0\0\0\1", b"url \0\0\0\0"), ""),
    "2^32-1 samples": (with_number(CLIP, b"stsz", 8, 0xFFFFFFFF), NO_CLIP),
    "no samples": (with_number(CLIP, b"stsz", 8, 0), NO_CLIP),
    "2^32-1 chunks": (with_number(CLIP, b"stco", 4, 0xFFFFFFFF), ""),
    "chunks outside": (with_number(CLIP, b"stco", 8, 0x7FFFFFFF), NO_CLIP),
    "no clock": (with_number(CLIP, b"mdhd", 12, 0), ""),
    "a slow clock": (with_number(CLIP, b"mdhd", 12, 1), ""),
    "a fast clock": (with_number(CLIP, b"mdhd", 12, 0xFFFFFFFF), ""),
    "no time at all": (with_number(CLIP, b"stts", 12, 0), ""),
    "years between frames": (with_number(CLIP, b"stts", 12, 0x7FFFFFFF), ""),
    "40,000 frames of GIF": (gif_of_frames(40_000), NO_CLIP),
    "PNG that claims 2^31-1 frames": (png_in_frames(2**31 - 1), NO_CLIP),
    "animation cut": (animation("GIF")[:-900], NO_CLIP),
    "WEBP animation cut": (animation("WEBP")[:-900], NO_CLIP),
    "MKV head alone": (clip(container="matroska")[:100], NO_CLIP),
    "AVI head alone": (clip(5, "mpeg4", "avi")[:100], NO_CLIP),
}


@pytest.mark.parametrize("name", list(CLIPS))
def test_clips(name: str, unharmed: OpenDoor) -> None:
    """Those without a code may be shown: players show them, too."""
    data, code = CLIPS[name]
    begun = time.monotonic()
    found = result(unharmed, "video", data)
    if code or isinstance(found, RefusedMediaError):
        assert isinstance(found, RefusedMediaError)
        assert found.code == (code or NO_CLIP)
    else:
        assert all(0 <= moment < 1e9 for moment in found[0].video.frame_times_s)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("number", [-1.0, 0.0, 1e-9, float("nan"), float("inf"), 1e9])
def test_rates_asked_for(number: float, unharmed: OpenDoor) -> None:
    request = MediaRequest("video", url(CLIP), options=VideoOptions(fps=number))
    if number in (1e-9, 1e9):
        [[part]] = unharmed(request)
        assert 4 <= len(part.video.frame_times_s) <= 30
    else:
        assert refusal_of(unharmed, request).code == "invalid_value"


DOCUMENTS: dict[str, bytes] = {
    "head alone": b"%PDF-1.7\n",
    "cut": pdf()[:120],
    "no pages": pdf(()),
    "pages in a circle": pdf().replace(b"/Kids[4 0 R 6 0 R]", b"/Kids[2 0 R 2 0 R]"),
    "a page that is a line": pdf(width=1e7, height=1e-7),
    "locked": pdf().replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt<</Filter/Standard/V 1/R 2/O(x)/U(y)/P -1>>"),
}


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_documents(name: str, unharmed: OpenDoor) -> None:
    assert refusal_of(unharmed, MediaRequest("file", url(DOCUMENTS[name]))).code == DAMAGED


def test_huge_pages_are_drawn_small(unharmed: OpenDoor) -> None:
    [parts] = unharmed(MediaRequest("file", url(pdf(width=1e6, height=1e6))))
    height, width = parts[0].image.original_size
    assert 3_900_000 < height * width <= 4_004_001


def test_eight_bombs_at_once(unharmed: OpenDoor) -> None:
    with pytest.raises(RefusedMediaError, match="13000x13000 pixels") as caught:
        unharmed(*[MediaRequest("image", url(png(13_000, 13_000)))] * 8)
    assert caught.value.code == LARGE


# One file that is two


def test_a_polyglot_is_what_its_first_bytes_say(unharmed: OpenDoor) -> None:
    page = b"<script>alert(1)</script>"
    [[part]] = unharmed(MediaRequest("image", url(PHOTO + page + pdf())))
    assert part.image.content_key == image_to_visual(ImagePart(PHOTO), config=CONFIG).content_key
    assert refusal_of(unharmed, MediaRequest("image", url(b"GIF89a/*" + page + b"*/=1;"))).code in (DAMAGED, LARGE)
    assert refusal_of(unharmed, MediaRequest("video", url(PHOTO + CLIP), options=VideoOptions())).code == NO_CLIP
    assert refusal_of(unharmed, MediaRequest("image", url(b"\0\0\0\x10ftypisom" + PHOTO))).code == FORMAT


@pytest.mark.parametrize("declared", ["text/html", "image/svg+xml", "video/mp4", "", "image/jpeg;charset=x"])
def test_the_declared_type_is_not_believed(declared: str, unharmed: OpenDoor) -> None:
    [[part]] = unharmed(MediaRequest("image", url(PHOTO, declared)))
    assert part.image.content_key == image_to_visual(ImagePart(PHOTO), config=CONFIG).content_key


# Playlists: nothing they name is opened


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A web server that must not be asked for anything."""
    hits: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", hits
        server.shutdown()
        thread.join()


def playlists(marker: Path, address: str) -> dict[str, bytes]:
    concat, m3u8 = "ffconcat version 1.0\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    texts = {
        "relative concat": f"{concat}file {marker.name}\n",
        "absolute concat": f"{concat}file '{marker}'\n",
        "concat over http": f"{concat}file {address}/a.ts\n",
        "m3u8 of a file": f"{m3u8}{marker}\n#EXT-X-ENDLIST\n",
        "m3u8 over http": f"{m3u8}{address}/a.ts\n#EXT-X-ENDLIST\n",
        "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{address}/</BaseURL></Period></MPD>',
        "session description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
        "an address": f"{address}/a.mp4",
    }
    return {name: text.encode() for name, text in texts.items()}


@pytest.fixture(scope="module")
def bare() -> Iterator[Decoder]:
    """A process that is asked without the door before it."""
    decoder = Decoder(memory=1 << 29, seconds=30)
    yield decoder
    decoder.close()


@pytest.mark.parametrize("name", list(playlists(Path("x"), "")))
def test_playlists(name: str, unharmed: OpenDoor, bare: Decoder, tmp_path: Path, canary: tuple[str, list[str]]) -> None:
    """Refused by their first bytes, and by the process where those were to deceive."""
    address, hits = canary
    marker = tmp_path / "secret.ts"
    marker.write_bytes(clip(5, container="mpegts"))
    long_ago = marker.stat().st_atime_ns - 10**15
    os.utime(marker, ns=(long_ago, long_ago))
    data = playlists(marker, address)[name]
    assert refusal_of(unharmed, MediaRequest("video", url(data), options=VideoOptions())).code == NO_CLIP
    with pytest.raises(UndecodableError):
        bare.clip(data, max_pixels=10**7)
    assert hits == []
    assert marker.stat().st_atime_ns == long_ago


# Mutated files

SEEDS: dict[str, tuple[str, bytes]] = {
    "PNG": ("image", PHOTO),
    "PNG of a palette": ("image", encoded(photo(20, 20).quantize(9), transparency=1)),
    "JPEG": ("image", encoded(photo(40, 30), "JPEG")),
    "progressive JPEG": ("image", encoded(photo(40, 30), "JPEG", progressive=True)),
    "WEBP": ("image", encoded(photo(40, 30), "WEBP")),
    "GIF": ("image", encoded(photo(40, 30), "GIF")),
    "BMP": ("image", encoded(photo(20, 20), "BMP")),
    "TIFF": ("image", encoded(photo(20, 20), "TIFF", compression="tiff_lzw")),
    "PPM": ("image", encoded(photo(20, 20), "PPM")),
    "MP4": ("video", clip(6, size=(32, 32))),
    "MKV": ("video", clip(6, container="matroska", size=(32, 32))),
    "AVI": ("video", clip(6, "mpeg4", "avi", size=(32, 32))),
    "TS": ("video", clip(6, container="mpegts", size=(32, 32))),
    "vp9": ("video", clip(6, "libvpx-vp9", "webm", size=(32, 32))),
    "animated GIF": ("video", animation("GIF", 3)),
    "animated WEBP": ("video", animation("WEBP", 3)),
    "PDF": ("file", pdf()),
}
INTERESTING = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file with bytes changed, cut out, doubled or taken from another."""
    kind, original = SEEDS[draw(st.sampled_from(sorted(SEEDS)))]
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["set", "set", "set", "flood", "cut", "double", "end", "splice"])):
            case "set":
                data[place : place + 1] = bytes([draw(INTERESTING)])
            case "flood":
                data[place : place + length] = bytes([draw(INTERESTING)]) * length
            case "cut":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case "end":
                del data[max(1, place) :]
            case "splice":
                other = SEEDS[draw(st.sampled_from(sorted(SEEDS)))][1]
                data[place : place + length] = other[place : place + length]
    return kind, bytes(data)


def opened_or_refused(door: OpenDoor, kind: str, data: bytes) -> None:
    found = result(door, kind, data)
    if isinstance(found, RefusedMediaError):
        assert not SECRETS.search(str(found)), str(found)
        assert str(found).isprintable()
    else:
        assert found


NOT_PER_TEST = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=120, deadline=None, suppress_health_check=NOT_PER_TEST)
@given(mutated())
def test_mutated_files(unharmed: OpenDoor, file: tuple[str, bytes]) -> None:
    opened_or_refused(unharmed, *file)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=NOT_PER_TEST)
@given(mutated())
def test_thousands_of_mutated_files(unharmed: OpenDoor, file: tuple[str, bytes]) -> None:
    opened_or_refused(unharmed, *file)


@settings(max_examples=40, deadline=None, suppress_health_check=NOT_PER_TEST)
@given(st.binary(max_size=200), st.sampled_from(["image", "video", "file"]))
def test_noise(unharmed: OpenDoor, data: bytes, kind: str) -> None:
    opened_or_refused(unharmed, kind, data)
