"""Two answers side by side, other servers, and keys."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.server.page.conftest import Opened
from tests.server.page.fake import Fake, Script


def add_server(opened: Opened, name: str, address: str, key: str = "") -> None:
    page = opened.page
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Add a server").click()
    new = page.locator(".endpoint").last
    for label, text in (("Name", name), ("API key", key), ("Address", address)):
        new.get_by_label(label).fill(text)
        new.get_by_label(label).blur()


def close(opened: Opened) -> None:
    opened.page.get_by_role("button", name="Close", exact=True).click()


def test_two_models_answer_the_same_question(opened: Opened, shapes: Path) -> None:
    page = opened.page
    page.get_by_role("button", name="Two answers side by side").click()
    assert page.get_by_label("Model 2").input_value().endswith("tiny-too")
    opened.attach(shapes)
    opened.ask("What colour is the square?", wait=False)
    page.locator("[data-figure=written]").nth(1).wait_for()
    assert page.locator(".lane-name").all_inner_texts() == ["tiny", "tiny-too"]
    first, second = page.locator(".answer .markdown").all_inner_texts()
    assert first == second
    boxes = [page.locator(".answer").nth(at).bounding_box() for at in (0, 1)]
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 2
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_another_server_answers_beside_this_one_and_both_stream(opened: Opened, fake: Fake, shapes: Path) -> None:
    page = opened.page
    fake.scripts["Tell."] = Script(tuple(f"word{number} " for number in range(60)), 0.05)
    add_server(opened, "Other", fake.address, "key-of-other")
    page.get_by_text("1 model", exact=True).wait_for()
    close(opened)
    page.get_by_role("button", name="Two answers side by side").click()
    page.get_by_label("Model 2").select_option(label="scripted")
    opened.attach(shapes)
    fake.asked.clear()
    opened.ask("Tell.", wait=False)
    page.locator(".answer").nth(1).get_by_text("word3").wait_for()
    expect(page.locator(".answer").nth(1).locator("[data-figure]")).to_have_count(0)
    page.locator(".answer").nth(0).locator("[data-figure=written]").wait_for()
    page.locator(".answer").nth(1).locator("[data-figure=written]").wait_for()
    assert "word59" in page.locator(".answer").nth(1).inner_text()
    assert "4 from the cache" in page.locator(".answer").nth(1).inner_text()
    assert fake.keys[-1] == "Bearer key-of-other"
    [body] = fake.asked
    assert (body["model"], body["stream"]) == ("scripted", True)
    [picture, words] = body["messages"][0]["content"]
    assert set(picture) == {"type", "image_url"}  # no knobs that only this server knows
    assert words["text"] == "Tell."
    assert all(url.startswith(fake.address) for url in opened.elsewhere)
    assert "return_boxes" not in body


def test_each_model_is_told_its_own_words(opened: Opened, fake: Fake) -> None:
    page = opened.page
    add_server(opened, "Other", fake.address)
    page.get_by_text("1 model", exact=True).wait_for()
    close(opened)
    page.get_by_role("button", name="Two answers side by side").click()
    page.get_by_label("Model 2").select_option(label="scripted")
    opened.ask("One", wait=False)
    page.locator("[data-figure=written]").nth(1).wait_for()
    opened.ask("Two", wait=False)
    page.locator("[data-figure=written]").nth(3).wait_for()
    told = fake.asked[-1]["messages"]
    assert [one["content"] for one in told] == ["One", "Scripted: One", "Two"]


def test_one_lane_may_fail_alone(opened: Opened, fake: Fake) -> None:
    page = opened.page
    add_server(opened, "Other", fake.address)
    page.get_by_text("1 model", exact=True).wait_for()
    close(opened)
    page.get_by_role("button", name="Two answers side by side").click()
    page.get_by_label("Model 2").select_option(label="scripted")
    page.route(f"{fake.address}/**", lambda route: route.abort())
    opened.ask("Hello", wait=False)
    page.locator(".answer").nth(1).locator(".failure").wait_for()
    page.locator(".answer").nth(0).locator("[data-figure=written]").wait_for()
    opened.forgive("ERR_FAILED")


def test_a_server_that_is_not_named_is_out_of_reach(opened: Opened) -> None:
    add_server(opened, "Far", "http://127.0.0.1:9")
    opened.page.locator(".endpoint", has_text="--page-endpoints").wait_for()
    assert not any("127.0.0.1:9/" in url for url in opened.elsewhere)
    opened.forgive("Content Security Policy")
    opened.problems = [one for one in opened.problems if "Fetch API" not in one]


def test_a_removed_server_is_gone_from_the_lanes(opened: Opened, fake: Fake) -> None:
    page = opened.page
    add_server(opened, "Other", fake.address)
    page.get_by_text("1 model", exact=True).wait_for()
    close(opened)
    page.get_by_label("Model", exact=True).select_option(label="scripted")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Remove this server").click()
    close(opened)
    page.locator("select.model option", has_text="tiny").first.wait_for(state="attached")
    page.wait_for_timeout(300)
    assert page.get_by_label("Model", exact=True).input_value().endswith("tiny")


@pytest.mark.slow
def test_a_key_is_asked_for_and_sent(serve: Callable[..., str], open_page: Callable[..., Opened], scan: Path) -> None:
    opened = open_page(at=serve("--api-key", "a-secret-key"))
    page = opened.page
    page.get_by_text("This server wants an API key.").wait_for()
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_label("API key").fill("a-secret-key")
    page.get_by_label("API key").blur()
    page.get_by_text("1 model", exact=True).wait_for()
    close(opened)
    opened.attach(scan)
    opened.ask("Read the text.")
    assert page.locator(".markdown").inner_text().strip()
    opened.forgive("401")
