"""Uploads: whole or not there, by random ids, each owner's for itself."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.server.uploads import UnknownFileError, UploadError, Uploads


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "files", 1000, max_owner_bytes=2500)


def test_there_and_back(uploads: Uploads) -> None:
    file_id = uploads.put("alice", "photo.png", b"\x89PNG")
    assert re.fullmatch(r"file-[0-9a-f]{32}", file_id)
    assert uploads.get("alice", file_id) == b"\x89PNG"
    described = uploads.describe("alice", file_id)
    assert (described.id, described.name, described.size) == (file_id, "photo.png", 4)
    assert uploads.files("alice") == [described]
    uploads.delete("alice", file_id)
    assert uploads.files("alice") == []
    with pytest.raises(UnknownFileError):
        uploads.get("alice", file_id)


def test_ids_are_never_the_same(uploads: Uploads) -> None:
    assert len({uploads.put("alice", "x", b"x") for _ in range(10)}) == 10


def test_a_restart_loses_nothing(uploads: Uploads, tmp_path: Path) -> None:
    file_id = uploads.put("alice", "x", b"kept")
    again = Uploads(tmp_path / "files", 1000)
    assert again.get("alice", file_id) == b"kept"
    assert again.files("alice") == uploads.files("alice")


@pytest.mark.parametrize("other", ["bob", "", "alice ", "Alice", "alice/../alice"])
def test_another_owner_learns_nothing(uploads: Uploads, other: str) -> None:
    """The words are those for an id that was never given."""
    file_id = uploads.put("alice", "x", b"hers")
    never = "file-" + "0" * 32
    for ask in (uploads.get, uploads.describe, uploads.delete):
        words = set()
        for asked in (file_id, never):
            with pytest.raises(UnknownFileError) as caught:
                ask(other, asked)
            words.add(str(caught.value))
        assert words == {"file: no file of this id; allowed: the id of a file uploaded with the same key"}
    assert uploads.files(other) == []
    assert uploads.get("alice", file_id) == b"hers"


HOSTILE = ["", "..", "../../etc/passwd", "/etc/passwd", "file-", "file-../x", "C:\\x", "file-" + "0" * 31 + "/", "\0"]


@pytest.mark.parametrize("file_id", [*HOSTILE, "file-" + "0" * 32 + "\n", "FILE-" + "0" * 32, "file-" + "g" * 32])
def test_what_is_no_id(uploads: Uploads, file_id: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret")
    for ask in (uploads.get, uploads.describe, uploads.delete):
        with pytest.raises(UnknownFileError):
            ask("alice", file_id)
    assert (tmp_path / "secret.bin").exists()


@settings(max_examples=20, deadline=None)
@given(owner=st.text(st.characters()), name=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_name_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, owner: str, name: str) -> None:
    root = tmp_path_factory.mktemp("root")
    uploads = Uploads(root / "files", 1000)
    file_id = uploads.put(owner, name, b"x")
    assert uploads.get(owner, file_id) == b"x"
    assert uploads.describe(owner, file_id).name == name[:255]
    written = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    assert len(written) == 2
    assert all(re.fullmatch(r"files/[0-9a-f]{64}/file-[0-9a-f]{32}\.(bin|json)", path) for path in written)


def test_others_of_the_machine_cannot_read(uploads: Uploads, tmp_path: Path) -> None:
    uploads.put("alice", "x", b"x")
    modes = {path.name[-3:]: path.stat().st_mode & 0o777 for path in (tmp_path / "files").rglob("*") if path.is_file()}
    assert modes == {"bin": 0o600, "son": 0o600}
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "files").iterdir()] == [0o700]


def test_limits(uploads: Uploads) -> None:
    with pytest.raises(UploadError, match=r"file: 0 bytes; allowed: 1 to 1,000 bytes"):
        uploads.put("alice", "x", b"")
    with pytest.raises(UploadError, match=r"1,001 bytes; allowed: at most 1,000 \(--max-video-bytes\)"):
        uploads.put("alice", "x", bytes(1001))
    for _ in range(2):
        uploads.put("alice", "x", bytes(1000))
    with pytest.raises(UploadError, match=r"2 files of 2,000 bytes stored already; allowed: .* delete some"):
        uploads.put("alice", "x", bytes(501))
    uploads.put("bob", "x", bytes(501))
    uploads.delete("alice", uploads.files("alice")[0].id)
    uploads.put("alice", "x", bytes(501))


def test_a_write_that_fails_leaves_no_file(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UploadError, match="cannot be stored"):
        uploads.put("alice", "x", b"x")
    monkeypatch.undo()
    assert uploads.files("alice") == []
    assert not list(uploads.folder.rglob("*.part"))


def test_what_a_killed_server_left_is_no_file(uploads: Uploads) -> None:
    file_id = uploads.put("alice", "x", b"whole")
    home = next(uploads.folder.iterdir())
    (home / ("file-" + "1" * 32 + ".bin")).write_bytes(b"without words about it")
    (home / ("file-" + "2" * 32 + ".part")).write_bytes(b"half")
    (home / ("file-" + "3" * 32 + ".json")).write_bytes(b"{")
    assert [file.id for file in uploads.files("alice")] == [file_id]
    Uploads(uploads.folder, 1000)
    assert sorted(path.name for path in home.iterdir() if path.suffix != ".json") == [f"{file_id}.bin"]
    assert uploads.get("alice", file_id) == b"whole"
