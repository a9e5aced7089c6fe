"""What is wrong with a picture, clip or file of a request, and the code clients know it by."""

from typing import Literal

from anyres.errors import AnyresError

__all__ = ["Kind", "Problem", "RefusedMediaError", "refusal"]

Kind = Literal["image", "video", "file"]
Problem = Literal[
    "address",
    "base64",
    "bytes",
    "count",
    "damaged",
    "download",
    "empty",
    "format",
    "frames",
    "pixels",
    "shape",
    "side",
    "time",
    "tokens",
    "unknown id",
    "value",
]

# (of a picture or file, of a clip). Clients know OpenAI's codes, which name pictures only.
_CODES: dict[Problem, tuple[str, str]] = {
    "address": ("invalid_image_url", "invalid_image_url"),
    "base64": ("invalid_base64_image", "invalid_value"),
    "bytes": ("image_file_too_large", "video_too_large"),
    "count": ("too_many_images", "too_many_videos"),
    "damaged": ("image_parse_error", "unsupported_video_format"),
    "download": ("failed_to_download_image", "failed_to_download_image"),
    "empty": ("empty_image_file", "unsupported_video_format"),
    "format": ("unsupported_image_media_type", "unsupported_video_format"),
    "frames": ("too_many_frames", "too_many_frames"),
    "pixels": ("image_too_large", "video_too_large"),
    "shape": ("invalid_image", "unsupported_video_format"),
    "side": ("image_too_small", "unsupported_video_format"),
    "time": ("image_parse_error", "video_decode_timeout"),
    "tokens": ("context_length_exceeded", "context_length_exceeded"),
    "unknown id": ("image_file_not_found", "image_file_not_found"),
    "value": ("invalid_value", "invalid_value"),
}


class RefusedMediaError(AnyresError):
    """A picture, clip or file of a request is not let in. `code` is one of OpenAI's or ours, `part` its index.

    >>> error = refusal("video", "frames", "a list of 900 frames", "at most 768 (--max-video-frames)")
    >>> error.code, str(error)
    ('too_many_frames', 'video: a list of 900 frames; allowed: at most 768 (--max-video-frames)')
    """

    def __init__(self, item: str, seen: str, allowed: str, *, code: str, part: int = 0) -> None:
        super().__init__(item, seen, allowed)
        self.code = code
        self.part = part


def refusal(kind: Kind, problem: Problem, seen: str, allowed: str) -> RefusedMediaError:
    """The error for a problem of one kind of media; the door fills in which part it was."""
    return RefusedMediaError(kind, seen, allowed, code=_CODES[problem][kind == "video"])
