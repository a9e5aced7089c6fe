"""What the blocks of a prompt hold, as names that are equal only where their keys and values are; and its items."""

import hashlib
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from anyres.engine.scheduler import Item
from anyres.model_input import ModelInput

__all__ = ["PrefixNames", "items_of", "positions_of"]

VERSION = b"anyres prefix 1"


class PrefixNames:
    """Names of the full blocks of a prompt and its growing answer.

    A name is the SHA-256 of the name before it, the block's token ids, their M-RoPE positions, and the content key of
    every picture in it with how far into the picture the block begins. Prompts of another `salt` share nothing.
    """

    def __init__(
        self, prompt: ModelInput, items: Sequence[Item], answer_ids: list[int], *, block_size: int, salt: bytes = b""
    ) -> None:
        self._prompt = prompt
        self._items = items
        self._answer_ids = answer_ids  # the list that grows
        self._size = block_size
        self._root = hashlib.sha256(VERSION + len(salt).to_bytes(8, "little") + salt).digest()
        self._names: list[bytes] = []

    def __call__(self, i: int) -> bytes:
        while len(self._names) <= i:
            before = self._names[-1] if self._names else self._root
            self._names.append(self._name(len(self._names) * self._size, before))
        return self._names[i]

    def up_to(self, tokens: int) -> bytes:
        """The name of so many leading tokens, which may end within a block."""
        blocks, rest = divmod(tokens, self._size)
        before = self(blocks - 1) if blocks else self._root
        return self._name(tokens - rest, before + b"part", count=rest) if rest else before

    def _name(self, start: int, before: bytes, count: int | None = None) -> bytes:
        stop = start + (self._size if count is None else count)
        digest = hashlib.sha256(before)
        digest.update(_ids(self._prompt, self._answer_ids, start, stop).numpy().data)
        digest.update(positions_of(self._prompt, start, stop).contiguous().numpy().data)
        for item in self._items:
            if item.start < stop and item.stop > start:
                digest.update(item.key + (start - item.start).to_bytes(8, "little", signed=True))
        return digest.digest()


def positions_of(prompt: ModelInput, start: int, stop: int) -> Tensor:
    """positions_3T of places `start` to `stop` of prompt and answer; those of an answer are the same on all axes."""
    length = len(prompt.token_ids_T)
    inside_3T = prompt.positions_3T[:, start:stop]
    if stop <= length:
        return inside_3T
    later_T = torch.arange(max(start, length), stop) + prompt.rope_delta
    return torch.cat([inside_3T, later_T.expand(3, -1)], dim=1)


def items_of(prompt: ModelInput, pad_ids: Sequence[int], merge_area: int) -> tuple[Item, ...]:
    """Where the visual tokens of each item stand. `pad_ids` are the placeholders; only the processor writes them."""
    is_pad_T = torch.isin(prompt.token_ids_T, torch.tensor(pad_ids))
    places = is_pad_T.nonzero()[:, 0].tolist()
    sizes = [t * h * w // merge_area for t, h, w in (visual.grid_thw for visual in prompt.visuals)]
    assert sum(sizes) == len(places), "placeholders and visual tokens differ in number"
    items: list[Item] = []
    for visual, first, size in zip(prompt.visuals, accumulate(sizes, initial=0), sizes, strict=False):
        t, h, w = visual.grid_thw
        assert places[first + size - 1] - places[first] == size - 1, "the visual tokens of an item stand together"
        encoded = visual.visual_MD is not None
        items.append(Item(visual.content_key, places[first], places[first] + size, 0 if encoded else t, h * w))
    return tuple(items)


def _ids(prompt: ModelInput, answer_ids: Sequence[int], start: int, stop: int) -> Tensor:
    length = len(prompt.token_ids_T)
    later = answer_ids[max(0, start - length) : max(0, stop - length)]
    return torch.cat([prompt.token_ids_T[start:stop], torch.tensor(later, dtype=torch.int64)])
