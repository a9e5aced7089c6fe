"""Passes of the model: however the work is cut, the numbers stay; and NaN is traced to its layer."""

from collections.abc import Sequence as Run

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from anyres.chat import Usage
from anyres.engine.detokenizer import Detokenizer
from anyres.engine.request import Sequence
from anyres.engine.runner import Progress, Runner, _chunks, _packs
from anyres.engine.sampler import Sampler, SamplingOptions
from anyres.errors import NumericsError
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput, VisualInput
from tests.oracle import VOCAB_SIZE, byte_tokenizer, picture, prompt, relative_error, tiny_config, tiny_model


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


def sequence_of(one: ModelInput) -> Sequence:
    tokenizer = byte_tokenizer()
    return Sequence(
        one,
        usage=Usage(),
        sampler=Sampler(SamplingOptions(0.0), one.token_ids_T, torch.zeros(VOCAB_SIZE, dtype=torch.bool)),
        detokenizer=Detokenizer(tokenizer.token_bytes),
        tokenizer=tokenizer,
        max_tokens=100,
        eos_token_ids=frozenset(),
    )


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


@pytest.mark.parametrize("prefill_tokens", [1, 5, 16, 4096])
@pytest.mark.parametrize("encode_patches", [1, 30, 4096])
def test_cutting_changes_nothing(
    model: Qwen2VL, prompts: list[ModelInput], prefill_tokens: int, encode_patches: int
) -> None:
    runner = Runner(model, prefill_tokens=prefill_tokens, encode_patches=encode_patches)
    visuals = runner.encode(visuals_of(prompts))
    logits_BV = runner.prefill(runner.new_cache(places=8), [sequence_of(one) for one in prompts], visuals)
    for logits_V, one in zip(logits_BV, prompts, strict=True):
        assert relative_error(logits_V, fresh_logits(model, one, [])) <= 1e-5


def test_decoding_is_one_full_pass(model: Qwen2VL, prompts: list[ModelInput]) -> None:
    """Every step of a ragged batch, against a pass over prompt and answer afresh."""
    runner, sequences = Runner(model), [sequence_of(one) for one in prompts]
    cache = runner.new_cache(places=8)
    logits_BV = runner.prefill(cache, sequences, runner.encode(visuals_of(prompts)))
    for _ in range(6):
        for sequence, logits_V in zip(sequences, logits_BV, strict=True):
            assert relative_error(logits_V, fresh_logits(model, sequence.prompt, sequence.answer_ids)) <= 1e-5
            sequence.take(logits_V)
        logits_BV = runner.decode(cache, sequences)


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
    runner = Runner(model, prefill_tokens=30, encode_patches=24)
    visuals = runner.encode(visuals_of(prompts), report=told.append)
    runner.prefill(runner.new_cache(), [sequence_of(one) for one in prompts], visuals, report=told.append)
    # 24 patches; a clip of 9 frame pairs of 8 patches; 20 patches.
    assert told == [
        Progress("encode", 1, 3, 0, 29),
        Progress("encode", 2, 3, 6, 29),
        Progress("encode", 2, 3, 12, 29),
        Progress("encode", 2, 3, 18, 29),
        Progress("encode", 3, 3, 24, 29),
        Progress("encode", 3, 3, 29, 29),
        Progress("prefill", 1, 4, 0, 76),
        Progress("prefill", 3, 4, 30, 76),
        Progress("prefill", 4, 4, 60, 76),
        Progress("prefill", 4, 4, 76, 76),
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
    runner = Runner(model)
    with pytest.raises(NumericsError) as caught:
        runner.prefill(runner.new_cache(), [sequence_of(prompts[0])], runner.encode(visuals_of(prompts[:1])))
    assert caught.value.item == layer
    assert str(caught.value).startswith(f"{layer}: NaN or infinite values in float32; allowed: finite values")
    assert not any(layer._forward_hooks for layer in model.modules()), "the hooks are gone"


def test_a_product_between_layers_blames_the_part_that_holds_it(prompts: list[ModelInput]) -> None:
    """In float16 silu(gate) * up can overflow although both are finite: mlp itself is named, with a way out."""
    model = tiny_model(tiny_config(), dtype=torch.float16)
    with torch.no_grad():
        model.model.layers[1].mlp.gate_proj.weight.mul_(1000)
        model.model.layers[1].mlp.up_proj.weight.mul_(1000)
    runner = Runner(model)
    with pytest.raises(
        NumericsError, match=r"in float16; allowed: finite values; try dtype=float32 or bfloat16"
    ) as caught:
        runner.prefill(runner.new_cache(), [sequence_of(prompts[3])], [])
    assert caught.value.item == "model.layers.1.mlp"


def test_a_failed_pass_is_not_kept(prompts: list[ModelInput]) -> None:
    model = tiny_model(tiny_config())
    runner, sequence = Runner(model), sequence_of(prompts[3])
    cache = runner.new_cache()
    sequence.take(runner.prefill(cache, [sequence], [])[0])
    kept = model.model.norm.weight.clone()
    model.state_dict()["model.norm.weight"][0] = float("nan")
    with pytest.raises(NumericsError):
        runner.decode(cache, [sequence])
    assert cache.length(sequence.cache_name) == 19
    model.state_dict()["model.norm.weight"].copy_(kept)
    logits_V = runner.decode(cache, [sequence])[0]
    assert relative_error(logits_V, fresh_logits(model, sequence.prompt, sequence.answer_ids)) <= 1e-5


@given(lengths=st.lists(st.integers(1, 40), max_size=6), budget=st.integers(1, 50))
def test_chunks_cover_everything_once_and_in_order(lengths: list[int], budget: int) -> None:
    passes = list(_chunks(lengths, budget))
    covered = [(chunk.item, at) for chunks in passes for chunk in chunks for at in range(chunk.start, chunk.stop)]
    assert covered == [(item, at) for item, length in enumerate(lengths) for at in range(length)]
    sizes = [sum(chunk.stop - chunk.start for chunk in chunks) for chunks in passes]
    assert all(size == budget for size in sizes[:-1])
    assert all(0 < size <= budget for size in sizes[-1:])


grids = st.tuples(st.integers(1, 9), st.sampled_from([2, 4, 6]), st.sampled_from([2, 4, 6]))


@given(items=st.lists(grids, max_size=5), budget=st.integers(1, 90))
def test_packs_hold_whole_frame_pairs_and_the_budget(items: list[tuple[int, int, int]], budget: int) -> None:
    packs = list(_packs(items, budget))
    covered = [(chunk.item, at) for pack in packs for chunk in pack for at in range(chunk.start, chunk.stop)]
    assert covered == [(item, at) for item, (t, _, _) in enumerate(items) for at in range(t)]
    for pack in packs:
        size = sum((chunk.stop - chunk.start) * items[chunk.item][1] * items[chunk.item][2] for chunk in pack)
        alone = len(pack) == 1 and pack[0].stop - pack[0].start == 1
        assert size <= budget or alone
