"""Which blocks of the KV cache belong to whom, and which may be used again. Whole numbers only, no tensors.

A block is *held* by one table or by several that share it; *idle*, held by none but named by what it holds, so that
the next prompt with the same beginning takes it over; or *free*.
"""

from collections import OrderedDict
from collections.abc import Iterable

__all__ = ["BlockManager"]


class BlockManager:
    """Numbers from 0 to `blocks` - 1, handed out and taken back. At most `idle` unheld ones are remembered by name.

    Numbers that were never used come before idle ones are forgotten, in order, so that memory for blocks can be made
    as `touched` grows.

    >>> manager = BlockManager(4)
    >>> table = manager.take(2)
    >>> manager.name(table[0], b"the first 16 tokens")
    True
    >>> manager.give_back(table)
    >>> manager.reuse(b"the first 16 tokens"), manager.available
    (0, 3)
    """

    def __init__(self, blocks: int, *, idle: int | None = None) -> None:
        assert blocks > 0
        self.blocks = blocks
        self.touched = 0  # numbers below it have been handed out at least once
        self._idle_limit = blocks if idle is None else idle
        self._holders = [0] * blocks
        self._free: list[int] = []
        self._idle: OrderedDict[int, None] = OrderedDict()  # the longest unused one first
        self._by_name: dict[bytes, int] = {}
        self._names: dict[int, bytes] = {}

    @property
    def available(self) -> int:
        """Blocks that `take` can give: free and idle ones."""
        return self.blocks - self.touched + len(self._free) + len(self._idle)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def is_shared(self, block: int) -> bool:
        """Whether more than one table holds it, so that nobody may write into it."""
        return self._holders[block] > 1

    def is_idle(self, name: bytes) -> bool:
        return self._by_name.get(name) in self._idle

    def knows(self, name: bytes) -> bool:
        return name in self._by_name

    def take(self, count: int) -> list[int]:
        """New blocks, each held once. What an idle one held is forgotten, the longest unused first."""
        assert count <= self.available, f"{count} blocks wanted, {self.available} available"
        return [self._take_one() for _ in range(count)]

    def share(self, blocks: Iterable[int]) -> None:
        """One more table holds them."""
        for block in blocks:
            assert self._holders[block], "only held blocks are shared"
            self._holders[block] += 1

    def reuse(self, name: bytes) -> int | None:
        """The block that holds this, held once more; None where none does."""
        block = self._by_name.get(name)
        if block is not None:
            self._idle.pop(block, None)
            self._holders[block] += 1
        return block

    def name(self, block: int, name: bytes) -> bool:
        """Says what a full block holds. False where another block is known for it: this one stays without a name."""
        assert self._holders[block], "only held blocks are named"
        if name in self._by_name or block in self._names:
            return False
        self._by_name[name], self._names[block] = block, name
        return True

    def give_back(self, table: Iterable[int]) -> None:
        """One table holds them no longer. The end of a prompt is forgotten before its beginning."""
        for block in reversed(list(table)):
            assert self._holders[block], f"block {block} is held by nobody"
            self._holders[block] -= 1
            if not self._holders[block]:
                self._let_go(block)
        while len(self._idle) > self._idle_limit:
            self._free.append(self._forget_oldest())

    def forget(self, blocks: Iterable[int]) -> None:
        """Takes the names off: nobody is to use what they hold again."""
        for block in blocks:
            name = self._names.pop(block, None)
            if name is not None:
                del self._by_name[name]
            if block in self._idle:
                del self._idle[block]
                self._free.append(block)

    def clear(self) -> None:
        """Forgets all idle blocks."""
        self.forget(list(self._idle))

    def _take_one(self) -> int:
        if self._free:
            block = self._free.pop()
        elif self.touched < self.blocks:
            block = self.touched
            self.touched += 1
        else:
            block = self._forget_oldest()
        self._holders[block] = 1
        return block

    def _let_go(self, block: int) -> None:
        if block in self._names:
            self._idle[block] = None
        else:
            self._free.append(block)

    def _forget_oldest(self) -> int:
        block, _ = self._idle.popitem(last=False)
        del self._by_name[self._names.pop(block)]
        return block
