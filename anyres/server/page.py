"""The web page's files, with a policy that lets the page load nothing from elsewhere."""

import mimetypes
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from anyres.server.errors import ApiError
from anyres.server.service import Service

__all__ = ["POLICY", "page_routes", "policy"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; connect-src 'self'; font-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types dompurify"
)
HEADERS = {
    "permissions-policy": "camera=(self), display-capture=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html"}


def policy(endpoints: Sequence[str] = ()) -> str:
    """The Content-Security-Policy; `endpoints` are further servers that the page may ask.

    >>> policy(["https://b.example"]).split("; ")[5]
    "connect-src 'self' https://b.example"
    """
    return POLICY.replace("connect-src 'self'", " ".join(("connect-src 'self'", *endpoints)))


def page_routes(service: Service, folder: Path) -> APIRouter:
    """`/` and `/static/`; only files that are there when the server starts, each by its name."""
    router = APIRouter(include_in_schema=False)
    if not service.settings.page:
        return router
    headers = HEADERS | {"content-security-policy": policy(service.settings.page_endpoints)}
    files = {f"{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*")) if path.is_file()}

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index() -> Response:
        return _file(files, "index.html", headers)

    @router.api_route("/static/{name:path}", methods=["GET", "HEAD"])
    async def static(name: str) -> Response:
        return _file(files, name, headers)

    return router


def _file(files: dict[str, Path], name: str, headers: dict[str, str]) -> Response:
    path = files.get(name)
    if path is None:
        raise ApiError(404, "no such path")
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=kind, headers=headers)
