"""What `ask` is told, as one message: pictures, a video, words."""

from typing import Any

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from anyres.errors import OptionError

__all__ = ["question_of"]


def question_of(picture: Any, question: str, knobs: VideoPart) -> Message:
    """One user turn: the pictures, the video, the words. `knobs` holds the video and what `ask` was told beside it."""
    pictures = [] if picture is None else list(picture) if isinstance(picture, (list, tuple)) else [picture]
    parts: list[Part] = [_image_part(one, knobs) for one in pictures]
    if isinstance(knobs.video, VideoPart):
        parts.append(knobs.video)
    elif knobs.video is not None:
        parts.append(knobs)
    else:
        _refuse_video_knobs(knobs)
    return Message("user", (*parts, TextPart(question)))


def _image_part(picture: Any, knobs: VideoPart) -> ImagePart:
    if isinstance(picture, ImagePart):
        return picture
    return ImagePart(picture, knobs.min_pixels, knobs.max_pixels, knobs.resized_height, knobs.resized_width)


def _refuse_video_knobs(knobs: VideoPart) -> None:
    for name in ("fps", "nframes", "start", "end", "total_pixels"):
        if getattr(knobs, name) is not None:
            raise OptionError(name, f"{getattr(knobs, name)}, without a video", "only beside video=")
