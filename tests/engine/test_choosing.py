"""Tokens of a step: what is wrong with one request's own part stays with it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from anyres.engine.choosing import attempt, choose
from anyres.engine.request import Sequence
from anyres.engine.sampler import Sampler, SamplingOptions
from tests.engine.runs import sequence_of
from tests.oracle import VOCAB_SIZE, prompt, tiny_config

CONFIG = tiny_config()
DRAWN = SamplingOptions(temperature=1.0, seed=3)


def new_sequences(count: int = 3) -> list[Sequence]:
    return [sequence_of(prompt(CONFIG, [4], seed=i), options=DRAWN) for i in range(count)]


def logits_of(count: int) -> list[Tensor]:
    return list(torch.randn(count, VOCAB_SIZE, generator=torch.Generator().manual_seed(1)))


def test_together_as_alone() -> None:
    together = choose(new_sequences(), logits_of(3))
    alone = [choose([one], [logits_V])[0] for one, logits_V in zip(new_sequences(), logits_of(3), strict=True)]
    assert together == alone
    assert choose([], []) == []


def broken_mask() -> Tensor:
    raise ValueError("the grammar is lost")


@pytest.mark.parametrize("fault", ["mask", "mask of another size", "sampler"])
def test_one_that_fails_fails_alone(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = choose(new_sequences(), logits_of(3))
    sequences = new_sequences()
    if fault == "sampler":
        sequences[1].sampler = Mine(DRAWN, torch.zeros(1, dtype=torch.long), torch.zeros(5, dtype=torch.bool))
    else:
        wrong: Callable[[], Tensor] = broken_mask if fault == "mask" else lambda: torch.ones(3, dtype=torch.int32)
        monkeypatch.setattr(sequences[1], "mask", wrong)
    found = choose(sequences, logits_of(3))
    assert isinstance(found[1], Exception)
    assert [found[0], found[2]] == [expected[0], expected[2]]


class Mine(Sampler):
    """Made for another vocabulary."""


def test_attempt_gives_what_is_raised() -> None:
    assert attempt(lambda: 3) == 3
    assert isinstance(attempt(broken_mask), ValueError)
    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)


def interrupted() -> None:
    raise KeyboardInterrupt
