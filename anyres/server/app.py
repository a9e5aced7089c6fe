"""The application: routes, the guard before them, and how errors are told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from anyres.errors import AnyresError
from anyres.server.body import validation_error
from anyres.server.chat_api import chat_routes
from anyres.server.errors import ApiError, api_error
from anyres.server.files_api import files_routes
from anyres.server.guard import Guard
from anyres.server.ollama_api import ollama_routes
from anyres.server.page import page_routes
from anyres.server.preview_api import preview_routes
from anyres.server.responses_api import responses_routes
from anyres.server.service import Service
from anyres.server.state_api import state_routes
from anyres.server.text_api import text_routes

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"


def create_app(service: Service) -> FastAPI:
    """All routes of a service; its model may come later."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        try:
            yield
        finally:
            if service.media is not None:
                await service.media.close()
            if service.loaded is not None:
                await asyncio.to_thread(service.loaded.close)

    app = FastAPI(
        title="anyres",
        version=service.version,
        description="Pictures, documents and videos in, text out: OpenAI's wire format.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    service.created = service.created or int(time.time())
    for make in (chat_routes, responses_routes, text_routes, files_routes, ollama_routes, preview_routes, state_routes):
        app.include_router(make(service))
    app.include_router(page_routes(service, STATIC))
    _tell_errors(app)
    app.add_middleware(Guard, service=service)
    return app


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    @app.exception_handler(AnyresError)
    async def ours(request: Request, error: Exception) -> Response:
        told = api_error(error)
        return JSONResponse(told.body_for(request.url.path), status_code=told.status, headers=told.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await ours(request, validation_error(error.errors(), error.body))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        cause = error.__cause__
        if isinstance(cause, ApiError):
            return await ours(request, cause)
        words = {404: "no such path", 405: "another method than this path takes"}
        told = ApiError(error.status_code, words.get(error.status_code, str(error.detail)), headers=error.headers)
        return await ours(request, told)
