"""Words to token ids and back, over a checkpoint's own tokenizer files.

Text from users never becomes a special token: `encode_text("<|im_end|>")` gives the ids of its letters. Special
tokens enter a prompt only through `special_id`, which the chat template calls.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from anyres.config import read_json, read_json_text
from anyres.errors import CheckpointError, ModelNotFoundError

__all__ = ["Tokenizer", "byte_alphabet", "tokenizer_spec"]

# Pre-tokenizer of Qwen2 (tokenizer.json of every Qwen2-VL checkpoint); digits are split singly.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Tokenizer:
    """A byte-level BPE tokenizer: any string has ids, and `decode` gives it back (in Unicode's NFC form)."""

    def __init__(self, spec: Mapping[str, Any], *, text: str | None = None, item: str = "tokenizer.json") -> None:
        """`spec` is the content of a tokenizer.json, and `text` that file, if it is one.

        CheckpointError when it describes no byte-level tokenizer.
        """
        added = [dict(token) for token in _added_tokens(spec, item)]
        for token in added:
            # A file that calls <|image_pad|> an ordinary word would let a user's text place pictures.
            token["special"] = bool(token.get("special")) or _looks_special(token["content"])
        if text is None or added != spec.get("added_tokens"):
            text = json.dumps({**spec, "added_tokens": added})
        self._backend = _backend(text, item)
        self._backend.encode_special_tokens = True  # special tokens found in text are taken as plain text
        self._added = {int(token["id"]): str(token["content"]) for token in added}
        self._special = {str(token["content"]): int(token["id"]) for token in added if token["special"]}
        self._bytes_of = {char: value for value, char in enumerate(byte_alphabet())}
        self._item = item
        _check_bytes(self._backend, item)
        self.special_ids = frozenset(self._special.values())
        vocab = spec["model"].get("vocab")
        known = vocab if isinstance(vocab, dict) else self._backend.get_vocab(with_added_tokens=False)
        self.vocab_size: int = max([*known.values(), *self._added]) + 1

    @staticmethod
    def from_folder(folder: Path) -> "Tokenizer":
        """Reads tokenizer.json, or vocab.json + merges.txt (+ tokenizer_config.json, added_tokens.json)."""
        if not folder.is_dir():
            raise ModelNotFoundError(str(folder), "no such folder", "a checkpoint's folder")
        path = folder / "tokenizer.json"
        if path.exists():
            spec, text = read_json_text(path)
            return Tokenizer(spec, text=text, item=str(path))
        return Tokenizer(_slow_spec(folder), item=str(folder / "vocab.json"))

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text; none of them is in `special_ids`, whatever the text says."""
        whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair becomes "?"
        return list(self._backend.encode(whole, add_special_tokens=False).ids)

    def vocabulary(self) -> dict[str, int]:
        """Every token, written in `byte_alphabet`, with its id."""
        return dict(self._backend.get_vocab(with_added_tokens=True))

    def special_id(self, token: str) -> int:
        """Id of a special token, as 151644 for `<|im_start|>`; CheckpointError when the checkpoint has none."""
        if token not in self._special:
            raise CheckpointError(self._item, f"no special token {token}", f"a tokenizer with {token}")
        return self._special[token]

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Text of the ids; bytes that form no character become U+FFFD."""
        kept = (one for one in ids if not (skip_special and one in self.special_ids))
        return b"".join(map(self.token_bytes, kept)).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes the id stands for: a part of a character, or several. Ids without a token give b""."""
        if token_id in self._added:
            return self._added[token_id].encode()
        token = self._backend.id_to_token(token_id) if 0 <= token_id < self.vocab_size else None
        return b"" if token is None else bytes(self._bytes_of[char] for char in token)


def byte_alphabet() -> str:
    """256 printable characters, one a byte, in which byte-level vocabularies are written.

    Bytes that print stand for themselves; the others get the characters from U+0100 on (GPT-2's convention).

    >>> byte_alphabet()[ord("A")], byte_alphabet()[ord(" ")], len(set(byte_alphabet()))
    ('A', 'Ġ', 256)
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [value for value in range(256) if value not in printable]
    return "".join(chr(value if value in printable else 0x100 + hidden.index(value)) for value in range(256))


def tokenizer_spec(vocab: Mapping[str, int], merges: Sequence[str], special: Mapping[str, int]) -> dict[str, Any]:
    """Content of a Qwen2 tokenizer.json; `vocab` and `merges` ("a b") are written in `byte_alphabet`."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated", "invert": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **flags} for token, number in special.items()],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": dict(vocab),
            "merges": list(merges),
        },
    }


def _slow_spec(folder: Path) -> dict[str, Any]:
    """A tokenizer.json out of the files of the slow tokenizer."""
    vocab = read_json(folder / "vocab.json")
    path = folder / "merges.txt"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(str(path), f"not readable ({error})", "one merge a line") from None
    merges = [line for line in lines if line and not line.startswith("#version")]
    return tokenizer_spec(vocab, merges, _slow_added(folder))


def _slow_added(folder: Path) -> dict[str, int]:
    config, added = folder / "tokenizer_config.json", folder / "added_tokens.json"
    if config.exists():
        decoder = read_json(config).get("added_tokens_decoder") or {}
        if decoder:
            return {str(token["content"]): int(number) for number, token in decoder.items()}
    if added.exists():
        return {str(token): int(number) for token, number in read_json(added).items()}
    raise CheckpointError(str(folder), "no special tokens", "tokenizer.json, or added_tokens in another tokenizer file")


def _added_tokens(spec: Mapping[str, Any], item: str) -> list[dict[str, Any]]:
    added = spec.get("added_tokens") or []
    if not isinstance(spec.get("model"), dict):
        raise CheckpointError(item, f"keys {sorted(spec)[:8]}", "a tokenizer.json with a `model`")
    for token in added:
        if not isinstance(token.get("content"), str) or not isinstance(token.get("id"), int):
            raise CheckpointError(f"{item}: added_tokens", repr(token)[:80], "objects with `id` and `content`")
    return list(added)


def _looks_special(token: str) -> bool:
    return token.startswith("<|") and token.endswith("|>")


def _backend(text: str, item: str) -> Backend:
    try:
        return Backend.from_str(text)
    except Exception as error:  # noqa: BLE001 - the library raises nothing more exact than Exception
        raise CheckpointError(item, f"no tokenizer ({error})", "a tokenizer.json of the `tokenizers` library") from None


def _check_bytes(backend: Backend, item: str) -> None:
    missing = [char for char in byte_alphabet() if backend.token_to_id(char) is None]
    if missing:
        raise CheckpointError(item, f"no token for {len(missing)} of 256 bytes", "a byte-level vocabulary")
