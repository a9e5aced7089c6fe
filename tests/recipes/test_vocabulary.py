import itertools
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Tokenizer, Qwen2TokenizerFast

from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.vocabulary import SPECIAL_TOKENS, default_ranks_file, merges_of, read_ranks, write_tokenizer

assigned = st.text(st.characters(exclude_categories=("Cs", "Cn")))


@pytest.fixture(scope="module")
def ranks() -> list[bytes]:
    return read_ranks(default_ranks_file())


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tokenizer(folder, default_ranks_file(), size=2048)
    return folder


def test_the_rank_file_holds_every_byte_first_then_pairs(ranks: list[bytes]) -> None:
    assert len(ranks) == len(set(ranks)) == 151643
    assert set(ranks[:256]) == {bytes([value]) for value in range(256)}
    assert ranks[:2] == [b"!", b'"']
    assert ranks[256] == b"  "
    assert ranks[258] == b"in"
    assert ranks[-1] == "\u2f57".encode()


def test_every_merge_joins_lower_ranks_in_rank_order(ranks: list[bytes]) -> None:
    merges = merges_of(ranks)
    assert len(merges) == 151387
    assert [left + right for left, right in merges] == ranks[256:]
    number = {token: rank for rank, token in enumerate(ranks)}
    assert all(number[left] < rank > number[right] for rank, (left, right) in enumerate(merges, 256))


def test_merges_of_a_prefix_are_the_prefix_of_the_merges(ranks: list[bytes]) -> None:
    assert merges_of(ranks[:4000]) == merges_of(ranks[:8000])[: 4000 - 256]


def _encode_by_rank(piece: bytes, number: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding by definition: join the pair of the lowest rank until none is left."""
    parts = [piece[at : at + 1] for at in range(len(piece))]
    while True:
        pairs = [
            (number[left + right], at)
            for at, (left, right) in enumerate(itertools.pairwise(parts))
            if left + right in number
        ]
        if not pairs:
            return [number[part] for part in parts]
        _, at = min(pairs)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


@given(st.text(st.characters(categories=("Ll", "Lu", "Lo")), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_merges_encode_as_the_ranks_do(tiny_folder: Path, ranks: list[bytes], word: str) -> None:
    word = unicodedata.normalize("NFC", word)
    number = {token: rank for rank, token in enumerate(ranks[:2048])}
    if word.isalpha():  # one piece for the pre-tokenizer
        assert Tokenizer.from_folder(tiny_folder).encode_text(word) == _encode_by_rank(word.encode(), number)


@given(assigned)
@settings(max_examples=200, deadline=None)
def test_a_prefix_of_the_ranks_loses_nothing(tiny_folder: Path, text: str) -> None:
    tokenizer = Tokenizer.from_folder(tiny_folder)
    text = unicodedata.normalize("NFC", text)
    ids = tokenizer.encode_text(text)
    assert tokenizer.decode(ids) == text
    assert max(ids, default=0) < 2048


def test_special_tokens_follow_the_ranks(tiny_folder: Path) -> None:
    tokenizer = Tokenizer.from_folder(tiny_folder)
    assert [tokenizer.special_id(token) for token in SPECIAL_TOKENS] == list(range(2048, 2062))
    assert tokenizer.vocab_size == 2062


def test_transformers_reads_the_files_alike(tiny_folder: Path) -> None:
    ours = Tokenizer.from_folder(tiny_folder)
    fast, slow = Qwen2TokenizerFast.from_pretrained(tiny_folder), Qwen2Tokenizer.from_pretrained(tiny_folder)
    for text in ("A red square, 12 blue circles.", "Tất cả mọi người\n\n 모든 인간은 👍🏽", "  if x:\n\treturn 0\n"):
        assert ours.encode_text(text) == fast(text)["input_ids"] == slow(text)["input_ids"]
    assert fast.eos_token_id == slow.eos_token_id == 2050
    assert fast.pad_token_id == 2048
    assert len(fast) == len(slow) == 2062


def test_merge_file_lists_the_merges_of_the_model(tiny_folder: Path) -> None:
    lines = (tiny_folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    model = json.loads((tiny_folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    assert lines[0].startswith("#version")
    assert lines[1:] == model["merges"]
    assert len(model["merges"]) == 2048 - 256
    assert json.loads((tiny_folder / "vocab.json").read_text(encoding="utf-8")) == model["vocab"]


@pytest.mark.parametrize("size", [-1, 0, 255, 151644])
def test_a_size_without_all_bytes_or_beyond_the_file_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size {size}; allowed: 256 to 151643"):
        read_ranks(default_ranks_file(), size=size)


def test_bytes_alone_are_a_vocabulary(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, default_ranks_file(), size=256)
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert len(tokenizer.encode_text("été")) == len("été".encode())
    assert tokenizer.special_id("<|endoftext|>") == 256


def test_another_rank_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "qwen.tiktoken"
    other.write_bytes(b"IQ== 0\n")
    with pytest.raises(ValueError, match=r"is not qwen\.tiktoken of dashscope"):
        read_ranks(other)


def test_the_command_writes_the_folder(tmp_path: Path, tiny_folder: Path) -> None:
    command = [sys.executable, "-m", "recipes.tiny.vocabulary", "--size", "2048", "--out", str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    for path in tiny_folder.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
