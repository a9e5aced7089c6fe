"""Who may ask, from where, and how much, on a server that asks for a key. T-numbers are those of the threat list."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from anyres.engine.engine import LocalChatModel
from anyres.server.access import host_name, is_allowed_host
from tests.server.serving import Running, eventually, serving

KEY = "a-key-nobody-guesses"
FRIEND = "https://friend.example"
BODY = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
OPEN = {"/health", "/ready", "/", "/static/{name:path}"}


@pytest.fixture(scope="module")
def guarded(model: LocalChatModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings: dict[str, Any] = {
        "api_keys": (KEY, "another key"),
        "hosts": ("vision.example",),
        "cors_origins": (FRIEND,),
        "body_bytes": 1 << 16,
        "url_bytes": 1 << 12,
        "header_bytes": 1 << 13,
        "read_s": 0.3,
        "linger_s": 0.5,
    }
    with serving(model, tmp_path_factory.mktemp("guarded"), **settings) as running:
        yield running


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"].startswith("req_")
    return error


def routes_of(running: Running) -> set[tuple[str, str]]:
    app = running.server.config.loaded_app
    while not hasattr(app, "routes"):
        app = app.app
    found = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        for method in (route.methods or {"GET"}) if hasattr(route, "methods") else {"GET"}:
            found.add((method, context.path if hasattr(context, "path") else route.path))
    return found


def test_every_route_asks_for_the_key(guarded: Running) -> None:
    """T26: a new route that answers without it fails here."""
    routes = routes_of(guarded)
    assert {"/v1/chat/completions", "/metrics", "/openapi.json", "/api/chat", "/v1/files/{file_id}"} <= {
        p for _, p in routes
    }
    for method, path in sorted(routes):
        url = path.replace("{name:path}", "x").replace("{file_id}", "x")
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": KEY},
            {"authorization": f"Basic {KEY}"},
        ):
            reply = guarded.anyone.request(
                method, url, headers={"content-type": "application/json", **headers}, content=b"{}"
            )
            if path in OPEN and method in ("GET", "HEAD"):
                assert reply.status_code in (200, 404), path
            else:
                assert reply.status_code == 401, (method, path)


def test_open_paths_are_open_and_only_to_readers(guarded: Running) -> None:
    assert guarded.anyone.get("/health").json() == {"status": "ok"}
    assert guarded.anyone.get("/ready").status_code == 200
    assert guarded.anyone.get("/").headers["content-type"].startswith("text/html")
    assert guarded.anyone.post("/", json={}).status_code == 401
    assert guarded.anyone.get("/static/../../settings.py").status_code in (401, 404)


@pytest.mark.parametrize("key", [KEY, "another key"])
def test_each_key_is_right(guarded: Running, key: str) -> None:
    reply = guarded.anyone.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert reply.json()["data"][0]["id"] == "tiny"


@pytest.mark.parametrize("value", ["", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"bearer\t{KEY}", "Bearer é"])
def test_a_wrong_key(guarded: Running, value: str) -> None:
    reply = guarded.anyone.get("/v1/models", headers={b"authorization": value.encode("latin-1")})
    assert reply.status_code == 401
    assert error_of(reply)["type"] == "authentication_error"
    assert error_of(reply)["code"] == "invalid_api_key"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert KEY not in reply.text


def test_keys_are_compared_in_constant_time() -> None:
    """T27: digests of equal length through hmac, and no way out of the loop."""
    source = Path(__file__).parents[2].joinpath("anyres/server/access.py").read_text()
    body = source.partition("def owner_of(")[2].partition("\ndef ")[0]
    assert "right = [hmac.compare_digest(digest, key) for key in keys]" in body
    assert not re.search(r"==\s*(key|digest|shown)|(key|digest|shown)\s*==|in keys\b(?!\])", body)


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.0.0.1.evil.com",
        "8.8.8.8",
        "",
        "evil.com:80",
        "localhost.evil.com",
        "[2606:4700::1]",
        "a b",
        "[::",
    ],
)
def test_a_foreign_host_is_refused(guarded: Running, host: str) -> None:
    """T28."""
    raw = guarded.raw(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    assert host.startswith("[") or b"host_not_allowed" in raw or b"no HTTP" in raw


def test_two_hosts_and_none_are_refused(guarded: Running) -> None:
    two = guarded.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\nConnection: close\r\n\r\n")
    none = guarded.raw(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert two.startswith(b"HTTP/1.1 403")
    assert none.startswith(b"HTTP/1.1 403")
    assert b"host_not_allowed" in two


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "[::1]:8000", "a.localhost", "box.local", "10.1.2.3", "Vision.Example"]
)
def test_hosts_that_are_let_in(guarded: Running, host: str) -> None:
    assert guarded.anyone.get("/health", headers={"host": host}).status_code == 200


def test_names_of_hosts() -> None:
    assert [host_name(one) for one in ("LOCALHOST.:80", "[::1", "localhost:b", "user@evil.com")] == [
        "localhost",
        "",
        "",
        "evil.com",
    ]
    assert not is_allowed_host("", ())
    assert not is_allowed_host("0x7f.1", ())
    assert is_allowed_host("::ffff:127.0.0.1", ())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("origin", ["https://evil.com", "null", "http://127.0.0.1.evil.com", "file://"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_a_foreign_page_is_refused(guarded: Running, method: str, origin: str, kind: str) -> None:
    """T29: whatever the method, and before the key is looked at."""
    headers = {"origin": origin, "content-type": kind, "authorization": f"Bearer {KEY}"}
    reply = guarded.anyone.request(method, "/v1/chat/completions", headers=headers, content=json.dumps(BODY))
    assert reply.status_code == 403
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_its_own_page_and_a_friend_are_let_in(guarded: Running) -> None:
    same = guarded.client.post("/v1/chat/completions", json=BODY, headers={"origin": guarded.url})
    assert same.status_code == 200
    assert "access-control-allow-origin" not in same.headers
    friend = guarded.client.post("/v1/chat/completions", json=BODY, headers={"origin": FRIEND})
    assert friend.status_code == 200
    assert friend.headers["access-control-allow-origin"] == FRIEND
    assert friend.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in friend.headers
    wanted = {"access-control-request-method": "POST", "origin": FRIEND}
    before = guarded.anyone.options("/v1/chat/completions", headers=wanted)
    assert before.status_code == 204
    assert "authorization" in before.headers["access-control-allow-headers"]
    refused = guarded.anyone.options("/v1/files", headers={**wanted, "origin": "https://evil.com"})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("authorization,content-type,x-stainless-os", "authorization,content-type,x-stainless-os"),  # openai-node's
        ("x" * 65, "authorization, content-type"),
        ("a:b", "authorization, content-type"),
        ("a, " * 100 + "b", "authorization, content-type"),
    ],
)
def test_a_friend_may_send_the_headers_of_its_sdk(guarded: Running, asked: str, allowed: str) -> None:
    headers = {"origin": FRIEND, "access-control-request-method": "POST", "access-control-request-headers": asked}
    before = guarded.anyone.options("/v1/chat/completions", headers=headers)
    assert before.headers["access-control-allow-headers"] == allowed
    assert "access-control-allow-private-network" not in before.headers
    local = guarded.anyone.options(
        "/v1/chat/completions", headers={**headers, "access-control-request-private-network": "true"}
    )
    assert local.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "", "json"]
)
def test_other_content_types_are_refused(guarded: Running, kind: str) -> None:
    for path in ("/v1/chat/completions", "/api/chat", "/v1/embeddings", "/v1/responses"):
        reply = guarded.client.post(path, content=json.dumps(BODY), headers={"content-type": kind})
        assert reply.status_code == 415, path
    assert guarded.client.post("/v1/files", json={}).status_code == 415


def test_a_charset_may_stand_behind_it(guarded: Running) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert guarded.client.post("/v1/chat/completions", content=json.dumps(BODY), headers=headers).status_code == 200


def test_a_large_body_is_refused_before_it_is_read(guarded: Running) -> None:
    """T23: by what it says of its length, and by what comes where it says nothing."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    head += "Content-Type: application/json\r\n"
    told = guarded.raw((head + "Content-Length: 65537\r\n\r\n").encode())  # nothing of it is sent
    assert told.startswith(b"HTTP/1.1 413")
    assert b"request_too_large" in told
    assert b"--max-body-bytes" in told
    chunks = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(17))
    came = guarded.raw((head + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunks)
    assert came.startswith(b"HTTP/1.1 413")
    exact = json.dumps(BODY).encode().ljust(1 << 16)
    assert (
        guarded.client.post(
            "/v1/chat/completions", content=exact, headers={"content-type": "application/json"}
        ).status_code
        == 200
    )


@pytest.mark.parametrize("key", [KEY, "wrong"])
def test_a_client_that_goes_on_sending_still_gets_its_refusal(guarded: Running, key: str) -> None:
    """Whether the refusal is of the size or of the key: the connection is not closed under it."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    for length in (1 << 20, 16 << 20):
        reply = guarded.anyone.post("/v1/chat/completions", content=b" " * length, headers=headers)
        assert reply.status_code == 413
        chunked = guarded.anyone.post("/v1/chat/completions", content=iter([b" " * length]), headers=headers)
        assert chunked.status_code == (413 if key == KEY else 401)


def test_bodies_together_have_a_limit(model: LocalChatModel, tmp_path: Path) -> None:
    """Many clients, each within its own limit, cannot fill the memory; who is refused may come again."""
    with serving(model, tmp_path, held_bytes=1 << 20, linger_s=0.2) as running:
        address = ("127.0.0.1", running.port)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(address) as slow:
            slow.sendall(head + b"Content-Length: 900000\r\n\r\n" + b" " * 800_000)
            eventually(lambda: running.service.body_bytes >= 800_000)
            large = {**BODY, "metadata": {"a": "x" * 400_000}}
            refused = running.client.post("/v1/chat/completions", json=large)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "server_busy")
            assert "--max-held-bytes" in refused.json()["error"]["message"]
            assert running.client.post("/v1/chat/completions", json=BODY).status_code == 200
        eventually(lambda: running.service.body_bytes == 0)
        assert running.client.post("/v1/chat/completions", json=large).status_code == 200


def test_a_head_that_goes_on_still_gets_its_refusal(guarded: Running) -> None:
    raw = guarded.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (8 << 20))
    assert raw.startswith(b"HTTP/1.1 431")


def test_uploads_have_a_limit_of_their_own(guarded: Running) -> None:
    large = b"x" * (1 << 17)  # above that of other bodies
    made = guarded.client.post("/v1/files", files={"file": ("a.bin", large)})
    assert made.status_code == 200
    assert guarded.client.delete(f"/v1/files/{made.json()['id']}").status_code == 200


def test_large_heads_are_refused(guarded: Running) -> None:
    head = f"GET /health HTTP/1.1\r\nHost: localhost\r\nX: {'x' * 8192}\r\n\r\n".encode()
    assert guarded.raw(head).startswith(b"HTTP/1.1 431")
    long = f"GET /health?{'x' * 4096} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    assert guarded.raw(long).startswith(b"HTTP/1.1 414")


def test_a_head_of_ten_megabytes(guarded: Running) -> None:
    raw = guarded.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000)
    assert raw.startswith(b"HTTP/1.1 431")
    assert b"invalid_request_error" in raw


def test_a_body_that_does_not_come_is_not_waited_for(guarded: Running) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    raw = guarded.raw((head + 'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a').encode())
    assert raw.startswith(b"HTTP/1.1 408")


def test_a_body_that_drips_is_not_waited_for_either(model: LocalChatModel, tmp_path: Path) -> None:
    """Each byte within its time, and all of them never."""
    with serving(model, tmp_path, read_s=5.0, total_s=0.6, linger_s=0.1) as running:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as drip:
            drip.sendall(head + b"Content-Length: 1000\r\n\r\n")
            drip.setblocking(False)
            found = b""
            started = time.monotonic()
            while not found and time.monotonic() - started < 20:
                drip.send(b" ")
                time.sleep(0.05)
                with suppress(BlockingIOError):
                    found = drip.recv(4096)
        assert found.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /a\r\nX: y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX:\x00y\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_so(guarded: Running, raw: bytes) -> None:
    reply = guarded.raw(raw)
    assert re.match(rb"HTTP/1.1 4\d\d ", reply), reply[:80]
    assert b"Traceback" not in reply
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"
    assert guarded.anyone.get("/health").status_code == 200


def test_unknown_paths_and_methods(guarded: Running) -> None:
    assert error_of(guarded.client.get("/v1/nothing"))["message"] == "no such path"
    assert guarded.client.get("/v1/nothing").status_code == 404
    wrong = guarded.client.get("/v1/chat/completions")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert error_of(wrong)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "path", ["/api/pull", "/api/delete", "/api/create", "/api/push", "/api/copy", "/v1/load", "/tokenize"]
)
def test_nothing_can_be_managed_from_outside(guarded: Running, path: str) -> None:
    """T30."""
    for method in ("POST", "DELETE", "GET"):
        assert guarded.client.request(method, path, json={"model": "x"}).status_code == 404


def test_ollamas_clients_read_a_text(guarded: Running) -> None:
    reply = guarded.anyone.post("/api/chat", json={"model": "tiny"})
    assert reply.status_code == 401
    assert isinstance(reply.json()["error"], str)


def test_headers_of_every_answer(guarded: Running) -> None:
    for reply in (guarded.client.get("/v1/models"), guarded.anyone.get("/"), guarded.anyone.get("/v1/models")):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch(r"req_[0-9a-f]{24}", reply.headers["x-request-id"])
        assert "server" not in reply.headers


def test_the_page_comes_with_a_strict_policy(guarded: Running) -> None:
    policy = guarded.anyone.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "name", ["..%2f..%2fsettings.py", "%2e%2e/guard.py", "/etc/passwd", "js", "..", "a\x00b", "vendor/../../guard.py"]
)
def test_files_of_the_page_are_a_list(guarded: Running, name: str) -> None:
    """T24, T33: names are looked up, never joined to a path."""
    reply = guarded.raw(f"GET /static/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 4\d\d ", reply)
