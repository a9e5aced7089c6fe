"""One side of benchmarks/cpu_peers.py in a process of its own.

python -m benchmarks.cpu_side make FOLDER [BLOCKS]              FOLDER/dense, int4 and int8, where they are missing
python -m benchmarks.cpu_side SIDE FOLDER THREADS PICTURE       prints a line of JSON
"""

import json
import resource
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

QUESTION = "What is in this picture?"
ANSWER_TOKENS = 48
LARGEST = 4096 * 784  # pixels of a picture
GROUP = 64
WIDE = {"vision": 8, "tables": 8}
KEPT = {
    "int4": {"decoder": 4, "q_proj": 8, "k_proj": 8, "v_proj": 8, "o_proj": 8} | WIDE,
    "int8": {"decoder": 8} | WIDE,
}
"""As `anyres quantize` decides for the embedded checkpoint."""

Figures = dict[str, float]


def make_all(folder: Path, blocks: int | None) -> None:
    from anyres.config import ImageProcessorConfig
    from anyres.processing.tokenizer import Tokenizer
    from recipes.tiny.vocabulary import default_ranks_file, write_settings, write_tokenizer
    from tests.model.full_size import config_of, make

    dense = folder / "dense"
    if not (dense / "model.safetensors.index.json").exists():
        shutil.rmtree(dense, ignore_errors=True)
        dense.mkdir(parents=True)
        write_tokenizer(dense, default_ranks_file())
        write_settings(dense, Tokenizer.from_folder(dense), ImageProcessorConfig())
        config = config_of("2B")
        if blocks is not None:
            text = replace(config.text, num_hidden_layers=blocks)
            config = replace(config, text=text, vision=replace(config.vision, depth=blocks))
        make(config, dense)
    for name, bits in KEPT.items():
        if not (folder / name).exists():
            quantised(dense, folder / name, bits)


def quantised(dense: Path, target: Path, bits: dict[str, int]) -> None:
    """Rounded without a search and without a card, which random weights do not need."""
    from torch import nn

    from anyres.kernels.packed import pack
    from anyres.model.weights import load_model
    from anyres.quant.fit import fit
    from anyres.quant.parts import bits_of
    from anyres.quant.writer import CheckpointWriter

    made = target.with_name(f"{target.name}.making")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(dense, made, ignore=shutil.ignore_patterns("*.safetensors*"))
    model = load_model(dense, dtype=torch.bfloat16)
    matrices = {f"{name}.weight" for name, one in model.named_modules() if isinstance(one, nn.Linear | nn.Embedding)}
    state = model.state_dict()
    with CheckpointWriter(made, [f"{name}.{i}" for name in state for i in range(6)]) as writer:
        for name, tensor in state.items():
            if name not in matrices:
                writer.add(name, tensor)
                continue
            rounded = fit(tensor, bits=bits_of(bits, name.removesuffix(".weight")), group=GROUP, search=False)
            packed = pack(rounded.codes_NK, rounded.scales_NG, rounded.minimums_NG, bits=rounded.bits, group=GROUP)
            for key, part in packed.tensors().items():
                writer.add(f"{name}.{key}", part)
    section = {"quant_method": "anyres", "version": 1, "group": GROUP, "bits": bits}
    config = json.loads((made / "config.json").read_text()) | {"quantization_config": section}
    (made / "config.json").write_text(json.dumps(config))
    made.replace(target)


def ours(folder: Path, picture: Path) -> Figures:
    started = time.perf_counter()
    import anyres
    from anyres.chat import GenerationOptions, Message, TextPart

    model = anyres.load(folder)
    loaded = time.perf_counter()
    one = GenerationOptions(max_tokens=1, temperature=0.0)
    first = model.ask(picture, QUESTION, options=one, max_pixels=LARGEST)
    seen = time.perf_counter()
    many = GenerationOptions(max_tokens=ANSWER_TOKENS + 1, temperature=0.0)
    answer = model.chat([Message("user", [TextPart(QUESTION)])], options=many)
    read = first.usage.prompt_tokens - first.usage.cached_tokens
    return {
        "load_s": loaded - started,
        "vision_s": first.timings.encode_s,
        "prefill_tokens_s": read / first.timings.prefill_s,
        "decode_tokens_s": (answer.usage.completion_tokens - 1) / answer.timings.decode_s,
        "first_token_s": seen - loaded,
    }


def transformers(folder: Path, picture: Path, dtype: torch.dtype) -> Figures:
    from anyres.chat import ImagePart, Message, TextPart
    from anyres.processing.processor import Processor
    from tests.oracle import original_inputs

    part = ImagePart(picture, max_pixels=LARGEST)
    prompt = Processor.from_folder(folder).prepare([Message("user", [part, TextPart(QUESTION)])])
    inputs = original_inputs([prompt])
    started = time.perf_counter()
    from transformers import Qwen2VLForConditionalGeneration as Original

    model = Original.from_pretrained(folder, dtype=dtype).eval()
    loaded = time.perf_counter()
    marks: list[float] = []
    for add in (model.model.visual.register_forward_pre_hook, model.model.visual.register_forward_hook):
        add(lambda *_: marks.append(time.perf_counter()))
    out = model(**inputs, use_cache=True)
    filled = time.perf_counter()
    vision_s = marks[1] - marks[0]
    token_B1, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
    decoding = time.perf_counter()
    for _ in range(ANSWER_TOKENS // 2):
        out = model(input_ids=token_B1, past_key_values=cache, use_cache=True)
        token_B1 = out.logits[:, -1:].argmax(-1)
    decode_s = time.perf_counter() - decoding
    return {
        "load_s": loaded - started,
        "vision_s": vision_s,
        "prefill_tokens_s": len(prompt.token_ids_T) / (filled - loaded - vision_s),
        "decode_tokens_s": (ANSWER_TOKENS // 2) / decode_s,
        "first_token_s": filled - loaded,
    }


def main(side: str, folder: Path, *rest: str) -> None:
    if side == "make":
        make_all(folder, int(rest[0]) if rest else None)
        return
    threads, picture = int(rest[0]), Path(rest[1])
    torch.set_num_threads(threads)
    with torch.no_grad():
        if side.startswith("transformers"):
            figures = transformers(folder / "dense", picture, getattr(torch, side.split()[1]))
        else:
            figures = ours(folder / side, picture)
    figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
