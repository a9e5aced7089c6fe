"""Rows of both forms, and the files they stand in."""

import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.errors import DatasetError, MessageError
from anyres.training.dataset import Dataset, Order
from anyres.training.rows import example_of_row

FOLDER = Path("/data")
SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "<image>\nWhat is in <image> and <video>?"},
        {"from": "gpt", "value": "A cat."},
    ],
    "images": ["a.png", "/abs/b.png"],
    "videos": ["c.mp4"],
    "system": "Be brief.",
    "id": 17,
}
OPENAI = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "a.png"}},
                {"type": "text", "text": "What is <image>?"},
                {"type": "video_url", "video_url": {"url": "https://host/c.mp4"}, "fps": 1.0},
            ],
        },
        {"role": "assistant", "content": "A cat."},
    ]
}


def messages_of(row: Any) -> tuple[Message, ...]:
    return example_of_row(row, name="f:1", folder=FOLDER).messages


def test_sharegpt_row() -> None:
    assert messages_of(SHAREGPT) == (
        Message("system", "Be brief."),
        Message(
            "user",
            [
                ImagePart("/data/a.png"),
                TextPart("\nWhat is in "),
                ImagePart("/abs/b.png"),
                TextPart(" and "),
                VideoPart("/data/c.mp4"),
                TextPart("?"),
            ],
        ),
        Message("assistant", "A cat."),
    )


def test_sharegpt_row_with_roles_of_openai() -> None:
    row = {
        "messages": [{"role": "user", "content": "<video>x"}, {"role": "assistant", "content": "y"}],
        "videos": [["1.png", "2.png"]],
        "images": [],
    }
    assert messages_of(row)[0].content == [VideoPart(["/data/1.png", "/data/2.png"]), TextPart("x")]


def test_single_picture_without_a_list() -> None:
    row = {"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "y"}], "image": "a.png"}
    assert messages_of(row)[0].content == [ImagePart("/data/a.png")]


def test_openai_row() -> None:
    assert messages_of(OPENAI) == (
        Message("system", "Be brief."),
        Message(
            "user", (ImagePart("/data/a.png"), TextPart("What is <image>?"), VideoPart("https://host/c.mp4", fps=1.0))
        ),
        Message("assistant", "A cat."),
    )


@pytest.mark.parametrize("source", ["data:image/png;base64,AAAA", "http://h/a.png", "file:///a.png", "/abs.png"])
def test_addresses_and_whole_paths_stay(source: str) -> None:
    part = {"type": "image_url", "image_url": {"url": source}}
    assert messages_of({"messages": [{"role": "user", "content": [part]}]})[0].content == (ImagePart(source),)


def changed(**changes: Any) -> dict[str, Any]:
    return {**SHAREGPT, **changes}


def said(**turn: Any) -> dict[str, Any]:
    return {"messages": [turn, {"role": "assistant", "content": "a"}]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (changed(images=["a.png"]), r"f:1: <image>: 2 marks and 1 items in images"),
        (changed(images=["a.png"] * 3), "2 marks and 3 items"),
        (changed(videos=None), "<video>: 1 marks and 0 items in videos"),
        (changed(images="a.png"), "2 marks and 1 items"),
        (changed(images=[7, 8]), "images: 7; allowed: paths"),
        (changed(images=["a.png", ["b.png"]]), "allowed: paths"),
        (changed(images={"a": 1}), "one list of paths"),
        (changed(image="c.png"), "one list of paths"),
        (changed(tools='[{"name": "f"}]'), "f:1: tools: not empty"),
        (changed(audios=["a.wav"]), "audios"),
        (changed(system=7), "system"),
        (changed(messages=[]), "one of conversations, messages"),
        (changed(conversations=[]), "a list of turns"),
        (changed(conversations="hi"), "a list of turns"),
        (changed(conversations=["hi"]), r"conversations\[0\]"),
        (changed(conversations=[{"from": "human"}]), "from and value"),
        (changed(conversations=[{"from": "human", "value": None}]), "content of type NoneType"),
        ({}, "keys"),
        ([1], "a JSON list"),
        (None, "a JSON NoneType"),
        (said(role="function_call", content="{}"), "tool calls"),
        (said(role="tool", content="4"), r"messages\[0\]: role: 'tool'; allowed: no tool calls"),
        (said(role="user", content="x", tool_calls=[{}]), "tool calls"),
        (said(role="robot", content="x"), "human or user"),
        (said(role="user", content=[{"type": "input_audio"}]), "type"),
        (said(role="user", content=[{"type": "image_url", "image_url": {"url": 3}}]), "url"),
        ({**said(role="system", content="x"), "system": "y"}, "beside a system turn"),
    ],
)
def test_bad_rows_are_named(row: Any, words: str) -> None:
    with pytest.raises(MessageError, match=words) as caught:
        messages_of(row)
    assert caught.value.item.startswith("f:1: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "conversations", "from", "value", "role", "content", "images"]), inner
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_an_example_or_a_named_error(row: Any) -> None:
    with suppress(MessageError):
        assert example_of_row(row, name="f:1", folder=FOLDER).messages


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row(word: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": word}]})


def answers(dataset: Dataset) -> list[str]:
    return [str(dataset.example(index).messages[-1].content) for index in range(dataset.length)]


def test_files_stand_one_behind_the_other(tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "a.jsonl", row("0"), "", row("één"), "   ", row("2"))
    array = tmp_path / "b.json"
    array.write_text(f"  [{row('3')}, {row('4')}]")
    dataset = Dataset((lines, array))
    assert dataset.length == 5
    assert answers(dataset) == ["0", "één", "2", "3", "4"]
    assert [dataset.example(index).name for index in range(5)] == [
        "a.jsonl:1", "a.jsonl:3", "a.jsonl:5", "b.json:1", "b.json:2",
    ]  # fmt: skip
    assert answers(pickle.loads(pickle.dumps(dataset))) == answers(dataset)


def test_pictures_are_looked_for_beside_the_file_or_in_the_media_folder(tmp_path: Path) -> None:
    text = json.dumps({"messages": [{"role": "user", "content": "<image>"}], "images": ["x/a.png"]})
    path = write_lines(tmp_path / "a.jsonl", text)
    for media_folder in (None, tmp_path / "media"):
        part = Dataset((path,), media_folder=media_folder).example(0).messages[0].parts[0]
        assert part == ImagePart(str((media_folder or tmp_path) / "x" / "a.png"))


def test_a_damaged_line_costs_its_own_row(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", row("0"), row("1")[:-4], row("2"))
    path.write_bytes(path.read_bytes() + b'{"messages": "\xff"}\n')
    dataset = Dataset((path,))
    assert dataset.length == 4
    for index in (1, 3):
        with pytest.raises(DatasetError, match=rf"a\.jsonl:{index + 1}: no JSON"):
            dataset.example(index)
    assert dataset.example(2).messages[-1].content == "2"


@pytest.mark.parametrize(
    ("content", "words"), [("[{]", "no JSON"), ("[]", "no rows"), ("", "no rows"), ("\n \n", "no rows")]
)
def test_files_without_rows(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=words):
        Dataset((path,))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        Dataset((tmp_path / "a.json",))
    with pytest.raises(DatasetError, match="no files"):
        Dataset(())


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.booleans())
def test_every_epoch_has_every_row_once(length: int, seed: int, shuffle: bool) -> None:
    order = Order(length, seed=seed, shuffle=shuffle)
    epochs = [[order.row(epoch * length + place) for place in range(length)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    if shuffle and length > 15:
        assert epochs[0] != epochs[1] != epochs[2]
    again = Order(length, seed=seed, shuffle=shuffle)
    assert [again.row(2 * length + place) for place in range(length)] == epochs[2]


def test_rows_of_an_endless_source_follow_their_numbers() -> None:
    order = Order(None, seed=1, shuffle=True)
    assert [order.row(number) for number in (0, 5, 10**12)] == [0, 5, 10**12]
