"""llama.cpp's side of benchmarks/cpu_peers.py: its own converter, quantiser, llama-bench and llama-mtmd-cli."""

import argparse
import json
import re
import shutil
import subprocess
from pathlib import Path

TOOLS = ("llama-bench", "llama-mtmd-cli", "llama-quantize")
PROMPT_TOKENS, ANSWER_TOKENS = 512, 48
TEXT_TOKENS = 40  # of template and question beside the picture
ENCODED = r"(?:(?:image|slice)[^\n]* encoded|batch encoding done) in (\d+) ms"  # in the log, by version
QUESTION = "What is in this picture?"


def prepare(kind: str, arguments: argparse.Namespace) -> str | None:
    """The decoder in `kind` and the projector in float16, where they are missing; why it cannot be, or None."""
    folder: Path = arguments.folder
    if arguments.llama is None or any(not (arguments.llama / tool).exists() for tool in TOOLS):
        return f"not measured: --llama names no folder with {', '.join(TOOLS)}"
    wide, projector, weights = _files(kind, folder)
    for file, extra in ((wide, []), (projector, ["--mmproj"])):
        if file.exists():
            continue
        if arguments.converter is None or not arguments.converter.exists():
            return "not measured: --converter names no convert_hf_to_gguf.py"
        made = file.with_suffix(".making")
        command = ["-m", "benchmarks.gguf", arguments.converter, folder / "dense", made, *extra]
        if reason := _failed([arguments.converter_python, *command]):
            return reason
        made.replace(file)
    if not weights.exists():
        made = weights.with_suffix(".making")
        if reason := _failed([arguments.llama / "llama-quantize", wide, made, kind, "2"]):
            return reason
        made.replace(weights)
    return None


def measure(kind: str, picture: Path, threads: int, arguments: argparse.Namespace, left_s: float) -> dict[str, float]:
    """Prefill and decode from llama-bench (text alone), the encoder's time, load and memory from llama-mtmd-cli."""
    _, projector, weights = _files(kind, arguments.folder)
    text = arguments.folder / f"llama-{kind}-{threads}.json"
    if not text.exists():
        text.write_text(json.dumps(_text_speed(arguments.llama / "llama-bench", weights, threads, left_s)))
    speed = json.loads(text.read_text())
    timer = ["/usr/bin/time", "-f", "PEAK %M"] if shutil.which("/usr/bin/time") else []
    command = [
        *timer, arguments.llama / "llama-mtmd-cli", "-m", weights, "--mmproj", projector, "--image", picture,
        "-p", QUESTION, "-t", threads, "-n", 4, "--temp", 0, "--no-warmup", "-c", 8192,
    ]  # fmt: skip
    words = [str(one) for one in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=left_s)
    log = done.stdout + done.stderr
    vision_s = sum(float(one) for one in re.findall(ENCODED, log)) / 1000
    if not vision_s:
        raise RuntimeError(f"llama-mtmd-cli tells no time of the encoder: {log[-500:]}")
    tokens = _tokens(picture) + TEXT_TOKENS
    figures = {
        "vision_s": vision_s,
        "prefill_tokens_s": speed["prefill"],
        "decode_tokens_s": speed["decode"],
        "first_token_s": vision_s + tokens / speed["prefill"],
    }
    load, peak = re.search(r"load time =\s*([\d.]+) ms", log), re.search(r"PEAK (\d+)", log)
    figures |= {} if load is None else {"load_s": float(load[1]) / 1000}
    return figures | ({} if peak is None else {"peak_gb": float(peak[1]) * 1024 / 1e9})


def _text_speed(bench: Path, weights: Path, threads: int, left_s: float) -> dict[str, float]:
    command = [bench, "-m", weights, "-t", threads, "-o", "json", "-r", 2, "-p", PROMPT_TOKENS, "-n", ANSWER_TOKENS]
    words = [str(one) for one in command]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=left_s)
    prefill, decode = (float(row["avg_ts"]) for row in json.loads(done.stdout))
    return {"prefill": prefill, "decode": decode}


def _files(kind: str, folder: Path) -> tuple[Path, Path, Path]:
    return folder / "lm-f16.gguf", folder / "mmproj-f16.gguf", folder / f"lm-{kind}.gguf"


def _tokens(picture: Path) -> int:
    return int(picture.stem.rpartition("-")[2])


def _failed(command: list[object]) -> str | None:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{command[0]} failed: {(done.stdout + done.stderr)[-800:]}"
