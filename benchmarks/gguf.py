"""Runs llama.cpp's converter on a checkpoint: `python -m benchmarks.gguf CONVERTER FOLDER FILE [--mmproj] [--q4]`.

With `--q4` matrices are written in Q4_0 and the table of tokens in Q8_0, for where llama-quantize is not at hand.

The converter knows a vocabulary by a fingerprint of how the published one splits a text. Ours has the same ranks and
splits, but other words in its file, so it is told: qwen2.
"""

import runpy
import sys
from pathlib import Path
from typing import Any


def main(converter: Path, folder: str, file: str, *extra: str) -> None:
    sys.path[:0] = [str(converter.parent), str(converter.parent / "gguf-py")]
    from conversion.base import TextModel  # type: ignore[import-not-found]  # that of llama.cpp

    TextModel.get_vocab_base_pre = lambda _self, _tokenizer: "qwen2"
    if four_bits := "--q4" in extra:
        from gguf import GGMLQuantizationType as Type  # type: ignore[import-not-found]

        TextModel.tensor_force_quant = lambda _self, _name, new, _bid, dims: _type_of(Type, new, dims)
    kept = [word for word in extra if word != "--q4"]
    sys.argv = ["convert", folder, "--outfile", file, "--outtype", "q8_0" if four_bits else "f16", *kept]
    runpy.run_path(str(converter), run_name="__main__")


def _type_of(kinds: Any, name: str, dims: int) -> Any:
    """False leaves the choice to the converter."""
    return kinds.Q4_0 if dims == 2 and not name.startswith("token_embd") else False


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
