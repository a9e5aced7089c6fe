"""Checkpoints by name: the embedded one, a folder, or a hub repository that `pull` has fetched into the local cache.

The cache is the one all Hugging Face tools share. A branch name there is written only once every file of the commit is
complete and its checksum right, so a name that resolves stands for a whole checkpoint, and an interrupted pull goes on
where it stopped.

Environment: `ANYRES_HUB_ENDPOINT` names a mirror (before `HF_ENDPOINT`; it never gets the hub token),
`ANYRES_OFFLINE=1` forbids the network (as `HF_HUB_OFFLINE=1` does), `HF_HOME` and `HF_HUB_CACHE` place the cache.
"""

import hashlib
import importlib.resources
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import huggingface_hub as hf  # its parts are imported when they are first used, which only downloads need
from huggingface_hub import constants

from anyres.config import Qwen2VLConfig
from anyres.errors import CheckpointError, DownloadError, ModelNotFoundError
from anyres.model.weights import count_parameters, weight_files

__all__ = ["LocalModel", "Progress", "PullProgress", "list_models", "pull", "resolve"]

EMBEDDED = "tiny"
DEFAULT_REVISION = "main"
GGUF_SUFFIX = ".gguf"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
REVISION = re.compile(r"(?!.*\.\.)\w[\w./-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")  # ETag of a large file
GIT_BLOB = re.compile(r"[0-9a-f]{40}")  # ETag of a small one: SHA-1 of "blob <size>\0" and the content
WANTED = re.compile(r"[\w.-]+\.(json|txt|jinja|model)|model[\w.-]*\.safetensors|README\.md|LICENSE", re.ASCII)
UNSAFE = re.compile(r"^/|\\|(^|/)\.\.(/|$)|[\x00-\x1f:]")  # names that could leave the folder they are written to
ON = ("1", "ON", "YES", "TRUE")  # what huggingface_hub takes for true
CHUNK_BYTES = 1 << 22
POLL_S = 0.2
REQUEST_TIMEOUT_S = 20.0


class PullProgress(NamedTuple):
    """How far a pull is: the file under way, and bytes of the whole checkpoint."""

    file: str
    done_bytes: int
    total_bytes: int


Progress = Callable[[PullProgress], None]
"""Called about five times a second, from a thread of its own while a file is under way."""


class LocalModel(NamedTuple):
    """A checkpoint that is here. `parameters` is None when its files cannot be read."""

    name: str
    path: Path
    bytes: int
    parameters: int | None


class _RemoteFile(NamedTuple):
    name: str
    size: int
    digest: str


class _Repo(NamedTuple):
    """One commit of a hub repository, and how it is reached."""

    repo_id: str
    commit: str
    endpoint: str
    token: bool | None
    cache: Path

    @property
    def folder(self) -> Path:
        return _cache_folder(self.repo_id, self.cache)

    @property
    def snapshot(self) -> Path:
        return self.folder / "snapshots" / self.commit


def resolve(name: str | Path | None = None, *, cache: Path | None = None) -> Path:
    """Where a checkpoint is: None or "tiny" is the embedded one, then a folder, a .gguf file, `org/name[@revision]`.

    Never touches the network. Raises ModelNotFoundError, which names the command that fetches what is missing.
    """
    if name is None or name == EMBEDDED:
        return _embedded()
    if name != "" and (Path(name).is_dir() or (Path(name).suffix == GGUF_SUFFIX and Path(name).is_file())):
        return Path(name)
    repo_id, _, revision = str(name).partition("@")
    if isinstance(name, Path) or not _is_hub_id(repo_id):
        raise ModelNotFoundError(str(name), "no such folder", f"{EMBEDDED}, a folder, or a hub name like org/name")
    found = _cached(repo_id, revision or DEFAULT_REVISION, cache or _default_cache())
    if found is None:
        option = f" --revision {revision}" if revision else ""
        seen = "not on this machine, or only partly"
        raise ModelNotFoundError(str(name), seen, f"after `anyres pull {repo_id}{option}`")
    return found


def pull(
    repo_id: str, *, revision: str | None = None, progress: Progress | None = None, cache: Path | None = None
) -> Path:
    """Fetches a checkpoint into the cache, checks every file against the hub's checksum, and gives its folder.

    What is already there is checked and not fetched again. Only files a checkpoint is made of are fetched: JSON,
    tokenizer texts, safetensors, never pickles. Raises ModelNotFoundError for a name the hub does not know,
    CheckpointError for a model that is no Qwen2-VL, DownloadError for all else.
    """
    revision = revision or DEFAULT_REVISION
    cache = cache or _default_cache()
    _check_name(repo_id, revision)
    if offline := _offline_variable():
        return _cached(repo_id, revision, cache) or _raise_offline(repo_id, offline)
    with _hub_errors(repo_id, revision), _quiet():
        repo, names = _list_repo(repo_id, revision, cache)
        files = [_remote_file(repo, name) for name in names]
        _check_room(repo, files)
        _fetch_all(repo, files, progress or _silent)
        weight_files(repo.snapshot)  # a listing that lacks a shard is no checkpoint
        _write_ref(repo, revision)
    return repo.snapshot


def list_models(*, cache: Path | None = None) -> list[LocalModel]:
    """Checkpoints that `resolve` finds by name: the embedded ones, then the Qwen2-VL ones in the cache."""
    found = [(folder.name, folder) for folder in sorted(_embedded_root().glob("*")) if folder.is_dir()]
    found += _all_cached(cache or _default_cache())
    return [_local_model(name, path) for name, path in found if _is_qwen2vl(path)]


# What is here.


def _embedded_root() -> Path:
    return Path(str(importlib.resources.files("anyres").joinpath("checkpoints")))


def _embedded() -> Path:
    folder = _embedded_root() / EMBEDDED
    if not folder.is_dir():
        raise ModelNotFoundError(EMBEDDED, f"no folder {folder}", "an installation that holds its checkpoint")
    return folder


def _default_cache() -> Path:
    return Path(constants.HF_HUB_CACHE)


def _cache_folder(repo_id: str, cache: Path) -> Path:
    return cache / f"models--{repo_id.replace('/', '--')}"


def _cached(repo_id: str, revision: str, cache: Path) -> Path | None:
    """The folder of a whole checkpoint in the cache."""
    folder = _cache_folder(repo_id, cache)
    ref = folder / "refs" / revision
    commit = ref.read_text(encoding="ascii").strip() if REVISION.fullmatch(revision) and ref.is_file() else revision
    snapshot = folder / "snapshots" / commit
    return snapshot if COMMIT.fullmatch(commit) and _is_whole(snapshot) else None


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / "config.json").is_file() and bool(weight_files(folder))
    except CheckpointError:
        return False


def _is_qwen2vl(folder: Path) -> bool:
    try:
        Qwen2VLConfig.from_folder(folder)
    except CheckpointError:
        return False
    return True


def _all_cached(cache: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted(cache.glob("models--*--*")):
        repo_id = folder.name.removeprefix("models--").replace("--", "/", 1)
        refs = sorted(path for path in (folder / "refs").rglob("*") if path.is_file())
        for ref in refs:
            revision = ref.relative_to(folder / "refs").as_posix()
            snapshot = _cached(repo_id, revision, cache)
            if snapshot is not None:
                yield repo_id if revision == DEFAULT_REVISION else f"{repo_id}@{revision}", snapshot


def _local_model(name: str, path: Path) -> LocalModel:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    try:
        parameters = count_parameters(path)
    except CheckpointError:
        parameters = None
    return LocalModel(name, path, size, parameters)


# What the hub says.


def _is_hub_id(repo_id: str) -> bool:
    return bool(HUB_ID.fullmatch(repo_id)) and "--" not in repo_id and ".." not in repo_id


def _check_name(repo_id: str, revision: str) -> None:
    if not _is_hub_id(repo_id):
        raise ModelNotFoundError(repo_id, "no name of a hub repository", "org/name")
    if not REVISION.fullmatch(revision):
        raise ModelNotFoundError(f"{repo_id}: revision", repr(revision), "a branch, a tag or a commit")


def _offline_variable() -> str | None:
    names = ("ANYRES_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in ON), None)


def _raise_offline(repo_id: str, variable: str) -> Path:
    raise DownloadError(repo_id, f"not in the local cache, and {variable} is set", "a cached copy, or a connection")


def _endpoint() -> tuple[str, bool | None]:
    """Where the hub is, and whether huggingface_hub may send the user's token there (None: by its own rule)."""
    mirror = os.environ.get("ANYRES_HUB_ENDPOINT")
    if mirror:
        return mirror.rstrip("/"), False
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/"), None


@contextmanager
def _hub_errors(repo_id: str, revision: str) -> Iterator[None]:
    """All that huggingface_hub, requests and the disk raise, as our own errors."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError:
        raise DownloadError(repo_id, "gated", "a token of an account that accepted its terms, in HF_TOKEN") from None
    except RevisionNotFoundError:
        raise ModelNotFoundError(f"{repo_id}@{revision}", "no such revision", "a branch, a tag or a commit") from None
    except RepositoryNotFoundError:
        raise ModelNotFoundError(repo_id, f"not found at {_endpoint()[0]}", "a public repository, or a token") from None
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, a reply that is no JSON is a ValueError
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DownloadError(repo_id, f"{reason} (from {_endpoint()[0]})", "a hub that can be reached") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without huggingface_hub's own progress bars: the caller shows one of its own."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled() or constants.HF_HUB_DISABLE_PROGRESS_BARS is not None:
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _list_repo(repo_id: str, revision: str, cache: Path) -> tuple[_Repo, list[str]]:
    endpoint, token = _endpoint()
    info = hf.HfApi(endpoint=endpoint, token=token).model_info(repo_id, revision=revision, timeout=REQUEST_TIMEOUT_S)
    if not COMMIT.fullmatch(info.sha or ""):
        raise DownloadError(repo_id, f"commit {info.sha!r}", "40 hexadecimal digits")
    names = [sibling.rfilename for sibling in info.siblings or ()]
    for name in names:
        if UNSAFE.search(name):
            raise DownloadError(repo_id, f"a file named {name!r}", "names inside the repository")
    wanted = sorted({name for name in names if WANTED.fullmatch(name)})
    if "config.json" not in wanted or not any(name.endswith(".safetensors") for name in wanted):
        raise DownloadError(repo_id, f"{len(names)} files", "config.json and safetensors weights among them")
    return _Repo(repo_id, str(info.sha), endpoint, token, cache), wanted


def _remote_file(repo: _Repo, name: str) -> _RemoteFile:
    url = hf.hf_hub_url(repo.repo_id, name, revision=repo.commit, endpoint=repo.endpoint)
    metadata: hf.HfFileMetadata = hf.get_hf_file_metadata(url, token=repo.token, endpoint=repo.endpoint)
    digest = metadata.etag or ""
    if not (SHA256.fullmatch(digest) or GIT_BLOB.fullmatch(digest)) or metadata.size is None:
        raise DownloadError(f"{repo.repo_id}: {name}", f"ETag {digest!r}", "a SHA-256, or the SHA-1 of a git blob")
    return _RemoteFile(name, metadata.size, digest)


# Fetching.


def _check_room(repo: _Repo, files: list[_RemoteFile]) -> None:
    repo.cache.mkdir(parents=True, exist_ok=True)
    needed = sum(file.size for file in files if not _blob(repo, file).exists())
    free = shutil.disk_usage(repo.cache).free
    if needed > free:
        seen = f"{needed / 1e9:.1f} GB to fetch, {free / 1e9:.1f} GB free in {repo.cache}"
        raise DownloadError(repo.repo_id, seen, "what fits on the disk; HF_HOME moves the cache")


def _blob(repo: _Repo, file: _RemoteFile) -> Path:
    """Where the cache keeps the content; while it is fetched, under the same name with `.incomplete`."""
    return repo.folder / "blobs" / file.digest


def _fetch_all(repo: _Repo, files: list[_RemoteFile], progress: Progress) -> None:
    """config.json first: a wrong model is refused before its gigabytes are fetched."""
    done, total = 0, sum(file.size for file in files)
    for file in sorted(files, key=lambda file: (file.name != "config.json", file.size)):
        with _watched(repo, file, PullProgress(file.name, done, total), progress):
            _verify(repo, file, _fetch(repo, file))
        if file.name == "config.json":
            Qwen2VLConfig.from_folder(repo.snapshot)
        done += file.size
        progress(PullProgress(file.name, done, total))


def _fetch(repo: _Repo, file: _RemoteFile) -> Path:
    """Tries again as long as each try brings the file further."""
    incomplete = _blob(repo, file).with_name(f"{file.digest}.incomplete")
    while True:
        before = _size(incomplete)
        if before > file.size:
            incomplete.unlink()
        try:
            return _download(repo, file.name)
        except OSError:
            if _size(incomplete) <= before:
                raise


def _download(repo: _Repo, name: str) -> Path:
    path = hf.hf_hub_download(
        repo.repo_id, name, revision=repo.commit, cache_dir=repo.cache, endpoint=repo.endpoint, token=repo.token
    )
    if Path(path) != repo.snapshot / name:
        raise DownloadError(f"{repo.repo_id}: {name}", f"written to {path}", str(repo.snapshot / name))
    return Path(path)


def _verify(repo: _Repo, file: _RemoteFile, path: Path) -> None:
    """A file whose content is not what the hub promised is removed, so that the next pull fetches it anew."""
    seen = _digest(path, file)
    if seen != file.digest:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DownloadError(f"{repo.repo_id}: {file.name}", f"checksum {seen}; removed", f"{file.digest}; pull again")


def _digest(path: Path, file: _RemoteFile) -> str:
    small = GIT_BLOB.fullmatch(file.digest)
    digest = hashlib.sha1(usedforsecurity=False) if small else hashlib.sha256()
    if small:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _write_ref(repo: _Repo, revision: str) -> None:
    if revision == repo.commit:
        return
    ref = repo.folder / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    temporary = ref.with_name(f"{ref.name}.{os.getpid()}.tmp")
    temporary.write_text(repo.commit, encoding="ascii")
    temporary.replace(ref)


@contextmanager
def _watched(repo: _Repo, file: _RemoteFile, start: PullProgress, progress: Progress) -> Iterator[None]:
    """Reports the growing file. In a thread, so that Ctrl-C stops the download itself at once."""
    incomplete = _blob(repo, file).with_name(f"{file.digest}.incomplete")
    stop = Event()

    def report() -> None:
        while not stop.wait(POLL_S):
            progress(start._replace(done_bytes=start.done_bytes + _size(incomplete)))

    thread = Thread(target=report, name="anyres-pull", daemon=True)
    progress(start)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _silent(progress: PullProgress) -> None:
    del progress
