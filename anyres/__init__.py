"""Qwen2-VL: pictures, documents and videos at any resolution in; text, boxes and JSON out.

    import anyres

    model = anyres.load()                                  # the embedded checkpoint; or a folder, or a hub name
    print(model.ask("receipt.jpg", "What is the total?"))

Importing this module loads nothing else: each public name is looked up when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyres.chat import (
        Answer,
        AnswerStream,
        ChatModel,
        GenerationOptions,
        ImagePart,
        Message,
        Piece,
        TextPart,
        Timings,
        TokenLogprob,
        Usage,
        VideoPart,
    )
    from anyres.drawing import draw
    from anyres.engine.engine import LocalChatModel, load
    from anyres.engine.runner import Progress
    from anyres.errors import (
        AnyresError,
        CheckpointError,
        ContextLengthError,
        DatasetError,
        DownloadError,
        GroundingError,
        MediaError,
        MessageError,
        MissingDependencyError,
        ModelNotFoundError,
        NumericsError,
        OptionError,
    )
    from anyres.grounding import Box, Grounding, Point, parse_grounding
    from anyres.model_input import EncodedImage

__all__ = [
    "Answer",
    "AnswerStream",
    "AnyresError",
    "Box",
    "ChatModel",
    "CheckpointError",
    "ContextLengthError",
    "DatasetError",
    "DownloadError",
    "EncodedImage",
    "GenerationOptions",
    "Grounding",
    "GroundingError",
    "ImagePart",
    "LocalChatModel",
    "MediaError",
    "Message",
    "MessageError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "NumericsError",
    "OptionError",
    "Piece",
    "Point",
    "Progress",
    "TextPart",
    "Timings",
    "TokenLogprob",
    "Usage",
    "VideoPart",
    "draw",
    "load",
    "parse_grounding",
]

_ELSEWHERE = {
    "Box": "anyres.grounding",
    "EncodedImage": "anyres.model_input",
    "Grounding": "anyres.grounding",
    "LocalChatModel": "anyres.engine.engine",
    "Point": "anyres.grounding",
    "Progress": "anyres.engine.runner",
    "draw": "anyres.drawing",
    "load": "anyres.engine.engine",
    "parse_grounding": "anyres.grounding",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'anyres' has no attribute {name!r}")
    default = "anyres.errors" if name.endswith("Error") else "anyres.chat"
    return getattr(import_module(_ELSEWHERE.get(name, default)), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
