"""Makes a quantised checkpoint of a dense one: measures, decides what each part is kept in, writes, measures again.

The source is mapped from its files, one tensor or block at a time is turned, and the result is mapped again to be
measured: a 72B passes through a few gigabytes of memory. Nothing is to be seen at the target until all of it is there.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from anyres.config import read_json
from anyres.errors import CheckpointError, OptionError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import PATCH_EMBED
from anyres.model_input import ModelInput
from anyres.quant.affine import Affine
from anyres.quant.calibrate import rounded_decoder, rounded_vision
from anyres.quant.card import Card, Loss, Probe, compare, log_probabilities, write_card
from anyres.quant.fit import fit
from anyres.quant.linear import Compute, QuantizedLinear, QuantizedTable, packed_of, swap_linears
from anyres.quant.load import load_checkpoint, quantization_config
from anyres.quant.nf4 import quantise_nf4
from anyres.quant.parts import PARTS, bits_of, part_of
from anyres.quant.writer import CheckpointWriter

__all__ = [
    "METHODS",
    "Method",
    "Progress",
    "Report",
    "check_target",
    "quantise",
    "quantise_in_memory",
]

Method = Literal["int4", "int8", "nf4"]
METHODS: tuple[Method, ...] = ("int4", "int8", "nf4")
GROUP = 64
WIDE_BITS, NARROW_BITS = 8, 4
TRIED_NARROW = ("vision", "tables")  # in int4 these have to show first that 4 bits do them no harm
HARMLESS_KL = 0.004  # nats that one of these may cost by itself in 4 bits
TRIED_WIDE = ("q_proj", "k_proj", "v_proj", "o_proj")  # kinds of the decoder's layers, 12 % of the weights in 2B and 7B
BEARABLE_KL = 0.01  # nats that one of these kinds may cost by itself in 4 bits; beyond that it is kept in 8
KEPT_FILES = (
    "added_tokens.json",
    "chat_template.json",
    "chat_template.jinja",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
SCALE_BYTES = 4  # of a group: scale and minimum in float16
ROOM_FOR_REST = 1 << 24  # bytes for headers and small files


class Progress(NamedTuple):
    """What is under way, and how much of all the work is done, 0 to 1."""

    stage: str
    share: float


Report = Callable[[Progress], None]


class _Work:
    """Counts the steps of one run and tells how far it is."""

    def __init__(self, report: Report, steps: int) -> None:
        self._report, self._steps, self._done = report, steps, 0

    def step(self, stage: str) -> None:
        self._report(Progress(stage, min(1.0, self._done / self._steps)))
        self._done += 1


def quantise(
    source: Path,
    target: Path,
    *,
    to: Method,
    model: Qwen2VL,
    probes: Sequence[Probe],
    compute: Compute,
    prompts: Sequence[ModelInput] = (),
    report: Report | None = None,
) -> Card:
    """Writes `target`, a folder that must not exist, and gives the card in it.

    `model` is the source, opened; `probes` are texts about pictures with the source's answers, on which the loss is
    measured. With `prompts`, others, weights of 4 bits are rounded for what these bring to them (calibrate.py). Raises
    OptionError, and CheckpointError where the source is quantised already or the disk is full; then nothing is left
    behind.
    """
    check_target(source, target)
    if not probes:
        raise OptionError("probes", "none", "at least one, for the card")
    passes = len(probes) * (2 + (len(TRIED_NARROW + TRIED_WIDE) if to == "int4" else 0))
    work = _Work(report or _silent, passes + len(_matrices(model)))
    with _staging(target) as staging, torch.no_grad():
        reference = _read_source(model, probes, work)
        trials = _trials(model, probes, reference, compute, work) if to == "int4" else {}
        bits = _bits(to, trials)
        _check_room(staging, model, bits)
        rounding = None if to == "nf4" else _Rounding(model, bits, prompts)
        written = _write(model, source, staging, bits=bits, rounding=rounding, work=work)
        made = load_checkpoint(staging, device=model.device, dtype=model.dtype, compute=compute)
        loss = compare(made, probes, reference, step=lambda: work.step("measuring"))
        card = Card(
            source=source.name,
            method=to,
            bits=bits,
            bytes=written,
            source_bytes=sum(one.nbytes for one in model.state_dict().values()),
            questions=len(probes),
            calibrated=bool(prompts) and NARROW_BITS in bits.values() and to != "nf4",
            loss=loss,
            parts={f"{part} in {NARROW_BITS} bits alone": loss for part, loss in trials.items()},
        )
        write_card(card, staging)
        del made
        staging.replace(target)
    return card


def _silent(progress: Progress) -> None:
    del progress


def quantise_in_memory(model: Qwen2VL, to: Literal["int4", "int8"], *, compute: Compute) -> Qwen2VL:
    """The same model with packed weights in place of the dense ones, one layer at a time, without any measuring.

    In int4 the vision encoder and the token tables are kept in 8 bits.
    """
    bits = {part: NARROW_BITS if to == "int4" and part == "decoder" else WIDE_BITS for part in PARTS}
    with torch.no_grad():
        for name, layer in _matrices(model).items():
            swap_linears(model, {name: _quantised(layer, compute, bits[part_of(name)])})
    return model


class _Rounding:
    """The codes of each layer. Blocks with layers of 4 bits are rounded whole, when their first layer is asked for.

    Layers have to come in the order of the model.
    """

    def __init__(self, model: Qwen2VL, bits: dict[str, int], prompts: Sequence[ModelInput]) -> None:
        self._bits = bits
        self._blocks: dict[str, Iterator[dict[str, Affine]]] = {}
        self._ready: dict[str, Affine] = {}
        taught = {"model.layers.": ("decoder", rounded_decoder), "visual.blocks.": ("vision", rounded_vision)}
        for prefix, (part, rounded) in taught.items():
            if prompts and bits[part] == NARROW_BITS:
                self._blocks[prefix] = rounded(model, prompts, bits_of=self._bits_of, group=GROUP)

    def __call__(self, layer: str, weight: Tensor) -> Affine:
        blocks = next((one for prefix, one in self._blocks.items() if layer.startswith(prefix)), None)
        if blocks is None:
            return fit(weight, bits=self._bits_of(layer), group=GROUP)
        if layer not in self._ready:
            self._ready = next(blocks)
        return self._ready.pop(layer)

    def _bits_of(self, layer: str) -> int:
        return bits_of(self._bits, layer)


def check_target(source: Path, target: Path) -> None:
    """Raises OptionError where the target is there already, CheckpointError for a source that is quantised."""
    if not source.is_dir():
        raise CheckpointError(str(source), "no folder", "a dense checkpoint's folder")
    if target.exists():
        raise OptionError("output", f"{target} exists", "a folder that does not")
    if quantization_config(source) is not None:
        raise CheckpointError(str(source), "quantised already", "a dense checkpoint, for rounding twice adds up")


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target. What a killed run left there goes first."""
    staging = target.parent / f".{target.name}.partial"
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise CheckpointError(str(target), f"cannot be written ({error})", "a place with room to write in") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _read_source(model: Qwen2VL, probes: Sequence[Probe], work: _Work) -> list[Tensor]:
    """The log probabilities to compare with."""
    reference = []
    for probe in probes:
        work.step("reading with the source")
        reference.append(log_probabilities(model, probe))
    return reference


def _matrices(model: Qwen2VL) -> dict[str, nn.Module]:
    """Every layer that is quantised, by name."""
    return {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear | nn.Embedding)}


def _weight(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight").detach()


def _trials(
    model: Qwen2VL, probes: Sequence[Probe], reference: Sequence[Tensor], compute: Compute, work: _Work
) -> dict[str, Loss]:
    """What each part or kind of layer costs that is quantised alone, the rest being the source's."""
    trials = {}
    for part in TRIED_NARROW + TRIED_WIDE:
        dense = {name: layer for name, layer in _matrices(model).items() if part in (part_of(name), _kind_of(name))}
        swap_linears(model, {name: _quantised(layer, compute, NARROW_BITS) for name, layer in dense.items()})
        try:
            trials[part] = compare(model, probes, reference, step=lambda: work.step("trying 4 bits"))
        finally:
            swap_linears(model, dense)
    return trials


def _kind_of(name: str) -> str | None:
    return name.rpartition(".")[2] if part_of(name) == "decoder" else None


def _quantised(layer: nn.Module, compute: Compute, bits: int) -> nn.Module:
    weight = _weight(layer)
    packed = packed_of(fit(weight, bits=bits, group=GROUP))
    if isinstance(layer, nn.Embedding):
        return QuantizedTable(packed, compute=compute, dtype=weight.dtype)
    bias = getattr(layer, "bias", None)
    return QuantizedLinear(packed, None if bias is None else bias.detach().float(), compute=compute)


def _bits(to: Method, trials: dict[str, Loss]) -> dict[str, int]:
    """Of each part, and of the kinds of the decoder's layers that are kept in others."""
    if to == "int8":
        return dict.fromkeys(PARTS, WIDE_BITS)
    if to == "nf4":
        return {"decoder": NARROW_BITS, "vision": NARROW_BITS, "tables": 16}
    harmless = {part for part in TRIED_NARROW if trials[part].kl_mean <= HARMLESS_KL}
    bits = {part: NARROW_BITS if part == "decoder" or part in harmless else WIDE_BITS for part in PARTS}
    return bits | {kind: WIDE_BITS for kind in TRIED_WIDE if not trials[kind].kl_mean <= BEARABLE_KL}


def _check_room(folder: Path, model: Qwen2VL, bits: dict[str, int]) -> None:
    sizes = ((bits_of(bits, name), _weight(one).numel()) for name, one in _matrices(model).items())
    needed = sum(values * (each / 8 + SCALE_BYTES / GROUP) for each, values in sizes) + ROOM_FOR_REST
    free = shutil.disk_usage(folder).free
    if needed > free:
        seen = f"{needed / 1e9:.1f} GB to write, {free / 1e9:.1f} GB free in {folder.parent}"
        raise CheckpointError(str(folder.parent), seen, "what fits on the disk")


def _write(
    model: Qwen2VL, source: Path, folder: Path, *, bits: dict[str, int], rounding: _Rounding | None, work: _Work
) -> int:
    """All files but the card; bytes of the weights. Without `rounding` it is nf4."""
    matrices = _matrices(model)
    state = model.state_dict()
    names = [f"{name}.{i}" for name in state for i in range(6)]
    with CheckpointWriter(folder, names) as writer:
        for name, tensor in state.items():
            layer = name.removesuffix(".weight")
            if layer not in matrices or not name.endswith(".weight"):
                writer.add(name, tensor)
                continue
            work.step("writing")
            for key, part in _stored(layer, tensor, rounding).items():
                writer.add(key, part)
    raw = read_json(source / "config.json") | {"quantization_config": _section(None if rounding is None else bits)}
    (folder / "config.json").write_text(dumps(raw, indent=2) + "\n", encoding="utf-8")
    for kept in KEPT_FILES:
        if (source / kept).is_file():
            shutil.copyfile(source / kept, folder / kept)
    return writer.bytes


def _stored(layer: str, weight: Tensor, rounding: _Rounding | None) -> dict[str, Tensor]:
    """The tensors that a file keeps of a layer's weight."""
    name = f"{layer}.weight"
    if rounding is not None:
        packed = packed_of(rounding(layer, weight))
        return {f"{name}.{key}": part for key, part in packed.tensors().items()}
    if part_of(layer) == "tables" or name == PATCH_EMBED:
        return {name: weight}
    parts = quantise_nf4(weight, dtype_name=str(weight.dtype).removeprefix("torch."))
    return {f"{name}.{key}".removesuffix("."): part for key, part in parts.items()}


def _section(bits: dict[str, int] | None) -> dict[str, Any]:
    """`quantization_config` of config.json."""
    if bits is not None:
        return {"quant_method": "anyres", "version": 1, "group": GROUP, "bits": bits}
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "load_in_8bit": False,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "float32",
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": ["lm_head"],
    }
