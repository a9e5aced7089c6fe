"""What the checks are about: pictures, weights, layouts and conversations that follow from formulas.

Golden numbers and checks build the same cases from this file, so neither pictures nor weights have to be shipped.
Random numbers are raw 64-bit words of PCG64: NumPy promises that this stream never changes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.model_input import Grid

__all__ = [
    "CONVERSATIONS",
    "MODELS",
    "PICTURES",
    "PROMPTS",
    "FormulaPicture",
    "formula_config",
    "formula_ids",
    "formula_numbers",
    "formula_picture",
    "formula_pixels",
    "formula_weights",
    "sampled",
]


class FormulaPicture(NamedTuple):
    mode: str
    height: int
    width: int


PICTURES = (
    FormulaPicture("RGB", 120, 200),
    FormulaPicture("RGB", 37, 41),
    FormulaPicture("RGB", 28, 28),
    FormulaPicture("RGB", 70, 70),
    FormulaPicture("RGB", 500, 19),
    FormulaPicture("RGB", 7, 300),
    FormulaPicture("RGB", 333, 251),
    FormulaPicture("L", 91, 130),
    FormulaPicture("P", 64, 150),
    FormulaPicture("RGBA", 77, 99),
    FormulaPicture("LA", 84, 56),
    FormulaPicture("1", 60, 90),
    FormulaPicture("CMYK", 45, 80),
)
CHANNELS = {"1": 1, "L": 1, "P": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}

# Prompts for the formula models: runs of text by length, pictures (t = 1) and clips by grid.
MODELS = ("untied", "tied")
PROMPTS: Mapping[str, tuple[int | Grid, ...]] = {
    "text": (23,),
    "pictures": (4, (1, 4, 6), 3, (1, 6, 2), 7),
    "clip": (2, (3, 4, 4), 5, (1, 2, 2), 4),
}
FORMULA_TEXT_IDS = 120  # ids below are text in the formula models
SAMPLES = 256

CONVERSATIONS: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"role": "user", "content": "What is the total on this receipt?"},),
    ({"role": "system", "content": ""}, {"role": "user", "content": "No system message."}),
    ({"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Colour?"}),
    ({"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Read the text."}]},),
    (
        {"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "What changed?"}]},
        {"role": "assistant", "content": "The lamp."},
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "And here?"}]},
    ),
    ({"role": "user", "content": "  two  spaces,\ttabs\n\nand lines\r\nof 12345 67.89 % don't can't we'll"},),
    ({"role": "user", "content": "Was steht auf dem Schild? Größe: 3½ Ärmel, Straße, Übung."},),
    ({"role": "user", "content": "¿Qué dice el cartel? El niño comió piñas — «¡qué rico!»"},),
    ({"role": "user", "content": "Où est la forêt? L’œuvre d’un maître, ça coûte 15 €."},),
    ({"role": "user", "content": "Что написано на вывеске? Ёлка, съезд, подъём."},),
    ({"role": "user", "content": "图片里写了什么？请逐字读出来，共３行。"},),
    ({"role": "user", "content": "この看板には何と書いてありますか？カタカナとひらがな。"},),
    ({"role": "user", "content": "간판에 뭐라고 쓰여 있나요? 한국어를 읽어 주세요."},),
    ({"role": "user", "content": "ماذا كُتِبَ على اللافتة؟ الرقم ٤٥٦."},),
    ({"role": "user", "content": "מה כתוב על השלט? שָׁלוֹם."},),
    ({"role": "user", "content": "साइनबोर्ड पर क्या लिखा है? क्षत्रिय ज्ञान।"},),
    ({"role": "user", "content": "ป้ายเขียนว่าอะไร ภาษาไทยไม่มีช่องว่าง"},),
    ({"role": "user", "content": "Biển báo viết gì? Tiếng Việt có dấu: ặ, ỡ, ữ."},),
    ({"role": "user", "content": "Τι γράφει η πινακίδα; Άνθρωπος, ΐ, ώ."},),
    ({"role": "user", "content": "Tabelada ne yazıyor? Iğdır, İstanbul, çığ."},),
    ({"role": "user", "content": "Co jest napisane? Zażółć gęślą jaźń."},),
    ({"role": "user", "content": "emoji 👩‍👩‍👧‍👦🏳️‍🌈 and flags 🇩🇪, maths ∑∫√≠, box ┌─┐, zero\u200bwidth"},),
    ({"role": "user", "content": "e\u0301 combining is \u00e9 after NFC; \ufb01 ligature stays; \u212b"},),
    ({"role": "user", "content": "def f(x):\n    return {'a': [1, 2], \"b\": x ** 2}  # code\n\n\tif x<y: pass"},),
    ({"role": "user", "content": "https://example.org/a?b=c&d=%20#e user@example.org C:\\dir\\file.txt"},),
)


def formula_numbers(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 in [-1, 1), each an exact multiple of 2^-23.

    >>> formula_numbers(0, 2).tolist()
    [0.27392327785491943, -0.4604266881942749]
    """
    words = np.random.PCG64(seed).random_raw(count) >> np.uint64(40)
    return (words.astype(np.float64) / 2**23 - 1).astype(np.float32)


def formula_picture(picture: FormulaPicture) -> Image.Image:
    """Slopes and noise in each channel; integers only, so that every machine draws the same."""
    mode, height, width = picture
    y, x = np.mgrid[:height, :width].astype(np.int64)
    noise = (formula_numbers(height * width, height * width).reshape(height, width) * 24).astype(np.int64)
    channels = [(3 * x + 5 * y * (c + 1) + x * y // 7 + noise * (c + 1)) % 256 for c in range(CHANNELS[mode])]
    values = np.stack(channels, axis=-1).astype(np.uint8)
    if mode == "1":
        return Image.frombytes("L", (width, height), values.tobytes()).point(lambda v: 255 * (v > 127), mode="1")
    drawn = Image.frombytes(mode, (width, height), values.tobytes())
    if mode == "P":
        drawn.putpalette([(value * k) % 256 for value in range(256) for k in (1, 3, 7)])
    return drawn


def formula_config(model: str) -> Qwen2VLConfig:
    """One of MODELS: small, with grouped-query attention, its own head or that of the embedding."""
    heads = 4 if model == "untied" else 2
    first = FORMULA_TEXT_IDS
    return Qwen2VLConfig(
        vision=VisionConfig(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, hidden_size=16 * heads),
        text=TextConfig(
            hidden_size=16 * heads,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            vocab_size=first + 8,
            max_position_embeddings=512,
            mrope_section=(2, 3, 3),
            tie_word_embeddings=model == "tied",
        ),
        bos_token_id=first,
        eos_token_id=first + 1,
        vision_start_token_id=first + 2,
        vision_end_token_id=first + 3,
        vision_token_id=first + 4,
        image_token_id=first + 5,
        video_token_id=first + 6,
        torch_dtype="float32",
    )


def formula_weights(shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Weights for the named shapes, large enough that layers, positions and pictures all show in the logits."""
    weights = {}
    for seed, (name, shape) in enumerate(sorted(shapes.items())):
        numbers = torch.from_numpy(formula_numbers(seed, shape.numel())).reshape(shape)
        if len(shape) == 1:
            weights[name] = 1 + 0.3 * numbers if name.endswith(".weight") else 0.2 * numbers
        else:
            weights[name] = numbers * (1.0 if "embed_tokens" in name else (3 / shape[-1]) ** 0.5)  # variance 1 / fan-in
    return weights


def formula_pixels(number: int, grid: Grid, width: int) -> Tensor:
    """pixels_PX of the item of that number in a prompt, in the range of normalised pictures."""
    t, h, w = grid
    return torch.from_numpy(2 * formula_numbers(1000 + number, t * h * w * width)).reshape(t * h * w, width)


def formula_ids(layout: tuple[int | Grid, ...], config: Qwen2VLConfig) -> list[list[int]]:
    """Ids of every run; text before an item ends in vision_start, text behind one begins with vision_end."""
    runs: list[list[int]] = []
    for number, span in enumerate(layout):
        if isinstance(span, int):
            words = (formula_numbers(2000 + number, span) + 1) * FORMULA_TEXT_IDS / 2
            run = [int(word) for word in words]
            if number > 0:
                run[0] = config.vision_end_token_id
            if number + 1 < len(layout):
                run[-1] = config.vision_start_token_id
            runs.append(run)
        else:
            pad = config.image_token_id if span[0] == 1 else config.video_token_id
            runs.append([pad] * (span[0] * span[1] * span[2] // config.vision.merge_area))
    return runs


def sampled(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """256 values spread over an array, to tell how far off one is whose checksum is wrong."""
    flat = values.reshape(-1)
    return flat[np.arange(SAMPLES) * (len(flat) - 1) // (SAMPLES - 1)]
