"""How much an engine does at once and may keep, and what it counts."""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import torch

from anyres.config import TextConfig
from anyres.engine.kv_store import block_bytes
from anyres.engine.pace import MOST_GUESSES, SHARE
from anyres.engine.scheduler import Limits
from anyres.errors import OptionError
from anyres.processing.image import check_whole

__all__ = ["EngineOptions", "EngineStats", "Turn"]

KV_BYTES = 2 * 2**30
MOST_PRIORITY = 100
PREFIX_BYTES = 512 * 2**20
STORED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.int8}


@dataclass(frozen=True)
class EngineOptions:
    """`kv_bytes` bounds keys and values of all requests; None is 2 GiB, or one whole context where that is more.

    At most `prefix_bytes` of them are kept, unused, for prompts to come that begin alike. `kv_dtype` is what they are
    kept in: None is the model's own dtype, "int8" a half or a quarter of it. Up to `waiting` requests stand in line.
    At most `guesses` ids of an answer are guessed at a time (docs/engine.md); 0: none. No more than `guess_share` of
    all time is lost to wrong guesses, and to what a draft model reads for nothing. Raises OptionError.
    """

    limits: Limits = field(default_factory=Limits)
    kv_bytes: int | None = None
    prefix_bytes: int = PREFIX_BYTES
    kv_dtype: str | None = None
    block_size: int = 16
    waiting: int = 4096
    guesses: int = MOST_GUESSES
    guess_share: float = SHARE

    def __post_init__(self) -> None:
        counts = {"kv_bytes": self.kv_bytes, "block_size": self.block_size, "waiting": self.waiting}
        for name, value in {**counts, **vars(self.limits)}.items():
            check_whole(name, value, 1)
        check_whole("prefix_bytes", self.prefix_bytes, 0)
        check_whole("guesses", self.guesses, 0)
        if not isinstance(self.guess_share, (int, float)) or not 0 < self.guess_share <= 1:
            raise OptionError("guess_share", repr(self.guess_share), "a number above 0, at most 1")
        if self.kv_dtype is not None and self.kv_dtype not in STORED:
            raise OptionError("kv_dtype", repr(self.kv_dtype), ", ".join(STORED))

    def stored_dtype(self, model_dtype: torch.dtype) -> torch.dtype:
        return model_dtype if self.kv_dtype is None else STORED[self.kv_dtype]

    def blocks(
        self, config: TextConfig, model_dtype: torch.dtype, *, beside: tuple[TextConfig, torch.dtype] | None = None
    ) -> tuple[int, int]:
        """How many there may be, and how many of those unused. `beside`: a draft model, which gets as many.

        >>> EngineOptions(kv_bytes=2**30, prefix_bytes=2**28).blocks(TextConfig(), torch.bfloat16)
        (2340, 585)
        """
        each = self.block_bytes(config, model_dtype, beside=beside)
        context = -(-config.max_position_embeddings // self.block_size)
        most = max(context, KV_BYTES // each) if self.kv_bytes is None else max(1, self.kv_bytes // each)
        return most, min(most, self.prefix_bytes // each)

    def block_bytes(
        self, config: TextConfig, model_dtype: torch.dtype, *, beside: tuple[TextConfig, torch.dtype] | None = None
    ) -> int:
        """Of one block, and of that of a draft model."""
        pair = [(config, model_dtype), *([] if beside is None else [beside])]
        return sum(block_bytes(one, self.block_size, self.stored_dtype(dtype)) for one, dtype in pair)


@dataclass(frozen=True)
class Turn:
    """When a request runs among others. Raises OptionError.

    A smaller `priority` (-100 to 100) goes first, and takes the place of a larger one that runs; who waits is passed
    by no more than 64 later requests for each step between them. After `timeout_s` it ends with a DeadlineError,
    wherever it is. Requests of another `salt` share no cached prompts with it.
    """

    priority: int = 0
    timeout_s: float = inf
    salt: bytes = b""

    def __post_init__(self) -> None:
        check_whole("priority", self.priority, -MOST_PRIORITY)
        if self.priority > MOST_PRIORITY:
            raise OptionError("priority", str(self.priority), f"-{MOST_PRIORITY} to {MOST_PRIORITY}")
        if not isinstance(self.timeout_s, (int, float)) or not self.timeout_s > 0:
            raise OptionError("timeout_s", repr(self.timeout_s), "a number above 0")


class EngineStats(NamedTuple):
    """The first four are now, the others since the engine was made. `held_bytes` is the memory of the KV cache.

    Of prompts, `reused_tokens` were in memory and `loaded_tokens` came from pins on disk.
    """

    running: int = 0
    waiting: int = 0
    held_bytes: int = 0
    idle_blocks: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    reused_tokens: int = 0
    answer_tokens: int = 0
    preempted: int = 0
    guesses: int = 0
    right_guesses: int = 0
    loaded_tokens: int = 0
