"""The cache on disk: killed writers, flipped bytes, full and read-only disks, clocks that jump, several processes."""

import logging
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres import disk_cache, disk_entry
from anyres.disk_cache import DEFAULT_BYTES, CacheStats, DiskCache, cache_folder, open_cache
from anyres.errors import OptionError

OVERHEAD = 64 + 32  # header and checksum of an entry
KILLS = 100
WRITER = """
import random, sys, time
from pathlib import Path
from anyres.disk_cache import DiskCache
cache = DiskCache(Path(sys.argv[1]), max_bytes=2_000_000)
print("ready", flush=True)
while True:
    number = random.randrange(20)
    value = bytes([number]) * random.randrange(1, 200_000)
    cache.put("test", bytes([number]), [value[:7], value[7:]])
    found = cache.get("test", bytes([random.randrange(20)]))
"""


def keep(cache: DiskCache, name: str, value: bytes = b"value") -> Path:
    assert cache.put("test", name.encode(), [value])
    return next(entry.path for entry in cache.entries() if entry.path == cache._path("test", name.encode()))


def value_of(cache: DiskCache, name: str) -> bytes | None:
    found = cache.get("test", name.encode())
    return None if found is None else bytes(found)


def test_what_was_kept_comes_back_after_a_restart(tmp_path: Path) -> None:
    DiskCache(tmp_path / "new" / "folder").put("test", b"a", [b"one ", bytearray(b"two"), memoryview(b"")])
    cache = DiskCache(tmp_path / "new" / "folder")
    assert value_of(cache, "a") == b"one two"
    assert value_of(cache, "b") is None
    assert cache.get("other", b"a") is None
    assert cache.stats == CacheStats(hits=1, misses=2)


def test_only_the_user_may_look(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    path = keep(cache, "a")
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_value_is_in_memory_of_its_own_that_may_be_written(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    path = keep(cache, "a")
    found = cache.get("test", b"a")
    assert found is not None
    found[0] = 0
    assert value_of(cache, "a") == b"value"
    assert path.exists()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.data())
def test_a_flipped_bit_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, value: bytes, data: object) -> None:
    cache = DiskCache(tmp_path_factory.mktemp("flipped"))
    path = keep(cache, "a", value)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))  # type: ignore[attr-defined]
    whole[place] ^= 1 << data.draw(st.integers(0, 7))  # type: ignore[attr-defined]
    path.write_bytes(whole)
    assert value_of(cache, "a") is None
    assert not path.exists()
    assert cache.stats.rebuilt == 1
    keep(cache, "a", value)
    assert value_of(cache, "a") == value


@pytest.mark.parametrize("length", [0, 1, 63, 64, 96, 100, 104])
def test_an_entry_cut_short_is_made_again(tmp_path: Path, length: int) -> None:
    cache = DiskCache(tmp_path)
    path = keep(cache, "a", b"123456789")
    path.write_bytes(path.read_bytes()[:length])
    assert value_of(cache, "a") is None
    assert cache.stats.rebuilt == 1


def test_an_entry_that_goes_on_is_made_again(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    path = keep(cache, "a")
    path.write_bytes(path.read_bytes() + b"x")
    assert value_of(cache, "a") is None


def test_another_version_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keep(DiskCache(tmp_path), "a")
    monkeypatch.setattr(disk_entry, "_VERSION", 2)
    newer = DiskCache(tmp_path)
    assert value_of(newer, "a") is None
    assert not path.exists()
    keep(newer, "a", b"new")
    monkeypatch.undo()
    assert value_of(DiskCache(tmp_path), "a") is None


def test_a_renamed_entry_is_not_taken_for_another(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    one, other = keep(cache, "a", b"of a"), keep(cache, "b", b"of b")
    one.replace(other)
    assert value_of(cache, "b") is None
    assert value_of(cache, "a") is None


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    path = keep(cache, "a")
    path.unlink()
    os.mkfifo(path)
    assert value_of(cache, "a") is None
    keep(cache, "b").unlink()
    folder = cache._path("test", b"b")
    folder.mkdir()
    assert value_of(cache, "b") is None
    assert not cache.put("test", b"b", [b"value"])
    assert cache.stats.failed == 1


def test_the_longest_unused_go_first_and_the_cap_holds(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, max_bytes=3 * (OVERHEAD + 100))
    for name in "abc":
        keep(cache, name, name.encode() * 100)
    assert value_of(cache, "a") is not None
    keep(cache, "d", b"d" * 100)
    assert [value_of(cache, name) is not None for name in "abcd"] == [True, False, True, True]
    assert sum(entry.bytes for entry in cache.entries()) <= cache.max_bytes
    assert cache.stats.evicted == 1
    assert not cache.put("test", b"e", [bytes(1000)])  # never fits, and pushes nothing out
    assert len(cache.entries()) == 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300), st.integers(-(10**18), 10**18)), max_size=15))
@settings(max_examples=50, deadline=None)
def test_a_clock_that_jumps_spoils_neither_values_nor_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    """Each step says what time it is; the order of eviction is that of a list."""
    now = [0]
    cache = DiskCache(tmp_path_factory.mktemp("clock"), max_bytes=1000, clock_ns=lambda: now[0])
    kept: dict[int, bytes] = {}
    for name, length, time_ns in steps:
        now[0], value = time_ns, bytes([name]) * length
        keep(cache, str(name), value)
        while sum(OVERHEAD + len(one) for one in kept.values()) + OVERHEAD + length > 1000:
            kept.pop(next(iter(kept)))
        kept.pop(name, None)
        kept[name] = value
        for one in range(6):
            expected = kept.pop(one, None)
            assert value_of(cache, str(one)) == expected
            if expected is not None:
                kept[one] = expected


def test_a_restart_after_a_jump_keeps_the_order(tmp_path: Path) -> None:
    future = DiskCache(tmp_path, clock_ns=lambda: 4 * 10**18)
    keep(future, "a")
    keep(future, "b")
    cache = DiskCache(tmp_path, max_bytes=2 * (OVERHEAD + 5))
    assert value_of(cache, "a") is not None
    keep(cache, "c")
    assert value_of(cache, "b") is None
    assert value_of(cache, "a") is not None


@pytest.mark.parametrize("seconds", [-(10**6), 2**33, 2**40])
def test_times_set_by_hand(tmp_path: Path, seconds: int) -> None:
    cache = DiskCache(tmp_path, max_bytes=2 * (OVERHEAD + 5))
    os.utime(keep(cache, "a"), (seconds, seconds))
    keep(cache, "b")
    assert value_of(DiskCache(tmp_path), "b") is not None
    keep(cache, "c")
    assert [entry.path.name for entry in cache.entries()] == [cache._path("test", name).name for name in (b"b", b"c")]


def test_what_was_asked_to_be_kept_gives_way_only_to_its_like(tmp_path: Path) -> None:
    """Pins stay while pictures come and go; what finds no room beside them is not kept."""
    cache = DiskCache(tmp_path, max_bytes=3 * (OVERHEAD + 100))
    assert cache.put("prefix", b"a", [bytes(100)])
    for name in "bcd":
        keep(cache, name, bytes(100))
    assert [cache.get("test", name) is not None for name in (b"b", b"c", b"d")] == [False, True, True]
    assert cache.put("prefix", b"e", [bytes(100)])
    assert cache.put("prefix", b"f", [bytes(100)])
    assert {entry.kind for entry in cache.entries()} == {"prefix"}
    assert not cache.put("test", b"b", [bytes(100)])
    assert len(cache.names("prefix")) == 3
    assert cache.put("prefix", b"g", [bytes(100)])
    assert cache.get("prefix", b"a") is None
    cache.set_limit(OVERHEAD + 100)
    assert cache.names("prefix") == [cache.name_of("prefix", b"g")]


def test_a_lowered_limit_takes_others_before_pins(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.put("prefix", b"a", [bytes(100)])
    keep(cache, "b", bytes(100))
    cache.set_limit(OVERHEAD + 100)
    assert [entry.kind for entry in cache.entries()] == ["prefix"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.integers(-3, 45), st.integers(-3, 45))
def test_a_value_in_parts(tmp_path_factory: pytest.TempPathFactory, value: bytes, start: int, count: int) -> None:
    cache = DiskCache(tmp_path_factory.mktemp("parts"))
    name = keep(cache, "a", value).name
    assert name == cache.name_of("test", b"a")
    inside = start >= 0 and count >= 0 and start + count <= len(value)
    assert cache.read(name, start, count) == (value[start : start + count] if inside else None)


def test_parts_are_read_only_of_what_is_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this version, under its own name, as long as it says; a part's own bytes are the reader's to check."""
    cache = DiskCache(tmp_path)
    path = keep(cache, "a", b"value")
    whole = path.read_bytes()
    for place in range(OVERHEAD - 32 - 12):  # the last 12 bytes of a header say nothing
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.read(path.name, 0, 5) is None
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert cache.read(path.name, 0, 5) is None
    path.write_bytes(whole)
    assert cache.read(path.name, 0, 5) == b"value"
    assert cache.read("x.test", 0, 5) is None
    (tmp_path / "x.test").write_bytes(whole)
    assert cache.read("x.test", 0, 5) is None
    path.replace(other := tmp_path / cache.name_of("test", b"b"))
    assert cache.read(other.name, 0, 5) is None
    monkeypatch.setattr(disk_entry, "_VERSION", 2)
    assert cache.read(path.name, 0, 5) is None


def test_what_is_read_in_parts_is_used_and_removed_by_name(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    one, other = keep(cache, "a"), keep(cache, "b")
    assert sorted(cache.names("test")) == sorted([one.name, other.name])
    cache.use(one.name)
    cache.use("not there")
    assert [entry.path for entry in cache.entries()] == [other, one]
    assert cache.remove(one.name)
    assert not cache.remove(one.name)
    assert cache.names("test") == [other.name]
    assert DiskCache(tmp_path / "none").names("test") == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    cache = DiskCache(tmp_path)
    keep(cache, "a")
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(os, "write", full)
        assert not cache.put("test", b"b", [b"value"])
        assert not cache.put("test", b"c", [b"value"])
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: nothing can be kept there (No space left on device); going on without"
    ]
    assert cache.stats == CacheStats(written=1, failed=2)
    assert value_of(cache, "a") == b"value"
    assert len(list(tmp_path.iterdir())) == 1  # no half-written file stays
    keep(cache, "b")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_is_full_from_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    cache = DiskCache(Path("/dev/full"))
    with caplog.at_level(logging.WARNING):
        assert not cache.put("test", b"a", [b"value"])
        assert not cache.put("test", b"a", [b"value"])
    assert cache.get("test", b"a") is None
    assert len(caplog.records) == 1


def test_a_read_only_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """/proc takes no files, whoever asks."""
    cache = DiskCache(Path("/proc/anyres"))
    with caplog.at_level(logging.WARNING):
        assert not cache.put("test", b"a", [b"value"])
    assert len(caplog.records) == 1
    assert cache.get("test", b"a") is None
    assert cache.clear() == 0
    with pytest.raises(OptionError, match="cannot be written"):
        cache.set_limit(5)


def test_a_folder_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    keep(cache, "a").unlink()
    cache.folder.rmdir()
    assert value_of(cache, "a") is None
    keep(cache, "a")


def test_what_dead_writers_left_goes_and_what_living_ones_write_stays(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    cache = DiskCache(tmp_path)
    dead, alive = tmp_path / "dead.tmp", tmp_path / "alive.tmp"
    dead.write_bytes(b"half")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        keep(cache, "a")
        assert not dead.exists()
        assert alive.exists()
    keep(cache, "b")
    assert not alive.exists()


def test_the_limit_is_kept_in_the_folder(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    assert cache.max_bytes == DEFAULT_BYTES
    for name in "abc":
        keep(cache, name, bytes(100))
    cache.set_limit(2 * (OVERHEAD + 100))
    assert len(cache.entries()) == 2
    assert DiskCache(tmp_path / "cache").max_bytes == 2 * (OVERHEAD + 100)
    for words in ("", "many", "\0", "9" * 5000):
        (tmp_path / "cache" / "limit").write_text(words)
        assert DiskCache(tmp_path / "cache").max_bytes > 0


def test_clear_leaves_the_limit_and_what_is_not_ours(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.set_limit(10_000)
    (tmp_path / "mine.txt").write_text("x")
    keep(cache, "a", bytes(50))
    cache.put("other", b"a", [bytes(50)])
    assert cache.clear("other") == OVERHEAD + 50
    assert cache.clear() == OVERHEAD + 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["limit", "mine.txt"]


def test_a_disk_that_is_too_slow_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "PENDING_BYTES", 10)
    cache, go_on, sync = DiskCache(tmp_path), threading.Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (go_on.wait(60), sync(file)))
    cache.put_later("test", b"a", [b"value"])
    cache.put_later("test", b"b", [b"much more"])
    assert value_of(cache, "a") is None
    go_on.set()
    cache.flush()
    assert (value_of(cache, "a"), value_of(cache, "b")) == (b"value", None)
    cache.put_later("test", b"b", [b"much more"])  # there is room again
    cache.flush()
    assert value_of(cache, "b") == b"much more"


def test_what_is_put_last_is_written_before_the_program_ends(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from anyres.disk_cache import DiskCache;"
        "DiskCache(Path(sys.argv[1])).put_later('test', b'a', [b'value'])"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert value_of(DiskCache(tmp_path), "a") == b"value"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "anyres"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    assert cache_folder() == Path.home() / ".cache" / "anyres"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "anyres"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "anyres" / "cache"


def test_who_decides_whether_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ANYRES_CACHE", raising=False)

    def folder(wanted: bool | str | Path | DiskCache | None = None, *, otherwise: bool = False) -> Path | None:
        cache = open_cache(wanted, otherwise=otherwise)
        return None if cache is None else cache.folder

    assert folder() is None
    assert folder(otherwise=True) == folder(True) == folder("on") == cache_folder()
    assert folder(tmp_path / "x") == folder(str(tmp_path / "x")) == folder(DiskCache(tmp_path / "x")) == tmp_path / "x"
    for words, expected in (("off", None), ("0", None), ("On", cache_folder()), (" /a/b ", Path("/a/b"))):
        monkeypatch.setenv("ANYRES_CACHE", words)
        assert folder() == folder(otherwise=True) == expected
    assert folder(False) is None
    assert folder("~/c") == Path.home() / "c"


def test_killed_writers_never_leave_a_wrong_value(tmp_path: Path) -> None:
    """Real processes write and read without a pause, and are killed at random moments."""
    rng = random.Random(0)
    killed = 0
    while killed < KILLS:
        writers = [
            subprocess.Popen([sys.executable, "-S", "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        for writer in writers:
            time.sleep(rng.uniform(0, 0.03))
            writer.kill()
            writer.communicate()
            killed += 1
        _check(tmp_path)
    cache = DiskCache(tmp_path, max_bytes=2_000_000)
    keep(cache, "sweeps")
    assert not list(tmp_path.glob("*.tmp"))
    assert sum(entry.bytes for entry in cache.entries()) <= 2_000_000 + 2 * (200_000 + OVERHEAD)


def _check(folder: Path) -> None:
    cache = DiskCache(folder)
    for number in range(20):
        found = cache.get("test", bytes([number]))
        assert found is None or set(bytes(found)) == {number}
    assert cache.stats.rebuilt == 0  # a name appears only when the entry is whole
