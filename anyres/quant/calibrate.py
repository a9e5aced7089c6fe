"""Rounds the blocks of a model one after another, each for the inputs that calibration prompts bring to it.

The prompts go through the source up to the first block. Each block is then copied to float32, what comes into its
layers is summed up, its weights are rounded, and what the rounded block makes of the prompts goes into the next one:
so a block also makes good what those before it lost. Memory holds one block, its sums, and the prompts' activations.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput, VisualInput
from anyres.quant.affine import Affine
from anyres.quant.compensate import Gram, fit_compensated
from anyres.quant.fit import fit

__all__ = ["rounded_decoder", "rounded_vision"]

PACKED_ROWS = 2048  # tokens or patches that go through a block together: bounds the memory of its activations
KEPT_BACK = 4  # every fourth prompt teaches nothing; on these rounding is compared with plain rounding
WIDE_BITS = 8  # from here on plain rounding is near enough

Layers = dict[str, Affine]
BitsOf = Callable[[str], int]
Item = TypeVar("Item")


class _Pack(NamedTuple):
    """Some prompts on their way: rows, and the other arguments of a block. `kept_back` ones teach nothing."""

    x: Tensor
    rest: tuple[object, ...]
    kept_back: bool


def rounded_decoder(model: Qwen2VL, prompts: Sequence[ModelInput], *, bits_of: BitsOf, group: int) -> Iterator[Layers]:
    """The linear layers of each decoder block, by name. `bits_of` is asked for each name.

    The visual tokens are the source's.
    """
    first = model.model.layers[0]
    packs = []
    for pack, kept_back in _packed(prompts, lambda prompt: len(prompt.token_ids_T)):
        embeds = [_embed(model, prompt) for prompt in pack]
        positions_3T = torch.cat([prompt.positions_3T for prompt in pack], dim=1).to(model.device)
        attend = CausalAttention([len(one) for one in embeds])
        packs.append(_Pack(*_first_input(first, model.model, torch.cat(embeds), positions_3T, attend), kept_back))
    return _rounded("model.layers", model.model.layers, packs, bits_of, group)


def rounded_vision(model: Qwen2VL, prompts: Sequence[ModelInput], *, bits_of: BitsOf, group: int) -> Iterator[Layers]:
    """Likewise of each block of the vision encoder."""
    pictures = [one for prompt in prompts for one in prompt.visuals if one.pixels_PX is not None]
    packs = []
    for pack, kept_back in _packed(pictures, _patches):
        pixels_PX = torch.cat([picture.patches() for picture in pack]).to(model.device)
        grids = [picture.grid_thw for picture in pack]
        packs.append(_Pack(*_first_input(model.visual.blocks[0], model.visual, pixels_PX, grids), kept_back))
    return _rounded("visual.blocks", model.visual.blocks, packs, bits_of, group)


def _rounded(prefix: str, blocks: nn.ModuleList, packs: list[_Pack], bits_of: BitsOf, group: int) -> Iterator[Layers]:
    for number, block in enumerate(blocks):
        wide = deepcopy(block).float().cpu()
        sums = _Sums(wide)
        for pack in packs:
            sums.read(pack)
        made: Layers = {}
        for name, layer in _linears(wide).items():
            full = f"{prefix}.{number}.{name}"
            made[full] = _round(layer.weight.detach(), sums.of(name), bits=bits_of(full), group=group)
            layer.weight = nn.Parameter(made[full].values(), requires_grad=False)
        if number + 1 < len(blocks):
            packs = [pack._replace(x=wide(pack.x, *pack.rest)) for pack in packs]
        yield made


def _round(weight_NK: Tensor, grams: tuple[Gram, Gram] | None, *, bits: int, group: int) -> Affine:
    if bits >= WIDE_BITS or grams is None:
        return fit(weight_NK, bits=bits, group=group)
    seen, unseen = grams
    return fit_compensated(weight_NK, seen, bits=bits, group=group, unseen=unseen)


class _Sums:
    """What comes into the linear layers of a block, those that share their input once: of all packs, and kept back."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block
        self._first: dict[str, str] = {}  # the layer that first saw the same input
        self._grams: dict[str, tuple[Gram, Gram]] = {}
        self._last: tuple[str, Tensor] | None = None

    def of(self, name: str) -> tuple[Gram, Gram] | None:
        """None where nothing came."""
        return self._grams.get(self._first.get(name, ""))

    def read(self, pack: _Pack) -> None:
        """Runs a pack through the block."""
        hooks = [
            layer.register_forward_pre_hook(self._watch(name, pack.kept_back))
            for name, layer in _linears(self._block).items()
        ]
        try:
            self._block(pack.x, *pack.rest)
        finally:
            for hook in hooks:
                hook.remove()
            self._last = None

    def _watch(self, name: str, kept_back: bool) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            del layer
            x_TK = inputs[0]
            if self._last is not None and self._last[1] is x_TK:
                self._first[name] = self._last[0]
                return
            self._first[name], self._last = name, (name, x_TK)
            both = self._grams.setdefault(name, (Gram(x_TK.shape[1]), Gram(x_TK.shape[1])))
            both[kept_back].add(x_TK)

        return hook


def _linears(block: nn.Module) -> dict[str, nn.Linear]:
    return {name: layer for name, layer in block.named_modules() if isinstance(layer, nn.Linear)}


def _packed(items: Sequence[Item], rows: Callable[[Item], int]) -> Iterator[tuple[list[Item], bool]]:
    """Items put together up to PACKED_ROWS rows, those that are kept back apart."""
    for kept_back in (False, True):
        pack: list[Item] = []
        for number, item in enumerate(items):
            if (number % KEPT_BACK == KEPT_BACK - 1) != kept_back:
                continue
            if pack and sum(map(rows, pack)) + rows(item) > PACKED_ROWS:
                yield pack, kept_back
                pack = []
            pack.append(item)
        if pack:
            yield pack, kept_back


def _embed(model: Qwen2VL, prompt: ModelInput) -> Tensor:
    visuals = [
        model.encode(picture.patches().to(model.device), [picture.grid_thw])
        if picture.visual_MD is None
        else picture.visual_MD
        for picture in prompt.visuals
    ]
    return model.embed(prompt.token_ids_T.to(model.device), torch.cat(visuals) if visuals else None)


def _patches(picture: VisualInput) -> int:
    t, h, w = picture.grid_thw
    return t * h * w


class _ReachedError(Exception):
    """The first block: nothing behind it is to run."""


def _first_input(block: nn.Module, whole: nn.Module, *arguments: object) -> tuple[Tensor, tuple[object, ...]]:
    """What `whole(*arguments)` gives its first block: the rows, and the rest; numbers in float32 on the CPU."""
    caught: list[object] = []

    def stop(layer: nn.Module, given: tuple[object, ...]) -> None:
        del layer
        caught.extend(given)
        raise _ReachedError

    hook = block.register_forward_pre_hook(stop)
    try:
        whole(*arguments)
    except _ReachedError:
        pass
    finally:
        hook.remove()
    x, *rest = [one.detach().float().cpu() if isinstance(one, Tensor) else one for one in caught]
    assert isinstance(x, Tensor), "a block takes its rows first"
    return x, tuple(rest)
