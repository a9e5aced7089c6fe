"""From a prompt and its options to a Sequence, ready for the engine."""

from functools import cached_property

import torch
from torch import Tensor

from anyres.chat import GenerationOptions
from anyres.engine.detokenizer import Detokenizer
from anyres.engine.grammar import GrammarCompiler
from anyres.engine.loops import LoopDetector
from anyres.engine.request import GenerationDefaults, Sequence, silent_ids
from anyres.engine.sampler import Sampler
from anyres.errors import ContextLengthError, OptionError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from anyres.processing.processor import prompt_usage
from anyres.processing.tokenizer import Tokenizer

__all__ = ["SequenceMaker"]


class SequenceMaker:
    """What all requests to one model share. `capacity`: tokens that the KV cache holds of one request."""

    def __init__(self, model: Qwen2VL, tokenizer: Tokenizer, defaults: GenerationDefaults, *, capacity: int) -> None:
        self._config = model.config
        self._tokenizer = tokenizer
        self._defaults = defaults
        self._capacity = capacity
        self._silent_ids = silent_ids(tokenizer)
        self._banned_V = self._never_drawn().to(model.device)

    def make(self, prompt: ModelInput, options: GenerationOptions) -> Sequence:
        """Raises ContextLengthError for a prompt that leaves no room, ConstraintError for a form it cannot hold to."""
        ends = self._ends(options)
        banned_V = self._banned(self._defaults.eos_token_ids if options.ignore_eos else frozenset())
        least = options.min_tokens or 0
        first_V = self._banned(ends) if least else banned_V
        return Sequence(
            prompt,
            usage=prompt_usage(prompt, spatial_merge_size=self._config.vision.spatial_merge_size),
            sampler=Sampler(self._defaults.resolve(options), prompt.token_ids_T, first_V),
            detokenizer=Detokenizer(self._tokenizer.token_bytes, silent_ids=self._silent_ids, stop=options.stop),
            tokenizer=self._tokenizer,
            max_tokens=self._defaults.max_tokens(options, self._room(prompt)),
            eos_token_ids=ends,
            min_tokens=least,
            banned_V=banned_V,
            matcher=None if options.constraint is None else self._grammars.matcher(options.constraint),
            loops=LoopDetector() if options.stop_loops else None,
            speculate=options.speculate,
        )

    def _ends(self, options: GenerationOptions) -> frozenset[int]:
        vocab_size = self._config.text.vocab_size
        for token_id in options.stop_token_ids:
            if token_id >= vocab_size:
                raise OptionError("stop_token_ids", f"token id {token_id}", f"ids below {vocab_size}")
        own = frozenset() if options.ignore_eos else self._defaults.eos_token_ids
        return own | frozenset(options.stop_token_ids)

    def _banned(self, more: frozenset[int]) -> Tensor:
        """Those that are never drawn, and some more; the one tensor of all requests where there are no more."""
        if not more:
            return self._banned_V
        return self._banned_V.index_fill(0, torch.tensor(sorted(more), device=self._banned_V.device), value=True)

    def _room(self, prompt: ModelInput) -> int:
        """Tokens an answer may have before positions run out, or the KV cache."""
        limit, length = self._config.text.max_position_embeddings, len(prompt.token_ids_T)
        used = length + prompt.rope_delta
        if used >= limit:
            raise ContextLengthError("prompt", f"{used} positions", f"below {limit}, to leave room for an answer")
        if length >= self._capacity:
            raise ContextLengthError(
                "prompt", f"{length} tokens", f"below {self._capacity}, which the KV cache holds (kv_bytes)"
            )
        return min(limit - used, self._capacity - length)

    @cached_property
    def _grammars(self) -> GrammarCompiler:
        return GrammarCompiler(
            self._tokenizer,
            vocab_size=self._config.text.vocab_size,
            eos_token_ids=self._defaults.eos_token_ids,
        )

    def _never_drawn(self) -> Tensor:
        """Ids with no place in an answer: those without a token, and special tokens other than ends and boxes."""
        banned_V = torch.arange(self._config.text.vocab_size) >= self._tokenizer.vocab_size
        for token_id in self._silent_ids - self._defaults.eos_token_ids:
            banned_V[token_id] = True
        return banned_V
