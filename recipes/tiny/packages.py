"""Pinned packages of the ordinary registries, downloaded by their own clients and checked before use."""

import hashlib
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from anyres.errors import DownloadError

__all__ = ["Package", "cached", "opened", "sha256_of"]


class Package(NamedTuple):
    """One archive: where it comes from ("deb", "npm" or "pypi"), its name and version, and what it must hash to."""

    kind: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """The name the archive is kept under."""
        return f"{self.kind}-{self.name.replace('/', '-').replace('@', '')}-{self.version.replace(':', '_')}"


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commands(package: Package, folder: Path) -> list[str]:
    """What downloads the package into `folder`.

    >>> commands(Package("pypi", "jieba", "0.42.1", ""), Path("here"))[:4]
    ['python3', '-m', 'pip', 'download']
    """
    wanted = {"deb": "=", "npm": "@", "pypi": "=="}[package.kind].join((package.name, package.version))
    if package.kind == "deb":
        return ["apt-get", "download", "-qq", wanted]
    if package.kind == "npm":
        return ["npm", "pack", "--silent", wanted]
    return ["python3", "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder.resolve()), wanted]


def cached(package: Package, cache: Path) -> Path:
    """The archive in `cache`, downloaded unless it is there; DownloadError where it is not the pinned one."""
    path = cache / package.file
    if not path.is_file():
        inbox = cache / f"{package.file}.part"
        inbox.mkdir(parents=True, exist_ok=True)
        subprocess.run(commands(package, inbox), cwd=inbox, check=True)  # noqa: S603, constants of the recipe
        (found,) = inbox.iterdir()
        found.rename(path)
        inbox.rmdir()
    if (seen := sha256_of(path)) != package.sha256:
        raise DownloadError(f"{package.name} {package.version}", f"sha256 {seen}", package.sha256)
    return path


def opened(packages: Iterable[Package], cache: Path) -> Path:
    """A folder with the members of all packages, each below its own name."""
    root = cache / "opened"
    for package in packages:
        target = root / package.name
        if target.is_dir():
            continue
        archive = cached(package, cache)
        target.mkdir(parents=True)
        if package.kind == "deb":
            subprocess.run(["dpkg", "-x", str(archive), str(target)], check=True)  # noqa: S603, S607
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as members:
                members.extractall(target)  # noqa: S202, of a pinned package
        else:
            with tarfile.open(archive) as members_:
                members_.extractall(target, filter="data")
    return root
