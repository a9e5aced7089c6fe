"""What goes wrong in a request, in OpenAI's form: a status, and a body with message, type, param and code.

A status of 429 or 5xx is repeated by clients, so what would fail again is never sent as one, or says so in
`x-should-retry`.
"""

from collections.abc import Mapping
from typing import Any

from anyres.errors import (
    AnyresError,
    BusyError,
    ConstraintError,
    ContextLengthError,
    DeadlineError,
    EngineError,
    MediaError,
    NumericsError,
)

__all__ = ["ApiError", "api_error"]

_TYPES = {401: "authentication_error", 429: "rate_limit_error", 503: "unavailable_error"}
_NO_RETRY = {"x-should-retry": "false"}


class ApiError(Exception):
    """A refusal with its status.

    >>> ApiError(400, "n: 9; allowed: 1 to 8", code="invalid_value", param="n").body["error"]["type"]
    'invalid_request_error'
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def body_for(self, path: str) -> dict[str, Any]:
        """Ollama's clients read a text, all others an object."""
        return {"error": self.message} if path.startswith("/api/") else self.body

    @property
    def body(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def api_error(error: Exception) -> ApiError:
    """How an exception is told to a client. What is not ours is a bug: its words stay in the log.

    >>> api_error(ContextLengthError("prompt", "70000 tokens", "at most 32768 tokens")).code
    'context_length_exceeded'
    """
    match error:
        case ApiError():
            return error
        case BusyError():
            return ApiError(429, str(error), code="server_busy", headers={"retry-after": "1"})
        case DeadlineError():
            return ApiError(504, str(error), headers=_NO_RETRY)
        case NumericsError():
            return ApiError(500, "the model's numbers became NaN or infinite for this request", headers=_NO_RETRY)
        case EngineError():
            return ApiError(503, str(error), code="draining")
        case MediaError():
            return ApiError(400, str(error), code="invalid_image")
        case ContextLengthError():
            return ApiError(400, str(error), code="context_length_exceeded", param="messages")
        case ConstraintError():
            return ApiError(400, str(error), code="invalid_value", param=_constraint_param(error))
        case AnyresError():
            return ApiError(400, str(error), code="invalid_value", param=error.item)
        case MemoryError():
            return ApiError(500, "this request needs more memory than there is", headers=_NO_RETRY)
        case _:
            return ApiError(500, "internal error; the log of the server has it under x-request-id", headers=_NO_RETRY)


def _constraint_param(error: ConstraintError) -> str:
    return "tools" if "tool" in error.item or error.item.endswith("parameters") else "response_format"
