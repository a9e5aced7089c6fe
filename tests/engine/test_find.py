"""`model.find` from a file to boxes in its pixels, on a tiny model whose logits say what the test wants to be said."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

from anyres.chat import GenerationOptions, ImagePart, Message
from anyres.engine.engine import LocalChatModel
from anyres.engine.kv_cache import KVCache
from anyres.engine.load import load
from anyres.engine.options import EngineOptions
from anyres.engine.runner import Feed, Passed, Progress, Runner
from anyres.errors import MediaError, OptionError
from anyres.grounding import Box, parse_grounding
from anyres.model_input import ModelInput
from anyres.processing.tokenizer import Tokenizer
from tests.engine.conftest import write_checkpoint
from tests.oracle import IM_END, SPECIAL_IDS, VOCAB_SIZE

CAT = "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(250,500),(500,750)<|box_end|>"
TWO = CAT + "<|box_start|>(0,0),(999,1000)<|box_end|>"


class Prompter(Runner):
    """Runs the real model, and then makes each token of `script` in turn the likeliest by far."""

    script: Sequence[int] = ()
    said = 0

    def forward(self, cache: KVCache, feeds: Sequence[Feed]) -> Passed:
        passed = super().forward(cache, feeds)
        assert not passed.failed
        for number in passed.logits:
            passed.logits[number] = torch.nn.functional.one_hot(torch.tensor(self.script[self.said]), VOCAB_SIZE) * 1e2
            self.said = (self.said + 1) % len(self.script)
        return passed


class Watched(LocalChatModel):
    last: ModelInput

    def _prepared(self, messages: Sequence[Message]) -> ModelInput:
        self.last = super()._prepared(messages)
        return self.last


@dataclass(frozen=True)
class Told:
    """A model and a way to tell what it will answer."""

    model: Watched
    runner: Prompter

    def say(self, text: str) -> None:
        self.runner.script, self.runner.said = [*ids_of(text), IM_END], 0

    @property
    def prompt(self) -> str:
        """The words of the last prompt, without special tokens."""
        return self.model.processor.tokenizer.decode(self.model.last.token_ids_T.tolist())


def ids_of(text: str) -> list[int]:
    """One id a byte, and those of special tokens."""
    for token, number in SPECIAL_IDS.items():
        if text.startswith(token):
            return [number, *ids_of(text[len(token) :])]
    return [*text[:1].encode(), *ids_of(text[1:])] if text else []


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    plain = load(write_checkpoint(tmp_path_factory.mktemp("told")), device="cpu", dtype="float32")
    runner = Prompter(plain.model)
    alone = EngineOptions(guesses=0)  # the script knows one token at a time
    return Told(Watched(plain.model, plain.processor, defaults=plain.defaults, runner=runner, engine=alone), runner)


def photo(width: int = 640, height: int = 480, *, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(file, "JPEG", exif=exif)
    return file.getvalue()


SMALL = {"max_pixels": 28 * 28 * 12}


def test_the_answer_keeps_its_marks(told: Told) -> None:
    told.say(TWO)
    assert told.model.ask(photo(), "?", **SMALL).text == TWO


def test_boxes_are_in_pixels_of_the_picture(told: Told) -> None:
    """And not of what it was resized to."""
    told.say(TWO)
    expected = [Box(160, 240, 320, 360, "cat"), Box(0, 0, 639.36, 480, "cat")]
    assert told.model.find(photo(), "the cat", **SMALL) == expected
    assert told.model.find(photo(), "the cat", resized_height=56, resized_width=28) == expected
    assert told.model.find(ImagePart(photo(), max_pixels=3136), "the cat") == expected
    assert told.model.find(told.model.encode(photo(), **SMALL), "the cat") == expected


def test_a_turned_picture_is_told_upright(told: Told) -> None:
    told.say(CAT)
    (box,) = told.model.find(photo(orientation=6), "cat", **SMALL)
    assert box == Box(120, 320, 240, 480, "cat")
    assert box.to_stored(6, width=480, height=640) == Box(320, 240, 480, 360, "cat")


def test_the_question_is_the_one_it_knows(told: Told) -> None:
    told.say(CAT)
    told.model.find(photo(), "the Save button", **SMALL)
    assert told.prompt.endswith("user\nFind the Save button.\nassistant\n")
    told.model.find(photo(), "the Save button", question="Locate {}", **SMALL)
    assert told.prompt.endswith("user\nLocate the Save button\nassistant\n")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("There is no cat.", 0),
        ("", 0),
        ("<|box_start|>(1,2)<|box_end|>", 0),
        ("<|box_start|>(1769,1013),(1778,1027)<|box_end|>", 0),
        (CAT + "<|box_start|>(1,2),(3", 1),
        ("the cat(250,500),(500,750)", 1),
    ],
)
def test_what_is_not_there_or_not_readable(text: str, count: int, told: Told) -> None:
    told.say(text)
    assert len(told.model.find(photo(), "cat", **SMALL)) == count


def test_options_and_report_reach_the_model(told: Told) -> None:
    told.say(TWO)
    stages: list[Progress] = []
    short = GenerationOptions(max_tokens=len(ids_of(CAT)))
    told.model.vision_cache.clear()
    assert len(told.model.find(photo(), "cat", options=short, report=stages.append, **SMALL)) == 1
    assert {one.stage for one in stages} == {"encode", "prefill"}


def test_bad_input(told: Told) -> None:
    calls: list[tuple[type[Exception], Callable[[], object]]] = [
        (OptionError, lambda: told.model.find(photo(), "")),
        (OptionError, lambda: told.model.find(photo(), "cat", question="Where is it?")),
        (OptionError, lambda: told.model.find(told.model.encode(photo(), **SMALL), "cat", max_pixels=3136)),
        (MediaError, lambda: told.model.find(b"nothing", "cat")),
        (MediaError, lambda: told.model.find([photo(), photo()], "cat")),
        (MediaError, lambda: told.model.find(None, "cat")),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()


def test_bad_words_are_refused_before_the_picture_is_opened(told: Told) -> None:
    with pytest.raises(OptionError, match="what: ''"):
        told.model.find("no such file.png", "")


def test_the_embedded_checkpoint_answers_with_boxes() -> None:
    """Whatever it says, no box lies outside of the picture; where it says a box, find gives it."""
    model = load(device="cpu", dtype="float32")
    picture = Image.new("RGB", (112, 112), "white")
    picture.paste((215, 30, 35), (30, 40, 80, 90))
    text = model.ask(picture, "Find the red square.").text
    found = model.find(picture, "the red square")
    assert found == [box.to_pixels(width=112, height=112) for box in parse_grounding(text).boxes]
    assert all(0 <= box.x1 <= box.x2 <= 112 and 0 <= box.y1 <= box.y2 <= 112 for box in found)


def test_its_vocabulary_has_the_marks() -> None:
    tokenizer = Tokenizer.from_folder(Path(__file__).parents[2] / "anyres/checkpoints/tiny")
    for token in ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"):
        assert tokenizer.token_bytes(tokenizer.special_id(token)) == token.encode()
