"""The embedded checkpoint's vocabulary: the first N ranks of Qwen's own, and the 14 special tokens after them.

Byte-pair ranks are a priority list, so the ranks below N are closed under merging and hold all 256 bytes: every
string still has ids, only more of them. `python -m recipes.tiny.vocabulary --size 2048 --out FOLDER`
"""

import argparse
import base64
import hashlib
import importlib.util
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from anyres.config import ImageProcessorConfig, Qwen2VLConfig, TextConfig, VisionConfig
from anyres.processing.tokenizer import Tokenizer, byte_alphabet, tokenizer_spec

__all__ = [
    "CHAT_TEMPLATE",
    "SPECIAL_TOKENS",
    "default_ranks_file",
    "merges_of",
    "read_ranks",
    "spelled_ids",
    "with_token_ids",
    "write_settings",
    "write_tokenizer",
]

RANKS_SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"  # dashscope 1.20.14
BYTES = 256  # the ranks below are the single bytes

# In the order of their ids 151643..151656 in the published Qwen2-VL checkpoints.
SPECIAL_TOKENS = tuple(
    f"<|{name}|>"
    for name in (
        "endoftext",
        "im_start",
        "im_end",
        "object_ref_start",
        "object_ref_end",
        "box_start",
        "box_end",
        "quad_start",
        "quad_end",
        "vision_start",
        "vision_end",
        "vision_pad",
        "image_pad",
        "video_pad",
    )
)

# The prompt format of Qwen2-VL for other programs that read the folder; anyres renders its own in processing/template.
_VISION = "<|vision_start|><|{kind}_pad|><|vision_end|>"
CHAT_TEMPLATE = (
    "{%- set seen = namespace(images=0, videos=0) -%}"
    "{%- for message in messages -%}"
    "{%- if loop.first and message.role != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}"
    "{%- else -%}{%- for item in message.content -%}"
    "{%- if item.type == 'image' or 'image' in item or 'image_url' in item -%}"
    "{%- set seen.images = seen.images + 1 -%}"
    "{%- if add_vision_id -%}{{- 'Picture ' ~ seen.images ~ ': ' -}}{%- endif -%}"
    "{{- '" + _VISION.format(kind="image") + "' -}}"
    "{%- elif item.type == 'video' or 'video' in item -%}"
    "{%- set seen.videos = seen.videos + 1 -%}"
    "{%- if add_vision_id -%}{{- 'Video ' ~ seen.videos ~ ': ' -}}{%- endif -%}"
    "{{- '" + _VISION.format(kind="video") + "' -}}"
    "{%- elif 'text' in item -%}{{- item.text -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def write_tokenizer(folder: Path, ranks_file: Path, *, size: int | None = None) -> None:
    """Writes the tokenizer files of the first `size` ranks; None: all of them, with the published ids.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_tokenizer(folder, default_ranks_file(), size=2048)
    >>> sorted(path.name for path in folder.iterdir())
    ['added_tokens.json', 'merges.txt', 'tokenizer.json', 'tokenizer_config.json', 'vocab.json']
    """
    ranks = read_ranks(ranks_file, size=size)
    alphabet = byte_alphabet()
    vocab = {"".join(alphabet[value] for value in token): rank for rank, token in enumerate(ranks)}
    merges = [" ".join("".join(alphabet[value] for value in part) for part in pair) for pair in merges_of(ranks)]
    special = {token: len(ranks) + number for number, token in enumerate(SPECIAL_TOKENS)}
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "tokenizer.json", tokenizer_spec(vocab, merges, special))
    _write_json(folder / "vocab.json", vocab)
    _write_json(folder / "added_tokens.json", special)
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(special))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def with_token_ids(tokenizer: Tokenizer, *, vision: VisionConfig, text: TextConfig) -> Qwen2VLConfig:
    """The configuration of both halves with the ids of this vocabulary's special tokens."""
    return Qwen2VLConfig(
        vision=vision,
        text=text,
        bos_token_id=tokenizer.special_id("<|endoftext|>"),
        eos_token_id=tokenizer.special_id("<|im_end|>"),
        vision_start_token_id=tokenizer.special_id("<|vision_start|>"),
        vision_end_token_id=tokenizer.special_id("<|vision_end|>"),
        vision_token_id=tokenizer.special_id("<|vision_pad|>"),
        image_token_id=tokenizer.special_id("<|image_pad|>"),
        video_token_id=tokenizer.special_id("<|video_pad|>"),
    )


def write_settings(folder: Path, tokenizer: Tokenizer, pictures: ImageProcessorConfig) -> None:
    """`generation_config.json` (greedy) and `preprocessor_config.json`."""
    ends = [tokenizer.special_id("<|im_end|>"), tokenizer.special_id("<|endoftext|>")]
    generation = {"do_sample": False, "eos_token_id": ends, "pad_token_id": ends[1], "bos_token_id": ends[1]}
    for name, content in (("preprocessor_config", pictures.to_dict()), ("generation_config", generation)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def spelled_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """Print is read letter by letter: one token a character, so that each answers to one place in the picture."""
    return [one for character in text for one in tokenizer.encode_text(character)]


def read_ranks(ranks_file: Path, *, size: int | None = None) -> list[bytes]:
    """The first `size` tokens of a tiktoken rank file, in rank order; ValueError when it is not the pinned file."""
    raw = ranks_file.read_bytes()
    if hashlib.sha256(raw).hexdigest() != RANKS_SHA256:
        raise ValueError(f"{ranks_file} is not qwen.tiktoken of dashscope 1.20.14")
    tokens = [base64.b64decode(line.split()[0]) for line in raw.splitlines()]
    if size is not None and not BYTES <= size <= len(tokens):
        raise ValueError(f"size {size}; allowed: {BYTES} to {len(tokens)}")
    return tokens[:size]


def merges_of(ranks: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """The pair that makes each token beyond the single bytes: its two pieces when only lower ranks may join."""
    number = {token: rank for rank, token in enumerate(ranks)}
    return [_halves(token, number) for token in ranks[BYTES:]]


def default_ranks_file() -> Path:
    """`qwen.tiktoken` inside the installed dashscope package, which is not imported."""
    spec = importlib.util.find_spec("dashscope")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("qwen.tiktoken: pip install --no-deps dashscope==1.20.14")
    return Path(spec.origin).parent / "resources" / "qwen.tiktoken"


def _halves(token: bytes, number: dict[bytes, int]) -> tuple[bytes, bytes]:
    limit = number[token]
    pieces = [token[at : at + 1] for at in range(len(token))]
    while len(pieces) > 2:
        joined = [number.get(left + right, limit) for left, right in itertools.pairwise(pieces)]
        best = min(range(len(joined)), key=joined.__getitem__)
        assert joined[best] < limit, f"rank {limit} cannot be built from lower ranks"
        pieces[best : best + 2] = [pieces[best] + pieces[best + 1]]
    return pieces[0], pieces[1]


def _tokenizer_config(special: dict[str, int]) -> dict[str, object]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): {"content": token, **flags} for token, number in special.items()},
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the tokenizer of the embedded checkpoint.")
    parser.add_argument("--size", type=int, default=None, help="number of ranks; all of them when absent")
    parser.add_argument("--ranks", type=Path, default=None, help="qwen.tiktoken; dashscope's copy when absent")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args()
    write_tokenizer(options.out, options.ranks or default_ranks_file(), size=options.size)


if __name__ == "__main__":
    main()
