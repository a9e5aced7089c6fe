"""The real server with the embedded checkpoint, a scripted one beside it, and a real Chromium with a page of theirs."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import anyres
from anyres.engine.engine import LocalChatModel
from tests.server.page.fake import Fake

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-accept-this-tab-capture",
]
ROOT = Path(__file__).parents[3]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents and "browser" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine (apt-get install chromium)"))


@pytest.fixture(scope="session")
def fake() -> Iterator[Fake]:
    with Fake() as server:
        yield server


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """`serve(*flags)` starts `anyres serve` on a free port and gives its address."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> str:
        command = [sys.executable, "-m", "anyres.cli", "serve", "--port", "0", *flags]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr is not None
        told: list[str] = []
        for line in process.stderr:
            told.append(line)
            found = re.search(r"the page: (http://\S+/)\)", line)
            if found:
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return found[1]
        raise AssertionError("".join(told))

    yield start
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="session")
def address(serve: Callable[..., str], fake: Fake) -> str:
    """Of a server whose model has two names, and whose page may ask the scripted one."""
    return serve("--alias", "tiny-too", "--page-endpoints", fake.address)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class Opened:
    """A page and what went wrong on it. `problems` must be empty at the end of a test."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._console)
        page.context.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    @property
    def elsewhere(self) -> list[str]:
        """Requests that left the server the page is from."""
        own = (self.address, "blob:", "data:")
        return [url for url in self.requests if not url.startswith(own)]

    def forgive(self, words: str) -> None:
        """Takes away the problems with these words; there must be one."""
        kept = [problem for problem in self.problems if words not in problem]
        assert len(kept) < len(self.problems), self.problems
        self.problems = kept

    # Steps that many tests take.

    def ask(self, text: str, *, wait: bool = True) -> None:
        before = self.page.locator("[data-figure=time]").count()
        self.page.locator(".composer > textarea").fill(text)
        self.page.keyboard.press("Enter")
        if wait:
            self.page.locator("[data-figure=time]").nth(before).wait_for()

    def attach(self, *files: Path | dict[str, Any]) -> None:
        before = self.page.locator(".attached").count()
        self.page.set_input_files(".bar-tools input[type=file]", list(files))
        self.page.locator(".attached").nth(before + len(files) - 1).wait_for()

    def answer(self, at: int = -1) -> Any:
        return self.page.locator(".answer").nth(at)

    def script(self, *pieces: str, status: int = 200, error: dict[str, Any] | None = None) -> None:
        """Answers of the server itself are replaced by these words, in one go."""
        from tests.server.page.fake import events

        def fulfil(route: Any) -> None:
            if error is not None:
                route.fulfill(status=status, json={"error": error}, headers={"x-request-id": "req_1"})
            else:
                route.fulfill(status=200, content_type="text/event-stream", body=b"".join(events(pieces)))

        self.page.route("**/v1/chat/completions", fulfil)


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Opened]]:
    """`open_page(**context)` opens the page in a fresh profile; at the end nothing may have gone wrong on any."""
    opened: list[Opened] = []

    def start(*, at: str = address, **context: Any) -> Opened:
        options = {"viewport": {"width": 1280, "height": 860}, "locale": "en-GB"} | context
        made = browser.new_context(permissions=["clipboard-read", "clipboard-write", "camera"], **options)
        made.set_default_timeout(30_000)
        one = Opened(made.new_page(), at)
        opened.append(one)
        one.page.goto(at)
        one.page.locator(".composer").wait_for()
        return one

    yield start
    for one in opened:
        one.page.context.close()
    assert [problem for one in opened for problem in one.problems] == []


@pytest.fixture
def opened(open_page: Callable[..., Opened]) -> Opened:
    """The page in a fresh profile, with the model there."""
    one = open_page()
    one.page.locator("select.model option:not([disabled])", has_text="tiny").first.wait_for(state="attached")
    return one


@pytest.fixture(scope="session")
def model() -> Iterator[LocalChatModel]:
    """The library's own, to compare with."""
    with closing(anyres.load()) as loaded:
        yield loaded


@pytest.fixture
def shapes() -> Path:
    return ROOT / "anyres/server/static/examples/shapes.png"


@pytest.fixture
def scan() -> Path:
    return ROOT / "examples/scan_portuguese.png"
