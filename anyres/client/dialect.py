"""What servers of OpenAI's API take beyond it, and how each is recognised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from anyres.errors import OptionError

__all__ = ["BEYOND_OPENAI", "DIALECTS", "Dialect", "dialect_of_address", "dialect_of_models", "named_dialect"]

VideoForm = Literal["file", "frames", "jpeg_frames", "images"]
_RANGE = frozenset({"min_pixels", "max_pixels"})
_SIZE = _RANGE | {"resized_height", "resized_width"}
BEYOND_OPENAI = ("top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids", "ignore_eos")
_SAME_NAMES = {name: name for name in BEYOND_OPENAI}


@dataclass(frozen=True)
class Dialect:
    """One kind of server.

    `draws` gives its names for the options that OpenAI lacks, of drawing and ending; `image_names` and `video_names`
    may stand beside a picture or clip; `video` is how a clip travels: its file, a list of frames, frames in one data:
    URL (vLLM), or pictures one by one; `video_else` what is left where no file can be sent. `keeps_marks` has it write
    Qwen2-VL's marks of boxes, which some leave out. One that `sizes_itself` resizes pictures by the rule we would use.
    """

    name: str
    max_tokens: str = "max_tokens"
    draws: Mapping[str, str] = field(default_factory=dict)
    image_names: frozenset[str] = frozenset()
    video_names: frozenset[str] = frozenset()
    video: VideoForm = "images"
    video_else: VideoForm = "images"
    keeps_marks: Mapping[str, Any] = field(default_factory=dict)
    sizes_itself: bool = False


DIALECTS: Mapping[str, Dialect] = {
    one.name: one
    for one in (
        Dialect(
            "anyres",
            max_tokens="max_completion_tokens",
            draws=_SAME_NAMES,
            image_names=_SIZE,
            video_names=_SIZE
            | {"fps", "nframes", "min_frames", "max_frames", "video_start", "video_end", "total_pixels"},
            video="file",
            video_else="frames",
            sizes_itself=True,
        ),
        Dialect("vllm", draws=_SAME_NAMES, video="jpeg_frames", keeps_marks={"skip_special_tokens": False}),
        Dialect("sglang", draws=_SAME_NAMES, video="file", keeps_marks={"skip_special_tokens": False}),
        Dialect(
            "llama.cpp",
            draws={
                "top_k": "top_k",
                "min_p": "min_p",
                "repetition_penalty": "repeat_penalty",
                "ignore_eos": "ignore_eos",
            },
        ),
        Dialect(
            "dashscope",
            draws={"top_k": "top_k", "repetition_penalty": "repetition_penalty"},
            image_names=_RANGE,
            video_names=frozenset({"fps"}),
            video="frames",
        ),
        Dialect("ollama"),
        Dialect("openai", max_tokens="max_completion_tokens"),
        Dialect("plain"),
    )
}
_OWNERS = {
    "anyres": "anyres",
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "library": "ollama",
}


def named_dialect(name: str) -> Dialect:
    """OptionError for a name that is none."""
    if name not in DIALECTS:
        raise OptionError("dialect", repr(name), f"auto, {', '.join(DIALECTS)}")
    return DIALECTS[name]


def dialect_of_address(url: str) -> Dialect | None:
    """Where the address alone tells.

    >>> dialect_of_address("https://api.openai.com/v1").name, dialect_of_address("http://127.0.0.1:8000/v1")
    ('openai', None)
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "api.openai.com":
        return DIALECTS["openai"]
    if host.endswith(".aliyuncs.com"):
        return DIALECTS["dashscope"]
    return DIALECTS["ollama"] if parts.port == 11434 else None


def dialect_of_models(models: Sequence[Mapping[str, Any]]) -> Dialect:
    """What `owned_by` in the list of models says; "plain" where it says nothing known.

    >>> dialect_of_models([{"id": "qwen2-vl", "owned_by": "vllm"}]).name
    'vllm'
    """
    owners = [str(model.get("owned_by", "")).lower() for model in models]
    return DIALECTS[next((_OWNERS[owner] for owner in owners if owner in _OWNERS), "plain")]
