"""The next token of every request in a step; what goes wrong in one stays with it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from anyres.engine.request import Sequence as Answering
from anyres.engine.sampler import Choice, choose_batch

__all__ = ["attempt", "choose"]

T = TypeVar("T")


def attempt(call: Callable[[], T]) -> T | Exception:
    """What the call returns, or what it raises: whatever that is, it belongs to one request and must not end others.

    >>> attempt(lambda: 1 // 0)
    ZeroDivisionError('integer division or modulo by zero')
    """
    try:
        return call()
    except Exception as error:  # noqa: BLE001  it is raised where the request was made
        return error


def choose(sequences: Sequence[Answering], logits: Sequence[Tensor]) -> list[Choice | Exception]:
    """Drawn together; one by one where that fails."""
    masks = [attempt(sequence.mask) for sequence in sequences]
    found: list[Choice | Exception] = [mask if isinstance(mask, Exception) else Choice(-1) for mask in masks]
    rows = [row for row, mask in enumerate(masks) if not isinstance(mask, Exception)]
    drawn = attempt(lambda: _drawn(sequences, logits, masks, rows)) if rows else []
    for number, row in enumerate(rows):
        found[row] = drawn[number] if not isinstance(drawn, Exception) else _alone(sequences, logits, masks, row)
    return found


def _alone(
    sequences: Sequence[Answering], logits: Sequence[Tensor], masks: Sequence[object], row: int
) -> Choice | Exception:
    drawn = attempt(lambda: _drawn(sequences, logits, masks, [row]))
    return drawn if isinstance(drawn, Exception) else drawn[0]


def _drawn(
    sequences: Sequence[Answering], logits: Sequence[Tensor], masks: Sequence[object], rows: Sequence[int]
) -> list[Choice]:
    samplers = [sequences[row].sampler for row in rows]
    right = [mask if isinstance(mask, Tensor) else None for mask in (masks[row] for row in rows)]
    return choose_batch(torch.stack([logits[row] for row in rows]), samplers, right)
