"""What an endpoint's failures are called: every one an EndpointError with its status and the server's own words."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from anyres.client.endpoint import Endpoint
from anyres.errors import EndpointError

__all__ = ["broken_reply", "error_in_reply", "error_in_stream", "no_reply"]

MOST_LETTERS = 400
_TAG = re.compile(r"<[^>]*>")
_ALLOWED = {
    400: "a request that this endpoint takes",
    401: "a key that the endpoint takes (api_key, --api-key, ANYRES_API_KEY)",
    403: "a key that may use this model",
    404: "an address that ends before /chat/completions, and a model that it serves",
    413: "fewer or smaller pictures",
    422: "a request that this endpoint takes",
    429: "fewer requests",
}


def error_in_reply(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes, tries: int
) -> EndpointError:
    """A status that is not 200, with what its body says."""
    if 300 <= status < 400:
        seen = f"HTTP {status}, a redirection, which is not followed (the key would go along)"
        return EndpointError(endpoint.base_url, seen, "the address it leads to", status=status)
    raw = _json(body)
    words, code = _words(raw) if raw is not None else (_plain(headers, body), None)
    seen = f"HTTP {status}" + (f" {code}" if code else "") + (f": {_short(endpoint, words)}" if words else "")
    seen += f" (asked {tries} times)" if tries > 1 else ""
    allowed = _ALLOWED.get(status, "an endpoint that works" if status >= 500 else "a request that it takes")
    request_id = headers.get("x-request-id")
    return EndpointError(endpoint.base_url, seen, allowed, status=status, code=code, request_id=request_id)


def error_in_stream(endpoint: Endpoint, error: Any) -> EndpointError:
    """An error that came after the answer had begun."""
    words, code = _words(error if isinstance(error, dict) else {"error": error})
    seen = "the answer broke off" + (f" ({code})" if code else "") + f": {_short(endpoint, words)}"
    status = next((value for key in ("status", "code") if isinstance(value := _of(error, key), int)), None)
    return EndpointError(endpoint.base_url, seen, "an answer to its end", status=status, code=code)


def no_reply(endpoint: Endpoint, error: httpx.HTTPError, tries: int) -> EndpointError:
    """Nothing came. The words are ours: a library's own may repeat a header."""
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            seen = f"no connection within {endpoint.connect_timeout_s:g} s"
        case httpx.TimeoutException():
            seen = f"silent for {endpoint.read_timeout_s:g} s"
        case httpx.ConnectError():
            seen = f"cannot be reached ({_short(endpoint, str(error)) or 'no connection'})"
        case httpx.ProxyError():
            seen = "the proxy before it refused"
        case _:
            seen = f"the connection broke off ({type(error).__name__})"
    seen += f", asked {tries} times" if tries > 1 else ""
    return EndpointError(endpoint.base_url, seen, "an endpoint that answers at this address")


def broken_reply(endpoint: Endpoint, seen: str, *, status: int | None = 200) -> EndpointError:
    """What came is no answer."""
    return EndpointError(endpoint.base_url, seen, "a chat completion in OpenAI's form", status=status)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _words(raw: Any) -> tuple[str, str | None]:
    """Message and code in the forms servers have: OpenAI's, vLLM's and Ollama's, FastAPI's."""
    error = _of(raw, "error")
    inner = error if isinstance(error, dict) else raw
    message = (
        error
        if isinstance(error, str)
        else next((value for key in ("message", "detail", "error_msg", "msg") if (value := _of(inner, key))), None)
    )
    code = next((value for key in ("code", "type") if isinstance(value := _of(inner, key), str) and value), None)
    text = message if isinstance(message, str) else json.dumps(raw if message is None else message)
    return text, code


def _of(raw: Any, key: str) -> Any:
    return raw.get(key) if isinstance(raw, dict) else None


def _plain(headers: Mapping[str, str], body: bytes) -> str:
    text = body[:4096].decode("utf-8", "replace")
    return _TAG.sub(" ", text) if "html" in headers.get("content-type", "") else text


def _short(endpoint: Endpoint, text: str) -> str:
    line = " ".join(endpoint.redact(text).split())
    return line if len(line) <= MOST_LETTERS else f"{line[:MOST_LETTERS]} ..."
