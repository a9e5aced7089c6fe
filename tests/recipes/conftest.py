"""What tests of the data factory share."""

import pytest

from recipes.tiny.assets import FOLDER, Assets


@pytest.fixture(scope="session")
def plain() -> Assets:
    """Opened from what is committed and installed, without packs."""
    return Assets.open(FOLDER.parent)
