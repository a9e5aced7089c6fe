"""Packs: which samples, and what becomes of them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.model_input import VisualInput
from anyres.processing.processor import Processor
from anyres.training.packing import Budget, PackedBatch, best_fit
from anyres.training.supervision import IGNORED, TrainingSample, supervise
from tests.training.conftest import mixed_examples

Pack = Callable[..., PackedBatch]
BUDGET = Budget(100, 60)
SIZES = st.lists(st.builds(Budget, st.integers(1, BUDGET.tokens), st.integers(0, BUDGET.patches)), max_size=30)


@settings(deadline=None)
@given(SIZES)
def test_best_fit_keeps_both_budgets_and_leaves_nothing_that_fits(sizes: list[Budget]) -> None:
    chosen = best_fit(sizes, BUDGET)
    assert len(set(chosen)) == len(chosen)
    used = Budget(sum(sizes[i].tokens for i in chosen), sum(sizes[i].patches for i in chosen))
    assert used.tokens <= BUDGET.tokens
    assert used.patches <= BUDGET.patches
    for index in set(range(len(sizes))) - set(chosen):
        one = sizes[index]
        assert used.tokens + one.tokens > BUDGET.tokens or used.patches + one.patches > BUDGET.patches


@settings(deadline=None)
@given(SIZES.filter(len))
def test_the_longest_waiting_never_waits_longer(sizes: list[Budget]) -> None:
    assert best_fit(sizes, BUDGET)[0] == 0


def test_best_fit_takes_the_largest_that_fits() -> None:
    sizes = [Budget(40, 0), Budget(20, 0), Budget(50, 0), Budget(10, 0), Budget(30, 0)]
    assert best_fit(sizes, BUDGET) == [0, 2, 3]
    assert best_fit([], BUDGET) == []


def test_packing_is_tight() -> None:
    """From a buffer of 64 the packs fill at least 95 % of the budget that is short."""
    rng = np.random.default_rng(0)
    waiting, filled = [Budget(int(rng.integers(5, 60)), int(rng.integers(0, 20))) for _ in range(64)], []
    for _ in range(100):
        chosen = best_fit(waiting, BUDGET)
        filled.append(
            max(
                sum(waiting[i].tokens for i in chosen) / BUDGET.tokens,
                sum(waiting[i].patches for i in chosen) / BUDGET.patches,
            )
        )
        waiting = [one for i, one in enumerate(waiting) if i not in chosen]
        waiting += [Budget(int(rng.integers(5, 60)), int(rng.integers(0, 20))) for _ in chosen]
    assert sum(filled) / len(filled) > 0.95


def test_positions_start_anew_and_targets_end_with_each_sample(samples: list[TrainingSample], pack: Pack) -> None:
    batch = pack(*samples)
    assert batch.lengths == tuple(one.tokens for one in samples)
    start = 0
    for one, length in zip(samples, batch.lengths, strict=True):
        assert batch.positions_3T[:, start].tolist() == [0, 0, 0]
        assert batch.positions_3T[:, start : start + length].tolist() == one.positions_3T.tolist()
        assert start + length - 1 not in batch.learnt_N.tolist()
        start += length
    assert batch.size == Budget(start, sum(one.patches for one in samples))
    assert len(batch.learnt_N) == sum(int((one.targets_T != IGNORED).sum()) for one in samples)
    assert (batch.targets_N == batch.token_ids_T[batch.learnt_N + 1]).all()


def test_what_travels_with_a_sample(samples: list[TrainingSample], pack: Pack) -> None:
    batch = pack(*samples[:4])
    assert batch.names == ("mixed0", "mixed1", "mixed2", "mixed3")
    assert batch.extras == (0, 1, 2, 3)
    assert batch.item_samples == (1, 2, 2, 3)
    assert batch.grids == ((1, 4, 4), (1, 4, 6), (1, 2, 8), (2, 4, 4))
    assert len(batch.visual_at_M) == 4 + 6 + 4 + 8


def test_pixels_are_the_bits_of_inference(processor: Processor, samples: list[TrainingSample], pack: Pack) -> None:
    batch = pack(*samples)
    assert batch.pixels_PX is not None
    assert batch.pixels_PX.dtype == torch.uint8
    prompts = [processor.prepare(one.messages, add_generation_prompt=False) for one in mixed_examples()]
    expected = torch.cat([visual.patches() for prompt in prompts for visual in prompt.visuals])
    assert torch.equal(batch.pixels(), expected)


def test_pixels_that_came_normalised(processor: Processor, samples: list[TrainingSample], pack: Pack) -> None:
    """A source may hand over its own VisualInput in place of a picture."""
    from dataclasses import replace

    from anyres.chat import ImagePart, Message

    example = mixed_examples()[1]
    visual = processor.prepare(example.messages).visuals[0]
    ready = replace(visual, pixels_PX=visual.patches(), normalise_CV=None)
    messages = (Message("user", [ImagePart(ready)]), example.messages[-1])
    sample = supervise(replace(example, messages=messages), processor)
    assert sample.pixels[0].dtype == np.float32
    both = pack(sample, samples[1])
    assert torch.equal(both.pixels()[:16], both.pixels()[16:])
    encoded = replace(visual, pixels_PX=None, visual_MD=torch.zeros(1, 64))
    assert isinstance(encoded, VisualInput)
    with pytest.raises(Exception, match="encoded already"):
        supervise(replace(example, messages=(Message("user", [ImagePart(encoded)]), example.messages[-1])), processor)


def test_text_alone_has_no_pixels(samples: list[TrainingSample], pack: Pack) -> None:
    batch = pack(samples[0])
    assert batch.pixels_PX is None
    assert batch.grids == ()
    assert len(batch.visual_at_M) == 0
    assert batch.to(torch.device("cpu")) is batch


def test_another_device_gets_every_tensor_and_the_same_pixels(samples: list[TrainingSample], pack: Pack) -> None:
    moved = pack(*samples).to(torch.device("meta"))
    assert {value.device.type for value in vars(moved).values() if isinstance(value, torch.Tensor)} == {"meta"}
    assert moved.pixels().shape == pack(*samples).pixels().shape
    assert moved.names == pack(*samples).names
