"""Freed memory goes back to the system, seldom enough to cost nothing."""

import subprocess
import sys

import pytest

from anyres.engine.heap import Heap, _malloc_trim


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_is_asked_for_once_in_a_while() -> None:
    clock, calls = Clock(), []
    heap = Heap(every_s=10.0, clock=clock, trim=lambda pad: calls.append(pad) or 1)
    given = []
    for clock.now in (1.0, 9.9, 10.0, 10.1, 19.9, 20.0):
        given.append(heap.give_back())
    assert given == [False, False, True, False, False, True]
    assert calls == [0, 0]


SCATTERED = """
import re
from anyres.engine.heap import Heap

def resident_kb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

blocks = [bytes([i % 250]) * 2000 for i in range(60_000)]
kept = blocks[::100]
del blocks
before = resident_kb()
assert Heap(every_s=0.0).give_back()
print(before - resident_kb())
"""


@pytest.mark.skipif(_malloc_trim() is None, reason="the C library is not glibc")
def test_holes_among_what_is_used_go_back() -> None:
    found = subprocess.run([sys.executable, "-c", SCATTERED], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 30_000  # of 120,000 kB
