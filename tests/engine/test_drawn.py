"""The pictures that weights are rounded for."""

import hashlib

import numpy as np
import pytest

from anyres.engine.drawn import COLOURS, READ, drawn_pictures, drawn_prompts
from anyres.processing.processor import Processor
from tests.engine.conftest import write_checkpoint


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Processor:
    return Processor.from_folder(write_checkpoint(tmp_path_factory.mktemp("drawn")))


def fingerprint(count: int) -> str:
    drawn = [(np.asarray(picture).tobytes(), question, answer) for picture, question, answer in drawn_pictures(count)]
    return hashlib.sha256(repr(drawn).encode()).hexdigest()


def test_they_are_the_same_on_every_call() -> None:
    assert fingerprint(9) == fingerprint(9)


def test_no_two_are_alike_and_each_shows_something() -> None:
    pictures = [np.asarray(picture) for picture, _, _ in drawn_pictures(24)]
    assert len({one.tobytes() for one in pictures}) == 24
    assert all(float(one.std()) > 3 for one in pictures)


def test_answers_are_true() -> None:
    """Of shapes, the last one named is seen, covered by none, and so is the ground; print is dark on light."""
    for picture, question, answer in drawn_pictures(30):
        pixels = np.asarray(picture).reshape(-1, 3)
        if question == READ:
            assert answer
            assert pixels.min() < 90 < 200 <= np.median(pixels)
        elif " on " in answer:
            *shapes, ground = answer.removesuffix(".").replace(" on ", " and ").split(" and ")
            colours = {tuple(pixel) for pixel in pixels.tolist()}
            assert COLOURS[ground] in colours
            assert COLOURS[shapes[-1].split()[1]] in colours


def test_prompts_hold_picture_question_and_answer(processor: Processor) -> None:
    prompts = drawn_prompts(processor, count=6)
    assert len(prompts) == 6
    for prompt, (_, question, answer) in zip(prompts, drawn_pictures(6), strict=True):
        ids = prompt.token_ids_T.tolist()
        for words in (question, answer):
            wanted = processor.tokenizer.encode_text(words)
            assert any(ids[i : i + len(wanted)] == wanted for i in range(len(ids)))
        assert len(prompt.visuals) == 1
