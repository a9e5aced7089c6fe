"""A data set behind an address: fetched once, resumable, believed only with its checksum."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from anyres.errors import DatasetError, DownloadError

__all__ = ["check", "checksum", "download", "is_address"]

TIMEOUT_S = 60.0  # of silence
KINDS = {32: "md5", 64: "sha256"}
"""By the number of hexadecimal digits: VLMEvalKit's lists hold MD5, everybody else SHA-256."""
Progress = Callable[[int, int], None]


def is_address(text: str) -> bool:
    """Whether it is to be fetched.

    >>> is_address("https://example.org/mme.tsv"), is_address("mme.tsv")
    (True, False)
    """
    return text.startswith(("http://", "https://"))


def download(url: str, folder: Path, *, digest: str = "", progress: Progress = lambda *_: None) -> Path:
    """The file in `folder`, under the name it has in the address. One that is there already is not fetched again.

    `digest` is an MD5 or SHA-256 in hexadecimal: what does not match raises DatasetError and is deleted. A download
    that was cut off goes on where it stopped. DownloadError where the address gives nothing.
    """
    path = folder / _name(url)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
        _fetch(url, partial, progress)
        check(partial, digest)
        partial.replace(path)
    check(path, digest)
    return path


def checksum(path: Path, kind: str = "sha256") -> str:
    """In hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _name(url: str) -> str:
    name = unquote(urlsplit(url).path).replace("\\", "/").rsplit("/", 1)[-1]
    if not re.fullmatch(r"[\w.+ -]{1,200}", name) or name.startswith("."):
        raise DownloadError(url, f"no name of a file at its end ({name!r})", "an address as https://host/name.tsv")
    return name


def check(path: Path, digest: str) -> None:
    """DatasetError where the file has another checksum, MD5 or SHA-256; "" is not checked."""
    if not digest:
        return
    kind = KINDS.get(len(digest))
    if kind is None or not re.fullmatch(r"[0-9a-fA-F]+", digest):
        raise DatasetError(str(path), f"checksum {digest!r}", "MD5 or SHA-256 in hexadecimal")
    found = checksum(path, kind)
    if found != digest.lower():
        if path.suffix == ".part":
            path.unlink()
        raise DatasetError(str(path), f"{kind} {found}", f"{kind} {digest.lower()}; nothing was kept of a new download")


def _fetch(url: str, partial: Path, progress: Progress) -> None:
    begun = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "anyres", "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    try:
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_S) as response:
            if begun and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # all of it is here already
            response.raise_for_status()
            _save(response, partial, begun if response.status_code == httpx.codes.PARTIAL_CONTENT else 0, progress)
    except httpx.HTTPStatusError as error:
        raise DownloadError(url, f"the server answered {error.response.status_code}", "the file") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        seen = f"cannot be fetched ({error or type(error).__name__}); what came is kept"
        raise DownloadError(url, seen, "an address that answers") from None
    except OSError as error:
        raise DownloadError(url, f"cannot be written ({error.strerror})", "room on the disk") from None


def _save(response: httpx.Response, partial: Path, begun: int, progress: Progress) -> None:
    whole = begun + int(response.headers.get("Content-Length", 0))
    with partial.open("ab" if begun else "wb") as file:
        for piece in response.iter_raw():
            file.write(piece)
            begun += len(piece)
            progress(begun, whole)
        file.flush()
        os.fsync(file.fileno())
    if whole and begun < whole:
        raise httpx.ReadError(f"{begun:,} of {whole:,} bytes")
