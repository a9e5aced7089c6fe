"""What caches save: a 20-minute clip asked about twice and after a restart, hit rates, live video, and how far
estimates are from what happens.

`python benchmarks/caches.py [--minutes 20] [--only clip|hits|live|estimate]` runs the embedded checkpoint in fresh
processes, which write to a temporary cache.
"""

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from long_video import write_clip
from PIL import Image

QUESTIONS = ("Does anything move?", "What colour is there?", "What came first?")
ANSWER_TOKENS = 8
PICTURES, ASKED = 30, 200  # of the hit rates: so many questions about so many pictures, some far more often
FRAMES = 120  # of live video
EXAMPLES = Path(__file__).parents[1] / "examples"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def options() -> Any:
    from anyres import GenerationOptions

    return GenerationOptions(max_tokens=ANSWER_TOKENS, temperature=0.0)


def ask_clip(path: Path, folder: Path, label: str) -> None:
    """Three questions, one after the other, in this process. Frames are as large as for the published checkpoints."""
    import anyres
    from anyres.config import ImageProcessorConfig

    model = anyres.load(dtype="float32", cache=folder)
    model.processor = replace(model.processor, image_config=ImageProcessorConfig())
    loaded_mb = peak_mb()
    for number, question in enumerate(QUESTIONS, 1):
        began, began_cpu = time.perf_counter(), time.process_time()
        stream = model.stream(None, question, video=path, options=options())
        next(stream, None)
        first_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
        answer = [*stream, stream.answer][-1]
        assert answer is not None
        usage, spent = answer.usage, answer.timings
        print(
            f"{label}, question {number}: first word after {first_s:.2f} s, {cpu_s:.2f} of CPU time "
            f"(open {spent.prepare_s:.2f}, see {spent.encode_s:.2f}, read {spent.prefill_s:.2f}); "
            f"{usage.video_tokens:,} visual tokens; {usage.cached_tokens:,} of the prompt and "
            f"{usage.cached_visual_tokens:,} visual ones from caches; "
            f"peak {peak_mb():.0f} MiB ({loaded_mb:.0f} after loading)",
            flush=True,
        )
    model.processor.cache.flush()


def clip(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name) / "cache", Path(name) / "long.mp4"
        write_clip(path, minutes=minutes, fps=25)
        for label in ("first program", "second program"):
            again("--ask-clip", str(path), str(folder), label)
        print(f"clip {path.stat().st_size / 2**20:.0f} MiB; on disk {sizes(folder)}")
        for entry in folder.glob("*.vision"):
            entry.unlink()
        again("--ask-clip", str(path), str(folder), "third program, frames known and visual tokens not")


def again(*arguments: str) -> None:
    subprocess.run([sys.executable, __file__, *arguments], check=True)


def sizes(folder: Path) -> str:
    from anyres.disk_cache import DiskCache

    kinds: dict[str, int] = {}
    for entry in DiskCache(folder).entries():
        kinds[entry.kind] = kinds.get(entry.kind, 0) + entry.bytes
    return ", ".join(f"{kind} {count / 2**20:.1f} MiB" for kind, count in sorted(kinds.items()))


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (112, 168, 3), dtype=np.uint8)) for _ in range(PICTURES)]


def asked() -> list[tuple[int, str]]:
    """Which picture is asked about next: the n-th of them 1/n as often as the first, and what."""
    rng = random.Random(0)
    weights = [1 / (number + 1) for number in range(PICTURES)]
    numbers = rng.choices(range(PICTURES), weights, k=ASKED)
    return [(number, f"What is {rng.randrange(1000)}?") for number in numbers]


def hits() -> None:
    """Shares of questions whose picture was known, by the size of the cache; the prefix cache is off."""
    import anyres
    from anyres.disk_cache import DiskCache
    from anyres.engine.vision_cache import VisionCache, cache_on

    plain = anyres.load(dtype="float32")
    for share in (1.0, 0.5, 0.25):
        with tempfile.TemporaryDirectory() as name:
            entry = plain.encode(pictures()[0]).visual_MD
            assert entry is not None
            room = int(share * PICTURES * entry.nbytes)
            rates = []
            for caches in (VisionCache(room), cache_on(DiskCache(Path(name)), plain.model, max_bytes=0), None):
                cache = caches or cache_on(DiskCache(Path(name)), plain.model, max_bytes=0)
                rates.append(rate(plain, cache))
            print(
                f"memory for {share:.0%} of {PICTURES} pictures: {rates[0]:.0%} of {ASKED} questions found theirs; "
                f"disk alone, empty at first: {rates[1]:.0%}; after a restart {rates[2]:.0%}"
            )


def rate(model: Any, cache: Any) -> float:
    made = pictures()
    visuals = [model.processor.prepare(question(one)).visuals[0] for one in made]
    for number, _ in asked():
        key = visuals[number].content_key
        if cache.get(key) is None:
            cache.put(key, model.encode(made[number]).visual_MD)
            if cache.disk is not None:
                cache.disk.flush()
    return float(cache.stats.hits / ASKED)


def question(picture: Any) -> Any:
    from anyres import ImagePart, Message

    return [Message("user", (ImagePart(picture),))]


def live() -> None:
    """A frame pair more, and a question, against a fresh pass over the same frames."""
    import anyres
    from anyres.engine.live import LiveVideo
    from anyres.engine.options import EngineOptions

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (FRAMES, 224, 224, 3), dtype=np.uint8)
    model = anyres.load(dtype="float32")
    video = LiveVideo(model, max_pairs=40, leave=10, resized_height=224, resized_width=224)
    nothing = anyres.load(dtype="float32", engine=EngineOptions(prefix_bytes=0))
    nothing.vision_cache._max_bytes = 0
    added, asked_s, fresh_s, same = [], [], [], 0
    for number, frame in enumerate(frames):
        began = time.perf_counter()
        video.add(frame, read_ahead=number % 2 == 1)
        added.append(time.perf_counter() - began)
        if number % 10 == 9:
            told = []
            for times, one in ((asked_s, model), (fresh_s, nothing)):
                began = time.perf_counter()
                stream = one.stream(None, "Does anything move?", video=video.clip, options=options())
                next(stream, None)
                times.append(time.perf_counter() - began)
                told.append("".join(piece.text for piece in stream))
            same += told[0] == told[1]
    print(
        f"live video, 64 tokens a pair, window of 40 pairs, {FRAMES} frames: a pair read ahead in "
        f"{statistics.median(added[1::2]) * 1e3:.0f} ms (slowest {max(added[1::2]) * 1e3:.0f}); question: first word "
        f"{statistics.median(asked_s) * 1e3:.0f} ms, without caches {statistics.median(fresh_s) * 1e3:.0f} ms; "
        f"{same} of {len(fresh_s)} answers the same"
    )


def estimates() -> None:
    """Every picture and clip of the examples, at several sizes: what is told before, and what it takes."""
    import torch

    import anyres
    from anyres.engine.checkpoint import choose_compute
    from anyres.engine.estimate import count_work, estimate
    from anyres.engine.options import EngineOptions
    from anyres.engine.speed import known_speed

    for dtype in (torch.float32, torch.bfloat16):
        model = anyres.load(dtype=dtype, engine=EngineOptions(prefix_bytes=0))
        model.vision_cache._max_bytes = 0
        cpu, errors = torch.device("cpu"), dict[str, list[float]]()
        rows = []
        for words, asked_about in items():
            speed = known_speed(model.config, device=cpu, dtype=dtype, compute=choose_compute(cpu))
            prompt = model.processor.prepare(asked_about)
            work = count_work(
                model.config, [one.grid_thw for one in prompt.visuals], len(prompt.token_ids_T), dtype=dtype
            )
            told = estimate(work, speed)
            spent = [model.chat(asked_about, options=options()) for _ in range(3)]
            seen = {
                "encode_s": min(one.timings.encode_s for one in spent),
                "prefill_s": min(one.timings.prefill_s for one in spent),
                "token_s": min(one.timings.decode_s / max(1, one.usage.completion_tokens - 1) for one in spent),
            }
            for name, seconds in seen.items():
                if seconds:
                    errors.setdefault(name, []).append(getattr(told, name) / seconds - 1)
            pairs = "; ".join(f"{name} {getattr(told, name):.3f} ({seen[name]:.3f})" for name in seen)
            rows.append(f"  {words}, {len(prompt.token_ids_T):,} tokens: {pairs}")
        print(f"{str(dtype).removeprefix('torch.')}: told before (measured)")
        print("\n".join(rows))
        for name, found in errors.items():
            median = statistics.median(abs(one) for one in found)
            print(f"  {name}: median error {median:.0%}, from {min(found):+.0%} to {max(found):+.0%}")


def items() -> Iterator[tuple[str, Any]]:
    from anyres import ImagePart, Message, TextPart, VideoPart

    ask = TextPart("What is it?")
    for side in (84, 224, 448, 896):
        picture = Image.effect_noise((side, side), 50).convert("RGB")
        part = ImagePart(picture, resized_height=side, resized_width=side, max_pixels=None)
        yield f"picture {side}x{side}", [Message("user", (part, ask))]
    for path in sorted(EXAMPLES.glob("*.png")):
        yield path.name, [Message("user", (ImagePart(path), ask))]
    for path in sorted((EXAMPLES / "clips").glob("sign*")):
        yield path.name, [Message("user", (VideoPart(path), ask))]


STEPS: dict[str, Any] = {"hits": hits, "live": live, "estimate": estimates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--only", choices=["clip", *STEPS])
    parser.add_argument("--ask-clip", nargs=3, metavar="X")
    chosen = parser.parse_args()
    if chosen.ask_clip is not None:
        path, folder, label = chosen.ask_clip
        ask_clip(Path(path), Path(folder), label)
        return
    if chosen.only in (None, "clip"):
        clip(chosen.minutes)
    for name, step in STEPS.items():
        if chosen.only in (None, name):
            step()


if __name__ == "__main__":
    main()
