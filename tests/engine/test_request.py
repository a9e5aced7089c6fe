"""A checkpoint's defaults, and one answer from token to token."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anyres.chat import GenerationOptions, Piece, TokenLogprob, Usage
from anyres.engine.detokenizer import Detokenizer
from anyres.engine.request import GenerationDefaults, Sequence, silent_ids
from anyres.engine.sampler import Sampler, SamplingOptions
from anyres.errors import AnyresError, CheckpointError
from anyres.model_input import ModelInput
from tests.oracle import IM_END, SPECIAL_IDS, VOCAB_SIZE, byte_tokenizer, prompt, tiny_config

CONFIG, TOKENIZER = tiny_config(), byte_tokenizer()


def defaults(folder: Path, raw: object) -> GenerationDefaults:
    (folder / "generation_config.json").write_text(json.dumps(raw))
    return GenerationDefaults.from_folder(folder, CONFIG, TOKENIZER)


FORM_A = {"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.0}
FORM_B = FORM_A | {"temperature": 0.1, "repetition_penalty": 1.05, "eos_token_id": [258, 256], "pad_token_id": 256}


def test_without_a_file_greedy_to_the_end_of_the_turn(tmp_path: Path) -> None:
    found = GenerationDefaults.from_folder(tmp_path, CONFIG, TOKENIZER)
    assert found.eos_token_ids == {IM_END}
    assert found.resolve(GenerationOptions()).greedy


@pytest.mark.parametrize(
    ("eos", "expected"), [(258, {258}), ([258, 256], {258, 256}), (None, {IM_END}), ([9999], {9999})]
)
def test_ends_are_read(tmp_path: Path, eos: object, expected: set[int]) -> None:
    assert defaults(tmp_path, {"eos_token_id": eos}).eos_token_ids == expected


def test_the_published_files_are_greedy_with_their_penalty(tmp_path: Path) -> None:
    for raw, penalty in ((FORM_A, 1.0), (FORM_B, 1.05)):
        chosen = defaults(tmp_path, raw).resolve(GenerationOptions())
        assert chosen.greedy
        assert chosen.repetition_penalty == penalty


def test_do_sample_decides_as_in_transformers(tmp_path: Path) -> None:
    raw = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.1}
    assert defaults(tmp_path, raw).resolve(GenerationOptions()).greedy
    assert defaults(tmp_path, raw | {"do_sample": False}).resolve(GenerationOptions()).greedy
    drawn = defaults(tmp_path, raw | {"do_sample": True}).resolve(GenerationOptions())
    assert drawn == SamplingOptions(0.7, 20, 0.8, 0.1)


def test_a_request_that_draws_draws_by_its_own_knobs(tmp_path: Path) -> None:
    file = defaults(tmp_path, FORM_B)
    assert file.resolve(GenerationOptions(temperature=0.7)) == SamplingOptions(0.7, repetition_penalty=1.05)
    assert file.resolve(GenerationOptions(top_p=0.9, repetition_penalty=1.0)) == SamplingOptions(top_p=0.9)
    assert file.resolve(GenerationOptions(temperature=0.0)).greedy
    assert file.resolve(GenerationOptions(seed=3, presence_penalty=0.5)).greedy
    everything = GenerationOptions(
        temperature=0.5, top_p=0.6, top_k=7, min_p=0.1, repetition_penalty=1.2, presence_penalty=0.1, seed=1, logprobs=2
    )
    expected = SamplingOptions(0.5, 7, 0.6, 0.1, 1.2, 0.1, seed=1, logprobs=2)
    assert file.resolve(everything) == expected


def test_length_of_an_answer(tmp_path: Path) -> None:
    file = defaults(tmp_path, {"max_new_tokens": 50})
    assert file.max_tokens(GenerationOptions(), 1000) == 50
    assert file.max_tokens(GenerationOptions(max_tokens=70), 1000) == 70
    assert file.max_tokens(GenerationOptions(max_tokens=70), 30) == 30
    assert defaults(tmp_path, FORM_A).max_tokens(GenerationOptions(), 9999) == 1024


@pytest.mark.parametrize(
    ("raw", "item"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": "high"}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_new_tokens": 0}, "max_tokens"),
        ({"eos_token_id": "end"}, "eos_token_id"),
        ({"eos_token_id": [1, None]}, "eos_token_id"),
        ([], "generation_config.json"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, raw: object, item: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        defaults(tmp_path, raw)
    assert "generation_config.json" in caught.value.item
    assert caught.value.item.endswith(item)


def test_boxes_stay_in_the_text() -> None:
    kept = set(SPECIAL_IDS.values()) - silent_ids(TOKENIZER)
    assert kept == {
        number for token, number in SPECIAL_IDS.items() if "box" in token or "quad" in token or "ref" in token
    }


def spoken(
    one: ModelInput, *, stop: tuple[str, ...] = (), logprobs: int | None = None, max_tokens: int = 50
) -> Sequence:
    options = SamplingOptions(0.0, logprobs=logprobs)
    return Sequence(
        one,
        usage=Usage(5, 6, 7),
        sampler=Sampler(options, one.token_ids_T, torch.zeros(VOCAB_SIZE, dtype=torch.bool)),
        detokenizer=Detokenizer(TOKENIZER.token_bytes, silent_ids=silent_ids(TOKENIZER), stop=stop),
        tokenizer=TOKENIZER,
        max_tokens=max_tokens,
        eos_token_ids=frozenset({IM_END}),
    )


def says(token_id: int) -> Tensor:
    logits_V = torch.zeros(VOCAB_SIZE)
    logits_V[token_id] = 9
    return logits_V


def dictate(sequence: Sequence, *parts: str | int) -> list[Piece]:
    """Bytes of strings, or ids, until the answer ends."""
    ids = [token_id for part in parts for token_id in (part.encode() if isinstance(part, str) else [part])]
    taken = (sequence.take(says(token_id)) for token_id in ids if sequence.finish_reason is None)
    return [piece for piece in taken if piece is not None]


TEXT = prompt(CONFIG, [4])


@pytest.mark.parametrize(
    ("parts", "stop", "text", "reason", "tokens"),
    [
        (("yes", IM_END), (), "yes", "stop", 4),
        (("héé",), (), "héé", "length", 5),
        (("one\n\ntwo",), ("\n\n",), "one", "stop", 5),
        (("one\n", IM_END), ("\n\n",), "one\n", "stop", 5),
        (("one\nn",), ("\n\n",), "one\nn", "length", 5),
        ((SPECIAL_IDS["<|box_start|>"], "(1", IM_END), (), "<|box_start|>(1", "stop", 4),
        (("a", SPECIAL_IDS["<|vision_end|>"], "b", IM_END), (), "ab", "stop", 4),
        ((IM_END,), (), "", "stop", 1),
        (("abc世",), (), "abc", "length", 5),  # cut off inside a character
    ],
)
def test_an_answer_ends(
    parts: tuple[str | int, ...], stop: tuple[str, ...], text: str, reason: str, tokens: int
) -> None:
    sequence = spoken(TEXT, stop=stop, max_tokens=5)
    pieces = dictate(sequence, *parts)
    answer = sequence.answer()
    assert (answer.text, answer.finish_reason) == (text, reason)
    assert "".join(map(str, pieces)) == text
    assert answer.usage == Usage(5, 6, 7, completion_tokens=tokens)
    assert answer.logprobs is None


def test_logprobs_travel_with_the_text_they_are_of() -> None:
    sequence = spoken(TEXT, stop=("\n\n",), logprobs=1)
    pieces = dictate(sequence, "aé\n", IM_END)
    assert [(piece.text, len(piece.logprobs)) for piece in pieces] == [("a", 1), ("é", 2), ("\n", 1)]
    logprob = float(says(97).log_softmax(-1)[97])
    assert sequence.answer().logprobs[0] == TokenLogprob("a", logprob, (("a", logprob),))
    assert sequence.answer().logprobs == tuple(one for piece in pieces for one in piece.logprobs)


def test_logprobs_of_the_last_tokens_come_even_without_text() -> None:
    sequence = spoken(TEXT, stop=("ab",), logprobs=0)
    pieces = dictate(sequence, "ab")
    assert [(piece.text, len(piece.logprobs)) for piece in pieces] == [("", 2)]
    assert sequence.answer().text == ""


def test_seconds_add_up() -> None:
    sequence = spoken(TEXT)
    sequence.spend(decode_s=0.5, encode_s=1.0)
    sequence.spend(decode_s=0.25)
    timings = sequence.answer().timings
    assert (timings.decode_s, timings.encode_s, timings.prefill_s) == (0.75, 1.0, 0.0)


def test_options_out_of_range_are_refused() -> None:
    for wrong in (
        {"max_tokens": 0},
        {"temperature": -0.1},
        {"top_p": 1.1},
        {"logprobs": 21},
        {"stop": ("",)},
        {"seed": 0.5},
    ):
        with pytest.raises(AnyresError, match=next(iter(wrong))):
            GenerationOptions(**wrong)
