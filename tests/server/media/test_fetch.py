"""The fetcher against real servers of this machine: which hosts, which addresses, how much, how long."""

import asyncio
import gzip
import ipaddress
import re
import ssl
import subprocess
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from anyres.chat import ImagePart
from anyres.processing.image import image_to_visual
from anyres.server.fetch import Address, Fetcher, is_public
from anyres.server.media import MediaDoor, MediaLimits, MediaRequest, RefusedMediaError
from tests.server.media.conftest import CONFIG
from tests.server.media.files import encoded, photo

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PHOTO = encoded(photo())
LIMITS = MediaLimits(decoders=1, image_fetch_s=2.0, video_fetch_s=2.0)


@dataclass
class Host:
    """A server that answers every connection alike, and remembers what it was asked."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    closed: int = 0


@asynccontextmanager
async def served(answer: bytes | Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    host = Host()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            host.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            host.closed += 1
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    async with server:
        yield host


def plain(body: bytes = PHOTO, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def anywhere(_: Address) -> bool:
    return True


async def to_loopback(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def fetcher(port: int, limits: MediaLimits = LIMITS, **others: Any) -> Fetcher:
    listed = replace(limits, domains=(f"media.test:{port}",))
    return Fetcher(listed, **({"look_up": to_loopback, "is_allowed": anywhere} | others))


async def get(host: Host, path: str = "/a.png", scheme: str = "http", max_bytes: int = 100_000, **others: Any) -> bytes:
    url = f"{scheme}://media.test:{host.port}{path}"
    return await fetcher(host.port, **others).fetch(url, kind="image", max_bytes=max_bytes)


def answered(answer: bytes | Answer, **others: Any) -> bytes:
    async def ask() -> bytes:
        async with served(answer) as host:
            return await get(host, **others)

    return asyncio.run(ask())


def refused(answer: bytes | Answer, **others: Any) -> RefusedMediaError:
    with pytest.raises(RefusedMediaError) as caught:
        answered(answer, **others)
    assert not re.search(r"127\.0\.0\.1|0x[0-9a-f]{6}|Traceback", str(caught.value))
    return caught.value


# What arrives


def test_a_body_of_stated_length() -> None:
    assert answered(plain()) == PHOTO


def test_a_body_in_chunks() -> None:
    body = b"".join(
        f"{len(PHOTO[at : at + 99]):x}\r\n".encode() + PHOTO[at : at + 99] + b"\r\n" for at in range(0, len(PHOTO), 99)
    )
    assert answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n") == PHOTO


def test_a_body_that_ends_with_the_connection() -> None:
    assert answered(b"HTTP/1.0 200 OK\r\n\r\n" + PHOTO) == PHOTO


def test_an_interim_answer() -> None:
    assert answered(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + plain()) == PHOTO


def test_what_is_asked() -> None:
    """Written anew from what was read, without a word of where the server runs."""

    async def ask() -> bytes:
        async with served(plain()) as host:
            await get(host, path="/ä b.png?q=ü&x=%20#part".replace(" ", "%20"))
            return host.asked[0].replace(str(host.port).encode(), b"PORT")

    assert asyncio.run(ask()) == (
        b"GET /%C3%A4%20b.png?q=%C3%BC&x=%20 HTTP/1.1\r\nHost: media.test:PORT\r\nUser-Agent: anyres\r\n"
        b"Accept: image/*, video/*, */*\r\nConnection: close\r\n\r\n"
    )


# Which hosts


def host_refused(url: str, *domains: str, **others: Any) -> RefusedMediaError:
    limits = replace(LIMITS, domains=domains)
    with pytest.raises(RefusedMediaError) as caught:
        asyncio.run(Fetcher(limits, **others).fetch(url, kind="image", max_bytes=1000))
    assert caught.value.code == "invalid_image_url"
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "http://other.test/",
        "http://notmedia.test/",
        "http://media.test.evil.test/",
        "http://sub.media.test/",
        "http://media.test:8080/",
        "https://media.test:22/",
        "http://wild.test/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
def test_hosts_that_are_not_listed(url: str) -> None:
    error = host_refused(url, "media.test", "*.wild.test")
    assert "a host of --allowed-media-domains, or the media itself as a data: URL" in str(error)


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://media.test/x", "media.test"),
        ("https://media.test/x", "media.test"),
        ("https://MEDIA.test./x", "media.test"),
        ("https://a.wild.test/x", "*.wild.test"),
        ("https://a.b.wild.test:443/x", "*.wild.test"),
        ("https://media.test:8443/x", "media.test:8443"),
        ("https://bücher.test/x", "xn--bcher-kva.test"),
    ],
)
def test_listed_hosts(url: str, domain: str) -> None:
    """They get as far as their addresses."""
    asked: list[str] = []

    async def look_up(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"]

    error = host_refused(url, domain, look_up=look_up)
    assert str(error) == "image: a host with a local or private address; allowed: hosts of the public internet"
    assert len(asked) == 1


TRICKS = [
    "http://ok.test\\@127.0.0.1/",
    "http://ok.test#@127.0.0.1/",
    "http://ok.test@127.0.0.1/",
    "http://ok.test:80@127.0.0.1/",
    "http://127.0.0.1\\.ok.test/",
    "http://ok.test /",
    "http://ok.test\t/",
    "http://ok\r\n.test/",
    "http://ok.test/\r\nHost: evil",
    "http://ok.test/a\0b",
    "http://ok。test@127.0.0.1/",
    "http:///a",
    "http://",
    "http:ok.test",
    "http:/ok.test",
    "http://ok.test:0/",
    "http://ok.test:99999/",
    "http://ok.test:x/",
    "http://[::1/",
    "http://.ok.test/",
    "http://ok..test/",
    "http://" + "a" * 70 + ".test/",
    "http://xn--/",
    "http://ok.test%2f@127.0.0.1/",
    "http://ok.test%00.evil.test/",
    "http://ok.test;127.0.0.1/",
    "http://\u2100.test/",
]


@pytest.mark.parametrize("url", TRICKS)
def test_addresses_that_are_read_in_two_ways(url: str) -> None:
    """None of them leads anywhere but to the listed host."""
    reached: list[str] = []

    async def look_up(host: str, _: int) -> list[str]:
        reached.append(host)
        return ["127.0.0.1"]

    host_refused(url, "ok.test", look_up=look_up)
    assert set(reached) <= {"ok.test"}


# Which addresses

LOCAL = """127.0.0.1 127.255.0.1 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 240.0.0.1
255.255.255.255 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.0.0.1 ::1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1
::ffff:127.0.0.1 ::ffff:93.184.215.14 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::7f00:1 2002:7f00:1:: 2001:0:1::1
2001:db8::1 fec0::1 100::1"""
PUBLIC = "93.184.215.14 1.1.1.1 8.8.8.8 172.32.0.1 2606:4700::1111 2a00:1450:4001::1"


@pytest.mark.parametrize("address", LOCAL.split())
def test_local_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "0"]
)
def test_listing_a_local_host_does_not_open_it(name: str) -> None:
    """The names of the system's own resolver, all for the same machine."""

    async def ask() -> int:
        async with served(plain()) as canary:
            limits = replace(LIMITS, domains=(f"{name}:{canary.port}",))
            with pytest.raises(RefusedMediaError):
                await Fetcher(limits).fetch(f"http://{name}:{canary.port}/", kind="image", max_bytes=1000)
            return len(canary.asked)

    assert asyncio.run(ask()) == 0


@pytest.mark.parametrize(
    "found", [["10.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::1", "93.184.215.14"], ["fe80::1%lo"]]
)
def test_one_bad_address_is_enough(found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(asyncio, "open_connection")

    async def look_up(_host: str, _port: int) -> list[str]:
        return found

    host_refused("https://media.test/", "media.test", look_up=look_up)


def test_a_name_that_changes_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for once, and the address that was checked is dialled, not the name."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["127.0.0.1"]])
    dialled: list[tuple[Any, ...]] = []

    async def look_up(_host: str, _port: int) -> list[str]:
        return next(answers)

    async def dial(address: str, port: int, **how: Any) -> None:
        dialled.append((address, port, how["server_hostname"]))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", dial)
    limits = replace(LIMITS, domains=("media.test",))
    with pytest.raises(RefusedMediaError, match=r"cannot be fetched \(the connection was refused\)"):
        asyncio.run(Fetcher(limits, look_up=look_up).fetch("https://media.test/", kind="image", max_bytes=1000))
    assert dialled == [("93.184.215.14", 443, "media.test")]
    assert next(answers) == ["127.0.0.1"]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> tuple[bytes, int]:
        async with served(plain()) as host, served(plain(b"proxy")) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            return await get(host), len(proxy.asked)

    assert asyncio.run(ask()) == (PHOTO, 0)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(status: str) -> None:
    async def ask() -> int:
        async with served(plain()) as canary:
            away = plain(b"", status, f"Location: http://127.0.0.1:{canary.port}/")
            async with served(away) as host:
                with pytest.raises(RefusedMediaError, match="the host sends on to another address") as caught:
                    await get(host)
                assert caught.value.code == "failed_to_download_image"
            return len(canary.asked)

    assert asyncio.run(ask()) == 0


# How much and how long


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def dripping_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"H")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Fill: " + bytes([65]) * 9000 + b"\r\n")
        await writer.drain()


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


SHORT = replace(LIMITS, image_fetch_s=0.4)


@pytest.mark.parametrize("answer", [dripping, dripping_head, silent])
def test_slow_hosts(answer: Answer) -> None:
    begun = time.monotonic()
    error = refused(answer, limits=SHORT)
    assert error.code == "failed_to_download_image"
    assert str(error) == "image: the host was too slow; allowed: 0.4 s for all of it (--image-fetch-seconds)"
    assert time.monotonic() - begun < 20  # the drops would take 50


def test_a_slow_resolver() -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    assert "too slow" in str(refused(plain(), limits=SHORT, look_up=look_up))


def test_an_endless_body_is_left_at_the_limit() -> None:
    tracemalloc.start()
    error = refused(endless, max_bytes=1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == "image_file_too_large"
    assert str(error) == "image: too many bytes; allowed: at most 1,000,000 (--max-image-bytes)"
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (endless_head, "cannot be fetched (the answer was cut off or is not HTTP)"),
        (plain(b"", "404 Not Found"), "the host answered 404"),
        (plain(b"", "500 Oh"), "the host answered 500"),
        (plain(b"", "204 No Content"), "the host answered 204"),
        (plain(b"x", "206 Partial Content"), "the host answered 206"),
        (
            plain(gzip.compress(bytes(10**7)), "200 OK", "Content-Encoding: gzip"),
            "a compressed answer that was not asked for",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
            "cannot be fetched (the answer was cut off or is not HTTP)",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "cannot be fetched (the answer was cut off or is not HTTP)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "cannot be fetched ("),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "cannot be fetched ("),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "cannot be fetched (the answer was cut off or is not HTTP)"),
        (b"", "cannot be fetched ("),
    ],
)
def test_answers_that_are_no_picture(answer: bytes | Answer, words: str) -> None:
    error = refused(answer)
    assert error.code == "failed_to_download_image"
    assert str(error).startswith(f"image: {words}")


def test_a_stated_length_beyond_the_limit_is_not_waited_for() -> None:
    async def boast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        await silent(reader, writer)

    assert refused(boast).code == "image_file_too_large"


def test_a_port_where_nobody_listens() -> None:
    async def ask() -> None:
        async with served(b"") as host:
            pass
        await get(host)

    with pytest.raises(RefusedMediaError, match=r"cannot be fetched \(the connection was refused\)"):
        asyncio.run(ask())


def test_an_unknown_name() -> None:
    async def look_up(_host: str, _port: int) -> list[str]:
        return []

    assert "cannot be fetched" in str(refused(plain(), look_up=look_up))


def test_cancelling_hangs_up() -> None:
    async def ask() -> int:
        left = asyncio.Event()

        async def watch(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                left.set()

        async with served(watch) as host:
            task = asyncio.create_task(get(host))
            while not host.asked:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait_for(left.wait(), 1)
            with pytest.raises(asyncio.CancelledError):
                await task
        return len(host.asked)

    assert asyncio.run(ask()) == 1


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of media.test, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "media.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=media.test"
    parts = [*command.split(), "-addext", "subjectAltName=DNS:media.test", "-keyout", str(path), "-out", f"{path}.crt"]
    try:
        subprocess.run(parts, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def tls_server(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def over_tls(certificate: Path, domain: str = "media.test", trust: Path | None = None) -> bytes:
    names: list[str | None] = []
    context = tls_server(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    async with served(plain(), context) as host:
        trusting = ssl.create_default_context(cafile=trust)
        limits = replace(LIMITS, domains=(f"{domain}:{host.port}",))
        client = Fetcher(limits, look_up=to_loopback, is_allowed=anywhere, tls=trusting)
        body = await client.fetch(f"https://{domain}:{host.port}/a.png", kind="image", max_bytes=100_000)
        assert names == [domain]
        return body


def test_tls(certificate: Path) -> None:
    assert asyncio.run(over_tls(certificate, trust=certificate)) == PHOTO


def test_a_certificate_of_another_name(certificate: Path) -> None:
    with pytest.raises(RefusedMediaError, match="its certificate is not that of a trusted host of this name"):
        asyncio.run(over_tls(certificate, domain="other.test", trust=certificate))


def test_a_certificate_that_nobody_trusts(certificate: Path) -> None:
    with pytest.raises(RefusedMediaError, match="its certificate is not that of a trusted host of this name"):
        asyncio.run(over_tls(certificate))


def test_no_tls_where_tls_is_asked_for() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(plain())
        writer.close()

    async def ask() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            await get(Host(server.sockets[0].getsockname()[1]), scheme="https")

    with pytest.raises(RefusedMediaError, match="TLS failed"):
        asyncio.run(ask())


# Through the door


def test_a_picture_from_a_host() -> None:
    async def ask() -> None:
        async with served(plain()) as host:
            limits = replace(LIMITS, domains=(f"media.test:{host.port}",))
            door = MediaDoor(limits, config=CONFIG, fetcher=fetcher(host.port))
            request = MediaRequest("image", f"http://media.test:{host.port}/a.png")
            [[first], [second]] = await door.open([request, request], "me")
            await door.close()
        expected = image_to_visual(ImagePart(PHOTO), config=CONFIG)
        assert first.image.content_key == second.image.content_key == expected.content_key

    asyncio.run(ask())


def test_one_bad_address_ends_the_other_downloads() -> None:
    async def ask() -> float:
        async with served(silent) as slow:
            limits = replace(LIMITS, image_fetch_s=30, domains=(f"media.test:{slow.port}",))
            door = MediaDoor(limits, config=CONFIG, fetcher=fetcher(slow.port, limits))
            good = MediaRequest("image", f"http://media.test:{slow.port}/a.png", index=3)
            begun = time.monotonic()
            with pytest.raises(RefusedMediaError) as caught:
                await door.open([good, MediaRequest("image", "http://else.test/", index=4)], "me")
            await door.close()
        assert (caught.value.part, caught.value.code) == (4, "invalid_image_url")
        return time.monotonic() - begun

    assert asyncio.run(ask()) < 20
