import random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

from anyres.processing.positions import merged_grid, pack_positions, pad_positions, rope_positions, visual_tokens

Grid = tuple[int, int, int]
Layout = list[int | Grid]

START, END, IMAGE, VIDEO = 151652, 151653, 151655, 151656

even = st.integers(1, 6).map(lambda n: 2 * n)
grids = st.tuples(st.integers(1, 5), even, even)
layouts = st.lists(st.integers(0, 12) | grids, max_size=8)


def tokens_of(layout: Layout) -> int:
    return sum(span if isinstance(span, int) else visual_tokens(span) for span in layout)


# The layouts of the reference, with grids before the merge; results: positions where text resumes, and the delta.
@pytest.mark.parametrize(
    ("layout", "resumes", "delta"),
    [
        ([5, (3, 4, 4), 5], [8], -9),
        ([4, (1, 4, 6), 3, (1, 8, 4), 2], [7, 14], -7),
        ([15, (1, 98, 146), 20], [88], -3504),
        ([15, (30, 16, 28), 10], [45], -3330),
    ],
)
def test_golden_layouts(layout: Layout, resumes: list[int], delta: int) -> None:
    positions_3T, rope_delta = rope_positions(layout)
    assert rope_delta == delta
    at, seen = 0, []
    for before, span in zip([None, *layout], layout, strict=False):
        if isinstance(before, tuple):
            column = positions_3T[:, at].tolist()
            assert column[0] == column[1] == column[2]
            seen.append(column[0])
        at += tokens_of([span])
    assert seen == resumes
    assert positions_3T.shape == (3, at)


def test_golden_picture_positions() -> None:
    positions_3T, _ = rope_positions([5, (3, 4, 4), 5])
    assert positions_3T[:, 5:17].tolist() == [
        [5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7],
        [5, 5, 6, 6, 5, 5, 6, 6, 5, 5, 6, 6],
        [5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6],
    ]
    assert positions_3T[0, 17:].tolist() == [8, 9, 10, 11, 12]
    second = rope_positions([4, (1, 4, 6), 3, (1, 8, 4), 2]).positions_3T[:, 13:21]
    assert second[0].unique().tolist() == [10]
    assert second[1].unique().tolist() == [10, 11, 12, 13]
    assert second[2].unique().tolist() == [10, 11]


def test_nothing_has_no_positions() -> None:
    positions_3T, rope_delta = rope_positions([])
    assert (positions_3T.shape, positions_3T.dtype, rope_delta) == ((3, 0), torch.int64, 0)


@given(st.integers(1, 200))
def test_text_counts_up_on_all_axes(tokens: int) -> None:
    positions_3T, rope_delta = rope_positions([tokens])
    assert torch.equal(positions_3T, torch.arange(tokens).expand(3, -1))
    assert rope_delta == 0


@given(layouts)
@settings(deadline=None)
def test_the_next_token_stands_behind_everything(layout: Layout) -> None:
    positions_3T, rope_delta = rope_positions(layout)
    assert positions_3T.shape == (3, tokens_of(layout))
    after = int(positions_3T.max()) + 1 if positions_3T.numel() else 0
    assert positions_3T.shape[1] + rope_delta == after
    assert torch.equal(rope_positions([*layout, 1]).positions_3T[:, -1], torch.tensor([after] * 3))


@given(layouts, st.integers(0, 7))
@settings(deadline=None)
def test_what_follows_does_not_move_what_was(layout: Layout, cut: int) -> None:
    head = rope_positions(layout[:cut]).positions_3T
    assert torch.equal(rope_positions(layout).positions_3T[:, : head.shape[1]], head)


@given(layouts)
@settings(deadline=None)
def test_a_run_may_be_written_in_pieces(layout: Layout) -> None:
    pieces: Layout = []
    for span in layout:
        pieces += [span // 2, span - span // 2] if isinstance(span, int) else [span]
    assert torch.equal(rope_positions(pieces).positions_3T, rope_positions(layout).positions_3T)


def test_another_merge_size() -> None:
    assert merged_grid((2, 12, 18), 3) == (2, 4, 6)
    assert visual_tokens((2, 12, 18), 3) == 48
    positions_3T, rope_delta = rope_positions([1, (1, 12, 18), 1], spatial_merge_size=3)
    assert positions_3T.shape == (3, 26)
    assert positions_3T[:, -1].tolist() == [7, 7, 7]
    assert rope_delta == 8 - 26


def test_a_grid_that_cannot_be_merged_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="cannot be merged"):
        visual_tokens((1, 3, 4))


@given(st.lists(layouts, min_size=1, max_size=4))
@settings(deadline=None)
def test_packing_starts_anew_with_each_sample(samples: list[Layout]) -> None:
    rows = [rope_positions(layout) for layout in samples]
    packed = pack_positions(rows)
    assert packed.cu_seqlens.dtype == torch.int32
    assert packed.cu_seqlens.tolist()[0] == 0
    assert packed.cu_seqlens.tolist()[-1] == packed.positions_3T.shape[1]
    for number, row in enumerate(rows):
        first, last = packed.cu_seqlens[number : number + 2].tolist()
        assert torch.equal(packed.positions_3T[:, first:last], row.positions_3T)


def test_packing_nothing() -> None:
    packed = pack_positions([])
    assert (packed.positions_3T.shape, packed.cu_seqlens.tolist()) == ((3, 0), [0])


def test_padding_to_a_given_length() -> None:
    rows = [rope_positions([2]), rope_positions([1, (1, 4, 4)])]
    right = pad_positions(rows, side="right", length=6)
    assert right.positions_3BT[0].tolist() == [[0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]]
    assert right.positions_3BT[2].tolist() == [[0, 1, 1, 1, 1, 1], [0, 1, 2, 1, 2, 1]]
    assert right.rope_delta_B.tolist() == [-4, -3]
    assert pad_positions(rows, length=6).positions_3BT[2].tolist() == [[1, 1, 1, 1, 0, 1], [1, 0, 1, 2, 1, 2]]
    with pytest.raises(AssertionError, match="do not fit into 4"):
        pad_positions(rows, length=4)


# --- against transformers -------------------------------------------------------------------------------------


def random_layout(draw: random.Random, *, items: int) -> tuple[Layout, list[str]]:
    """Text runs around `items` pictures and clips; each run before an item ends with its start token."""
    layout: Layout = []
    kinds = []
    for _ in range(items):
        kinds.append(draw.choice(["image", "video"]))
        depth = 1 if kinds[-1] == "image" else draw.randint(1, 6)
        layout += [draw.randint(1, 20), (depth, 2 * draw.randint(1, 9), 2 * draw.randint(1, 9))]
    return [*layout, draw.randint(0 if items else 2, 20)], kinds


def ids_of(draw: random.Random, layout: Layout, kinds: list[str]) -> list[int]:
    ids: list[int] = []
    remaining = list(kinds)
    for span, following in zip(layout, [*layout[1:], None], strict=True):
        if isinstance(span, tuple):
            ids += [IMAGE if remaining.pop(0) == "image" else VIDEO] * visual_tokens(span)
            continue
        text = [draw.randint(0, 151642) for _ in range(span)]
        if isinstance(following, tuple):
            text[-1] = START
        ids += text
    return ids


def transformers_positions(ids_BT: Tensor, mask_BT: Tensor, grids: dict[str, list[Grid]]) -> tuple[Tensor, Tensor]:
    vision = SimpleNamespace(spatial_merge_size=2)
    config = SimpleNamespace(
        vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START
    )
    images, videos = (torch.tensor(grids[kind]) if grids[kind] else None for kind in ("image", "video"))
    result: tuple[Tensor, Tensor] = Qwen2VLModel.get_rope_index(
        SimpleNamespace(config=config), ids_BT, images, videos, mask_BT
    )
    return result


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("seed", range(60))
def test_positions_equal_transformers(seed: int, side: str) -> None:
    """2 sides x 60 batches x 5 rows: 600 layouts; every sixth batch is text alone."""
    draw = random.Random(seed * 2 + (side == "left"))
    samples = [random_layout(draw, items=0 if seed % 6 == 0 else draw.randint(0, 5)) for _ in range(5)]
    rows = [ids_of(draw, *sample) for sample in samples]
    width = max(map(len, rows)) + draw.randint(0, 3)
    ids_BT, mask_BT = torch.full((5, width), 151643), torch.zeros(5, width, dtype=torch.int64)
    grids: dict[str, list[Grid]] = {"image": [], "video": []}
    for number, ((layout, kinds), ids) in enumerate(zip(samples, rows, strict=True)):
        first = width - len(ids) if side == "left" else 0
        ids_BT[number, first : first + len(ids)] = torch.tensor(ids)
        mask_BT[number, first : first + len(ids)] = 1
        for kind, grid in zip(kinds, (span for span in layout if isinstance(span, tuple)), strict=True):
            grids[kind].append(grid)
    expected_3BT, expected_delta_B1 = transformers_positions(ids_BT, mask_BT, grids)
    ours = pad_positions([rope_positions(layout) for layout, _ in samples], side=side, length=width)
    assert torch.equal(ours.positions_3BT, expected_3BT)
    assert torch.equal(ours.rope_delta_B, expected_delta_B1.squeeze(1))


def test_positions_of_the_longest_clip_equal_transformers() -> None:
    """768 frames of 224x420 are 46,080 visual tokens."""
    layout: Layout = [15, (384, 16, 30), 10]
    ours = rope_positions(layout)
    ids_BT = torch.tensor([ids_of(random.Random(0), layout, ["video"])])
    grids = {"image": [], "video": [(384, 16, 30)]}
    expected_3BT, delta_B1 = transformers_positions(ids_BT, torch.ones_like(ids_BT), grids)
    assert ids_BT.shape[1] == 46080 + 25
    assert torch.equal(ours.positions_3T, expected_3BT[:, 0])
    assert ours.rope_delta == int(delta_B1)
