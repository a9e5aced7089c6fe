"""`ANYRES_TEST_KERNELS` names another build of the kernels to test: the one with sanitizers."""

import os
from pathlib import Path

from anyres.kernels import library


def pytest_configure() -> None:
    if other := os.environ.get("ANYRES_TEST_KERNELS"):
        library.LIBRARY = Path(other)
