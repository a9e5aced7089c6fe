"""Everything anyres raises on purpose.

    AnyresError
    ├── MediaError             a picture or a clip cannot be read
    ├── MessageError           a conversation is not well formed
    ├── OptionError            a knob has a value outside its range
    ├── ConstraintError        a schema, pattern or grammar that no answer can be held to
    ├── ContextLengthError     the prompt does not fit into the model's context
    ├── CheckpointError        a checkpoint is missing, damaged or of the wrong shape
    │   └── ModelNotFoundError no such model name or folder
    ├── DatasetError           a row of training or evaluation data is damaged, or too many are
    ├── DownloadError          a hub file cannot be fetched or does not match its checksum
    ├── EndpointError          a remote endpoint refused the request, failed or cannot be reached
    ├── EngineError            the engine cannot take or finish a request
    │   ├── BusyError          too many requests wait already
    │   └── DeadlineError      a request's time was up
    ├── GroundingError         boxes in an answer are not well formed
    ├── MissingDependencyError an optional package is not installed
    └── NumericsError          activations became NaN or infinite

Each one carries the item's name, the value seen and the value allowed, and prints as
`photo.png: 3x1200 pixels, aspect ratio 400; allowed: at most 200`.
"""

__all__ = [
    "AnyresError",
    "BusyError",
    "CheckpointError",
    "ConstraintError",
    "ContextLengthError",
    "DatasetError",
    "DeadlineError",
    "DownloadError",
    "EndpointError",
    "EngineError",
    "GroundingError",
    "MediaError",
    "MessageError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "NumericsError",
    "OptionError",
]


class AnyresError(Exception):
    """A problem with what was given to anyres.

    `item` names the thing (a file name, `messages[2]`, `temperature`), `seen` says what it holds and `allowed`
    what it may hold.

    >>> str(OptionError("fps", "0", "a number above 0"))
    'fps: 0; allowed: a number above 0'
    """

    def __init__(self, item: str, seen: str, allowed: str) -> None:
        super().__init__(item, seen, allowed)
        self.item = item
        self.seen = seen
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.item}: {self.seen}; allowed: {self.allowed}"


class MediaError(AnyresError):
    """A picture or a clip cannot be read."""


class MessageError(AnyresError):
    """A conversation is not well formed."""


class OptionError(AnyresError):
    """A knob has a value outside its range."""


class ConstraintError(AnyresError):
    """A schema, pattern or grammar that no answer can be held to: unknown, contradictory, or too large."""


class ContextLengthError(AnyresError):
    """The prompt does not fit into the model's context."""


class CheckpointError(AnyresError):
    """A checkpoint is missing, damaged or of the wrong shape."""


class ModelNotFoundError(CheckpointError):
    """No such model name or folder."""


class DatasetError(AnyresError):
    """A row of training or evaluation data is damaged, or too many are."""


class DownloadError(AnyresError):
    """A hub file cannot be fetched or does not match its checksum."""


class EndpointError(AnyresError):
    """A remote endpoint refused the request, failed or cannot be reached.

    `status` is its HTTP status, if there was one, `code` its word for the error, `request_id` what its log calls it.
    """

    def __init__(
        self,
        item: str,
        seen: str,
        allowed: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(item, seen, allowed)
        self.status = status
        self.code = code
        self.request_id = request_id


class EngineError(AnyresError):
    """The engine cannot take or finish a request, by no fault of the request."""


class BusyError(EngineError):
    """Too many requests wait already; it may be tried again later."""


class DeadlineError(EngineError):
    """A request's time was up before its answer was complete."""


class GroundingError(AnyresError):
    """Boxes or points in an answer are not well formed."""


class MissingDependencyError(AnyresError):
    """An optional package is not installed."""


class NumericsError(AnyresError):
    """Activations became NaN or infinite; `item` is the first layer where they did."""
