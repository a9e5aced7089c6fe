"""The bytes behind what a part of a request names: a data: URL, an upload, a listed host, a file below one folder."""

import asyncio
import base64
import binascii
import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from anyres.server.fetch import Fetcher
from anyres.server.media_limits import FLAGS, MediaLimits
from anyres.server.refusal import Kind, refusal
from anyres.server.uploads import UnknownFileError, Uploads

__all__ = ["Sources"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FRAME_LIST = re.compile(r"data:video/jpeg;base64,", re.IGNORECASE)
_DATA = "data:<type>;base64,<data>"
_OPENAT = os.open in os.supports_dir_fd  # not on Windows


class Sources:
    """Reads within the limits, and gives the same words for every `file:` address that is not let in."""

    def __init__(self, limits: MediaLimits, uploads: Uploads | None, fetcher: Fetcher) -> None:
        self._limits = limits
        self._uploads = uploads
        self._fetcher = fetcher
        self._root = None if limits.media_root is None else limits.media_root.resolve()

    async def read(self, kind: Kind, source: str, *, owner: str) -> bytes:
        """1 to `image_bytes` or `video_bytes` bytes; RefusedMediaError says why there are none."""
        scheme = source.partition(":")[0].lower() if _SCHEME.match(source) else ""
        if scheme == "data":
            data = await asyncio.to_thread(self._from_data_url, kind, source)
        elif scheme in ("http", "https"):
            data = await self._fetcher.fetch(source, kind=kind, max_bytes=self.max_bytes(kind))
        elif scheme == "file":
            data = await asyncio.to_thread(self._from_file, kind, source)
        elif scheme == "" and source.startswith("file-"):
            data = await asyncio.to_thread(self._from_upload, kind, source, owner)
        else:
            seen = f"an address of scheme {scheme[:20]}" if scheme else "neither an address nor the id of an upload"
            raise refusal(kind, "address", seen, "a data: or https: URL, or the id of an uploaded file")
        if not data:
            raise refusal(kind, "empty", "0 bytes", f"1 to {self.max_bytes(kind):,} bytes")
        return data

    def frames(self, source: str | tuple[str, ...]) -> tuple[str, ...] | None:
        """The frames of a clip that is given as such, one data: URL each; counted before anything is split."""
        if isinstance(source, tuple):
            self._check_frames(len(source))
            return source
        if not _FRAME_LIST.match(source):
            return None
        head, _, body = source.partition(",")
        self._check_frames(body.count(",") + 1)
        return tuple(f"{head},{frame}" for frame in body.split(","))

    def max_bytes(self, kind: Kind) -> int:
        return self._limits.video_bytes if kind == "video" else self._limits.image_bytes

    def check_bytes(self, kind: Kind, size: int) -> None:
        if size > self.max_bytes(kind):
            flag = FLAGS["video_bytes" if kind == "video" else "image_bytes"]
            raise refusal(kind, "bytes", "too many bytes", f"at most {self.max_bytes(kind):,} ({flag})")

    def _check_frames(self, count: int) -> None:
        if not 1 <= count <= self._limits.frames:
            seen = f"a list of {count:,} frames"
            raise refusal("video", "frames", seen, f"1 to {self._limits.frames} ({FLAGS['frames']})")

    def _from_data_url(self, kind: Kind, url: str) -> bytes:
        """The type before the comma is not looked at: the bytes tell. Blanks and line ends may stand in base64."""
        comma = url.find(",", 0, 1024)
        if comma < 0 or not url[:comma].lower().endswith(";base64"):
            raise refusal(kind, "base64", "a data: URL without ;base64, in it", _DATA)
        self.check_bytes(kind, (len(url) - comma) * 3 // 8)  # half of it may be blanks; exact below
        try:
            data = base64.b64decode("".join(url[comma + 1 :].split()), validate=True)
        except (binascii.Error, ValueError):  # ValueError: letters outside ASCII
            raise refusal(kind, "base64", "not valid base64", _DATA) from None
        self.check_bytes(kind, len(data))
        return data

    def _from_upload(self, kind: Kind, file_id: str, owner: str) -> bytes:
        if self._uploads is None:
            raise refusal(kind, "unknown id", "the id of an upload, of which there are none here", "a data: URL")
        try:
            self.check_bytes(kind, self._uploads.describe(owner, file_id).size)
            return self._uploads.get(owner, file_id)
        except UnknownFileError as error:
            raise refusal(kind, "unknown id", error.seen, error.allowed) from None

    def _from_file(self, kind: Kind, url: str) -> bytes:
        """A regular file below the root, on a way without links. Nothing else can be told from the refusal."""
        data = None if self._root is None else _read_below(self._root, url, self.max_bytes(kind))
        if data is None:
            allowed = f"file: URLs of files below the folder of {FLAGS['media_root']}, links not followed"
            raise refusal(kind, "address", "a file: address that is not let in", allowed)
        self.check_bytes(kind, len(data))
        return data


def _read_below(root: Path, url: str, max_bytes: int) -> bytes | None:
    """One byte more than allowed at most; None for whatever is not a readable regular file below `root`."""
    try:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            return None
        names = Path(unquote(parts.path)).relative_to(root).parts
    except ValueError:  # not below it, or no valid address
        return None
    if not names or ".." in names or any("\0" in name for name in names):
        return None
    try:
        descriptor = _open_below(root, names)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(max_bytes + 1)


def _open_below(root: Path, names: tuple[str, ...]) -> int:
    """Step by step, so that no folder can be exchanged for a link between the check and the opening."""
    if not _OPENAT:
        path = root.joinpath(*names)
        if path.resolve() != path:
            raise PermissionError
        return os.open(path, os.O_RDONLY)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for name in names[:-1]:
        above = folder
        try:
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    try:
        # NONBLOCK: opening a pipe must not wait for somebody to write into it.
        return os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
