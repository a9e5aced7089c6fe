"""`anyres ask`, on a random checkpoint, and on a fake model where the words of the answer matter."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.chat import (
    Answer,
    AnswerStream,
    GenerationOptions,
    ImagePart,
    Message,
    Piece,
    TextPart,
    Timings,
    TokenLogprob,
    Usage,
    VideoPart,
)
from anyres.cli.ask import ask, split_arguments
from anyres.cli.terminal import escape
from anyres.constraints import Choices, Constraint, JsonSchema, Regex
from anyres.engine.runner import Progress
from anyres.errors import OptionError
from anyres.processing.processor import Processor, prompt_usage
from tests.cli.conftest import Run

GREEDY = ("--max-tokens", "6", "--temperature", "0", "--dtype", "float32")
ANSWER = Answer("Hi there.", "stop", Usage(20, 64, 0, 3), Timings(0.1, 0.2, 0.3, 0.5), notes=("a.png: shrunk",))


class FakeModel:
    """Says what it is told to, and keeps what it was asked."""

    name = "fake"

    def __init__(self, pieces: Sequence[str], answer: Answer = ANSWER) -> None:
        self.pieces, self.result = pieces, answer
        self.messages: Sequence[Message] = ()
        self.options = GenerationOptions()

    def chat(self, messages: Sequence[Message], *, options: GenerationOptions) -> Answer:
        self.messages, self.options = messages, options
        return self.result

    def stream_chat(
        self,
        messages: Sequence[Message],
        *,
        options: GenerationOptions,
        report: Callable[[Progress], None] | None = None,
    ) -> AnswerStream:
        self.messages, self.options = messages, options
        return AnswerStream(self._generate(report))

    def _generate(self, report: Callable[[Progress], None] | None) -> Generator[Piece, None, Answer]:
        if report is not None:
            report(Progress("encode", 1, 2, 0, 100))
            report(Progress("prefill", 1, 1, 120, 120))
        for piece in self.pieces:
            yield Piece(piece)
        return self.result


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    model = FakeModel(["Hi", " there."])
    monkeypatch.setattr("anyres.engine.load.load", lambda name, **knobs: model)
    return model


def asked(run: Run, checkpoint: Path, *arguments: str | Path, stdin: bytes | None = None) -> dict[str, Any]:
    result = run("ask", *arguments, "-m", checkpoint, "--json", *GREEDY, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return dict(json.loads(result.stdout))


def test_json_and_stream_say_the_same(run: Run, checkpoint: Path, photo: Path) -> None:
    whole = asked(run, checkpoint, photo, "What is this?")
    streamed = run("ask", photo, "What is this?", "-m", checkpoint, "--quiet", *GREEDY)
    assert streamed.exit_code == 0
    assert streamed.stderr == ""
    assert streamed.stdout == escape(whole["text"]) + "\n"
    assert whole["finish_reason"] in ("stop", "length")
    assert whole["usage"]["completion_tokens"] <= 6
    assert set(whole["timings"]) == {"prepare_s", "encode_s", "prefill_s", "decode_s", "wait_s"}
    assert whole["model"] == str(checkpoint)


def test_usage_is_that_of_the_processor(run: Run, checkpoint: Path, photo: Path, clip: Path) -> None:
    processor = Processor.from_folder(checkpoint)
    parts = (ImagePart(photo), ImagePart(photo), VideoPart(clip, nframes=4), TextPart("What?"))
    expected = prompt_usage(processor.prepare([Message("user", parts)]))
    usage = asked(run, checkpoint, photo, photo, "What?", "--video", clip, "--nframes", "4")["usage"]
    assert usage["image_tokens"] == expected.image_tokens > 0
    assert usage["video_tokens"] == expected.video_tokens > 0
    assert usage["text_tokens"] == expected.text_tokens
    assert usage["prompt_tokens"] == expected.prompt_tokens


def test_stdin_is_the_same_as_the_path(run: Run, checkpoint: Path, photo: Path) -> None:
    by_path = asked(run, checkpoint, photo, "What?")
    for arguments in (("-", "What?"), ("What?", "-")):
        by_stdin = asked(run, checkpoint, *arguments, stdin=photo.read_bytes())
        assert by_stdin["text"] == by_path["text"]
        assert by_stdin["usage"] == by_path["usage"]


def test_a_clip_from_stdin(run: Run, checkpoint: Path, clip: Path) -> None:
    by_path = asked(run, checkpoint, "What?", "--video", clip)
    assert asked(run, checkpoint, "What?", "--video", "-", stdin=clip.read_bytes())["text"] == by_path["text"]


def test_data_and_file_addresses(run: Run, checkpoint: Path, photo: Path) -> None:
    by_path = asked(run, checkpoint, photo, "What?")
    assert asked(run, checkpoint, photo.as_uri(), "What?")["text"] == by_path["text"]


def test_words_alone(run: Run, checkpoint: Path) -> None:
    usage = asked(run, checkpoint, "Hello")["usage"]
    assert (usage["image_tokens"], usage["video_tokens"]) == (0, 0)


def test_pixel_limits_change_the_tokens(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (150, 120)).save(picture)

    def tokens(*knobs: str) -> int:
        return int(asked(run, checkpoint, picture, "What?", *knobs)["usage"]["image_tokens"])

    assert tokens("--resized-height", "84", "--resized-width", "140") == 15
    assert tokens("--max-pixels", "3136") < tokens()
    assert tokens("--min-pixels", "50000") > tokens()
    assert tokens("--max-pixels", "checkpoint") == tokens()


def test_logprobs_are_printed_with_json(run: Run, checkpoint: Path, photo: Path) -> None:
    logprobs = asked(run, checkpoint, photo, "What?", "--logprobs", "2")["logprobs"]
    assert all(one["logprob"] <= 0 and len(one["top"]) == 2 for one in logprobs)


def test_a_shrunk_picture_is_noted_on_stderr(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (1200, 900)).save(large)
    result = run("ask", large, "What?", "-m", checkpoint, *GREEDY)
    assert result.stderr.startswith("note: large.png: shrunk from 1200x900 to ")
    assert run("ask", large, "What?", "-m", checkpoint, "--quiet", *GREEDY).stderr == ""
    assert asked(run, checkpoint, large, "What?")["notes"][0].startswith("large.png: shrunk")


def test_the_answer_is_the_only_thing_on_stdout(run: Run, fake: FakeModel) -> None:
    result = run("ask", "Hello")
    assert result.stdout == "Hi there.\n"
    assert result.stderr == "note: a.png: shrunk\n"


def test_control_characters_of_the_answer_are_not_obeyed(run: Run, fake: FakeModel) -> None:
    fake.pieces = ["\x1b]0;title\x07", "a\rb\x1b", "[2J", "\u202e", " fin\tish\nline"]
    result = run("ask", "Hello")
    assert result.stdout == "\\x1b]0;title\\x07a\\rb\\x1b[2J\\u202e fin\tish\nline\n"


def test_control_characters_in_json_are_escaped_and_read_back(run: Run, fake: FakeModel) -> None:
    text = "\x1b[2J\x9b\x7f\u202e"
    fake.result = Answer(
        text, "stop", notes=("\x1b[31m.png",), logprobs=(TokenLogprob("\x1b", -0.5, (("\x9b", -1.0),)),)
    )
    result = run("ask", "Hello", "--json", "--logprobs", "1")
    assert result.stdout.isascii()
    assert json.loads(result.stdout)["text"] == text
    assert json.loads(result.stdout)["logprobs"][0]["top"] == [["\x9b", -1.0]]


def test_every_option_reaches_the_model(run: Run, fake: FakeModel) -> None:
    options = "--max-tokens 7 --temperature 0.5 --top-p 0.9 --top-k 40 --min-p 0.1 --repetition-penalty 1.1 --seed 3"
    result = run("ask", "a.png", "Hello", *options.split(), "--stop", "x", "--stop", "yz", "--system", "Be brief.")
    assert result.exit_code == 0
    assert fake.options == GenerationOptions(
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        repetition_penalty=1.1,
        seed=3,
        stop=("x", "yz"),
    )
    assert fake.messages == [
        Message("system", "Be brief."),
        Message("user", (ImagePart(Path("a.png")), TextPart("Hello"))),
    ]


def test_every_knob_reaches_its_part(run: Run, fake: FakeModel) -> None:
    knobs = "--min-pixels 1 --max-pixels 2 --fps 3 --start 5 --end 6 --total-pixels 7"
    run("ask", "a.png", "http://example.org/b.png", "Hello", "--video", "c.mp4", *knobs.split())
    (message,) = fake.messages
    clip = VideoPart(Path("c.mp4"), fps=3.0, start=5.0, end=6.0, min_pixels=1, max_pixels=2, total_pixels=7)
    pictures = [ImagePart(one, 1, 2) for one in (Path("a.png"), "http://example.org/b.png")]
    assert message.content == (*pictures, clip, TextPart("Hello"))


def test_every_form_reaches_the_model(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "integer"}')
    expected: list[tuple[tuple[str, str], Constraint]] = [
        (("--json-schema", str(schema)), JsonSchema('{"type": "integer"}')),
        (("--regex", "[0-9]+"), Regex("[0-9]+")),
        (("--choices", "yes, no"), Choices(("yes", "no"))),
    ]
    for arguments, constraint in expected:
        assert run("ask", "Hello", *arguments).exit_code == 0
        assert fake.options == GenerationOptions(constraint=constraint)
    run("ask", "Hello", "--no-stop-loops")
    assert fake.options == GenerationOptions(stop_loops=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Hello", "--json-schema", "nowhere.json"), "--json-schema: nowhere.json cannot be read"),
        (("Hello", "--regex", "a", "--choices", "b"), "--regex and --choices: given together"),
        (("Hello", "--choices", "a,,b"), "choices"),
        (("Hello", "--temperature", "-1"), "temperature: -1.0; allowed"),
        (("Hello", "--temperature", "nan"), "temperature: nan; allowed"),
        (("Hello", "--top-p", "2"), "top_p"),
        (("Hello", "--max-tokens", "0"), "max_tokens"),
        (("Hello", "--max-pixels", "many"), "--max-pixels: 'many'; allowed"),
        (("Hello", "--fps", "2"), "--fps: 2.0, but no clip is given; allowed: with --video FILE"),
        (("Hello", "--logprobs", "1"), "--logprobs: given without --json"),
        (("Hello", "--stop", ""), "stop"),
        (("-",), "QUESTION: '-' is a file"),
        (("-", "-"), "QUESTION: '-' is a file"),
        (("-", "-", "Hello"), "-: given more than once"),
        (("a.png", " "), "QUESTION: empty"),
        (("Hello", "--model", "no/such"), "no/such: "),
        (("Hello", "--model", "no-such"), "no-such: no such folder"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], words: str, run: Run) -> None:
    result = run("ask", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_options_of_the_model(run: Run, checkpoint: Path) -> None:
    for option, value in (("--dtype", "float8"), ("--device", "toaster")):
        result = run("ask", "Hello", "-m", checkpoint, option, value)
        assert result.exit_code == 2
        assert value in result.stderr


def test_a_question_that_is_a_file_is_refused(photo: Path) -> None:
    with pytest.raises(OptionError, match="words behind the pictures"):
        split_arguments(["What?", str(photo)])
    assert split_arguments(["x" * 5000]).question == "x" * 5000
    assert split_arguments(["zero\0byte"]).pictures == []


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_and_summary_on_a_terminal(run: Run, fake: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    screen, out = Screen(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    ask(["Hello"])
    assert out.getvalue() == "Hi there.\n"
    assert "Loading the embedded checkpoint" in screen.getvalue()
    assert "64 image + 20 text tokens, 0.6 s until the first word, 4 tokens/s" in screen.getvalue()
    screen.truncate(0)
    ask(["Hello"], quiet=True)
    assert screen.getvalue().strip("\0") == ""


SLOW = """
import sys, time
from anyres.chat import Answer, AnswerStream, Piece
class Slow:
    name = "slow"
    def stream_chat(self, messages, *, options, report=None):
        def pieces():
            for number in range(2000):
                yield Piece("word " * 40)
                time.sleep(0.01)
            return Answer("", "stop")
        return AnswerStream(pieces())
import anyres.engine.load as loading
loading.load = lambda name, **knobs: Slow()
sys.argv = ["anyres", "ask", "Hello"]
from anyres.cli import main
main()
"""


def started(code: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    # A shell's background job starts with Ctrl-C ignored, and hands that down to its children.
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, env=environment)
    finally:
        signal.signal(signal.SIGINT, heeded)


def test_ctrl_c_is_quiet() -> None:
    with started(SLOW) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"word"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b""


def test_a_reader_that_leaves_is_no_error() -> None:
    with started(SLOW) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(4) == b"word"
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == 141
    assert errors == b""


def test_the_first_words_do_not_wait_for_the_last() -> None:
    with started(SLOW) as process:
        assert process.stdout is not None
        process.stdout.read(4)
        before = time.monotonic()
        process.stdout.read(4)
        assert time.monotonic() - before < 10
        process.kill()
        process.communicate()


@pytest.mark.parametrize("quiet", [False, True])
def test_memory_is_passed_on_and_what_it_chose_is_said(
    quiet: bool, run: Run, checkpoint: Path, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = ("--memory", "8GB", *(["--quiet"] if quiet else []))
    result = run("ask", photo, "What?", "-m", checkpoint, *GREEDY, *options)
    assert result.exit_code == 0, result.output
    assert ("weights in float32, pictures up to 1280 visual tokens" in caplog.text) is not quiet


def test_a_draft_model_says_the_same(run: Run, checkpoint: Path, photo: Path) -> None:
    plain, drafted = (
        run("ask", photo, "What?", "-m", checkpoint, *GREEDY, *more) for more in ((), ("--draft", checkpoint))
    )
    assert drafted.exit_code == 0, drafted.output
    assert drafted.stdout == plain.stdout
    refused = run("ask", photo, "What?", "-m", checkpoint, "--draft", "no/such-model")
    assert refused.exit_code == 2
    assert "no/such-model" in refused.stderr
