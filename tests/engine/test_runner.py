"""Passes of the model: however the work is cut, the numbers stay; and NaN is traced to its layer."""

from collections.abc import Sequence as Run

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from anyres.engine.kv_cache import KVCache
from anyres.engine.runner import Feed, Passed, Progress, Runner, VisualPart, _packs
from anyres.errors import NumericsError
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput, VisualInput
from tests.oracle import SPECIAL_IDS, picture, prompt, relative_error, tiny_config, tiny_model


@pytest.fixture(scope="module")
def model() -> Qwen2VL:
    return tiny_model(tiny_config())


@pytest.fixture(scope="module")
def prompts(model: Qwen2VL) -> list[ModelInput]:
    config = model.config
    image, tall = picture(config, (1, 6, 4), seed=1), picture(config, (1, 10, 2), seed=2)
    clip = picture(config, (9, 2, 4), seed=3, kind="video")
    return [
        prompt(config, [4, image, 7], seed=1),
        prompt(config, [1], seed=2),
        prompt(config, [3, clip, 2, tall, 5], seed=3),
        prompt(config, [19], seed=4),
    ]


def visuals_of(prompts: Run[ModelInput]) -> list[VisualInput]:
    return [visual for one in prompts for visual in one.visuals]


def fresh_logits(model: Qwen2VL, one: ModelInput, answer_ids: list[int]) -> Tensor:
    """Logits after prompt and answer, in one pass without a cache."""
    length, ids = len(one.token_ids_T), torch.tensor(answer_ids, dtype=torch.long)
    later = torch.arange(length, length + len(ids)) + one.rope_delta
    with torch.no_grad():
        visual_MD = None
        if one.visuals:
            pixels_PX = torch.cat([visual.patches() for visual in one.visuals])
            visual_MD = model.encode(pixels_PX, [visual.grid_thw for visual in one.visuals])
        embeds_TD = model.embed(torch.cat([one.token_ids_T, ids]), visual_MD)
        positions_3T = torch.cat([one.positions_3T, later.expand(3, -1)], dim=1)
        return model.head(model(embeds_TD, positions_3T, CausalAttention([len(embeds_TD)]))[-1:])[0]


def feed_of(one: ModelInput, start: int, stop: int, table: Run[int], visuals: Run[Tensor]) -> Feed:
    """Tokens `start` to `stop` of a prompt."""
    is_pad_T = (one.token_ids_T == SPECIAL_IDS["<|image_pad|>"]) | (one.token_ids_T == SPECIAL_IDS["<|video_pad|>"])
    rest = iter(torch.cat(list(visuals)) if visuals else ())
    rows = {place: next(rest) for place in is_pad_T.nonzero()[:, 0].tolist()}
    inside = tuple((place - start, row_D[None]) for place, row_D in rows.items() if start <= place < stop)
    ids = one.token_ids_T[start:stop].tolist()
    return Feed(ids, one.positions_3T[:, start:stop], table, start, inside, ends=stop == len(one.token_ids_T))


def new_cache(model: Qwen2VL) -> KVCache:
    return KVCache(model.config.text, device=model.device, dtype=model.dtype)


def read(runner: Runner, one: ModelInput, cut: int) -> Passed:
    """The prompt in two passes."""
    cache, table, length = new_cache(runner.model), range(10), len(one.token_ids_T)
    visuals = runner.encode(one.visuals)
    if cut:
        assert runner.forward(cache, [feed_of(one, 0, cut, table, visuals)]) == Passed({}, {})
    return runner.forward(cache, [feed_of(one, cut, length, table, visuals)])


@pytest.mark.parametrize("encode_patches", [1, 30, 4096])
@pytest.mark.parametrize("cut", [0, 1, 7, 17])
def test_cutting_changes_nothing(model: Qwen2VL, prompts: list[ModelInput], cut: int, encode_patches: int) -> None:
    """Also in the middle of a picture."""
    for one in (prompts[0], prompts[2], prompts[3]):
        passed = read(Runner(model, encode_patches=encode_patches), one, cut)
        assert relative_error(passed.logits[0], fresh_logits(model, one, [])) <= 1e-5


def test_sequences_share_a_pass(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    """Some end in it, some do not; what one gets does not depend on the others."""
    runner, cache = Runner(model), new_cache(model)
    visuals = [runner.encode(one.visuals) for one in prompts]
    stops = [len(one.token_ids_T) for one in prompts]
    stops[2] -= 3
    tables = [range(5 * i, 5 * i + 5) for i in range(4)]
    feeds = [feed_of(one, 0, stops[i], tables[i], visuals[i]) for i, one in enumerate(prompts)]
    passed = runner.forward(cache, feeds)
    assert passed.failed == {}
    assert sorted(passed.logits) == [0, 1, 3]
    for i in (0, 1, 3):
        assert relative_error(passed.logits[i], fresh_logits(model, prompts[i], [])) <= 1e-5


def test_parts_of_items_share_a_pass(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    """Frame pairs see nothing of each other, so a clip may be encoded in parts, beside other pictures."""
    runner = Runner(model)
    clip, tall = prompts[2].visuals
    made = runner.encode_parts([VisualPart(clip, 4, 9), VisualPart(tall, 0, 1), VisualPart(clip, 0, 4)])
    whole = runner.encode([clip, tall])
    assert relative_error(torch.cat([made[2], made[0]]), whole[0]) <= 1e-5
    assert relative_error(made[1], whole[1]) <= 1e-5


def test_what_a_large_pass_needed_is_given_back(
    model: Qwen2VL, prompts: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr("anyres.engine.heap._malloc_trim", lambda: lambda pad: given.append(pad) or 1)
    runner, visual = Runner(model), visuals_of(prompts)[0]
    part = VisualPart(visual, 0, 1)
    monkeypatch.setattr("anyres.engine.runner.LARGE_PASS", len(part) + 1)
    runner.encode_parts([part])
    assert given == []
    runner.encode_parts([part, part])
    assert given == [0]


def test_8_bit_pixels_are_normalised_pack_by_pack(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tokens as from float32 patches, and never more of those at once than a pass takes."""
    generator = torch.Generator().manual_seed(0)
    grid, values = (9, 2, 4), model.config.vision.patch_values
    pixels_PX = torch.randint(0, 256, (72, values), generator=generator, dtype=torch.uint8)
    table_CV = torch.randn(3, 256, generator=generator)
    small = VisualInput("clip", "video", grid, (28, 56), (28, 56), pixels_PX, normalise_CV=table_CV)
    large = VisualInput("clip", "video", grid, (28, 56), (28, 56), small.patches())
    made: list[int] = []
    plain = VisualInput.patches

    def counted(visual: VisualInput, start: int = 0, stop: int | None = None) -> Tensor:
        rows_PX = plain(visual, start, stop)
        made.append(len(rows_PX))
        return rows_PX

    monkeypatch.setattr(VisualInput, "patches", counted)
    (ours_MD,) = Runner(model, encode_patches=16).encode([small])
    assert made == [16, 16, 16, 16, 8]
    assert torch.equal(ours_MD, Runner(model, encode_patches=16).encode([large])[0])


def test_encoded_pictures_pass_through(model: Qwen2VL) -> None:
    raw = [picture(model.config, (1, 4, 4), seed=seed) for seed in range(3)]
    ready = VisualInput("ready", "image", (1, 2, 2), (28, 28), (28, 28), visual_MD=torch.ones(1, 64))
    visuals = Runner(model).encode([raw[0], ready, raw[1], raw[2]])
    assert visuals[1] is ready.visual_MD
    assert [len(visual_MD) for visual_MD in visuals] == [4, 1, 4, 4]
    torch.testing.assert_close(visuals[3], model.encode(raw[2].patches(), [(1, 4, 4)]).detach())
    assert Runner(model).encode([]) == []
    assert not visuals[0].is_inference(), "encoded pictures may be trained on"


def test_progress_is_told(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    told: list[Progress] = []
    Runner(model, encode_patches=24).encode(visuals_of(prompts), report=told.append)
    # 24 patches; a clip of 9 frame pairs of 8 patches; 20 patches.
    assert told == [
        Progress("encode", 1, 3, 0, 29),
        Progress("encode", 2, 3, 6, 29),
        Progress("encode", 2, 3, 12, 29),
        Progress("encode", 2, 3, 18, 29),
        Progress("encode", 3, 3, 24, 29),
        Progress("encode", 3, 3, 29, 29),
    ]


WEIGHTS = {
    "model.layers.1.mlp.up_proj.weight": "model.layers.1.mlp.up_proj",
    "model.layers.0.self_attn.v_proj.bias": "model.layers.0.self_attn.v_proj",
    "model.layers.2.input_layernorm.weight": "model.layers.2.input_layernorm",
    "model.norm.weight": "model.norm",
    "model.embed_tokens.weight": "model.embed_tokens",
    "lm_head.weight": "lm_head",
    "visual.patch_embed.proj.weight": "visual.patch_embed.proj",
    "visual.blocks.1.attn.qkv.weight": "visual.blocks.1.attn.qkv",
    "visual.merger.mlp.2.bias": "visual.merger.mlp.2",
}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("weight", "layer"), WEIGHTS.items())
def test_the_layer_with_nan_is_named(prompts: list[ModelInput], weight: str, layer: str, value: float) -> None:
    model = tiny_model(tiny_config())
    model.state_dict()[weight].view(-1)[:] = value
    with pytest.raises(NumericsError) as caught:
        raise read(Runner(model), prompts[0], 0).failed[0]
    assert caught.value.item == layer
    assert str(caught.value).startswith(f"{layer}: NaN or infinite values in float32; allowed: finite values")
    assert not any(layer._forward_hooks for layer in model.modules()), "the hooks are gone"


def test_a_product_between_layers_blames_the_part_that_holds_it(prompts: list[ModelInput]) -> None:
    """In float16 silu(gate) * up can overflow although both are finite: mlp itself is named, with a way out."""
    model = tiny_model(tiny_config(), dtype=torch.float16)
    with torch.no_grad():
        model.model.layers[1].mlp.gate_proj.weight.mul_(1000)
        model.model.layers[1].mlp.up_proj.weight.mul_(1000)
    error = read(Runner(model), prompts[3], 0).failed[0]
    assert str(error).endswith("in float16; allowed: finite values; try dtype=float32 or bfloat16")
    assert error.item == "model.layers.1.mlp"


def test_only_the_sequence_with_nan_fails(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    """A picture that came encoded and holds a NaN, beside two prompts that have none."""
    runner, cache = Runner(model), new_cache(model)
    spoilt_MD = runner.encode(prompts[0].visuals)[0].clone()
    spoilt_MD[2, 3] = torch.nan
    whole = [len(one.token_ids_T) for one in prompts]
    feeds = [
        feed_of(prompts[3], 0, whole[3], range(5), []),
        feed_of(prompts[0], 0, whole[0], range(5, 10), [spoilt_MD]),
        feed_of(prompts[1], 0, whole[1], range(10, 15), []),
    ]
    passed = runner.forward(cache, feeds)
    assert set(passed.failed) == {1}
    for i, one in ((0, prompts[3]), (2, prompts[1])):
        assert relative_error(passed.logits[i], fresh_logits(model, one, [])) <= 1e-5


def test_a_pass_can_be_run_again_after_a_failure(prompts: list[ModelInput]) -> None:
    model = tiny_model(tiny_config())
    runner, cache, one = Runner(model), new_cache(model), prompts[3]
    kept = model.model.norm.weight.clone()
    model.state_dict()["model.norm.weight"][0] = float("nan")
    feed = feed_of(one, 0, 19, range(2), [])
    assert runner.forward(cache, [feed]).failed
    model.state_dict()["model.norm.weight"].copy_(kept)
    assert relative_error(runner.forward(cache, [feed]).logits[0], fresh_logits(model, one, [])) <= 1e-5


grids = st.tuples(st.integers(1, 9), st.sampled_from([2, 4, 6]), st.sampled_from([2, 4, 6]))


@given(items=st.lists(grids, max_size=5), budget=st.integers(1, 90))
def test_packs_hold_whole_frame_pairs_and_the_budget(items: list[tuple[int, int, int]], budget: int) -> None:
    visuals = [VisualInput(str(i), "video", grid, (1, 1), (1, 1)) for i, grid in enumerate(items)]
    packs = list(_packs(visuals, budget))
    covered = [(part.visual.name, at) for pack in packs for part in pack for at in range(part.start, part.stop)]
    assert covered == [(str(i), at) for i, (t, _, _) in enumerate(items) for at in range(t)]
    for pack in packs:
        alone = len(pack) == 1 and pack[0].stop - pack[0].start == 1
        assert sum(map(len, pack)) <= budget or alone
