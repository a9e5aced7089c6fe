"""`/v1/files` over HTTP: kept for one key, found by nobody else, and nothing of a name becomes a path."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from anyres.engine.engine import LocalChatModel
from tests.server.serving import Running, picture, serving

DATA = base64.b64decode(picture().partition(",")[2])
ONE, OTHER = "the key of one", "the key of another"


@pytest.fixture(scope="module")
def kept(model: LocalChatModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(model, tmp_path_factory.mktemp("kept"), api_keys=(ONE, OTHER)) as running:
        yield running


def put(running: Running, name: str = "a.png", data: bytes = DATA, **headers: str) -> httpx.Response:
    return running.client.post("/v1/files", files={"file": (name, data)}, data={"purpose": "vision"}, headers=headers)


def stored(running: Running) -> list[Path]:
    assert running.service.uploads is not None
    return [path for path in running.service.uploads.folder.rglob("*") if path.is_file()]


def test_a_file_comes_and_goes(kept: Running) -> None:
    before = stored(kept)
    made = put(kept).json()
    assert (made["bytes"], made["filename"], made["purpose"]) == (len(DATA), "a.png", "vision")
    assert kept.client.get(f"/v1/files/{made['id']}").json()["id"] == made["id"]
    assert made["id"] in [one["id"] for one in kept.client.get("/v1/files").json()["data"]]
    assert len(stored(kept)) == len(before) + 2
    assert kept.client.delete(f"/v1/files/{made['id']}").json() == {
        "id": made["id"], "object": "file", "deleted": True
    }  # fmt: skip
    assert stored(kept) == before
    assert kept.client.delete(f"/v1/files/{made['id']}").status_code == 404


def test_another_key_finds_nothing(kept: Running) -> None:
    """T34: every verb, and as a part of a question; the words are those for an id that was never given."""
    file_id = put(kept).json()["id"]
    stranger = {"authorization": f"Bearer {OTHER}"}
    never = f"file-{'0' * 32}"
    for method in ("GET", "DELETE"):
        found = [kept.anyone.request(method, f"/v1/files/{one}", headers=stranger) for one in (file_id, never)]
        assert [one.status_code for one in found] == [404, 404]
        assert found[0].json() == found[1].json()
    assert kept.anyone.get("/v1/files", headers=stranger).json()["data"] == []
    for part in (
        {"type": "image_url", "image_url": {"url": file_id}},
        {"type": "file", "file": {"file_id": file_id}},
        {"type": "input_image", "file_id": file_id},
        {"type": "video_url", "video_url": {"url": file_id}},
    ):
        body = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1}
        reply = kept.anyone.post("/v1/chat/completions", json=body, headers=stranger)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "image_file_not_found")
    assert kept.client.get(f"/v1/files/{file_id}").status_code == 200
    kept.client.delete(f"/v1/files/{file_id}")


ELSEWHERE = ["..", "../..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "/etc/passwd", "a\x00"]


@pytest.mark.parametrize("file_id", [*ELSEWHERE, f"file-{'0' * 31}/", f"file-{'g' * 32}"])
def test_ids_are_no_paths(kept: Running, file_id: str) -> None:
    """T33."""
    for method in (b"GET", b"DELETE"):
        target = file_id.encode().replace(b"\x00", b"%00")
        raw = kept.raw(
            method + b" /v1/files/" + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: Bearer " + ONE.encode() + b"\r\n\r\n"
        )
        assert raw.startswith((b"HTTP/1.1 404", b"HTTP/1.1 405")), raw[:60]


@pytest.mark.parametrize(
    "name", ["../../x.png", "/etc/cron.d/x", "C:\\x", "a\x00b", "x" * 3000, "\x1b[2J", "é" * 50, "."]
)
def test_names_are_only_told(kept: Running, name: str) -> None:
    """T32, T25: nothing is written but two files named by the id; a name comes back as JSON."""
    before = set(stored(kept))
    reply = put(kept, name)
    if reply.status_code != 200:
        assert reply.status_code == 400
        assert set(stored(kept)) == before
        return
    made = reply.json()
    assert "\x1b" not in reply.text
    assert {path.stem for path in set(stored(kept)) - before} == {made["id"]}
    kept.client.delete(f"/v1/files/{made['id']}")


def multipart(running: Running, body: bytes) -> httpx.Response:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return running.client.post("/v1/files", content=body, headers=headers)


HEAD = b'--b\r\nContent-Disposition: form-data; name="'
PART = HEAD + b'%s"\r\n\r\nx\r\n'
FILE = HEAD + b'file"; filename="a"\r\n'
END = b"--b--\r\n"
BROKEN = {
    "empty": b"",
    "none": b"nothing of the kind",
    "no parts": END,
    "no file": PART % b"purpose" + END,
    "text for a file": PART % b"file" + END,
    "many parts": (PART % b"a") * 20_000 + END,
    "many headers": FILE + b"X: y\r\n" * 50_000 + b"\r\nx\r\n" + END,
    "cut off": FILE + b"\r\n" + b"\r\n--" * 50_000,
    "no bytes": FILE + b"\r\n\r\n" + END,
    "odd purpose": HEAD + b'purpose"\r\n\r\nspying\r\n' + FILE + b"\r\nx\r\n" + END,
}


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_forms_that_are_none(kept: Running, body: bytes) -> None:
    """T24: refused, in no time, and nothing is kept. (Starlette leaves the file of a cut off part to the collector.)"""
    before = stored(kept)
    reply = multipart(kept, body)
    assert reply.status_code == 400, reply.text[:300]
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert stored(kept) == before


def test_a_file_that_is_too_large(model: LocalChatModel, tmp_path: Path) -> None:
    from anyres.server.media import MediaLimits

    with serving(model, tmp_path, MediaLimits(video_bytes=4096), upload_bytes=65536) as small:
        within = put(small, data=b"x" * 4096)
        assert within.status_code == 200
        over = put(small, data=b"x" * 4097)
        assert over.status_code == 400
        assert "--max-video-bytes" in over.json()["error"]["message"]
        far = put(small, data=b"x" * (1 << 17))
        assert far.status_code == 413
        assert len(stored(small)) == 2


def test_types_of_a_reply_are_not_guessed(kept: Running) -> None:
    """T33: what was uploaded never comes back as a page."""
    made = put(kept, "a.html", b"<script>alert(1)</script>").json()
    reply = kept.client.get(f"/v1/files/{made['id']}")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert kept.client.get(f"/v1/files/{made['id']}/content").status_code == 404
    kept.client.delete(f"/v1/files/{made['id']}")


def test_what_a_killed_server_left_half_done_is_swept(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path) as first:
        made = put(first).json()
        folder = stored(first)[0].parent
        (folder / f"file-{'1' * 32}.part").write_bytes(b"half")
        (folder / f"file-{'2' * 32}.bin").write_bytes(b"without a name")
    with serving(model, tmp_path) as second:
        files: list[Any] = second.client.get("/v1/files").json()["data"]
        assert [one["id"] for one in files] == [made["id"]]
        assert {path.stem for path in stored(second)} == {made["id"]}
