"""`anyres serve`: the model behind HTTP, for OpenAI's clients and a web page."""

import json
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyres.cli.options import Device, Draft, Dtype, Memory, Model, Quiet
from anyres.cli.terminal import note
from anyres.errors import MissingDependencyError, OptionError

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel
    from anyres.server.media import MediaLimits
    from anyres.server.service import Service
    from anyres.server.settings import ServerSettings

__all__ = ["serve"]

_WHO, _MUCH, _MEDIA = "Who may ask", "How much at once", "Pictures, clips and files"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes any free one.")] = 8000,
    model: Model = None,
    alias: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A further name of the model.")] = None,
    device: Device = "auto",
    dtype: Dtype = None,
    memory: Memory = None,
    draft: Draft = None,
    page: Annotated[bool, typer.Option(help="The web page at /.")] = True,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            envvar="ANYRES_API_KEY",
            help="Asked of every request.",
            rich_help_panel=_WHO,
            show_envvar=True,
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keys, one a line.", rich_help_panel=_WHO)
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A public name of this server. May be repeated.", rich_help_panel=_WHO),
    ] = None,
    cors_origins: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="A web page elsewhere that may ask, as https://a.example.", rich_help_panel=_WHO
        ),
    ] = None,
    page_endpoints: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A further server that the page at / may ask, as https://b.example.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    max_running: Annotated[
        int, typer.Option(metavar="N", min=1, help="Answers made together.", rich_help_panel=_MUCH)
    ] = 32,
    max_queue: Annotated[int, typer.Option(metavar="N", min=1, help="Requests in line.", rich_help_panel=_MUCH)] = 64,
    queue_seconds: Annotated[
        float, typer.Option(metavar="S", help="Longest wait in line.", rich_help_panel=_MUCH)
    ] = 60.0,
    total_seconds: Annotated[float, typer.Option(metavar="S", help="Longest answer.", rich_help_panel=_MUCH)] = 600.0,
    shutdown_timeout: Annotated[
        float, typer.Option(metavar="S", help="For what is under way at the end.", rich_help_panel=_MUCH)
    ] = 30.0,
    read_seconds: Annotated[
        float, typer.Option(metavar="S", help="Longest pause of a body that is sent.", rich_help_panel=_MUCH)
    ] = 60.0,
    write_seconds: Annotated[
        float, typer.Option(metavar="S", help="Longest pause of a client that reads.", rich_help_panel=_MUCH)
    ] = 60.0,
    max_body_bytes: Annotated[int, typer.Option(metavar="N", min=1, rich_help_panel=_MUCH)] = 64 << 20,
    max_held_bytes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Bodies of all requests at once.", rich_help_panel=_MUCH)
    ] = 1 << 30,
    max_header_bytes: Annotated[int, typer.Option(metavar="N", min=1024, rich_help_panel=_MUCH)] = 64 << 10,
    max_url_bytes: Annotated[int, typer.Option(metavar="N", min=256, rich_help_panel=_MUCH)] = 8 << 10,
    limit_mm_per_prompt: Annotated[
        str, typer.Option(metavar="JSON", help="Pictures and clips a request.", rich_help_panel=_MEDIA)
    ] = '{"image": 8, "video": 1}',
    allowed_media_domains: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="Pictures may be fetched from there, as *.example.com.", rich_help_panel=_MEDIA
        ),
    ] = None,
    media_root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="file:// URLs below it are read.", rich_help_panel=_MEDIA)
    ] = None,
    upload_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keeps uploads; else they go with the server.", rich_help_panel=_MEDIA),
    ] = None,
    max_image_bytes: Annotated[int, typer.Option(metavar="N", rich_help_panel=_MEDIA)] = 20 << 20,
    max_image_pixels: Annotated[int, typer.Option(metavar="N", rich_help_panel=_MEDIA)] = 50_000_000,
    max_request_pixels: Annotated[int, typer.Option(metavar="N", rich_help_panel=_MEDIA)] = 100_000_000,
    max_visual_tokens: Annotated[int, typer.Option(metavar="N", rich_help_panel=_MEDIA)] = 65_536,
    max_video_bytes: Annotated[int, typer.Option(metavar="N", rich_help_panel=_MEDIA)] = 256 << 20,
    max_video_frames: Annotated[int, typer.Option(metavar="N", rich_help_panel=_MEDIA)] = 768,
    decode_seconds: Annotated[float, typer.Option(metavar="S", rich_help_panel=_MEDIA)] = 60.0,
    decode_memory: Annotated[int, typer.Option(metavar="BYTES", rich_help_panel=_MEDIA)] = 1 << 30,
    image_fetch_seconds: Annotated[float, typer.Option(metavar="S", rich_help_panel=_MEDIA)] = 5.0,
    video_fetch_seconds: Annotated[float, typer.Option(metavar="S", rich_help_panel=_MEDIA)] = 30.0,
    quiet: Quiet = False,
) -> None:
    """Serves a model at /v1 as OpenAI does, and a page to chat with at /. Ctrl-C ends it; docs/serving.md tells more.

    Examples:

        anyres serve

        anyres serve --model Qwen/Qwen2-VL-2B-Instruct --port 9000 --api-key-file keys.txt

        curl http://127.0.0.1:8000/v1/models
    """
    _require_server()
    from anyres.server.media import MediaLimits
    from anyres.server.settings import ServerSettings

    settings = ServerSettings(
        host=host,
        port=port,
        api_keys=_keys(api_key, api_key_file),
        hosts=tuple(name.lower() for name in allowed_hosts or ()),
        cors_origins=tuple(cors_origins or ()),
        page_endpoints=tuple(page_endpoints or ()),
        names=tuple(alias or ()),
        running=max_running,
        queue=max_queue,
        queue_s=queue_seconds,
        total_s=total_seconds,
        shutdown_s=shutdown_timeout,
        body_bytes=max_body_bytes,
        upload_bytes=max_video_bytes + (1 << 20),
        held_bytes=max_held_bytes,
        header_bytes=max_header_bytes,
        url_bytes=max_url_bytes,
        read_s=read_seconds,
        write_s=write_seconds,
        page=page,
    )
    images, videos = _counts(limit_mm_per_prompt)
    limits = MediaLimits(
        images=images,
        videos=videos,
        image_pixels=max_image_pixels,
        request_pixels=max_request_pixels,
        image_bytes=max_image_bytes,
        video_bytes=max_video_bytes,
        frames=max_video_frames,
        visual_tokens=max_visual_tokens,
        decode_seconds=decode_seconds,
        decode_memory=decode_memory,
        domains=tuple(allowed_media_domains or ()),
        media_root=media_root,
        image_fetch_s=image_fetch_seconds,
        video_fetch_s=video_fetch_seconds,
    )
    _run(settings, limits, upload_dir, _Loader(model, device, dtype, memory, draft, max_running), quiet=quiet)


class _Loader:
    """Opens the model when it is called; what cannot be there is said before a port is opened."""

    def __init__(
        self,
        name: str | None,
        device: str,
        dtype: str | None,
        memory: str | None,
        draft: str | None,
        running: int,
    ) -> None:
        from anyres.model.hub import resolve

        for one in (name, *([] if draft is None else [draft])):
            resolve(one)
        self._name, self._device, self._dtype, self._memory = name, device, dtype, memory
        self._draft, self._running = draft, running

    def __call__(self) -> "LocalChatModel":
        from anyres.engine.load import load
        from anyres.engine.options import EngineOptions
        from anyres.engine.scheduler import Limits

        engine = EngineOptions(limits=Limits(running=max(self._running, Limits().running)))
        return load(
            self._name,
            device=self._device,
            dtype=self._dtype,
            memory=self._memory,
            draft=self._draft,
            engine=engine,
        )


def _run(
    settings: "ServerSettings", limits: "MediaLimits", uploads: Path | None, load: _Loader, *, quiet: bool
) -> None:
    from anyres.server.logs import log_to
    from anyres.server.run import serve as run

    log_to(logging.StreamHandler(sys.stderr), logging.WARNING if quiet else logging.INFO)
    if settings.host not in _LOOPBACK and not settings.api_keys:
        note(f"anyres: anyone who reaches {settings.host} may ask; --api-key lets only those in who have a key")
    with ExitStack() as stack:
        folder = uploads or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anyres-uploads-")))
        run(load, settings=settings, limits=limits, uploads=folder, on_ready=None if quiet else _tell)


def _tell(service: "Service", address: str) -> None:
    note(f"{service.names[0]} is served at {address}/v1 (the page: {address}/)")
    key = """ -H "Authorization: Bearer $ANYRES_API_KEY\"""" if service.settings.api_keys else ""
    note(f"  curl {address}/v1/chat/completions{key} -H 'Content-Type: application/json' \\")
    note(f"""    -d '{{"model": "{service.names[0]}", "messages": [{{"role": "user", "content": "Hello"}}]}}'""")


def _keys(given: list[str] | None, path: Path | None) -> tuple[str, ...]:
    if path is None:
        return tuple(given or ())
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise OptionError("--api-key-file", f"{path.name} cannot be read", "a text file, one key a line") from None
    return (*(given or ()), *(line.strip() for line in lines if line.strip()))


def _counts(text: str) -> tuple[int, int]:
    allowed = 'as {"image": 8, "video": 1}'
    try:
        value: Any = json.loads(text)
    except ValueError:
        raise OptionError("--limit-mm-per-prompt", repr(text)[:80], allowed) from None
    if not isinstance(value, dict) or not set(value) <= {"image", "video"}:
        raise OptionError("--limit-mm-per-prompt", repr(text)[:80], allowed)
    return value.get("image", 8), value.get("video", 1)


def _require_server() -> None:
    try:
        import fastapi
        import uvicorn
    except ImportError:
        raise MissingDependencyError(
            "anyres serve", "fastapi or uvicorn is missing", "pip install 'anyres[server]'"
        ) from None
    del fastapi, uvicorn
