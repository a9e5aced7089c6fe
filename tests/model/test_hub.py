"""Names of checkpoints, and pulling them from a small server that speaks the hub's protocol on 127.0.0.1."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from hypothesis import given
from hypothesis import strategies as st

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.errors import AnyresError, CheckpointError, DownloadError, ModelNotFoundError
from anyres.model.hub import UNSAFE, WANTED, PullProgress, list_models, pull, resolve
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model, save_model

REPO = "maker/Tiny-VL"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "f" * 40
SMALL_VISION = VisionConfig(depth=1, embed_dim=16, num_heads=2, mlp_ratio=2, hidden_size=16)
SMALL_TEXT = TextConfig(
    hidden_size=16,
    intermediate_size=16,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    vocab_size=20,
    mrope_section=(2, 3, 3),
)
CONFIG = Qwen2VLConfig(
    vision=SMALL_VISION, text=SMALL_TEXT, image_token_id=18, video_token_id=19, torch_dtype="float32"
)


@dataclass
class Hub:
    """What the server holds, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    commit: str = COMMIT
    url: str = ""
    cut_after: int | None = None  # bytes of a reply, then the connection ends
    dies_at_cut: bool = False  # every later reply is an error
    served: dict[str, bytes] = field(default_factory=dict)  # contents that differ from what was promised
    etags: dict[str, str] = field(default_factory=dict)
    listed: list[str] | None = None
    refusal: tuple[int, str] | None = None  # status and X-Error-Code of every reply
    asked: list[tuple[str, str, Message]] = field(default_factory=list)

    def downloads(self) -> list[tuple[str, str | None]]:
        """File and Range of every request for content."""
        return [
            (path.rpartition("/")[2], seen["Range"]) for method, path, seen in self.asked if is_content(method, path)
        ]


def is_content(method: str, path: str) -> bool:
    return method == "GET" and not path.startswith("/api/")


class HubHandler(BaseHTTPRequestHandler):
    """The listing, the metadata of a file, and its content: in place for small files, behind a redirect for large."""

    hub: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers))
        if hub.refusal:
            self.reply(hub.refusal[0], {"X-Error-Code": hub.refusal[1]}, b"refused")
        elif self.path.startswith("/api/models/"):
            self.listing()
        else:
            self.file(self.path.rpartition("/")[2])

    def listing(self) -> None:
        repo_id, _, revision = self.path.removeprefix("/api/models/").partition("/revision/")
        if repo_id != REPO:
            self.reply(404, {"X-Error-Code": "RepoNotFound"}, b"")
        elif revision not in ("main", "v1", self.hub.commit):
            self.reply(404, {"X-Error-Code": "RevisionNotFound"}, b"")
        else:
            names = self.hub.files if self.hub.listed is None else self.hub.listed
            info = {"id": REPO, "sha": self.hub.commit, "siblings": [{"rfilename": name} for name in names]}
            self.reply(200, {"Content-Type": "application/json"}, json.dumps(info).encode())

    def file(self, name: str) -> None:
        hub = self.hub
        if name not in hub.files:
            self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": hub.commit}, b"")
        elif self.path.startswith("/cdn/"):
            self.content(hub.served.get(name, hub.files[name]), {})
        elif name.endswith(".safetensors"):
            headers = {"X-Linked-Etag": f'"{self.etag(name)}"', "X-Linked-Size": str(len(hub.files[name]))}
            self.reply(302, headers | {"X-Repo-Commit": hub.commit, "Location": f"{hub.url}/cdn/{name}"}, b"")
        else:
            headers = {"ETag": f'"{self.etag(name)}"', "X-Repo-Commit": hub.commit}
            self.content(hub.served.get(name, hub.files[name]), headers)

    def etag(self, name: str) -> str:
        content = self.hub.files[name]
        large = name.endswith(".safetensors")
        blob = b"blob %d\0" % len(content) + content
        digest = hashlib.sha256(content).hexdigest() if large else hashlib.sha1(blob).hexdigest()
        return self.hub.etags.get(name, digest)

    def content(self, content: bytes, headers: dict[str, str]) -> None:
        start = int(re.findall(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[0])
        if start:
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self.reply(206 if start else 200, headers, content[start:])

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_after
        if cut is not None and len(body) > cut:
            self.hub.refusal = (403, "") if self.hub.dies_at_cut else None
            body = body[:cut]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small checkpoint in two shards, and things that should stay where they are."""
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    save_model(Qwen2VL(CONFIG), folder, max_shard_bytes=60_000)
    extra = {"tokenizer.json": b"{}", "merges.txt": b"a b\n", "README.md": b"# Card\n"}
    unwanted = {"pytorch_model.bin": b"pickle", ".gitattributes": b"*", "run.py": b"print()"}
    return {path.name: path.read_bytes() for path in folder.iterdir()} | extra | unwanted


@pytest.fixture
def hub(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The server, named as the mirror."""
    hub = Hub(dict(files))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("ANYRES_HUB_ENDPOINT", hub.url)
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the machine's own settings, and no way to the real hub."""
    for name in ("ANYRES_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # what is written at a time
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("ANYRES_HUB_ENDPOINT", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


WANTED_FILES = {"config.json", "model.safetensors.index.json", "tokenizer.json", "merges.txt", "README.md"}


def shards(hub: Hub) -> list[str]:
    return sorted(name for name in hub.files if name.endswith(".safetensors"))


# Pulling.


def test_pull_brings_a_checkpoint_that_loads(hub: Hub, cache: Path) -> None:
    folder = pull(REPO, cache=cache)
    assert {path.name for path in folder.iterdir()} == WANTED_FILES | set(shards(hub))
    assert all((folder / path.name).read_bytes() == hub.files[path.name] for path in folder.iterdir())
    assert resolve(REPO, cache=cache) == folder
    torch.manual_seed(0)
    expected, loaded = Qwen2VL(CONFIG).state_dict(), load_model(folder).state_dict()
    assert all(torch.equal(expected[key], loaded[key]) for key in expected)


def test_a_second_pull_fetches_nothing(hub: Hub, cache: Path) -> None:
    folder = pull(REPO, cache=cache)
    hub.asked.clear()
    assert pull(REPO, cache=cache) == folder
    assert hub.downloads() == []


def test_a_new_commit_fetches_only_what_changed(hub: Hub, cache: Path) -> None:
    old = pull(REPO, cache=cache)
    hub.commit, hub.files = NEWER, hub.files | {"merges.txt": b"c d\n"}
    hub.asked.clear()
    new = pull(REPO, cache=cache)
    assert hub.downloads() == [("merges.txt", None)]
    assert ((old / "merges.txt").read_bytes(), (new / "merges.txt").read_bytes()) == (b"a b\n", b"c d\n")
    assert resolve(REPO, cache=cache) == new


def test_a_revision_has_its_own_name(hub: Hub, cache: Path) -> None:
    folder = pull(REPO, revision="v1", cache=cache)
    assert resolve(f"{REPO}@v1", cache=cache) == folder
    assert resolve(f"{REPO}@{COMMIT}", cache=cache) == folder
    with pytest.raises(ModelNotFoundError, match=f"anyres pull {REPO}`"):
        resolve(REPO, cache=cache)
    assert [model.name for model in list_models(cache=cache) if model.path == folder] == [f"{REPO}@v1"]


def test_a_connection_that_breaks_is_taken_up_where_it_stopped(hub: Hub, cache: Path) -> None:
    hub.cut_after = 30_000
    folder = pull(REPO, cache=cache)
    shard = max(shards(hub), key=lambda name: len(hub.files[name]))
    ranges = [asked for name, asked in hub.downloads() if name == shard]
    assert ranges[:2] == [None, "bytes=30000-"]
    assert len(ranges) == -(-len(hub.files[shard]) // 30_000)
    assert (folder / shard).read_bytes() == hub.files[shard]


def test_a_pull_that_was_killed_goes_on_later(hub: Hub, cache: Path) -> None:
    hub.cut_after, hub.dies_at_cut = 30_000, True
    with pytest.raises(DownloadError, match=REPO):
        pull(REPO, cache=cache)
    with pytest.raises(ModelNotFoundError, match="not on this machine, or only partly"):
        resolve(REPO, cache=cache)
    assert len(list(cache.rglob("*.incomplete"))) == 1
    hub.cut_after, hub.refusal = None, None
    hub.asked.clear()
    pull(REPO, cache=cache)
    assert [asked for _, asked in hub.downloads() if asked] == ["bytes=30000-"]
    assert ("config.json", None) not in hub.downloads()


def test_leftovers_longer_than_the_file_are_dropped(hub: Hub, cache: Path) -> None:
    content = hub.files["merges.txt"]
    etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    incomplete = cache / "models--maker--Tiny-VL" / "blobs" / f"{etag}.incomplete"
    incomplete.parent.mkdir(parents=True)
    incomplete.write_bytes(b"far too long for that file")
    assert (pull(REPO, cache=cache) / "merges.txt").read_bytes() == content


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "tokenizer.json"])
def test_changed_content_is_refused_and_removed(hub: Hub, cache: Path, name: str) -> None:
    content = bytearray(hub.files[name])
    content[-1] ^= 1
    hub.served[name] = bytes(content)
    with pytest.raises(DownloadError, match=rf"{name}: checksum [0-9a-f]+; removed; allowed: [0-9a-f]+; pull again"):
        pull(REPO, cache=cache)
    with pytest.raises(ModelNotFoundError):
        resolve(REPO, cache=cache)
    hub.served.clear()
    assert (pull(REPO, cache=cache) / name).read_bytes() == hub.files[name]


def test_content_that_rotted_in_the_cache_is_found_by_pulling_again(hub: Hub, cache: Path) -> None:
    shard = (pull(REPO, cache=cache) / shards(hub)[0]).resolve()
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DownloadError, match="checksum"):
        pull(REPO, cache=cache)
    pull(REPO, cache=cache)
    assert shard.read_bytes() == hub.files[shards(hub)[0]]


def test_short_content_is_refused(hub: Hub, cache: Path) -> None:
    name = shards(hub)[0]
    hub.served[name] = hub.files[name][:-10]
    with pytest.raises(DownloadError, match=REPO):
        pull(REPO, cache=cache)


def test_progress_rises_to_the_whole(hub: Hub, cache: Path) -> None:
    seen: list[PullProgress] = []
    folder = pull(REPO, cache=cache, progress=seen.append)
    total = sum(path.stat().st_size for path in folder.iterdir())
    done = [progress.done_bytes for progress in seen]
    assert {progress.total_bytes for progress in seen} == {total}
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, total)
    assert {progress.file for progress in seen} == {path.name for path in folder.iterdir()}


def test_the_bars_of_huggingface_hub_come_back(hub: Hub, cache: Path) -> None:
    before = are_progress_bars_disabled()
    pull(REPO, cache=cache)
    assert are_progress_bars_disabled() == before


def test_the_mirror_never_gets_the_token(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(REPO, cache=cache)
    assert hub.asked
    assert not [path for _, path, headers in hub.asked if "hf_secret" in str(headers)]
    monkeypatch.delenv("ANYRES_HUB_ENDPOINT")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # named as the hub itself, it gets it
    hub.asked.clear()
    pull(REPO, cache=cache)
    assert [path for _, path, headers in hub.asked if "hf_secret" in str(headers)]


def test_hf_endpoint_is_used_and_the_mirror_goes_before_it(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    monkeypatch.delenv("ANYRES_HUB_ENDPOINT")
    assert pull(REPO, cache=cache).is_dir()
    monkeypatch.setenv("ANYRES_HUB_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"127.0.0.1:9"):
        pull(REPO, cache=cache)


# The network switched off, and hubs that refuse.


@pytest.mark.parametrize("variable", ["ANYRES_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DownloadError, match=f"not in the local cache, and {variable} is set; allowed: a cached copy"):
        pull(REPO, cache=cache)
    monkeypatch.setenv(variable, "0")
    folder = pull(REPO, cache=cache)
    hub.asked.clear()
    monkeypatch.setenv(variable, "yes")
    assert pull(REPO, cache=cache) == folder
    assert hub.asked == []


@pytest.mark.parametrize(
    ("refusal", "error", "message"),
    [
        ((401, "GatedRepo"), DownloadError, "gated; allowed: a token of an account that accepted its terms"),
        ((403, "GatedRepo"), DownloadError, "gated"),
        ((401, "RepoNotFound"), ModelNotFoundError, "not found at http://127.0.0.1"),
        ((404, "RepoNotFound"), ModelNotFoundError, "not found at http://127.0.0.1"),
        ((404, "RevisionNotFound"), ModelNotFoundError, f"{REPO}@main: no such revision"),
        ((500, ""), DownloadError, "500"),
        ((429, ""), DownloadError, "429"),
        ((200, ""), DownloadError, "a hub that can be reached"),  # a captive portal: a page instead of JSON
    ],
)
def test_refusals(hub: Hub, cache: Path, refusal: tuple[int, str], error: type[AnyresError], message: str) -> None:
    hub.refusal = refusal
    with pytest.raises(error, match=message):
        pull(REPO, cache=cache)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "nonsense", "http://", "file:///etc"])
def test_a_mirror_that_is_not_there(cache: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("ANYRES_HUB_ENDPOINT", endpoint)
    with pytest.raises(DownloadError, match="a hub that can be reached"):
        pull(REPO, cache=cache)


@pytest.mark.parametrize(
    "repo_id", ["", "plain", "a/b/c", "../x", "a/..", "a/b--c", "/a/b", "a b/c", "https://x/y", "a/b@c"]
)
def test_names_no_repository_can_have(cache: Path, repo_id: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no name of a hub repository"):
        pull(repo_id, cache=cache)


@pytest.mark.parametrize("revision", ["../../x", "/etc", "a..b", "a b", "-x", "a\nb"])
def test_revisions_that_are_none(cache: Path, revision: str) -> None:
    with pytest.raises(ModelNotFoundError, match="a branch, a tag or a commit"):
        pull(REPO, revision=revision, cache=cache)
    with pytest.raises(ModelNotFoundError):
        resolve(f"{REPO}@{revision}", cache=cache)


def test_a_revision_the_hub_does_not_have(hub: Hub, cache: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=f"{REPO}@v9: no such revision"):
        pull(REPO, revision="v9", cache=cache)


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError):
        pull(REPO, cache=tmp_path / "file")


def test_a_disk_that_is_too_small(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(DownloadError, match=r"GB to fetch, 0\.0 GB free in .*; allowed: what fits on the disk"):
        pull(REPO, cache=cache)
    assert hub.downloads() == []


# Hubs that mean harm.


@pytest.mark.parametrize(
    "name", ["../evil.json", "/tmp/evil.json", "a/../../evil.json", "..", "a\\..\\evil.json", "C:evil.json", "a\0.json"]
)
def test_a_listing_cannot_name_files_outside(hub: Hub, cache: Path, name: str) -> None:
    hub.listed = [*hub.files, name]
    with pytest.raises(DownloadError, match="allowed: names inside the repository"):
        pull(REPO, cache=cache)
    assert hub.downloads() == []


@given(st.text(alphabet="a./\\:\0-_", max_size=12))
def test_a_name_that_is_fetched_stays_in_its_folder(name: str) -> None:
    if WANTED.fullmatch(f"{name}.json") and not UNSAFE.search(f"{name}.json"):
        assert (Path("/folder") / f"{name}.json").resolve().parent == Path("/folder")


def test_files_in_subfolders_are_left_alone(hub: Hub, cache: Path) -> None:
    hub.listed = [*hub.files, "original/config.json", "onnx/model.safetensors"]
    assert all(path.is_file() for path in pull(REPO, cache=cache).iterdir())


@pytest.mark.parametrize("etag", ["../../../../evil", "", "abc", "f" * 41])
def test_an_etag_that_is_no_checksum(hub: Hub, cache: Path, etag: str) -> None:
    hub.etags["tokenizer.json"] = etag
    with pytest.raises(DownloadError, match=r"tokenizer.json: ETag .* allowed: a SHA-256, or the SHA-1 of a git blob"):
        pull(REPO, cache=cache)
    assert hub.downloads() == []


@pytest.mark.parametrize("commit", ["../../x", "abc", "F" * 40, ""])
def test_a_commit_that_is_none(hub: Hub, cache: Path, commit: str) -> None:
    hub.commit = commit
    with pytest.raises(DownloadError, match="40 hexadecimal digits"):
        pull(REPO, cache=cache)


def test_another_kind_of_model_is_refused_before_its_weights(hub: Hub, cache: Path) -> None:
    hub.files["config.json"] = json.dumps({"model_type": "llama"}).encode()
    with pytest.raises(CheckpointError, match="model_type: 'llama'; allowed: 'qwen2_vl'"):
        pull(REPO, cache=cache)
    assert hub.downloads() == [("config.json", None)]


def test_a_repository_without_safetensors(hub: Hub, cache: Path) -> None:
    hub.listed = ["config.json", "pytorch_model.bin"]
    with pytest.raises(DownloadError, match=r"2 files; allowed: config.json and safetensors weights among them"):
        pull(REPO, cache=cache)


def test_a_listing_that_lacks_a_shard(hub: Hub, cache: Path) -> None:
    hub.listed = [name for name in hub.files if name != shards(hub)[1]]
    with pytest.raises(CheckpointError, match=f"missing {shards(hub)[1]}"):
        pull(REPO, cache=cache)
    with pytest.raises(ModelNotFoundError):
        resolve(REPO, cache=cache)


# Names of what is here.


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that holds a checkpoint of its own."""
    folder = tmp_path / "package" / "checkpoints" / "tiny"
    save_model(Qwen2VL(CONFIG), folder)
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path / "package")
    return folder


def test_the_embedded_checkpoint_needs_no_name(embedded: Path) -> None:
    assert resolve() == resolve(None) == resolve("tiny") == embedded


def test_a_package_without_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"tiny: no folder .*; allowed: an installation that holds"):
        resolve()
    assert list_models(cache=tmp_path / "none") == []


def test_a_folder_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(tmp_path) == tmp_path
    assert resolve(str(tmp_path)) == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maker" / "Tiny-VL").mkdir(parents=True)
    assert resolve(REPO) == Path(REPO)


@pytest.mark.parametrize(
    "name", ["nowhere", "./maker/model", "/no/such/folder", "", "a/b/c", "../x/y", Path("maker/model")]
)
def test_names_that_mean_nothing(name: str | Path, cache: Path) -> None:
    with pytest.raises(
        ModelNotFoundError, match="no such folder; allowed: tiny, a folder, or a hub name like org/name"
    ):
        resolve(name, cache=cache)


def test_a_hub_name_that_is_not_here_names_the_command(cache: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=f"after `anyres pull {REPO}`$"):
        resolve(REPO, cache=cache)
    with pytest.raises(ModelNotFoundError, match=f"after `anyres pull {REPO} --revision v1`$"):
        resolve(f"{REPO}@v1", cache=cache)


def test_models_are_listed_with_their_size(hub: Hub, cache: Path, embedded: Path) -> None:
    folder = pull(REPO, cache=cache)
    other = cache / "models--maker--speech"
    shutil.copytree(cache / "models--maker--Tiny-VL", other, symlinks=True)
    config = other / "snapshots" / COMMIT / "config.json"
    config.unlink()
    config.write_text('{"model_type": "whisper"}')
    models = list_models(cache=cache)
    assert [(model.name, model.path) for model in models] == [("tiny", embedded), (REPO, folder)]
    parameters = sum(parameter.numel() for parameter in Qwen2VL(CONFIG).parameters())
    assert {model.parameters for model in models} == {parameters}
    assert models[1].bytes == sum(len(hub.files[path.name]) for path in folder.iterdir())


def test_a_damaged_checkpoint_is_listed_without_parameters(hub: Hub, cache: Path, embedded: Path) -> None:
    (embedded / "model.safetensors").write_bytes(b"damaged")
    assert [(model.name, model.parameters) for model in list_models(cache=cache)] == [("tiny", None)]


def test_a_cache_of_other_things_lists_nothing(tmp_path: Path, embedded: Path) -> None:
    for name in ("models--a--b", "models--a--b/refs", "datasets--a--b", "models--c--d/snapshots/x"):
        (tmp_path / "other" / name).mkdir(parents=True)
    (tmp_path / "other" / "models--a--b" / "refs" / "main").write_text("../../../../etc")
    assert [model.name for model in list_models(cache=tmp_path / "other")] == ["tiny"]
