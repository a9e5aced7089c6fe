"""What a server is and how it does: models, health, readiness, version."""

from fastapi import APIRouter

from anyres.server.errors import ApiError
from anyres.server.replies import ErrorReply, Health, ModelCard, ModelList, Version
from anyres.server.service import Service

__all__ = ["state_routes"]


def state_routes(service: Service) -> APIRouter:
    router = APIRouter(responses={404: {"model": ErrorReply}, 503: {"model": ErrorReply}}, tags=["state"])

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
        return Health()

    @router.get("/ready", response_model=Health)
    async def ready() -> Health:
        """The model is there and new requests are taken."""
        if service.draining:
            raise ApiError(503, "server: going down; allowed: requests to another one", code="draining")
        service.require_model()
        return Health()

    @router.get("/version", response_model=Version)
    async def version() -> Version:
        return Version(version=service.version)

    return router


def _card(service: Service, name: str) -> ModelCard:
    return ModelCard(id=name, created=service.created, max_model_len=service.model.config.text.max_position_embeddings)
