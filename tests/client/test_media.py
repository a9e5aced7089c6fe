"""Pictures and clips travel as bytes, in the size the model sees, in the form the server takes."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.client import MediaRules
from anyres.config import ImageProcessorConfig
from anyres.errors import AnyresError, MediaError, MessageError, OptionError
from anyres.processing.image import image_to_visual, smart_resize
from tests.client.conftest import Make
from tests.client.fake_server import FakeServer, completion

Part = dict[str, Any]
EXIF_ORIENTATION = 0x0112


def sent(server: FakeServer, make: Make, *parts: ImagePart | VideoPart, **knobs: Any) -> list[Part]:
    """What the server gets of a message with these parts and a word."""
    server.replies = [completion()]
    make(**knobs).chat([Message("user", (*parts, TextPart("What?")))])
    content: list[Part] = server.body["messages"][0]["content"]
    assert content[-1] == {"type": "text", "text": "What?"}
    return content[:-1]


def picture_in(url: str) -> Image.Image:
    head, _, body = url.partition(",")
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(body, validate=True)))


def url_of(part: Part) -> str:
    return str(part["image_url"]["url"])


def test_a_picture_of_the_right_size_goes_as_it_is(server: FakeServer, make: Make, photo: Path) -> None:
    (part,) = sent(server, make, ImagePart(photo))
    assert part["type"] == "image_url"
    assert base64.b64decode(url_of(part).partition(",")[2]) == photo.read_bytes()


def test_a_large_picture_is_resized_without_loss(server: FakeServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    server.replies = [completion()]
    answer = make().ask(path, "What?")
    got = picture_in(url_of(server.body["messages"][0]["content"][0]))
    size = smart_resize(1500, 2000, max_pixels=1280 * 784)
    assert got.size == (size.width, size.height)
    expected = Image.fromarray(noise).resize(got.size, Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(got), np.asarray(expected))
    assert answer.notes == (f"large.png: shrunk from 2000x1500 to {size.width}x{size.height}",)


@pytest.mark.parametrize(
    "knobs",
    [
        {"max_pixels": 5000},
        {"min_pixels": 50_000},
        {"resized_height": 56, "resized_width": 84},
        {"max_pixels": "checkpoint"},
    ],
)
def test_every_item_has_its_own_limits_as_locally(
    knobs: dict[str, Any], server: FakeServer, make: Make, photo: Path
) -> None:
    limited, plain = sent(server, make, ImagePart(photo, **knobs), ImagePart(photo))
    size = image_to_visual(ImagePart(photo, **knobs), config=ImageProcessorConfig()).resized_size
    assert picture_in(url_of(limited)).size == size[::-1]
    assert picture_in(url_of(plain)).size == (168, 112)


def sources(photo: Path) -> list[Any]:
    data = photo.read_bytes()
    picture = Image.open(photo)
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    return [photo, str(photo), photo.as_uri(), url, data, io.BytesIO(data), picture, np.asarray(picture)]


def test_every_source_shows_the_same_picture(server: FakeServer, make: Make, photo: Path) -> None:
    parts = sent(server, make, *(ImagePart(source) for source in sources(photo)))
    shown = [np.asarray(picture_in(url_of(part)).convert("RGB")) for part in parts]
    assert all(np.array_equal(one, shown[0]) for one in shown)
    assert str(photo) not in json.dumps(server.body)
    assert photo.name not in json.dumps(server.body)


def test_a_turned_photo_arrives_upright(server: FakeServer, make: Make, tmp_path: Path) -> None:
    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.linear_gradient("L").resize((168, 112)).save(path, exif=exif)
    (part,) = sent(server, make, ImagePart(path))
    got = picture_in(url_of(part))
    assert got.size == (112, 168)
    assert got.getexif().get(EXIF_ORIENTATION, 1) == 1


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "1", "CMYK"])
def test_odd_modes_become_rgb(mode: str, server: FakeServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new("L", (84, 56), 90).convert(mode).save(path)
    (part,) = sent(server, make, ImagePart(path))
    assert picture_in(url_of(part)).mode == "RGB"


def test_original_bytes_and_addresses(server: FakeServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (3000, 2000)).save(path)
    rules = MediaRules(pictures="original")
    file, link = sent(server, make, ImagePart(path), ImagePart("https://a.example/b.png"), media=rules)
    assert base64.b64decode(url_of(file).partition(",")[2]) == path.read_bytes()
    assert url_of(link) == "https://a.example/b.png"
    (limited,) = sent(server, make, ImagePart(path, max_pixels=3136), media=rules)
    assert picture_in(url_of(limited)).size[0] < 100  # this server cannot be told, so it is done here


def test_an_anyres_server_is_told_the_limits(server: FakeServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (3000, 2000)).save(path)
    knobs = {"min_pixels": 3136, "max_pixels": 50_000}
    (part,) = sent(server, make, ImagePart(path, **knobs), dialect="anyres")  # type: ignore[arg-type]
    assert knobs.items() <= part.items()
    assert base64.b64decode(url_of(part).partition(",")[2]) == path.read_bytes()
    (part,) = sent(server, make, ImagePart(path, resized_height=56, resized_width=84), dialect="anyres")
    assert (part["type"], part["resized_height"], part["resized_width"]) == ("image", 56, 84)


def test_formats_some_servers_lack_become_png(server: FakeServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    Image.new("RGB", (84, 56)).save(path)
    for rules in (MediaRules(pictures="original"), MediaRules()):
        (part,) = sent(server, make, ImagePart(path), media=rules)
        assert picture_in(url_of(part)).format == "PNG"


@pytest.mark.parametrize(
    "part",
    [
        ImagePart("/nowhere/a.png"),
        ImagePart(b"no picture"),
        ImagePart(3),
        ImagePart(Path("/etc/passwd")),
        ImagePart("photo.png", min_pixels=0),
        VideoPart("/nowhere/a.mp4"),
        VideoPart(b"no clip"),
        VideoPart([]),
        VideoPart("a.mp4", fps=1, nframes=2),
    ],
)
@pytest.mark.parametrize("dialect", ["plain", "anyres", "vllm"])
def test_bad_media_never_leave(part: Any, dialect: str, server: FakeServer, make: Make) -> None:
    with pytest.raises(AnyresError) as caught:
        make(dialect=dialect).chat([Message("user", (part,))])
    assert isinstance(caught.value, (MediaError, OptionError))
    assert server.chats == []


def test_limits_of_an_endpoint(server: FakeServer, make: Make, photo: Path, clip: Path) -> None:
    server.replies = [completion()]
    model = make(media=MediaRules(most_images=2, most_videos=0))
    model.ask([photo, photo], "What?")
    with pytest.raises(MessageError, match="3 pictures; allowed: at most 2"):
        model.ask([photo] * 3, "What?")
    with pytest.raises(MessageError, match="1 clips; allowed: at most 0"):
        model.ask(None, "What?", video=clip)


@pytest.mark.parametrize("knobs", [{"pictures": "tiny"}, {"video": "x"}, {"most_images": -1}, {"most_frames": 0}])
def test_bad_rules(knobs: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        MediaRules(**knobs)


# Clips: the one of the tests lasts 2 s, so that two frames a second are four.


def test_frames_as_pictures_where_a_server_knows_no_clips(server: FakeServer, make: Make, clip: Path) -> None:
    heading, *frames = sent(server, make, VideoPart(clip))
    assert heading["text"] == "A video, as 4 frames at 0.0, 0.5, 1.2, 1.8 seconds:"
    assert [picture_in(url_of(frame)).getpixel((0, 0))[0] for frame in frames] == [0, 60, 150, 210]


def test_no_more_frames_than_allowed(server: FakeServer, make: Make, clip: Path) -> None:
    rules = MediaRules(most_frames=2)
    for part in (VideoPart(clip), VideoPart(clip, nframes=6), VideoPart(clip, fps=4.0)):
        heading, *frames = sent(server, make, part, media=rules)
        assert len(frames) == 2
        assert "2 frames" in heading["text"]
    pictures = [Image.new("L", (84, 56), 20 * number) for number in range(9)]
    heading, *frames = sent(server, make, VideoPart(pictures, fps=1.0), media=MediaRules(most_frames=3))
    assert [picture_in(url_of(frame)).getpixel((0, 0))[0] for frame in frames] == [0, 80, 160]
    assert "at 0.0, 4.0, 8.0 seconds" in heading["text"]


def test_vllm_gets_jpeg_frames_in_one_url(server: FakeServer, make: Make, clip: Path) -> None:
    (part,) = sent(server, make, VideoPart(clip, nframes=6), dialect="vllm")
    head, *frames = part["video_url"]["url"].split(",")
    assert head == "data:video/jpeg;base64"
    pictures = [Image.open(io.BytesIO(base64.b64decode(frame))) for frame in frames]
    assert [picture.format for picture in pictures] == ["JPEG"] * 6


def test_dashscope_gets_a_list_and_its_fps(server: FakeServer, make: Make, clip: Path) -> None:
    (part,) = sent(server, make, VideoPart(clip, nframes=8), dialect="dashscope")
    assert (part["type"], len(part["video"]), part["fps"]) == ("video", 8, 4.0)


def test_an_anyres_server_gets_the_file_and_every_knob(server: FakeServer, make: Make, clip: Path) -> None:
    knobs: dict[str, Any] = {"fps": 3.0, "start": 0.5, "end": 1.5, "max_pixels": 5000, "total_pixels": 9000}
    (part,) = sent(server, make, VideoPart(clip, **knobs), dialect="anyres")
    assert base64.b64decode(part["video_url"]["url"].partition(",")[2]) == clip.read_bytes()
    assert part["video_url"]["url"].startswith("data:image/gif;")
    told = {"video_start": 0.5, "video_end": 1.5, "fps": 3.0, "max_pixels": 5000, "total_pixels": 9000}
    assert told.items() <= part.items()
    (part,) = sent(server, make, VideoPart([Image.new("L", (84, 56))] * 4, fps=1.0), dialect="anyres")
    assert (part["type"], len(part["video"]), part["fps"]) == ("video", 4, 1.0)


def test_sglang_gets_the_file_and_frames_where_it_cannot_be_told(server: FakeServer, make: Make, clip: Path) -> None:
    (part,) = sent(server, make, VideoPart(clip), dialect="sglang")
    assert part["type"] == "video_url"
    assert len(sent(server, make, VideoPart(clip, nframes=4), dialect="sglang")) == 5


def test_a_form_that_is_asked_for(server: FakeServer, make: Make, clip: Path, tmp_path: Path) -> None:
    (part,) = sent(server, make, VideoPart(clip), media=MediaRules(video="file"))
    assert part["video_url"]["url"].startswith("data:")
    (part,) = sent(server, make, VideoPart("https://a.example/c.mp4"), media=MediaRules(video="file"))
    assert part["video_url"]["url"] == "https://a.example/c.mp4"
    (part,) = sent(server, make, VideoPart(clip), media=MediaRules(video="frames"))
    assert part["type"] == "video"
    assert len(sent(server, make, VideoPart(clip), dialect="vllm", media=MediaRules(video="images"))) == 5
    text = tmp_path / "a.mp4"
    text.write_text("hello")
    for bad in (VideoPart(clip, nframes=4), VideoPart(text)):
        with pytest.raises(MediaError):
            sent(server, make, bad, media=MediaRules(video="file"))


def test_find_gives_pixels_of_the_picture(server: FakeServer, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (2000, 1000)).save(path)
    server.replies = [completion("<|box_start|>(100,200),(500,1000)<|box_end|>"), completion("(100,200),(500,1000)")]
    for _ in range(2):
        (box,) = make(dialect="vllm").find(path, "a cat")
        assert box.edges == (200, 200, 1000, 1000)
    assert server.body["messages"][0]["content"][1]["text"] == "Find the cat."
    assert server.body["skip_special_tokens"] is False
    with pytest.raises(OptionError):
        make().find(path, " ")
    with path.open("rb") as file:
        make().find(file, "a cat")
