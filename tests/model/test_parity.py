"""Our modules against transformers 4.57.6 on random tiny checkpoints: same weights, same inputs, same numbers."""

import pytest
import torch
from torch import Tensor

from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from tests.oracle import original_inputs, original_of, picture, prompt, relative_error, tiny_config, tiny_model

SHAPES = {
    "grouped": {"heads": 4, "kv_heads": 2},
    "tied": {"heads": 4, "kv_heads": 2, "tied": True},
    "one key head": {"heads": 4, "kv_heads": 1},
    "as many key heads": {"heads": 2, "kv_heads": 2},
    "tied, as many key heads": {"heads": 2, "kv_heads": 2, "tied": True},
}


def our_logits(model: Qwen2VL, *prompts: ModelInput) -> Tensor:
    """All prompts in one pack, without a cache. logits_TV."""
    visuals = [visual for one in prompts for visual in one.visuals]
    with torch.no_grad():
        visual_MD = None
        if visuals:
            pixels_PX = torch.cat([visual.patches() for visual in visuals])
            visual_MD = model.encode(pixels_PX, [visual.grid_thw for visual in visuals])
        embeds_TD = model.embed(torch.cat([one.token_ids_T for one in prompts]), visual_MD)
        positions_3T = torch.cat([one.positions_3T for one in prompts], dim=1)
        attend = CausalAttention([len(one.token_ids_T) for one in prompts])
        return model.head(model(embeds_TD, positions_3T, attend))


def layouts(model: Qwen2VL) -> dict[str, list[ModelInput]]:
    config = model.config
    wide, tall, square = (picture(config, (1, h, w), seed=h) for h, w in ((2, 8), (10, 4), (6, 6)))
    clip, long_clip = (picture(config, (t, 4, 6), seed=t, kind="video") for t in (2, 9))
    return {
        "text": [prompt(config, [17])],
        "picture": [prompt(config, [5, wide, 9])],
        "pictures": [prompt(config, [5, wide, tall, 3, square, 9])],
        "video": [prompt(config, [4, clip, 8])],
        "long video": [prompt(config, [4, long_clip, 8])],
        "pictures and videos": [prompt(config, [3, wide, 2, clip, square, long_clip, 6])],
        "videos before pictures": [prompt(config, [3, clip, 2, tall, 6])],
    }


@pytest.fixture(scope="module", params=SHAPES)
def model(request: pytest.FixtureRequest) -> Qwen2VL:
    return tiny_model(tiny_config(**SHAPES[request.param]))


def test_vision_encoder(model: Qwen2VL) -> None:
    items = [
        picture(model.config, grid, seed=i) for i, grid in enumerate([(1, 2, 2), (3, 4, 6), (1, 12, 2), (2, 2, 2)])
    ]
    pixels_PX, grids = torch.cat([item.patches() for item in items]), [item.grid_thw for item in items]
    with torch.no_grad():
        theirs_MD = original_of(model).model.visual(pixels_PX, grid_thw=torch.tensor(grids))
        ours_MD = model.encode(pixels_PX, grids)
        one_by_one = torch.cat([model.encode(item.patches(), [item.grid_thw]) for item in items])
    assert relative_error(ours_MD, theirs_MD) <= 1e-5
    assert relative_error(one_by_one, theirs_MD) <= 1e-5


def test_logits(model: Qwen2VL) -> None:
    original = original_of(model)
    for name, prompts in layouts(model).items():
        with torch.no_grad():
            theirs_TV = original(**original_inputs(prompts)).logits[0]
        assert relative_error(our_logits(model, *prompts), theirs_TV) <= 1e-5, name


def test_logits_of_a_ragged_batch(model: Qwen2VL) -> None:
    config = model.config
    prompts = [
        prompt(config, [5, picture(config, (1, 4, 4), seed=1), 3], seed=1),
        prompt(config, [21], seed=2),
        prompt(config, [2, picture(config, (4, 4, 4), kind="video"), picture(config, (1, 8, 2), seed=2), 4], seed=3),
    ]
    with torch.no_grad():
        theirs_BTV = original_of(model)(**original_inputs(prompts)).logits
    theirs_TV = torch.cat([rows_TV[-len(one.token_ids_T) :] for rows_TV, one in zip(theirs_BTV, prompts, strict=True)])
    assert relative_error(our_logits(model, *prompts), theirs_TV) <= 1e-5


def test_position_of_the_clip_matters(model: Qwen2VL) -> None:
    """The comparison above would notice wrong positions."""
    (whole,) = layouts(model)["long video"]
    flat = ModelInput(whole.token_ids_T, torch.arange(len(whole.token_ids_T)).expand(3, -1), 0, whole.visuals)
    assert relative_error(our_logits(model, flat), our_logits(model, whole)) > 1e-2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_float32(dtype: torch.dtype) -> None:
    full = tiny_model(tiny_config())
    (one,) = layouts(full)["pictures and videos"]
    half = tiny_model(tiny_config(), dtype=dtype)
    with torch.no_grad():
        theirs_TV = original_of(half, dtype=dtype)(**original_inputs([one])).logits[0]
    exact_TV = our_logits(full, one)
    ours, theirs = relative_error(our_logits(half, one), exact_TV), relative_error(theirs_TV, exact_TV)
    assert 1e-5 < ours < max(2 * theirs, 0.02), (ours, theirs)


def test_logits_are_float32_in_every_dtype() -> None:
    half = tiny_model(tiny_config(), dtype=torch.bfloat16)
    assert half.head(torch.zeros(1, half.config.text.hidden_size, dtype=torch.bfloat16)).dtype == torch.float32
