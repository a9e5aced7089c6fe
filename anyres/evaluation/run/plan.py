"""What a run is about, as run.json holds it: data, models, variants, and what the user wanted otherwise."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyres.errors import DatasetError
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.run.sources import DataSource
from anyres.evaluation.run.task import Overrides
from anyres.evaluation.run.variant import PLAIN, Variant, variant_of

if sys.platform != "win32":
    import fcntl

__all__ = ["RUN_FILE", "Plan", "read_plan", "write_plan"]

RUN_FILE = "run.json"
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """Every model is asked every benchmark in every variant. `limit` takes the first so many samples of each."""

    data: tuple[DataSource, ...]
    models: tuple[ModelSpec, ...]
    variants: tuple[Variant, ...] = (PLAIN,)
    overrides: Overrides = field(default_factory=Overrides)
    limit: int | None = None
    judge: ModelSpec | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "data": [one.to_dict() for one in self.data],
            "models": [one.to_dict() for one in self.models],
            "variants": [str(one) for one in self.variants],
            "overrides": self.overrides.to_dict(),
            "limit": self.limit,
            "judge": None if self.judge is None else self.judge.to_dict(),
        }

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Plan":
        """Raises KeyError, TypeError or ValueError for what `to_dict` has not made."""
        return Plan(
            data=tuple(DataSource(**one) for one in raw["data"]),
            models=tuple(ModelSpec(**one) for one in raw["models"]),
            variants=tuple(map(variant_of, raw["variants"])),
            overrides=Overrides(**raw["overrides"]),
            limit=raw["limit"],
            judge=None if raw["judge"] is None else ModelSpec(**raw["judge"]),
        )

    def beside(self, earlier: "Plan") -> "Plan":
        """With what an earlier run in the same folder was about; what both name is as it is now."""
        data = {one.benchmark: one for one in (*earlier.data, *self.data)}
        models = {one.name: one for one in (*earlier.models, *self.models)}
        variants = dict.fromkeys((*earlier.variants, *self.variants))
        judge = self.judge or earlier.judge
        return replace(
            self, data=tuple(data.values()), models=tuple(models.values()), variants=tuple(variants), judge=judge
        )


def read_plan(folder: Path) -> Plan:
    """What the runs in a folder were about. DatasetError where it is none of ours."""
    path = folder / RUN_FILE
    try:
        return Plan.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        allowed = "the folder of a run: WORK_DIR/RUN of `anyres eval run`"
        raise DatasetError(str(path), f"cannot be read ({error.strerror})", allowed) from None
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(str(path), f"damaged ({error!r})", "a file that `anyres eval run` wrote") from None


def write_plan(plan: Plan, folder: Path) -> None:
    """Adds it to what is in the folder already; other processes may do the same."""
    path = folder / RUN_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f".{RUN_FILE}.lock"):
            whole = plan.beside(read_plan(folder)) if path.exists() else plan
            staged = folder / f".{RUN_FILE}.{os.getpid()}"
            staged.write_text(json.dumps(whole.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            staged.replace(path)
    except OSError as error:
        allowed = "a folder with room to write in"
        raise DatasetError(str(folder), f"cannot be written ({error.strerror})", allowed) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
