"""Writes quant_gguf/: a small model as llama.cpp's converter and quantizer write it, and what llama.cpp makes of it.

Run it from the project's root in an environment of its own that has torch, transformers==4.57.6, gguf, sentencepiece,
diskcache and numpy, with the unpacked source of llama-cpp-python==0.3.36 and its libraries built by cmake:
`LLAMA_CPP_LIB_PATH=BUILD/bin PYTHONPATH=.:tests:SOURCE:SOURCE/vendor/llama.cpp:SOURCE/vendor/llama.cpp/gguf-py \
python tests/goldens/make_quant_gguf.py`.
"""

import ctypes
import gzip
import hashlib
import json
import runpy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from conversion.base import TextModel

from anyres.model.weights import save_model
from anyres.processing.tokenizer import byte_alphabet, tokenizer_spec
from oracle import SPECIAL_IDS, tiny_config, tiny_model

HERE = Path(__file__).parent / "quant_gguf"
TYPES = {"attn_q": "Q4_0", "attn_k": "Q8_0", "attn_v": "Q6_K"}  # all else that is a matrix: Q4_K; the rest F32
NAMES = [*byte_alphabet(), *SPECIAL_IDS, "he"]  # transformers gives the special tokens other ids than the file
VOCABULARY = {
    "tokenizer.ggml.tokens": NAMES + [f"[PAD{i}]" for i in range(len(NAMES), 288)],
    "tokenizer.ggml.token_type": [1] * 256 + [3] * len(SPECIAL_IDS) + [1] + [5] * (288 - len(NAMES)),
}
TOKENS = [72, 101, 108, 108, 111, 44, 32, 119, 111, 114, 108, 100]


def model_config():
    """Of one layer, widths multiples of 256. With fewer than 3 vision blocks the converter knows no mm.2."""
    config = tiny_config(heads=4, layers=1)
    text = replace(config.text, hidden_size=256, intermediate_size=256, mrope_section=(8, 12, 12))
    vision = replace(config.vision, depth=3, embed_dim=16, hidden_size=256)
    return replace(config, text=text, vision=vision)


def write_source(folder: Path) -> None:
    save_model(tiny_model(model_config()), folder)
    vocab = {char: value for value, char in enumerate(byte_alphabet())}
    spec = tokenizer_spec(vocab | {"he": 270}, ["h e"], SPECIAL_IDS)  # llama.cpp wants a merge
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2TokenizerFast"}))
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
        )
    )


def convert(folder: Path, out: Path, *options: str) -> None:
    TextModel.get_vocab_base_pre = lambda self, tokenizer: "qwen2"  # it knows vocabularies by a hash
    script = Path(sys.modules["conversion"].__file__).parent.parent / "convert_hf_to_gguf.py"
    before, sys.argv = sys.argv, ["convert", str(folder), "--outfile", str(out), *options]
    runpy.run_path(str(script), run_name="__main__")
    sys.argv = before


def quantize(source: Path, out: Path) -> None:
    """llama.cpp's quantizer: Q4_K, and other types where TYPES names them."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_S
    params.pure = True
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(params)) == 0


def mixed(plain: Path, q4k: Path, out: Path) -> None:
    """The same file with some tensors quantised to other types, by gguf-py and by ggml itself."""
    reader, source = gguf.GGUFReader(q4k), gguf.GGUFReader(plain)
    floats = {one.name: one.data for one in source.tensors}
    writer = gguf.GGUFWriter(out, "qwen2vl")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        sub = field.types[1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, VOCABULARY.get(field.name, field.contents()), kind, sub_type=sub)
    for one in reader.tensors:
        wanted = next((kind for part, kind in TYPES.items() if f"{part}.weight" in one.name), None)
        if wanted is None:
            writer.add_tensor(one.name, one.data, raw_dtype=one.tensor_type)
            continue
        kind = gguf.GGMLQuantizationType[wanted]
        writer.add_tensor(one.name, quantised(floats[one.name].astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantised(values: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """ggml's own code."""
    library = ctypes.CDLL(str(Path(llama_cpp.llama_cpp._lib._name).with_name("libggml-base.so")))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    values = np.ascontiguousarray(values)
    rows, columns = values.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.empty((rows, columns // block * size), np.uint8)
    pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)  # noqa: E731
    library.ggml_quantize_chunk(
        ctypes.c_int(int(kind)), pointer(values), pointer(out), ctypes.c_int64(0), ctypes.c_int64(rows),
        ctypes.c_int64(columns), None,
    )  # fmt: skip
    return out


def logits(path: Path) -> np.ndarray:
    """llama.cpp's next-token logits after each of TOKENS, [tokens, V]."""
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_batch = 64, 1, 64
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(len(TOKENS), 0, 1)
    batch.n_tokens = len(TOKENS)
    for place, token in enumerate(TOKENS):
        batch.token[place], batch.pos[place], batch.n_seq_id[place] = token, place, 1
        batch.seq_id[place][0], batch.logits[place] = 0, 1
    assert llama_cpp.llama_decode(context, batch) == 0
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    return np.stack(
        [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (size,)).copy() for i in range(len(TOKENS))]
    )


def digests(path: Path) -> dict[str, str]:
    """Of every tensor, dequantised by gguf-py to float32; -0 counts as 0."""
    tensors = gguf.GGUFReader(path).tensors
    values = {one.name: gguf.quants.dequantize(one.data, one.tensor_type).astype(np.float32) for one in tensors}
    return {
        name: hashlib.sha256(np.ascontiguousarray(value + np.float32(0)).tobytes()).hexdigest()
        for name, value in values.items()
    }


def main() -> None:
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "source").mkdir()
        write_source(work / "source")
        projector, final = work / "mmproj-small.gguf", work / "small.gguf"
        convert(work / "source", work / "plain.gguf", "--outtype", "f32")
        convert(work / "source", projector, "--mmproj", "--outtype", "f16")
        quantize(work / "plain.gguf", work / "q4k.gguf")
        mixed(work / "plain.gguf", work / "q4k.gguf", final)
        for path in (final, projector):
            (HERE / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        expected = {"tokens": TOKENS, "text": digests(final), "vision": digests(projector)}
        (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        np.savez_compressed(HERE / "logits.npz", logits=logits(final))


if __name__ == "__main__":
    main()
