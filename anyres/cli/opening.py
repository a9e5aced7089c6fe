"""The model that a command asks: one on this machine, or one behind an endpoint."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from anyres.cli.options import library_notes
from anyres.cli.terminal import status
from anyres.disk_cache import open_cache
from anyres.errors import OptionError

if TYPE_CHECKING:
    from anyres.client import Endpoint, RemoteChatModel
    from anyres.engine.engine import LocalChatModel

__all__ = ["endpoint_of", "open_local", "open_remote"]


def endpoint_of(base_url: str | None, api_key: str | None) -> "Endpoint | None":
    """Where `--base-url` and the environment point; None for a model on this machine."""
    if not base_url and not os.environ.get("ANYRES_BASE_URL"):
        if api_key:
            raise OptionError("--api-key", "given without an address", "with --base-url, or ANYRES_BASE_URL set")
        return None
    from anyres.client import endpoint_from

    return endpoint_from(base_url, api_key, os.environ)


def open_remote(endpoint: "Endpoint", name: str | None, local: Mapping[str, str | None]) -> "RemoteChatModel":
    """Nothing is sent yet. OptionError where one of `local`, the options of a model on this machine, is set."""
    from anyres.client import RemoteChatModel

    for option, value in local.items():
        if value not in (None, "auto"):
            raise OptionError(f"--{option}", f"{value!r} for a model at {endpoint.base_url}", "none; it runs elsewhere")
    return RemoteChatModel(endpoint, model=name)


def open_local(
    name: str | None,
    *,
    device: str = "auto",
    dtype: str | None = None,
    memory: str | None = None,
    draft: str | None = None,
    quiet: bool = False,
) -> "LocalChatModel":
    """The checkpoint, with what is kept on disk between commands."""
    with library_notes(quiet=quiet), status(f"Loading {name or 'the embedded checkpoint'} ...", quiet=quiet):
        from anyres.engine.load import load

        cache = open_cache(otherwise=True) or False
        return load(name, device=device, dtype=dtype, memory=memory, draft=draft, cache=cache)
