"""Runs llama.cpp's converter on a checkpoint: `python -m benchmarks.gguf CONVERTER FOLDER FILE [--mmproj]`.

The converter knows a vocabulary by a fingerprint of how the published one splits a text. Ours has the same ranks and
splits, but other words in its file, so it is told: qwen2.
"""

import runpy
import sys
from pathlib import Path


def main(converter: Path, folder: str, file: str, *extra: str) -> None:
    sys.path[:0] = [str(converter.parent), str(converter.parent / "gguf-py")]
    from conversion.base import TextModel  # type: ignore[import-not-found]  # that of llama.cpp

    TextModel.get_vocab_base_pre = lambda _self, _tokenizer: "qwen2"
    sys.argv = ["convert", folder, "--outfile", file, "--outtype", "f16", *extra]
    runpy.run_path(str(converter), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
