"""What one sample of a run left behind: enough to score it again, to show it, and to know that it is the same."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from anyres.errors import DatasetError
from anyres.evaluation.sample import Coordinates, Reply

__all__ = ["TIMES", "Outcome", "Record"]

Outcome = Literal["answered", "failed"]
TIMES = ("at", "latency_s", "cached")
"""Fields that tell when and how fast. All others are the same whoever runs it: one process, several, a cluster."""


@dataclass(frozen=True)
class Record:
    """One line of a file of records, written the moment its answer is there.

    `key` is the SHA-256 over prompt, pictures, knobs, weights, generation options and processor version: what decides
    the raw answer. `variant` names a control or a pixel budget ("", "blind", "circular", "max_pixels=200704").
    `failed` records hold the error in `error` and count as no answer. `judged` are the words of the model `judge` about
    the raw answer, None where it was not asked or failed, which `judge_error` tells. `scores` is what each scoring made
    of it when it was written: version, value, rule and score; `rescore` computes them anew. `settings` are the
    generation options and knobs used; `versions` those of anyres, benchmark and torch. `cached` answers were given in
    another run, in which `latency_s` was measured. `at` is seconds since 1970.
    """

    id: str
    benchmark: str
    model: str
    key: str
    prompt: str
    outcome: Outcome = "answered"
    variant: str = ""
    raw: str = ""
    error: str = ""
    finish_reason: str = "stop"
    coordinates: Coordinates = "thousandths"
    judge: str = ""
    judged: str | None = None
    judge_error: str = ""
    media_sha256: tuple[str, ...] = ()
    grids_thw: tuple[tuple[int, int, int], ...] = ()
    prompt_tokens: int = 0
    visual_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    tries: int = 1
    cached: bool = False
    notes: tuple[str, ...] = ()
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    at: float = 0.0

    @property
    def reply(self) -> Reply:
        """What extractions read."""
        return Reply(self.raw, self.finish_reason, self.coordinates)

    @property
    def judgement(self) -> Reply | None:
        """What extractions of a scoring with a judge read; None where there is none, which is no answer."""
        return None if self.judged is None else Reply(self.judged, "stop", self.coordinates)

    def to_line(self) -> str:
        """As JSON on one line."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_line(cls, line: str, name: str) -> "Record":
        """Of a line that `to_line` wrote; DatasetError with `name` when it is not one."""
        try:
            read = json.loads(line)
            for name_of_list in ("media_sha256", "grids_thw", "notes"):
                read[name_of_list] = tuple(map(_frozen, read.get(name_of_list, ())))
            return cls(**read)
        except (ValueError, TypeError, AttributeError) as error:
            seen = f"not a record ({error}): {line[:80]!r}"
            raise DatasetError(name, seen, "a line written by this version") from error


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
