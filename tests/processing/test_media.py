"""The door: every kind of source, every colour mode, and what a download may and may not do."""

import base64
import http.server
import io
import os
import re
import socket
import socketserver
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anyres.errors import MediaError
from anyres.processing.fetch import fetch
from anyres.processing.media import MediaLimits, open_image, read_bytes
from anyres.processing.sniff import sniff

STRICT = MediaLimits(allow_files=False, allow_local_addresses=False)


def photo(width: int = 40, height: int = 30) -> Image.Image:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    return Image.fromarray(ramp.astype(np.uint8))


def encoded(picture: Image.Image, container: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, container, **options)  # type: ignore[arg-type]
    return file.getvalue()


def pixels(source: object) -> np.ndarray:
    return np.asarray(open_image(source).picture)


# Sources


def test_every_source_gives_the_same_picture(tmp_path: Path) -> None:
    data = encoded(photo())
    path = tmp_path / "a photo.png"
    path.write_bytes(data)
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    escaped = "data:," + "".join(f"%{byte:02x}" for byte in data)
    sources: list[object] = [path, str(path), path.as_uri(), data, bytearray(data), memoryview(data), uri, escaped]
    sources += [
        uri.replace("+", "%2B"),
        io.BytesIO(data),
        photo(),
        np.asarray(photo()),
        "DATA:,x".replace("x", escaped[6:]),
    ]
    with path.open("rb") as file:
        for source in [*sources, file]:
            np.testing.assert_array_equal(pixels(source), np.asarray(photo()))
    assert open_image(path).name == "a photo.png"
    assert open_image(path.as_uri()).name == "a%20photo.png"
    assert open_image(data).name == "image"


def test_file_object_can_be_asked_twice() -> None:
    file = io.BytesIO(encoded(photo()))
    file.seek(5)
    np.testing.assert_array_equal(pixels(file), pixels(file))


def test_stream_that_cannot_be_rewound() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as sink:
        sink.write(encoded(photo(4, 3)))
    with os.fdopen(reading, "rb") as source:
        assert open_image(source).picture.size == (4, 3)


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.png").write_bytes(encoded(photo()))
    assert open_image("~/x.png").name == "x.png"


def test_sources_are_not_changed() -> None:
    picture = photo().convert("RGBA")
    picture.getexif()[0x0112] = 6
    before = picture.tobytes()
    open_image(picture)
    assert (picture.mode, picture.size, picture.tobytes()) == ("RGBA", (40, 30), before)


def test_format_comes_from_the_bytes_not_from_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(photo(), "BMP"))
    np.testing.assert_array_equal(pixels(path), np.asarray(photo()))


@pytest.mark.parametrize("container", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG"])
def test_formats(container: str) -> None:
    options = {"lossless": True} if container == "WEBP" else {"quality": 98} if container == "JPEG" else {}
    found = pixels(encoded(photo(), container, **options)).astype(int)
    tolerance = {"GIF": 40, "JPEG": 12}.get(container, 0)
    assert np.abs(found - np.asarray(photo())).max() <= tolerance


# Colour modes


def test_see_through_becomes_white() -> None:
    colours = np.zeros((1, 3, 4), dtype=np.uint8)
    colours[0] = [(200, 0, 0, 255), (200, 0, 0, 0), (200, 0, 0, 51)]
    expected = [[200, 0, 0], [255, 255, 255], [244, 204, 204]]
    assert pixels(encoded(Image.fromarray(colours)))[0].tolist() == expected
    assert pixels(colours)[0].tolist() == expected


def test_see_through_grey() -> None:
    picture = Image.new("LA", (2, 1), (10, 255))
    picture.putpixel((1, 0), (10, 0))
    assert pixels(encoded(picture))[0].tolist() == [[10, 10, 10], [255, 255, 255]]


@pytest.mark.parametrize(("mode", "hidden"), [("P", 1), ("L", 70), ("RGB", (70, 70, 70)), ("1", 0)])
def test_one_colour_named_transparent(mode: str, hidden: object) -> None:
    picture = Image.new("RGB", (2, 1), (200, 200, 200))
    picture.putpixel((1, 0), (70, 70, 70))
    if mode == "P":
        converted = Image.new("P", (2, 1), 0)
        converted.putpalette([200, 200, 200, 70, 70, 70])
        converted.putpixel((1, 0), 1)
    else:
        converted = picture.convert(mode) if mode != "1" else Image.fromarray(np.array([[True, False]]))
    found = pixels(encoded(converted, transparency=hidden))
    assert found[0, 1].tolist() == [255, 255, 255]
    assert found[0, 0].tolist() == ([200] * 3 if mode != "1" else [255] * 3)


def test_palette_with_a_scale_of_alpha() -> None:
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([0, 0, 0, 0, 0, 0])
    picture.putpixel((1, 0), 1)
    assert pixels(encoded(picture, transparency=bytes([255, 51])))[0].tolist() == [[0, 0, 0], [204, 204, 204]]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257, 32896, 65535]], dtype=np.uint16)
    expected = [0, 0, 1, 1, 128, 255]
    png = encoded(Image.fromarray(values))
    tiff = encoded(Image.fromarray(values.astype(np.int32)), "TIFF")
    pgm = b"P5 6 1 65535\n" + values.astype(">u2").tobytes()
    for source in (values, png, tiff, pgm, Image.fromarray(values), Image.fromarray(values.astype(">u2"))):
        assert pixels(source)[0, :, 0].tolist() == expected
        assert (pixels(source)[..., 0] == pixels(source)[..., 2]).all()


def test_sixteen_bits_with_a_transparent_value() -> None:
    values = np.array([[0, 5000]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values), transparency=5000))[0, :, 0].tolist() == [0, 255]


def test_other_modes() -> None:
    assert pixels(Image.new("CMYK", (1, 1), (0, 255, 255, 0))).tolist() == [[[255, 0, 0]]]
    assert pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))[0, 0, 0] > 250
    assert pixels(Image.new("1", (1, 1), 1)).tolist() == [[[255, 255, 255]]]
    assert pixels(Image.new("F", (1, 1), 0.5)).tolist() == [[[128, 128, 128]]]
    assert pixels(Image.new("F", (1, 1), 200.4)).tolist() == [[[200, 200, 200]]]
    assert pixels(Image.new("I", (1, 1), 200)).tolist() == [[[200, 200, 200]]]
    assert pixels(Image.new("HSV", (1, 1), (0, 255, 255))).tolist() == [[[255, 0, 0]]]


def test_arrays() -> None:
    assert pixels(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]
    assert pixels(np.array([[[0.0, 0.5, 1.0]]], dtype=np.float32)).tolist() == [[[0, 128, 255]]]
    assert pixels(np.full((2, 3, 1), 9, dtype=np.uint8)).shape == (2, 3, 3)
    flipped = np.asarray(photo())[::-1, ::-1]
    np.testing.assert_array_equal(pixels(flipped), flipped)


BAD_ARRAYS = [
    (np.zeros((3, 40, 50), np.uint8), r"an array of shape \(3, 40, 50\)"),
    (np.zeros((4, 0), np.uint8), r"an array of shape \(4, 0\)"),
    (np.zeros(7, np.uint8), r"an array of shape \(7,\)"),
    (np.zeros((2, 2), np.int64), "values of type int64"),
    (np.full((2, 2), 255.0), "floating-point values from 255 to 255; allowed: 0 to 1"),
    (np.full((2, 2), np.nan), "floating-point values from nan to nan"),
    (np.zeros((2, 2), object), "values of type object"),
]


@pytest.mark.parametrize(("array", "message"), BAD_ARRAYS)
def test_bad_arrays(array: np.ndarray, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        open_image(array)


@pytest.mark.parametrize(("mode", "value"), [("F", -1.0), ("F", float("nan")), ("F", 1e9), ("I", -1), ("I", 70000)])
def test_numbers_out_of_range(mode: str, value: float) -> None:
    with pytest.raises(MediaError, match="values from"):
        open_image(Image.new(mode, (2, 2), value))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for container in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(frames[0], container, save_all=True, append_images=frames[1:])
        red, _, blue = pixels(data)[4, 4].tolist()
        assert (red > 200, blue < 50) == (True, True)


# EXIF

# What a camera stores for each orientation of the same upright scene.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright.swapaxes(0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("container", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_equals_the_upright_picture(orientation: int, container: str) -> None:
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :8] = 255
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, container, exif=exif, **({"lossless": True} if container == "WEBP" else {}))
    np.testing.assert_array_equal(pixels(data) > 127, upright > 127)


def test_an_opened_picture_may_be_given_again() -> None:
    picture = Image.new("RGB", (40, 20))
    picture.getexif()[0x0112] = 6
    data = encoded(picture, "JPEG", exif=picture.getexif())
    once = open_image(data).picture
    assert once.size == (20, 40)
    assert open_image(once).picture.size == (20, 40)
    assert picture.getexif()[0x0112] == 6, "what was given is left as it was"


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_impossible_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels(encoded(photo(), exif=exif)), np.asarray(photo()))


def test_damaged_exif_is_ignored() -> None:
    data = encoded(photo(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    assert pixels(data).shape == (30, 40, 3)


# Damage


@pytest.mark.parametrize("container", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG"])
def test_a_cut_picture_is_whole_or_refused(container: str) -> None:
    data = encoded(photo(90, 70), container)
    whole = pixels(data)
    refused = 0
    for size in sorted({0, 1, 2, 5, 12, 20, *range(30, len(data), max(1, len(data) // 40)), len(data) - 1}):
        try:
            np.testing.assert_array_equal(pixels(data[:size]), whole)
        except MediaError:
            refused += 1
    assert refused >= 20


@given(st.sampled_from(["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG"]), st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_never_give_another_error(container: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(photo(), container))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(damaged), 200) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    message, mode = "", "RGB"
    try:
        mode = open_image(bytes(damaged), limits=MediaLimits(max_image_pixels=10**6)).picture.mode
    except MediaError as error:
        message = str(error)
    assert mode == "RGB"
    assert not re.search(r"\b0x", message), "an address; 40x25118 pixels is none"


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes(data: bytes) -> None:
    assert sniff(data).words
    with pytest.raises(MediaError):
        open_image(data)


def test_decoding_does_not_touch_the_warning_filters() -> None:
    before = list(warnings.filters)
    threads = [threading.Thread(target=open_image, args=(encoded(photo(300, 300)),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


# Paths where they are switched off


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "/no/such/file", "file:///etc/hostname", "../x.png", Path("/etc/passwd")]
)
def test_paths_switched_off_tell_nothing(source: object) -> None:
    with pytest.raises(MediaError) as caught:
        open_image(source, limits=STRICT)
    assert str(caught.value) == (
        "image: the path of a file; allowed: data: URLs and uploads; paths are switched off here"
    )


def test_urls_switched_off() -> None:
    with pytest.raises(MediaError, match="fetching is switched off here"):
        open_image("http://example.com/x.png", limits=MediaLimits(allow_urls=False))


# Downloads


class Site(http.server.BaseHTTPRequestHandler):
    """Answers /x as `answers["x"]` says and counts what it is asked."""

    answers: dict[str, Callable[["Site"], None]]
    hits: list[str]

    def do_GET(self) -> None:
        self.hits.append(self.path)
        name = self.path.rpartition("/")[2]
        self.answers.get(name, lambda site: site.send_error(404))(self)

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def site(**answers: Callable[[Site], None]) -> Iterator[tuple[str, list[str]]]:
    hits: list[str] = []
    handler = type("Here", (Site,), {"answers": answers, "hits": hits})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", hits
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def get(url: str, **limits: object) -> bytes:
    settings_ = {"max_bytes": 10_000, "timeout_s": 5.0, "max_redirects": 3, "allow_local_addresses": True}
    return fetch(url, **(settings_ | limits))  # type: ignore[arg-type]


def test_picture_from_a_url() -> None:
    data = encoded(photo())
    with site(cat=lambda here: here.give(data, Content_Type="text/plain")) as (url, _):
        opened = open_image(f"{url}/cat")
        np.testing.assert_array_equal(np.asarray(opened.picture), np.asarray(photo()))
        assert opened.name == "cat"


def test_redirects_are_followed_and_counted() -> None:
    def onward(where: str) -> Callable[[Site], None]:
        return lambda here: here.give(b"", 302, Location=where)

    with site(a=onward("b"), b=onward("/c"), c=lambda here: here.give(b"end"), loop=onward("/loop")) as (url, hits):
        assert get(f"{url}/a") == b"end"
        with pytest.raises(MediaError, match="more than 3 redirects"):
            get(f"{url}/loop")
        assert hits.count("/loop") == 4
        with pytest.raises(MediaError, match="more than 0 redirects"):
            get(f"{url}/a", max_redirects=0)


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "//", "http://user@127.0.0.1/"]
)
def test_redirect_to_another_scheme(where: str) -> None:
    with site(a=lambda here: here.give(b"", 302, Location=where)) as (url, _), pytest.raises(MediaError):
        get(f"{url}/a")


def test_a_public_host_cannot_redirect_to_a_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name below stands for a public host; its answer really comes from here."""
    real = socket.getaddrinfo

    def resolve(host: str, *rest: object, **named: object) -> list[tuple]:
        return (
            [(socket.AF_INET, 1, 6, "", ("93.184.216.34", 80))] if host == "public.test" else real(host, *rest, **named)
        )

    port = "0"
    with site(b=lambda here: here.give(b"secret")) as (url, hits):
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        connect = socket.socket.connect

        def dial(sock: socket.socket, address: tuple[str, int]) -> None:
            connect(sock, ("127.0.0.1", int(port)) if address[0] == "93.184.216.34" else address)

        monkeypatch.setattr(socket.socket, "connect", dial)
        with site(a=lambda here: here.give(b"", 302, Location=f"{url}/b")) as (public, _):
            port = public.rpartition(":")[2]
            with pytest.raises(MediaError, match="a local or private address"):
                get("http://public.test/a")
        assert hits == []


LOCAL = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "0.0.0.0",
    "169.254.169.254",
    "10.1.2.3",
    "192.168.0.1",
    "100.64.0.1",
    "2130706433",
    "0x7f.1",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "224.0.0.1",
    "127.0.0.1.",
    "１２７.0.0.1",
]


@pytest.mark.parametrize("host", LOCAL)
def test_local_addresses_are_refused_where_asked(host: str) -> None:
    with site(x=lambda here: here.give(b"secret")) as (url, hits):
        with pytest.raises(MediaError):
            get(f"http://{host}:{url.rpartition(':')[2]}/x", allow_local_addresses=False)
        assert hits == []


def test_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that says public first and local later must not win."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    dialled: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", (next(answers), 80))])

    def dial(_: socket.socket, address: tuple[str, int]) -> None:
        dialled.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", dial)
    with pytest.raises(MediaError, match="Connection refused"):
        get("http://rebinding.test/x", allow_local_addresses=False)
    assert dialled == ["93.184.216.34"]


STRANGE = [
    "http://ok.test\\@127.0.0.1/",
    "http://user:word@127.0.0.1/",
    "http://127.0.0.1/a b",
    "http://127.0.0.1/a\tb",
    "http://127.0.0.1/a\r\nHost: x",
    "http:///x",
    "http://",
    "http://[::1/x",
    "http://127.0.0.1:99999/",
    "http://" + "a" * 70 + ".test/",
]


@pytest.mark.parametrize("url", STRANGE)
def test_strange_addresses(url: str) -> None:
    with pytest.raises(MediaError):
        get(url)


def test_error_does_not_repeat_the_query() -> None:
    with site() as (url, _), pytest.raises(MediaError) as caught:
        get(f"{url}/x?key=secret")
    assert "secret" not in str(caught.value)
    assert str(caught.value).endswith(
        "/x: the server answered 404; allowed: an http(s) address that answers with the file itself"
    )


def test_too_many_bytes() -> None:
    def endless(here: Site) -> None:
        here.send_response(200)
        here.end_headers()
        for _ in range(10_000):
            here.wfile.write(b"x" * 1000)

    with site(endless=endless, long=lambda here: here.give(b"x" * 10_001)) as (url, _):
        for name in ("endless", "long"):
            with pytest.raises(MediaError, match="more than 10,000 bytes; allowed: at most 10,000"):
                get(f"{url}/{name}")


def test_slow_server_is_cut_at_the_deadline() -> None:
    def drip(here: Site) -> None:
        here.send_response(200)
        here.send_header("Content-Length", "1000")
        here.end_headers()
        for _ in range(100):
            here.wfile.write(b"x")
            time.sleep(0.05)

    def drip_headers(here: Site) -> None:
        here.wfile.write(b"HTTP/1.0 200 OK\r\n")
        for number in range(80):
            here.wfile.write(b"X-%d: y\r\n" % number)
            time.sleep(0.05)

    def silent(_: Site) -> None:
        time.sleep(3)

    with site(drip=drip, headers=drip_headers, silent=silent) as (url, _):
        for name in ("drip", "headers", "silent"):
            began = time.monotonic()
            with pytest.raises(MediaError, match="the server was too slow"):
                get(f"{url}/{name}", timeout_s=0.4)
            assert time.monotonic() - began < 2.5


def test_broken_answers() -> None:
    def short(here: Site) -> None:
        here.give(b"abc", Content_Length="500")

    def packed(here: Site) -> None:
        here.give(b"abc", Content_Encoding="gzip")

    def nonsense(here: Site) -> None:
        here.wfile.write(b"hello\r\n")

    with site(short=short, packed=packed, nonsense=nonsense) as (url, _):
        with pytest.raises(MediaError, match="IncompleteRead"):
            get(f"{url}/short")
        with pytest.raises(MediaError, match="a compressed answer"):
            get(f"{url}/packed")
        with pytest.raises(MediaError, match="BadStatusLine"):
            get(f"{url}/nonsense")


def test_tls_is_not_optional() -> None:
    with site(x=lambda here: here.give(b"plain")) as (url, hits):
        with pytest.raises(MediaError, match="cannot be fetched"):
            get(f"{url}/x".replace("http", "https"))
        assert hits == []


def test_proxy_is_used_for_the_users_own_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(here: Site) -> None:
        here.give(here.headers["Host"].encode() + b" " + here.headers["Proxy-Authorization"].encode())

    with site(x=answer) as (url, hits):
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("http_proxy", url.replace("http://", "http://me:word@"))
        assert get("http://far.test/x") == b"far.test:80 Basic " + base64.b64encode(b"me:word")
        assert hits == ["http://far.test:80/x"]
        with pytest.raises(MediaError, match="cannot be fetched"):
            get("http://far.invalid/x", allow_local_addresses=False)
        assert len(hits) == 1


def test_limits_of_bytes() -> None:
    limits = MediaLimits(max_image_bytes=100)
    for source in (b"x" * 101, io.BytesIO(b"x" * 101), "data:;base64," + "A" * 200):
        with pytest.raises(MediaError, match="more than 100 bytes; allowed: at most 100"):
            read_bytes(source, kind="image", limits=limits)
    with pytest.raises(MediaError, match="characters; allowed: at most 100 bytes"):
        read_bytes("data:;base64," + "A" * 2000, kind="image", limits=limits)


def test_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(MediaError, match=r"huge\.png: 1,000,000,000,000 bytes; allowed: at most 100,000,000"):
        open_image(path)
