"""Checkpoints on disk: a folder with config.json and safetensors files in the layout of the published Qwen2-VL weights.

Loading maps the files into memory and takes over their tensors without a copy where dtype and device allow it, so a
checkpoint is in memory once. Nothing is ever initialised at random: every tensor comes from the file, or loading fails.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from anyres.config import Qwen2VLConfig, VisionConfig, read_json
from anyres.errors import CheckpointError, OptionError
from anyres.model.qwen2vl import Qwen2VL

__all__ = ["StoredTensors", "count_parameters", "hub_key", "load_model", "save_model", "stored_dtype", "weight_files"]

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PATCH_EMBED = "visual.patch_embed.proj.weight"
TIED_HEAD = "lm_head.weight"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FLOAT_NAMES = ("F64", "F32", "BF16", "F16")  # as safetensors headers spell them
WRAPPERS = ("module", "_orig_mod", "_checkpoint_wrapped_module")  # DDP, torch.compile, activation checkpointing
PREFIXES = (  # other spellings -> hub, the first that fits wins
    ("model.visual.", "visual."),  # transformers >= 4.52 in memory
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),  # vLLM
    ("language_model.lm_head.", "lm_head."),
    ("language_model.", "model."),  # the base model without its head
)
TABLE_SUFFIX = ".inv_freq"  # rotary tables some old files carry; they follow from the config
GIT_LFS_POINTER = b"version https://git-lfs"
LISTED = 8  # names an error message spells out before it only counts


class _Source(NamedTuple):
    """Where a tensor lies: the file, and its name there."""

    path: Path
    key: str


class _Entry(NamedTuple):
    source: _Source
    shape: tuple[int, ...]
    dtype: str


class StoredTensors:
    """The tensors of a checkpoint folder by hub name, whatever they hold; each is read only when it is asked for."""

    def __init__(self, folder: Path, config: Qwen2VLConfig) -> None:
        self._folder = folder
        self._config = config
        self._entries = _read_headers(weight_files(folder), tied=config.text.tie_word_embeddings)
        self.names = frozenset(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name].shape

    def get(self, names: Iterable[str]) -> dict[str, Tensor]:
        """As they are stored, mapped from the files."""
        tensors: dict[str, Tensor] = {}
        wanted = {name: self._entries[name].source for name in names}
        for path in sorted({source.path for source in wanted.values()}):
            with _opened(path) as file:
                tensors |= {name: file.get_tensor(one.key) for name, one in wanted.items() if one.path == path}
        return tensors

    def fill(self, model: Qwen2VL, *, taken: Iterable[str], device: torch.device, dtype: torch.dtype) -> None:
        """Gives a model on `meta` its dense weights from here. `taken` are those that other layers have taken over.

        Raises CheckpointError as `load_model` does.
        """
        own = set(taken)
        holders = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_meta}
        wanted = {name: tuple(tensor.shape) for name, tensor in holders.items()}
        entries = {name: entry for name, entry in self._entries.items() if name not in own}
        _check_entries(self._folder, entries, wanted, self._config.vision)
        model.load_state_dict(_read_tensors(entries, wanted, device, dtype), strict=False, assign=True)


def load_model(folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Qwen2VL:
    """The model of a checkpoint folder, in eval mode. `dtype=None` keeps the one config.json names.

    Raises CheckpointError when a file is missing or damaged, and when tensors are missing, unexpected, doubled or
    wrongly shaped; OptionError for a dtype or device that cannot be had.
    """
    config = Qwen2VLConfig.from_folder(folder)
    dtype = _config_dtype(config, folder) if dtype is None else _known_dtype(dtype)
    device = _usable_device(device)
    model = Qwen2VL(config, device="meta", dtype=dtype)
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    entries = _read_headers(weight_files(folder), tied=config.text.tie_word_embeddings)
    _check_entries(folder, entries, wanted, config.vision)
    model.load_state_dict(_read_tensors(entries, wanted, device, dtype), assign=True)
    return model.eval()


def save_model(
    model: Qwen2VL, folder: Path, *, dtype: torch.dtype | None = None, max_shard_bytes: int = 5_000_000_000
) -> None:
    """Writes config.json and the weights in the published layout; other files in the folder stay as they are.

    Everything is written beside the old files first and renamed at the end, config.json last: a folder that was cut
    off half-way has no config.json and does not load.
    """
    if max_shard_bytes < 1:
        raise OptionError("max_shard_bytes", str(max_shard_bytes), "at least 1")
    dtype = model.dtype if dtype is None else dtype
    config = replace(model.config, torch_dtype=_dtype_name(_known_dtype(dtype)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _staging(folder) as staging:
            names = _write_weights(model, staging, dtype, max_shard_bytes)
            _write_json(staging / "config.json", config.to_dict())
            _swap(staging, folder, names)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(str(folder), f"cannot be written ({error})", "a folder with room to write in") from None


def stored_dtype(folder: Path) -> torch.dtype:
    """The one that config.json names; CheckpointError for one that is not known."""
    return _config_dtype(Qwen2VLConfig.from_folder(folder), folder)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint; CheckpointError when there are none or a shard is missing."""
    index = folder / INDEX_FILE
    names = _shard_names(index) if index.exists() else [SINGLE_FILE]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and not index.exists():
        raise CheckpointError(str(folder), _no_weights(folder), f"{SINGLE_FILE} or {INDEX_FILE}")
    if missing:
        raise CheckpointError(str(folder), f"missing {_listed(missing)}", f"every file that {INDEX_FILE} names")
    return [folder / name for name in names]


def count_parameters(folder: Path) -> int:
    """Values in the checkpoint's tensors, from the files' headers alone; a tied head counts once."""
    config = Qwen2VLConfig.from_folder(folder)
    entries = _read_headers(weight_files(folder), tied=config.text.tie_word_embeddings)
    if "quantization_config" in read_json(folder / "config.json"):  # shapes in the files are those of packed codes
        return sum(weight.numel() for weight in Qwen2VL(config, device="meta").parameters())
    return sum(torch.Size(entry.shape).numel() for entry in entries.values())


def hub_key(key: str) -> str:
    """A tensor's name in the published layout, from any of the spellings in use.

    >>> hub_key("module.model.language_model.layers.0.mlp.up_proj.weight")
    'model.layers.0.mlp.up_proj.weight'
    >>> hub_key("model.visual.blocks.3.norm1.bias")
    'visual.blocks.3.norm1.bias'
    """
    key = ".".join(part for part in key.split(".") if part not in WRAPPERS)
    for other, ours in PREFIXES:
        if key.startswith(other):
            return ours + key.removeprefix(other)
    return key


# Reading.


def _shard_names(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: weight_map", repr(weight_map)[:80], "an object of tensor name -> file name")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: weight_map", repr(name), "names of .safetensors files in the same folder")
    return names


def _no_weights(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    return f"no safetensors file, only {_listed(pickles)}, which can run code" if pickles else "no safetensors file"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, mapped into memory. Any, because safetensors ships no types for it."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(str(path), _damage(path, error), "a whole safetensors file") from None


def _damage(path: Path, error: Exception) -> str:
    if not path.is_file():
        return "no such file"
    with path.open("rb") as file:
        if file.read(len(GIT_LFS_POINTER)) == GIT_LFS_POINTER:
            return "a Git LFS pointer that stands for the file"
    return f"{path.stat().st_size} bytes, damaged or cut off ({error})"


def _read_headers(paths: Iterable[Path], *, tied: bool) -> dict[str, _Entry]:
    """What the files hold, by hub name."""
    entries: dict[str, _Entry] = {}
    for path in paths:
        with _opened(path) as file:
            for key in file.keys():  # noqa: SIM118 (a safetensors file is no dict)
                name = hub_key(key)
                if name.endswith(TABLE_SUFFIX) or (tied and name == TIED_HEAD):
                    continue
                if name in entries:
                    raise CheckpointError(str(path), _doubled(entries[name].source, key), f"one tensor for {name}")
                header = file.get_slice(key)
                entries[name] = _Entry(_Source(path, key), tuple(header.get_shape()), header.get_dtype())
    return entries


def _doubled(first: _Source, key: str) -> str:
    return f"{key}, though {first.path.name} already holds {first.key}"


def _check_entries(
    folder: Path, entries: Mapping[str, _Entry], wanted: Mapping[str, tuple[int, ...]], vision: VisionConfig
) -> None:
    missing = sorted(wanted.keys() - entries.keys())
    unexpected = sorted(entries[name].source.key for name in entries.keys() - wanted.keys())
    wrong = [
        f"{name} {entry.dtype} {list(entry.shape)} instead of {list(wanted[name])}"
        for name, entry in sorted(entries.items())
        if name in wanted and not _fits(name, entry, wanted[name], vision)
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("wrongly shaped", wrong))
    problems = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds if names]
    if problems:
        raise CheckpointError(str(folder), "; ".join(problems), f"the {len(wanted)} tensors that config.json asks for")


def _fits(name: str, entry: _Entry, shape: tuple[int, ...], vision: VisionConfig) -> bool:
    shapes = [shape, _patch_embed_shape(vision)] if name == PATCH_EMBED else [shape]
    return entry.shape in shapes and entry.dtype in FLOAT_NAMES


def _patch_embed_shape(vision: VisionConfig) -> tuple[int, ...]:
    """On disk the patch embedding is the kernel of a Conv3d: [embed_dim, 3, 2, 14, 14]."""
    return (vision.embed_dim, vision.in_chans, vision.temporal_patch_size, vision.patch_size, vision.patch_size)


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _read_tensors(
    entries: Mapping[str, _Entry], wanted: Mapping[str, tuple[int, ...]], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    tensors = {}
    for path in sorted({entry.source.path for entry in entries.values()}):
        with _opened(path) as file:
            for name, entry in entries.items():
                if entry.source.path == path:
                    stored = file.get_tensor(entry.source.key).view(wanted[name])
                    tensors[name] = stored.to(device=device, dtype=dtype)
    return tensors


# Writing.


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_weights(model: Qwen2VL, staging: Path, dtype: torch.dtype, max_shard_bytes: int) -> list[str]:
    """Names of the files written, in the order in which they may replace old ones."""
    state = model.state_dict()
    state[PATCH_EMBED] = state[PATCH_EMBED].view(_patch_embed_shape(model.config.vision))
    shards = list(_shards(state, dtype.itemsize, max_shard_bytes))
    names = [SINGLE_FILE] if len(shards) == 1 else [_shard_name(i, len(shards)) for i in range(len(shards))]
    for name, keys in zip(names, shards, strict=True):
        tensors = {key: state[key].detach().to("cpu", dtype).contiguous() for key in keys}
        save_file(tensors, staging / name, metadata={"format": "pt"})
    if len(shards) > 1:
        total_size = sum(tensor.numel() for tensor in state.values()) * dtype.itemsize
        weight_map = {key: name for name, keys in zip(names, shards, strict=True) for key in keys}
        _write_json(staging / INDEX_FILE, {"metadata": {"total_size": total_size}, "weight_map": weight_map})
        names.append(INDEX_FILE)
    return names


def _shards(state: Mapping[str, Tensor], itemsize: int, max_shard_bytes: int) -> Iterator[list[str]]:
    """Keys of each file: filled in order up to the limit; a tensor larger than that has a file of its own."""
    keys: list[str] = []
    size = 0
    for key, tensor in state.items():
        tensor_bytes = tensor.numel() * itemsize
        if keys and size + tensor_bytes > max_shard_bytes:
            yield keys
            keys, size = [], 0
        keys.append(key)
        size += tensor_bytes
    yield keys


def _shard_name(index: int, count: int) -> str:
    return f"model-{index + 1:05d}-of-{count:05d}.safetensors"


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(dumps(value, indent=2) + "\n", encoding="utf-8")


def _swap(staging: Path, folder: Path, names: list[str]) -> None:
    """Puts the new files in place of the old. Without config.json a mixture of both cannot be loaded."""
    readable = (staging / "config.json").stat().st_mode  # safetensors writes files for their owner alone
    for name in (*names, "config.json"):
        (staging / name).chmod(readable)
        _sync(staging / name)
    (folder / "config.json").unlink(missing_ok=True)
    for name in names:
        (staging / name).replace(folder / name)
    for old in (*folder.glob("model-*-of-*.safetensors"), folder / SINGLE_FILE, folder / INDEX_FILE):
        if old.name not in names:
            old.unlink(missing_ok=True)
    (staging / "config.json").replace(folder / "config.json")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


# Options.


def _config_dtype(config: Qwen2VLConfig, folder: Path) -> torch.dtype:
    if config.torch_dtype not in DTYPES:
        raise CheckpointError(f"{folder}: torch_dtype", repr(config.torch_dtype), ", ".join(DTYPES))
    return DTYPES[config.torch_dtype]


def _known_dtype(dtype: torch.dtype) -> torch.dtype:
    if dtype not in DTYPES.values():
        raise OptionError("dtype", str(dtype), ", ".join(DTYPES))
    return dtype


def _dtype_name(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known == dtype)


def _usable_device(device: torch.device | str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise OptionError("device", f"{device} ({reason})", "cpu, or an accelerator that torch can use") from None
