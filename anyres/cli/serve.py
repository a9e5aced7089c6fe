"""`anyres serve`: the model behind HTTP, for OpenAI's clients and a web page."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.cli.options import Device, Dtype, Memory, Model, Quiet, library_notes
from anyres.cli.terminal import note

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel
    from anyres.server.service import Service

__all__ = ["serve"]


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 takes any free one.")] = 8000,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    memory: Memory = None,
    quiet: Quiet = False,
) -> None:
    """Serves a model at /v1 as OpenAI does, and a page to chat with at /. Ctrl-C ends it.

    Examples:

        anyres serve

        anyres serve --model Qwen/Qwen2-VL-2B-Instruct --port 9000

        curl http://127.0.0.1:8000/v1/models
    """
    from anyres.server.media import MediaLimits
    from anyres.server.run import serve as run
    from anyres.server.settings import ServerSettings

    def load() -> "LocalChatModel":
        from anyres.engine.engine import load as load_model

        return load_model(model, device=device, dtype=dtype, memory=memory)

    def tell(service: "Service") -> None:
        if not quiet:
            note(f"anyres: {service.names[0]} at http://{host}:{port}/v1, page at http://{host}:{port}/")

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING if quiet else logging.INFO, format="%(message)s")
    settings = ServerSettings(host=host, port=port)
    with library_notes(quiet=quiet):
        run(load, settings=settings, limits=MediaLimits(), uploads=Path("/tmp/anyres-uploads"), on_ready=tell)
