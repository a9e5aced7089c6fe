"""The key of an answer: a SHA-256 over all that decides it, and over nothing else."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.evaluation.models.query import Query, media_of

__all__ = ["Digests", "Keyed"]

FORMAT = 1
"""Changes when pictures, clips or prompts are read in another way, so that no older answer is taken for a new one."""


class Keyed(NamedTuple):
    """The key of a query, and the SHA-256 of each of its pictures and clips, in hexadecimal."""

    key: str
    media_sha256: tuple[str, ...]


class Digests:
    """Keys of queries. The digest of a file is kept while its size and time stay: many questions are about one."""

    def __init__(self) -> None:
        self._of_files: dict[tuple[str, int, int], str] = {}

    def keyed(self, query: Query, identity: str) -> Keyed:
        """MediaError for a picture that cannot be read."""
        digests = tuple(self.digest(_source(part)) for part in media_of(query.messages))
        told = {
            "format": FORMAT,
            "model": identity,
            "messages": _messages(query.messages, digests),
            "options": {name: value for name, value in asdict(query.options).items() if name != "speculate"},
        }
        text = json.dumps(told, sort_keys=True, default=repr)
        return Keyed(hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest(), digests)

    def digest(self, source: object) -> str:
        """SHA-256 of the encoded file, or of the pixels of a picture in memory."""
        from anyres.processing.media import DEFAULT_LIMITS, open_video_file

        if isinstance(source, bytes):
            return hashlib.sha256(source).hexdigest()
        if isinstance(source, (list, tuple)):
            return hashlib.sha256("".join(map(self.digest, source)).encode()).hexdigest()
        if not isinstance(source, (str, Path)) or "://" in str(source) or str(source).startswith("data:"):
            return _digest_once(source)
        with open_video_file(source, limits=DEFAULT_LIMITS) as (_, file):  # names what is wrong with a missing one
            status = Path(source).expanduser().stat()
            known = (str(source), status.st_size, status.st_mtime_ns)
            if known not in self._of_files:
                self._of_files[known] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return self._of_files[known]


def _source(part: ImagePart | VideoPart) -> object:
    return part.image if isinstance(part, ImagePart) else part.video


def _digest_once(source: Any) -> str:
    from anyres.processing.media import DEFAULT_LIMITS, open_image, read_bytes

    if hasattr(source, "shape") or hasattr(source, "getexif"):
        picture = open_image(source).picture
        return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    return hashlib.sha256(read_bytes(source, kind="video", limits=DEFAULT_LIMITS).data).hexdigest()


def _messages(messages: Sequence[Message], digests: Sequence[str]) -> list[Any]:
    rest = iter(digests)
    return [[message.role, [_part(part, rest) for part in message.parts]] for message in messages]


def _part(part: TextPart | ImagePart | VideoPart, digests: Any) -> list[Any]:
    if isinstance(part, TextPart):
        return ["text", part.text]
    knobs = {one.name: getattr(part, one.name) for one in fields(part)[1:]}
    return [type(part).__name__, next(digests), {name: value for name, value in knobs.items() if value is not None}]
