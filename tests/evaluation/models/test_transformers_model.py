"""A random LLaVA of transformers in a process of its own says what it says when asked directly."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.errors import CheckpointError, EngineError, OptionError
from anyres.evaluation.models.opening import open_model
from anyres.evaluation.models.query import Query
from anyres.evaluation.models.spec import parse_model
from anyres.evaluation.models.transformers_model import TransformersModel
from tests.oracle import SPECIAL_IDS, byte_tokenizer

PICTURE = Path(__file__).parents[3] / "examples" / "heading.png"
SIDE, PATCH = 28, 14
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image_pad|>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
QUESTION = Query(
    (Message("user", (ImagePart(PICTURE), TextPart("Read it."))),), GenerationOptions(max_tokens=8, temperature=0.0)
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LLaVA's classes with one token a byte."""
    folder = tmp_path_factory.mktemp("llava")
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    end, pad = SPECIAL_IDS["<|im_end|>"], SPECIAL_IDS["<|endoftext|>"]
    heads: dict[str, Any] = {"num_attention_heads": 2}
    text = transformers.LlamaConfig(
        **sizes, **heads, num_key_value_heads=2, vocab_size=288, eos_token_id=end, bos_token_id=None, pad_token_id=pad
    )
    vision = transformers.CLIPVisionConfig(**sizes, **heads, image_size=SIDE, patch_size=PATCH)
    config = transformers.LlavaConfig(vision, text, image_token_index=SPECIAL_IDS["<|image_pad|>"])
    torch.manual_seed(1)
    model = transformers.LlavaForConditionalGeneration(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    byte_tokenizer()._backend.save(str(folder / "tokenizer.json"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_input_names=["input_ids", "attention_mask"],
    )
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    transformers.LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        image_token="<|image_pad|>",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def model(checkpoint: Path) -> Iterator[TransformersModel]:
    opened = open_model(replace(parse_model(f"transformers:{checkpoint}"), dtype="float32"))
    assert isinstance(opened, TransformersModel)
    yield opened
    opened.close()


def direct(checkpoint: Path) -> str:
    library: Any = transformers
    processor = library.AutoProcessor.from_pretrained(checkpoint)
    model = library.LlavaForConditionalGeneration.from_pretrained(checkpoint).eval()
    inputs = processor(
        images=Image.open(PICTURE).convert("RGB"), text="user: <|image_pad|>Read it.\nassistant: ", return_tensors="pt"
    )
    ids = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    return str(processor.decode(ids[0][inputs["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.mark.filterwarnings("default")
def test_it_says_what_it_says_when_asked_directly(model: TransformersModel, checkpoint: Path) -> None:
    told = model.ask(QUESTION)
    assert told.answer is not None, told.error
    assert told.answer.text == direct(checkpoint)
    assert told.answer.usage.prompt_tokens > 4
    assert told.latency_s > 0
    assert model.ask(QUESTION).answer == told.answer

    missing = model.ask(replace(QUESTION, messages=(Message("user", (ImagePart("no.png"),)),)))
    assert missing.error.startswith("MediaError: no.png")
    many = replace(QUESTION, options=GenerationOptions(max_tokens=10**9))
    assert model._process is not None
    os.kill(model._process.pid, signal.SIGKILL)
    assert "process of transformers died" in model.ask(many).error
    assert model.ask(QUESTION).answer == told.answer, "it is started again"


def test_what_does_not_open_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    model = open_model(parse_model(f"transformers:{tmp_path}"))
    with pytest.raises(CheckpointError, match="a model that transformers opens"):
        model.ask(QUESTION)


def test_an_interpreter_that_does_not_run_is_told(checkpoint: Path) -> None:
    spec = parse_model(f"transformers:{checkpoint}")
    with pytest.raises(OptionError, match="--python"):
        open_model(replace(spec, python="/no/such/python")).ask(QUESTION)
    with pytest.raises(EngineError, match="ended at once"):
        open_model(replace(spec, python="/bin/true")).ask(QUESTION)


def test_another_interpreter_or_dtype_is_another_identity(checkpoint: Path) -> None:
    spec = parse_model(f"transformers:{checkpoint}")
    others = [spec, replace(spec, python=sys.executable), replace(spec, dtype="bfloat16")]
    assert len({open_model(one).identity for one in others}) == 3
    assert open_model(spec).at_once == 1
