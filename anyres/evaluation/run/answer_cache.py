"""Answers that were given before, in any run, by the key of all that decides them."""

import json
from dataclasses import asdict, replace

from anyres.chat import Answer, GenerationOptions, Usage
from anyres.disk_cache import DiskCache
from anyres.evaluation.models.query import Told

__all__ = ["AnswerCache", "is_repeatable"]

KIND = "answer"


class AnswerCache:
    """What a model told, on disk. Failures are not kept, nor what would be drawn anew."""

    def __init__(self, disk: DiskCache) -> None:
        self._disk = disk

    def get(self, key: str) -> Told | None:
        """As it was told, with the seconds that it took then."""
        kept = self._disk.get(KIND, key.encode())
        if kept is None:
            return None
        read = json.loads(bytes(kept))
        usage = Usage(**read["answer"].pop("usage"))
        notes = tuple(read["answer"].pop("notes"))
        grids = tuple((t, h, w) for t, h, w in read["grids_thw"])
        return Told(Answer(**read["answer"], usage=usage, notes=notes), "", grids, read["latency_s"], read["tries"])

    def put(self, key: str, told: Told) -> None:
        if told.answer is None:
            return
        answer = asdict(replace(told.answer, logprobs=None))
        kept = {name: answer[name] for name in ("text", "finish_reason", "usage", "notes")}
        told_too = {"grids_thw": told.grids_thw, "latency_s": told.latency_s, "tries": told.tries}
        self._disk.put(KIND, key.encode(), [json.dumps({"answer": kept, **told_too}).encode()])


def is_repeatable(options: GenerationOptions) -> bool:
    """Whether the same question gets the same answer.

    >>> is_repeatable(GenerationOptions(temperature=0.0)), is_repeatable(GenerationOptions(temperature=1.0))
    (True, False)
    """
    return options.temperature == 0 or options.seed is not None
