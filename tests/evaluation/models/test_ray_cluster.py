"""A cluster of two processes gives the records that one process gives."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.errors import MediaError, MissingDependencyError
from anyres.evaluation.models.opening import open_model
from anyres.evaluation.models.query import Query
from anyres.evaluation.models.ray_cluster import _arrived, travelling
from tests.evaluation.models.records_of import EXAMPLES, TINY, asked, compared, pictures

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("ANYRES_TEST_RAY_PYTHON") or (sys.executable if find_spec("ray") else "")


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of one with two processors."""
    if not PYTHON:
        pytest.skip("ray is not installed; ANYRES_TEST_RAY_PYTHON may name an interpreter that has it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(PYTHON).parent / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as head:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            head.send_signal(signal.SIGTERM)


def test_a_cluster_gives_the_same_records(cluster: str, tmp_path: Path) -> None:
    command = [PYTHON, "-m", "tests.evaluation.models.records_of", str(tmp_path / "ray"), "--ray", cluster]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--workers", "2"], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    here, there = compared(asked(tmp_path / "here", TINY)), compared(Path(done.stdout.strip()))
    assert len(here) == len(pictures())
    assert there == here


def test_files_travel_as_bytes_with_their_names() -> None:
    picture, clip = EXAMPLES / "heading.png", EXAMPLES / "clips" / "sign_book.mkv"
    parts = (
        ImagePart(picture, max_pixels=784),
        ImagePart(b"raw"),
        VideoPart(clip),
        VideoPart([picture]),
        TextPart("a"),
    )
    sent = travelling(Query((Message("user", parts),)))
    assert str(EXAMPLES) not in repr(sent).replace(repr(clip.name), "")
    got = _arrived(sent).messages[0].parts
    assert got[0].image.read() == picture.read_bytes()  # type: ignore[union-attr]
    assert (got[0].image.name, got[0].max_pixels) == ("heading.png", 784)  # type: ignore[union-attr]
    assert got[1] == parts[1]
    assert (got[2].video.name, got[4]) == (clip.name, parts[4])  # type: ignore[union-attr]
    assert got[3].video[0].name == "heading.png"  # type: ignore[union-attr]
    with pytest.raises(MediaError, match=r"no\.png"):
        travelling(Query((Message("user", (ImagePart("no.png"),)),)))


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_it_is_told_what_to_install() -> None:
    from dataclasses import replace

    model = open_model(replace(TINY, ray="auto"))
    with pytest.raises(MissingDependencyError, match=r"anyres\[ray\]"):
        model.ask(Query((Message("user", "hello"),)))
