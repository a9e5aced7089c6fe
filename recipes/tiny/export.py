"""A training state -> the checkpoint folder that users load: `python -m recipes.tiny.export runs/tiny OUT`."""

import argparse
from pathlib import Path

import torch

from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import save_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.shape import image_config, model_config
from recipes.tiny.vocabulary import default_ranks_file, write_settings, write_tokenizer

VOCABULARY = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    export(arguments.run / "state.pt", arguments.out)


def export(state_path: Path, out: Path) -> None:
    """Writes weights (bfloat16), configuration and tokenizer in the hub layout."""
    out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(out, default_ranks_file(), size=VOCABULARY)
    tokenizer = Tokenizer.from_folder(out)
    model = Qwen2VL(model_config(tokenizer))
    model.load_state_dict(torch.load(state_path, weights_only=True)["average"])
    save_model(model, out, dtype=torch.bfloat16)
    write_settings(out, tokenizer, image_config())


if __name__ == "__main__":
    main()
