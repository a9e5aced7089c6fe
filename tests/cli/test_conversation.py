"""Turns of a chat, and chats in files."""

import json
from pathlib import Path
from typing import Any

import pytest

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.cli.conversation import Conversation, attach_clip, attach_picture, load_chat, save_chat
from anyres.cli.options import MediaKnobs
from anyres.errors import AnyresError, MediaError, MessageError, OptionError


def chatted(photo: Path, clip: Path) -> Conversation:
    talk = Conversation("Be brief.")
    talk.waiting = [attach_picture(photo, MediaKnobs(max_pixels=5000)), attach_clip(clip, MediaKnobs(fps=2.0))]
    talk.ask("What is this?")
    talk.turns.append(Message("assistant", "A ramp."))
    return talk


def test_what_waits_goes_with_the_next_question(photo: Path) -> None:
    talk = Conversation()
    talk.waiting = [attach_picture(photo, MediaKnobs())]
    (sent,) = talk.ask("What?")
    assert (sent.name, sent.size) == ("photo.png", "90x60")
    assert [type(part) for part in talk.turns[0].parts] == [ImagePart, TextPart]
    assert talk.waiting == []
    talk.ask("And?")
    assert talk.turns[1].content == "And?"
    talk.take_back([])
    talk.take_back([sent])
    assert (talk.turns, talk.waiting) == ([], [sent])


def test_a_picture_is_read_when_it_is_attached(photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(photo.read_bytes())
    attached = attach_picture(path, MediaKnobs())
    path.unlink()
    assert isinstance(attached.part, ImagePart)
    assert attached.part.image.getvalue() == photo.read_bytes()


def test_undo_and_reopen(photo: Path, clip: Path) -> None:
    talk = chatted(photo, clip)
    talk.ask("And?")
    talk.turns.append(Message("assistant", "No."))
    assert talk.reopen()
    assert talk.turns[-1].content == "And?"
    assert talk.undo()
    assert len(talk.turns) == 2
    assert talk.undo()
    assert talk.turns == []
    assert not talk.undo()
    assert not talk.reopen()
    assert talk.messages == [Message("system", "Be brief.")]


def test_the_last_picture(photo: Path, clip: Path) -> None:
    talk = Conversation()
    assert talk.last_picture is None
    talk = chatted(photo, clip)
    assert talk.last_picture.image.name == "photo.png"
    newer = attach_picture(photo, MediaKnobs(max_pixels=3136))
    talk.waiting.append(newer)
    assert talk.last_picture is newer.part


def test_a_saved_chat_holds_everything_and_no_path(photo: Path, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    save_chat(chatted(photo, clip), path, model="tiny")
    assert str(photo.parent) not in path.read_text()
    assert str(clip.parent) not in path.read_text()
    again = load_chat(path)
    assert again.system == "Be brief."
    picture, video, words = again.turns[0].parts
    assert isinstance(picture, ImagePart)
    assert isinstance(video, VideoPart)
    assert (picture.max_pixels, video.fps, words) == (5000, 2.0, TextPart("What is this?"))
    save_chat(again, tmp_path / "again.json", model="tiny")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(path.read_text())


def saved(*messages: Any, **more: Any) -> str:
    return json.dumps({"anyres_chat": 1, "system": None, "messages": list(messages), **more})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": "/etc/passwd"},
        {"type": "image", "image": "file:///etc/passwd"},
        {"type": "image", "image": "http://127.0.0.1/a.png"},
        {"type": "image_url", "image_url": {"url": "/etc/passwd"}},
        {"type": "image_url", "image_url": "/etc/passwd"},
        {"type": "video", "video": "/etc/passwd"},
        {"type": "video", "video": ["data:image/png;base64,", "/etc/passwd"]},
        {"image": 3},
    ],
)
def test_a_chat_from_elsewhere_opens_no_file_of_mine(part: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text(saved({"role": "user", "content": [part]}))
    with pytest.raises(MessageError, match="not in the file"):
        load_chat(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"anyres_chat": 2, "messages": []}',
        '{"anyres_chat": 1}',
        "\x00",
        "[" * 100000,
        saved(3),
        saved({}),
        saved({"role": "wizard", "content": "x"}),
        saved({"role": "user", "content": [{"type": "x"}]}),
        saved(system=3),
        saved({"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}),
    ],
)
def test_files_that_are_no_saved_chat(text: str, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text(text)
    with pytest.raises((OptionError, MessageError)):
        load_chat(path)


def test_places_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "a.json", Path("\x00")):
        with pytest.raises(OptionError, match="/load"):
            load_chat(path)
        with pytest.raises(OptionError, match="/save"):
            save_chat(Conversation(), path, model="m")


@pytest.mark.parametrize("attach", [attach_picture, attach_clip])
def test_what_is_no_picture_is_told_at_once(attach: Any, tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("hello")
    for source in (text, tmp_path / "none.png", tmp_path, "gopher://a/b"):
        with pytest.raises(AnyresError) as caught:
            attach(source, MediaKnobs())
        assert isinstance(caught.value, MediaError)
