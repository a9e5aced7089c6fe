"""What holds for all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # machines are busy; no test is about time
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _nothing_of_the_user() -> Iterator[None]:
    """Nothing is read from, or left in, the caches of whoever runs the tests, and no terminal has a width.

    pytest-xdist gives its workers one.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ANYRES_CACHE", "off")
        patched.delenv("COLUMNS", raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the page come last: Playwright leaves an event loop running in this thread until the session ends."""
    items.sort(key=lambda item: "tests/server/page/" in item.nodeid)
