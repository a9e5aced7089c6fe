"""What is given to a model ready-made: prompts that were prepared elsewhere, and pictures that were encoded before."""

from collections.abc import Callable

from anyres.config import Qwen2VLConfig
from anyres.engine.runner import Report, Runner
from anyres.engine.vision_cache import VisionCache
from anyres.errors import OptionError
from anyres.model_input import EncodedImage, ModelInput, VisualInput

__all__ = ["check_prompt", "encode_picture"]


def encode_picture(
    runner: Runner, cache: VisionCache, visual: VisualInput, *, encoder: str, report: Report | None = None
) -> EncodedImage:
    """Its visual tokens, marked as made by `encoder`; from the cache where it was seen before."""
    visual_MD = cache.get(visual.content_key)
    if visual_MD is None:
        (visual_MD,) = runner.encode([visual], report=report)
        cache.put(visual.content_key, visual_MD)
    return EncodedImage(
        name=visual.name,
        kind=visual.kind,
        grid_thw=visual.grid_thw,
        original_size=visual.original_size,
        resized_size=visual.resized_size,
        visual_MD=visual_MD,
        note=visual.note,
        encoder=encoder,
    )


def check_prompt(prompt: ModelInput, config: Qwen2VLConfig, encoder: Callable[[], str]) -> None:
    """Raises OptionError for ids outside the vocabulary, positions and pictures that do not belong to them, and
    pictures that were encoded by another `encoder`.

    On a GPU such an id would end the process, and a missing picture everybody's pass.
    """
    ids_T, vocab_size = prompt.token_ids_T, config.text.vocab_size
    outside = ((ids_T < 0) | (ids_T >= vocab_size)).nonzero()[:, 0].tolist()
    if outside:
        raise OptionError(
            "prompt", f"token id {int(ids_T[outside[0]])} at place {outside[0]}", f"0 to {vocab_size - 1}"
        )
    if not len(ids_T) or prompt.positions_3T.shape != (3, len(ids_T)):
        shape = "x".join(map(str, prompt.positions_3T.shape))
        raise OptionError(
            "prompt", f"{len(ids_T)} token ids, positions {shape}", "a position on three axes for each id"
        )
    _check_places(prompt, config)
    for visual in prompt.visuals:
        if visual.visual_MD is not None:
            _check_encoded(visual, encoder())


def _check_places(prompt: ModelInput, config: Qwen2VLConfig) -> None:
    """Placeholders of pictures and clips are as many as their visual tokens, kind by kind in order."""
    pads = {"image": config.image_token_id, "video": config.video_token_id}
    wanted = [pads[visual.kind] for visual in prompt.visuals for _ in range(_tokens(visual, config))]
    found = [one for one in prompt.token_ids_T.tolist() if one in pads.values()]
    if found != wanted:
        raise OptionError(
            "prompt", f"{len(found)} places of pictures and clips", f"{len(wanted)}, those of its visuals"
        )


def _tokens(visual: VisualInput, config: Qwen2VLConfig) -> int:
    t, h, w = visual.grid_thw
    return t * h * w // config.vision.merge_area


def _check_encoded(visual: VisualInput, encoder: str) -> None:
    made_by = visual.encoder if isinstance(visual, EncodedImage) else None
    if made_by != encoder:
        allowed = f"one that encode() of this model made ({encoder})"
        raise OptionError(visual.name, f"encoded by another checkpoint ({made_by})", allowed)
