"""How hard each group of tasks is, block of samples by block: a file that the trainer adds to and its workers read.

The levels of a block are fixed before any worker can be asked for a sample of it, so a sample depends on its number and
the file alone; a run that goes on from a save finds there what it had decided, and decides the rest again.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Levels", "block_size"]

PATIENCE_S = 120.0
SMALLEST_BLOCK = 1024
FEWEST_TOKENS = 30
"""Of a sample: its prompt alone has as many."""
STEPS_AHEAD = 3
"""The one that is trained on, and those that the loader makes ready."""


def block_size(*, tokens: int, packs: int, look_ahead: int, workers_ahead: int) -> int:
    """Samples a block: more than can be under way at once, so that no worker waits for the trainer.

    >>> block_size(tokens=2048, packs=2, look_ahead=64, workers_ahead=8), block_size(tokens=16384, packs=4,
    ...     look_ahead=512, workers_ahead=96)
    (1024, 8192)
    """
    under_way = look_ahead + workers_ahead + STEPS_AHEAD * packs * (tokens // FEWEST_TOKENS + 1)
    block = SMALLEST_BLOCK
    while block <= under_way:
        block *= 2
    return block


class Levels:
    """The file: a line of the groups' names, then a line a block with the level of each, 0 to 1."""

    def __init__(self, path: Path, groups: Sequence[str]) -> None:
        self.path, self.groups = path, tuple(groups)
        self._known: list[dict[str, float]] = []

    @property
    def decided(self) -> int:
        """Blocks that are."""
        self._read()
        return len(self._known)

    def add(self, levels: Mapping[str, float]) -> None:
        """Decides the next block."""
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            if new:
                file.write(",".join(self.groups) + "\n")
            file.write(",".join(f"{levels[group]:.6f}" for group in self.groups) + "\n")

    def keep(self, blocks: int) -> None:
        """Forgets what was decided after the first `blocks`."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            beside = self.path.with_suffix(".new")
            beside.write_text("".join(lines[: 1 + blocks]), encoding="utf-8")
            beside.replace(self.path)
        self._known = []

    def of_block(self, block: int) -> Mapping[str, float]:
        """The levels of a block; waits for a while where it is not decided yet."""
        until = time.monotonic() + PATIENCE_S
        while block >= len(self._known):
            self._read()
            if block < len(self._known):
                break
            if time.monotonic() > until:
                raise TimeoutError(f"{self.path}: the levels of block {block} were not decided")
            time.sleep(0.05)
        return self._known[block]

    def _read(self) -> None:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        head, *rows = text[: text.rfind("\n") + 1].splitlines()
        names = head.split(",")
        told = (dict(zip(names, map(float, row.split(",")), strict=True)) for row in rows)
        self._known = [{group: one.get(group, 0.0) for group in self.groups} for one in told]
