"""Making a quantised checkpoint: what is written, what is measured, and what is left when something goes wrong."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from anyres.errors import CheckpointError, OptionError
from anyres.kernels.reference import exact_linear
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import count_parameters, load_model, save_model
from anyres.quant.card import Card, Loss, Probe, compare, log_probabilities, page, read_card, warning_of
from anyres.quant.linear import Nf4Linear, QuantizedLinear, QuantizedTable
from anyres.quant.load import load_checkpoint
from anyres.quant.parts import bits_of
from anyres.quant.quantise import Method, Progress, _bits, check_target, quantise
from tests.oracle import picture, prompt, tiny_config, tiny_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "small"
    save_model(tiny_model(tiny_config()), folder)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "notes.md").write_text("of the source alone")
    return folder


def probes(model: Qwen2VL) -> list[Probe]:
    return [Probe(prompt(model.config, [3, picture(model.config, (1, 4, 4), seed=i), 9], seed=i), 8) for i in range(2)]


def made(source: Path, target: Path, to: Method, **options: object) -> Card:
    model = load_model(source)
    return quantise(source, target, to=to, model=model, probes=probes(model), compute=exact_linear, **options)


def opened(folder: Path) -> Qwen2VL:
    return load_checkpoint(folder, device=CPU, dtype=torch.float32, compute=exact_linear)


@pytest.mark.parametrize("to", ["int8", "int4", "nf4"])
def test_the_result_opens_and_its_card_says_how_far_it_is(to: Method, source: Path, tmp_path: Path) -> None:
    card = made(source, tmp_path / "out", to)
    model = opened(tmp_path / "out")
    reference = [log_probabilities(load_model(source), probe) for probe in probes(model)]
    again = compare(model, probes(model), reference)
    assert again.kl_mean == pytest.approx(card.loss.kl_mean, rel=1e-2)
    assert again.top1 == card.loss.top1
    assert read_card(tmp_path / "out") == card
    assert card.loss.positions == 2 * 11
    assert card.loss.kl_mean < {"int8": 0.01, "int4": 2.0, "nf4": 2.0}[to]
    assert (card.source, card.method, card.questions) == ("small", to, 2)


def test_int8_is_far_nearer_than_int4(source: Path, tmp_path: Path) -> None:
    losses = [made(source, tmp_path / to, to).loss.kl_mean for to in ("int8", "int4")]
    assert losses[0] < losses[1] / 20


def test_layers_are_kept_in_the_bits_the_card_says(source: Path, tmp_path: Path) -> None:
    card = made(source, tmp_path / "out", "int4")
    model = opened(tmp_path / "out")
    for name, layer in model.named_modules():
        if isinstance(layer, QuantizedLinear | QuantizedTable):
            assert layer.packed.bits == bits_of(card.bits, name)
    assert isinstance(model.model.embed_tokens, QuantizedTable)
    assert isinstance(model.lm_head, QuantizedLinear)
    assert card.bits["decoder"] == 4
    tried = ("vision", "tables", "q_proj", "k_proj", "v_proj", "o_proj")
    assert set(card.parts) == {f"{part} in 4 bits alone" for part in tried}


def test_a_part_that_suffers_in_four_bits_is_kept_in_eight(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyres.quant.quantise.HARMLESS_KL", 0.0)
    monkeypatch.setattr("anyres.quant.quantise.BEARABLE_KL", 100.0)
    assert made(source, tmp_path / "strict", "int4").bits == {"decoder": 4, "vision": 8, "tables": 8}
    monkeypatch.setattr("anyres.quant.quantise.HARMLESS_KL", 100.0)
    assert made(source, tmp_path / "easy", "int4").bits == {"decoder": 4, "vision": 4, "tables": 4}


def test_the_source_is_unchanged_by_the_trials(source: Path, tmp_path: Path) -> None:
    model = load_model(source)
    before = {name: id(one) for name, one in model.named_modules()}
    quantise(source, tmp_path / "out", to="int4", model=model, probes=probes(model), compute=exact_linear)
    assert {name: id(one) for name, one in model.named_modules()} == before


def test_rounding_for_what_the_pictures_show_loses_less(source: Path, tmp_path: Path) -> None:
    config = load_model(source).config
    prompts = [prompt(config, [3, picture(config, (1, 8, 8), seed=i), 40], seed=i) for i in range(20, 60)]
    plain = made(source, tmp_path / "plain", "int4")
    taught = made(source, tmp_path / "taught", "int4", prompts=prompts)
    assert (plain.calibrated, taught.calibrated) == (False, True)
    assert taught.bits == plain.bits
    assert taught.loss.kl_mean < 0.8 * plain.loss.kl_mean


def test_the_same_prompts_give_the_same_file(source: Path, tmp_path: Path) -> None:
    prompts = [prompt(load_model(source).config, [20], seed=i) for i in range(5)]
    files = []
    for name in ("one", "two"):
        made(source, tmp_path / name, "int4", prompts=prompts)
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1]


def test_prompts_change_nothing_of_what_has_eight_bits(source: Path, tmp_path: Path) -> None:
    prompts = [prompt(load_model(source).config, [20])]
    made(source, tmp_path / "one", "int8")
    card = made(source, tmp_path / "two", "int8", prompts=prompts)
    assert not card.calibrated
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_kinds_of_layers_that_suffer_are_kept_in_eight_bits() -> None:
    costs = {"q_proj": 0.02, "k_proj": 0.001, "v_proj": 0.009, "o_proj": float("nan"), "vision": 0.1, "tables": 0.001}
    trials = {part: Loss(9, kl, kl, 1.0) for part, kl in costs.items()}
    assert _bits("int4", trials) == {"decoder": 4, "vision": 8, "tables": 4, "q_proj": 8, "o_proj": 8}
    assert _bits("int8", {}) == {"decoder": 8, "vision": 8, "tables": 8}


def test_weights_on_disk_are_packed_and_used_where_they_lie(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path / "out", "int8")
    path = tmp_path / "out" / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
    layer = "model.layers.0.mlp.up_proj"
    assert {f"{layer}.weight.{part}" for part in ("layout", "codes", "scales", "minimums")} <= names
    assert f"{layer}.weight" not in names
    packed = opened(tmp_path / "out").get_submodule(layer).packed
    maps = (line.split() for line in Path("/proc/self/maps").read_text().splitlines())
    ranges = [[int(end, 16) for end in one[0].split("-")] for one in maps if one[-1] == str(path.resolve())]
    assert any(start <= packed.codes.data_ptr() < stop for start, stop in ranges)  # the file's own bytes, no copy
    assert packed.codes.data_ptr() % 64 == 0


def test_opening_imports_no_compiler(source: Path, tmp_path: Path) -> None:
    """torch._dynamo takes longer to import than all else that opening takes."""
    made(source, tmp_path / "out", "int8")
    program = f"""
import sys, pathlib, torch
from anyres.kernels.reference import exact_linear
from anyres.quant.load import load_checkpoint
folder = pathlib.Path({str(tmp_path / "out")!r})
load_checkpoint(folder, device=torch.device("cpu"), dtype=torch.float32, compute=exact_linear)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_folder_holds_what_a_checkpoint_needs(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path / "out", "int8")
    names = {one.name for one in (tmp_path / "out").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "quantization_card.json", "QUANTIZATION.md"}
    section = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert section["quant_method"] == "anyres"
    assert count_parameters(tmp_path / "out") == count_parameters(source)


def test_nf4_is_bitsandbytes_layout(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path / "out", "nf4")
    section = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert (section["quant_method"], section["bnb_4bit_quant_type"]) == ("bitsandbytes", "nf4")
    model = opened(tmp_path / "out")
    assert isinstance(model.model.layers[0].mlp.up_proj, Nf4Linear)
    assert torch.equal(model.visual.patch_embed.proj.weight, load_model(source).visual.patch_embed.proj.weight)


def test_progress_goes_from_nothing_to_all(source: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    made(source, tmp_path / "out", "int4", report=told.append)
    shares = [one.share for one in told]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] > 0.9
    assert [*dict.fromkeys(one.stage for one in told)] == [
        "reading with the source",
        "trying 4 bits",
        "writing",
        "measuring",
    ]


def test_a_target_that_is_there_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="exists"):
        made(source, tmp_path, "int8")
    assert list(tmp_path.iterdir()) == []


def test_what_is_quantised_is_not_quantised_again(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path / "out", "int8")
    with pytest.raises(CheckpointError, match="quantised already"):
        check_target(tmp_path / "out", tmp_path / "two")


def test_without_a_text_to_measure_on_nothing_is_made(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="probes"):
        quantise(source, tmp_path / "out", to="int8", model=load_model(source), probes=[], compute=exact_linear)


def test_a_full_disk_is_told_before_anything_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(CheckpointError, match=r"GB to write, 0.0 GB free"):
        made(source, tmp_path / "out", "int8")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, name: str, tensor: torch.Tensor) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anyres.quant.writer._Shard._write", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        made(source, tmp_path / "out", "int8")
    assert list(tmp_path.iterdir()) == []


def test_a_stop_half_way_leaves_nothing_but_what_the_next_run_removes(source: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "writing" and progress.share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(source, tmp_path / "out", "int8", report=stop)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "model.safetensors").write_text("of a run that was killed")
    made(source, tmp_path / "out", "int8")
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("part", ["layout", "codes", "scales", "minimums"])
def test_a_packed_tensor_that_does_not_fit_is_named(part: str, source: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    made(source, tmp_path / "out", "int8")
    path, name = tmp_path / "out" / "model.safetensors", f"model.layers.0.mlp.up_proj.weight.{part}"
    tensors = load_file(path)
    save_file(tensors | {name: tensors[name][:-1].contiguous()}, path)
    with pytest.raises(CheckpointError, match=r"model.layers.0.mlp.up_proj"):
        opened(tmp_path / "out")
    save_file({key: one for key, one in tensors.items() if key != name}, path)
    with pytest.raises(CheckpointError, match=r"up_proj"):
        opened(tmp_path / "out")


def test_no_card_and_a_bad_card_are_told() -> None:
    loss = Loss(100, 0.01, 0.05, 0.99)
    card = Card("m", "int4", {"decoder": 4}, 10, 20, 3, False, loss)
    assert warning_of(card, "m") is None
    assert "nobody measured" in (warning_of(None, "m") or "")
    assert "KL 0.500 nats" in (warning_of(replace(card, loss=replace(loss, kl_mean=0.5)), "m") or "")
    assert "80.0%" in (warning_of(replace(card, loss=replace(loss, top1=0.8)), "m") or "")
    assert replace(loss, kl_mean=float("nan")).bad


def test_the_page_shows_each_figure() -> None:
    card = Card(
        "m",
        "int4",
        {"decoder": 4},
        10**6,
        4 * 10**6,
        3,
        True,
        Loss(100, 0.0123, 0.05, 0.991),
        {"vision": Loss(9, 0.5, 0.6, 0.5)},
    )
    text = page(card)
    assert "| **whole model** | 100 | 0.01230 | 0.05000 | 99.1% |" in text
    assert "| vision | 9 |" in text


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "quantization_card.json").write_text('{"loss": {}}')
    with pytest.raises(CheckpointError, match="no card"):
        read_card(tmp_path)


def test_a_model_against_itself_loses_nothing(source: Path) -> None:
    model = load_model(source)
    reference = [log_probabilities(model, probe) for probe in probes(model)]
    loss = compare(model, probes(model), reference)
    assert loss.kl_mean < 1e-6
    assert loss.top1 == 1
    assert loss.positions == 22
