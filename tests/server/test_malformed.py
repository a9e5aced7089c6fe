"""Thousands of malformed requests: none kills the server, none ends in a status of 5xx, none tells what is inside."""

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from anyres.engine.engine import LocalChatModel
from tests.server.malformed import Malformed, malformed
from tests.server.serving import Running, eventually, image_part, picture, serving

LEAKS = re.compile(rb"0x[0-9a-f]{6,}|/(?:work|root|home|usr|tmp|proc|opt)/|Traceback|File \\?\"|\.py\b|site-packages")
ASK = [image_part(picture("the reference")), {"type": "text", "text": "Read it."}]
OPEN = ("line", "head", "length")  # kinds of requests that may never come to an end
STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


@pytest.fixture(scope="module")
def attacked(model: LocalChatModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(model, tmp_path_factory.mktemp("attacked"), read_s=1.0, linger_s=0.2, total_s=30.0) as running:
        yield running


def asked(running: Running, one: Malformed) -> bytes:
    """What comes back. Where nothing does, since the request is not over, the client gives up."""
    found = b""
    with socket.create_connection(("127.0.0.1", running.port), timeout=3 if one.kind in OPEN else 60) as connection:
        try:
            connection.sendall(one.raw)
            while more := connection.recv(1 << 16):
                found += more
        except TimeoutError:
            assert one.kind in OPEN, one
        except (ConnectionResetError, BrokenPipeError):
            pass
    return found


def check(one: Malformed, reply: bytes) -> int:
    """The status, 0 for a connection that was closed without one (its request never came to an end)."""
    if not reply:
        assert one.kind in OPEN, one
        return 0
    match = STATUS.match(reply)
    assert match is not None, (one, reply[:200])
    status = int(match[1])
    assert status < 500, (one, reply[:500])
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head or status == 100
    if status >= 400:
        assert not LEAKS.search(body), (one, body[:500])
        assert b"json" in head
        if body:
            told = json.loads(body)["error"]
            assert isinstance(told, str) or set(told) == {"message", "type", "param", "code"}
    elif b"text/event-stream" in head or b"x-ndjson" in head:
        assert not LEAKS.search(body), (one, body[:500])
    return status


def attack(running: Running, count: int, seed: int) -> Counter[tuple[str, int]]:
    before = running.say(ASK, temperature=0, max_tokens=12)

    def one_of(one: Malformed) -> tuple[str, int]:
        return one.kind, check(one, asked(running, one))

    with ThreadPoolExecutor(4) as pool:
        found = Counter(pool.map(one_of, malformed(count, seed)))
    eventually(running.idle)
    assert running.anyone.get("/health").status_code == 200
    assert running.say(ASK, temperature=0, max_tokens=12) == before
    return found


def test_some_hundred(attacked: Running) -> None:
    found = attack(attacked, 240, seed=2026)
    assert {status for _, status in found} >= {200, 400}
    assert sum(count for (_, status), count in found.items() if status >= 400) > 120


@pytest.mark.slow
def test_ten_thousand(attacked: Running, tmp_path: Path) -> None:
    """And nothing is left of them: no thread, no file, no memory beyond the caches."""
    attack(attacked, 500, seed=1)
    process = psutil.Process()
    memory, files, threads = process.memory_info().rss, process.num_fds(), process.num_threads()
    found = attack(attacked, 10_000, seed=20261128)
    print({f"{kind} {status}": count for (kind, status), count in sorted(found.items())})
    print(f"grown by {(process.memory_info().rss - memory) / 1e6:.1f} MB")
    assert process.memory_info().rss - memory < 100e6
    assert process.num_fds() <= files + 8
    assert process.num_threads() <= threads + 8
