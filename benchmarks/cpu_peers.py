"""Qwen2-VL-2B's shape with random weights on this CPU: ours, transformers and llama.cpp in turn, one process each.

    python -m benchmarks.cpu_peers --folder /tmp/2b [--llama BIN] [--converter convert_hf_to_gguf.py] [--repeats 3]

`--folder` holds the checkpoints, made where they are missing (4.4 GB in bfloat16, 1.5 GB a quantised one) and kept.
`--llama` is the folder of llama-bench, llama-mtmd-cli and llama-quantize; `--converter` comes with their sources. All
answer the same question about the same picture of 1024x683 pixels: 888 visual tokens.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

QUESTION = "What is in this picture?"
SIZE = (1024, 683)
ANSWER_TOKENS = 48
PROMPT_TOKENS = 921
SIDES = ("int4", "int8", "float32", "transformers float32", "transformers bfloat16", "llama.cpp Q4_0", "llama.cpp Q8_0")
FIGURES = {
    "load_s": "load s",
    "vision_s": "vision s",
    "prefill_tokens_s": "prefill tokens/s",
    "decode_tokens_s": "decode tokens/s",
    "first_token_s": "first token s",
    "peak_gb": "peak GB",
}
Figures = dict[str, float]


def main() -> None:
    arguments = parser().parse_args()
    folder: Path = arguments.folder
    run(sys.executable, "-m", "benchmarks.cpu_side", "make", folder, "0")
    picture = folder / "picture.png"
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1] // 8 + 1, SIZE[0] // 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC).save(picture)
    sides = [side for side in SIDES if side in arguments.sides]
    measured: dict[str, list[Figures]] = {side: [] for side in sides}
    for _ in range(arguments.repeats):
        for side in sides:
            measured[side].append(measure(side, folder, arguments))
            print(side, json.dumps(measured[side][-1]), flush=True)
    print(table({side: medians(rows) for side, rows in measured.items()}, arguments))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--converter", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=["int4", "transformers float32", "llama.cpp Q4_0"])
    return parser


def measure(side: str, folder: Path, arguments: argparse.Namespace) -> Figures:
    if side.startswith("llama.cpp"):
        return llama(side.split()[1], folder, arguments)
    told = run(sys.executable, "-m", "benchmarks.cpu_side", side, folder, str(arguments.threads))
    figures: Figures = json.loads(told.splitlines()[-1])
    return figures


def llama(kind: str, folder: Path, arguments: argparse.Namespace) -> Figures:
    """From llama-bench (text alone) and llama-mtmd-cli (the picture), whose log tells the encoder's milliseconds."""
    weights, projector = converted(kind, folder, arguments)
    threads = str(arguments.threads)
    told = run(
        arguments.llama / "llama-bench", "-m", weights, "-t", threads, "-o", "json", "-r", "2",
        "-p", str(PROMPT_TOKENS), "-n", str(ANSWER_TOKENS),
    )  # fmt: skip
    prefill, decode = (row["avg_ts"] for row in json.loads(told))
    command = [
        "/usr/bin/env", "time", "-f", "PEAK %M", arguments.llama / "llama-mtmd-cli", "-m", weights,
        "--mmproj", projector, "--image", folder / "picture.png", "-p", QUESTION, "-t", threads, "-n", "8",
        "--temp", "0", "--no-warmup", "-c", "2048",
    ]  # fmt: skip
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    log = done.stdout + done.stderr
    vision = sum(float(one) for one in re.findall(r"(?:image|slice) (?:slice )?encoded in (\d+) ms", log)) / 1000
    prompt = float(found(r"prompt eval time =\s*([\d.]+) ms", log)) / 1000
    return {
        "load_s": float(found(r"load time =\s*([\d.]+) ms", log)) / 1000,
        "vision_s": vision,
        "prefill_tokens_s": prefill,
        "decode_tokens_s": decode,
        "first_token_s": max(prompt, vision + PROMPT_TOKENS / prefill),
        "peak_gb": float(found(r"PEAK (\d+)", log)) * 1024 / 1e9,
    }


def converted(kind: str, folder: Path, arguments: argparse.Namespace) -> tuple[Path, Path]:
    """The decoder in `kind` and the projector in float16, made by llama.cpp's own tools."""
    wide, projector, weights = (folder / name for name in ("lm-f16.gguf", "mmproj-f16.gguf", f"lm-{kind}.gguf"))
    for file, extra in ((wide, []), (projector, ["--mmproj"])):
        if not file.exists():
            run(sys.executable, "-m", "benchmarks.gguf", arguments.converter, folder / "dense", file, *extra)
    if not weights.exists():
        run(arguments.llama / "llama-quantize", wide, weights, kind, str(arguments.threads))
    return weights, projector


def run(*command: object) -> str:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout[-1000:]}{done.stderr[-4000:]}")
    return done.stdout


def found(pattern: str, log: str) -> str:
    match = re.search(pattern, log)
    if match is None:
        raise SystemExit(f"no {pattern!r} in:\n{log[-3000:]}")
    return match.group(1)


def medians(rows: Sequence[Figures]) -> Figures:
    return {name: statistics.median(row[name] for row in rows) for name in FIGURES}


def table(measured: dict[str, Figures], arguments: argparse.Namespace) -> str:
    lines = [f"{arguments.threads} threads, medians of {arguments.repeats}", ""]
    lines += ["| |" + "|".join(f" {title} " for title in FIGURES.values()) + "|", "|---" * (len(FIGURES) + 1) + "|"]
    for side, row in measured.items():
        lines.append(f"| {side} |" + "|".join(f" {row[name]:.3g} " for name in FIGURES) + "|")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
