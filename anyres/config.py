"""Sizes of a Qwen2-VL checkpoint, read from its config.json; field names are the keys of that file."""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from anyres.errors import CheckpointError

__all__ = ["ImageProcessorConfig", "Qwen2VLConfig", "TextConfig", "VisionConfig"]

# Fallbacks are the values of the published Qwen2-VL files where transformers' class defaults differ from them.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # preprocessor_config.json of Qwen2-VL-2B-Instruct
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class VisionConfig:
    """The vision encoder and merger; `hidden_size` is the width of the language model the merger feeds."""

    depth: int = 32
    embed_dim: int = 1280
    num_heads: int = 16
    mlp_ratio: float = 4
    in_chans: int = 3
    hidden_size: int = 1536
    patch_size: int = 14
    spatial_merge_size: int = 2
    temporal_patch_size: int = 2

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads

    @property
    def patch_values(self) -> int:
        """Values in one flattened patch: 3 channels x 2 frames x 14 x 14 = 1176."""
        return self.in_chans * self.temporal_patch_size * self.patch_size**2

    @property
    def merge_area(self) -> int:
        """Patches that become one visual token: 4."""
        return self.spatial_merge_size**2


@dataclass(frozen=True)
class TextConfig:
    """The Qwen2 decoder with multimodal rotary positions."""

    hidden_size: int = 1536
    intermediate_size: int = 8960
    num_hidden_layers: int = 28
    num_attention_heads: int = 12
    num_key_value_heads: int = 2
    vocab_size: int = 151936
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1_000_000.0
    mrope_section: tuple[int, int, int] = (16, 24, 24)
    tie_word_embeddings: bool = False

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class Qwen2VLConfig:
    """A whole checkpoint: both halves and the ids of the tokens that stand for pictures and clips."""

    vision: VisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    bos_token_id: int = 151643
    eos_token_id: int = 151645
    vision_start_token_id: int = 151652
    vision_end_token_id: int = 151653
    vision_token_id: int = 151654
    image_token_id: int = 151655
    video_token_id: int = 151656
    torch_dtype: str = "bfloat16"

    @staticmethod
    def from_folder(folder: Path) -> "Qwen2VLConfig":
        """Reads `config.json`; raises CheckpointError when it is missing, no JSON or has impossible sizes."""
        path = folder / "config.json"
        return Qwen2VLConfig.from_dict(read_json(path), item=str(path))

    @staticmethod
    def from_dict(raw: dict[str, Any], *, item: str = "config.json") -> "Qwen2VLConfig":
        """Reads the flat form (transformers 4.x) and the form with a nested `text_config` (5.x)."""
        if raw.get("model_type") not in ("qwen2_vl", None):
            raise CheckpointError(f"{item}: model_type", repr(raw.get("model_type")), "'qwen2_vl'")
        text_raw = {**raw, **_section(raw, "text_config", item)}
        text = TextConfig(
            mrope_section=_mrope_section(text_raw, item),
            rope_theta=_rope_theta(text_raw, item),
            **_known(TextConfig, text_raw),
        )
        vision_raw = dict(_section(raw, "vision_config", item))
        vision_raw.setdefault("in_chans", vision_raw.get("in_channels", VisionConfig.in_chans))
        # Old files repeat the language width under the key `hidden_size`; where it is absent the decoder decides.
        vision_raw["hidden_size"] = vision_raw.get("hidden_size", text.hidden_size)
        vision = VisionConfig(**_known(VisionConfig, vision_raw))
        ids = {name: raw[name] for name in _ID_FIELDS if isinstance(raw.get(name), int)}
        dtype = raw.get("torch_dtype") or raw.get("dtype") or "bfloat16"
        config = Qwen2VLConfig(vision=vision, text=text, torch_dtype=str(dtype), **ids)
        _check_numbers(vision, item)
        _check_numbers(text, item)
        _check_sizes(config, item)
        return config

    def to_dict(self) -> dict[str, Any]:
        """The flat form of config.json that the published checkpoints use and transformers reads."""
        text = asdict(self.text)
        section = text.pop("mrope_section")
        vision = asdict(self.vision) | {"model_type": "qwen2_vl", "in_channels": self.vision.in_chans}
        return {
            "architectures": ["Qwen2VLForConditionalGeneration"],
            "model_type": "qwen2_vl",
            "hidden_act": "silu",
            "use_sliding_window": False,
            "sliding_window": self.text.max_position_embeddings,
            "max_window_layers": self.text.num_hidden_layers,
            "initializer_range": 0.02,
            "use_cache": True,
            "rope_scaling": {"type": "mrope", "mrope_section": list(section)},
            "torch_dtype": self.torch_dtype,
            **{name: getattr(self, name) for name in _ID_FIELDS},
            **text,
            "vision_config": vision,
        }


@dataclass(frozen=True)
class ImageProcessorConfig:
    """`preprocessor_config.json`: pixel limits of one picture, and the normalisation.

    `video_min_pixels`/`video_max_pixels` are limits of one video frame that a checkpoint may state for itself
    (the embedded one does); None means the rule of qwen-vl-utils 0.0.8.
    """

    min_pixels: int = 3136
    max_pixels: int = 12845056
    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    image_mean: tuple[float, float, float] = CLIP_MEAN
    image_std: tuple[float, float, float] = CLIP_STD
    video_min_pixels: int | None = None
    video_max_pixels: int | None = None

    @property
    def factor(self) -> int:
        """Side of the square that one visual token covers: 28 pixels."""
        return self.patch_size * self.merge_size

    @staticmethod
    def from_folder(folder: Path) -> "ImageProcessorConfig":
        """Reads the file; a checkpoint without one gets the published Qwen2-VL values."""
        path = folder / "preprocessor_config.json"
        if not path.exists():
            return ImageProcessorConfig()
        raw = read_json(path)
        known = _known(ImageProcessorConfig, raw)
        size = _section(raw, "size", str(path))  # files written by transformers >= 4.49 keep the limits here as well
        known.setdefault("min_pixels", size.get("shortest_edge") or ImageProcessorConfig.min_pixels)
        known.setdefault("max_pixels", size.get("longest_edge") or ImageProcessorConfig.max_pixels)
        for name in ("image_mean", "image_std"):
            if name in known:
                known[name] = _three_numbers(known[name], f"{path}: {name}")
        config = ImageProcessorConfig(**known)
        _check_numbers(config, str(path))
        if config.min_pixels > config.max_pixels:
            raise CheckpointError(
                f"{path}: min_pixels", str(config.min_pixels), f"at most max_pixels, {config.max_pixels}"
            )
        return config

    def to_dict(self) -> dict[str, Any]:
        """The file's keys, with those transformers needs beside ours."""
        ours = {key: value for key, value in asdict(self).items() if value is not None}
        return ours | {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2VLProcessor",
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
        }


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object from a checkpoint's file; CheckpointError names the file when that fails."""
    return read_json_text(path)[0]


def read_json_text(path: Path) -> tuple[dict[str, Any], str]:
    """As `read_json`, and the file's text."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
    except FileNotFoundError:
        raise CheckpointError(str(path), "no such file", "a readable JSON file") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(str(path), f"not readable as JSON ({error})", "a JSON object") from None
    if not isinstance(raw, dict):
        raise CheckpointError(str(path), f"a JSON {type(raw).__name__}", "a JSON object")
    return raw, text


_Config = VisionConfig | TextConfig | ImageProcessorConfig

_ID_FIELDS = (
    "bos_token_id",
    "eos_token_id",
    "vision_start_token_id",
    "vision_end_token_id",
    "vision_token_id",
    "image_token_id",
    "video_token_id",
)


def _known(cls: type[_Config], raw: dict[str, Any]) -> dict[str, Any]:
    handled = ("mrope_section", "rope_theta")
    names = (one.name for one in fields(cls))
    return {name: raw[name] for name in names if name in raw and name not in handled}


def _three_numbers(values: object, item: str) -> tuple[float, float, float]:
    if isinstance(values, list) and len(values) == 3 and all(isinstance(one, (int, float)) for one in values):
        return (float(values[0]), float(values[1]), float(values[2]))
    raise CheckpointError(item, repr(values), "three numbers")


def _section(raw: dict[str, Any], name: str, item: str) -> dict[str, Any]:
    value = raw.get(name) or {}
    if not isinstance(value, dict):
        raise CheckpointError(f"{item}: {name}", repr(value), "a JSON object")
    return value


def _mrope_section(raw: dict[str, Any], item: str) -> tuple[int, int, int]:
    scaling = _section(raw, "rope_scaling", item) or _section(raw, "rope_parameters", item)
    section = scaling.get("mrope_section", TextConfig.mrope_section)
    if not isinstance(section, (list, tuple)) or len(section) != 3 or not all(map(_is_size, section)):
        raise CheckpointError(f"{item}: mrope_section", repr(section), "three positive integers")
    return (section[0], section[1], section[2])


def _rope_theta(raw: dict[str, Any], item: str) -> float:
    nested = _section(raw, "rope_parameters", item).get("rope_theta")
    stated = next(one for one in (raw.get("rope_theta"), nested, TextConfig.rope_theta) if one is not None)
    return float(stated) if isinstance(stated, int) else stated


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_numbers(part: _Config, item: str) -> None:
    """Every int field a positive whole number, every float field a finite number above 0, every bool a bool."""
    for one in fields(part):
        value = getattr(part, one.name)
        optional = one.type == int | None and value is not None
        if (one.type is int or optional) and not _is_size(value):
            raise CheckpointError(f"{item}: {one.name}", repr(value), "a whole number above 0")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if one.type is float and not (number and math.isfinite(value) and value > 0):
            raise CheckpointError(f"{item}: {one.name}", repr(value), "a number above 0")
        if one.type is bool and not isinstance(value, bool):
            raise CheckpointError(f"{item}: {one.name}", repr(value), "true or false")


def _check_sizes(config: Qwen2VLConfig, item: str) -> None:
    """The relations between sizes without which no tensor fits."""
    vision, text = config.vision, config.text
    heads, groups = text.num_attention_heads, text.num_key_value_heads
    rules = (
        (
            "vision embed_dim",
            vision.embed_dim,
            vision.embed_dim % (4 * vision.num_heads) == 0,
            "a multiple of 4 num_heads",
        ),
        ("hidden_size", text.hidden_size, text.hidden_size % heads == 0, f"a multiple of {heads} attention heads"),
        ("num_key_value_heads", groups, heads % groups == 0, f"a divisor of {heads} attention heads"),
        (
            "mrope_section",
            text.mrope_section,
            2 * sum(text.mrope_section) == text.head_dim,
            f"a sum of {text.head_dim / 2:g}",
        ),
        (
            "vision hidden_size",
            vision.hidden_size,
            vision.hidden_size == text.hidden_size,
            f"{text.hidden_size}, as in the decoder",
        ),
        *(
            (
                name,
                getattr(config, name),
                0 <= getattr(config, name) < text.vocab_size,
                f"an id below {text.vocab_size}",
            )
            for name in ("image_token_id", "video_token_id")
        ),
    )
    for name, seen, holds, allowed in rules:
        if not holds:
            raise CheckpointError(f"{item}: {name}", repr(seen), allowed)
