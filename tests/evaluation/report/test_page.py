"""The HTML report in real Chromium: no request, words of models as words, flips, keys, thousands of samples."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.evaluation.report.page import make_page
from anyres.evaluation.report.results import Answers, make_result
from anyres.evaluation.run.variant import variant_of
from anyres.evaluation.sample import Sample
from tests.evaluation.report.made_up import HOSTILE, LETTERS, answers, record, result, samples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (100, 50), "teal").save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Page:
    """An open report, what it asked for and what it complained about."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("requestfinished", lambda one: self.requests.append(one.url))
        self.page.on("requestfailed", lambda one: self.requests.append(f"{one.failure}: {one.url}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.goto(path.as_uri())

    def rows(self) -> list[str]:
        return [text.split()[0] for text in self.page.locator("#list .q").all_inner_texts()]

    def show(self, name: str, value: str) -> None:
        self.page.select_option(f"#{name}", value)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    found = result(answers("other", 5, variant="blind", image=picture()), image=picture())
    path.write_text(make_page([found], title="Run <1>", about="two models"), encoding="utf-8")
    return path


def test_the_file_holds_no_address_and_no_markup_of_others(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    data = re.search(r"<script[^>]*id=data>(.*?)</script>", text, re.DOTALL)
    assert data is not None
    held = json.loads(data[1])
    assert any(HOSTILE in one for one in held["texts"])
    assert "<" not in data[1]
    rest = text.replace(data[1], "")
    assert "onerror" not in rest
    assert "<title>Run &lt;1&gt;</title>" in rest
    assert len(re.findall(r"<script", rest)) == 2
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", rest)
    assert str(report.parent) not in text


@needs_browser
def test_it_asks_for_nothing_and_runs_nothing_of_a_model(browser: Any, report: Path) -> None:
    opened = Page(browser, report)
    page = opened.page
    assert page.title() == "Run <1>"
    for place in range(len(opened.rows())):
        page.locator("#list button").nth(place).click()
    page.fill("#search", "which")
    page.fill("#search", "")
    page.locator("#list button").nth(1).click()
    assert HOSTILE in page.locator("#detail pre").first.inner_text()
    assert f"A {HOSTILE}" in page.locator("#detail .answer pre").first.inner_text()
    assert page.locator("#detail script, #detail img[src=x]").count() == 0
    assert page.title() == "Run <1>"
    assert [one for one in opened.requests if not one.startswith(("file:", "data:"))] == []
    assert opened.complaints == []


@needs_browser
def test_its_policy_stops_a_script_that_got_in(browser: Any, report: Path, tmp_path: Path) -> None:
    """Even if a word of a model were markup, it could not run."""
    text = report.read_text(encoding="utf-8").replace("<main>", f"<main>{HOSTILE}<img src=http://127.0.0.1:9/x>")
    (tmp_path / "worse.html").write_text(text, encoding="utf-8")
    opened = Page(browser, tmp_path / "worse.html")
    assert opened.page.title() == "Run <1>"
    assert opened.page.locator("#list button").count() == 30
    assert any("Content Security Policy" in one for one in opened.complaints)
    assert {one for one in opened.requests if "127.0.0.1" in one} == {"csp: http://127.0.0.1:9/x"}, "stopped, not sent"


@needs_browser
def test_flips_and_other_filters(browser: Any, report: Path) -> None:
    opened = Page(browser, report)
    assert len(opened.rows()) == 30
    opened.show("show", "gained")
    gained = opened.rows()
    assert gained == [str(place) for place in range(12, 20)], "right by the first only"
    opened.show("show", "lost")
    assert opened.rows() == []
    assert opened.page.locator("#detail").inner_text() == "No sample matches."
    opened.page.select_option("#first", "1")
    opened.page.select_option("#second", "0")
    assert opened.rows() == gained
    opened.show("show", "failed")
    assert opened.rows() == ["3"]
    assert "failed: timed out <i>twice</i>" in opened.page.locator("#detail").inner_text()
    opened.show("show", "cut")
    assert opened.rows() == ["7"]
    opened.show("show", "nothing")
    assert opened.rows() == ["2", "3", "5", "7"]
    opened.show("scoring", "1")
    assert opened.rows() == ["2", "3", "5"], "in lower case, too"
    opened.show("show", "all")
    opened.show("category", "kind: red")
    assert opened.rows() == [str(place) for place in range(0, 30, 3)]
    opened.page.fill("#search", "number 12")
    assert opened.rows() == ["12"]
    assert opened.complaints == []


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of six questions: 0 to 3 are right with the picture, 2 to 4 without; in another order the letters change."""
    asked = samples(image=picture())[:6]
    plain = {one.id: record(one.id, "tiny", one.golds[0] if int(one.id) < 4 else "-") for one in asked}
    told = [Answers("tiny", "", asked, plain)]
    for control in ("blind", "shuffled"):
        changed = list(variant_of(control).samples(asked))
        right = {f"{number}#{control}" for number in (2, 3, 4)}
        records = {
            one.id: record(one.id, "tiny", one.golds[0] if one.id in right else "-", variant=control) for one in changed
        }
        told.append(Answers("tiny", control, changed, records))
    path = tmp_path_factory.mktemp("controlled") / "report.html"
    path.write_text(make_page([make_result(LETTERS, told, draws=10)], title="", about=""), encoding="utf-8")
    return path


def test_a_question_asked_blind_stands_beside_itself(controlled: Path) -> None:
    text = controlled.read_text(encoding="utf-8")
    (held,) = json.loads(re.search(r"<script[^>]*id=data>(.*?)</script>", text, re.DOTALL)[1])["benchmarks"]  # type: ignore[index]
    assert [one["name"] for one in held["entries"]] == ["tiny", "tiny (blind)", "tiny (shuffled)"]
    assert [one["id"] for one in held["samples"]] == list("012345")
    scores = [[answer["by"][0][2] for answer in one["answers"]] for one in held["samples"]]
    assert scores == [[1, 0, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 0]]
    facts = [answer["facts"] for answer in held["samples"][2]["answers"]]
    assert [one.startswith("in its order of options the gold is A; ") for one in facts] == [False, False, True]


@needs_browser
def test_blind_flips_are_filtered_both_ways(browser: Any, controlled: Path) -> None:
    opened = Page(browser, controlled)
    opened.page.select_option("#first", label="tiny")
    opened.page.select_option("#second", label="tiny (blind)")
    opened.show("show", "gained")
    assert opened.rows() == ["0", "1"], "right with the picture only"
    opened.show("show", "lost")
    assert opened.rows() == ["4"], "right without it only"
    assert opened.complaints == []


@needs_browser
def test_the_detail_shows_rule_prompt_gold_and_boxes(browser: Any, report: Path) -> None:
    opened = Page(browser, report)
    opened.page.locator("#list button").nth(8).click()
    detail = opened.page.locator("#detail")
    text = detail.inner_text()
    assert 'official: B by the rule "first letter", score 1' in text
    assert "gold: B; kind: blue" in text
    assert "A. one\nB. two" in text
    assert "64 of them visual" in text
    detail.locator("summary").first.click()
    assert "asked about 8" in detail.inner_text()
    boxes = detail.locator(".picture rect")
    assert boxes.count() == 4, "the gold one, and those of three entries"
    gold = {name: float(boxes.first.get_attribute(name)) for name in ("x", "y", "width", "height")}
    assert gold == pytest.approx({"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4})
    ours = {name: float(boxes.nth(1).get_attribute(name)) for name in ("x", "y", "width", "height")}
    assert ours == pytest.approx({"x": 0.1, "y": 0.2, "width": 0.4, "height": 0.4})
    shown = detail.locator(".picture img").evaluate("image => [image.naturalWidth, image.complete]")
    assert shown == [100, True]


@needs_browser
def test_keys_go_through_the_samples(browser: Any, report: Path) -> None:
    opened = Page(browser, report)
    page = opened.page

    def at() -> str:
        return str(page.locator("#detail h3").inner_text())

    page.keyboard.press("j")
    page.keyboard.press("j")
    assert at() == "2"
    page.keyboard.press("ArrowDown")
    assert at() == "3"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("k")
    assert at() == "1"
    page.keyboard.press("End")
    assert at() == "29"
    page.keyboard.press("/")
    page.keyboard.type("jk7")
    assert page.input_value("#search") == "jk7", "keys are letters where one writes"
    page.fill("#search", "number 7")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert at() == "7"
    again = Page(browser, report)
    again.page.goto(f"{report.as_uri()}#Letters/12")
    again.page.reload()
    assert again.page.locator("#detail h3").inner_text() == "12"


@needs_browser
def test_light_and_dark(browser: Any, report: Path) -> None:
    for scheme, other in (("dark", "light"), ("light", "dark")):
        opened = Page(browser, report, color_scheme=scheme)

        def brightness(page: Any = opened.page) -> int:
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(map(int, re.findall(r"\d+", colour)[:3]))

        assert (brightness() > 384) is (scheme == "light")
        opened.page.click("#theme")
        assert (brightness() > 384) is (other == "light")


@needs_browser
def test_no_rule_of_accessibility_is_broken(browser: Any, report: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme in ("light", "dark"):
        opened = Page(browser, report, color_scheme=scheme)
        opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        broken = axe.Axe().run(opened.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in broken] == []


@needs_browser
def test_thousands_of_samples(browser: Any, tmp_path: Path) -> None:
    many = [
        Sample(str(n), f"Question {n}", (), ("one", "two"), ("A",), categories={"kind": "red"}) for n in range(6000)
    ]
    told = [
        Answers(name, "", many, {one.id: record(one.id, name, "A" if int(one.id) % step else "B") for one in many})
        for name, step in (("first", 2), ("second", 3))
    ]
    path = tmp_path / "large.html"
    path.write_text(make_page([make_result(LETTERS, told, draws=10)], title="Large", about=""), encoding="utf-8")
    opened = Page(browser, path)
    assert len(opened.rows()) == 50
    opened.page.keyboard.press("j")
    opened.page.keyboard.press("End")
    assert opened.page.locator("#detail h3").inner_text() == "5999"
    opened.show("show", "lost")
    assert opened.page.locator("#count").inner_text() == "1 to 50 of 2,000 (6,000 in all)"
    opened.page.click("#on")
    assert opened.page.locator("#count").inner_text() == "51 to 100 of 2,000 (6,000 in all)"
    assert opened.page.locator("#list button[aria-current=true]").count() == 1
    assert opened.complaints == []


def test_pictures_that_do_not_fit_or_open_are_told(tmp_path: Path) -> None:
    page = make_page([result(image=b"no picture")], title="", about="")
    assert "looks like" in page
    page = make_page([result(image=picture())], title="", about="", max_picture_bytes=0)
    assert '"pictures":{}' in page
