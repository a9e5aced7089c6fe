"""Samples a second of an evaluation: together, one by one, and by lmms-eval with the same model on the same rows.

    python -m benchmarks.evaluation [--rows 64] [--peer PYTHON]

PYTHON is an interpreter of an environment with lmms-eval, transformers and torchvision. The rows are drawn lines of
text, which the embedded checkpoint reads; everything is float32 and greedy, loading is not counted, records are synced.
Seconds are those of the processor, all threads together, and beside them those of the clock: a machine that others use
changes the second more than the first.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from anyres.chat import ImagePart, Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring, Settings
from anyres.evaluation.models.local import LocalModel
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.run.asking import Answering, Asker
from anyres.evaluation.run.record_file import read_records
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Reply, Sample
from anyres.model.hub import resolve

MAX_TOKENS = 32
QUESTION = "Read the text."
WORDS = ("river", "stone", "morning", "letter", "window", "garden", "silver", "market", "yellow", "travel", "paper")
# Qwen2-VL's own, as far as pictures and text need it.
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PEER_TASK = """
task: drawn_lines
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function peer_task.visual
doc_to_text: {question!r}
doc_to_target: gold
generation_kwargs: {{max_new_tokens: {tokens}, temperature: 0, do_sample: false}}
process_results: !function peer_task.results
metric_list:
  - metric: exact
    aggregation: mean
    higher_is_better: true
"""
PEER_CODE = """
from PIL import Image
def visual(doc):
    return [Image.open(doc["image"]).convert("RGB")]
def results(doc, results):
    return {"exact": float(results[0].strip() == doc["gold"])}
"""
PEER_MAIN = """
import json, sys, time
import lmms_eval.models.simple.qwen2_vl as module
from lmms_eval.__main__ import cli_evaluate
original, out = module.Qwen2_VL.generate_until, sys.argv.pop()
def timed(self, requests):
    started, begun = time.perf_counter(), time.process_time()
    answers = original(self, requests)
    seconds = time.process_time() - begun, time.perf_counter() - started
    ids = [int(one.args[3]) for one in requests]
    with open(out, "w") as file:
        json.dump({"seconds": seconds, "answers": [str(one) for one in answers], "ids": ids}, file)
    return answers
module.Qwen2_VL.generate_until = timed
cli_evaluate()
"""


class Seconds(NamedTuple):
    """Of the processor and of the clock."""

    cpu: float
    wall: float


def rows(folder: Path, count: int) -> list[Sample]:
    """Lines of two or three words in a font of matplotlib's, black on white."""
    font_path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    font, draw = ImageFont.truetype(str(font_path), 22), random.Random(1)
    made = []
    for number in range(count):
        text = " ".join(draw.sample(WORDS, draw.choice((2, 3))))
        left, top, right, bottom = font.getbbox(text)
        picture = Image.new("RGB", (int(right - left) + 16, 42), "white")
        ImageDraw.Draw(picture).text((8 - left, 20 - (top + bottom) / 2), text, fill="black", font=font)
        path = folder / f"{number}.png"
        picture.save(path)
        made.append(Sample(str(number), QUESTION, media=(ImagePart(path),), golds=(text,)))
    return made


def benchmark() -> Benchmark:
    """Right is what is read without a mistake."""

    def extract(reply: Reply, sample: Sample) -> Extraction:
        del sample
        return Extraction(reply.text.strip(), "whole")

    def summarise(graded: "list[Graded] | tuple[Graded, ...]") -> dict[str, float]:
        return {"exact": 100 * sum(one.score for one in graded) / max(1, len(graded))}

    exact = Scoring("official", 1, extract, lambda one, sample: float(one.value in sample.golds), summarise)  # type: ignore[arg-type]
    return Benchmark(
        "Lines",
        "Drawn lines",
        "none",
        read=lambda _: (),
        prompt=lambda sample: (Message("user", (*sample.media, TextPart(sample.question))),),
        scorings=(exact,),
        settings=Settings(max_tokens=MAX_TOKENS),
    )


def ours(samples: list[Sample], folder: Path, at_once: int) -> tuple[Seconds, dict[str, str]]:
    """Seconds of a whole task, from the first question to the last record on the disk, and the answers."""
    spec = ModelSpec("tiny", "tiny", dtype="float32", at_once=at_once)
    model = LocalModel(spec)
    warm = Task(benchmark(), (Sample("warm", "Hello."),), spec, folder / f"warm{at_once}")
    Asker(Answering(warm), model).run(warm.asked)
    task = Task(benchmark(), tuple(samples), spec, folder / f"run{at_once}")
    started, begun = time.perf_counter(), time.process_time()
    Asker(Answering(task), model).run(task.asked)
    seconds = Seconds(time.process_time() - begun, time.perf_counter() - started)
    model.close()
    return seconds, {name: one.raw.strip() for name, one in read_records(task.path).items()}


def peer(samples: list[Sample], folder: Path, python: str, batch: int) -> tuple[Seconds, dict[str, str]]:
    """The same of lmms-eval's `generate_until`."""
    checkpoint, task = folder / "checkpoint", folder / "peer"
    if not checkpoint.exists():
        shutil.copytree(resolve("tiny"), checkpoint)
        config = json.loads((checkpoint / "config.json").read_text())
        (checkpoint / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32"}))
        (checkpoint / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    task.mkdir(exist_ok=True)
    listed = [{"image": str(one.media[0].image), "gold": one.golds[0]} for one in samples]  # type: ignore[union-attr]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, listed)))
    held = {"rows": folder / "rows.jsonl", "question": QUESTION, "tokens": MAX_TOKENS}
    (task / "drawn_lines.yaml").write_text(PEER_TASK.format(**held))
    (task / "peer_task.py").write_text(PEER_CODE)
    (folder / "peer_main.py").write_text(PEER_MAIN)
    out = folder / f"peer{batch}.json"
    config = json.loads((checkpoint / "preprocessor_config.json").read_text())
    pixels = f"min_pixels={config['min_pixels']},max_pixels={config['max_pixels']}"
    model = f"pretrained={checkpoint},device=cpu,device_map=cpu,{pixels}"
    command = [python, str(folder / "peer_main.py"), "--model", "qwen2_vl", "--model_args", model]
    command += ["--tasks", "drawn_lines", "--include_path", str(task), "--batch_size", str(batch), str(out)]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=folder, check=False)
    if not out.exists():
        raise SystemExit(f"lmms-eval failed:\n{done.stderr[-3000:]}")
    read = json.loads(out.read_text())
    return Seconds(*read["seconds"]), {
        str(name): text.strip() for name, text in zip(read["ids"], read["answers"], strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--peer", help="an interpreter with lmms-eval")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = rows(folder, given.rows)
        print(f"| {given.rows} rows | samples a CPU second | a second | right | as one by one |\n|---|---|---|---|---|")
        base: dict[str, str] = {}
        for at_once in (1, 32):
            seconds, answers = ours(samples, folder, at_once)
            base = base or answers
            show(f"anyres, {at_once} at once", samples, seconds, answers, base)
        for batch in (1, 8) if given.peer else ():
            seconds, answers = peer(samples, folder, given.peer, batch)
            show(f"lmms-eval, batches of {batch}", samples, seconds, answers, base)


def show(what: str, samples: list[Sample], seconds: Seconds, answers: dict[str, str], base: dict[str, str]) -> None:
    right = sum(answers[one.id] in one.golds for one in samples)
    same = sum(answers[name] == text for name, text in base.items())
    count = len(samples)
    line = f"| {what} | {count / seconds.cpu:.2f} | {count / seconds.wall:.2f} | {right} | {same} |"
    print(line, flush=True)


if __name__ == "__main__":
    main()
