"""Two checkpoints that are opened together, and those that do not go together."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from anyres.chat import GenerationOptions
from anyres.engine.checkpoint import Opened, open_checkpoint
from anyres.engine.estimate import PROGRAM_BYTES
from anyres.engine.load import load
from anyres.engine.options import EngineOptions
from anyres.engine.pairing import check_pair, open_pair
from anyres.errors import AnyresError, OptionError
from anyres.model.hub import resolve
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model, save_model
from anyres.processing.tokenizer import Tokenizer
from tests.engine.draft_pairs import padded

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint with noise, its table of tokens padded to another size."""
    folder: Path = tmp_path_factory.mktemp("small")
    shutil.copytree(resolve(None), folder, dirs_exist_ok=True)
    save_model(padded(load_model(folder, dtype=torch.float32), noise=0.05, rows=50), folder)
    return folder


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_checkpoint(resolve(None), device=CPU, dtype="float32")


def test_the_published_padding_is_no_difference(small: Path) -> None:
    """2062 rows and 2112, as 151,936 and 152,064 in the published files; each has its own weights."""
    pair = open_pair(resolve(None), small, device=CPU, dtype="float32")
    assert [one.model.config.text.vocab_size for one in pair] == [2062, 2112]
    given, taken = (one.model.state_dict()["model.norm.weight"] for one in pair)
    assert not torch.equal(given, taken)


def test_load_takes_a_draft(small: Path) -> None:
    """A folder; the answer is the one without, and the draft guesses where it is let."""
    greedy = GenerationOptions(temperature=0.0, max_tokens=30)
    plain = load(device="cpu", dtype="float32", cache=False)
    model = load(device="cpu", dtype="float32", cache=False, draft=small, engine=EngineOptions(guess_share=1.0))
    question = "Repeat: one two three one two three"
    for _ in range(2):
        assert model.ask(None, question, options=greedy).text == plain.ask(None, question, options=greedy).text


def with_words(one: Opened, changes: dict[str, str]) -> Opened:
    """With the special tokens of these names called otherwise."""
    spec = json.loads((resolve(None) / "tokenizer.json").read_text())
    for token in spec["added_tokens"]:
        token["content"] = changes.get(token["content"], token["content"])
    return Opened(one.model, replace(one.processor, tokenizer=Tokenizer(spec)))


def test_other_words_are_refused(opened: Opened) -> None:
    check_pair(opened, with_words(opened, {}), item="draft x")
    start, end = (opened.processor.tokenizer.special_id(one) for one in ("<|im_start|>", "<|im_end|>"))
    with pytest.raises(OptionError) as caught:
        check_pair(opened, with_words(opened, {"<|im_end|>": "<|done|>"}), item="draft x")
    assert (caught.value.item, caught.value.seen) == ("draft x", f"id {end} stands for b'<|done|>'")
    swapped = {"<|im_start|>": "<|im_end|>", "<|im_end|>": "<|im_start|>"}
    with pytest.raises(OptionError, match=f"id {min(start, end)} stands for .*, as in the model it is to draft for"):
        check_pair(opened, with_words(opened, swapped), item="draft x")


def test_a_tokenizer_that_lacks_a_word_is_refused(opened: Opened) -> None:
    spec = json.loads((resolve(None) / "tokenizer.json").read_text())
    (missing,) = (token for token in spec["added_tokens"] if token["content"] == "<|quad_end|>")
    spec["added_tokens"].remove(missing)
    fewer = Opened(opened.model, replace(opened.processor, tokenizer=Tokenizer(spec)))
    for one, other in ((opened, fewer), (fewer, opened)):
        with pytest.raises(OptionError, match=f"id {missing['id']} stands for"):
            check_pair(one, other, item="draft x")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("model", {"image_token_id": 9}),
        ("vision", {"patch_size": 16}),
        ("vision", {"temporal_patch_size": 1}),
        ("image_config", {"image_mean": (0.5, 0.5, 0.5)}),
    ],
)
def test_other_patches_are_refused(opened: Opened, part: str, changes: dict[str, Any]) -> None:
    """Named with both values."""
    model, processor = Qwen2VL.__new__(Qwen2VL), opened.processor
    torch.nn.Module.__init__(model)
    model.config = opened.model.config
    if part == "image_config":
        processor = replace(processor, image_config=replace(processor.image_config, **changes))
    elif part == "vision":
        model.config = replace(model.config, vision=replace(model.config.vision, **changes))
    else:
        model.config = replace(model.config, **changes)
    with pytest.raises(OptionError) as caught:
        check_pair(opened, Opened(model, processor), item="draft x")
    ((name, value),) = changes.items()
    assert name in caught.value.seen
    assert str(value) in caught.value.seen


def test_memory_is_shared(small: Path) -> None:
    """Of what is left beside the program each gets as much as its files are of both."""
    with pytest.raises(OptionError) as caught:
        open_pair(resolve(None), small, device=CPU, memory="460MB")
    assert caught.value.item == "memory"
    pair = open_pair(resolve(None), small, device=CPU, memory=PROGRAM_BYTES + 500_000_000)
    assert pair.target.processor.default_max_pixels == min(one.processor.default_max_pixels for one in pair)


def test_a_draft_that_is_not_there(tmp_path: Path) -> None:
    for name in ("no/such-model", tmp_path):
        with pytest.raises(AnyresError):
            load(device="cpu", draft=name)


def test_a_draft_that_is_another_kind_of_model(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    raw = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw | {"model_type": "llama"}))
    with pytest.raises(AnyresError, match="qwen2_vl"):
        load(device="cpu", draft=tmp_path)
