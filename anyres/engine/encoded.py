"""Pictures that went through the vision encoder before they are asked about, and whose encoder that was."""

from anyres.engine.runner import Report, Runner
from anyres.engine.vision_cache import VisionCache
from anyres.errors import OptionError
from anyres.model_input import EncodedImage, VisualInput

__all__ = ["check_encoded", "encode_picture"]


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


def check_encoded(visual: VisualInput, encoder: str) -> None:
    """Raises OptionError for what another encoder has made."""
    made_by = visual.encoder if isinstance(visual, EncodedImage) else None
    if visual.visual_MD is not None and made_by != encoder:
        allowed = f"one that encode() of this model made ({encoder})"
        raise OptionError(visual.name, f"encoded by another checkpoint ({made_by})", allowed)
