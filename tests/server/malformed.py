"""Requests that are wrong in one of the ways in which requests go wrong, out of a seed."""

import base64
import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

from tests.server.serving import picture

PATHS = (
    "/v1/chat/completions", "/v1/chat/completions/input_tokens", "/v1/completions", "/v1/responses", "/v1/embeddings",
    "/v1/previews", "/v1/files", "/api/chat", "/api/generate", "/api/embed", "/api/show", "/v1/models", "/health",
    "/metrics", "/", "/static/app.js", "/nothing", "/v1/files/file-0", "/openapi.json",
)  # fmt: skip
METHODS = ("POST",) * 12 + ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO")
STRANGE = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, 0.5, "", "a", "\x00",
    "\ud83d\ude00", "x" * 3000,
    [], [[]], {}, {"a": {}}, [None], ["a", 1], {"type": "text"}, {"type": "image_url"}, "data:,", "file:///etc/passwd",
    "../../etc/passwd", "http://127.0.0.1:1/", "<|image_pad|>", "%00", "NaN", "\u202e",
    {"$ref": "#"}, {"": ""}, [{}] * 50,
)  # fmt: skip
PICTURE = picture()
BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {
        "model": "tiny", "max_tokens": 2, "temperature": 0.5, "top_p": 0.9, "n": 1, "stop": ["x"], "seed": 1,
        "stream": False,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}, "max_pixels": 50176},
                {"type": "video", "video": [PICTURE] * 4, "fps": 2.0},
            ]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "4"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}},
        "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "stream_options": {"include_usage": True},
        "mm_processor_kwargs": {"fps": 1.0}, "media_io_kwargs": {"video": {"num_frames": 4}}, "stop_token_ids": [3],
    },
    "/v1/completions": {"prompt": "a", "max_tokens": 2, "echo": True, "logprobs": 1, "n": 1, "stop": "x"},
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}], "max_output_tokens": 2,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "integer"}}}, "tools": [],
    },
    "/v1/embeddings": {"input": ["a", "b"], "encoding_format": "float", "dimensions": None},
    "/v1/previews": {"part": {"type": "image", "image": PICTURE, "min_pixels": 3136}},
    "/api/chat": {
        "model": "tiny", "messages": [{"role": "user", "content": "a", "images": [PICTURE.partition(",")[2]]}],
        "stream": False, "options": {"num_predict": 2, "temperature": 0.1}, "format": "json",
    },
    "/api/generate": {"model": "tiny", "prompt": "a", "options": {"num_predict": 2}, "stream": True},
    "/api/embed": {"model": "tiny", "input": "a"},
    "/api/show": {"model": "tiny"},
}  # fmt: skip


class Malformed(NamedTuple):
    """`raw` is what goes over the wire, `kind` how it was made."""

    kind: str
    raw: bytes


def malformed(count: int, seed: int) -> Iterator[Malformed]:
    """As many; the same for the same seed."""
    kinds = (_value, _value, _value, _value, _cut, _flipped, _media, _media, _head, _line, _length, _form)
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        kind = rng.choice(kinds)
        yield Malformed(kind.__name__.strip("_"), kind(rng))


def _http(path: str, body: bytes, *, method: str = "POST", kind: str = "application/json", more: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n".encode()
    return head + more + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _whole(rng: random.Random) -> tuple[str, bytes]:
    path = rng.choice(list(BODIES))
    return path, json.dumps(BODIES[path]).encode()


def _value(rng: random.Random) -> bytes:
    """One to three values somewhere in a right body are strange ones, or gone."""
    path = rng.choice(list(BODIES))
    body = json.loads(json.dumps(BODIES[path]))
    for _ in range(rng.randint(1, 3)):
        place = body
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            inner = place[key]
            if isinstance(inner, (dict, list)) and inner and rng.random() < 0.8:
                place = inner
                continue
            if rng.random() < 0.15:
                del place[key]
            else:
                place[key] = deepcopy(rng.choice(STRANGE))
            break
    return _http(path, json.dumps(body).encode())


def _cut(rng: random.Random) -> bytes:
    """A body that ends early, with its length or without."""
    path, body = _whole(rng)
    return _http(path, body[: rng.randrange(len(body))])


def _flipped(rng: random.Random) -> bytes:
    """Some bytes of a right body are others."""
    path, body = _whole(rng)
    bent = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 20))):
        bent[rng.randrange(len(bent))] = rng.randrange(256)
    return _http(path, bytes(bent))


def _media(rng: random.Random) -> bytes:
    """A picture, clip or document whose bytes are damaged, cut off, or something else."""
    data = bytearray(base64.b64decode(PICTURE.partition(",")[2]))
    starts = (b"", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP", b"BM", b"II*\x00", b"%PDF-1.7\n",
              b"%!PS",
              b"\x00\x00\x00\x18ftypmp42", b"\x1aE\xdf\xa3", b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\n",
              b"\x89HDF", b"8BPS", b"SIMPLE  =", b"<svg xmlns=")  # fmt: skip
    for _ in range(rng.choice((0, 1, 5, 50))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    made = rng.choice(starts) + bytes(data[: rng.choice((len(data), rng.randrange(len(data) + 1)))])
    coded = base64.b64encode(made).decode()
    if rng.random() < 0.2:
        coded = coded[: rng.randrange(len(coded) + 1)] + rng.choice(("", "=", "@", " ", "é"))
    url = f"data:{rng.choice(('image/png', 'video/mp4', 'x', ''))};base64,{coded}"
    part = rng.choice((
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "video_url", "video_url": {"url": url}},
        {"type": "video", "video": [url] * 4},
        {"type": "file", "file": {"file_data": url}},
        {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{coded},{coded}"}},
    ))  # fmt: skip
    body = {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1}
    return _http(rng.choice(("/v1/chat/completions", "/v1/chat/completions/input_tokens")), json.dumps(body).encode())


def _head(rng: random.Random) -> bytes:
    """Headers that are wrong, or of somebody else."""
    path, body = _whole(rng)
    more = rng.choice((
        b"Origin: https://evil.example\r\n", b"Host: evil.example\r\n", b"Transfer-Encoding: chunked\r\n",
        b"X: \x00\r\n",
        b"Content-Length: 3\r\n", b"Authorization: \xff\xfe\r\n", b"X: " + b"y" * rng.choice((10, 70_000)) + b"\r\n",
        b"Transfer-Encoding: gzip\r\n", b"Expect: 200-maybe\r\n", b"Range: bytes=" + b"0-," * 1000 + b"\r\n",
        b" folded: x\r\n",
        b"X-Forwarded-For: 1.2.3.4\r\n", b"Upgrade: websocket\r\n", b"Content-Encoding: gzip\r\n",
    ))  # fmt: skip
    return _http(path, body, more=more, kind=rng.choice(("application/json", "text/plain", "multipart/form-data", "")))


def _line(rng: random.Random) -> bytes:
    """Another method, path or version than there is."""
    method, path = rng.choice(METHODS), rng.choice(PATHS)
    path += rng.choice(("", "", "/", "?x=%ff", "/..%2f..%2fx", "%00", "/" + "a" * 9000, "//", ";x", "/%c0%ae"))
    raw = _http(path, b"{}", method=method)
    return rng.choice(
        (raw, raw.replace(b"HTTP/1.1", b"HTTP/9.9", 1), raw.replace(b" ", b"\t", 1), raw[: rng.randrange(60)])
    )


def _length(rng: random.Random) -> bytes:
    """A length that is not that of the body. (What never comes is not waited for here: the client leaves.)"""
    path, body = _whole(rng)
    said = rng.choice((b"0", b"-1", b"1", b"99999999999999999999", b"0x10", b"1e3", b"", b"+5", b"5, 5"))
    return _http(path, body).replace(b"Content-Length: %d" % len(body), b"Content-Length: " + said)


def _form(rng: random.Random) -> bytes:
    """An upload that is no form, or half of one."""
    form = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\r\n.png"\r\n\r\nx\r\n'
            b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n--b--\r\n')  # fmt: skip
    bent = bytearray(form)
    for _ in range(rng.choice((1, 3, 10))):
        bent[rng.randrange(len(bent))] = rng.randrange(256)
    kind = rng.choice(("multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary=", "x"))
    return _http("/v1/files", bytes(bent[: rng.randrange(1, len(bent))]), kind=kind)
