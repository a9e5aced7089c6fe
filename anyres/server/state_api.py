"""What a server is and how it does: models, health, readiness, version."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from anyres.server.errors import ApiError
from anyres.server.replies import ErrorReply, Health, ModelCard, ModelList, PixelLimits, Version
from anyres.server.service import Service

__all__ = ["state_routes"]


def state_routes(service: Service) -> APIRouter:
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorReply} for status in (401, 403, 404, 405, 414, 431, 500, 503)
    }
    router = APIRouter(responses=refusals, tags=["state"])

    @router.get("/v1/models", response_model=ModelList)
    async def models() -> ModelList:
        """What may stand in `model`."""
        return ModelList(data=[_card(service, name) for name in service.names])

    @router.get("/v1/models/{name:path}", response_model=ModelCard)
    async def model(name: str) -> ModelCard:
        return _card(service, service.name_of(name))

    @router.get("/health", response_model=Health)
    async def health() -> Health:
        """The process answers and its engine has not given up."""
        if service.loaded is not None and not service.loaded.alive:
            raise ApiError(503, "engine: gave up; allowed: a restart of the server", code="engine_dead")
        return Health()

    @router.get("/ready", response_model=Health)
    async def ready() -> Health:
        """The model is there and new requests are taken."""
        if service.draining:
            raise ApiError(503, "server: going down; allowed: requests to another one", code="draining")
        service.require_model()
        return Health()

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and times in Prometheus' form."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/version", response_model=Version)
    async def version() -> Version:
        return Version(version=service.version)

    return router


def _card(service: Service, name: str) -> ModelCard:
    pictures = service.model.processor.image_config
    limits = PixelLimits(
        min_pixels=pictures.min_pixels,
        max_pixels=pictures.max_pixels,
        video_min_pixels=pictures.video_min_pixels,
        video_max_pixels=pictures.video_max_pixels,
    )
    most = service.model.config.text.max_position_embeddings
    return ModelCard(id=name, created=service.created, max_model_len=most, pixel_limits=limits)
