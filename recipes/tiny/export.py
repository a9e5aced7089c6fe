"""A training state -> the checkpoint folder that users load: `python -m recipes.tiny.export runs/tiny OUT`."""

import argparse
import json
from pathlib import Path

import torch

from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import save_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.shape import image_config, model_config
from recipes.tiny.vocabulary import default_ranks_file, write_tokenizer

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
    ends = [tokenizer.special_id("<|im_end|>"), tokenizer.special_id("<|endoftext|>")]
    generation = {"do_sample": False, "eos_token_id": ends, "pad_token_id": ends[1], "bos_token_id": ends[1]}
    for name, content in (("preprocessor_config", image_config().to_dict()), ("generation_config", generation)):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
