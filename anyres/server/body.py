"""JSON bodies, read strictly, and where in them a mistake is."""

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from anyres.server.errors import ApiError

__all__ = ["StrictRoute", "read_json", "validation_error"]

MOST_MESSAGE = 300  # letters of a reason
MOST_VALUES = 1 << 18  # of a body: each is an object in memory and may be a mistake to be told; commas in texts count
MOST_KEYS = 4096  # of one object


class StrictRoute(APIRoute):
    """A route whose body is read by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return read_json(await self.body())
        except ApiError as error:
            # The one exception that FastAPI lets pass as it is.
            raise HTTPException(error.status, error.message) from error


def read_json(data: bytes) -> Any:
    """A JSON value. Raises ApiError 400 for what RFC 8259 does not allow or leaves open: NaN, a key twice, a byte
    order mark, half a surrogate pair, and for nesting, numbers or a count of values beyond measure.

    >>> read_json(b'{"n": 1}')
    {'n': 1}
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_VALUES:
        seen = f"more than {MOST_VALUES:,} values, or commas and brackets in texts"
        raise ApiError(400, f"body: {seen}; allowed: fewer", code="invalid_value")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        if b"\\ud" in data.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"body: {_reason(error)}; allowed: a JSON object", code="invalid_value") from None
    return value


def validation_error(errors: Sequence[Mapping[str, Any]], body: object, *, before: str = "") -> ApiError:
    """The mistake that lies deepest: of the forms that a field may have, the one that was meant."""
    worst = max(errors, key=lambda error: len(_path(error["loc"], body)))
    param = before + _shown(_path(worst["loc"], body))
    message = str(worst.get("msg", "not valid")).replace("Value error, ", "")[:MOST_MESSAGE]
    return ApiError(400, f"{param or 'body'}: {message}", code="invalid_value", param=param or None)


def _path(loc: Sequence[int | str], body: object) -> list[int | str]:
    """The keys of a location that are in the body, or missing there; names of alternatives are left out."""
    path: list[int | str] = []
    steps = [step for number, step in enumerate(loc) if number or step not in ("body", "query", "path")]
    for number, step in enumerate(steps):
        if _is_alternative(body, steps[number : number + 2]):
            continue
        inner = _inside(body, step)
        if inner is _MISSING:
            if number < len(steps) - 1 or not isinstance(body, Mapping) or not str(step).isidentifier():
                continue
        else:
            body = inner
        path.append(step)
    return path


def _is_alternative(body: object, steps: Sequence[int | str]) -> bool:
    """Whether the first step names the type that an object says it has, though it has a key of this name too."""
    if not isinstance(body, Mapping) or body.get("type") != steps[0] or len(steps) < 2:
        return False
    inner = _inside(body, steps[0])
    elsewhere = _inside(inner, steps[1]) is _MISSING and steps[1] in body
    return steps[1] == steps[0] or elsewhere


_MISSING = object()


def _inside(body: object, step: int | str) -> object:
    if isinstance(body, Mapping):
        return body.get(step, _MISSING)
    right = isinstance(body, (list, tuple)) and isinstance(step, int) and step < len(body)
    return body[step] if right else _MISSING  # type: ignore[index]


def _shown(path: Sequence[int | str]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in path)
    return text.removeprefix(".")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_KEYS:
        raise ValueError(f"an object of more than {MOST_KEYS:,} keys")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no JSON")


def _reason(error: Exception) -> str:
    match error:
        case RecursionError():
            return "nested too deep"
        case UnicodeDecodeError():
            return "not UTF-8"
        case UnicodeEncodeError():
            return "half a surrogate pair in a text"
        case json.JSONDecodeError():
            return f"not JSON ({error.msg} at character {error.pos})"
        case _:
            return "a number beyond measure" if "digits" in str(error) else str(error)[:MOST_MESSAGE]
