"""A checkpoint in this process: questions from many threads run together in the engine."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING

from anyres.chat import Message
from anyres.disk_cache import DiskCache
from anyres.errors import AnyresError
from anyres.evaluation.models.identity import checkpoint_id
from anyres.evaluation.models.query import Query, Told
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.sample import Coordinates

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel

__all__ = ["LocalModel"]

AT_ONCE = 32
_PADS = {"ImagePart": "<|image_pad|>", "VideoPart": "<|video_pad|>"}


class LocalModel:
    """Loads the checkpoint when it is first asked; `identity` reads its files only."""

    coordinates: Coordinates

    def __init__(self, spec: ModelSpec, disk: DiskCache | None = None) -> None:
        self._spec = spec
        self._disk = disk
        self._lock = Lock()
        self._model: LocalChatModel | None = None
        self.name = spec.name
        self.coordinates = spec.coordinates
        self.at_once = spec.at_once or AT_ONCE

    @cached_property
    def identity(self) -> str:
        """ModelNotFoundError where it is not there."""
        from anyres.model.hub import resolve

        spec = self._spec
        return f"{checkpoint_id(resolve(spec.source), self._disk)} {spec.device} {spec.dtype} {spec.memory}"

    @property
    def versions(self) -> Mapping[str, str]:
        return {"torch": version("torch")}

    def rendered(self, messages: Sequence[Message]) -> str:
        """As the template writes it, with one placeholder for each picture or clip."""
        from anyres.processing.template import SpecialToken, render

        return "".join(
            one if isinstance(one, str) else one.token if isinstance(one, SpecialToken) else _PADS[type(one).__name__]
            for one in render(messages)
        )

    def ask(self, query: Query) -> Told:
        """Raises ModelNotFoundError, CheckpointError and OptionError where it cannot be opened."""
        from torch import OutOfMemoryError

        model = self._opened()
        started = time.perf_counter()
        grids: tuple[tuple[int, int, int], ...] = ()
        try:
            prompt = model.processor.prepare(query.messages)
            grids = tuple(visual.grid_thw for visual in prompt.visuals)
            answer = model.chat(prompt, options=query.options)
        except (AnyresError, MemoryError, OutOfMemoryError) as error:
            words = str(error).partition("\n")[0]
            return Told(None, f"{type(error).__name__}: {words}", grids, time.perf_counter() - started)
        return Told(answer, "", grids, time.perf_counter() - started)

    def close(self) -> None:
        with self._lock:
            if self._model is not None:
                self._model.close()
                self._model = None

    def _opened(self) -> "LocalChatModel":
        with self._lock:
            if self._model is None:
                from anyres.engine.load import load

                spec = self._spec
                kept = False if self._disk is None else self._disk
                self._model = load(spec.source, device=spec.device, dtype=spec.dtype, memory=spec.memory, cache=kept)
            return self._model
