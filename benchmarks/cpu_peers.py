"""Qwen2-VL-2B's shape with random weights on this CPU: ours, transformers and llama.cpp in one run, in turn.

    python -m benchmarks.cpu_peers --folder /tmp/2b [--llama BIN --converter convert_hf_to_gguf.py] [--minutes 25]

`--folder` holds the checkpoints, made where they are missing (11 GB in all) and kept, and `measured.json`: each figure
is in it as soon as it is known, and what is in it is not measured again. Pictures go from 224 pixels a side to 4,096
visual tokens. Each is given to each side in a process of its own, with 2 threads and with 1; what would take longer
than what is left of the minutes, which count from when all is made, is left out and named. `--llama` is the folder of
llama-bench, llama-mtmd-cli and llama-quantize, `--converter` comes with their sources and may need another Python. A
peer that is not there is named, and the rest goes on.
`--write` puts the table into benchmarks/results.md and the plot into docs/.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks import cpu_llama
from benchmarks.cpu_report import plot, report, write_section

QUESTION = "What is in this picture?"
ANSWER_TOKENS = 48
PICTURES = {64: (224, 224), 256: (448, 448), 888: (1036, 672), 2304: (1344, 1344), 4096: (1792, 1792)}
"""Visual tokens, and the width and height in pixels that give them."""
SIDES = ("int4", "int8", "transformers float32", "llama.cpp Q4_0")
THREADS = (2, 1)
ORDER = ((2, 888), (2, 64), (2, 256), (1, 64), (1, 256), (2, 2304), (2, 4096), (1, 888))
"""What is measured first: (threads, visual tokens)."""
SLOW, SLOW_TOKENS = "transformers float32", 888  # takes minutes for a larger picture
GROWTH = 1.3  # the seconds of a picture grow with its tokens to this power, in the forecast

Figures = dict[str, float]
Measured = dict[str, Figures]


class Job(NamedTuple):
    side: str
    threads: int
    tokens: int

    @property
    def key(self) -> str:
        return f"{self.side}, {self.threads} threads, {self.tokens} tokens"


def main() -> None:
    arguments = parser().parse_args()
    folder: Path = arguments.folder
    os.environ["ANYRES_CACHE"] = "off"
    make(folder, arguments.blocks)
    sides, missing = present(arguments)
    ended = time.monotonic() + 60 * arguments.minutes
    measured = load(folder)
    for job in jobs(sides, arguments.threads, arguments.tokens):
        if job.key in measured:
            continue
        reason = None if fits(job, measured, ended - time.monotonic()) else "no time left for it"
        reason = reason or measure(job, folder, arguments, measured, ended - time.monotonic())
        if reason is not None:
            missing.append(f"{job.key}: {reason}")
            print(missing[-1], flush=True)
    lines = report(measured, missing, command=" ".join(["python -m benchmarks.cpu_peers", *sys.argv[1:]]))
    print(lines)
    if arguments.write:
        write_section(lines)
        plot(measured, Path("docs/cpu-peers.png"))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--converter", type=Path)
    parser.add_argument("--converter-python", default=sys.executable, help="has torch, transformers and gguf")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=SIDES)
    parser.add_argument("--threads", nargs="*", type=int, default=THREADS)
    parser.add_argument("--tokens", nargs="*", type=int, choices=PICTURES, default=list(PICTURES))
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--blocks", type=int, help="fewer blocks than the 2B has, to try this file with")
    parser.add_argument("--write", action="store_true")
    return parser


def make(folder: Path, blocks: int | None) -> None:
    """Checkpoints and pictures, where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "benchmarks.cpu_side", "make", folder, *([] if blocks is None else [blocks]))
    for tokens in PICTURES:
        make_picture(folder, tokens)


def make_picture(folder: Path, tokens: int) -> None:
    size = PICTURES[tokens]
    noise = np.random.default_rng(tokens).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(picture(folder, tokens))


def picture(folder: Path, tokens: int) -> Path:
    return folder / f"picture-{tokens}.png"


def present(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The sides that can be measured here, and words about those that cannot."""
    sides, missing = [], []
    for side in arguments.sides:
        reason = None
        if side.startswith("llama.cpp"):
            reason = cpu_llama.prepare(side.split()[1], arguments)
        elif side.startswith("transformers"):
            asked = [sys.executable, "-c", "import transformers"]
            reason = (
                None if subprocess.run(asked, capture_output=True, check=False).returncode == 0 else "not installed"
            )
        if reason is None:
            sides.append(side)
        else:
            missing.append(f"{side}: {reason}")
            print(missing[-1], flush=True)
    return sides, missing


def jobs(sides: list[str], threads: list[int], tokens: list[int]) -> Iterator[Job]:
    for count, size in ORDER:
        if count in threads and size in tokens:
            yield from (Job(side, count, size) for side in sides if side != SLOW or size <= SLOW_TOKENS)


def fits(job: Job, measured: Measured, left_s: float) -> bool:
    """By what the side has taken for its largest picture; one that has taken none is tried."""
    known = [
        (tokens, row["whole_s"] * (job.tokens / tokens) ** GROWTH * threads / job.threads)
        for tokens in PICTURES
        for threads in THREADS
        if (row := measured.get(Job(job.side, threads, tokens).key)) is not None
    ]
    return max(known, default=(0, 0.0))[1] <= left_s


def measure(job: Job, folder: Path, arguments: argparse.Namespace, measured: Measured, left_s: float) -> str | None:
    """Puts the figures of one job into `measured` and its file; why not, where that failed."""
    started = time.monotonic()
    try:
        if job.side.startswith("llama.cpp"):
            figures = cpu_llama.measure(
                job.side.split()[1], picture(folder, job.tokens), job.threads, arguments, left_s
            )
        else:
            side = (job.side, str(folder), str(job.threads), str(picture(folder, job.tokens)))
            told = run(sys.executable, "-m", "benchmarks.cpu_side", *side, timeout_s=left_s)
            figures = json.loads(told.splitlines()[-1])
    except (RuntimeError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return f"failed: {str(error)[-600:]}"
    measured[job.key] = figures | {"whole_s": time.monotonic() - started}
    (folder / "measured.json").write_text(json.dumps(measured, indent=1))
    print(job.key, json.dumps({name: round(value, 3) for name, value in measured[job.key].items()}), flush=True)
    return None


def load(folder: Path) -> Measured:
    path = folder / "measured.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def run(*command: object, timeout_s: float | None = None) -> str:
    """Standard output; RuntimeError with the end of what it said where it failed."""
    words = [str(one) for one in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
