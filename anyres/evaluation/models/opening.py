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
    if spec.kind == "transformers":
        from anyres.evaluation.models.transformers_model import TransformersModel

        return TransformersModel(spec, disk)
    if spec.ray is not None:
        from anyres.evaluation.models.ray_cluster import RayModel

        return RayModel(LocalModel(spec, disk), spec)
    return LocalModel(spec, disk)
