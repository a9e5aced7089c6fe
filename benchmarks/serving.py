"""`anyres serve` under load with the embedded checkpoint, beside another server of the same checkpoint.

    python -m benchmarks.serving                                     # ours alone
    python -m benchmarks.serving --peer http://127.0.0.1:8765 --peer-name "vLLM 0.32"

Starts `anyres serve` and asks it and the peer in turn, with streams of 32 tokens that may not end early: at 1, 8, 32
and 128 clients requests a second and the time to the first token. Ours alone: seconds from the command to the first
answer, whether 32 streams together say what each says alone, how soon a client that leaves is gone, how soon one too
many is refused, what 2,000 requests leave in memory, and how long SIGTERM takes with 8 answers under way.
"""

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import psutil

TOKENS = 32
CLIENTS = (1, 8, 32, 128)
WORDS = ("apple", "bridge", "cloud", "door", "engine", "flower", "glass", "house")


def body(number: int, **fields: Any) -> dict[str, Any]:
    """Every prompt another one, so that no cache answers."""
    words = " ".join(WORDS[(number >> shift) % 8] for shift in (0, 3, 6, 9, 12))
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"{number}: say something about {words}."}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stop_loops": False,
        **fields,
    }


class Timed(NamedTuple):
    """One stream: seconds to the first words and to the end, and what was said."""

    first_s: float
    whole_s: float
    text: str


async def stream(client: httpx.AsyncClient, url: str, asked: dict[str, Any]) -> Timed:
    began, first, said = time.perf_counter(), 0.0, []
    async with client.stream("POST", f"{url}/v1/chat/completions", json={**asked, "stream": True}) as reply:
        reply.raise_for_status()
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                if choice["delta"].get("content"):
                    first = first or time.perf_counter() - began
                    said.append(choice["delta"]["content"])
    whole = time.perf_counter() - began
    return Timed(first or whole, whole, "".join(said))


def asking() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=300)


class Load(NamedTuple):
    """What so many clients got, each asking again as soon as it is answered."""

    requests: int
    seconds: float
    first_s: list[float]

    def told(self) -> str:
        ordered = sorted(self.first_s)
        middle, high = statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return f"{self.requests / self.seconds:.1f} | {1000 * middle:.0f} | {1000 * high:.0f}"


async def load(url: str, clients: int, seconds: float, *, start: int) -> Load:
    found: list[Timed] = []
    number = start
    async with asking() as client:
        ends = time.perf_counter() + seconds

        async def work() -> None:
            nonlocal number
            while time.perf_counter() < ends:
                number += 1
                found.append(await stream(client, url, body(number)))

        began = time.perf_counter()
        await asyncio.gather(*[work() for _ in range(clients)])
        return Load(len(found), time.perf_counter() - began, [one.first_s for one in found])


@contextmanager
def served(*options: str) -> Iterator[tuple[str, subprocess.Popen[str], float]]:
    """Our server in a process of its own: its address, and the seconds from the command to the first answer."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "anyres.cli", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "is served at" in line:
            break
    url = line.split(" is served at ")[1].split("/v1")[0]
    httpx.post(f"{url}/v1/chat/completions", json=body(0, max_tokens=1), timeout=60).raise_for_status()
    cold_s = time.perf_counter() - began
    drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    try:
        yield url, process, cold_s
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(40)
        drain.wait()
        process.stderr.close()


async def together_as_alone(url: str) -> str:
    async with asking() as client:
        alone = [(await stream(client, url, body(number))).text for number in range(32)]
        together = await asyncio.gather(*[stream(client, url, body(number)) for number in range(32)])
    same = sum(one == other.text for one, other in zip(alone, together, strict=True))
    return f"{same} of 32 streams together say what they say alone"


async def idle(client: httpx.AsyncClient, url: str) -> bool:
    text = (await client.get(f"{url}/metrics")).text
    return "anyres:num_requests_running 0.0" in text and "anyres:num_requests_waiting 0.0" in text


async def leaving(url: str) -> str:
    """From the end of the connection to a server that says it is idle, 20 times."""
    took = []
    async with asking() as client, asking() as watch:
        for number in range(20):
            asked = body(number, max_tokens=1500, stream=True)
            async with client.stream("POST", f"{url}/v1/chat/completions", json=asked) as reply:
                await anext(reply.aiter_lines())
            began = time.perf_counter()
            while not await idle(watch, url):
                await asyncio.sleep(0.002)
            took.append(time.perf_counter() - began)
    return f"a client that leaves is gone after {1000 * statistics.median(took):.0f} ms, {1000 * max(took):.0f} at most"


async def refusing(url: str) -> str:
    """One too many, 200 times, at a server whose only place and line are taken."""
    took, statuses = [], set()
    async with asking() as client:
        held = [asyncio.create_task(stream(client, url, body(number, max_tokens=1900))) for number in range(2)]
        await asyncio.sleep(0.3)
        for number in range(200):
            began = time.perf_counter()
            reply = await client.post(f"{url}/v1/chat/completions", json=body(number))
            took.append(time.perf_counter() - began)
            statuses.add(reply.status_code)
        for one in held:
            one.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    took.sort()
    return f"one too many gets {statuses} after {1000 * statistics.median(took):.1f} ms, {1000 * took[-1]:.1f} at most"


async def remembering(url: str, process: int, count: int) -> str:
    """Memory before and after so many requests, the first half of which fills the caches."""
    server = psutil.Process(process)
    done = 0
    async with asking() as client:

        async def work(until: int) -> None:
            nonlocal done
            while done < until:
                done += 1
                reply = await client.post(f"{url}/v1/chat/completions", json=body(done, max_tokens=4))
                reply.raise_for_status()

        sizes = []
        for quarter in range(1, 5):
            await asyncio.gather(*[work(count * quarter // 4) for _ in range(16)])
            sizes.append(server.memory_info().rss / 1e6)
    slope = (sizes[3] - sizes[1]) / (count / 2000)
    told = " ".join(f"{size:.1f}" for size in sizes)
    return f"memory after each quarter of {count:,} requests: {told} MB; {slope:+.2f} MB a thousand in the second half"


async def going_down(url: str, process: subprocess.Popen[str]) -> str:
    async with asking() as client:
        asked = [asyncio.create_task(stream(client, url, body(number, max_tokens=200))) for number in range(8)]
        await asyncio.sleep(0.3)
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        whole = await asyncio.gather(*asked)
        while process.poll() is None:
            await asyncio.sleep(0.01)
    took = time.perf_counter() - began
    right = sum(len(one.text) > 0 for one in whole)
    return f"SIGTERM with 8 answers under way: {right} whole, ended after {took:.1f} s with {process.returncode}"


def compare(ours: str, peer: str | None, name: str, seconds: float) -> None:
    print("| clients | | requests/s | first token, ms: median | 95 % |\n|---|---|---|---|---|", flush=True)
    number = 10_000
    for clients in CLIENTS:
        for label, url in (("anyres", ours), (name, peer)):
            if url is None:
                continue
            asyncio.run(load(url, clients, seconds / 4, start=number))
            found = asyncio.run(load(url, clients, seconds, start=number + 50_000))
            number += 100_000
            print(f"| {clients} | {label} | {found.told()} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="address of another server of the same checkpoint, without /v1")
    parser.add_argument("--peer-name", default="peer")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--requests", type=int, default=2000, help="for the measurement of memory")
    parser.add_argument("--only", choices=("compare", "alone", "memory"))
    arguments = parser.parse_args()
    if arguments.only in (None, "alone"):
        with served("--max-running", "1", "--max-queue", "1") as (url, _, _):
            print(asyncio.run(refusing(url)), flush=True)
    with served("--max-queue", "256") as (url, process, cold_s):
        print(f"first answer {cold_s:.1f} s after the command", flush=True)
        if arguments.only in (None, "alone"):
            for measured in (together_as_alone, leaving):
                print(asyncio.run(measured(url)), flush=True)
        if arguments.only in (None, "compare"):
            compare(url, arguments.peer, arguments.peer_name, arguments.seconds)
        if arguments.only in (None, "memory"):
            print(asyncio.run(remembering(url, process.pid, arguments.requests)), flush=True)
        if arguments.only in (None, "alone"):
            print(asyncio.run(going_down(url, process)), flush=True)


if __name__ == "__main__":
    main()
