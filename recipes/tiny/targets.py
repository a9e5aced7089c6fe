"""What the teachers of version 1 are told of a pack: what `recipes/tiny/taught.py` knows of its samples, in tensors."""

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.processing.tokenizer import Tokenizer
from anyres.training.packing import PackedBatch
from recipes.tiny.places import COLUMNS
from recipes.tiny.taught import IGNORED, LETTER_SLOTS, NAME_SLOTS, NOTHING, Classes, Item, Taught

__all__ = ["Targets", "asked_tokens", "extras_of", "letters_of_tokens", "places_of_tokens", "sizes_of", "targets_of"]


class Targets(NamedTuple):
    """Of all M visual tokens of a pack; IGNORED or NaN where nothing is known. `cells_M4` holds column, row, and the
    columns and rows of the picture; `samples_M` the sample of each; `things_M` whether its picture tells of things;
    `counted_M` how many of what is asked for are centred there; `begun_M` the letters of a word in the cells before."""

    letters_MS: Tensor
    names_MS: Tensor
    order_M: Tensor
    places_MX: Tensor
    cells_M4: Tensor
    samples_M: Tensor
    things_M: Tensor
    counted_M: Tensor
    begun_M: Tensor


def extras_of(batch: PackedBatch) -> list[Taught]:
    """What is known of each sample of the pack."""
    taught = [one for one in batch.extras if isinstance(one, Taught)]
    assert len(taught) == len(batch.samples), "examples of recipes/tiny/mixture.py only"
    return taught


def targets_of(batch: PackedBatch, device: torch.device) -> Targets:
    """The targets of the pack's visual tokens."""
    items = [item for one in extras_of(batch) for item in one.items]
    parts = []
    for item, grid, sample in zip(items, batch.grids, batch.item_samples, strict=True):
        t, rows, columns = grid[0], grid[1] // 2, grid[2] // 2
        parts.append(_item_targets(item, (t, rows, columns), sample))
    return Targets(*(torch.cat(told).to(device) for told in zip(*parts, strict=True)))


def places_of_tokens(batch: PackedBatch, targets: Targets, byte_lengths_V: Tensor) -> Tensor:
    """The place [T, 3] where each token of text behind its sample's only picture is printed there, or where the thing
    lies that it tells the box of; IGNORED where it is not known, and where cells are not the visual tokens."""
    lengths_T = byte_lengths_V[batch.token_ids_T]
    places_T3 = torch.full_like(batch.token_ids_T[:, None].expand(-1, 3), IGNORED)
    cells_B = torch.bincount(targets.samples_M, minlength=len(batch.samples)).tolist()
    starts_B, ends_B = _texts(batch, targets)
    for number, (one, start, end) in enumerate(zip(extras_of(batch), starts_B, ends_B, strict=True)):
        item = one.items[0] if one.items else None
        if one.printed is None or item is None or item.cells != cells_B[number]:
            continue
        bytes_before = lengths_T[start:end].cumsum(0) - lengths_T[start:end]
        told = torch.from_numpy(one.printed).to(places_T3.device).long()
        inside = bytes_before < len(told)
        places_T3[start:end][inside] = told[bytes_before[inside]]
    return places_T3


def asked_tokens(batch: PackedBatch, targets: Targets) -> Tensor:
    """Which of the T tokens are text behind a picture that is no answer: questions, and what opens turns."""
    asked_T = torch.zeros_like(batch.token_ids_T, dtype=torch.bool)
    for start, end in zip(*_texts(batch, targets), strict=True):
        asked_T[start:end] = True
    asked_T[batch.learnt_N + 1] = False
    return asked_T


def letters_of_tokens(tokenizer: Tokenizer, classes: Classes) -> Tensor:
    """Classes [V, LETTER_SLOTS] of the first letters of each token of the vocabulary, NOTHING behind the last."""
    letters_VS = torch.full((tokenizer.vocab_size, LETTER_SLOTS), NOTHING)
    for token in set(range(tokenizer.vocab_size)) - tokenizer.special_ids:
        text = tokenizer.token_bytes(token).decode(errors="replace").strip()
        if set(text) <= classes.letters.keys():
            for slot, letter in enumerate(text[:LETTER_SLOTS]):
                letters_VS[token, slot] = classes.letters[letter]
    return letters_VS


def sizes_of(targets: Targets, samples: int) -> tuple[Tensor, Tensor]:
    """Which samples have pictures that tell of things, and the rows and columns of the last of these."""
    of_things = torch.zeros(samples, dtype=torch.bool, device=targets.samples_M.device)
    of_things[targets.samples_M[targets.things_M]] = True
    sizes_B2 = torch.ones(samples, 2, device=targets.samples_M.device)
    sizes_B2[targets.samples_M] = targets.cells_M4[:, [3, 2]]
    return of_things, sizes_B2


def _texts(batch: PackedBatch, targets: Targets) -> tuple[list[int], list[int]]:
    """Where in the pack each sample's text behind its last picture begins, and ends; empty where it has no picture."""
    ends = list(accumulate(batch.lengths))
    last_visual = dict(zip(targets.samples_M.tolist(), batch.visual_at_M.tolist(), strict=True))
    starts = [last_visual[number] + 2 if number in last_visual else end for number, end in enumerate(ends)]
    return starts, ends  # `<|vision_end|>` is left out


def _item_targets(item: Item | None, grid: tuple[int, int, int], sample: int) -> tuple[Tensor, ...]:
    """One item's rows of the targets; cells that are not the visual tokens, after a resize, teach nothing."""
    t, rows, columns = grid
    count = t * rows * columns
    letters, names, order, places, counted, begun = (
        None if told is None or len(told) != count else torch.from_numpy(told) for told in item or (None,) * 6
    )
    cell = torch.arange(count) % (rows * columns)
    size = torch.tensor([columns, rows]).expand(count, 2)
    return (
        torch.full((count, LETTER_SLOTS), IGNORED) if letters is None else letters.long(),
        torch.full((count, NAME_SLOTS), IGNORED) if names is None else names.long(),
        torch.full((count,), IGNORED) if order is None else order.long(),
        torch.full((count, COLUMNS), torch.nan) if places is None else places.float(),
        torch.cat([torch.stack([cell % columns, cell // columns], dim=-1), size], dim=1).float(),
        torch.full((count,), sample),
        torch.full((count,), places is not None),
        torch.full((count,), IGNORED) if counted is None else counted.long(),
        torch.full((count,), IGNORED) if begun is None else begun.long(),
    )
