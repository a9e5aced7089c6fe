"""Constraints at work: which tokens may come next, for one answer after the other, through llguidance.

compiler = GrammarCompiler(tokenizer, vocab_size=..., eos_token_ids=...)
matcher = compiler.matcher(JsonSchema(...))       # ConstraintError for what cannot be obeyed
while not matcher.done:
    token_id = choose(logits, matcher.mask())     # computed by a thread while the model ran
    matcher.accept(token_id)                      # an id that ends the answer as well
    matcher.accept(*matcher.forced())             # what can only come next, without asking the model
"""

import hashlib
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from torch import Tensor

from anyres.constraints import Constraint
from anyres.engine.detokenizer import GROUNDING_TOKENS
from anyres.engine.grammar_check import limits
from anyres.engine.grammar_text import CALL_END, CALL_START, grammar_text
from anyres.engine.grammar_trial import Trial
from anyres.errors import ConstraintError
from anyres.processing.tokenizer import Tokenizer

__all__ = ["GrammarCompiler", "Matcher"]

CACHE_BYTES = 64 << 20
TRIAL_S = 0.8  # the engine then builds the grammar again, so that a refusal comes within 2 s
BITS = 32
# What a compiled grammar holds, as benchmarks/grammar.py measures it: at least, and for each letter of its text.
ENTRY_BYTES, BYTES_PER_LETTER = 64 << 10, 40


class GrammarCompiler:
    """Makes matchers for one tokenizer, and keeps the grammars that were used last.

    `vocab_size` is the model's, padding included; ids from the tokenizer's size on are never allowed. Of special
    tokens, those of boxes, quads and names and `eos_token_ids` may be used. Safe to call from several threads.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        vocab_size: int,
        eos_token_ids: Collection[int],
        cache_bytes: int = CACHE_BYTES,
        trial_s: float = TRIAL_S,
    ) -> None:
        self.cache_bytes = cache_bytes
        self.held_bytes = 0
        self._vocabulary = _Vocabulary(tokenizer, vocab_size, sorted(eos_token_ids))
        self._cache: OrderedDict[bytes, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._library: LLTokenizer | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="anyres-grammar")
        self._trial = Trial(self._vocabulary.special_tokens, timeout_s=trial_s)

    def matcher(self, constraint: Constraint) -> "Matcher":
        """A fresh matcher. Raises ConstraintError, within 2 s, when the constraint cannot be obeyed or is too large."""
        grammar = grammar_text(constraint, special_tokens=self._vocabulary.special_tokens)
        key = hashlib.sha256(grammar.encode()).digest()
        with self._lock:
            if key not in self._cache:
                self._remember(key, self._entry(grammar))
            self._cache.move_to_end(key)
            entry = self._cache[key]
            if isinstance(entry.outcome, ConstraintError):
                raise ConstraintError(entry.outcome.item, entry.outcome.seen, entry.outcome.allowed)
            state = entry.outcome.deep_copy()
        return Matcher(state, self._vocabulary.usable_W, self._pool)

    def close(self) -> None:
        """Ends the trial process and the thread."""
        self._trial.close()
        self._pool.shutdown()

    def __len__(self) -> int:
        """Grammars in the cache, refused ones included."""
        return len(self._cache)

    def _entry(self, grammar: str) -> "_Entry":
        try:
            error = self._trial.error_of(grammar)
            if error:
                raise _refused(error)
            return _Entry(self._compiled(grammar), ENTRY_BYTES + BYTES_PER_LETTER * len(grammar))
        except ConstraintError as refusal:
            return _Entry(refusal, ENTRY_BYTES)

    def _compiled(self, grammar: str) -> LLMatcher:
        if self._library is None:
            wrapper = TokenizerWrapper(self._vocabulary)
            self._library = LLTokenizer(wrapper, n_vocab=len(self._vocabulary.tokens), eos_token=self._vocabulary.eos)
        state = LLMatcher(self._library, grammar, log_level=0, limits=limits())
        if not state.is_error():
            state.compute_bitmask()  # what it finds out is there in every copy
        if state.is_error():
            raise _refused(state.get_error())
        return state

    def _remember(self, key: bytes, entry: "_Entry") -> None:
        self._cache[key] = entry
        self.held_bytes += entry.held_bytes
        while self.held_bytes > self.cache_bytes and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self.held_bytes -= old.held_bytes


class Matcher:
    """Where one answer is in its grammar. Calls of one matcher come from one thread at a time."""

    def __init__(self, state: LLMatcher, usable_W: Tensor, pool: ThreadPoolExecutor) -> None:
        self.done = False
        self._state = state
        self._usable_W = usable_W
        self._pool = pool
        self._next = self._ahead()

    def mask(self) -> Tensor:
        """Which ids may come next, as int32 [ceil(V / 32)]: bit i % 32 of word i // 32. Waits for the thread.

        Raises ConstraintError where the grammar has become too large to go on, or nothing can follow.
        """
        return self._next.result().mask_W

    def forced(self) -> list[int]:
        """The ids that can only come next, as many as are certain; they are not accepted yet."""
        return [] if self.done else list(self._next.result().forced)

    def accept(self, *token_ids: int) -> None:
        """The ids the answer goes on with. After an id that ends it, or where nothing can follow, `done` is true."""
        if not token_ids:
            return
        assert not self.done, "the answer is complete"
        self._next.result()
        if not self._state.consume_tokens(list(token_ids)):
            raise _refused(self._state.get_error())
        self.done = self._state.is_stopped()
        if not self.done:
            self._next = self._ahead()

    def agreeing(self, token_ids: Sequence[int]) -> int:
        """How many of these ids, from the first on, the grammar would accept: for drafts."""
        self._next.result()
        return self._state.validate_tokens(list(token_ids))

    def masks_along(self, token_ids: Sequence[int]) -> list[Tensor]:
        """`mask()` now, and after each of the ids, which must be agreeing; the matcher stays where it is.

        Where the ids complete the answer there is no further mask.
        """
        masks, taken = [self.mask()], 0
        for token_id in token_ids:
            if not self._state.consume_token(token_id):
                raise _refused(self._state.get_error())
            taken += 1
            if self._state.is_stopped():
                break
            masks.append(self._step().mask_W)
        self._state.rollback(taken)
        return masks

    def copy(self) -> "Matcher":
        """Another matcher at the same place."""
        self._next.result()
        twin = Matcher(self._state.deep_copy(), self._usable_W, self._pool)
        twin.done = self.done
        return twin

    def _ahead(self) -> "Future[_Step]":
        return self._pool.submit(self._step)

    def _step(self) -> "_Step":
        forced = self._state.compute_ff_tokens()
        bits = torch.frombuffer(bytearray(self._state.compute_bitmask()), dtype=torch.int32)
        mask_W = bits[: len(self._usable_W)] & self._usable_W  # the library may give a word more
        if self._state.is_error():
            raise _refused(self._state.get_error())
        if not mask_W.any():
            raise ConstraintError("constraint", "no token can follow", "a grammar of text and of the marks of boxes")
        return _Step(mask_W, forced)


class _Entry(NamedTuple):
    outcome: LLMatcher | ConstraintError
    held_bytes: int


class _Step(NamedTuple):
    mask_W: Tensor
    forced: Sequence[int]


class _Vocabulary:
    """Our tokenizer as llguidance wants to see it: special tokens that no answer may hold do not exist for it."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos: Sequence[int]) -> None:
        named = {tokenizer.token_bytes(one).decode(): one for one in tokenizer.special_ids}
        usable = [named[token] for token in GROUNDING_TOKENS if token in named]
        usable += [named[token] for token in (CALL_START, CALL_END) if token in named]
        self.eos = list(eos)
        self.special_token_ids = [*usable, *self.eos]
        silent = tokenizer.special_ids - set(self.special_token_ids)
        known = range(min(tokenizer.vocab_size, vocab_size))
        self.tokens = [
            tokenizer.token_bytes(one) if one in known and one not in silent else b"" for one in range(vocab_size)
        ]
        self.special_tokens = [self.tokens[one].decode() for one in self.special_token_ids]
        self.usable_W = _packed([bool(token) for token in self.tokens])
        self.eos_token_id = self.eos[0]
        self.bos_token_id = None
        self._tokenizer = tokenizer
        self._byte_ids = {token[0]: one for one, token in enumerate(self.tokens) if len(token) == 1}

    def __call__(self, text: bytes) -> list[int]:
        """Ids whose bytes are exactly these; the tokenizer itself would compose letters and their accents (NFC)."""
        words = text.decode("utf-8", "replace")
        if words.encode() == text and unicodedata.is_normalized("NFC", words):
            return self._tokenizer.encode_text(words)
        return [self._byte_ids[value] for value in text]


def _packed(allowed: Sequence[bool]) -> Tensor:
    bits = torch.zeros(-(-len(allowed) // BITS) * BITS, dtype=torch.int64)
    bits[: len(allowed)] = torch.tensor(allowed)
    words = (bits.view(-1, BITS) << torch.arange(BITS)).sum(-1)
    return torch.where(words >= 2 ** (BITS - 1), words - 2**BITS, words).to(torch.int32)


def _refused(error: str) -> ConstraintError:
    """llguidance's words, without the state it prints after them."""
    seen = " ".join(error.partition("\n<")[0].split())
    return ConstraintError("constraint", seen[:300], "what docs/constrained-output.md lists")
