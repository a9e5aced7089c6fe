"""The random checkpoint of the command line's tests."""

from tests.cli.conftest import checkpoint

__all__ = ["checkpoint"]
