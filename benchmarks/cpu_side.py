"""One side of benchmarks/cpu_peers.py in a process of its own: `python -m benchmarks.cpu_side SIDE FOLDER THREADS`.

`make` writes FOLDER/dense and FOLDER/int4 and FOLDER/int8 where they are missing. The other sides print a line of JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch

import anyres
from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.config import ImageProcessorConfig
from anyres.engine.checkpoint import choose_compute
from anyres.model.weights import load_model
from anyres.processing.processor import Processor
from anyres.processing.tokenizer import Tokenizer
from anyres.quant.card import Probe
from anyres.quant.quantise import quantise
from benchmarks.cpu_peers import ANSWER_TOKENS, QUESTION
from recipes.tiny.vocabulary import default_ranks_file, write_settings, write_tokenizer
from tests.model.full_size import config_of, make

Figures = dict[str, float]


def make_all(folder: Path) -> None:
    """Quantised ones are measured on one short text only: their weights are random."""
    dense = folder / "dense"
    if not (dense / "model.safetensors.index.json").exists():
        dense.mkdir(parents=True, exist_ok=True)
        write_tokenizer(dense, default_ranks_file())
        write_settings(dense, Tokenizer.from_folder(dense), ImageProcessorConfig())
        make(config_of("2B"), dense)
    missing = [name for name in ("int4", "int8") if not (folder / name).exists()]
    if missing:
        model = load_model(dense, dtype=torch.bfloat16)
        prompt = Processor.from_folder(dense).prepare([Message("user", [TextPart(QUESTION)])])
        probes = [Probe(prompt, 2)]
        for name in missing:
            quantise(
                dense, folder / name, to=name, model=model, probes=probes,
                compute=choose_compute(torch.device("cpu")),
            )  # fmt: skip


def ours(folder: Path) -> Figures:
    started = time.perf_counter()
    dtype = "float32" if folder.name == "dense" else None
    model = anyres.load(folder, dtype=dtype)
    loaded = time.perf_counter()
    one = GenerationOptions(max_tokens=1, temperature=0.0)
    first = model.ask(folder.parent / "picture.png", QUESTION, options=one)
    seen = time.perf_counter()
    many = GenerationOptions(max_tokens=ANSWER_TOKENS + 1, temperature=0.0)
    answer = model.chat([Message("user", [TextPart(QUESTION)])], options=many)
    return {
        "load_s": loaded - started,
        "vision_s": first.timings.encode_s,
        "prefill_tokens_s": first.usage.prompt_tokens / first.timings.prefill_s,
        "decode_tokens_s": (answer.usage.completion_tokens - 1) / answer.timings.decode_s,
        "first_token_s": seen - loaded,
    }


def transformers(folder: Path, dtype: torch.dtype) -> Figures:
    from transformers import Qwen2VLForConditionalGeneration as Original

    from tests.oracle import original_inputs

    part = ImagePart(folder.parent / "picture.png")
    prompt = Processor.from_folder(folder).prepare([Message("user", [part, TextPart(QUESTION)])])
    inputs = original_inputs([prompt])
    started = time.perf_counter()
    model = Original.from_pretrained(folder, dtype=dtype).eval()
    loaded = time.perf_counter()
    model.model.visual(inputs["pixel_values"].to(dtype), grid_thw=inputs["image_grid_thw"])
    encoded = time.perf_counter()
    out = model(**inputs, use_cache=True)
    filled = time.perf_counter()
    vision_s = encoded - loaded
    token_B1, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
    decoding = time.perf_counter()
    for _ in range(ANSWER_TOKENS // 2):
        out = model(input_ids=token_B1, past_key_values=cache, use_cache=True)
        token_B1 = out.logits[:, -1:].argmax(-1)
    decode_s = time.perf_counter() - decoding
    return {
        "load_s": loaded - started,
        "vision_s": vision_s,
        "prefill_tokens_s": len(prompt.token_ids_T) / max(1e-9, filled - encoded - vision_s),
        "decode_tokens_s": (ANSWER_TOKENS // 2) / decode_s,
        "first_token_s": filled - encoded,
    }


def main(side: str, folder: Path, threads: int) -> None:
    if side == "make":
        make_all(folder)
        return
    torch.set_num_threads(threads)
    with torch.no_grad():
        if side.startswith("transformers"):
            figures = transformers(folder / "dense", getattr(torch, side.split()[1]))
        else:
            figures = ours(folder / ("dense" if side == "float32" else side))
    figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
