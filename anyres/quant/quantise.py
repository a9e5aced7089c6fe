"""Makes a quantised checkpoint of a dense one: measures, decides what each part is kept in, writes, measures again.

The source is mapped from its files, one tensor at a time is turned, and the result is mapped again to be measured: a
72B passes through a few gigabytes of memory. Nothing is to be seen at the target until all of it is there.
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
from anyres.quant.card import Card, Loss, Probe, compare, log_probabilities, write_card
from anyres.quant.fit import fit
from anyres.quant.linear import Compute, QuantizedLinear, QuantizedTable, packed_of, swap_linears
from anyres.quant.load import load_checkpoint, quantization_config
from anyres.quant.nf4 import quantise_nf4
from anyres.quant.writer import CheckpointWriter

__all__ = ["METHODS", "Method", "Progress", "Report", "check_target", "part_of", "quantise", "quantise_in_memory"]

Method = Literal["int4", "int8", "nf4"]
METHODS: tuple[Method, ...] = ("int4", "int8", "nf4")
GROUP = 64
WIDE_BITS, NARROW_BITS = 8, 4
PARTS = ("decoder", "vision", "tables")
TRIED_NARROW = ("vision", "tables")  # in int4 these have to show first that 4 bits do them no harm
HARMLESS_KL = 0.004  # nats that one of these parts may cost by itself in 4 bits
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
    calibrate: bool = False,
    report: Report | None = None,
) -> Card:
    """Writes `target`, a folder that must not exist, and gives the card in it.

    `model` is the source, opened; `probes` are texts about pictures with the source's answers, on which the loss is
    measured. With `calibrate` they also weigh the errors of rounding by what each channel carries. Raises OptionError,
    and CheckpointError where the source is quantised already or the disk is full; then nothing is left behind.
    """
    check_target(source, target)
    if not probes:
        raise OptionError("probes", "none", "at least one, for the card")
    passes = len(probes) * (2 + (len(TRIED_NARROW) if to == "int4" else 0))
    work = _Work(report or _silent, passes + len(_matrices(model)))
    with _staging(target) as staging, torch.no_grad():
        seen, reference = _read_source(model, probes, calibrate, work)
        trials = _trials(model, probes, reference, compute, seen, work) if to == "int4" else {}
        bits = _bits(to, trials)
        _check_room(staging, model, bits)
        written = _write(model, source, staging, bits=None if to == "nf4" else bits, seen=seen, work=work)
        made = load_checkpoint(staging, device=model.device, dtype=model.dtype, compute=compute)
        loss = compare(made, probes, reference, step=lambda: work.step("measuring"))
        card = Card(
            source=source.name,
            method=to,
            bits=bits,
            bytes=written,
            source_bytes=sum(one.nbytes for one in model.state_dict().values()),
            questions=len(probes),
            calibrated=calibrate,
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
            swap_linears(model, {name: _quantised(name, layer, compute, None, bits[part_of(name)])})
    return model


def part_of(name: str) -> str:
    """The part that a layer belongs to.

    >>> part_of("visual.blocks.0.attn.qkv"), part_of("lm_head"), part_of("model.layers.0.mlp.up_proj")
    ('vision', 'tables', 'decoder')
    """
    if name.startswith("visual."):
        return "vision"
    return "decoder" if name.startswith("model.layers.") else "tables"


class _Seen:
    """Mean squares of what comes into each layer, while the source reads the prompts."""

    def __init__(self, model: Qwen2VL, *, watched: bool) -> None:
        self._sums: dict[str, Tensor] = {}
        linears = [(name, one) for name, one in model.named_modules() if isinstance(one, nn.Linear)]
        self._hooks = [one.register_forward_hook(self._watch(name)) for name, one in linears] if watched else []

    def importance(self, name: str) -> Tensor | None:
        return self._sums.get(name)

    def stop(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _watch(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            del layer, output
            squares = inputs[0].detach().float().square().flatten(0, -2).sum(0).cpu()
            self._sums[name] = self._sums.get(name, 0) + squares

        return hook


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


def _read_source(model: Qwen2VL, probes: Sequence[Probe], calibrate: bool, work: _Work) -> tuple[_Seen, list[Tensor]]:
    """What came into each layer, and the log probabilities to compare with."""
    seen, reference = _Seen(model, watched=calibrate), []
    for probe in probes:
        work.step("reading with the source")
        reference.append(log_probabilities(model, probe))
    seen.stop()
    return seen, reference


def _matrices(model: Qwen2VL) -> dict[str, nn.Module]:
    """Every layer that is quantised, by name."""
    return {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear | nn.Embedding)}


def _weight(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight").detach()


def _trials(
    model: Qwen2VL,
    probes: Sequence[Probe],
    reference: Sequence[Tensor],
    compute: Compute,
    seen: _Seen,
    work: _Work,
) -> dict[str, Loss]:
    """What each part costs that is quantised alone, the rest being the source's."""
    trials = {}
    for part in TRIED_NARROW:
        dense = {name: layer for name, layer in _matrices(model).items() if part_of(name) == part}
        swap_linears(
            model, {name: _quantised(name, layer, compute, seen, NARROW_BITS) for name, layer in dense.items()}
        )
        try:
            trials[part] = compare(model, probes, reference, step=lambda: work.step("trying 4 bits"))
        finally:
            swap_linears(model, dense)
    return trials


def _quantised(name: str, layer: nn.Module, compute: Compute, seen: _Seen | None, bits: int) -> nn.Module:
    weight = _weight(layer)
    importance_K = None if seen is None else seen.importance(name)
    packed = packed_of(fit(weight, bits=bits, group=GROUP, importance_K=importance_K))
    if isinstance(layer, nn.Embedding):
        return QuantizedTable(packed, compute=compute, dtype=weight.dtype)
    bias = getattr(layer, "bias", None)
    return QuantizedLinear(packed, None if bias is None else bias.detach().float(), compute=compute)


def _bits(to: Method, trials: dict[str, Loss]) -> dict[str, int]:
    """Of each part."""
    if to == "int8":
        return dict.fromkeys(PARTS, WIDE_BITS)
    if to == "nf4":
        return {"decoder": NARROW_BITS, "vision": NARROW_BITS, "tables": 16}
    harmless = {part for part, loss in trials.items() if loss.kl_mean <= HARMLESS_KL}
    return {part: NARROW_BITS if part == "decoder" or part in harmless else WIDE_BITS for part in PARTS}


def _check_room(folder: Path, model: Qwen2VL, bits: dict[str, int]) -> None:
    sizes = ((part_of(name), _weight(one).numel()) for name, one in _matrices(model).items())
    needed = sum(values * (bits[part] / 8 + SCALE_BYTES / GROUP) for part, values in sizes) + ROOM_FOR_REST
    free = shutil.disk_usage(folder).free
    if needed > free:
        seen = f"{needed / 1e9:.1f} GB to write, {free / 1e9:.1f} GB free in {folder.parent}"
        raise CheckpointError(str(folder.parent), seen, "what fits on the disk")


def _write(model: Qwen2VL, source: Path, folder: Path, *, bits: dict[str, int] | None, seen: _Seen, work: _Work) -> int:
    """All files but the card; bytes of the weights. `bits` None is nf4."""
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
            for key, part in _stored(layer, tensor, bits, seen).items():
                writer.add(key, part)
    raw = read_json(source / "config.json") | {"quantization_config": _section(bits)}
    (folder / "config.json").write_text(dumps(raw, indent=2) + "\n", encoding="utf-8")
    for kept in KEPT_FILES:
        if (source / kept).is_file():
            shutil.copyfile(source / kept, folder / kept)
    return writer.bytes


def _stored(layer: str, weight: Tensor, bits: dict[str, int] | None, seen: _Seen) -> dict[str, Tensor]:
    """The tensors that a file keeps of a layer's weight."""
    name = f"{layer}.weight"
    if bits is not None:
        fitted = fit(weight, bits=bits[part_of(layer)], group=GROUP, importance_K=seen.importance(layer))
        return {f"{name}.{key}": part for key, part in packed_of(fitted).tensors().items()}
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
