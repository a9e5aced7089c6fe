"""One process that decodes: what it may do, how it ends, and what is believed of what it says."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyres.processing.picture import decode_picture
from anyres.server.decoder import Decoder, DecoderDiedError, UndecodableError
from anyres.server.decoder_wire import send
from tests.server.media.files import clip, encoded, flat_png, pdf, photo, png

MIB = 1 << 20
PHOTO = encoded(photo())
CLIP = clip()
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def shared() -> Iterator[Decoder]:
    decoder = Decoder(memory=512 * MIB, seconds=30)
    decoder.start()
    yield decoder
    decoder.close()


@pytest.fixture
def fresh() -> Iterator[Decoder]:
    decoder = Decoder(memory=512 * MIB, seconds=30)
    decoder.start()
    yield decoder
    decoder.close()


def is_running(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# What it gives


def test_pictures(shared: Decoder) -> None:
    found = shared.picture(PHOTO, max_pixels=10_000)
    np.testing.assert_array_equal(found, np.asarray(decode_picture(PHOTO, name="x", max_pixels=10_000)))
    assert shared.size_of(PHOTO, max_pixels=10_000) == (60, 80)
    assert shared.clean


def test_clips(shared: Decoder) -> None:
    with shared.clip(CLIP, max_pixels=10_000) as opened:
        assert (opened.total_frames, opened.fps, opened.height, opened.width) == (30, 10.0, 64, 96)
        assert opened.read_frames([3, 1, 29]).shape == (3, 64, 96, 3)
        assert opened.read_frames([]).shape == (0, 64, 96, 3)
    assert shared.clean


def test_documents(shared: Decoder) -> None:
    assert shared.pages(pdf(("a", "b"))) == 2
    assert shared.page(1, max_pixels=10_000).shape[2] == 3
    assert shared.clean


def test_a_refusal_leaves_it_as_it_was(shared: Decoder) -> None:
    pid = shared.pid
    for data in (b"", b"\x89PNG\r\n\x1a\n", PHOTO[:100], png(9999, 9999)):
        with pytest.raises(UndecodableError):
            shared.picture(data, max_pixels=10_000)
        assert shared.clean
    assert shared.picture(PHOTO, max_pixels=10_000).shape == (60, 80, 3)
    assert shared.pid == pid


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"hello", "format"),
        (PHOTO[:100], "damaged"),
        (png(200, 200), "pixels"),
        (png(0, 9), "side"),
        (encoded(Image.new("L", (402, 2))), "shape"),
    ],
)
def test_problems_have_names(data: bytes, problem: str, shared: Decoder) -> None:
    for ask in (shared.picture, shared.size_of) if problem != "damaged" else (shared.picture,):
        with pytest.raises(UndecodableError) as caught:
            ask(data, max_pixels=10_000)
        assert caught.value.problem == problem


def test_frames_that_are_not_read_to_their_end_spoil_it(fresh: Decoder) -> None:
    with fresh.clip(CLIP, max_pixels=10_000) as opened:
        frames = opened.iter_frames([0, 1, 2])
        assert next(frames).shape == (64, 96, 3)
    assert not fresh.clean
    with pytest.raises(DecoderDiedError):
        fresh.picture(PHOTO, max_pixels=10_000)


def test_frames_that_fail_midway_do_not(fresh: Decoder) -> None:
    """Nothing more is said after the refusal."""
    with fresh.clip(CLIP, max_pixels=10_000) as opened, pytest.raises(DecoderDiedError):
        list(opened._source.frames([0, 1, 10**6]))
    assert not fresh.clean


# What it may not do

ATTEMPTS = """
import errno, json, sys
sys.path[:] = json.loads(sys.argv[1])
import socket, subprocess
from anyres.server.decoder_child import _give_up_rights, _load_everything
_load_everything()
_give_up_rights(64 << 20)
def try_(what):
    try:
        what()
    except OSError as error:
        return errno.errorcode[error.errno]
    except MemoryError:
        return "MemoryError"
    return "done"
print(json.dumps([
    try_(lambda: open("/etc/hostname")),
    try_(lambda: open("/tmp/anyres-x", "w")),
    try_(lambda: socket.socket()),
    try_(lambda: socket.create_connection(("127.0.0.1", 9))),
    try_(lambda: subprocess.Popen(["/bin/true"])),
    try_(lambda: bytearray(100 << 20)),
    try_(lambda: bytearray(32 << 20)),
]))
"""


@LINUX
def test_it_has_no_files_no_network_and_no_more_memory() -> None:
    out = subprocess.run([sys.executable, "-c", ATTEMPTS, json.dumps(sys.path)], capture_output=True, check=True)
    files, writing, socket, connection, program, memory, less = json.loads(out.stdout)
    assert {files, writing, socket, program} == {"EMFILE"}
    assert connection in ("EMFILE", "EAI_SYSTEM", "EBUSY", "ENOENT")
    assert (memory, less) == ("MemoryError", "done")
    assert not Path("/tmp/anyres-x").exists()


@LINUX
def test_what_the_process_was_given(fresh: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYRES_API_KEY", "secret")
    other = Decoder(memory=512 * MIB, seconds=30)
    other.start()
    home = Path(f"/proc/{other.pid}")
    names = {line.partition(b"=")[0] for line in (home / "environ").read_bytes().split(b"\0")}
    limits = (home / "limits").read_text()
    open_ = sorted(path.name for path in (home / "fd").iterdir())
    group, place = os.getpgid(other.pid or 0), (home / "cwd").readlink()
    other.close()
    assert b"ANYRES_API_KEY" not in names
    assert names <= {b"", b"PATH", b"LD_LIBRARY_PATH", b"MALLOC_ARENA_MAX", b"OMP_NUM_THREADS", b"OPENBLAS_NUM_THREADS"}
    assert open_ == ["0", "1", "2"]
    assert group == other.pid != os.getpgid(0)
    assert place == Path("/")
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert rows["Max open files"] == ["3", "3"]
    assert rows["Max file size"] == rows["Max core file size"] == ["0", "0"]
    assert 512 * MIB < int(rows["Max address space"][0]) < 1536 * MIB


def test_memory(fresh: Decoder) -> None:
    """An honest picture that does not fit."""
    tight = Decoder(memory=16 * MIB, seconds=30)
    bomb = flat_png(3000)
    with pytest.raises((UndecodableError, DecoderDiedError)) as caught:
        tight.picture(bomb, max_pixels=10**7)
    tight.close()
    assert isinstance(caught.value, UndecodableError)
    assert caught.value.problem == "memory"
    assert fresh.picture(bomb, max_pixels=10**7).shape == (3000, 3000, 3)


@LINUX
def test_processor_time() -> None:
    """The system ends it, should nobody else."""
    decoder = Decoder(memory=512 * MIB, seconds=1)
    decoder.start()
    resource = pytest.importorskip("resource")
    assert decoder.pid is not None
    decoder.size_of(PHOTO, max_pixels=10_000)
    soft, hard = resource.prlimit(decoder.pid, resource.RLIMIT_CPU)
    decoder.close()
    assert 4 <= soft <= 10 < (hard if hard != resource.RLIM_INFINITY else 2**40)


# How it ends


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash(how: signal.Signals, fresh: Decoder) -> None:
    assert fresh.pid is not None
    os.kill(fresh.pid, how)
    with pytest.raises(DecoderDiedError):
        fresh.picture(PHOTO, max_pixels=10_000)
    assert not fresh.clean


def test_killing_wakes_whoever_waits(fresh: Decoder) -> None:
    assert fresh.pid is not None
    os.kill(fresh.pid, signal.SIGSTOP)
    ended: list[type] = []

    def wait() -> None:
        try:
            fresh.picture(PHOTO, max_pixels=10_000)
        except DecoderDiedError as error:
            ended.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive()
    fresh.kill()
    thread.join(2)
    assert ended == [DecoderDiedError]
    fresh.close()
    assert not is_running(fresh.pid)


def test_what_was_killed_does_not_start(fresh: Decoder) -> None:
    never = Decoder(memory=512 * MIB, seconds=30)
    never.kill()
    for decoder in (never, fresh):
        decoder.kill()
        with pytest.raises(DecoderDiedError):
            decoder.picture(PHOTO, max_pixels=10_000)
    assert never.pid is None
    never.close()


def test_starting_twice_is_starting_once(fresh: Decoder) -> None:
    pid = fresh.pid
    fresh.start()
    assert fresh.pid == pid
    assert fresh.picture(PHOTO, max_pixels=10_000).shape == (60, 80, 3)


def test_it_ends_with_the_one_who_started_it() -> None:
    """However that one ends."""
    program = (
        "import os, signal, sys; from anyres.server.decoder import Decoder\n"
        "d = Decoder(memory=1 << 29, seconds=30); d.start(); print(d.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    pid = int(run.stdout)
    for _ in range(100):
        if not is_running(pid):
            break
        time.sleep(0.05)
    assert not is_running(pid)


def test_what_nobody_holds_is_ended() -> None:
    decoder = Decoder(memory=512 * MIB, seconds=30)
    decoder.start()
    pid = decoder.pid
    del decoder
    assert not is_running(pid)


# What is believed


class Liar(Decoder):
    """Hears what it is told to hear, instead of the process."""

    def __init__(self, *messages: tuple[dict[str, object], bytes]) -> None:
        super().__init__(memory=512 * MIB, seconds=30)
        self._said = io.BytesIO()
        for words, payload in messages:
            send(self._said, words, payload)
        self._said.seek(0)

    def start(self) -> None:
        if self._process is None:
            self._process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    @property
    def _pipe_out(self) -> io.BytesIO:
        return self._said

    def close(self) -> None:
        super().close()
        assert self._process is not None
        self._process.wait()
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                return


LIES: list[tuple[dict[str, object], bytes]] = [
    ({"height": 10, "width": 10}, b"x"),
    ({"height": 10, "width": 10}, bytes(301)),
    ({"height": 0, "width": 10}, b""),
    ({"height": -1, "width": -1}, bytes(3)),
    ({"height": 1e1, "width": 10}, bytes(300)),
    ({"height": True, "width": True}, bytes(3)),
    ({"height": "1", "width": 1}, bytes(3)),
    ({"height": 10**9, "width": 10**9}, b""),
    ({}, b""),
    ({"problem": "x"}, b"more"),
]


@pytest.mark.parametrize("lie", LIES)
def test_lies_about_pictures(lie: tuple[dict[str, object], bytes]) -> None:
    liar = Liar(lie)
    with pytest.raises(DecoderDiedError):
        liar.picture(PHOTO, max_pixels=10_000)
    assert not liar.clean
    liar.close()


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        ({"frames": 2, "fps": 1.0, "height": 1, "width": 1}, bytes(8)),
        ({"frames": 10**9, "fps": 1.0, "height": 1, "width": 1}, bytes(8)),
        ({"frames": 0, "fps": 1.0, "height": 1, "width": 1}, b""),
        ({"frames": 1, "fps": 0.0, "height": 1, "width": 1}, bytes(8)),
        ({"frames": 1, "fps": -1.0, "height": 1, "width": 1}, bytes(8)),
        ({"frames": 1, "fps": float("nan"), "height": 1, "width": 1}, bytes(8)),
        ({"frames": 1, "fps": float("inf"), "height": 1, "width": 1}, bytes(8)),
        ({"frames": 1, "fps": 1.0, "height": 1000, "width": 1000}, bytes(8)),
        ({"frames": 1, "fps": 1.0, "height": 1, "width": 1}, np.array([np.nan]).tobytes()),
    ],
)
def test_lies_about_clips(words: dict[str, object], payload: bytes) -> None:
    liar = Liar((words, payload))
    with pytest.raises(DecoderDiedError):
        liar.clip(CLIP, max_pixels=10_000)
    liar.close()


def test_words_of_the_process_are_plain_and_short() -> None:
    liar = Liar(({"problem": "sudo", "seen": "\x1b[31m" + "x" * 10_000, "allowed": ["a", "\n"]}, b""))
    with pytest.raises(UndecodableError) as caught:
        liar.picture(PHOTO, max_pixels=10_000)
    liar.close()
    assert caught.value.problem == "damaged"
    assert caught.value.seen.startswith("[31mxxx")
    assert len(caught.value.seen) < 310
    assert "\n" not in caught.value.allowed
