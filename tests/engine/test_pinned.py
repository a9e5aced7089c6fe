"""Pinned documents: after a restart the same answers, sooner; and whatever happens to a file, never a wrong one."""

import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.disk_cache import DiskCache
from anyres.engine import pinned
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.options import EngineOptions, Turn
from anyres.engine.pin_file import KIND, Pin, PinFile, pinned_in
from anyres.engine.scheduler import Limits
from anyres.errors import OptionError
from anyres.kernels.cpu import linear
from anyres.kernels.library import best_isa
from anyres.quant.quantise import quantise_in_memory
from tests.engine.conftest import write_checkpoint

GREEDY = GenerationOptions(max_tokens=9, temperature=0.0)
QUESTIONS = ("What is it?", "", "A longer question, which fills a block of its own and more.")
WORDS = "Some words of a document. " * 4
TEMPLATE_END = len("x\nxassistant\n")  # bytes behind a document, with x for a special token
CLIP = Path(__file__).parents[2] / "examples" / "clips" / "sign_book.mkv"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small documents have several."""
    monkeypatch.setattr(pinned, "CHUNK_BYTES", 30_000)


def opened(checkpoint: Path, cache: object, *, dtype: str = "float32", **options: object) -> LocalChatModel:
    engine = EngineOptions(**options)  # type: ignore[arg-type]
    return load(checkpoint, device="cpu", dtype=dtype, cache=cache, engine=engine)  # type: ignore[arg-type]


def page(seed: int = 1, height: int = 140, width: int = 168) -> Image.Image:
    """30 visual tokens."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def document(question: str | None = None, *, seed: int = 1) -> list[Message]:
    """Two pages with words between them."""
    parts = (ImagePart(page(seed)), TextPart(WORDS), ImagePart(page(seed + 1)))
    return [Message("user", parts if question is None else (*parts, TextPart(question)))]


def answers(model: LocalChatModel, *, seed: int = 1) -> list[str]:
    return [model.chat(document(question, seed=seed), options=GREEDY).text for question in QUESTIONS]


def only_pins(folder: Path) -> Path:
    """What is left when visual tokens are gone: so that what is encoded again is seen."""
    DiskCache(folder).clear("vision")
    return folder


def pin(checkpoint: Path, folder: Path, messages: list[Message] | None = None, **options: object) -> Pin:
    model = opened(checkpoint, folder, **options)  # type: ignore[arg-type]
    made = model.pin(messages or document())
    model.close()
    assert made is not None
    assert model.processor.cache is not None
    model.processor.cache.flush()
    only_pins(folder)
    return made


KINDS = [
    {"dtype": "float32"},
    {"dtype": "bfloat16"},
    {"kv_dtype": "int8"},
    {"kv_dtype": "bfloat16", "block_size": 5},
    {"limits": Limits(running=3, step_tokens=13, step_patches=40, busy_step_tokens=3, busy_step_patches=8)},
    {"prefix_bytes": 0},
]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_answers_are_the_same_after_a_restart(checkpoint: Path, tmp_path: Path, options: dict[str, object]) -> None:
    """Also when all are asked at once, and with what others asked before."""
    plain = opened(checkpoint, False, **options)  # type: ignore[arg-type]
    expected = answers(plain)
    made = pin(checkpoint, tmp_path, **options)
    assert made.tokens > 2 * 30 + len(WORDS)
    again = opened(checkpoint, tmp_path, **options)  # type: ignore[arg-type]
    assert [one.id for one in again.pins] == [made.id]
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(again.chat, document(question), options=GREEDY) for question in QUESTIONS * 2]
        found = [one.result() for one in asked]
    assert [one.text for one in found] == expected * 2
    assert all(one.usage.cached_tokens >= made.tokens - TEMPLATE_END for one in found)
    assert again.vision_cache.stats.entries == 0, "no page was encoded"
    assert again.stats.loaded_tokens >= made.tokens - TEMPLATE_END
    assert answers(again) == expected
    assert answers(opened(checkpoint, tmp_path, **options)) == expected  # type: ignore[arg-type]


OTHER_PROGRAM = """
import sys
from PIL import Image
import anyres
from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
model = anyres.load(sys.argv[1], device="cpu", dtype="float32", cache=sys.argv[2])
def told(*parts):
    pictures = [ImagePart(one) for one in sys.argv[4:]]
    return [Message("user", (*pictures, *parts))]
if sys.argv[3] == "pin":
    print(model.pin(told()).tokens)
else:
    answer = model.chat(told(TextPart("And?")), options=GenerationOptions(max_tokens=9, temperature=0.0))
    print(answer.usage.cached_tokens, model.vision_cache.stats.misses, answer.text.encode().hex())
"""


def test_another_program_goes_on_from_it(checkpoint: Path, tmp_path: Path) -> None:
    """Two real processes; the files have other names by then."""
    names = [str(tmp_path / f"{name}.png") for name in "abcd"]
    for number, name in enumerate(names):
        page(number % 2).save(name)

    def run(cache: object, *words: str) -> list[str]:
        command = [sys.executable, "-c", OTHER_PROGRAM, str(checkpoint), str(cache), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    (tokens,) = run(tmp_path / "cache", "pin", *names[:2])
    plain = run("off", "ask", *names[:2])
    only_pins(tmp_path / "cache")
    cached, misses, text = run(tmp_path / "cache", "ask", *names[2:])
    assert (int(cached), misses, text) == (int(tokens) - TEMPLATE_END, "0", plain[2])
    assert plain[:2] == ["0", "2"]


def test_a_clip_that_is_pinned_is_not_decoded(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    part = VideoPart(CLIP, nframes=4, max_pixels=28 * 28 * 12, min_pixels=28 * 28)

    def told(*more: TextPart) -> list[Message]:
        return [Message("system", WORDS), Message("user", (part, TextPart(WORDS), *more))]

    question = TextPart("Then?")
    expected = opened(checkpoint, False).chat(told(question), options=GREEDY)
    pin(checkpoint, tmp_path, told())
    DiskCache(tmp_path).clear("frames")

    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("anyres.processing.streaming.ClipDecoder.begin", refuse)
    found = opened(checkpoint, tmp_path).chat(told(question), options=GREEDY)
    assert found.text == expected.text
    assert found.usage.cached_tokens > expected.usage.video_tokens


def test_a_prompt_takes_what_it_shares(checkpoint: Path, tmp_path: Path) -> None:
    """The first of two pages, and of two pins the one that has more; the rest is read."""
    pin(checkpoint, tmp_path)
    longer = pin(checkpoint, tmp_path, document(WORDS))
    model, plain = opened(checkpoint, tmp_path), opened(checkpoint, False)
    assert len(model.pins) == 2
    first_page = [Message("user", (ImagePart(page(1)), TextPart("Only this?")))]
    found = model.chat(first_page, options=GREEDY)
    assert found.text == plain.chat(first_page, options=GREEDY).text
    assert found.usage.cached_tokens == 64, "of the system message and 30 visual tokens"
    found = model.chat(document(WORDS + "?"), options=GREEDY)
    assert found.text == plain.chat(document(WORDS + "?"), options=GREEDY).text
    assert found.usage.cached_tokens == longer.tokens - TEMPLATE_END


def test_what_is_in_memory_is_not_read_from_disk(checkpoint: Path, tmp_path: Path) -> None:
    model = opened(checkpoint, tmp_path)
    assert model.pin(document()) is not None
    assert model.chat(document("?"), options=GREEDY).usage.cached_tokens > 100
    assert model.stats.loaded_tokens < 16


def test_pinning_twice_reads_once(checkpoint: Path, tmp_path: Path) -> None:
    first = pin(checkpoint, tmp_path)
    model = opened(checkpoint, tmp_path)
    assert model.pin(document()) == first
    assert model.stats.steps == 0
    assert model.unpin(document())
    assert not model.unpin(document())
    assert (model.pins, DiskCache(tmp_path).names(KIND)) == ([], [])
    assert model.chat(document("?"), options=GREEDY).usage.cached_tokens == 0


def test_titles(checkpoint: Path, tmp_path: Path) -> None:
    model = opened(checkpoint, tmp_path)
    page().save(tmp_path / "a page.png")
    shown = [ImagePart(tmp_path / "a page.png"), ImagePart(page(2))]
    made = [model.pin([Message("user", shown)]), model.pin([Message("user", "\x1b[31mred\n" + "words " * 20)])]
    assert [one.title for one in made if one] == ["a page.png, image", ("[31mred " + "words " * 20)[:57] + "..."]
    assert sorted(pinned_in(DiskCache(tmp_path)), key=str) == sorted(made, key=str)
    assert all(one.model == str(checkpoint) for one in made if one)


@pytest.mark.parametrize(
    "other",
    [{"dtype": "bfloat16"}, {"kv_dtype": "int8"}, {"block_size": 8}, {"seed": 1}, {"torch": "3.0"}, {"chunk": 16_000}],
    ids=str,
)
def test_what_was_made_otherwise_is_not_taken(
    checkpoint: Path, tmp_path: Path, other: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(checkpoint, tmp_path / "cache")
    options = dict(other)
    if (seed := options.pop("seed", None)) is not None:
        (tmp_path / "other").mkdir()
        checkpoint = write_checkpoint(tmp_path / "other", seed=int(str(seed)))
    if (version := options.pop("torch", None)) is not None:
        monkeypatch.setattr(pinned, "torch", SimpleNamespace(__version__=version))
    if (chunk := options.pop("chunk", None)) is not None:
        monkeypatch.setattr(pinned, "CHUNK_BYTES", chunk)
    model = opened(checkpoint, tmp_path / "cache", **options)  # type: ignore[arg-type]
    assert model.pins == []
    assert model.chat(document("?"), options=GREEDY).usage.cached_tokens == 0
    assert len(pinned_in(DiskCache(tmp_path / "cache"))) == 1, "it stays for whom it is for"


def test_quantised_weights_have_their_own(checkpoint: Path, tmp_path: Path) -> None:
    pin(checkpoint, tmp_path)
    dense = opened(checkpoint, tmp_path)
    quantise_in_memory(dense.model, "int8", compute=linear)
    small = LocalChatModel(dense.model, dense.processor, defaults=dense.defaults)
    assert small.pins == []
    assert small.pin(document()) is not None
    assert len(pinned_in(DiskCache(tmp_path))) == 2


def test_salted_prompts_share_no_pins(checkpoint: Path, tmp_path: Path) -> None:
    pin(checkpoint, tmp_path)
    model = opened(checkpoint, tmp_path)
    for salt, found in ((b"a", False), (b"", True)):
        turn = Turn(salt=salt)
        assert (model.chat(document("?"), options=GREEDY, turn=turn).usage.cached_tokens > 0) == found
    assert model.pin(document(), turn=Turn(salt=b"a")) is not None
    assert len(model.pins) == 2


class Damaged:
    """A folder with one pin, copied for each kind of damage, and what the answer has to be."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.model = opened(checkpoint, folder)
        self.question = document("What?")
        made = self.model.pin(document())
        assert made is not None
        self.model.processor.cache.flush()
        only_pins(folder)
        (name,) = DiskCache(folder).names(KIND)
        self.path = folder / name
        self.whole = self.path.read_bytes()
        self.folder = folder
        self.checkpoint = checkpoint
        self.expected = self.model.chat(self.question, options=GREEDY).text

    def answered(self, data: bytes) -> int:
        """How many tokens came from the damaged file, for the right answer."""
        self.path.write_bytes(data)
        again = opened(self.checkpoint, self.folder)
        found = again.chat(self.question, options=GREEDY)
        assert found.text == self.expected
        again.close()
        return found.usage.cached_tokens


@pytest.fixture(scope="module")
def damaged(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Damaged:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pinned, "CHUNK_BYTES", 30_000)
        return Damaged(checkpoint, tmp_path_factory.mktemp("damaged"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), bit=st.integers(0, 7), near_start=st.booleans())
def test_a_flipped_bit_anywhere(damaged: Damaged, place: float, bit: int, near_start: bool) -> None:
    """Never a wrong answer; what is before the damage is used."""
    data = bytearray(damaged.whole)
    reach = min(len(data), 2000) if near_start else len(data)
    data[min(int(place * reach), reach - 1)] ^= 1 << bit
    damaged.answered(bytes(data))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1), more=st.binary(max_size=3), zeros=st.booleans())
def test_cut_short_or_longer(damaged: Damaged, kept: float, more: bytes, zeros: bool) -> None:
    """As long as before with zeros at its end too, which a crash of the machine can leave."""
    length = min(int(kept * len(damaged.whole)), len(damaged.whole) - 1)
    end = bytes(len(damaged.whole) - length) if zeros else more
    assert damaged.answered(damaged.whole[:length] + end) <= 16 * len(damaged.whole)


def test_damage_in_the_middle_costs_what_is_behind_it(damaged: Damaged) -> None:
    """The file is deleted, the rest of the prompt is read, and a pin can be made again."""
    file = PinFile.open(DiskCache(damaged.folder), damaged.path.name) or pytest.fail("restored below")
    start, count, _ = file.chunks[1]
    head = damaged.whole.index(b'{"format"')
    data = bytearray(damaged.whole)
    data[64 + start + count // 2] ^= 1
    assert head < start
    assert damaged.answered(bytes(data)) == file.head.chunk_blocks * 16
    assert not damaged.path.exists()
    again = opened(damaged.checkpoint, damaged.folder)
    assert again.pin(document()) is not None
    assert damaged.path.read_bytes() == damaged.whole


@pytest.fixture(autouse=True)
def _restored(request: pytest.FixtureRequest) -> None:
    if "damaged" in request.fixturenames:
        found: Damaged = request.getfixturevalue("damaged")
        found.path.write_bytes(found.whole)


def test_a_pin_of_another_document_under_this_name(checkpoint: Path, tmp_path: Path) -> None:
    pin(checkpoint, tmp_path)
    (mine,) = DiskCache(tmp_path).names(KIND)
    pin(checkpoint, tmp_path, document(seed=5))
    (other,) = {*DiskCache(tmp_path).names(KIND)} - {mine}
    (tmp_path / other).replace(tmp_path / mine)
    model = opened(checkpoint, tmp_path)
    assert answers(model) == answers(opened(checkpoint, False))
    assert model.pins == []


def test_a_head_of_another_format_is_left_alone(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("anyres.engine.pin_file.FORMAT", 2)
        pin(checkpoint, tmp_path)
    assert opened(checkpoint, tmp_path).chat(document("?"), options=GREEDY).usage.cached_tokens == 0
    assert len(DiskCache(tmp_path).names(KIND)) == 1
    assert pinned_in(DiskCache(tmp_path)) == []


def test_a_disk_that_is_full_or_too_small(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = answers(opened(checkpoint, False))
    DiskCache(tmp_path / "small").set_limit(5000)
    write, real = [True], os.write

    def full(file: int, data: bytes) -> int:
        if write[0]:
            return real(file, data)
        raise OSError(28, "No space left on device")

    for folder in (tmp_path / "small", Path("/proc/anyres"), tmp_path / "full"):
        model = opened(checkpoint, folder)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            write[0] = folder.name != "full"
            assert model.pin(document()) is None
        assert answers(model) == plain
        assert model.pins == []
        model.close()


def test_a_read_only_folder_is_read(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(checkpoint, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("utime", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    model = opened(checkpoint, tmp_path)
    assert model.chat(document("?"), options=GREEDY).usage.cached_tokens >= made.tokens - 16
    assert not model.unpin(document())


def test_a_pin_that_goes_while_it_is_used(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program pushes it out between two steps."""
    pin(checkpoint, tmp_path)
    expected = opened(checkpoint, False).chat(document("?"), options=GREEDY)
    read, calls = pinned.PinReader.read, []

    def then_gone(self: pinned.PinReader, first: int, stop: int) -> object:
        kept = read(self, first, stop)
        calls.append(kept is not None)
        DiskCache(tmp_path).clear()
        return kept

    monkeypatch.setattr(pinned.PinReader, "read", then_gone)
    found = opened(checkpoint, tmp_path).chat(document("?"), options=GREEDY)
    assert found.text == expected.text
    assert calls == [True, False]


def test_a_clock_that_jumps_spoils_nothing(checkpoint: Path, tmp_path: Path) -> None:
    expected = answers(opened(checkpoint, False))
    for seconds in (0, 2**33, -(10**6)):
        pin(checkpoint, tmp_path)
        for name in DiskCache(tmp_path).names(KIND):
            os.utime(tmp_path / name, (seconds, seconds))
        assert answers(opened(checkpoint, tmp_path)) == expected


def test_the_longest_unused_pin_goes_first(checkpoint: Path, tmp_path: Path) -> None:
    first = pin(checkpoint, tmp_path)
    second = pin(checkpoint, tmp_path, document(seed=5))
    DiskCache(tmp_path).set_limit(int(2.5 * first.bytes))
    opened(checkpoint, tmp_path).chat(document("?"), options=GREEDY)
    third = pin(checkpoint, tmp_path, document(seed=9))
    assert {one.id for one in pinned_in(DiskCache(tmp_path))} == {first.id, third.id} != {second.id}


def test_less_than_a_block(checkpoint: Path, tmp_path: Path) -> None:
    """Of which the rest may hold what others said: it does not reach the disk."""
    model = opened(checkpoint, tmp_path, block_size=512)
    expected = model.chat(document("?"), options=GREEDY)
    made = model.pin(document())
    assert made is not None
    (name,) = DiskCache(tmp_path).names(KIND)
    file = PinFile.open(DiskCache(tmp_path), name) or pytest.fail("damaged")
    kept = pinned.PinReader(DiskCache(tmp_path), file, made.tokens).read(0, 1) or pytest.fail("damaged")
    assert all(values[:, :, :, : made.tokens].any() for values in kept.values())
    assert not any(values[:, :, :, made.tokens :].any() for values in kept.values())
    found = opened(checkpoint, tmp_path, block_size=512).chat(document("?"), options=GREEDY)
    assert (found.text, found.usage.cached_tokens) == (expected.text, made.tokens - TEMPLATE_END)


def test_no_cache_folder(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cache folder"):
        opened(checkpoint, False).pin(document())
    with pytest.raises(OptionError, match="cache folder"):
        opened(checkpoint, False).unpin(document())
    assert opened(checkpoint, False).pins == []


def test_requests_go_on_while_a_document_is_pinned(checkpoint: Path, tmp_path: Path) -> None:
    """Also when there is hardly room, and the pin has to stop for them and begin again."""
    plain = opened(checkpoint, False)
    expected = answers(plain, seed=30)
    bytes_a_block = plain.stats.held_bytes // 64
    model = opened(checkpoint, tmp_path, kv_bytes=21 * bytes_a_block, limits=Limits(step_tokens=20))
    with ThreadPoolExecutor(8) as pool:
        pins = [pool.submit(model.pin, document(seed=seed), turn=Turn(priority=1)) for seed in (1, 5)]
        time.sleep(0.05)
        texts = [pool.submit(answers, model, seed=30) for _ in range(3)]
        assert [one.result() for one in texts] == [expected] * 3
        assert all(one.result() is not None for one in pins)
    again = opened(checkpoint, tmp_path)
    for seed in (1, 5):
        assert answers(again, seed=seed) == answers(plain, seed=seed)
    assert again.stats.loaded_tokens > 0


@pytest.mark.parametrize("kind", [None, "int8"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_crowds(
    checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, kind: str | None, data: st.DataObject
) -> None:
    """Documents pinned or not, little memory, small steps, answers given up: all as one by one, no block lost."""
    folder = tmp_path_factory.mktemp("crowd")
    limits = Limits(running=data.draw(st.integers(1, 6)), step_tokens=data.draw(st.integers(5, 90)), busy_step_tokens=7)
    maker = opened(checkpoint, folder, kv_dtype=kind)
    for seed in data.draw(st.sets(st.sampled_from([1, 5, 9]))):
        assert maker.pin(document(seed=seed)) is not None
    plain = opened(checkpoint, False, kv_dtype=kind)
    asked = data.draw(st.lists(st.tuples(st.sampled_from([1, 5, 9]), st.sampled_from(QUESTIONS)), max_size=7))
    expected = [plain.chat(document(question, seed=seed), options=GREEDY).text for seed, question in asked]
    if damage := data.draw(st.booleans()):
        for name in DiskCache(folder).names(KIND):
            whole = bytearray((folder / name).read_bytes())
            whole[data.draw(st.integers(len(whole) // 2, len(whole) - 1))] ^= 4
            (folder / name).write_bytes(whole)
    each = (plain.stats.held_bytes or 64) // 64
    model = opened(checkpoint, folder, kv_dtype=kind, limits=limits, kv_bytes=data.draw(st.integers(20, 60)) * each)
    with ThreadPoolExecutor(9) as pool:
        given_up = [model.stream_chat(document("No.", seed=seed), options=GREEDY) for seed, _ in asked[::3]]
        for stream in given_up:
            next(stream, None)
        work = [pool.submit(model.chat, document(question, seed=seed), options=GREEDY) for seed, question in asked]
        for stream in given_up:
            stream.close()
        assert [one.result().text for one in work] == expected, damage
    model.close()
    blocks = model._loop.engine._blocks
    assert blocks.available == blocks.blocks
    shutil.rmtree(folder)


WRITER = """
import sys
from tests.engine.conftest import write_checkpoint
from tests.engine.test_pinned import document, opened
from anyres.engine import pinned
from pathlib import Path
pinned.CHUNK_BYTES = 30_000
model = opened(Path(sys.argv[1]), sys.argv[2])
print("ready", flush=True)
while True:
    for seed in (1, 5):
        model.pin(document(seed=seed))
        model.unpin(document(seed=seed))
"""


def killed(checkpoint: Path, folder: Path, rng: random.Random) -> None:
    command = [sys.executable, "-c", WRITER, str(checkpoint), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.5))
        writer.kill()


@pytest.mark.parametrize("times", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_while_it_pins(checkpoint: Path, tmp_path: Path, times: int) -> None:
    """Real processes that pin and unpin without a pause; whatever they leave is whole."""
    rng = random.Random(times)
    expected = {seed: answers(opened(checkpoint, False), seed=seed) for seed in (1, 5)}
    for _ in range(times):
        killed(checkpoint, tmp_path, rng)
        cache = DiskCache(tmp_path)
        found = [PinFile.open(cache, name) for name in cache.names(KIND)]
        assert all(file is not None and file.is_whole(cache) for file in found)
        model = opened(checkpoint, tmp_path)
        for seed in (1, 5):
            assert answers(model, seed=seed) == expected[seed]
        model.close()


@pytest.mark.skipif(best_isa() is None, reason="no native kernels here")
def test_what_comes_from_disk_is_what_was_computed(checkpoint: Path, tmp_path: Path) -> None:
    """Bit for bit: logprobs of an answer behind it are the same."""
    every = GenerationOptions(max_tokens=9, temperature=0.0, logprobs=5)
    expected = opened(checkpoint, False).chat(document("?"), options=every)
    pin(checkpoint, tmp_path)
    assert opened(checkpoint, tmp_path).chat(document("?"), options=every).logprobs == expected.logprobs
