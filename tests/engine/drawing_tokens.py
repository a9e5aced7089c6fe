"""Answers drawn at random under a matcher: a model that knows nothing, with a liking for what ends things."""

import torch

from anyres.engine.grammar import Matcher
from anyres.engine.sampler import Sampler, SamplingOptions, choose_batch
from anyres.processing.tokenizer import Tokenizer

ENDS = frozenset(b'"}]')
LIKING = 4.0  # added to the logits of tokens that hold an end, so that texts and lists do not go on for ever


def liking_V(tokenizer: Tokenizer, vocab_size: int) -> torch.Tensor:
    spelled = [tokenizer.token_bytes(one) for one in range(vocab_size)]
    ends = [2.0 if one in tokenizer.special_ids else bool(ENDS & set(token)) for one, token in enumerate(spelled)]
    return LIKING * torch.tensor(ends, dtype=torch.float32)


def drawn_ids(
    matcher: Matcher, tokenizer: Tokenizer, vocab_size: int, *, seed: int, limit: int = 200, forcing: bool = True
) -> list[int]:
    """The ids of an answer, at most about `limit`; whether it came to its end is `matcher.done`."""
    bonus_V = liking_V(tokenizer, vocab_size)
    sampler = Sampler(SamplingOptions(0.0), torch.zeros(0, dtype=torch.long), torch.zeros(vocab_size, dtype=torch.bool))
    ids: list[int] = []
    while not matcher.done and len(ids) < limit:
        # By the place in the answer, so that taking forced ids at once changes no later draw.
        generator = torch.Generator().manual_seed(seed * 100_003 + len(ids))
        logits_V = torch.randn(vocab_size, generator=generator) + bonus_V
        ids.append(choose_batch(logits_V[None], [sampler], [matcher.mask()])[0].token_id)
        matcher.accept(ids[-1])
        if forcing:
            forced = matcher.forced()
            matcher.accept(*forced)
            ids += forced
    return ids
