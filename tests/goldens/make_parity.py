"""Writes the golden numbers of `anyres verify` with the original programs: qwen-vl-utils 0.0.8 and transformers 4.57.6.

Run it from the project's root in an environment of its own that has qwen-vl-utils==0.0.8, transformers==4.57.6,
torchvision, av and what anyres needs; --ranks names the qwen.tiktoken of dashscope 1.20.14:

    python tests/goldens/make_parity.py                               # anyres/parity/goldens/*.npz
    python tests/goldens/make_parity.py --checkpoint FOLDER           # FOLDER/golden.npz
    python tests/goldens/make_parity.py --checkpoint FOLDER --picture line.png --question "Read the text."

Pictures, weights and conversations come from anyres/parity/cases.py; every number from the originals.
"""

import argparse
import contextlib
import hashlib
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

with contextlib.suppress(ImportError):
    import torchvision_cpu  # noqa: F401  makes the CUDA build of torchvision importable beside a CPU build of torch

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from qwen_vl_utils import vision_process
from transformers import AutoTokenizer, Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from make_vision import NONE, frame_choice, sizes  # noqa: E402

from anyres.model.qwen2vl import Qwen2VL  # noqa: E402
from anyres.model.weights import save_model  # noqa: E402
from anyres.parity import cases  # noqa: E402
from anyres.parity.goldens import CHECKPOINT_GOLDEN, SHIPPED, ragged  # noqa: E402
from anyres.parity.processing_checks import vocabulary_fingerprint  # noqa: E402
from anyres.processing.tokenizer import Tokenizer  # noqa: E402
from recipes.tiny.vocabulary import CHAT_TEMPLATE, default_ranks_file, write_tokenizer  # noqa: E402

VOCABULARIES = {"qwen2": None, "tiny": 2048}  # ranks kept
SPECIAL = {"start": "<|vision_start|>", "end": "<|vision_end|>", "image": "<|image_pad|>", "video": "<|video_pad|>"}
ANSWER_TOKENS = 12
LOGIT_ROWS = 4  # of a checkpoint's own prompt, its last ones


def processing() -> dict[str, np.ndarray]:
    """Sizes, frame choices and patches."""
    rng = random.Random(20250107)
    size_rows = [row for row in sizes(rng, 700) if 0 not in row[4:]]  # 0.0.8 lets a side become 0; anyres does not
    choice, indices = frame_choice(rng, 260)
    taken = [int(row[-1]) for row in choice]
    starts = np.cumsum([0, *(max(count, 0) for count in taken)])
    kept = [i for i, row in enumerate(choice) if taken[i] != NONE or row[5] == NONE]  # 0.0.8 raises for max > total
    kept = [i for i in kept if taken[i] <= 200]
    frames = ragged("frame_indices", [indices[starts[i] : starts[i] + max(taken[i], 0)] for i in kept])
    return {"sizes": np.array(size_rows, dtype=np.int32), "frame_choice": choice[kept], **frames, **patches()}


def patches() -> dict[str, np.ndarray]:
    processor = Qwen2VLImageProcessor(min_pixels=4 * 28 * 28, max_pixels=16384 * 28 * 28)
    grids, sums, samples = [], [], []
    for case in cases.PICTURES:
        pixels, grid = patched(processor, cases.formula_picture(case))
        grids.append(grid)
        sums.append(np.frombuffer(hashlib.sha256(pixels.tobytes()).digest(), dtype=np.uint8))
        samples.append(cases.sampled(pixels))
    return {"grids": np.array(grids), "patch_sums": np.array(sums), "patch_samples": np.array(samples)}


def patched(processor: Qwen2VLImageProcessor, picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """pixel_values and grid_thw; see-through parts on white, as qwen-vl-utils does since 0.0.9."""
    if "A" in picture.getbands():
        rgba = picture.convert("RGBA")
        picture = Image.new("RGB", rgba.size, (255, 255, 255))
        picture.paste(rgba, mask=rgba.split()[3])
    fetched = vision_process.fetch_image({"image": picture})
    out = processor(images=[fetched], return_tensors="np")
    return out["pixel_values"].astype(np.float32), out["image_grid_thw"][0]


def token_ids(ranks: Path) -> dict[str, np.ndarray]:
    """Ids of the conversations in both vocabularies, by the tokenizer that transformers writes in Python."""
    arrays: dict[str, np.ndarray] = {}
    for name, size in VOCABULARIES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_tokenizer(Path(folder), ranks, size=size)
            fingerprint = vocabulary_fingerprint(Tokenizer.from_folder(Path(folder)))
            original = AutoTokenizer.from_pretrained(folder, use_fast=False)
        rows = [
            np.array(original.apply_chat_template(list(one), chat_template=CHAT_TEMPLATE, add_generation_prompt=True))
            for one in cases.CONVERSATIONS
        ]
        arrays |= ragged(f"ids_{name}", [row.astype(np.int32) for row in rows])
        arrays[f"fingerprint_{name}"] = np.array(fingerprint)
    return arrays


def positions() -> dict[str, np.ndarray]:
    """Random layouts; entries are (n, 0, 0) for a run of n text tokens and (t, h, w) for an item."""
    rng = random.Random(7)
    model = originals("tied")
    config = cases.formula_config("tied")
    layouts, ids, deltas = [], [], []
    for _ in range(80):
        layout = random_layout(rng)
        runs = cases.formula_ids(layout, config)
        tokens = torch.tensor([[token for run in runs for token in run]])
        grids = {
            kind: [s for s in layout if isinstance(s, tuple) and (s[0] == 1) == (kind == "image")]
            for kind in ("image", "video")
        }
        found, delta = model.model.get_rope_index(
            tokens,
            torch.tensor(grids["image"]) if grids["image"] else None,
            torch.tensor(grids["video"]) if grids["video"] else None,
            attention_mask=torch.ones_like(tokens),
        )
        layouts.append(np.array([(s, 0, 0) if isinstance(s, int) else s for s in layout]).reshape(-1))
        ids.append(found[:, 0].numpy().astype(np.int16).reshape(-1))
        deltas.append(int(delta))
    return ragged("layouts", layouts) | ragged("positions", ids) | {"deltas": np.array(deltas)}


def random_layout(rng: random.Random) -> tuple[Any, ...]:
    layout: list[Any] = [rng.randint(2, 20)]
    for _ in range(rng.randint(0, 4)):
        t = rng.choice([1, 1, 2, 3, 5])
        layout += [(t, 2 * rng.randint(1, 6), 2 * rng.randint(1, 6)), rng.randint(2, 20)]
    return tuple(layout)


def originals(name: str) -> Qwen2VLForConditionalGeneration:
    """transformers' model with the formula weights, read from a checkpoint that anyres wrote."""
    model = Qwen2VL(cases.formula_config(name))
    model.load_state_dict(cases.formula_weights({key: value.shape for key, value in model.state_dict().items()}))
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        return original_of(Path(folder))


def original_of(folder: Path) -> Qwen2VLForConditionalGeneration:
    config = Qwen2VLConfig.from_pretrained(folder)
    return Qwen2VLForConditionalGeneration.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@torch.no_grad()
def logits() -> dict[str, np.ndarray]:
    """Visual tokens and logits of every formula model and prompt."""
    arrays = {}
    for name in cases.MODELS:
        model, config = originals(name), cases.formula_config(name)
        for prompt, layout in cases.PROMPTS.items():
            inputs = original_inputs(layout, config)
            out = model(**inputs)
            arrays[f"logits_{name}_{prompt}"] = out.logits[0, ::3].numpy()
            for kind in ("image", "video"):
                key = {"image": "pixel_values", "video": "pixel_values_videos"}[kind]
                if key in inputs:
                    seen = model.model.visual(inputs[key], grid_thw=inputs[f"{kind}_grid_thw"])
                    arrays[f"visual_{name}_{prompt}_{kind}"] = seen.numpy()
    return arrays


def original_inputs(layout: tuple[Any, ...], config: Any) -> dict[str, torch.Tensor]:
    ids = [token for run in cases.formula_ids(layout, config) for token in run]
    inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    items = [(number, span) for number, span in enumerate(layout) if not isinstance(span, int)]
    width = config.vision.patch_values
    for kind, suffix in (("image", ""), ("video", "_videos")):
        chosen = [(number, grid) for number, grid in items if (grid[0] == 1) == (kind == "image")]
        if chosen:
            pixels = [cases.formula_pixels(number, grid, width) for number, grid in chosen]
            inputs[f"pixel_values{suffix}"] = torch.cat(pixels)
            inputs[f"{kind}_grid_thw"] = torch.tensor([grid for _, grid in chosen])
    return inputs


@torch.no_grad()
def make_checkpoint_golden(folder: Path, picture: Image.Image, question: str) -> Path:
    """FOLDER/golden.npz: what transformers makes of one picture and question with this checkpoint, in float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=False)
    processor = Qwen2VLImageProcessor.from_pretrained(folder)
    model = original_of(folder)
    rgb = picture.convert("RGB")
    limits = {"min_pixels": processor.min_pixels, "max_pixels": processor.max_pixels}
    fetched = vision_process.fetch_image({"image": rgb, **limits})
    seen = processor(images=[fetched], return_tensors="pt")
    pixels, grid = seen["pixel_values"], seen["image_grid_thw"]
    ids = expanded_ids(tokenizer, question, int(grid.prod()) // processor.merge_size**2)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels, "image_grid_thw": grid}
    answer = model.generate(
        **inputs,
        max_new_tokens=ANSWER_TOKENS,
        do_sample=False,
        repetition_penalty=1.0,
        temperature=None,
        top_p=None,
        top_k=None,
    )
    found, delta = model.model.get_rope_index(ids, grid, attention_mask=inputs["attention_mask"])
    path = folder / CHECKPOINT_GOLDEN
    np.savez_compressed(
        path,
        picture=np.asarray(rgb),
        question=np.array(question),
        grid_thw=grid[0].numpy(),
        patch_sum=np.frombuffer(hashlib.sha256(pixels.numpy().tobytes()).digest(), dtype=np.uint8),
        patch_sample=cases.sampled(pixels.numpy()),
        token_ids=ids[0].numpy().astype(np.int32),
        positions=found[:, 0].numpy().astype(np.int32),
        rope_delta=np.array(int(delta)),
        visual=model.model.visual(pixels, grid_thw=grid).numpy(),
        logits=model(**inputs).logits[0, -LOGIT_ROWS:].numpy(),
        answer_ids=answer[0, ids.shape[1] :].numpy().astype(np.int32),
    )
    return path


def expanded_ids(tokenizer: Any, question: str, visual_tokens: int) -> torch.Tensor:
    """The prompt's ids with the placeholder repeated in the ids, [1, T]."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    conversation = [{"role": "user", "content": content}]
    ids = tokenizer.apply_chat_template(conversation, chat_template=CHAT_TEMPLATE, add_generation_prompt=True)
    pad = tokenizer.convert_tokens_to_ids(SPECIAL["image"])
    at = ids.index(pad)
    return torch.tensor([[*ids[:at], *[pad] * visual_tokens, *ids[at + 1 :]]])


def printed_line() -> Image.Image:
    """A line of print, for checkpoints that are given no picture."""
    picture = Image.new("RGB", (224, 56), (250, 248, 240))
    ImageDraw.Draw(picture).text((16, 12), "Dark tea 42", font=ImageFont.load_default(24), fill=(30, 30, 40))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the golden numbers of `anyres verify`.")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint's folder: writes its own golden.npz only")
    parser.add_argument("--picture", type=Path, help="the picture to ask about; a printed line when absent")
    parser.add_argument("--ranks", type=Path, help="qwen.tiktoken; that of an installed dashscope when absent")
    parser.add_argument("--question", default="Read the text.")
    options = parser.parse_args()
    if options.checkpoint:
        picture = Image.open(options.picture) if options.picture else printed_line()
        print(make_checkpoint_golden(options.checkpoint, picture, options.question))
        return
    SHIPPED.mkdir(exist_ok=True)
    ranks = options.ranks or default_ranks_file()
    makers = {"processing": processing, "ids": lambda: token_ids(ranks), "positions": positions, "logits": logits}
    for name, make in makers.items():
        np.savez_compressed(SHIPPED / f"{name}.npz", **make())
        print(name, (SHIPPED / f"{name}.npz").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
