"""`anyres chat` as people use it: the command on a pseudo-terminal, its screen read by a terminal emulator."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.fake_server import SSE, FakeServer, Reply, chunk, listed, serving, streamed

pexpect = pytest.importorskip("pexpect")
pyte = pytest.importorskip("pyte")

COLUMNS, ROWS = 90, 40
PATIENCE_S = 40.0  # on a busy machine the command takes seconds to start
ENTER, ALT_ENTER, CTRL_C, CTRL_D, CTRL_J, UP, TAB = "\r", "\x1b\r", "\x03", "\x04", "\n", "\x1b[A", "\t"


def _take_ctrl_c() -> None:
    """A shell has its background jobs ignore it, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminal:
    """The command, what its screen shows, and every byte that it wrote."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        command = ["-m", "anyres.cli", "chat", *arguments]
        self.child = pexpect.spawn(
            sys.executable,
            command,
            env=environ,
            dimensions=(ROWS, COLUMNS),
            timeout=PATIENCE_S,
            preexec_fn=_take_ctrl_c,
        )

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def read(self) -> None:
        """What has come since; answers the terminal's own questions as a terminal does."""
        try:
            data = self.child.read_nonblocking(65536, timeout=0.05)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.written += data
        self._stream.feed(data)
        if b"\x1b[6n" in data:
            self.child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self.text
            self.read()

    def until_shown(self, words: str) -> None:
        self.until(lambda: words in self.text)

    def until_prompt(self) -> None:
        """It waits for the next line."""
        self.until(lambda: bool(self.screen.display[self.screen.cursor.y].rstrip().endswith(">")))

    def end(self) -> int:
        self.type(CTRL_D)
        self.until(lambda: not self.child.isalive())
        self.child.close()
        return int(self.child.exitstatus)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        fake.models = listed("some-model")
        fake.replies = [streamed("Hi", " there.")]
        yield fake


@pytest.fixture
def start(server: FakeServer, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def begin(*arguments: str, **environ: str) -> Terminal:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        own = {"TERM": "xterm-256color", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "ANYRES_CACHE": "off"}
        terminal = Terminal(["--base-url", server.base_url, *arguments], kept | own | environ)
        started.append(terminal)
        terminal.until_shown("/help shows the commands")
        terminal.until_prompt()
        return terminal

    yield begin
    for terminal in started:
        terminal.child.close(force=True)


def test_a_conversation(start: Callable[..., Terminal], server: FakeServer, tmp_path: Path) -> None:
    terminal = start()
    terminal.type("Hello?" + ENTER)
    terminal.until_shown("Hi there.")
    terminal.until_prompt()
    terminal.type("One" + ALT_ENTER + "two" + CTRL_J + "three" + ENTER)
    terminal.until(lambda: len(server.chats) == 2)
    terminal.until_prompt()
    assert server.body["messages"][-1] == {"role": "user", "content": "One\ntwo\nthree"}
    terminal.type("/und" + TAB + ENTER)
    terminal.until_shown("forgot the last question")
    terminal.type(5 * UP + ENTER)  # /undo, three lines, and the first question
    terminal.until(lambda: len(server.chats) == 3)
    assert server.body["messages"][-1] == {"role": "user", "content": "Hello?"}
    terminal.until_prompt()
    assert terminal.end() == 0
    history = tmp_path / ".local" / "state" / "anyres" / "chat_history"
    assert history.stat().st_mode & 0o077 == 0
    assert "+Hello?" in history.read_text()
    again = start()  # the history is there for the next chat
    again.type(UP)
    again.until_shown("> Hello?")
    again.type(CTRL_C)
    again.until_shown("Ctrl-D or /exit")
    assert again.end() == 0


def test_keys_typed_while_an_answer_comes_wait_for_the_prompt(
    start: Callable[..., Terminal], server: FakeServer
) -> None:
    hold = threading.Event()
    pieces = [chunk({"content": "Once upon"}), chunk({"content": " a time"}), b"data: [DONE]\n\n"]
    server.replies = [Reply(pieces, content_type=SSE, hold=hold), streamed("Hi there.")]
    terminal = start()
    terminal.type("Tell me." + ENTER)
    terminal.until_shown("Once upon a time")
    terminal.type("/system Be brief." + ENTER + "And?" + ENTER)
    time.sleep(0.3)
    terminal.read()
    assert "brief" not in terminal.text
    hold.set()
    terminal.until_shown("Hi there.")
    assert [turn["content"] for turn in server.body["messages"]] == [
        "Be brief.", "Tell me.", "Once upon a time", "And?",
    ]  # fmt: skip
    terminal.until_prompt()
    assert terminal.end() == 0


def test_ctrl_c_stops_the_answer_and_not_the_chat(start: Callable[..., Terminal], server: FakeServer) -> None:
    hold = threading.Event()
    pieces = [chunk({"content": "Once upon"}), chunk({"content": " a time"}), b"data: [DONE]\n\n"]
    server.replies = [Reply(pieces, content_type=SSE, hold=hold), streamed("Hi there.")]
    terminal = start()
    terminal.type("Tell me." + ENTER)
    terminal.until_shown("Once upon a time")
    terminal.type(CTRL_C)
    terminal.until_shown("stopped")
    terminal.until_prompt()
    assert server.gone.wait(PATIENCE_S)  # the server was told
    terminal.type("half a line" + CTRL_C)
    terminal.until_shown("Ctrl-D or /exit ends the chat")
    terminal.type("And?" + ENTER)
    terminal.until_shown("Hi there.")
    assert [turn["content"] for turn in server.body["messages"]] == ["Tell me.", "Once upon a time", "And?"]
    terminal.until_prompt()
    assert terminal.end() == 0


def test_markdown_is_drawn_when_the_answer_is_complete(start: Callable[..., Terminal], server: FakeServer) -> None:
    server.replies = [streamed("**Totals**\n\n| item |", " total |\n|---|---|\n| tea | 3.50 |")]
    terminal = start()
    terminal.type("Read it." + ENTER)
    terminal.until_shown("tea")
    terminal.until_prompt()
    assert "|---|" not in terminal.text
    assert "**" not in terminal.text
    assert terminal.text.count("Totals") == 1
    assert "> Read it." in terminal.lines
    assert terminal.end() == 0


HOSTILE = ("\x1b]0;owned\x07", "\x1b[2J\x1b[H", "a\rb", "\x9b31m", "\u202e", "\x1b]52;c;aGk=\x07", "**x**")


def test_hostile_answers_change_nothing_on_the_screen(start: Callable[..., Terminal], server: FakeServer) -> None:
    server.replies = [streamed(*HOSTILE)]
    terminal = start()
    terminal.type("What?" + ENTER)
    terminal.until_shown("a\\rb")
    terminal.until_prompt()
    assert "> What?" in terminal.text
    assert "\\x1b[2J" in terminal.text
    assert terminal.screen.title == ""
    for obeyed in (b"\x1b]0;owned", b"\x1b[2J\x1b[H\x1b", b"\x1b]52", "\x9b".encode(), "\u202e".encode()):
        assert obeyed not in terminal.written
    assert terminal.end() == 0


def test_a_dropped_picture_is_shown_and_sent(start: Callable[..., Terminal], server: FakeServer, photo: Path) -> None:
    terminal = start("--preview", "blocks")
    terminal.type(f"'{photo}' What is it?" + ENTER)
    terminal.until_shown("Hi there.")
    terminal.until_prompt()
    assert "attached: photo.png (90x60)" in terminal.text
    assert "▀" * 48 in terminal.text
    assert [part["type"] for part in server.body["messages"][0]["content"]] == ["image_url", "text"]
    assert str(photo) not in str(server.body)
    terminal.type("\x1b[200~two\npasted lines\x1b[201~" + ENTER)
    terminal.until(lambda: len(server.chats) == 2)
    assert server.body["messages"][-1]["content"] == "two\npasted lines"
    terminal.until_prompt()
    assert terminal.end() == 0


def test_an_error_and_then_on(start: Callable[..., Terminal], server: FakeServer) -> None:
    server.replies = [Reply([b'{"error": {"message": "no \\u001b[2J"}}'], 400), streamed("Hi there.")]
    terminal = start(ANYRES_HISTORY="off")
    terminal.type("One?" + ENTER)
    terminal.until_shown("HTTP 400: no \\x1b[2J")
    terminal.until_prompt()
    terminal.type("/exit" + ENTER)
    terminal.until(lambda: not terminal.child.isalive())
    terminal.child.close()
    assert terminal.child.exitstatus == 0
