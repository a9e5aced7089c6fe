"""The command line: `anyres ask`, `find`, `inspect`, `verify`, `pull` and `models`."""

from anyres.cli.app import main

__all__ = ["main"]
