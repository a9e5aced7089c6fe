"""What media a request may bring, and how much of it: every limit with its default and the flag that changes it."""

import re
from dataclasses import dataclass
from pathlib import Path

from anyres.errors import OptionError

__all__ = ["FLAGS", "MediaLimits"]

MIB = 1 << 20

# Field of MediaLimits -> the flag of `anyres serve` that sets it; every refusal names the one that would change it.
FLAGS = {
    "images": "--limit-mm-per-prompt",
    "videos": "--limit-mm-per-prompt",
    "image_pixels": "--max-image-pixels",
    "request_pixels": "--max-request-pixels",
    "image_bytes": "--max-image-bytes",
    "video_bytes": "--max-video-bytes",
    "frames": "--max-video-frames",
    "visual_tokens": "--max-visual-tokens",
    "decode_seconds": "--decode-seconds",
    "decode_memory": "--decode-memory",
    "domains": "--allowed-media-domains",
    "media_root": "--media-root",
    "image_fetch_s": "--image-fetch-seconds",
    "video_fetch_s": "--video-fetch-seconds",
}
_WHOLE = ("image_pixels", "request_pixels", "image_bytes", "video_bytes", "frames", "visual_tokens")
_SECONDS = ("decode_seconds", "image_fetch_s", "video_fetch_s")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


@dataclass(frozen=True)
class MediaLimits:
    """Pixels are those of headers, before decoding. `decoders` processes decode, each within `decode_memory` bytes.

    `domains` are host names that may be fetched from: `img.example.com`, `*.example.com` for all below it, with
    `:8443` for another port than 443 and 80. `visual_tokens` bounds what all pictures and clips of a request become.
    `prepared_bytes` of opened ones are kept for the next request. Raises OptionError.
    """

    images: int = 8
    videos: int = 1
    image_pixels: int = 50_000_000
    request_pixels: int = 100_000_000
    image_bytes: int = 20 * MIB
    video_bytes: int = 256 * MIB
    frames: int = 768
    visual_tokens: int = 65_536
    decode_seconds: float = 60.0
    decode_memory: int = 1024 * MIB
    decoders: int = 2
    prepared_bytes: int = 256 * MIB
    domains: tuple[str, ...] = ()
    media_root: Path | None = None
    image_fetch_s: float = 5.0
    video_fetch_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("images", "videos"):
            _check(name, getattr(self, name), 0)
        for name in _WHOLE:
            _check(name, getattr(self, name), 1)
        _check("decode_memory", self.decode_memory, 512 * MIB)
        _check("decoders", self.decoders, 1)
        _check("prepared_bytes", self.prepared_bytes, 0)
        for name in _SECONDS:
            if not getattr(self, name) > 0:
                raise OptionError(FLAGS[name], repr(getattr(self, name)), "seconds above 0")
        for domain in self.domains:
            if _DOMAIN.fullmatch(domain) is None:
                raise OptionError(FLAGS["domains"], repr(domain), "host names as img.example.com or *.example.com")
        if self.media_root is not None and not self.media_root.is_dir():
            raise OptionError(FLAGS["media_root"], "no such folder", "a folder that exists")


def _check(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise OptionError(FLAGS.get(name, name), repr(value), f"a whole number from {low:,}")
