"""What one sample of a run left behind: enough to score it again, to show it, and to know that it is the same."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from anyres.errors import DatasetError
from anyres.evaluation.sample import Coordinates, Reply

__all__ = ["Record"]

Outcome = Literal["answered", "failed"]


@dataclass(frozen=True)
class Record:
    """One line of records.jsonl, written the moment its answer is there.

    `key` is the SHA-256 over prompt, pictures, knobs, weights, generation options and processor version: what decides
    the raw answer. `variant` names a control or a pixel budget ("", "blind", "circular", "max_pixels=200704").
    `failed` records hold the error in `error` and count as no answer. `settings` are the generation options and knobs
    used; `versions` those of anyres, benchmark and torch. `at` is seconds since 1970.
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
    judged: str | None = None
    media_sha256: tuple[str, ...] = ()
    grids_thw: tuple[tuple[int, int, int], ...] = ()
    prompt_tokens: int = 0
    visual_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    tries: int = 1
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    at: float = 0.0

    @property
    def reply(self) -> Reply:
        """What extractions read; of a judged one the judge's words."""
        text = self.raw if self.judged is None else self.judged
        return Reply(text, self.finish_reason, self.coordinates)

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
