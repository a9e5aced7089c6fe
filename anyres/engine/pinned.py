"""Pinned documents: the beginning of a prompt, read once, whose keys and values are kept on disk for other programs.

A pin is named by all that its last token depends on (see PrefixNames) and by all that made the numbers in it. A prompt
takes from a pin what both begin with, compared name by name.
"""

from threading import Lock

import torch
from torch import Tensor

from anyres.disk_cache import DiskCache
from anyres.engine.kv_store import block_bytes
from anyres.engine.options import EngineOptions
from anyres.engine.pin_file import KIND, Pin, PinFile, PinHead, pinned_value
from anyres.engine.prefix import PrefixNames
from anyres.engine.vision_cache import weights_id
from anyres.kernels.library import best_isa
from anyres.model.qwen2vl import Qwen2VL
from anyres.tensor_bytes import pack, unpack

__all__ = ["Keeper", "PinReader", "Pins"]

CHUNK_BYTES = 16 * 2**20  # are read and checked in one step of the engine: some 20 ms
OPEN_END = 32  # tokens before the last two blocks where a question may still begin: behind them comes the template
TITLE_LETTERS = 60


class Pins:
    """Those of one model in a folder. Several threads, and programs, may use it."""

    def __init__(self, disk: DiskCache, model: Qwen2VL, options: EngineOptions, *, model_name: str) -> None:
        self.block_size = options.block_size
        kept_as = options.stored_dtype(model.dtype)
        self.chunk_blocks = max(1, CHUNK_BYTES // block_bytes(model.config.text, options.block_size, kept_as))
        self._disk = disk
        self._model = model
        self._model_name = model_name
        self._numbers = f"{model.dtype} {kept_as} {self.block_size} {self.chunk_blocks}"
        self._files: dict[str, PinFile] = {}
        self._made_by = b""
        self._lock = Lock()
        if disk.names(KIND):  # rather while the model is opened than with the first question
            self._own_files()

    @property
    def pins(self) -> list[Pin]:
        """Those that prompts of this model may find."""
        return [file.pin for file in self._own_files()]

    def find(self, names: PrefixNames, tokens: int) -> "PinReader | None":
        """The pin that has most of these leading tokens of a prompt; None where none has any."""
        found = [(_shared(file.head, names, tokens), file) for file in self._own_files()]
        shared, best = max(found, key=lambda one: one[0], default=(0, None))
        if best is None or not shared:
            return None
        if 2 * shared >= best.head.tokens:  # and not only the system message
            self._disk.use(best.name)
        return PinReader(self._disk, best, shared)

    def whole(self, names: PrefixNames, tokens: int) -> Pin | None:
        """The pin of just these tokens, after all of it has been checked."""
        name = self._name(names, tokens)
        file = next((one for one in self._own_files() if one.name == name), None)
        return file.pin if file is not None and file.is_whole(self._disk) else None

    def keep(self, title: str, names: PrefixNames, keeper: "Keeper") -> Pin | None:
        """Writes a pin; None where the disk does not take it, or a layer's weights are not those that were loaded."""
        if self._made_now() != self._made_by_loaded():
            return None
        tokens = keeper.tokens
        head = PinHead(
            title=_title(title),
            model=self._model_name,
            block_size=self.block_size,
            chunk_blocks=self.chunk_blocks,
            tokens=tokens,
            names=tuple(names(i) for i in range(tokens // self.block_size)),
            ends={at: names.up_to(at) for at in range(max(1, tokens - 2 * self.block_size - OPEN_END), tokens + 1)},
        )
        value = pinned_value(head, [pack({}, chunk) for chunk in keeper.chunks])
        if not self._disk.put(KIND, self._made_by + names.up_to(tokens), value):
            return None
        file = PinFile.open(self._disk, self._name(names, tokens))
        return None if file is None else file.pin

    def remove(self, names: PrefixNames, tokens: int) -> bool:
        """Deletes the pin of just these tokens; False where there is none."""
        return self._disk.remove(self._name(names, tokens))

    def _name(self, names: PrefixNames, tokens: int) -> str:
        return self._disk.name_of(KIND, self._made_by_loaded() + names.up_to(tokens))

    def _own_files(self) -> list[PinFile]:
        """Heads are read once. A file is this model's where its name is made of this model and the last of `ends`."""
        names = set(self._disk.names(KIND))
        with self._lock:
            self._files = {name: file for name, file in self._files.items() if name in names}
            opened = [PinFile.open(self._disk, name) for name in names - self._files.keys()]
            self._files |= {file.name: file for file in opened if file is not None}
            files = list(self._files.values())
        if not files:
            return []
        made_by = self._made_by_loaded()
        return [one for one in files if self._disk.name_of(KIND, made_by + one.head.ends[one.head.tokens]) == one.name]

    def _made_by_loaded(self) -> bytes:
        """What made the numbers, by the weights as they were when this was first asked."""
        self._made_by = self._made_by or self._made_now()
        return self._made_by

    def _made_now(self) -> bytes:
        """Everything that keys and values depend on beside the prompt: weights, sizes, dtypes, and what computes."""
        weights = weights_id(self._model, (self._model.config, str(self._model)))
        place = f"{self._model.device.type} {best_isa()} {torch.__version__}"
        return f"{weights} {self._numbers} {place} ".encode()


class PinReader:
    """The leading `tokens` of a prompt, on disk."""

    def __init__(self, disk: DiskCache, file: PinFile, tokens: int) -> None:
        self.tokens = tokens
        self._disk = disk
        self._file = file

    def read(self, first: int, stop: int) -> dict[str, Tensor] | None:
        """What `KVCache.restore` takes, of blocks within one chunk; None where they are damaged or gone."""
        each = self._file.head.chunk_blocks
        number = first // each
        assert number == (stop - 1) // each, "blocks of one chunk"
        data = self._file.chunk(self._disk, number)
        if data is None:
            return None
        kept = unpack(memoryview(data)).tensors
        return {name: values[:, first - number * each : stop - number * each] for name, values in kept.items()}


class Keeper:
    """Takes the leading `tokens` of a prompt out of the engine as they are read, `step` blocks of `size` at a time."""

    def __init__(self, tokens: int, *, size: int, step: int) -> None:
        self.tokens = tokens
        self.chunks: list[dict[str, Tensor]] = []
        self._size = size
        self._step = step

    @property
    def done(self) -> bool:
        return len(self.chunks) * self._step * self._size >= self.tokens

    def next(self, computed: int) -> slice | None:
        """Places in the table of the next blocks, where all of their tokens are among the `computed` ones."""
        start, blocks = len(self.chunks) * self._step, -(-self.tokens // self._size)
        stop = min(start + self._step, blocks)
        return slice(start, stop) if start < stop and min(stop * self._size, self.tokens) <= computed else None

    def take(self, chunk: dict[str, Tensor]) -> None:
        """What was exported from there; the rest of a last block that is not full is somebody else's, and left out."""
        self.chunks.append(chunk)
        if self.done and (used := self.tokens % self._size):
            for values in chunk.values():
                values[:, -1, :, used:] = 0


def _shared(head: PinHead, names: PrefixNames, tokens: int) -> int:
    """How many leading tokens are the same: full blocks, and those behind them where the pin has names for it."""
    size = head.block_size
    low, high = 0, min(len(head.names), tokens // size)
    while low < high:  # each name depends on all before it
        middle = (low + high + 1) // 2
        low, high = (middle, high) if head.names[middle - 1] == names(middle - 1) else (low, middle - 1)
    further = range(min(low * size + size - 1, tokens, head.tokens), low * size, -1)
    return next((at for at in further if at in head.ends and head.ends[at] == names.up_to(at)), low * size)


def _title(text: str) -> str:
    """In one line, without what a terminal would obey.

    >>> _title("page one.png\\x1b[2J" + "!" * 99)[:20]
    'page one.png [2J!!!!'
    """
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return plain if len(plain) <= TITLE_LETTERS else plain[: TITLE_LETTERS - 3] + "..."
