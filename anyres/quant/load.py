"""Opens a checkpoint folder whatever its weights are kept in: dense, ours, GPTQ, AWQ, or bitsandbytes' nf4."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from anyres.config import Qwen2VLConfig, read_json
from anyres.errors import CheckpointError
from anyres.kernels.packed import from_tensors
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import StoredTensors, load_model
from anyres.quant.affine import Affine
from anyres.quant.awq import AWQ_TENSORS, AwqLayout, awq_layer
from anyres.quant.gptq import GPTQ_TENSORS, GptqLayout, gptq_layer
from anyres.quant.linear import Compute, Nf4Linear, QuantizedLinear, QuantizedTable, packed_of, swap_linears
from anyres.quant.nf4 import NF4_TENSORS, nf4_from_tensors
from anyres.quant.parts import PARTS, bits_of

__all__ = ["load_checkpoint", "quantization_config"]

PACKED_TENSORS = ("layout", "codes", "scales", "minimums")
METHODS = "anyres, gptq, awq, bitsandbytes (nf4)"


class _Reader(NamedTuple):
    """How one method keeps a layer: the tensors' names after the layer's, which of them tells, and what reads them."""

    suffixes: tuple[str, ...]
    mark: str
    read: "Callable[[Mapping[str, Tensor], nn.Module, str], nn.Module]"
    check: "Callable[[str, nn.Module, str], None]" = lambda _name, _layer, _item: None


def quantization_config(folder: Path) -> dict[str, Any] | None:
    """What config.json says of it; None for dense weights."""
    raw = read_json(folder / "config.json").get("quantization_config")
    if raw is None or isinstance(raw, dict):
        return raw
    raise CheckpointError(f"{folder / 'config.json'}: quantization_config", repr(raw)[:80], "a JSON object")


def load_checkpoint(folder: Path, *, device: torch.device, dtype: torch.dtype, compute: Compute) -> Qwen2VL:
    """The model in eval mode; quantised layers multiply with `compute`, and all else is kept in `dtype`.

    Raises CheckpointError for a method or layout that is not known, and for tensors that do not fit their layer.
    """
    raw = quantization_config(folder)
    if raw is None:
        return load_model(folder, device=device, dtype=dtype)
    config = Qwen2VLConfig.from_folder(folder)
    reader = _reader(raw, f"{folder / 'config.json'}: quantization_config", compute, dtype)
    stored = StoredTensors(folder, config)
    model = Qwen2VL(config, device="meta", dtype=dtype)
    layers, taken = _layers(model, stored, reader, folder)
    if not layers:
        raise CheckpointError(str(folder), "no quantised layer", f"tensors named *.{reader.mark}")
    swap_linears(model, layers)
    for layer in layers.values():
        layer.to(device)
    stored.fill(model, taken=taken, device=device, dtype=dtype)
    return model.eval()


def _layers(
    model: Qwen2VL, stored: StoredTensors, reader: _Reader, folder: Path
) -> tuple[dict[str, nn.Module], set[str]]:
    """The quantised layers by name, and the names of all tensors that went into them."""
    places = {
        name: place
        for name, place in model.named_modules()
        if isinstance(place, nn.Linear | nn.Embedding) and f"{name}.{reader.mark}" in stored.names
    }
    suffixes = (*reader.suffixes, "bias")
    taken = {f"{name}.{suffix}" for name in places for suffix in suffixes} & stored.names
    tensors = stored.get(taken)  # all at once: opening a file reads its whole header
    layers: dict[str, nn.Module] = {}
    for name, place in places.items():
        parts = {suffix: tensors[full] for suffix in suffixes if (full := f"{name}.{suffix}") in taken}
        layers[name] = reader.read(parts, place, f"{folder}: {name}")
        reader.check(name, layers[name], f"{folder}: {name}")
    return layers, taken


def _reader(raw: Mapping[str, Any], item: str, compute: Compute, dtype: torch.dtype) -> _Reader:
    method = raw.get("quant_method")
    if method == "anyres":
        suffixes = tuple(f"weight.{suffix}" for suffix in PACKED_TENSORS)
        return _Reader(suffixes, "weight.layout", _own(compute, dtype), _bits_check(raw, item))
    if method == "gptq":
        gptq = GptqLayout(raw, item=item)
        return _Reader(GPTQ_TENSORS, "qweight", _affine(gptq_layer, gptq, compute))
    if method == "awq":
        return _Reader(AWQ_TENSORS, "qweight", _affine(awq_layer, AwqLayout(raw, item=item), compute))
    if method == "bitsandbytes":
        if raw.get("bnb_4bit_quant_type") != "nf4":
            raise CheckpointError(f"{item}: bnb_4bit_quant_type", repr(raw.get("bnb_4bit_quant_type"))[:80], "nf4")
        return _Reader(("weight", *(f"weight.{name}" for name in NF4_TENSORS)), f"weight.{NF4_TENSORS[-1]}", _nf4)
    raise CheckpointError(f"{item}: quant_method", repr(method)[:80], METHODS)


def _own(compute: Compute, dtype: torch.dtype) -> Callable[[Mapping[str, Tensor], nn.Module, str], nn.Module]:
    def read(tensors: Mapping[str, Tensor], place: nn.Module, item: str) -> nn.Module:
        parts = {name.removeprefix("weight."): tensor for name, tensor in tensors.items()}
        packed = from_tensors(item, parts)
        shape = tuple(place.get_parameter("weight").shape)
        if (packed.rows, packed.columns) != shape:
            raise CheckpointError(item, f"{packed.rows}x{packed.columns}", f"{shape[0]}x{shape[1]}")
        if isinstance(place, nn.Embedding):
            return QuantizedTable(packed, compute=compute, dtype=dtype)
        return QuantizedLinear(packed, _bias(tensors, place, item), compute=compute)

    return read


def _bits_check(raw: Mapping[str, Any], item: str) -> Callable[[str, nn.Module, str], None]:
    """Bits stand in config.json too: codes of 5 to 8 bits lie alike, and a wrong number would change what they mean."""
    bits = raw.get("bits")
    known = isinstance(bits, dict) and all(isinstance(one, int) and 4 <= one <= 8 for one in bits.values())
    if not (isinstance(bits, dict) and known and bits.keys() >= set(PARTS)):
        raise CheckpointError(f"{item}: bits", repr(bits)[:80], f"4 to 8 for each of {', '.join(PARTS)}")

    def check(name: str, layer: nn.Module, where: str) -> None:
        assert isinstance(layer, QuantizedLinear | QuantizedTable), "what _own makes"
        if layer.packed.bits != bits_of(bits, name):
            raise CheckpointError(where, f"{layer.packed.bits} bits", f"{bits_of(bits, name)}, as config.json says")

    return check


def _affine(
    layer_of: Callable[..., Affine], layout: object, compute: Compute
) -> Callable[[Mapping[str, Tensor], nn.Module, str], nn.Module]:
    def read(tensors: Mapping[str, Tensor], place: nn.Module, item: str) -> nn.Module:
        rows, columns = place.get_parameter("weight").shape
        missing = [name for name in ("qweight", "qzeros", "scales") if name not in tensors]
        if missing:
            raise CheckpointError(item, f"no {', '.join(missing)}", "whole quantised layers")
        weight = layer_of(tensors, (rows, columns), layout, item=item)
        bias_N = _bias(tensors, place, item)
        return QuantizedLinear(packed_of(weight), bias_N, compute=compute, order_K=weight.order_K)

    return read


def _nf4(tensors: Mapping[str, Tensor], place: nn.Module, item: str) -> nn.Module:
    rows, columns = place.get_parameter("weight").shape
    parts = {name.removeprefix("weight").removeprefix("."): tensor for name, tensor in tensors.items()}
    return Nf4Linear(nf4_from_tensors(parts, (rows, columns), item=item), _bias(tensors, place, item))


def _bias(tensors: Mapping[str, Tensor], place: nn.Module, item: str) -> Tensor | None:
    """In float32. A layer of the original that has none may be given one of zeros, as some tools write."""
    bias_N = tensors.get("bias")
    rows = place.get_parameter("weight").shape[0]
    if bias_N is None and getattr(place, "bias", None) is not None:
        raise CheckpointError(item, "no bias", f"a bias of {rows} values")
    if bias_N is not None and (bias_N.shape != (rows,) or not bias_N.is_floating_point()):
        raise CheckpointError(f"{item}.bias", f"{bias_N.dtype} {list(bias_N.shape)}", f"{rows} numbers")
    return None if bias_N is None else bias_N.float()
