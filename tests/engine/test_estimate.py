"""Counts against the published sizes, and what they come to at a given speed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.engine.estimate import (
    PROGRAM_BYTES,
    Pace,
    Speed,
    Work,
    count_work,
    estimate,
    text_parameters,
    vision_parameters,
)
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import Grid

CPU = torch.device("cpu")
TWO_B = Qwen2VLConfig(text=TextConfig(tie_word_embeddings=True))
SMALL_TEXT = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "mrope_section": (2, 3, 3)}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (TextConfig(tie_word_embeddings=True), 1_543_714_304),
        (TextConfig(3584, 18944, 28, 28, 4, 152064), 7_615_616_512),
        (TextConfig(8192, 29568, 80, 64, 8, 152064), 72_706_203_648),
    ],
)
def test_parameters_of_the_published_decoders(text: TextConfig, count: int) -> None:
    assert text_parameters(text) == count


@pytest.mark.parametrize(("width", "count"), [(1536, 665_271_296), (3584, 675_759_104), (8192, 699_356_672)])
def test_parameters_of_the_published_encoders(width: int, count: int) -> None:
    assert vision_parameters(VisionConfig(hidden_size=width)) == count


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("ratio", [2, 4])
def test_parameters_are_those_of_the_module(tied: bool, ratio: int) -> None:
    vision = VisionConfig(depth=3, embed_dim=32, num_heads=2, mlp_ratio=ratio, hidden_size=64)
    text = TextConfig(
        intermediate_size=100, num_hidden_layers=2, vocab_size=300, tie_word_embeddings=tied, **SMALL_TEXT
    )
    model = Qwen2VL(Qwen2VLConfig(vision=vision, text=text), device="meta")
    assert sum(weight.numel() for weight in model.visual.parameters()) == vision_parameters(vision)
    others = sum(weight.numel() for name, weight in model.named_parameters() if not name.startswith("visual."))
    assert others == text_parameters(text)


def test_the_published_cost_of_a_picture() -> None:
    """1,024 patches: about 1.3 TFLOP in Linears and 0.17 in attention; 1,280 prompt tokens: about 3.4 TFLOP."""
    work = count_work(TWO_B, [(1, 32, 32)], 1280, dtype=torch.float32)
    assert work.vision_flops == pytest.approx(1.3e12 + 0.17e12, rel=0.05)
    assert work.prefill_flops == pytest.approx(3.4e12, rel=0.1)
    assert work.read_bytes == pytest.approx(4 * 151936 * 1536, rel=0.1)  # the head, and a cache of 28 KiB a token
    assert work.weight_bytes == 4 * (1_543_714_304 + 665_271_296)


def test_counted_operations_are_those_that_torch_counts() -> None:
    """torch's own counter sees the Linears and attention of a pass through the module."""
    vision = VisionConfig(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, hidden_size=64)
    model = Qwen2VL(Qwen2VLConfig(vision=vision, text=TextConfig(num_hidden_layers=1, vocab_size=300, **SMALL_TEXT)))
    grid: Grid = (2, 4, 6)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model.encode(torch.zeros(48, 1176), [grid])
    counted = count_work(model.config, [grid], 10, dtype=torch.float32).vision_flops
    assert counter.get_total_flops() == pytest.approx(counted, rel=0.02)


GRIDS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 40).map(lambda n: 2 * n), st.integers(1, 40).map(lambda n: 2 * n)),
    max_size=4,
)


@given(GRIDS, st.integers(1, 30_000))
def test_more_is_never_cheaper(grids: list[Grid], tokens: int) -> None:
    less = count_work(TWO_B, grids, tokens, dtype=torch.bfloat16)
    more = count_work(TWO_B, [*grids, (1, 4, 4)], tokens + 4, dtype=torch.bfloat16)
    assert more.vision_flops > less.vision_flops
    assert more.prefill_flops > less.prefill_flops
    assert more.memory_bytes > less.memory_bytes
    assert less.weight_bytes == more.weight_bytes


def test_frame_pairs_do_not_see_each_other() -> None:
    def flops(*grids: Grid) -> float:
        return count_work(TWO_B, grids, 10, dtype=torch.float32).vision_flops

    assert flops((4, 20, 20)) == flops(*[(1, 20, 20)] * 4)
    assert flops((1, 40, 40)) > flops((4, 20, 20))


def test_narrow_numbers_take_less_memory() -> None:
    wide, narrow = (count_work(TWO_B, [(1, 8, 8)], 50, dtype=dtype) for dtype in (torch.float32, torch.float16))
    assert wide.weight_bytes == 2 * narrow.weight_bytes
    assert wide.read_bytes == 2 * narrow.read_bytes
    assert wide.vision_flops == narrow.vision_flops


def test_quantised_weights_are_those_of_the_file() -> None:
    work = count_work(TWO_B, [], 100, dtype=torch.float32, weight_bytes=1_500_000_000)
    dense = count_work(TWO_B, [], 100, dtype=torch.float32)
    assert work.weight_bytes == 1_500_000_000
    assert work.cache_bytes == dense.cache_bytes
    assert work.read_bytes < dense.read_bytes / 4


def test_seconds_are_work_by_speed() -> None:
    work = Work(3e9, 1e9, 6e9, 2e9, read_bytes=3_000_000, weight_bytes=10, cache_bytes=20, working_bytes=30)
    speed = Speed(Pace(0.25, 1e9, 0.5e9), Pace(0.5, 2e9, 4e9), token_s=0.125, bytes_per_s=1e6)
    found = estimate(work, speed)
    assert found.memory_bytes == 60 + PROGRAM_BYTES
    assert found.encode_s == pytest.approx(0.25 + 2 + 2)
    assert found.prefill_s == pytest.approx(0.5 + 2 + 0.5)
    assert found.token_s == pytest.approx(0.125 + 3)


def test_nothing_to_see_takes_no_time() -> None:
    speed = Speed(Pace(0.25, 1e9, 1e9), Pace(0.5, 1e9, 1e9), 0.1, 1e9)
    assert estimate(count_work(TWO_B, [], 10, dtype=torch.float32), speed).encode_s == 0
