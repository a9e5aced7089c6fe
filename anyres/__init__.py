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
        AsyncAnswerStream,
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
    from anyres.client import Endpoint, MediaRules, RemoteChatModel
    from anyres.constraints import Boxes, Choices, JsonObject, JsonSchema, Lark, Regex, Tool, ToolCalls
    from anyres.drawing import draw
    from anyres.engine.engine import LocalChatModel
    from anyres.engine.live import LiveVideo
    from anyres.engine.load import load
    from anyres.engine.options import EngineOptions, Turn
    from anyres.engine.pin_file import Pin
    from anyres.engine.runner import Progress
    from anyres.errors import (
        AnyresError,
        BusyError,
        CheckpointError,
        ConstraintError,
        ContextLengthError,
        DatasetError,
        DeadlineError,
        DownloadError,
        EndpointError,
        EngineError,
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
    "AsyncAnswerStream",
    "Box",
    "Boxes",
    "BusyError",
    "ChatModel",
    "CheckpointError",
    "Choices",
    "ConstraintError",
    "ContextLengthError",
    "DatasetError",
    "DeadlineError",
    "DownloadError",
    "EncodedImage",
    "Endpoint",
    "EndpointError",
    "EngineError",
    "EngineOptions",
    "GenerationOptions",
    "Grounding",
    "GroundingError",
    "ImagePart",
    "JsonObject",
    "JsonSchema",
    "Lark",
    "LiveVideo",
    "LocalChatModel",
    "MediaError",
    "MediaRules",
    "Message",
    "MessageError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "NumericsError",
    "OptionError",
    "Piece",
    "Pin",
    "Point",
    "Progress",
    "Regex",
    "RemoteChatModel",
    "TextPart",
    "Timings",
    "TokenLogprob",
    "Tool",
    "ToolCalls",
    "Turn",
    "Usage",
    "VideoPart",
    "draw",
    "load",
    "parse_grounding",
]

_ELSEWHERE = {
    "Box": "anyres.grounding",
    "Boxes": "anyres.constraints",
    "Choices": "anyres.constraints",
    "EncodedImage": "anyres.model_input",
    "Endpoint": "anyres.client",
    "EngineOptions": "anyres.engine.options",
    "Grounding": "anyres.grounding",
    "JsonObject": "anyres.constraints",
    "JsonSchema": "anyres.constraints",
    "Lark": "anyres.constraints",
    "LiveVideo": "anyres.engine.live",
    "LocalChatModel": "anyres.engine.engine",
    "MediaRules": "anyres.client",
    "Pin": "anyres.engine.pin_file",
    "Point": "anyres.grounding",
    "Progress": "anyres.engine.runner",
    "Regex": "anyres.constraints",
    "RemoteChatModel": "anyres.client",
    "Tool": "anyres.constraints",
    "ToolCalls": "anyres.constraints",
    "Turn": "anyres.engine.options",
    "draw": "anyres.drawing",
    "load": "anyres.engine.load",
    "parse_grounding": "anyres.grounding",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'anyres' has no attribute {name!r}")
    default = "anyres.errors" if name.endswith("Error") else "anyres.chat"
    return getattr(import_module(_ELSEWHERE.get(name, default)), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
