"""32 questions about real pictures and clips at once, through the public names, say what each says alone.

With caches and without, in small pieces, with guesses, and in another program that finds what this one has seen.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.options import EngineOptions
from anyres.engine.scheduler import Limits
from anyres.engine.vision_cache import VisionCache
from anyres.kernels.library import best_isa

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "examples").glob("*.png"))
CLIPS = sorted(path for path in (ROOT / "examples" / "clips").iterdir() if path.suffix in (".mkv", ".mp4"))
QUESTIONS = ("Read the text.", "Does anything move?", "How many words are there? Count them one by one.")
GREEDY = GenerationOptions(max_tokens=12, temperature=0.0, stop_loops=False, logprobs=1)
PIECES = Limits(running=6, step_tokens=33, step_patches=64, busy_step_tokens=17, busy_step_patches=32)
WAYS = {
    "as it comes": EngineOptions(),
    "nothing kept": EngineOptions(prefix_bytes=0),
    "in small pieces": EngineOptions(PIECES),
    "in small pieces, nothing kept, no guesses": EngineOptions(PIECES, prefix_bytes=0, guesses=0),
}
OTHER_PROGRAM = "import sys; from tests.engine.test_crowd import ask_again; ask_again(sys.argv[1])"

Told = list[tuple[str, list[tuple[str, float]]]]


def conversations() -> list[list[Message]]:
    """Some about the same picture or clip, some with both, some with an answer before."""
    found = []
    for number in range(32):
        picture = ImagePart(PICTURES[number % len(PICTURES)])
        clip = VideoPart(CLIPS[number // 4 % 2], nframes=4 + 2 * (number % 2), max_pixels=28 * 28 * 12)
        seen = ((picture,), (clip,), (picture, clip), (picture, ImagePart(PICTURES[0])))[number % 4]
        messages = [Message("user", (*seen, TextPart(QUESTIONS[number % 3])))]
        if number % 5 == 0:
            messages += [Message("assistant", "yes"), Message("user", f"And {number}?")]
        found.append(messages)
    return found


def new_model(options: EngineOptions, *, cache: Path | bool = False) -> LocalChatModel:
    """Never ends by itself: its own answers have five tokens or so."""
    made = load(device="cpu", dtype="float32", cache=cache)
    defaults = replace(made.defaults, eos_token_ids=frozenset())
    return LocalChatModel(
        made.model,
        made.processor,
        defaults=defaults,
        engine=options,
        vision_cache=made.vision_cache if cache else VisionCache(0),
    )


def told(answers: list[Answer]) -> Told:
    """Text, and every token with its logprob: bit for bit where the kernels promise that."""
    digits = 17 if best_isa() is not None else 3
    return [(one.text, [(token.text, round(token.logprob, digits)) for token in one.logprobs or ()]) for one in answers]


def together(model: LocalChatModel) -> Told:
    """From as many threads."""
    asked = conversations()
    with ThreadPoolExecutor(len(asked)) as pool:
        return told(list(pool.map(lambda messages: model.chat(messages, options=GREEDY), asked)))


@pytest.fixture(scope="module", params=[1, 2], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """With two, products of other shapes take other ways through MKL."""
    before, count = torch.get_num_threads(), int(request.param)
    torch.set_num_threads(count)
    yield count
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(threads: int) -> Told:
    del threads
    model = new_model(EngineOptions(prefix_bytes=0, guesses=0))
    found = told([model.chat(messages, options=GREEDY) for messages in conversations()])
    assert len({text for text, _ in found}) > 12
    assert all(len(tokens) == 12 for _, tokens in found)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_32_together_answer_as_one_by_one(alone: Told, way: str) -> None:
    model = new_model(WAYS[way])
    assert together(model) == alone
    assert (model.stats.idle_blocks > 0) == ("nothing kept" not in way)


def test_after_a_restart(alone: Told, tmp_path: Path, threads: int) -> None:
    """The second program sees no picture and decodes no clip, and says the same."""
    first = new_model(EngineOptions(), cache=tmp_path)
    assert together(first) == alone
    assert first.vision_cache.disk is not None
    first.vision_cache.disk.flush()
    command = [sys.executable, "-c", OTHER_PROGRAM, str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    found, missed = json.loads(done.stdout)
    assert [(text, [tuple(token) for token in tokens]) for text, tokens in found] == alone
    assert missed == 0


def ask_again(folder: str) -> None:
    """What the second program does."""
    model = new_model(EngineOptions(), cache=Path(folder))
    found = together(model)
    disk = model.vision_cache.disk
    assert disk is not None
    print(json.dumps([found, disk.stats.misses]))
