"""A checkpoint on the machines of a Ray cluster: one model an actor, each asked as soon as it has room.

Pictures and clips travel as bytes, so only the driver needs the data. Answers come back to the driver, which alone
writes records. An actor that dies is started again by Ray, and what it was at is asked once more.
"""

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, Message, Part, TextPart
from anyres.errors import AnyresError, MissingDependencyError, OptionError
from anyres.evaluation.models.local import LocalModel
from anyres.evaluation.models.query import Query, Told
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.sample import Coordinates

__all__ = ["Actor", "RayModel", "travelling"]

RESTARTS = 3
TRIES = 2


class Named(io.BytesIO):
    """A file's bytes under the file's name, which notes about it use."""

    name = ""


class Actor:
    """What runs in the cluster."""

    def __init__(self, spec: ModelSpec) -> None:
        self._model = LocalModel(spec)

    def ask(self, query: Query) -> Told:
        return self._model.ask(_arrived(query))


class RayModel:
    """`local` says what it is called and what tells it apart; the checkpoint has to be on every machine.

    `spec.ray` is the cluster's address, "auto" for the one that is found; `spec.ray_workers` the number of actors,
    each with a GPU of its own where the cluster has any.
    """

    coordinates: Coordinates

    def __init__(self, local: LocalModel, spec: ModelSpec) -> None:
        self._local = local
        self._spec = replace(spec, ray=None)
        self._address = spec.ray
        self._lock = threading.Lock()
        self._actors: list[Any] = []
        self._busy: list[int] = []
        self._each = local.at_once
        self.name = local.name
        self.coordinates = local.coordinates
        self.at_once = local.at_once * spec.ray_workers
        self._workers = spec.ray_workers

    @property
    def identity(self) -> str:
        return self._local.identity

    @property
    def versions(self) -> Mapping[str, str]:
        return self._local.versions

    def rendered(self, messages: Sequence[Message]) -> str:
        return self._local.rendered(messages)

    def ask(self, query: Query) -> Told:
        ray = _ray()
        try:
            sent = travelling(query)
        except AnyresError as error:
            return Told(None, f"{type(error).__name__}: {error}")
        death = ""
        for number in range(TRIES):
            place = self._taken(ray)
            try:
                told: Told = ray.get(self._actors[place].ask.remote(sent))
                return told._replace(tries=number + 1)
            except ray.exceptions.RayActorError as died:
                death = f"EngineError: an actor of the cluster died ({str(died).partition(chr(10))[0]})"
            except ray.exceptions.RayTaskError as failed:
                raise _unwrapped(failed) from None
            finally:
                with self._lock:
                    self._busy[place] -= 1
        return Told(None, death, tries=TRIES)

    def close(self) -> None:
        with self._lock:
            for actor in self._actors:
                _ray().kill(actor)
            self._actors, self._busy = [], []

    def _taken(self, ray: Any) -> int:
        """The actor with the fewest questions."""
        with self._lock:
            if not self._actors:
                self._start(ray)
            place = self._busy.index(min(self._busy))
            self._busy[place] += 1
            return place

    def _start(self, ray: Any) -> None:
        if not ray.is_initialized():
            try:
                ray.init(address=self._address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                seen = str(error).partition("\n")[0]
                raise OptionError("--ray", f"{self._address!r}: {seen}", "the address of a cluster that runs") from None
        held = ray.cluster_resources()
        share = held.get("CPU", 1.0) / self._workers
        wanted = {"num_gpus": 1} if held.get("GPU", 0) >= self._workers else {"num_cpus": max(0.01, min(1.0, share))}
        remote = ray.remote(max_restarts=RESTARTS, max_concurrency=self._each, **wanted)(Actor)
        self._actors = [remote.remote(self._spec) for _ in range(self._workers)]
        self._busy = [0] * self._workers


def travelling(query: Query) -> Query:
    """With every file in it as its name and bytes."""
    return replace(query, messages=tuple(_each(message, _packed) for message in query.messages))


def _arrived(query: Query) -> Query:
    return replace(query, messages=tuple(_each(message, _unpacked) for message in query.messages))


def _each(message: Message, change: Any) -> Message:
    return replace(message, content=tuple(_part(part, change) for part in message.parts))


def _part(part: Part, change: Any) -> Part:
    if isinstance(part, TextPart):
        return part
    if isinstance(part, ImagePart):
        return replace(part, image=change(part.image, "image"))
    return replace(part, video=change(part.video, "video"))


def _packed(source: Any, kind: Any) -> Any:
    from anyres.processing.media import DEFAULT_LIMITS, read_bytes

    if isinstance(source, (list, tuple)):
        return [_packed(one, "image") for one in source]
    if isinstance(source, (str, Path)):
        return tuple(read_bytes(source, kind=kind, limits=DEFAULT_LIMITS))
    return source


def _unpacked(source: Any, kind: Any) -> Any:
    if isinstance(source, list):
        return [_unpacked(one, kind) for one in source]
    if isinstance(source, tuple):
        file = Named(source[1])
        file.name = source[0]
        return file
    return source


def _unwrapped(error: Any) -> Exception:
    cause: Exception = error.cause if isinstance(getattr(error, "cause", None), AnyresError) else error
    return cause


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("--ray", "ray is missing", "pip install 'anyres[ray]'") from None
    return ray
