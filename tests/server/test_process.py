"""`anyres serve` as a process: started, asked, ended, killed."""

import base64
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.server.serving import eventually, image_part, picture

ASK = [image_part(picture("after all")), {"type": "text", "text": "Read it."}]
SERVE = [sys.executable, "-m", "anyres.cli", "serve"]


def say(url: str, content: Any = ASK, **fields: Any) -> str:
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 8, "temperature": 0, **fields}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).raise_for_status()
    return str(reply.json()["choices"][0]["message"]["content"])


def test_from_the_command_to_the_end(tmp_path: Path) -> None:
    """It listens in one place, says where, answers, logs JSON, and SIGTERM ends it and all it has started."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([*SERVE, "--port", "0"], stdout=subprocess.PIPE, stderr=file)
    assert process.stdout is not None
    try:
        eventually(lambda: b"is served at" in log.read_bytes(), within_s=60)
        url = log.read_text().partition(" is served at ")[2].partition("/v1")[0]
        assert say(url) is not None
        watched = psutil.Process(process.pid)
        listening = [one for one in watched.net_connections() if one.status == psutil.CONN_LISTEN]
        assert [one.laddr.ip for one in listening] == ["127.0.0.1"]  # T42: one door, and only from here
        children = watched.children(recursive=True)
        assert len(children) >= 2  # those that decode
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        psutil.wait_procs(children, timeout=10)
        assert not [one for one in children if one.is_running()]
    finally:
        process.kill()
        process.stdout.close()
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert {"/v1/chat/completions"} == {line["path"] for line in lines if line.get("event") == "request"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "nothing-of-this-name/at-all", "--port", "0"], "nothing-of-this-name"),
        (["--limit-mm-per-prompt", "many"], "--limit-mm-per-prompt"),
        (["--media-root", "/nothing/there"], "--media-root"),
        (["--allowed-media-domains", "http://a.example/x"], "--allowed-media-domains"),
        (["--api-key-file", "/nothing/there"], "--api-key-file"),
        (["--queue-seconds", "-1"], "queue"),
        (["--page-endpoints", "b.example"], "page"),
    ],
)
def test_what_cannot_be_is_said_at_once(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and no traceback; in this process, because starting one takes seconds."""
    with pytest.raises(SystemExit) as ended:
        serve_here(*options)
    told = capsys.readouterr().err
    assert ended.value.code not in (0, None)
    assert words in told
    assert "Traceback" not in told


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit) as ended:
            serve_here("--quiet", "--port", str(taken.getsockname()[1]))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "--port" in told
    assert "Traceback" not in told


def serve_here(*options: str) -> None:
    from anyres.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["anyres", "serve", *options])
        main()


def serve_in_a_child(folder: Path, ready: Connection) -> None:
    """The server of a process that will be killed."""
    from anyres.engine.load import load
    from anyres.server.media import MediaLimits
    from anyres.server.run import serve
    from anyres.server.settings import ServerSettings

    serve(
        lambda: load("tiny", dtype="float32"),
        settings=ServerSettings(port=0),
        limits=MediaLimits(decoders=1),
        uploads=folder,
        on_ready=lambda _, address: ready.send(address),
    )


@contextmanager
def child(folder: Path) -> Iterator[tuple[str, BaseProcess]]:
    """Started from a process that has imported everything, which takes seconds otherwise."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["anyres.server.run", "anyres.engine.engine", "anyres.processing.processor"])
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_in_a_child, args=(folder, theirs), daemon=True)
    process.start()
    try:
        assert ours.poll(60), "it did not start"
        yield ours.recv(), process
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
        theirs.close()


def busy(url: str, until: float) -> list[str]:
    """Uploads, questions and streams until it is killed; the ids of uploads that were acknowledged."""
    data, kept = base64.b64decode(ASK[0]["image_url"]["url"].partition(",")[2]), []
    with httpx.Client(base_url=url, timeout=10) as client:
        try:
            number = 0
            while time.monotonic() < until:
                number += 1
                made = client.post("/v1/files", files={"file": (f"{number}.png", data)}).raise_for_status().json()
                kept.append(made["id"])
                asked = {"messages": [{"role": "user", "content": [image_part(made["id"])]}], "max_tokens": 4}
                client.post("/v1/chat/completions", json={**asked, "stream": bool(number % 2)})
        except httpx.TransportError:
            pass
    return kept


def killed_at_work(folder: Path, times: int) -> None:
    """Kills a server so often, each a little later in its work; every acknowledged file is there afterwards."""
    acknowledged: list[str] = []
    words = set()
    for number in range(times):
        with child(folder) as (url, process):
            words.add(say(url))
            listed = {one["id"] for one in httpx.get(f"{url}/v1/files").json()["data"]}
            assert set(acknowledged) <= listed
            if acknowledged:
                words.add(say(url, [image_part(acknowledged[-1]), ASK[1]]))
            for file_id in acknowledged[:-3]:
                httpx.delete(f"{url}/v1/files/{file_id}").raise_for_status()
            acknowledged = acknowledged[-3:]
            found: list[list[str]] = []
            work = threading.Thread(target=lambda at=url, into=found: into.append(busy(at, time.monotonic() + 5)))
            work.start()
            time.sleep(0.02 + 0.37 * (number % 16) / 16)
            decoders = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, signal.SIGKILL)
            work.join()
            acknowledged += found[0]
            psutil.wait_procs(decoders, timeout=10)
            assert not [one for one in decoders if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert len(words) == 1


def test_a_killed_server_keeps_what_it_has_acknowledged(tmp_path: Path) -> None:
    killed_at_work(tmp_path, 2)


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path) -> None:
    killed_at_work(tmp_path, 200)
    with child(tmp_path) as (url, _):
        assert say(url) is not None
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_memory_stays_over_ten_thousand_requests(tmp_path: Path) -> None:
    """Less than 1 MB for each thousand once caches are full: chats, streams, pictures, refusals and uploads."""
    with child(tmp_path) as (url, process), httpx.Client(base_url=url, timeout=60) as client:
        watched = psutil.Process(process.pid)
        sizes = []
        for number in range(10_000):
            words = [{"type": "text", "text": f"question {number % 997}"}]
            content = [image_part(picture(f"{number % 61}")), *words] if number % 5 == 0 else words
            body = {"messages": [{"role": "user", "content": content}], "max_tokens": 2, "stream": number % 3 == 0}
            client.post("/v1/chat/completions", json=body if number % 7 else {**body, "n": 99})
            if number % 500 == 499:
                sizes.append(watched.memory_info().rss / 1e6)
    half = sizes[len(sizes) // 2 :]
    slope = (half[-1] - half[0]) / (len(half) - 1) * 2
    print(f"{' '.join(f'{size:.1f}' for size in sizes)} MB; {slope:+.2f} MB a thousand in the second half")
    assert slope < 1.0
