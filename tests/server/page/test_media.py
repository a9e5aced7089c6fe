"""Ways into a question: files, paste, drop, camera, screen, documents, clips, and the camera live."""

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from anyres.chat import ImagePart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.processing.image import image_to_visual
from anyres.processing.video import video_to_visual
from tests.server.page.conftest import ROOT, Opened

CLIP = ROOT / "examples/clips/sign_eat.mp4"
UNPLAYABLE = ROOT / "examples/clips/sign_book.mkv"

# What a paste or a drop brings, as the browser would make it.
TRANSFER = """([kind, name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const target = kind === "paste" ? document.querySelector(".composer > textarea") : document.body;
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event.defaultPrevented;
}"""


def bring(opened: Opened, kind: str, path: Path, type_: str = "image/png") -> bool:
    data = base64.b64encode(path.read_bytes()).decode()
    taken: bool = opened.page.evaluate(TRANSFER, [kind, path.name, type_, data])
    return taken


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(opened: Opened, shapes: Path, kind: str) -> None:
    assert bring(opened, kind, shapes)
    opened.page.locator(".attached", has_text="shapes.png").wait_for()
    opened.ask("What colour is the square?")
    assert opened.page.locator(".markdown").inner_text().strip()


def test_pasted_words_stay_words(opened: Opened) -> None:
    page = opened.page
    page.evaluate("navigator.clipboard.writeText('only words')")
    page.locator(".composer > textarea").focus()
    page.keyboard.press("Control+V")
    assert page.locator(".composer > textarea").input_value() == "only words"
    expect(page.locator(".attached")).to_have_count(0)


def test_the_page_shows_where_to_drop(opened: Opened, shapes: Path) -> None:
    assert bring(opened, "dragover", shapes)
    opened.page.locator(".drop-hint.shown").wait_for()
    bring(opened, "drop", shapes)
    opened.page.locator(".drop-hint:not(.shown)").wait_for(state="attached")


def test_what_is_no_picture_is_refused_in_words(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    for name, content, words in (("a.png", b"no picture", "is no picture"), ("b.png", b"", "is empty")):
        (tmp_path / name).write_bytes(content)
        page.set_input_files(".bar-tools input[type=file]", tmp_path / name)
        page.get_by_text(f"{name} {words}").wait_for()
    with (tmp_path / "c.jpg").open("wb") as large:
        large.truncate(21 << 20)
    page.set_input_files(".bar-tools input[type=file]", tmp_path / "c.jpg")
    page.get_by_text("c.jpg is larger than 20 MiB").wait_for()
    expect(page.locator(".attached")).to_have_count(0)


def test_no_more_pictures_than_the_server_takes(opened: Opened, shapes: Path) -> None:
    picture = {"mimeType": "image/png", "buffer": shapes.read_bytes()}
    opened.attach(*[{"name": f"{number}.png", **picture} for number in range(8)])
    opened.page.set_input_files(".bar-tools input[type=file]", {"name": "9.png", **picture})
    opened.page.get_by_text("A question can have 8 pictures.").wait_for()
    opened.page.get_by_role("button", name="Remove 3.png").click()
    expect(opened.page.locator(".attached")).to_have_count(7)


def test_the_camera_takes_a_picture(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Take a picture").click()
    page.get_by_role("button", name="Take it").click()
    page.locator(".attached", has_text="camera.jpg").wait_for()
    page.locator("dialog").wait_for(state="detached")


def test_the_screen_is_captured(opened: Opened) -> None:
    page = opened.page
    # Headless browsers have no screen; a drawn one stands in for it.
    page.evaluate("""() => { navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 200 });
      const context = canvas.getContext("2d");
      setInterval(() => { context.fillStyle = "red"; context.fillRect(0, 0, 320, 200); }, 50);
      return (window.screenStream = canvas.captureStream(20));
    }; }""")
    page.get_by_role("button", name="Capture the screen").click()
    page.locator(".attached", has_text="screen.jpg").wait_for()
    assert page.evaluate("window.screenStream.getTracks().every((track) => track.readyState === 'ended')")


def test_a_screen_that_cannot_be_captured_is_told(opened: Opened) -> None:
    opened.page.evaluate("""() => { navigator.mediaDevices.getDisplayMedia = async () => {
      throw new DOMException("no", "NotReadableError"); }; }""")
    opened.page.get_by_role("button", name="Capture the screen").click()
    opened.page.get_by_text("could not capture the screen").wait_for()


def test_a_camera_that_is_refused_is_told(open_page: Callable[..., Opened]) -> None:
    opened = open_page()
    opened.page.evaluate("""() => { navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException("no", "NotAllowedError"); }; }""")
    opened.page.get_by_role("button", name="Live camera").click()
    opened.page.get_by_text("did not allow").wait_for()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    pages = []
    for number in (1, 2):
        page = Image.new("RGB", (420, 594), "white")
        ImageDraw.Draw(page).rectangle((60, 60, 360, 60 + 200 * number), fill="navy")
        pages.append(page)
    path = tmp_path / "report.pdf"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_a_document_is_shown_as_pages_and_sent_whole(opened: Opened, document: Path) -> None:
    page = opened.page
    opened.attach(document)
    expect(page.locator(".attached .thumb")).to_have_count(2)
    page.get_by_text("2 pages").wait_for()
    with page.expect_request("**/v1/chat/completions") as sent:
        opened.ask("What colour is the square?")
    part = sent.value.post_data_json["messages"][0]["content"][0]
    assert part["type"] == "file"
    assert base64.b64decode(part["file"]["file_data"].split(",")[1]) == document.read_bytes()
    expect(page.locator(".shown-picture")).to_have_count(2)
    expect(page.locator(".failure")).to_have_count(0)
    page.reload()
    page.locator(".shown-picture .tag", has_text="Page 2").wait_for()


def test_a_document_that_is_damaged_is_told(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    opened.page.set_input_files(".bar-tools input[type=file]", tmp_path / "bad.pdf")
    opened.page.get_by_text("The pages of bad.pdf could not be drawn.").wait_for()
    opened.forgive("400")


def test_the_frames_shown_are_those_the_model_gets(opened: Opened, model: LocalChatModel) -> None:
    page = opened.page
    opened.attach(CLIP)
    strip = page.locator("[data-seen] li")
    strip.first.wait_for()
    visual = video_to_visual(VideoPart(CLIP, fps=2.0), config=model.processor.image_config)
    times = [f"{int(second // 60)}:{second % 60:04.1f}" for second in visual.frame_times_s]
    assert strip.all_inner_texts() == times
    tall, wide = visual.resized_size
    words = page.locator(".timeline p.fine").inner_text()
    assert words == f"{len(times)} frames of {wide} × {tall}, {np.prod(visual.grid_thw) // 4} tokens"
    opened.ask("Does anything move?")
    assert page.locator(".clip-shown .strip li").all_inner_texts() == times


def test_a_part_of_a_clip_is_chosen_on_the_timeline(opened: Opened) -> None:
    page = opened.page
    opened.attach(CLIP)
    page.locator("[data-seen] li").first.wait_for()
    start = page.get_by_role("slider", name="From")
    start.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.get_by_label("Rate").select_option("8")
    page.locator("[data-seen] li .time", has_text="0:00.5").wait_for()
    expect(page.locator("[data-seen] li")).to_have_count(8)
    with page.expect_request("**/v1/chat/completions") as sent:
        opened.ask("Does anything move?")
    part = sent.value.post_data_json["messages"][0]["content"][0]
    assert (part["type"], part["video_start"], part["fps"]) == ("video_url", 0.5, 8)
    assert page.locator(".markdown").inner_text().strip() in ("yes", "no")
    expect(page.locator(".clip-shown video")).to_have_count(1)


def test_a_clip_this_browser_cannot_play_is_seen_by_the_server(opened: Opened) -> None:
    page = opened.page
    data = UNPLAYABLE.read_bytes()
    # This browser has the decoders; one that has not shows a clip without a picture.
    page.evaluate("Object.defineProperty(HTMLVideoElement.prototype, 'videoWidth', { get: () => 0 })")
    opened.attach({"name": "odd.mkv", "mimeType": "video/x-matroska", "buffer": data})
    page.get_by_text("This browser cannot play odd.mkv").wait_for()
    page.locator("[data-seen] li").first.wait_for()
    opened.ask("Does anything move?")
    assert page.locator(".markdown").inner_text().strip() in ("yes", "no")


def test_the_live_camera_gathers_lets_go_and_answers(opened: Opened, model: LocalChatModel) -> None:
    page = opened.page
    pair = model.processor.image_config.video_max_pixels // 28**2
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Tokens for the live camera").fill(str(2 * pair))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Live camera").click()
    page.get_by_text("4 frames").wait_for()
    page.locator(".live-state", has_text="2 let go").wait_for()
    assert page.locator(".live .strip li").count() <= 4
    with page.expect_request("**/v1/chat/completions") as sent:
        opened.ask("Does anything move?")
    part = sent.value.post_data_json["messages"][0]["content"][0]
    assert part["type"] == "video"
    assert part["fps"] == 1
    assert len(part["video"]) == 4
    assert page.locator(".markdown").inner_text().strip() in ("yes", "no")
    with page.expect_request("**/v1/chat/completions") as again:
        opened.ask("Does anything move?")
    questions = [one for one in again.value.post_data_json["messages"] if one["role"] == "user"]
    assert questions[0]["content"] == "Does anything move?"
    page.get_by_role("button", name="End the live camera").click()
    expect(page.locator(".live")).to_have_count(0)


def test_a_new_question_interrupts_the_answer(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Answer as JSON").click()
    page.locator(".schema textarea").fill('{"type": "array", "items": {"type": "integer"}, "minItems": 900}')
    opened.ask("Count.", wait=False)
    page.locator(".answer .plain").wait_for()
    page.get_by_role("button", name="Answer as JSON").click()
    page.locator(".composer > textarea").fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_text("Stopped").wait_for()
    page.locator("[data-figure=written]").wait_for()
    assert page.locator(".bubble").all_inner_texts() == ["Count.", "Hello"]


def test_a_picture_is_shown_as_the_model_sees_it(opened: Opened, shapes: Path, model: LocalChatModel) -> None:
    page = opened.page
    visual = image_to_visual(ImagePart(shapes), config=model.processor.image_config)
    size = " × ".join(str(side) for side in visual.resized_size[::-1])
    tokens = visual.grid_thw[1] * visual.grid_thw[2] // 4
    opened.attach(shapes)
    page.get_by_role("button", name="shapes.png: show in full").click()
    page.get_by_text(f"560 × 560 pixels; the model gets {size}, {tokens} tokens").wait_for()
    page.get_by_role("button", name="As the model sees it").click()
    page.locator("canvas.seen").wait_for()
    page.wait_for_timeout(300)
    colour = page.evaluate("""() => { const c = document.querySelector("canvas.seen");
      return [...c.getContext("2d").getImageData(c.width * 0.18, c.height * 0.31, 1, 1).data].slice(0, 3); }""")
    assert np.allclose(colour, (215, 30, 35), atol=12)
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
