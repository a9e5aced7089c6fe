"""The command line: `anyres ask`, `inspect`, `verify`, `pull` and `models`."""

from anyres.cli.app import main

__all__ = ["main"]
