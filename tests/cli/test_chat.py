"""`anyres chat` through a pipe, with a model that says what it is told to."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.cli.chat import Chat
from anyres.cli.options import MediaKnobs
from anyres.cli.reading import Typed
from anyres.cli.slash import COMMANDS, changed, completions, find_command, is_command
from anyres.client import Endpoint, RemoteChatModel
from anyres.grounding import Box
from tests.cli.conftest import Run
from tests.client.fake_server import SSE, FakeServer, Reply, chunk, completion, error, listed, serving, streamed


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        fake.models = listed("first", "second")
        fake.replies = [streamed("Hi", " there.")]
        yield fake


Chatted = Callable[..., Any]


@pytest.fixture
def chatted(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Chatted:
    """Runs the command on lines of a pipe."""
    for name in ("ANYRES_BASE_URL", "ANYRES_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def call(*lines: str, arguments: Sequence[str | Path] = ()) -> Any:
        text = "".join(f"{line}\n" for line in lines)
        return run("chat", *arguments, "--base-url", server.base_url, stdin=text.encode())

    return call


class Lines:
    """A reader that is a terminal as far as the chat knows. An exception among the lines is raised."""

    interactive = True

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self._lines = iter(lines)
        self.prompts: list[str] = []

    def read(self, prompt: str) -> Typed:
        self.prompts.append(prompt)
        line = next(self._lines, EOFError)
        if isinstance(line, str):
            return Typed(line.strip('"'), is_block=line.startswith('"'))
        raise line


def talk_of(server: FakeServer, *lines: str | type[BaseException], **more: Any) -> Chat:
    def open_one(name: str) -> RemoteChatModel:
        return RemoteChatModel(Endpoint(server.base_url, retries=0), model=name, dialect="plain")

    model = open_one("first")
    return Chat(model, open_one, model.models, Lines(*lines), **more)


def write_clip(path: Path) -> None:
    """Eight small frames at eight a second."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(0, 240, 30):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (level,) * 3))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def said(server: FakeServer) -> list[tuple[str, Any]]:
    return [(turn["role"], turn["content"]) for turn in server.body["messages"]]


# Through a pipe.


def test_each_line_is_asked_with_all_before_it(chatted: Chatted, server: FakeServer) -> None:
    result = chatted("One?", "Two?", "")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Hi there.\nHi there.\n"
    assert said(server) == [("user", "One?"), ("assistant", "Hi there."), ("user", "Two?")]
    assert server.body["model"] == "first"
    assert server.body["stream"] is True


def test_several_lines_between_quotation_marks(chatted: Chatted, server: FakeServer) -> None:
    chatted('"""One', "two", 'three"""')
    assert said(server) == [("user", "One\ntwo\nthree")]
    chatted('"""', "/exit is text here", '"""')
    assert said(server) == [("user", "/exit is text here")]
    chatted('"""One line"""', "")
    assert said(server) == [("user", "One line")]
    chatted('"""not closed', "at all")
    assert said(server) == [("user", "not closed\nat all")]


def test_pictures_and_options_of_the_command(chatted: Chatted, server: FakeServer, photo: Path) -> None:
    options = ["--system", "Be brief.", "--max-tokens", "9", "--temperature", "0.5", "--seed", "3"]
    result = chatted("What?", "And?", arguments=[photo, *options])
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("attached: photo.png (90x60)\n")
    first = server.chats[0].body
    assert {"max_tokens": 9, "temperature": 0.5, "seed": 3}.items() <= first.items()
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in first["messages"][1]["content"]] == ["image_url", "text"]
    assert [part["type"] for part in server.body["messages"][1]["content"]] == ["image_url", "text"]
    assert server.body["messages"][3]["content"] == "And?"


def test_commands_of_a_script(chatted: Chatted, server: FakeServer, photo: Path, tmp_path: Path) -> None:
    file = tmp_path / "a chat.json"
    lines = [f"/image {photo}", "/system Be brief.", "What?", "/undo", "/set max_tokens 5", f"/image '{photo}'"]
    result = chatted(*lines, "Again?", f"/save '{file}'", "/clear", f"/load '{file}'", "/history", "/exit", "Unheard?")
    assert result.exit_code == 0, result.output
    assert result.stdout == ("Hi there.\nHi there.\nsystem: Be brief.\nuser: [image] Again?\nassistant: Hi there.\n")
    assert len(server.chats) == 2
    assert server.body["max_tokens"] == 5
    assert [role for role, _ in said(server)] == ["system", "user"]
    assert "photo" not in file.read_text()


def test_text_of_a_pipe_attaches_no_files(chatted: Chatted, server: FakeServer, photo: Path) -> None:
    chatted(f"What is {photo}?", f"'{photo}'")
    assert server.chats[0].body["messages"][0]["content"] == f"What is {photo}?"
    assert server.body["messages"][2]["content"] == f"'{photo}'"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/nonsense", "/nonsense: no such command"),
        ("/s", "/s: no such command; allowed: /system, /set, /save"),
        ("/image", "/image: no file"),
        ("/image /nowhere.png", "no such file"),
        ("/image 'open", "quotation mark"),
        ("/set what 3", "/set: 'what'; allowed: temperature"),
        ("/set temperature hot", "/set temperature: 'hot'"),
        ("/set temperature -1", "temperature: -1.0"),
        ("/load /nowhere.json", "cannot be read"),
        ("/find cat", "/find: no picture"),
        ("/clear now", "/clear: 'now'"),
        ("/preview oil", "--preview: 'oil'"),
    ],
)
def test_the_first_error_of_a_script_ends_it(line: str, words: str, chatted: Chatted, server: FakeServer) -> None:
    result = chatted(line, "Unheard?")
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert server.chats == []


def test_a_failing_server_ends_a_script(chatted: Chatted, server: FakeServer) -> None:
    server.replies = [error(400, "too\nmuch \x1b[2J")]
    result = chatted("One?")
    assert result.exit_code == 2
    assert "HTTP 400 some_error: too much \\x1b[2J" in result.stderr


def test_hostile_answers_are_shown_inert(chatted: Chatted, server: FakeServer) -> None:
    server.replies = [streamed("\x1b]0;title\x07", "a\rb\x1b", "[2J", "\u202e\x9b")]
    result = chatted("One?")
    assert result.stdout == "\\x1b]0;title\\x07a\\rb\\x1b[2J\\u202e\\x9b\n"


def test_a_local_model(run: Run, checkpoint: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANYRES_BASE_URL", raising=False)
    options = ("-m", checkpoint, "--max-tokens", "3", "--temperature", "0", "--quiet")
    result = run("chat", photo, *options, stdin=b"What?\n/regenerate\n/history\n")
    assert result.exit_code == 0, result.output
    said, asked, _ = result.stdout.partition("user: [photo.png] What?\nassistant: ")
    assert asked
    assert said[: len(said) // 2] == said[len(said) // 2 :] != ""
    assert result.stderr == ""


def test_options_of_a_local_model_mean_nothing_elsewhere(chatted: Chatted) -> None:
    for option in (("--dtype", "float32"), ("--device", "cpu"), ("--memory", "8GB")):
        result = chatted("One?", arguments=option)
        assert result.exit_code == 2
        assert f"{option[0]}: {option[1]!r} for a model at" in result.stderr


# As in a terminal.


def test_an_error_does_not_end_the_chat(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [error(400, "no"), streamed("Hi.")]
    talk = talk_of(server, "/nonsense", "One?", KeyboardInterrupt, "Two?")
    talk.run()
    out, err = capsys.readouterr()
    assert out == "Hi.\n"
    assert err.count("anyres: ") == 2
    assert "Ctrl-D" in err
    assert said(server) == [("user", "Two?")]


def test_a_question_without_an_answer_keeps_its_pictures(server: FakeServer, photo: Path) -> None:
    server.replies = [error(500), streamed("Hi.")]
    talk = talk_of(server, f"{photo}", "One?", "Two?")
    talk.run()
    assert isinstance(talk.reader, Lines)
    assert talk.reader.prompts == ["> ", "[photo.png] > ", "[photo.png] > ", "> "]
    assert [part["type"] for part in server.body["messages"][0]["content"]] == ["image_url", "text"]


def test_dropped_files_are_attached(server: FakeServer, photo: Path) -> None:
    avi = photo.parent / "clip.avi"
    write_clip(avi)
    talk = talk_of(server, f"'{photo}' What is in {avi}?", f"What is in {avi} then?", f'"{photo}"')
    talk.run()
    first, _, second, _, block, _ = talk.conversation.turns
    assert [type(part) for part in first.parts] == [ImagePart, TextPart]
    assert first.parts[1] == TextPart(f"What is in {avi}?")
    assert [type(part) for part in second.parts] == [VideoPart, TextPart]
    assert second.parts[1] == TextPart("What is in then?")
    assert block.content == str(photo)


def test_an_answer_that_breaks_off_is_not_kept(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [Reply([chunk({"content": "Hi"})], content_type=SSE), streamed("Hi.")]
    talk = talk_of(server, "One?", "/regenerate", "One more?", "/regenerate")
    talk.run()
    assert capsys.readouterr().out == "Hi\nHi.\nHi.\n"
    assert [turn.role for turn in talk.conversation.turns] == ["user", "assistant"]


def test_regenerating_keeps_the_old_answer_where_none_comes(server: FakeServer) -> None:
    server.replies = [streamed("Old."), error(500)]
    talk = talk_of(server, "One?", "/regenerate")
    talk.run()
    assert talk.conversation.turns == [Message("user", "One?"), Message("assistant", "Old.")]


def test_ctrl_c_stops_the_answer_only(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies = [streamed("One", " two"), streamed("Hi.")]
    talk = talk_of(server, "Go on.", "And?")
    written: list[str] = []

    def interrupted(text: str) -> None:
        written.append(text)
        if text == " two":
            raise KeyboardInterrupt

    monkeypatch.setattr("anyres.cli.chat.write", interrupted)
    talk.run()
    assert said(server) == [("user", "Go on."), ("assistant", "One two"), ("user", "And?")]
    assert "stopped" in capsys.readouterr().err


def test_ctrl_c_before_the_first_word_takes_the_question_back(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, photo: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    talk = talk_of(server, f"'{photo}' One?")
    monkeypatch.setattr(talk.model, "stream_chat", interrupted)
    talk.run()
    assert talk.conversation.turns == []
    assert [one.name for one in talk.conversation.waiting] == ["photo.png"]


def test_changing_the_model(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    talk = talk_of(server, "/model", "/model second", "One?")
    talk.run()
    assert capsys.readouterr().out == "* first\n  second\n  first\n* second\nHi there.\n"
    assert server.body["model"] == "second"


def test_finding(server: FakeServer, capsys: pytest.CaptureFixture[str], photo: Path) -> None:
    server.replies = [completion("<|box_start|>(100,200),(500,1000)<|box_end|>"), completion("There is none.")]
    talk = talk_of(server, f"/image {photo}", "/find the cat", "/find a dog")
    talk.run()
    out, err = capsys.readouterr()
    assert out == "  the cat: 9 12 45 60\n"
    assert "nothing found" in err
    assert talk.conversation.turns == []


def test_places_in_an_answer_are_told_in_pixels_and_drawn(
    server: FakeServer, capsys: pytest.CaptureFixture[str], photo: Path
) -> None:
    """The photo has 90 by 60 pixels."""
    box = Box(100, 200, 500, 999, "cat", "thousandths").text
    server.replies = [streamed(f"A {box} looks at <|box_start|>(500,500)<|box_end|>."), streamed("No place.")]
    talk_of(server, f"/image {photo}", "Where?", "And?", mode="kitty").run()
    out, err = capsys.readouterr()
    assert "  cat: 9 12 45 60\n  cat: 45 30\n" in err
    assert out.count("\x1b_Ga=T") == 2  # the picture as it was attached, and with the marks


def test_places_without_a_picture_stay_words(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [streamed("<|box_start|>(100,200),(500,999)<|box_end|>")]
    talk_of(server, "Where?").run()
    assert ":" not in capsys.readouterr().err


def test_previews_are_our_own_escapes(server: FakeServer, capsys: pytest.CaptureFixture[str], photo: Path) -> None:
    server.replies = [completion("<|box_start|>(100,200),(500,1000)<|box_end|>")]
    talk_of(server, f"/image {photo}", "/find cat", mode="kitty").run()
    assert capsys.readouterr().out.count("\x1b_Ga=T") == 2


def test_dropping_what_waits(server: FakeServer, photo: Path) -> None:
    talk = talk_of(server, f"/image {photo} {photo}", "/drop", "One?")
    talk.run()
    assert said(server) == [("user", "One?")]


# Commands.


def test_every_command_is_told_by_help(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    talk_of(server, "/help").run()
    shown = capsys.readouterr().out
    assert all(f"  {command.name} " in shown for command in COMMANDS)
    assert set(completions()) == {command.name for command in COMMANDS}


@pytest.mark.parametrize("line", ["/help", "/?", "/nonsense", "/set a b"])
def test_commands_are_told_from_questions(line: str) -> None:
    assert is_command(line)


@pytest.mark.parametrize(
    "line", ["/home/me/a.png", "/tmp is a folder", "/", "/ 2", "a /help", "", "/1", "/" + "x" * 300, "/\x00"]
)
def test_questions_are_told_from_commands(line: str) -> None:
    assert not is_command(line)


@pytest.mark.parametrize(
    ("line", "name"),
    [("/reg", "/regenerate"), ("/quit", "/exit"), ("/bye", "/exit"), ("/? x", "/help"), ("/und", "/undo")],
)
def test_short_and_other_names(line: str, name: str) -> None:
    assert find_command(line)[0].name == name


def test_setting_and_unsetting() -> None:
    options, knobs = GenerationOptions(), MediaKnobs()
    for name, text in (("temperature", "0.5"), ("stop", "'a b' c"), ("max_pixels", "checkpoint"), ("fps", "2")):
        options, knobs = changed(options, knobs, name, text)
    assert (options.temperature, options.stop, knobs.max_pixels, knobs.fps) == (0.5, ("a b", "c"), "checkpoint", 2.0)
    for name in ("temperature", "stop", "max_pixels", "fps"):
        options, knobs = changed(options, knobs, name, "")
    assert (options, knobs) == (GenerationOptions(), MediaKnobs())


def test_set_shows_what_is_set(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    talk_of(server, "/set", "/set top-p 0.5", "/set stop x", "/set").run()
    assert capsys.readouterr().out == "  top_p 0.5\n  stop 'x'\n"


# The other commands, elsewhere.


def test_ask_elsewhere(run: Run, server: FakeServer, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("ask", photo, "What?", "--base-url", server.base_url, "--api-key", "k", "--model", "m")
    assert (result.exit_code, result.stdout) == (0, "Hi there.\n")
    assert server.chats[0].headers["authorization"] == "Bearer k"
    server.replies = [completion("Hi.")]
    monkeypatch.setenv("ANYRES_BASE_URL", server.base_url)
    monkeypatch.setenv("ANYRES_API_KEY", "from-the-environment")
    result = run("ask", photo, "What?", "--json")
    assert '"model": "first", "text": "Hi."' in result.stdout
    assert server.chats[-1].headers["authorization"] == "Bearer from-the-environment"


def test_find_elsewhere(run: Run, server: FakeServer, photo: Path, tmp_path: Path) -> None:
    server.replies = [completion("(100,200),(500,1000)")]
    drawn = tmp_path / "drawn.png"
    result = run("find", photo, "cat", "--base-url", server.base_url, "--json", "--draw", drawn)
    assert result.exit_code == 0, result.output
    assert '"boxes": [{"label": "", "x1": 9.0, "y1": 12.0, "x2": 45.0, "y2": 60.0}]' in result.stdout
    assert drawn.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--api-key", "k"), "--api-key: given without an address"),
        (("--base-url", "nonsense"), "base_url: 'nonsense'"),
        (("--base-url", "http://127.0.0.1:1/v1", "-m", "m"), "cannot be reached"),
        (("--base-url", "http://a/v1", "--dtype", "float32"), "--dtype: 'float32' for a model at http://a/v1"),
    ],
)
def test_bad_endpoints(
    arguments: tuple[str, ...], words: str, run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANYRES_BASE_URL", raising=False)
    monkeypatch.setattr("anyres.client.retry.FIRST_PAUSE_S", 0.01)
    for command in (("ask", "Hello"), ("find", photo, "cat"), ("chat",)):
        result = run(*command, *arguments, stdin=b"Hello\n")
        assert result.exit_code == 2
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
