"""What is said about serving, against the command itself; the unit and the proxy's file, against systemd and nginx."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

import pytest
from typer.main import get_command

from anyres.cli.app import app

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
UNIT = ROOT / "deploy/anyres.service"
NGINX = ROOT / "deploy/nginx.conf"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OF_OTHERS = {
    "--rm", "--read-only", "--tmpfs", "--cap-drop", "--security-opt", "--now", "--allowed-origins", "--base-url",
    "--schema",
}  # fmt: skip


def serve_options() -> dict[str, Any]:
    command: Any = get_command(app)
    return {name: one for one in command.commands["serve"].params for name in one.opts}


def test_flags_that_are_told_exist() -> None:
    told = "\n".join([GUIDE, UNIT.read_text(), NGINX.read_text(), *re.findall(r"^ENTRYPOINT .*", DOCKERFILE, re.M)])
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told))
    assert flags - OF_OTHERS - set(serve_options()) == {"--no-page", "--help"}
    assert len(flags) > 20


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--max-running", "32"), ("--max-queue", "64"), ("--queue-seconds", "60"), ("--total-seconds", "600"),
        ("--max-body-bytes", "64 MiB"), ("--max-image-bytes", "20 MiB"), ("--max-image-pixels", "50 MP"),
        ("--max-video-bytes", "256 MiB"), ("--max-video-frames", "768"), ("--decode-seconds", "60"),
        ("--decode-memory", "1 GiB"), ("--limit-mm-per-prompt", '{"image": 8, "video": 1}'),
    ],
)  # fmt: skip
def test_defaults_that_are_told_are_those_of_the_command(flag: str, words: str) -> None:
    [row] = [line for line in GUIDE.splitlines() if line.startswith("|") and f"`{flag}`" in line]
    assert words in row
    default = serve_options()[flag].default
    units = {"MiB": 1 << 20, "GiB": 1 << 30, "MP": 10**6}
    number, _, unit = words.partition(" ")
    assert default == (words if words.startswith("{") else float(number) * units.get(unit, 1))


def test_the_image_is_made_of_files_that_are_there() -> None:
    copied = [name for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.M) for name in line.split()[:-1]]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER (\d+)$", last, re.M)
    assert "HEALTHCHECK" in last
    assert "/ready" in last


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/anyres/bin/anyres", shutil.which("true") or "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
    assert subprocess.run(command, capture_output=True).returncode == 0  # 2.0 of 10, where 10 is open


class Slow(BaseHTTPRequestHandler):
    """Answers with a first event at once, and with no other while it is asked."""

    protocol_version = "HTTP/1.1"
    gone = Event()
    hosts: ClassVar[list[str | None]] = []

    def log_message(self, *words: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.hosts.append(self.headers["Host"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"9\r\ndata: 1\n\n\r\n")
        self.wfile.flush()
        self.connection.settimeout(20)
        if self.connection.recv(1) == b"":
            self.gone.set()
        self.close_connection = True


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """nginx with our file, without TLS, in front of a server that never ends its answers."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx on this machine")
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    Thread(target=behind.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = NGINX.read_text().replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    site = re.sub(r"^ *ssl_.*$", "", site, flags=re.M).replace("127.0.0.1:8000", f"127.0.0.1:{behind.server_port}")
    (tmp_path / "site.conf").write_text(site)
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root; " if os.geteuid() == 0 else ""  # its workers write to this test's folder
    whole = (
        f"{user}pid {tmp_path}/pid; error_log {tmp_path}/log; daemon off; events {{}}\nhttp {{ access_log off; {paths}"
    )
    (tmp_path / "nginx.conf").write_text(f"{whole} include {tmp_path}/site.conf; }}")
    running = subprocess.Popen([nginx, "-e", str(tmp_path / "log"), "-c", str(tmp_path / "nginx.conf")])
    while not answers(port):
        assert running.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    yield port
    running.terminate()
    running.wait(20)
    behind.shutdown()
    behind.server_close()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_nginx_passes_words_on_at_once_and_tells_when_the_reader_has_gone(proxy: int) -> None:
    asked = HTTPConnection("127.0.0.1", proxy, timeout=20)
    body = b"x" * (3 << 20)  # more than nginx takes by itself
    asked.request("POST", "/v1/chat/completions", body, {"Host": "ask.example.org:8443"})
    answer = asked.getresponse()
    assert answer.status == 200
    assert answer.read1() == b"data: 1\n\n"
    assert Slow.hosts[-1] == "ask.example.org:8443"  # with the port, else the page is a stranger to its server
    answer.close()
    asked.close()
    assert Slow.gone.wait(20)
