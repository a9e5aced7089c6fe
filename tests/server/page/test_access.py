"""For everyone: without a mouse, on a phone, in the dark, in Chinese, with a screen reader."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.server.page.conftest import Opened

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
LOOKS = [
    pytest.param({}, id="desktop light"),
    pytest.param({"color_scheme": "dark"}, id="desktop dark", marks=pytest.mark.slow),
    pytest.param(PHONE, id="phone light", marks=pytest.mark.slow),
    pytest.param({**PHONE, "color_scheme": "dark"}, id="phone dark"),
]
ANSWER = (
    "# Bill\n\n"
    "The <|object_ref_start|>circle<|object_ref_end|><|box_start|>(50,190),(300,430)<|box_end|> and `code`.\n\n"
    "| item | price |\n|---|--:|\n| tea | 3.50 |\n\n```\nx = 1\n```\n\n> quoted\n\n- [x] done\n1. one\n"
)


def findings(opened: Opened) -> list[str]:
    """What axe-core calls serious or critical; its rules for WCAG 2.2 AA and good practice."""
    page = opened.page
    page.evaluate(AXE + "; undefined")
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['impact']} {one['id']}: {[node['html'][:160] for node in one['nodes']]}"
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious(open_page: Callable[..., Opened], shapes: Path, look: dict[str, Any]) -> None:
    opened = open_page(**look, reduced_motion="reduce")
    page = opened.page
    page.locator("select.model option", has_text="tiny").first.wait_for(state="attached")
    page.wait_for_timeout(300)
    assert findings(opened) == []
    opened.script(ANSWER)
    page.get_by_role("button", name="Answer as JSON").click()
    opened.attach(shapes)
    assert findings(opened) == []
    page.get_by_role("button", name="Answer as JSON").click()
    opened.ask("What does it say?")
    page.mouse.move(1, 1)
    page.wait_for_timeout(300)
    assert findings(opened) == []
    page.get_by_role("button", name="Two answers side by side").click()
    opened.ask("And now?", wait=False)
    page.locator("[data-figure=written]").nth(2).wait_for()
    assert findings(opened) == []
    page.get_by_role("button", name="Settings").click()
    assert findings(opened) == []
    page.keyboard.press("Escape")
    page.locator(".shown-picture").first.click()
    assert findings(opened) == []


def test_everything_is_reached_by_keyboard(opened: Opened, shapes: Path) -> None:
    page = opened.page
    opened.script("<|object_ref_start|>dot<|object_ref_end|><|box_start|>(1,200),(300,400)<|box_end|>", " here")
    assert page.evaluate("document.activeElement.placeholder").startswith("Ask about")
    with page.expect_file_chooser() as chooser:
        focus(opened, "Add pictures, clips or PDFs")
        page.keyboard.press("Enter")
    chooser.value.set_files(shapes)
    page.locator(".attached").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("Where is the dot?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Please.")
    page.keyboard.press("Enter")
    page.locator("[data-figure=written]").wait_for()
    assert page.locator(".bubble").inner_text() == "Where is the dot?\nPlease."
    focus(opened, "dot")
    page.locator(".mark.active").wait_for()
    focus(opened, "Answer again", back=False)
    page.keyboard.press("Enter")
    page.get_by_text("2 / 2").wait_for()
    focus(opened, "Version before")
    page.keyboard.press("Enter")
    page.get_by_text("1 / 2").wait_for()
    focus(opened, "Settings", back=True)
    page.keyboard.press("Enter")
    page.locator("dialog").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Settings"
    page.keyboard.press("Alt+N")
    page.locator(".welcome").wait_for()
    page.keyboard.press("Alt+H")
    page.locator(".sidebar:not(.open)").wait_for(state="attached")


def focus(opened: Opened, name: str, *, back: bool = False) -> None:
    """Tabs until the element of this name has the focus."""
    page, seen = opened.page, []
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        now = page.evaluate(
            "(({ textContent, ariaLabel }) => (ariaLabel || textContent).trim())(document.activeElement)"
        )
        if now == name or now.startswith(f"{name}:"):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{name}: no ring around what has the focus"
            return
        seen.append(now)
    raise AssertionError(f"{name} is not among {seen}")


def test_the_list_of_keys_opens_with_a_question_mark(opened: Opened) -> None:
    page = opened.page
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    assert "stop the answer" in page.locator("dialog").inner_text()


def test_a_screen_reader_hears_the_whole_answer_once(opened: Opened) -> None:
    opened.script("A ", "short ", "answer.")
    opened.ask("Hello")
    assert opened.page.locator("[aria-live=polite]").inner_text() == "Answer: A short answer."
    assert opened.page.locator(".conversation").get_attribute("aria-live") == "off"


@pytest.mark.parametrize("width", [320, pytest.param(414, marks=pytest.mark.slow)])
def test_a_phone_needs_no_sideways_scrolling(open_page: Callable[..., Opened], shapes: Path, width: int) -> None:
    opened = open_page(**{**PHONE, "viewport": {"width": width, "height": 700}})
    page = opened.page
    page.locator("select.model option", has_text="tiny").first.wait_for(state="attached")
    assert not page.locator(".sidebar").is_visible()
    opened.script(ANSWER + "\n" + "long" * 60)
    opened.attach(shapes)
    assert_fits(opened)
    opened.ask("What does it say?")
    assert_fits(opened)
    page.get_by_role("button", name="Chats", exact=True).tap()
    page.locator(".chat-title").wait_for()
    page.wait_for_timeout(250)
    assert_fits(opened)
    page.get_by_role("button", name="Close the list of chats").tap()
    page.wait_for_timeout(250)
    page.get_by_role("button", name="Settings").tap()
    assert_fits(opened)


def assert_fits(opened: Opened) -> None:
    page = opened.page
    wide = page.evaluate("""() => [...document.querySelectorAll(".scroller, dialog, .composer, .topbar, .sidebar")]
      .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
      .map((one) => [one.className, one.scrollWidth, one.clientWidth])""")
    assert wide == []
    small = page.evaluate("""() => [...document.querySelectorAll(".topbar button, .bar button, .topbar select")]
      .filter((one) => one.checkVisibility()).map((one) => [one.ariaLabel, one.getBoundingClientRect().toJSON()])
      .filter(([, box]) => box.height < 36 || box.width < 32 || box.right > innerWidth || box.left < 0)""")
    assert small == []


def test_the_page_speaks_chinese(open_page: Callable[..., Opened]) -> None:
    opened = open_page(locale="zh-CN")
    page = opened.page
    assert page.evaluate("document.documentElement.lang") == "zh"
    page.get_by_role("heading", name="想看看什么？").wait_for()
    page.get_by_role("button", name="设置").click()
    page.get_by_label("语言").select_option("en")
    page.get_by_role("heading", name="Settings").wait_for()
    page.reload()
    page.get_by_role("heading", name="What would you like to see?").wait_for()


def test_colours_follow_the_system_until_they_are_chosen(open_page: Callable[..., Opened]) -> None:
    opened = open_page(color_scheme="dark")
    page = opened.page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(100)
    light = page.evaluate(ground)
    assert dark != light
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Colours").select_option("dark")
    assert page.evaluate(ground) == dark
    page.reload()
    page.locator(".composer").wait_for()
    assert page.evaluate(ground) == dark


def test_the_page_works_without_any_other_host(opened: Opened, scan: Path) -> None:
    opened.page.context.route(lambda url: not url.startswith(opened.address), lambda route: route.abort())
    opened.page.reload()
    opened.page.locator("select.model option", has_text="tiny").first.wait_for(state="attached")
    opened.attach(scan)
    opened.ask("Read the text.")
    assert opened.page.locator(".markdown").inner_text().strip()
    assert opened.elsewhere == []
