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
from anyres.server.guard import Guard
from anyres.server.page import page_routes
from anyres.server.service import Service
from anyres.server.state_api import state_routes

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
        separate_input_output_schemas=False,
    )
    service.created = service.created or int(time.time())
    for routes in (chat_routes(service), state_routes(service), page_routes(service, STATIC)):
        app.include_router(routes)
    _tell_errors(app)
    app.add_middleware(Guard, service=service)
    return app


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    @app.exception_handler(AnyresError)
    async def ours(request: Request, error: Exception) -> Response:
        del request
        told = api_error(error)
        return JSONResponse(told.body, status_code=told.status, headers=told.headers)

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
