"""Chat on the page against the real server: pictures in, words and boxes out, stopped, repeated, edited, kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect

from anyres.chat import ImagePart
from anyres.engine.engine import LocalChatModel
from anyres.grounding import Box, parse_grounding
from anyres.processing.image import image_to_visual
from tests.server.page.conftest import Opened
from tests.server.page.fake import Fake, Script
from tests.server.page.test_beside import add_server, close

ENDLESS = '{"type": "array", "items": {"type": "integer"}, "minItems": 900}'  # keeps the model writing


def test_an_example_is_one_click(opened: Opened, scan: Path, model: LocalChatModel) -> None:
    opened.page.get_by_role("button", name="Read a line").click()
    opened.page.locator("[data-figure=time]").wait_for()
    assert opened.page.locator(".markdown").inner_text() == str(model.ask(scan, "Read the text."))
    assert opened.elsewhere == []


def test_a_picture_is_sent_as_it_is_and_answered(opened: Opened, scan: Path) -> None:
    opened.attach(scan)
    assert "tokens" in opened.page.locator(".attached").inner_text()
    with opened.page.expect_request("**/v1/chat/completions") as sent:
        opened.ask("Read the text.")
    [question] = sent.value.post_data_json["messages"]
    picture, words = question["content"]
    assert words == {"type": "text", "text": "Read the text."}
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    assert len(picture["image_url"]["url"]) > scan.stat().st_size
    assert len(opened.page.locator(".markdown").inner_text()) > 10


def tokens_of(picture: Path, model: LocalChatModel) -> int:
    """Visual tokens of a picture."""
    t, height, width = image_to_visual(ImagePart(picture), config=model.processor.image_config).grid_thw
    return t * height * width // 4


def test_figures_are_those_of_the_response(opened: Opened, shapes: Path, model: LocalChatModel) -> None:
    opened.attach(shapes)
    opened.ask("How many circles are there?")
    figures = {one: opened.page.locator(f"[data-figure={one}]").inner_text() for one in ("read", "written", "speed")}
    assert re.fullmatch(r"\d+ tokens read\s*·?", figures["read"])
    assert re.fullmatch(r"\d+ written\s*·?", figures["written"])
    assert re.fullmatch(r"[\d.,]+ tokens/s", figures["speed"])
    assert f"pictures {tokens_of(shapes, model)}" in str(
        opened.page.locator("[data-figure=read]").get_attribute("title")
    )
    opened.page.get_by_role("button", name="Answer again").click()
    opened.page.locator("[data-figure=cached]").wait_for()
    assert int(opened.page.locator("[data-figure=cached]").inner_text().split()[0]) > 0


def test_cost_is_told_before_sending_and_follows_the_slider(
    opened: Opened, shapes: Path, model: LocalChatModel
) -> None:
    opened.attach(shapes)
    cost = opened.page.locator(".cost")
    most = f"{model.model.config.text.max_position_embeddings:,}"
    opened.page.get_by_text(re.compile(rf"^This question: \d+ of {most} tokens$")).wait_for()
    dear = int(re.findall(r"\d+", cost.inner_text())[0])
    tokens = tokens_of(shapes, model)
    assert f"{tokens} tokens" in opened.page.locator(".attached").inner_text()
    slider = opened.page.get_by_role("slider", name="Detail")
    slider.focus()
    opened.page.keyboard.press("Home")
    assert "16 tokens" in opened.page.locator(".attached").inner_text()
    cheap = dear - tokens + 16
    opened.page.get_by_text(re.compile(rf"^This question: {cheap} of {most} tokens$")).wait_for()
    opened.ask("How many circles are there?")
    assert f"{cheap + 8}" not in cost.all_inner_texts()
    assert "pictures 16" in str(opened.page.locator("[data-figure=read]").get_attribute("title"))


def test_words_come_as_they_are_made_and_can_be_stopped(opened: Opened, scan: Path) -> None:
    page = opened.page
    page.get_by_role("button", name="Answer as JSON").click()
    page.locator(".schema textarea").fill(ENDLESS)
    opened.attach(scan)
    opened.ask("Count.", wait=False)
    shown = page.locator(".answer .plain")
    shown.wait_for()
    first = shown.inner_text()
    page.wait_for_timeout(400)
    assert len(shown.inner_text()) > len(first) > 0
    page.locator(".send.stop").click()
    page.get_by_text("Stopped").wait_for()
    stopped = page.locator(".answer .plain").inner_text()
    page.wait_for_timeout(500)
    assert page.locator(".answer .plain").inner_text() == stopped
    expect(page.locator(".verdict")).to_have_count(0)  # what was stopped breaks no schema
    expect(page.locator(".send.stop")).to_have_count(0)


def test_escape_stops(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Answer as JSON").click()
    page.locator(".schema textarea").fill(ENDLESS)
    opened.ask("Count.", wait=False)
    page.locator(".answer .plain").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Stopped").wait_for()


def test_answering_again_and_editing_keep_the_versions_before(opened: Opened, shapes: Path) -> None:
    page = opened.page
    opened.attach(shapes)
    opened.ask("How many circles are there?")
    page.get_by_role("button", name="Answer again").click()
    page.locator(".answers .siblings", has_text="2 / 2").wait_for()
    page.locator(".question").hover()
    page.get_by_role("button", name="Edit the question").click()
    assert page.locator(".composer > textarea").input_value() == "How many circles are there?"
    expect(page.locator(".attached")).to_have_count(1)
    page.locator("[data-figure=time]").wait_for()
    page.locator(".composer > textarea").fill("What colour is the square?")
    page.keyboard.press("Enter")
    page.locator(".question .siblings", has_text="2 / 2").wait_for()
    page.locator("[data-figure=time]").wait_for()
    assert page.locator(".bubble").inner_text() == "What colour is the square?"
    page.locator(".question").hover()
    page.locator(".question").get_by_role("button", name="Version before").click()
    assert page.locator(".bubble").inner_text() == "How many circles are there?"
    page.locator(".answers .siblings", has_text="2 / 2").wait_for()


def test_a_branch_is_a_chat_of_its_own(opened: Opened) -> None:
    page = opened.page
    opened.script("One.")
    opened.ask("First")
    opened.ask("Second")
    page.get_by_role("button", name="Go on from here in a new chat").first.click()
    assert page.locator(".bubble").all_inner_texts() == ["First"]
    opened.ask("Other")
    assert page.locator(".bubble").all_inner_texts() == ["First", "Other"]
    page.locator(".chat-title").nth(1).click()
    assert page.locator(".bubble").all_inner_texts() == ["First", "Second"]


def test_boxes_lie_where_the_model_says(opened: Opened, shapes: Path, model: LocalChatModel) -> None:
    page = opened.page
    opened.attach(shapes)
    opened.ask("Find the red circle.")
    mark, picture = page.locator(".mark"), page.locator(".grounded img")
    frame, seen = picture.bounding_box(), mark.bounding_box()
    with Image.open(shapes) as opened_picture:
        width, height = opened_picture.size
    [box] = parse_grounding(str(model.ask(shapes, "Find the red circle."))).boxes
    expected = box.to_pixels(width=width, height=height)
    scale = width / frame["width"]
    left, top = (seen["x"] - frame["x"]) * scale, (seen["y"] - frame["y"]) * scale
    drawn = Box(left, top, left + seen["width"] * scale, top + seen["height"] * scale)
    assert drawn.iou(expected) > 0.97
    assert page.locator(".chip").inner_text() == "red circle"


def test_text_and_box_light_up_together(opened: Opened, shapes: Path) -> None:
    page = opened.page
    boxes = ((100, 100, 300, 300, "one"), (500, 500, 900, 900, "two"))
    texts = [Box(*one, "thousandths").text for one in boxes]
    opened.script("Here is ", texts[0], " and ", texts[1], ".")
    opened.attach(shapes)
    opened.ask("Where?")
    assert page.locator(".markdown").inner_text() == "Here is one and two."
    page.locator(".chip", has_text="two").hover()
    page.locator(".mark.active", has_text="two").wait_for()
    expect(page.locator(".mark.active")).to_have_count(1)
    page.locator(".mark", has_text="one").hover()
    page.locator(".chip.active", has_text="one").wait_for()
    expect(page.locator(".chip.active")).to_have_count(1)
    page.locator(".chip", has_text="two").click()
    assert page.evaluate("document.activeElement.textContent.trim()") == "two"


def test_boxes_go_to_the_picture_that_is_chosen(opened: Opened, shapes: Path, scan: Path) -> None:
    page = opened.page
    opened.script("<|box_start|>(100,100),(300,300)<|box_end|>")
    opened.attach(shapes, scan)
    opened.ask("Where?")
    assert page.locator(".grounded [aria-pressed=true]").inner_text() == "Picture 2"
    assert "scan" in str(page.locator(".grounded img").get_attribute("alt"))
    page.locator(".grounded").get_by_text("Picture 1").click()
    assert "shapes" in str(page.locator(".grounded img").get_attribute("alt"))


def test_a_structured_answer_is_checked_and_folds(opened: Opened, shapes: Path) -> None:
    page = opened.page
    fields = {"colour": {"enum": ["red", "blue"]}, "there": {"type": "boolean"}}
    schema: dict[str, Any] = {"type": "object", "properties": fields}
    page.get_by_role("button", name="Answer as JSON").click()
    schema |= {"required": ["colour", "there"], "additionalProperties": False}
    page.locator(".schema textarea").fill(json.dumps(schema))
    opened.attach(shapes)
    opened.ask("What colour is the square?")
    page.get_by_text("Fits the schema").wait_for()
    expect(page.locator(".tree .value")).to_have_count(2)
    page.locator(".tree summary").click()
    assert not page.locator(".tree .value").first.is_visible()
    page.get_by_role("button", name="Copy JSON").click()
    assert set(json.loads(page.evaluate("navigator.clipboard.readText()"))) == {"colour", "there"}


def test_an_answer_that_breaks_its_schema_is_called_so(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Answer as JSON").click()
    page.locator(".schema textarea").fill("name, total: number")
    opened.script('{"name": 3}')
    opened.ask("Read it.")
    assert "Does not fit the schema: 2 problems" in page.locator(".verdict").inner_text()
    assert "/name is not string" in page.locator(".verdict").inner_text().replace("\n", " ")


def test_a_schema_that_is_none_keeps_the_question_here(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Answer as JSON").click()
    page.locator(".schema textarea").fill("{")
    page.locator(".composer > textarea").fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_text("Neither a JSON schema").wait_for()
    expect(page.locator(".bubble")).to_have_count(0)


def test_tables_are_copied_as_csv_and_markdown(opened: Opened) -> None:
    page = opened.page
    opened.script("| item | price |\n|---|--:|\n| tea, green | 3.50 |\n| cup | 4 |\n")
    opened.ask("Read the bill.")
    page.get_by_role("button", name="Copy as CSV").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == 'item,price\r\n"tea, green",3.50\r\ncup,4\r\n'
    page.get_by_role("button", name="Copy as Markdown").click()
    page.wait_for_timeout(200)
    assert page.evaluate("navigator.clipboard.readText()").splitlines()[2] == "| tea, green | 3.50 |"


def test_sampling_settings_are_sent(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Temperature").fill("0.7")
    page.get_by_label("Longest answer, tokens").fill("12")
    page.get_by_label("Seed").fill("5")
    page.get_by_label("Stop at these words").fill("END\nSTOP")
    page.get_by_label("Instructions for every chat").fill("Be brief.")
    page.keyboard.press("Escape")
    with page.expect_request("**/v1/chat/completions") as sent:
        opened.ask("Hello")
    body = sent.value.post_data_json
    assert {key: body[key] for key in ("temperature", "max_completion_tokens", "seed", "stop")} == {
        "temperature": 0.7, "max_completion_tokens": 12, "seed": 5, "stop": ["END", "STOP"],
    }  # fmt: skip
    assert "top_p" not in body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_chats_are_there_after_a_reload(opened: Opened, shapes: Path) -> None:
    page = opened.page
    opened.attach(shapes)
    opened.ask("Find the red circle.")
    text = page.locator(".markdown").inner_text()
    page.reload()
    page.locator(".mark").wait_for()
    assert page.locator(".markdown").inner_text() == text
    assert (
        page.locator(".shown-picture img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 560
    )
    page.get_by_role("button", name="New chat").first.click()
    page.locator(".welcome").wait_for()
    page.locator(".chat-title", has_text="Find the red circle.").click()
    page.locator(".mark").wait_for()


def test_a_reload_keeps_an_answer_as_far_as_it_had_come(opened: Opened, fake: Fake) -> None:
    """What has come is kept every two seconds; this answer takes ten."""
    page = opened.page
    fake.scripts["Count."] = Script(tuple(f"{number} " for number in range(100)), 0.1)
    add_server(opened, "Other", fake.address)
    page.get_by_text("1 model", exact=True).wait_for()
    close(opened)
    page.get_by_label("Model", exact=True).select_option(label="scripted")
    opened.ask("Count.", wait=False)
    page.get_by_text("0 1 2").wait_for()
    page.wait_for_timeout(2600)
    page.reload()
    page.get_by_text("Stopped").wait_for()
    assert page.locator(".bubble").inner_text() == "Count."
    assert page.locator(".answer").inner_text().strip().startswith("0 1 2 3 4 5")


def test_chats_go_out_to_a_file_and_come_back_elsewhere(
    opened: Opened, open_page: Callable[..., Opened], shapes: Path, tmp_path: Path
) -> None:
    opened.script("<|object_ref_start|>dot<|object_ref_end|><|box_start|>(1,2),(300,400)<|box_end|>")
    opened.attach(shapes)
    opened.ask("Where is the dot?")
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Export").click()
    path = tmp_path / "chats.json"
    download.value.save_as(path)
    other = open_page()
    other.page.set_input_files(".sidebar-foot input[type=file]", path)
    other.page.get_by_text("1 chat imported").wait_for()
    other.page.locator(".chat-title", has_text="Where is the dot?").click()
    other.page.locator(".mark", has_text="dot").wait_for()
    assert (
        other.page.locator(".shown-picture img").evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 560
    )
    path.write_text('{"format": "other"}')
    other.page.set_input_files(".sidebar-foot input[type=file]", path)
    other.page.get_by_text("holds no exported chats").wait_for()


def test_chats_are_found_renamed_and_deleted(opened: Opened) -> None:
    page = opened.page
    opened.script("A word about zebras.")
    opened.ask("First question")
    page.get_by_role("button", name="New chat").first.click()
    opened.ask("Second question")
    page.get_by_role("searchbox", name="Search").fill("first zebras")
    assert page.locator(".chat-title").all_inner_texts() == ["First question"]
    page.locator(".chat-list li").first.hover()
    page.get_by_role("button", name="Rename First question").click()
    page.get_by_label("Name of the chat").fill("Animals")
    page.keyboard.press("Enter")
    page.get_by_role("searchbox", name="Search").fill("")
    page.locator(".chat-list li", has_text="Animals").hover()
    page.get_by_role("button", name="Delete Animals").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    assert page.locator(".chat-title").all_inner_texts() == ["Second question"]
    page.reload()
    page.locator(".bubble").wait_for()
    assert page.locator(".chat-title").all_inner_texts() == ["Second question"]


def test_an_answer_without_a_word_is_told(opened: Opened) -> None:
    opened.script()
    opened.ask("Hello")
    assert "without a word" in opened.answer().inner_text()


def test_errors_are_told_in_the_server_s_words(opened: Opened) -> None:
    page = opened.page
    said = {"message": "pictures: 9; allowed: at most 8", "type": "invalid_request_error"}
    opened.script(status=400, error={**said, "param": "messages", "code": "too_many_images"})
    opened.ask("Hello")
    failure = page.locator(".failure").inner_text()
    assert "pictures: 9; allowed: at most 8" in failure
    assert "HTTP 400 · too_many_images · messages · req_1" in failure
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    page.locator("[data-figure=written]").wait_for()
    opened.forgive("400")


def test_a_server_that_is_gone_is_told(opened: Opened) -> None:
    opened.page.route("**/v1/chat/completions", lambda route: route.abort())
    opened.ask("Hello")
    assert "cannot be reached" in opened.page.locator(".failure").inner_text()
    opened.forgive("ERR_FAILED")


def test_nothing_moves_while_words_come(opened: Opened, shapes: Path) -> None:
    page = opened.page
    page.evaluate("""() => { window.shifted = 0; new PerformanceObserver((list) => {
      for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifted += one.value;
    }).observe({ type: "layout-shift", buffered: true }); }""")
    opened.attach(shapes)
    page.wait_for_timeout(800)
    page.evaluate("window.shifted = 0")
    opened.ask("What colour is the square?")
    page.wait_for_timeout(300)
    assert page.evaluate("window.shifted") < 0.05
