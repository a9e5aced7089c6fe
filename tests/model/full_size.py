"""One side of the comparison at full size, in a process of its own: `python -m tests.model.full_size SIDE SIZE FOLDER`.

`make` writes a checkpoint with random weights in bfloat16, `ours` and `theirs` load it to float32, run one prompt
with a picture of 256 visual tokens, and leave the logits in FOLDER/SIDE.pt and a line of JSON on standard output.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from anyres.config import Qwen2VLConfig, TextConfig
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from tests.oracle import original_inputs, picture, prompt, tiny_config

SHARD_BYTES = 1_000_000_000
GRID = (1, 32, 32)
PATCH_KERNEL = (3, 2, 14, 14)


def config_of(size: str) -> Qwen2VLConfig:
    """The published 2B sizes, which are the defaults but for the tied head; or a tiny one to try this file with."""
    return tiny_config() if size == "tiny" else Qwen2VLConfig(text=TextConfig(tie_word_embeddings=True))


def make(config: Qwen2VLConfig, folder: Path) -> None:
    """Shards of about a gigabyte, so that no more than one is in memory."""
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    shard: dict[str, Tensor] = {}
    weight_map: dict[str, str] = {}
    for name, weight in random_weights(config):
        shard[name] = weight
        weight_map[name] = shard_name(folder)
        if sum(one.nbytes for one in shard.values()) >= SHARD_BYTES:
            save_file(shard, folder / shard_name(folder), metadata={"format": "pt"})
            shard = {}
    save_file(shard, folder / shard_name(folder), metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def shard_name(folder: Path) -> str:
    """The next one not written yet."""
    return f"model-{len(list(folder.glob('model-*.safetensors'))) + 1:05}.safetensors"


def random_weights(config: Qwen2VLConfig) -> Iterator[tuple[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for name, meta in Qwen2VL(config, device="meta").state_dict().items():
        weight = torch.randn(meta.shape, generator=generator)
        weight = weight / meta.shape[-1] ** 0.5 if meta.dim() > 1 else 0.1 * weight + name.endswith("weight")
        shape = (len(weight), *PATCH_KERNEL) if name == "visual.patch_embed.proj.weight" else weight.shape
        yield name, weight.reshape(shape).bfloat16()


def ours(config: Qwen2VLConfig, folder: Path) -> Callable[[], Tensor]:
    model = load_model(folder, dtype=torch.float32)
    item = picture(config, GRID)
    one = prompt(config, [15, item, 30])

    def run() -> Tensor:
        embeds_TD = model.embed(one.token_ids_T, model.encode(item.pixels_PX, [GRID]))
        return model.head(model(embeds_TD, one.positions_3T, CausalAttention([len(embeds_TD)])))

    return run


def theirs(config: Qwen2VLConfig, folder: Path) -> Callable[[], Tensor]:
    from transformers import Qwen2VLForConditionalGeneration as Original

    model = Original.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = original_inputs([prompt(config, [15, picture(config, GRID), 30])], pad_id=config.bos_token_id)
    return lambda: model(**inputs).logits[0]


def main(side: str, size: str, folder: Path) -> None:
    config = config_of(size)
    started = time.perf_counter()
    if side == "make":
        make(config, folder)
        return
    run = (ours if side == "ours" else theirs)(config, folder)
    loaded = time.perf_counter()
    with torch.no_grad():
        logits_TV = run()
    seconds = {"load_s": loaded - started, "run_s": time.perf_counter() - loaded}
    # Peak memory includes the checkpoint's pages that are mapped from the disk.
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    torch.save(logits_TV, folder / f"{side}.pt")
    print(json.dumps(seconds | {"peak_gb": peak_gb, "tokens": len(logits_TV)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
