"""From logits to the next token: penalties, the knobs that narrow the choice, and the draw.

Order and meaning are those of transformers 4.57: repetition penalty, then presence and frequency penalty (OpenAI's),
then temperature, top_k, top_p, min_p. All work on the logits of one request, so requests with different options
share a batch and no request's draw depends on its neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Choice",
    "Sampler",
    "SamplingOptions",
    "draw",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "penalise_counts",
    "penalise_seen",
]

GREEDY_BELOW = 1e-5  # a temperature below it means greedy, as in vLLM; dividing by less would overflow float32


@dataclass(frozen=True)
class SamplingOptions:
    """GenerationOptions with every None resolved; the values below leave the model's distribution as it is."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logprobs: int | None = None

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW or self.top_k == 1


class Choice(NamedTuple):
    """A token, the log of its probability, and the likeliest tokens with theirs (when logprobs were asked for)."""

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Draws the tokens of one request and remembers which ids it has seen.

    `banned_V` marks ids that are never drawn. With a seed the draws are the same on every device and in every batch.
    """

    def __init__(self, options: SamplingOptions, prompt_ids_T: Tensor, banned_V: Tensor) -> None:
        self.options = options
        self._banned_V = banned_V
        self._generator = torch.Generator()
        if options.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(options.seed)
        self._seen_V = torch.zeros_like(banned_V)
        self._seen_V[prompt_ids_T.to(banned_V.device)] = True
        self._counts_V = torch.zeros(len(banned_V), device=banned_V.device)

    def choose(self, logits_V: Tensor) -> Choice:
        """The next token. Logprobs are those of the model itself, before penalties and temperature."""
        options = self.options
        scores_V = self._penalised(logits_V).masked_fill(self._banned_V, -torch.inf)
        chosen = scores_V.argmax() if options.greedy else draw(_narrowed(scores_V, options), self._generator)
        token_id = int(chosen)
        self._seen_V[token_id] = True
        self._counts_V[token_id] += 1
        return Choice(token_id) if options.logprobs is None else _with_logprobs(logits_V, token_id, options.logprobs)

    def _penalised(self, logits_V: Tensor) -> Tensor:
        options = self.options
        if options.repetition_penalty != 1:
            logits_V = penalise_seen(logits_V, self._seen_V, options.repetition_penalty)
        if options.presence_penalty or options.frequency_penalty:
            logits_V = penalise_counts(
                logits_V, self._counts_V, presence=options.presence_penalty, frequency=options.frequency_penalty
            )
        return logits_V


def penalise_seen(logits_V: Tensor, seen_V: Tensor, penalty: float) -> Tensor:
    """Repetition penalty (arXiv 1909.05858): positive logits of seen ids are divided by it, negative ones multiplied.

    >>> penalise_seen(torch.tensor([2.0, 2.0, -2.0]), torch.tensor([True, False, True]), 2.0).tolist()
    [1.0, 2.0, -4.0]
    """
    return torch.where(seen_V, torch.where(logits_V < 0, logits_V * penalty, logits_V / penalty), logits_V)


def penalise_counts(logits_V: Tensor, counts_V: Tensor, *, presence: float, frequency: float) -> Tensor:
    """Presence and frequency penalty as OpenAI defines them, over the ids of the answer so far.

    >>> penalise_counts(torch.zeros(3), torch.tensor([0.0, 1.0, 2.0]), presence=0.5, frequency=1.0).tolist()
    [0.0, -1.5, -2.5]
    """
    return logits_V - frequency * counts_V - presence * (counts_V > 0)


def keep_top_k(logits_V: Tensor, k: int) -> Tensor:
    """The k highest logits and those equal to the k-th; the others become -inf."""
    kth = logits_V.topk(min(k, len(logits_V))).values[-1]
    return logits_V.masked_fill(logits_V < kth, -torch.inf)


def keep_top_p(logits_V: Tensor, p: float) -> Tensor:
    """The fewest of the likeliest tokens that hold a probability of p together, at least one."""
    ascending_V, order_V = logits_V.sort()
    drop_V = ascending_V.softmax(-1).cumsum(-1) <= 1 - p
    drop_V[-1] = False
    return logits_V.masked_fill(torch.empty_like(drop_V).scatter(0, order_V, drop_V), -torch.inf)


def keep_min_p(logits_V: Tensor, p: float) -> Tensor:
    """Tokens at least p times as likely as the likeliest one."""
    probabilities_V = logits_V.softmax(-1)
    return logits_V.masked_fill(probabilities_V < p * probabilities_V.max(), -torch.inf)


def draw(logits_V: Tensor, generator: torch.Generator) -> Tensor:
    """One id at random, by its probability. Takes one number from `generator`, whatever the vocabulary's size."""
    uniform = float(torch.rand((), generator=generator, dtype=torch.float64))
    cumulative_V = logits_V.double().softmax(-1).cumsum(-1)
    # Strictly below the sum, so that the search never runs past the last token with a probability above 0.
    threshold = cumulative_V[-1:] * min(uniform, 1 - 2**-52)
    return torch.searchsorted(cumulative_V, threshold, right=True)[0]


def _narrowed(scores_V: Tensor, options: SamplingOptions) -> Tensor:
    steps: tuple[tuple[bool, Callable[[Tensor], Tensor]], ...] = (
        (options.temperature != 1, lambda x_V: x_V / options.temperature),
        (options.top_k > 0, lambda x_V: keep_top_k(x_V, options.top_k)),
        (options.top_p < 1, lambda x_V: keep_top_p(x_V, options.top_p)),
        (options.min_p > 0, lambda x_V: keep_min_p(x_V, options.min_p)),
    )
    for wanted, step in steps:
        scores_V = step(scores_V) if wanted else scores_V
    return scores_V


def _with_logprobs(logits_V: Tensor, token_id: int, count: int) -> Choice:
    logprobs_V = logits_V.float().log_softmax(-1)
    values, ids = logprobs_V.topk(min(count, len(logprobs_V)))
    return Choice(token_id, float(logprobs_V[token_id]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))
