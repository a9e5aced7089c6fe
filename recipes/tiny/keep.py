"""Keeps what a run has learnt in a file small enough for the repository: `python -m recipes.tiny keep RUN FILE`.

The file holds the averaged weights and the teachers of the newest save, in bfloat16, and the classes that they tell
apart; it is what `--start` of the course takes. With `--teachers-only` it is what `--teachers` takes, for a run whose
`--start` is a checkpoint. It is no save: the optimiser, the data's place and the curves are left out.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.training.saves import complete_saves
from anyres.training.trainer import STATE_FILE
from recipes.tiny.taught import CLASSES

__all__ = ["keep", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m recipes.tiny keep", description=__doc__)
    parser.add_argument("run", type=Path, help="what --out of the course was")
    parser.add_argument("file", type=Path, help="where it is written")
    parser.add_argument("--teachers-only", action="store_true", help="without the weights of the model")
    options = parser.parse_args(arguments)
    written = keep(options.run, options.file, teachers_only=options.teachers_only)
    print(f"{options.file}: {written:,} bytes")


def keep(run: Path, file: Path, *, teachers_only: bool = False) -> int:
    """Writes `file` from the newest save of `run`; gives its size. CheckpointError where there is no save."""
    saves = complete_saves(run)
    if not saves:
        raise CheckpointError(str(run), "no save", "the folder of a run that has saved")
    state = torch.load(saves[-1] / STATE_FILE, weights_only=True, map_location="cpu")
    classes = (run / CLASSES).read_text(encoding="utf-8")
    kept = {"auxiliary": halved(state["auxiliary"] or {}), "classes": classes}
    if not teachers_only:
        kept["model"] = halved(state["average"] or state["model"])
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, file)
    return file.stat().st_size


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same in bfloat16; counts and levels, which are in float64, as they are."""
    return {
        name: tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor for name, tensor in tensors.items()
    }


if __name__ == "__main__":
    main()
