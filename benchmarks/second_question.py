"""The second question about a picture, also after a restart: ours in int4, llama-server in Q4_0, and transformers.

    python -m benchmarks.second_question --folder /tmp/2b [--llama BIN] [--sides ...] [--tokens 888] [--threads 2]

`--folder` holds the checkpoints of benchmarks/cpu_peers.py. Each side is a program of its own, asked two questions
about one picture, ended, started again and asked a third one; all are of the same length, and the time is that from the
question to the first token of its answer, the picture's file opened anew each time. Ours is asked once with the picture
pinned (`model.pin`) and once with its visual tokens on disk only. llama-server has its cache of prompts in memory
and nothing for pictures on disk. transformers keeps nothing between two calls of `generate`: it is asked once.
Beside each time is that of the processor, which a machine that others use at the same time changes less.
"""

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cpu_peers import make_picture, picture

QUESTIONS = ("What is in this picture here?", "What is in that corner there?", "What is on the left hand side?")
LARGEST = 4096 * 784  # pixels of a picture
SIDES = ("int4", "llama-server", "transformers bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--kind", default="Q4_0")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--tokens", type=int, default=888)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inside", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        answer(arguments, *arguments.inside)
        return
    make_picture(arguments.folder, arguments.tokens)
    for side in arguments.sides:
        if side == "int4":
            ours(arguments)
        elif side == "llama-server":
            llama(arguments)
        else:
            program(arguments, side)


def ours(arguments: argparse.Namespace) -> None:
    for way in ("pinned", "visual tokens on disk"):
        with tempfile.TemporaryDirectory() as folder:
            for round_ in ("first", "restarted"):
                program(arguments, "int4", way, round_, folder)


def program(arguments: argparse.Namespace, *inside: str) -> None:
    command = [sys.executable, "-m", "benchmarks.second_question", "--folder", str(arguments.folder)]
    command += ["--tokens", str(arguments.tokens), "--threads", str(arguments.threads), "--inside", *inside]
    subprocess.run(command, check=True)


class Watch:
    """Seconds since it was made, and those of the processor, of this process or of another."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._started, self._cpu = time.perf_counter(), self._cpu_s()

    def tell(self, side: str, words: str, note: str = "") -> None:
        seconds, cpu_s = time.perf_counter() - self._started, self._cpu_s() - self._cpu
        print(f"| {side} | {words} | {seconds:.2f} s | {cpu_s:.2f} s | {note} |", flush=True)

    def _cpu_s(self) -> float:
        if self._pid is None:
            return time.process_time()
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answer(arguments: argparse.Namespace, side: str, *rest: str) -> None:
    """In a process of its own."""
    import torch

    torch.set_num_threads(arguments.threads)
    seen = picture(arguments.folder, arguments.tokens)
    if side == "int4":
        with_ours(arguments.folder, seen, *rest)
    else:
        with_transformers(arguments.folder, seen, getattr(torch, side.split()[1]))


def with_ours(folder: Path, seen: Path, way: str, round_: str, cache: str) -> None:
    import anyres
    from anyres.chat import GenerationOptions, ImagePart, Message

    watch = Watch()
    model = anyres.load(folder / "int4", cache=cache)
    watch.tell(f"anyres int4, {way}", f"{round_}: opened")
    if way == "pinned" and round_ == "first":
        watch = Watch()
        pin = model.pin([Message("user", [ImagePart(seen, max_pixels=LARGEST)])])
        assert pin is not None
        watch.tell(f"anyres int4, {way}", "first: picture seen, read and kept")
    options = GenerationOptions(max_tokens=1, temperature=0.0)
    for number, question in enumerate(QUESTIONS[:2] if round_ == "first" else QUESTIONS[2:], 1):
        watch = Watch()
        told = model.ask(seen, question, options=options, max_pixels=LARGEST)
        usage, timings = told.usage, told.timings
        note = (
            f"{usage.cached_tokens} of {usage.prompt_tokens} tokens known, {usage.cached_visual_tokens} visual ones; "
            f"opened {timings.prepare_s:.2f}, seen {timings.encode_s:.2f}, read {timings.prefill_s:.2f} s"
        )
        watch.tell(f"anyres int4, {way}", f"{round_}: question {number}", note)
    assert model.vision_cache.disk is not None
    model.vision_cache.disk.flush()


def with_transformers(folder: Path, seen: Path, dtype: object) -> None:
    import torch
    from transformers import Qwen2VLForConditionalGeneration as Original

    from anyres.chat import ImagePart, Message, TextPart
    from anyres.processing.processor import Processor
    from tests.oracle import original_inputs

    processor = Processor.from_folder(folder / "dense")
    model = Original.from_pretrained(folder / "dense", dtype=dtype).eval()
    watch = Watch()
    parts = [ImagePart(seen, max_pixels=LARGEST), TextPart(QUESTIONS[0])]
    inputs = original_inputs([processor.prepare([Message("user", parts)])])
    with torch.no_grad():
        model.generate(**inputs, max_new_tokens=1, do_sample=False)
    watch.tell(f"transformers {str(dtype)[6:]}", "each question")


def llama(arguments: argparse.Namespace) -> None:
    if arguments.llama is None or not (arguments.llama / "llama-server").exists():
        print("llama-server: --llama names no folder with it")
        return
    seen = picture(arguments.folder, arguments.tokens)
    for round_, questions in (("first", QUESTIONS[:2]), ("restarted", QUESTIONS[2:])):
        with llama_server(arguments) as (address, pid):
            for number, question in enumerate(questions, 1):
                watch = Watch(pid)
                note = asked_of(address, seen, question)
                watch.tell(f"llama-server {arguments.kind}", f"{round_}: question {number}", note)


@contextmanager
def llama_server(arguments: argparse.Namespace) -> Iterator[tuple[str, int]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [
        arguments.llama / "llama-server", "-m", arguments.folder / f"lm-{arguments.kind}.gguf", "--mmproj",
        arguments.folder / "mmproj-f16.gguf", "--host", "127.0.0.1", "--port", port, "-t", arguments.threads,
        "-c", 8192, "-np", 1, "--no-warmup", "--image-max-tokens", 4096,
    ]  # fmt: skip
    with subprocess.Popen(
        [str(one) for one in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            while not is_ready(address):
                assert server.poll() is None, "llama-server has ended"
                time.sleep(0.05)
            yield address, server.pid
        finally:
            server.terminate()


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def asked_of(address: str, seen: Path, question: str) -> str:
    """An answer of one token; what the server says of its cache."""
    data = base64.b64encode(seen.read_bytes()).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "text", "text": question},
    ]
    body = {"messages": [{"role": "user", "content": parts}], "max_tokens": 1, "temperature": 0}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        told = json.load(reply)
    timings = told.get("timings", {})
    return f"{timings.get('cache_n', '?')} tokens known, {timings.get('prompt_n', '?')} read"


if __name__ == "__main__":
    main()
