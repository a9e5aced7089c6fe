"""A training state -> the checkpoint folder that users load: `python -m recipes.tiny.export runs/tiny OUT`."""

import argparse
from pathlib import Path

import torch

from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model, save_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.shape import image_config, model_config
from recipes.tiny.vocabulary import default_ranks_file, write_settings, write_tokenizer

VOCABULARY = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--blend", type=Path, help="an earlier checkpoint of the same run to average with")
    parser.add_argument("--share", type=float, default=0.15, help="of the earlier one")
    arguments = parser.parse_args()
    export(arguments.run / "state.pt", arguments.out, blend=arguments.blend, share=arguments.share)


def export(state_path: Path, out: Path, *, blend: Path | None = None, share: float = 0.0) -> None:
    """Writes weights (bfloat16), configuration and tokenizer in the hub layout.

    With `blend` they are the mean of the run's and of an earlier checkpoint's, which counts for `share`.
    """
    earlier = load_model(blend, dtype=torch.float32).state_dict() if blend else {}
    out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(out, default_ranks_file(), size=VOCABULARY)
    tokenizer = Tokenizer.from_folder(out)
    model = Qwen2VL(model_config(tokenizer))
    model.load_state_dict(torch.load(state_path, weights_only=True)["average"])
    for name, weight in model.state_dict().items():
        if name in earlier:
            weight.lerp_(earlier[name], share)
    save_model(model, out, dtype=torch.bfloat16)
    write_settings(out, tokenizer, image_config())


if __name__ == "__main__":
    main()
