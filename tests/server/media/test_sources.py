"""Where bytes may come from: data: URLs, uploads, one folder; and the same words for every file that is not let in."""

import asyncio
import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.server.fetch import Fetcher
from anyres.server.media import MediaLimits, RefusedMediaError
from anyres.server.refusal import Kind
from anyres.server.sources import Sources
from anyres.server.uploads import Uploads
from tests.server.media.files import url

LIMITS = MediaLimits(image_bytes=1000, video_bytes=5000, frames=8)


def sources(limits: MediaLimits = LIMITS, uploads: Uploads | None = None) -> Sources:
    return Sources(limits, uploads, Fetcher(limits))


def read(source: str, kind: Kind = "image", owner: str = "me", **others: Any) -> bytes:
    return asyncio.run(sources(**others).read(kind, source, owner=owner))


def refused(source: str, kind: Kind = "image", **others: Any) -> RefusedMediaError:
    with pytest.raises(RefusedMediaError) as caught:
        read(source, kind, **others)
    return caught.value


# data: URLs


@given(st.binary(min_size=1, max_size=1000))
def test_data_urls(data: bytes) -> None:
    assert read(url(data)) == data


@pytest.mark.parametrize(
    "source",
    [
        "data:image/png;base64,aGVsbG8=",
        "data:;base64,aGVsbG8=",
        "DATA:Image/PNG;BASE64,aGVsbG8=",
        "data:image/png;name=x.png;base64,aGVsbG8=",
        "data:image/png;base64,aGVs\r\nbG8=\n",
        "data:image/png;base64, aGVs bG8=",
    ],
)
def test_forms_of_data_urls(source: str) -> None:
    assert read(source) == b"hello"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("data:image/png;base64,@@@", "image: not valid base64; allowed: data:<type>;base64,<data>"),
        ("data:image/png;base64,aGVsbG8", "image: not valid base64; allowed: data:<type>;base64,<data>"),
        ("data:image/png;base64,aGVsbG8=aGVsbG8=", "image: not valid base64; allowed: data:<type>;base64,<data>"),
        ("data:image/png;base64,aGVsbĞ8=", "image: not valid base64; allowed: data:<type>;base64,<data>"),
        ("data:image/png;base64,aGVs\udc80G8=", "image: not valid base64; allowed: data:<type>;base64,<data>"),
        ("data:image/png", "image: a data: URL without ;base64, in it; allowed: data:<type>;base64,<data>"),
        ("data:,hello", "image: a data: URL without ;base64, in it; allowed: data:<type>;base64,<data>"),
        (
            "data:" + "x" * 5000 + ";base64,aGVsbG8=",
            "image: a data: URL without ;base64, in it; allowed: data:<type>;base64,<data>",
        ),
    ],
)
def test_bad_data_urls(source: str, words: str) -> None:
    error = refused(source)
    assert (error.code, str(error)) == ("invalid_base64_image", words)
    assert refused(source, "video").code == "invalid_value"


def test_sizes_of_data_urls() -> None:
    assert refused("data:image/png;base64,").code == "empty_image_file"
    assert refused("data:image/png;base64,", "video").code == "unsupported_video_format"
    assert len(read(url(bytes(1000)))) == 1000
    assert refused(url(bytes(1001))).code == "image_file_too_large"
    assert len(read(url(bytes(5000)), "video")) == 5000
    assert refused(url(bytes(5001)), "video").code == "video_too_large"


def test_what_is_far_too_large_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(base64, "b64decode")
    assert refused("data:;base64," + "A" * 5000).code == "image_file_too_large"


# What is no source


@pytest.mark.parametrize(
    "source",
    [
        "",
        "photo.png",
        "/etc/passwd",
        "../photo.png",
        "C:\\\\x.png",
        "ftp://a.test/x",
        "s3://x/y",
        "javascript:1",
        "blob:https://a.test/1",
        "//a.test/x.png",
        "\\\\server\\share",
        "fd:0",
        "pipe:0",
        "concat:a|b",
        "tcp://a:1",
    ],
)
def test_paths_and_other_schemes(source: str) -> None:
    error = refused(source)
    assert error.code == "invalid_image_url"
    assert str(error).endswith("allowed: a data: or https: URL, or the id of an uploaded file")


def test_addresses_are_refused_until_a_host_is_listed() -> None:
    error = refused("https://img.example.com/a.png")
    assert error.code == "invalid_image_url"
    assert str(error) == (
        "image: the host 'img.example.com'; allowed: a host of --allowed-media-domains, or the media itself as a "
        "data: URL"
    )


# Uploads


def test_uploads(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 10_000)
    small, large = uploads.put("me", "x", b"hello"), uploads.put("me", "y", bytes(1001))
    assert read(small, uploads=uploads) == b"hello"
    assert refused(large, uploads=uploads).code == "image_file_too_large"
    assert len(read(large, "video", uploads=uploads)) == 1001
    for source, others in ((small, {"owner": "you"}), ("file-" + "0" * 32, {}), ("file-../../etc/passwd", {})):
        error = refused(source, uploads=uploads, **others)
        assert error.code == "image_file_not_found"
        assert str(error) == "image: no file of this id; allowed: the id of a file uploaded with the same key"
    assert refused(small).code == "image_file_not_found"


# file: addresses


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root"
    (inside / "deep er").mkdir(parents=True)
    (inside / "a.png").write_bytes(b"inside")
    (inside / "deep er" / "ü.png").write_bytes(b"deeper")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "rooted").mkdir()
    (tmp_path / "rooted" / "a.png").write_bytes(b"secret")
    return inside


def test_files_below_the_root(root: Path) -> None:
    limits = replace(LIMITS, media_root=root)
    for name, data in (("a.png", b"inside"), ("deep er/ü.png", b"deeper")):
        assert read((root / name).as_uri(), limits=limits) == data
        assert read((root / name).as_uri().replace("file:///", "file://localhost/"), limits=limits) == data
    assert read(f"FILE://{root}/deep%20er/%C3%BC.png", limits=limits) == b"deeper"


WORDS = (
    "image: a file: address that is not let in; allowed: file: URLs of files below the folder of --media-root, "
    "links not followed"
)


def test_everything_else_reads_the_same(root: Path) -> None:
    """Whether it is there or not, inside or outside, a file or none."""
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "up").symlink_to(root.parent)
    (root / "inner.png").symlink_to(root / "a.png")
    os.mkfifo(root / "pipe.png")
    (root / "locked.png").write_bytes(b"locked")
    limits = replace(LIMITS, media_root=root)
    names = [
        "",
        "/",
        "/none.png",
        "/link.png",
        "/up/secret.png",
        "/inner.png",
        "/pipe.png",
        "/deep er",
        "/../secret.png",
    ]
    names += [
        "/a.png/x",
        "/%2e%2e/secret.png",
        "/deep er/../../secret.png",
        "ed/a.png",
        "/a.png%00",
        "/a.png?x",
    ]
    names += ["/..%2fsecret.png", "//../secret.png", "/" + "x" * 5000, "/" + "y/" * 500]
    whole = [
        "file:///etc/passwd",
        "file:///etc/none",
        "file:///proc/self/environ",
        "file:///dev/zero",
        "file:",
        "file://",
    ]
    whole += [
        f"file://server{root}/a.png",
        f"file:{root.name}/a.png",
        "file:a.png",
        f"file://[{root}/a.png",
        "file:///",
    ]
    for source in [f"file://{root}{name}" for name in names] + whole:
        error = refused(source, limits=limits)
        assert (error.code, str(error)) == ("invalid_image_url", WORDS), source


def test_no_files_without_a_root(root: Path) -> None:
    error = refused((root / "a.png").as_uri())
    assert (error.code, str(error)) == ("invalid_image_url", WORDS)


def test_a_root_behind_a_link(root: Path) -> None:
    """Where it was when the server began."""
    (root.parent / "alias").symlink_to(root)
    limits = replace(LIMITS, media_root=root.parent / "alias")
    assert read((root / "a.png").as_uri(), limits=limits) == b"inside"


def test_sizes_of_files(root: Path) -> None:
    limits = replace(LIMITS, media_root=root)
    (root / "large.png").write_bytes(bytes(1001))
    (root / "empty.png").write_bytes(b"")
    assert refused((root / "large.png").as_uri(), limits=limits).code == "image_file_too_large"
    assert refused((root / "empty.png").as_uri(), limits=limits).code == "empty_image_file"
    assert len(read((root / "large.png").as_uri(), "video", limits=limits)) == 1001


@given(st.text(st.sampled_from("ab./%2eF\\~\0"), max_size=20))
def test_no_way_out_of_the_root(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    folder = tmp_path_factory.mktemp("x")
    (folder / "root").mkdir()
    (folder / "root" / "a").write_bytes(b"inside")
    (folder / "b").write_bytes(b"outside")
    try:
        assert read(f"file://{folder}/root/{path}", limits=replace(LIMITS, media_root=folder / "root")) == b"inside"
    except RefusedMediaError as error:
        assert str(error) == WORDS  # noqa: PT017


# Frames


def test_frames() -> None:
    door = sources()
    assert door.frames("data:video/mp4;base64,AAAA") is None
    assert door.frames(("x", "y")) == ("x", "y")
    joined = "data:video/jpeg;base64," + ",".join(base64.b64encode(bytes([n])).decode() for n in range(3))
    assert door.frames(joined) == tuple(f"data:video/jpeg;base64,{word}" for word in ("AA==", "AQ==", "Ag=="))
    assert door.frames("DATA:VIDEO/JPEG;base64,AA==") == ("DATA:VIDEO/JPEG;base64,AA==",)
    for source in (("x",) * 9, "data:video/jpeg;base64," + "," * 8):
        with pytest.raises(RefusedMediaError, match=r"a list of 9 frames; allowed: 1 to 8 \(--max-video-frames\)"):
            door.frames(source)
