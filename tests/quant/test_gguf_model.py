"""A model out of llama.cpp's own files: weights bit for bit, logits as llama.cpp's, errors that name what is wrong."""

import gzip
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import anyres
from anyres.chat import GenerationOptions
from anyres.errors import CheckpointError
from anyres.kernels.reference import exact_linear
from anyres.model.language import CausalAttention
from anyres.quant.ggml_blocks import dense
from anyres.quant.gguf import read_gguf
from anyres.quant.gguf_model import GGUFModel, load_gguf
from anyres.quant.linear import QuantizedLinear, QuantizedTable
from tests.oracle import picture, relative_error, tiny_model
from tests.quant.small import GOLDENS, gguf_config

HERE = GOLDENS / "quant_gguf"
EXPECTED = json.loads((HERE / "expected.json").read_text())
FILES = {"text": "small.gguf", "vision": "mmproj-small.gguf"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES.values():
        (tmp_path / name).write_bytes(gzip.decompress((HERE / f"{name}.gz").read_bytes()))
    return tmp_path


def opened(folder: Path) -> GGUFModel:
    return load_gguf(folder / "small.gguf", device=torch.device("cpu"), dtype=torch.float32, compute=exact_linear)


def text_logits(model: anyres.LocalChatModel | GGUFModel, tokens: list[int]) -> Tensor:
    ids_T = torch.tensor(tokens)
    positions_3T = torch.arange(len(tokens)).expand(3, -1)
    with torch.no_grad():
        net = model.model
        return net.head(net(net.embed(ids_T), positions_3T, CausalAttention([len(tokens)])))


@pytest.mark.parametrize("part", FILES)
def test_every_tensor_is_bit_for_bit_what_gguf_py_dequantises(part: str, folder: Path) -> None:
    file = read_gguf(folder / FILES[part])
    assert file.tensors.keys() == EXPECTED[part].keys()
    for name, info in file.tensors.items():
        values = dense(file.raw(name), info.block, info.shape).float().contiguous() + 0.0  # -0 counts as 0
        assert hashlib.sha256(values.numpy().tobytes()).hexdigest() == EXPECTED[part][name], name


def test_logits_are_those_of_llama_cpp(folder: Path) -> None:
    """It rounds activations to 8 bits, and keeps keys and values in float16."""
    with np.load(HERE / "logits.npz") as stored:
        theirs = torch.from_numpy(stored["logits"])
    ours = text_logits(opened(folder), EXPECTED["tokens"])
    assert relative_error(ours, theirs) < 0.02
    assert (ours.argmax(-1) == theirs.argmax(-1)).float().mean() > 0.9


def test_every_type_keeps_its_codes(folder: Path) -> None:
    model = opened(folder).model
    kept = {"q_proj": (4, 32), "k_proj": (8, 32), "v_proj": (6, 16), "o_proj": (4, 32)}
    for name, (bits, group) in kept.items():
        layer = model.get_submodule(f"model.layers.0.self_attn.{name}")
        assert isinstance(layer, QuantizedLinear)
        assert (layer.packed.bits, layer.packed.group) == (bits, group)
    assert isinstance(model.model.embed_tokens, QuantizedTable)


def test_the_vision_encoder_is_that_of_the_source(folder: Path) -> None:
    model, source = opened(folder).model, tiny_model(gguf_config())
    assert model.config.vision == source.config.vision
    assert torch.equal(model.visual.patch_embed.proj.weight, source.visual.patch_embed.proj.weight.half().float())
    visual = picture(model.config, (1, 4, 4))
    with torch.no_grad():
        ours, theirs = (one.encode(visual.patches(), [visual.grid_thw]) for one in (model, source))
    assert relative_error(ours, theirs) < 2e-3


def test_sizes_and_ids_are_those_of_the_source(folder: Path) -> None:
    config, source = opened(folder).model.config, gguf_config()
    assert config.text.mrope_section == source.text.mrope_section
    assert (config.text.hidden_size, config.text.vocab_size) == (256, source.text.vocab_size)
    assert not config.text.tie_word_embeddings
    assert (config.image_token_id, config.eos_token_id) == (source.image_token_id, source.eos_token_id)


def test_the_tokenizer_in_the_file_reads_and_writes(folder: Path) -> None:
    tokenizer = opened(folder).tokenizer
    assert tokenizer.encode_text("then") == [ord("t"), 270, ord("n")]
    assert tokenizer.decode(tokenizer.encode_text("<|im_end|> ja, même 猫")) == "<|im_end|> ja, même 猫"
    assert tokenizer.special_id("<|im_end|>") == 258


def test_a_tokenizer_beside_the_file_goes_first(folder: Path) -> None:
    from anyres.processing.tokenizer import byte_alphabet, tokenizer_spec
    from tests.oracle import SPECIAL_IDS

    vocab = {char: value for value, char in enumerate(byte_alphabet())}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_spec(vocab, [], SPECIAL_IDS)))
    assert opened(folder).tokenizer.encode_text("he") == [ord("h"), ord("e")]


def test_load_opens_the_file_and_answers(folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    model = anyres.load(folder / "small.gguf", device="cpu")
    photo = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((56, 56)).convert("RGB").save(photo)
    options = GenerationOptions(max_tokens=4, temperature=0.0)
    first, second = (model.ask(photo, "What?", options=options) for _ in range(2))
    assert first.usage.completion_tokens == 4
    assert first.text == second.text


def test_a_projector_has_to_lie_beside_it(folder: Path) -> None:
    (folder / "mmproj-small.gguf").unlink()
    with pytest.raises(CheckpointError, match="projector files beside it: none"):
        opened(folder)


def test_two_projectors_are_one_too_many(folder: Path) -> None:
    (folder / "mmproj-other.gguf").write_bytes((folder / "mmproj-small.gguf").read_bytes())
    with pytest.raises(CheckpointError, match=r"mmproj-other.gguf, mmproj-small.gguf; allowed: one"):
        opened(folder)


def test_files_in_each_other_s_place_are_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer.ggml.model: None"):
        load_gguf(
            folder / "mmproj-small.gguf",
            device=torch.device("cpu"),
            dtype=torch.float32,
            compute=exact_linear,
            projector=folder / "small.gguf",
        )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"qwen2vl.block_count", b"qwen2vl.block_coumt", "qwen2vl.block_count: None; allowed: int"),
        (b"blk.0.attn_k.weight", b"blk.0.attn_x.weight", "no tensor blk.0.attn_k.weight"),
        (b"blk.0.ffn_norm", b"blk.0.ffn_nerm", "no tensor blk.0.ffn_norm.weight"),
        (b"<|image_pad|>", b"<|image_bad|>", "no special token <|image_pad|>"),
    ],
)
def test_what_is_missing_is_named(old: bytes, new: bytes, words: str, folder: Path) -> None:
    path = folder / "small.gguf"
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(CheckpointError) as caught:
        opened(folder)
    assert words in str(caught.value)


def test_sizes_that_no_tensor_has_are_refused(folder: Path) -> None:
    path = folder / "small.gguf"
    key = b"qwen2vl.feed_forward_length" + struct.pack("<I", 4)
    content = path.read_bytes()
    assert key in content
    path.write_bytes(content.replace(key + struct.pack("<I", 256), key + struct.pack("<I", 512)))
    with pytest.raises(CheckpointError, match=r"ffn_gate.weight \[256, 256\]; allowed: \[512, 256\]"):
        opened(folder)
