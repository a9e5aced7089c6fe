"""A process that tries grammars out before the engine does, so that one which takes for ever can be ended.

llguidance bounds most of the work with limits of its own, but not all (an object with 10,000 properties took 16 s), and
a call of it cannot be stopped from another thread. Run as a script, with llguidance alone imported: the first line on
stdin lists special tokens, every other one is a grammar; each is answered by a line, its error or "".
"""

import json
import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

__all__ = ["Vocabulary", "limits"]

STACK_BYTES = 1 << 20  # less than any thread of the engine has: what recurses too deep dies here
MOST_MEMORY = 1 << 30  # bytes of address space; the interpreter and the library take 100 MB of it
TRIED_BYTES = 6  # of an answer, after which row and lexer limits have shown most of what they have to show


class Vocabulary(NamedTuple):
    """What llguidance asks of a tokenizer. `tokens` has the bytes of every id, those without a token are b""."""

    tokens: Sequence[bytes]
    special_token_ids: Sequence[int]
    eos_token_id: int
    bos_token_id: int | None = None

    def __call__(self, text: bytes) -> list[int]:
        """Ids of bytes; here one a byte."""
        return list(text)


def limits() -> LLParserLimits:
    """Bounds on the work of one step and on what a grammar may hold."""
    return LLParserLimits(
        max_items_in_row=10_000,  # an object with 2,000 properties that may all be absent
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=200_000,
        step_max_items=100_000,
        max_lexer_states=20_000,  # about 2 kB each
        max_grammar_size=200_000,
        verbose_errors=False,
    )


def begun(grammar: str, tokenizer: LLTokenizer) -> LLMatcher:
    """A matcher some bytes into an answer, or in error."""
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits())
    for step in range(TRIED_BYTES):
        if matcher.is_error() or matcher.is_stopped():
            break
        mask = int.from_bytes(matcher.compute_bitmask(), "little")
        allowed = [token for token in range(tokenizer.vocab_size) if mask >> token & 1]
        if not allowed or not matcher.consume_token(allowed[step * 7919 % len(allowed)]):
            break
    return matcher


def main() -> None:
    _bound_memory()
    special = json.loads(sys.stdin.readline())
    tokens = [bytes([value]) for value in range(256)] + [name.encode() for name in special]
    tokenizer = LLTokenizer(TokenizerWrapper(Vocabulary(tokens, range(256, len(tokens)), len(tokens) - 1)))
    print("ready", flush=True)
    threading.stack_size(STACK_BYTES)
    for line in sys.stdin:
        thread = threading.Thread(target=_answer, args=(json.loads(line), tokenizer))
        thread.start()
        thread.join()


def _answer(grammar: str, tokenizer: LLTokenizer) -> None:
    print(json.dumps(begun(grammar, tokenizer).get_error()), flush=True)


def _bound_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


if __name__ == "__main__":
    main()
