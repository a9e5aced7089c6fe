"""The command line: `anyres ask`, `inspect`, `verify`, `pull` and `models`."""

from anyres.cli.app import app, main

__all__ = ["app", "main"]
