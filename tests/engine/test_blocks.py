"""Blocks: none is lost, none has two owners who both write, and what is idle is forgotten oldest first."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anyres.engine.blocks import BlockManager

NAMES = st.integers(0, 6).map(lambda number: bytes([number]))


class Machine(RuleBasedStateMachine):
    """Any order of calls, beside a plain model: the tables, and what every named block was said to hold."""

    @initialize(blocks=st.integers(1, 12), idle=st.none() | st.integers(0, 5))
    def begin(self, blocks: int, idle: int | None) -> None:
        self.manager = BlockManager(blocks, idle=idle)
        self.idle_limit = blocks if idle is None else idle
        self.tables: list[list[int]] = []
        self.contents: dict[int, bytes] = {}

    @rule(share=st.floats(0, 1))
    def take(self, share: float) -> None:
        table = self.manager.take(int(share * self.manager.available))
        assert len(set(table)) == len(table)
        assert not set(table) & {block for other in self.tables for block in other}
        for block in table:
            self.contents.pop(block, None)
        self.tables.append(table)

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        table = list(data.draw(st.sampled_from(self.tables)))
        self.manager.share(table)
        self.tables.append(table)

    @rule(name=NAMES)
    def reuse(self, name: bytes) -> None:
        known = self.manager.knows(name)
        block = self.manager.reuse(name)
        assert (block is not None) == known
        if block is not None:
            assert self.contents[block] == name
            self.tables.append([block])

    @precondition(lambda self: any(self.tables))
    @rule(data=st.data(), name=NAMES)
    def name(self, data: st.DataObject, name: bytes) -> None:
        block = data.draw(st.sampled_from([block for table in self.tables for block in table]))
        known = self.manager.knows(name)
        if self.manager.name(block, name):
            assert not known
            assert block not in self.contents
            self.contents[block] = name

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        self.manager.give_back(self.tables.pop(data.draw(st.integers(0, len(self.tables) - 1))))

    @precondition(lambda self: any(self.tables))
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        block = data.draw(st.sampled_from([block for table in self.tables for block in table]))
        self.manager.forget([block])
        self.contents.pop(block, None)

    @rule()
    def clear(self) -> None:
        self.manager.clear()
        assert self.manager.idle == 0

    @invariant()
    def nothing_is_lost(self) -> None:
        held = Counter(block for table in self.tables for block in table)
        assert self.manager.available == self.manager.blocks - len(held)
        assert self.manager.idle <= self.idle_limit
        assert all(self.manager.is_shared(block) == (count > 1) for block, count in held.items())
        assert all(block < self.manager.touched for block in held)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def named(manager: BlockManager, *names: bytes) -> list[int]:
    table = manager.take(len(names))
    for block, name in zip(table, names, strict=True):
        assert manager.name(block, name)
    return table


def test_the_longest_unused_is_forgotten_first_and_ends_before_beginnings() -> None:
    manager = BlockManager(4)
    first, second = named(manager, b"a", b"b"), named(manager, b"c", b"d")
    manager.give_back(first)
    manager.give_back(second)
    assert manager.reuse(b"a") == first[0]
    manager.give_back([first[0]])
    gone = []
    for _ in range(4):
        manager.take(1)
        gone.append([name for name in (b"a", b"b", b"c", b"d") if not manager.knows(name)])
    assert gone == [[b"b"], [b"b", b"d"], [b"b", b"c", b"d"], [b"a", b"b", b"c", b"d"]]


def test_no_more_are_idle_than_allowed() -> None:
    manager = BlockManager(9, idle=2)
    manager.give_back(named(manager, b"a", b"b", b"c"))
    assert (manager.idle, manager.available) == (2, 9)
    assert [manager.knows(name) for name in (b"a", b"b", b"c")] == [True, True, False]
    none = BlockManager(9, idle=0)
    none.give_back(named(none, b"a"))
    assert not none.knows(b"a")


def test_numbers_are_new_before_idle_ones_are_forgotten() -> None:
    manager = BlockManager(3)
    manager.give_back(named(manager, b"a"))
    assert manager.touched == 1
    assert manager.take(2) == [1, 2]
    assert manager.knows(b"a")
    assert manager.take(1) == [0]
    assert not manager.knows(b"a")


def test_one_block_is_known_for_a_name() -> None:
    manager = BlockManager(4)
    (first,), (second,) = named(manager, b"a"), manager.take(1)
    assert not manager.name(second, b"a")
    assert not manager.name(first, b"b"), "what a block holds never changes while it is held"
    manager.give_back([second])
    assert manager.idle == 0
    assert manager.reuse(b"a") == first
    assert manager.is_shared(first)


@pytest.mark.parametrize("call", ["take", "give_back", "share", "name"])
def test_our_own_mistakes_are_caught(call: str) -> None:
    manager = BlockManager(2)
    manager.take(1)
    wrong = {
        "take": lambda: manager.take(2),
        "give_back": lambda: manager.give_back([1]),
        "share": lambda: manager.share([1]),
        "name": lambda: manager.name(1, b"a"),
    }
    with pytest.raises(AssertionError):
        wrong[call]()
