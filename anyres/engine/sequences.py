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
from anyres.errors import ContextLengthError
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
        return Sequence(
            prompt,
            usage=prompt_usage(prompt, spatial_merge_size=self._config.vision.spatial_merge_size),
            sampler=Sampler(self._defaults.resolve(options), prompt.token_ids_T, self._banned_V),
            detokenizer=Detokenizer(self._tokenizer.token_bytes, silent_ids=self._silent_ids, stop=options.stop),
            tokenizer=self._tokenizer,
            max_tokens=self._defaults.max_tokens(options, self._room(prompt)),
            eos_token_ids=self._defaults.eos_token_ids,
            matcher=None if options.constraint is None else self._grammars.matcher(options.constraint),
            loops=LoopDetector() if options.stop_loops else None,
            speculate=options.speculate,
        )

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
