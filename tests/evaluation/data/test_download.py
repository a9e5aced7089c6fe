"""Data behind an address: a real HTTP server that cuts off, resumes, lies and refuses."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from anyres.errors import DatasetError, DownloadError
from anyres.evaluation.data.download import checksum, download

BODY = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))  # type: ignore[attr-defined]
        if self.path == "/none.tsv":
            self.send_error(404)
            return
        if self.path == "/moved.tsv":
            self.send_response(302)
            self.send_header("Location", "/data.tsv")
            self.end_headers()
            return
        begun = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if self.path == "/whole.tsv":  # knows no ranges
            begun = 0
        self.send_response(206 if begun else 200)
        self.send_header("Content-Length", str(len(BODY) - begun))
        self.end_headers()
        cut = self.path == "/cut.tsv" and not begun
        self.wfile.write(BODY[begun : 100_000 if cut else None])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server: Any, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def test_a_file_is_fetched_once_and_checked(server: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = download(address(server, "moved.tsv?key=1"), tmp_path, digest=SHA256, progress=lambda *one: told.append(one))
    assert (path.name, checksum(path)) == ("moved.tsv", SHA256)
    assert told[-1] == (len(BODY), len(BODY))
    asked = len(server.asked)
    assert download(address(server, "moved.tsv"), tmp_path, digest=MD5.upper()) == path
    assert len(server.asked) == asked


@pytest.mark.parametrize("name", ["cut.tsv", "whole.tsv"])
def test_a_download_that_was_cut_goes_on(server: Any, tmp_path: Path, name: str) -> None:
    if name == "cut.tsv":
        with pytest.raises(DownloadError, match="what came is kept"):
            download(address(server, name), tmp_path, digest=SHA256)
        assert (tmp_path / "cut.tsv.part").stat().st_size == 100_000
    else:
        (tmp_path / "whole.tsv.part").write_bytes(BODY[:100_000])
    assert checksum(download(address(server, name), tmp_path, digest=SHA256)) == SHA256
    assert server.asked[-1][1] == "bytes=100000-"
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_what_does_not_match_is_not_kept(server: Any, tmp_path: Path) -> None:
    for wrong in ("0" * 64, "0" * 32):
        with pytest.raises(DatasetError, match=f"allowed: (sha256|md5) {wrong}"):
            download(address(server, "data.tsv"), tmp_path, digest=wrong)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(DatasetError, match="MD5 or SHA-256"):
        download(address(server, "data.tsv"), tmp_path, digest="12")
    (tmp_path / "own.tsv").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="sha256"):
        download(address(server, "own.tsv"), tmp_path, digest=SHA256)
    assert (tmp_path / "own.tsv").read_bytes() == b"mine", "what was there before is never deleted"


def test_addresses_that_give_nothing(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="the server answered 404"):
        download(address(server, "none.tsv"), tmp_path)
    with pytest.raises(DownloadError, match="cannot be fetched"):
        download("http://127.0.0.1:9/data.tsv", tmp_path)
    for url in (address(server, ""), address(server, "%2e%2e"), address(server, ".hidden")):
        with pytest.raises(DownloadError, match="no name of a file"):
            download(url, tmp_path / "new")
    assert not (tmp_path / "new").exists()
