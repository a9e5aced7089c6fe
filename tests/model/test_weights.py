"""Checkpoints against transformers 4.57.6 in both directions, every spelling of the names, and every kind of damage."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen2VLConfig as OracleConfig
from transformers import Qwen2VLForConditionalGeneration

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.errors import CheckpointError, OptionError
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import PATCH_EMBED, count_parameters, hub_key, load_model, save_model, weight_files

VISION = VisionConfig(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, hidden_size=48)
TEXT = TextConfig(
    hidden_size=48,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=3,
    num_key_value_heads=1,
    vocab_size=80,
    mrope_section=(2, 3, 3),
)
CONFIG = Qwen2VLConfig(
    vision=VISION,
    text=TEXT,
    bos_token_id=70,
    eos_token_id=71,
    vision_start_token_id=72,
    vision_end_token_id=73,
    vision_token_id=74,
    image_token_id=75,
    video_token_id=76,
    torch_dtype="float32",
)
SHAPES = {
    "tied": {"tie_word_embeddings": True},
    "untied": {"tie_word_embeddings": False},
    "as many key heads as query heads": {"num_key_value_heads": 3},
}
GRID = (1, 4, 6)
IDS = [1, 2, 72, *[75] * 6, 73, 3, 4, 5, 6]


def config_for(shape: str) -> Qwen2VLConfig:
    return replace(CONFIG, text=replace(TEXT, **SHAPES[shape]))


def oracle_for(config: Qwen2VLConfig) -> Qwen2VLForConditionalGeneration:
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration(OracleConfig(**config.to_dict())).eval()
    for name, parameter in model.named_parameters():  # biases and norms start at 0 and 1: a swapped pair must show
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.2)
    return model


def pixels() -> Tensor:
    return torch.randn(24, 1176, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def oracle_logits(model: Qwen2VLForConditionalGeneration) -> Tensor:
    ids = torch.tensor([IDS])
    out = model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=pixels(),
        image_grid_thw=torch.tensor([GRID]),
        position_ids=oracle_positions(model),
    )
    return out.logits[0]


def oracle_positions(model: Qwen2VLForConditionalGeneration) -> Tensor:
    return model.model.get_rope_index(torch.tensor([IDS]), torch.tensor([GRID]))[0]


@torch.no_grad()
def our_logits(model: Qwen2VL, positions_3T: Tensor) -> Tensor:
    embeds_TD = model.embed(torch.tensor(IDS), model.encode(pixels(), [GRID]))
    return model.head(model(embeds_TD, positions_3T, CausalAttention([len(IDS)])))


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def our_model(config: Qwen2VLConfig = CONFIG, dtype: torch.dtype = torch.float32) -> Qwen2VL:
    torch.manual_seed(0)
    return Qwen2VL(config, dtype=dtype)


def same_tensors(first: Qwen2VL, second: Qwen2VL) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "model.safetensors"
    state = {key: tensor.clone() for key, tensor in load_file(path).items()}
    save_file(change(state), path, metadata={"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An untied checkpoint in one file."""
    save_model(our_model(), tmp_path)
    return tmp_path


# Against transformers.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shard", ["5GB", "40KB"])
def test_what_transformers_saves_gives_the_same_logits(tmp_path: Path, shape: str, shard: str) -> None:
    oracle = oracle_for(config_for(shape))
    oracle.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "40KB")
    ours = load_model(tmp_path)
    assert relative_error(our_logits(ours, oracle_positions(oracle)[:, 0]), oracle_logits(oracle)) <= 1e-5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("max_shard_bytes", [5_000_000_000, 40_000])
def test_transformers_loads_what_we_save(tmp_path: Path, shape: str, max_shard_bytes: int) -> None:
    ours = our_model(config_for(shape))
    save_model(ours, tmp_path, max_shard_bytes=max_shard_bytes)
    oracle, report = Qwen2VLForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    theirs = oracle_logits(oracle.eval())
    assert relative_error(our_logits(ours, oracle_positions(oracle)[:, 0]), theirs) <= 1e-5


def test_the_file_holds_the_published_layout(tmp_path: Path) -> None:
    oracle = oracle_for(config_for("tied"))
    oracle.save_pretrained(tmp_path / "theirs")
    save_model(load_model(tmp_path / "theirs"), tmp_path / "ours")
    theirs, ours = (load_file(tmp_path / name / "model.safetensors") for name in ("theirs", "ours"))
    assert ours.keys() == {hub_key(key) for key in theirs}
    assert {key: tensor.shape for key, tensor in theirs.items()} == {key: tensor.shape for key, tensor in ours.items()}
    assert ours[PATCH_EMBED].shape == (32, 3, 2, 14, 14)


# Round trips of our own.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_round_trip_keeps_every_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    model = our_model(dtype=dtype)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert again.dtype == dtype
    assert not again.training
    assert same_tensors(model, again)


def test_dtype_can_be_chosen_on_both_ways(folder: Path, tmp_path: Path) -> None:
    half = load_model(folder, dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.bfloat16}
    save_model(load_model(folder), tmp_path / "half", dtype=torch.bfloat16)
    assert json.loads((tmp_path / "half" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert same_tensors(half, load_model(tmp_path / "half"))


def test_shards_stay_below_their_limit_and_the_index_adds_up(tmp_path: Path) -> None:
    model = our_model()
    save_model(model, tmp_path, max_shard_bytes=60_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = weight_files(tmp_path)
    count = len(files)
    assert count > 2
    assert [path.name for path in files] == [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    assert index["weight_map"].keys() == model.state_dict().keys()
    assert index["metadata"]["total_size"] == 4 * count_parameters(tmp_path)
    for path in files:
        tensors = load_file(path)
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors.values()) <= 60_000
    assert same_tensors(model, load_model(tmp_path))


def test_saving_again_leaves_no_old_weights_and_keeps_other_files(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    save_model(our_model(), tmp_path, max_shard_bytes=60_000)
    model = load_model(tmp_path)
    save_model(model, tmp_path)  # over the very files its tensors are mapped from
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert same_tensors(our_model(), load_model(tmp_path))
    assert same_tensors(our_model(), model)


def test_a_save_that_fails_leaves_the_old_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anyres.model.weights.save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_model(our_model(config_for("tied")), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert same_tensors(our_model(), load_model(folder))


def test_training_a_loaded_model_does_not_write_to_the_file(folder: Path) -> None:
    model = load_model(folder)
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert same_tensors(our_model(), load_model(folder))


def test_count_parameters_counts_a_tied_head_once(tmp_path: Path) -> None:
    model = our_model(config_for("tied"))
    save_model(model, tmp_path)
    numel = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(tmp_path) == numel
    rewrite(tmp_path, lambda state: state | {"lm_head.weight": state["model.embed_tokens.weight"].clone()})
    assert count_parameters(tmp_path) == numel


# Names.


def new_style(key: str) -> str:
    if key.startswith("visual."):
        return f"model.{key}"
    return key if key.startswith("lm_head") else f"model.language_model.{key.removeprefix('model.')}"


def bare(key: str) -> str:
    return f"language_model.{key.removeprefix('model.')}" if key.startswith("model.") else key


def vllm(key: str) -> str:
    return key if key.startswith("visual.") else f"language_model.{key}"


SPELLINGS: dict[str, Callable[[str], str]] = {
    "hub": lambda key: key,
    "transformers 4.52": new_style,
    "bare": bare,
    "vllm": vllm,
    "ddp": lambda key: f"module.{key}",
    "compiled": lambda key: f"_orig_mod.{new_style(key)}",
    "ddp of compiled": lambda key: f"module._orig_mod.{key}",
    "checkpointed": lambda key: key.replace("layers.0.", "layers.0._checkpoint_wrapped_module."),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_loads(folder: Path, spelling: str) -> None:
    rewrite(folder, lambda state: {SPELLINGS[spelling](key): tensor for key, tensor in state.items()})
    assert same_tensors(our_model(), load_model(folder))


KEYS = sorted(our_model().state_dict())


@given(key=st.sampled_from(KEYS), spelling=st.sampled_from(sorted(SPELLINGS)))
def test_hub_key_undoes_every_spelling_and_keeps_its_own(key: str, spelling: str) -> None:
    assert hub_key(SPELLINGS[spelling](key)) == key
    assert hub_key(hub_key(key)) == key


def test_a_tied_checkpoint_may_hold_its_head_twice(tmp_path: Path) -> None:
    save_model(our_model(config_for("tied")), tmp_path)
    rewrite(tmp_path, lambda state: state | {"lm_head.weight": torch.zeros(3, 3)})
    assert same_tensors(our_model(config_for("tied")), load_model(tmp_path))


def test_rotary_tables_in_old_files_are_passed_over(folder: Path) -> None:
    rewrite(folder, lambda state: state | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(8)})
    assert same_tensors(our_model(), load_model(folder))


def test_a_flat_patch_embedding_loads(folder: Path) -> None:
    rewrite(folder, lambda state: state | {PATCH_EMBED: state[PATCH_EMBED].flatten(1)})
    assert same_tensors(our_model(), load_model(folder))


# Damage.


def without(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if part not in key}


WRONG_TENSORS = {
    "one missing": (lambda s: without(s, "visual.merger.ln_q.bias"), "1 missing: visual.merger.ln_q.bias; allowed"),
    "head missing": (lambda s: without(s, "lm_head"), "1 missing: lm_head.weight; allowed"),
    "vision missing": (
        lambda s: without(s, "visual."),
        r"31 missing: (visual\.[^,]*, ){7}visual\.\S* and 23 more; all",
    ),
    "one unexpected": (lambda s: s | {"model.extra": torch.ones(1)}, "1 unexpected: model.extra; allowed"),
    "unknown prefix": (
        lambda s: {f"other.{key}": tensor for key, tensor in s.items()},
        r"58 missing: .* and 50 more; 58 unexpected: other\.lm_head.weight, .* and 50 more; allowed",
    ),
    "wrong shape": (
        lambda s: s | {"model.norm.weight": torch.ones(47)},
        r"1 wrongly shaped: model.norm.weight F32 \[47\] instead of \[48\]; allowed",
    ),
    "transposed": (
        lambda s: s | {"visual.merger.mlp.2.weight": s["visual.merger.mlp.2.weight"].T.contiguous()},
        r"visual.merger.mlp.2.weight F32 \[128, 48\] instead of \[48, 128\]",
    ),
    "integers": (
        lambda s: s | {"model.norm.weight": torch.ones(48, dtype=torch.int32)},
        r"1 wrongly shaped: model.norm.weight I32 \[48\] instead of \[48\]",
    ),
    "all at once": (
        lambda s: without(s, "ln_q.bias") | {"a": torch.ones(1), "model.norm.weight": torch.ones(2)},
        "1 missing: .*; 1 unexpected: a; 1 wrongly shaped: model.norm.weight",
    ),
    "two spellings of one": (
        lambda s: s | {"module.model.norm.weight": torch.ones(48)},
        "model.safetensors: module.model.norm.weight, though model.safetensors already holds model.norm.weight",
    ),
}


@pytest.mark.parametrize("case", WRONG_TENSORS)
def test_wrong_tensors_are_listed(folder: Path, case: str) -> None:
    change, message = WRONG_TENSORS[case]
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def double_key(path: Path) -> None:
    """Two entries of one name in the header, as no writer makes them."""
    header = (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    )
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (cut, "bytes, damaged or cut off"),
    "empty": (lambda path: path.write_bytes(b""), "0 bytes, damaged or cut off"),
    "text": (lambda path: path.write_text("not weights" * 9), "99 bytes, damaged or cut off"),
    "huge header": (lambda path: path.write_bytes(b"\xff" * 64), "64 bytes, damaged or cut off"),
    "doubled key": (double_key, "damaged or cut off"),
    "git lfs": (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "no safetensors file"),
    "gone": (Path.unlink, "no safetensors file; allowed: model.safetensors or"),
    "pickle": (lambda path: path.rename(path.with_name("pytorch_model.bin")), r"only pytorch_model.bin, which can run"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_files_are_named(folder: Path, case: str) -> None:
    damage, message = DAMAGE[case]
    damage(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(folder)
    assert str(folder) in caught.value.item


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scratch")
    save_model(our_model(), folder)
    return folder


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_no_damaged_header_escapes_as_another_error(data: st.DataObject, scratch: Path) -> None:
    path = scratch / "model.safetensors"
    whole = path.read_bytes()
    header_bytes = 8 + int.from_bytes(whole[:8], "little")
    place, byte = data.draw(st.integers(0, header_bytes - 1)), data.draw(st.integers(0, 255))
    path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    with suppress(CheckpointError):  # a changed byte of the metadata does no harm
        load_model(scratch)
    path.write_bytes(whole)


def sharded(tmp_path: Path) -> Path:
    save_model(our_model(), tmp_path, max_shard_bytes=60_000)
    return tmp_path


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    gone = weight_files(sharded(tmp_path))[1]
    gone.unlink()
    with pytest.raises(CheckpointError, match=f"missing {gone.name}; allowed: every file"):
        load_model(tmp_path)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    broken = weight_files(sharded(tmp_path))[2]
    cut(broken)
    with pytest.raises(CheckpointError, match=broken.name):
        load_model(tmp_path)


def test_two_shards_with_one_tensor_are_named(tmp_path: Path) -> None:
    first, second, *_ = weight_files(sharded(tmp_path))
    key, tensor = next(iter(load_file(first).items()))
    save_file(load_file(second) | {key: tensor}, second)
    with pytest.raises(CheckpointError, match=f"{second.name}: {key}, though {first.name} already holds {key}"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../outside.safetensors"}, "'../outside.safetensors'; allowed: names of .safetensors files"),
        ({"a": "/etc/passwd"}, "'/etc/passwd'"),
        ({"a": "pytorch_model.bin"}, "'pytorch_model.bin'"),
        ({"a": 3}, "'3'"),
        ({}, "an object of tensor name"),
        ([], "an object of tensor name"),
        (None, "an object of tensor name"),
    ],
)
def test_an_index_may_only_name_files_beside_it(folder: Path, weight_map: object, message: str) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def test_options_that_cannot_be_had(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"torch.int8; allowed: float32, bfloat16, float16"):
        load_model(folder, dtype=torch.int8)
    with pytest.raises(OptionError, match="device: nonsense"):
        load_model(folder, device="nonsense")
    with pytest.raises(OptionError, match="max_shard_bytes: 0"):
        save_model(our_model(), tmp_path, max_shard_bytes=0)
    with pytest.raises(OptionError, match=r"torch.float64"):
        save_model(our_model(), tmp_path, dtype=torch.float64)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_device_that_is_not_there(folder: Path) -> None:
    with pytest.raises(OptionError, match="device: cuda"):
        load_model(folder, device="cuda")


def test_config_with_a_dtype_we_do_not_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": "float8_e4m3fn"}))
    with pytest.raises(CheckpointError, match="torch_dtype: 'float8_e4m3fn'; allowed: float32, bfloat16, float16"):
        load_model(folder)


def test_a_target_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_model(our_model(), tmp_path / "file")


MEASURE_PEAK = """
import re, sys, torch
from pathlib import Path
from anyres.model.weights import load_model
def peak_kb():  # not ru_maxrss, which begins at what the parent used
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak_kb()
model = load_model(Path(sys.argv[1]))
with torch.no_grad():
    for parameter in model.parameters():
        parameter.sum()
print(1024 * (peak_kb() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
@pytest.mark.slow
def test_loading_needs_the_memory_of_the_file_once(tmp_path: Path) -> None:
    text = TextConfig(num_hidden_layers=4, vocab_size=151936, tie_word_embeddings=True)
    config = Qwen2VLConfig(vision=replace(VISION, hidden_size=text.hidden_size), text=text)
    save_model(Qwen2VL(config, dtype=torch.bfloat16), tmp_path)
    file_bytes = (tmp_path / "model.safetensors").stat().st_size
    run = subprocess.run([sys.executable, "-c", MEASURE_PEAK, tmp_path], capture_output=True, text=True, check=True)
    assert 0.9 * file_bytes < int(run.stdout) < 1.15 * file_bytes


def test_weights_are_as_readable_as_the_files_beside_them(tmp_path: Path) -> None:
    save_model(Qwen2VL(CONFIG), tmp_path)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {(tmp_path / "config.json").stat().st_mode & 0o777}
