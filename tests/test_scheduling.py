"""Encoding AV1 leaves no real-time thread behind, which a run of all tests would hand on to browsers and servers."""

import os

import pytest

from tests.scheduling import THREADS
from tests.server.media.files import clip

pytestmark = pytest.mark.skipif(not THREADS.exists(), reason="no scheduling to ask for")


def test_av1_is_encoded_by_ordinary_threads() -> None:
    assert clip(4, "libsvtav1", "mp4")
    assert {os.sched_getscheduler(int(thread.name)) for thread in THREADS.iterdir()} == {os.SCHED_OTHER}
