"""Opens what a `ModelSpec` describes."""

from anyres.disk_cache import DiskCache
from anyres.evaluation.models.local import LocalModel
from anyres.evaluation.models.query import AskedModel
from anyres.evaluation.models.spec import ModelSpec

__all__ = ["open_model"]


def open_model(spec: ModelSpec, disk: DiskCache | None = None) -> AskedModel:
    """The model, not loaded yet."""
    if spec.kind == "remote":
        from anyres.evaluation.models.remote import RemoteModel

        return RemoteModel(spec)
    return LocalModel(spec, disk)
