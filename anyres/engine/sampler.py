"""From logits to the next token: biases, penalties, the knobs that narrow the choice, and the draw.

Order and meaning are those of transformers 4.57: bias, repetition penalty, presence and frequency penalty (OpenAI's),
then what may not be drawn, temperature, top_k, top_p, min_p. Every step works row by row, so requests with different
options share a batch and no request's token depends on its neighbours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.errors import OptionError

__all__ = [
    "Choice",
    "Sampler",
    "SamplingOptions",
    "Seen",
    "choose_batch",
    "draw",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "penalise_counts",
    "penalise_seen",
    "unpack_mask",
]

MOST_LOGPROBS = 20  # what GenerationOptions allows at most
CACHED_LOGITS = 1 << 18  # 1 MB of float32
LIKELY = 512  # of a large vocabulary, so many of the likeliest tokens are looked at before all are sorted
NEAR = 1e-5  # of a probability; sums of float32 in another order differ by less
GREEDY_BELOW = 1e-5  # a temperature below it means greedy, as in vLLM; dividing by less would overflow float32


@dataclass(frozen=True)
class SamplingOptions:
    """GenerationOptions with every None resolved; the values below leave the model's distribution as it is.

    `logit_bias` holds (id, what is added to its logit).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logprobs: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW or self.top_k == 1

    @property
    def penalises(self) -> bool:
        return self.repetition_penalty != 1 or bool(self.presence_penalty or self.frequency_penalty)


class Choice(NamedTuple):
    """A token, the log of its probability, and the likeliest tokens with theirs (when logprobs were asked for)."""

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Seen:
    """Which ids prompt and answer hold (`ids_N`), and how often the answer does (`counts_N`)."""

    def __init__(self, prompt_ids_T: Tensor) -> None:
        self.ids_N = prompt_ids_T.unique().cpu()
        self.counts_N = torch.zeros(len(self.ids_N))
        self._place = {token_id: place for place, token_id in enumerate(self.ids_N.tolist())}

    def add(self, token_id: int) -> None:
        """One more of it in the answer."""
        if token_id not in self._place:
            self._place[token_id] = len(self.ids_N)
            self.ids_N = torch.cat((self.ids_N, torch.tensor([token_id])))
            self.counts_N = torch.cat((self.counts_N, torch.zeros(1)))
        self.counts_N[self._place[token_id]] += 1


class Sampler:
    """What the draws of one request depend on: its options, its random numbers, and which ids it has seen.

    `banned_V` marks ids that are never drawn. With a seed the draws are the same on every device and in every batch.
    Raises OptionError for a bias of an id outside the vocabulary.
    """

    def __init__(self, options: SamplingOptions, prompt_ids_T: Tensor, banned_V: Tensor) -> None:
        for token_id, _ in options.logit_bias:
            if not 0 <= token_id < len(banned_V):
                raise OptionError("logit_bias", f"token id {token_id}", f"ids from 0 to {len(banned_V) - 1}")
        self.options = options
        self.banned_V = banned_V
        self.generator = torch.Generator()
        if options.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(options.seed)
        self.seen = Seen(prompt_ids_T) if options.penalises else None

    def choose(self, logits_V: Tensor, mask: Tensor | None = None) -> Choice:
        """The next token of this request alone."""
        return choose_batch(logits_V[None], [self], [mask])[0]

    def saw(self, token_id: int) -> None:
        """Counts an id of the answer; `choose_batch` does it for those it draws, others (forced ones) are told here."""
        if self.seen is not None:
            self.seen.add(token_id)


def choose_batch(logits_BV: Tensor, samplers: Sequence[Sampler], masks: Sequence[Tensor | None]) -> list[Choice]:
    """The next token of every request, each as it would be alone.

    A mask is the int32 [ceil(V / 32)] of a grammar: bit i % 32 of word i // 32 says whether id i may be drawn. It must
    allow an id that is not banned. Logprobs are those of the model itself, before penalties, masks and temperature.
    """
    rows = _rows_at_once(logits_BV)
    parts = [slice(start, start + rows) for start in range(0, len(samplers), rows)]
    return [one for part in parts for one in _chosen(logits_BV[part].float(), samplers[part], masks[part])]


def _chosen(logits_BV: Tensor, samplers: Sequence[Sampler], masks: Sequence[Tensor | None]) -> list[Choice]:
    scores_BV = _allowed(_penalised(_biased(logits_BV, samplers), samplers), samplers, masks)
    chosen_B = scores_BV.argmax(-1)
    drawing = [row for row, sampler in enumerate(samplers) if not sampler.options.greedy]
    if drawing:
        chosen_B[drawing] = _drawn(scores_BV[drawing], [samplers[row] for row in drawing])
    token_ids = chosen_B.tolist()
    for sampler, token_id in zip(samplers, token_ids, strict=True):
        sampler.saw(token_id)
    return _with_logprobs(logits_BV, token_ids, [sampler.options.logprobs for sampler in samplers])


def penalise_seen(logits_N: Tensor, penalty_N: Tensor) -> Tensor:
    """Repetition penalty (arXiv 1909.05858) of ids that were seen: divides positive logits, multiplies negative ones.

    >>> penalise_seen(torch.tensor([2.0, -2.0]), torch.tensor([2.0, 2.0])).tolist()
    [1.0, -4.0]
    """
    return torch.where(logits_N < 0, logits_N * penalty_N, logits_N / penalty_N)


def penalise_counts(logits_N: Tensor, counts_N: Tensor, *, presence_N: Tensor, frequency_N: Tensor) -> Tensor:
    """Presence and frequency penalty as OpenAI defines them, over the ids of the answer so far.

    >>> half, one = torch.full((3,), 0.5), torch.ones(3)
    >>> penalise_counts(torch.zeros(3), torch.tensor([0.0, 1.0, 2.0]), presence_N=half, frequency_N=one).tolist()
    [0.0, -1.5, -2.5]
    """
    return logits_N - frequency_N * counts_N - presence_N * (counts_N > 0)


def keep_top_k(logits_BV: Tensor, k_B: Tensor) -> Tensor:
    """The k highest logits of a row and those equal to the k-th; the others become -inf."""
    k_B = k_B.clamp(max=logits_BV.shape[-1])
    kth_B1 = logits_BV.topk(int(k_B.max())).values.gather(-1, k_B[:, None] - 1)
    return logits_BV.masked_fill(logits_BV < kth_B1, -torch.inf)


def keep_top_p(logits_BV: Tensor, p_B: Tensor) -> Tensor:
    """The fewest of a row's likeliest tokens that hold a probability of p together, at least one."""
    if logits_BV.shape[-1] <= 8 * LIKELY:
        return _keep_top_p_sorted(logits_BV, p_B)
    values_BN = logits_BV.topk(LIKELY + 1).values
    before_BN = (values_BN - logits_BV.logsumexp(-1, keepdim=True)).exp().cumsum(-1).roll(1, -1)
    before_BN[:, 0] = 0
    p_B1 = p_B[:, None].float()
    last_B1 = (before_BN < p_B1).sum(-1, keepdim=True).sub(1).clamp(min=0)
    following_B1 = (last_B1 + 1).clamp(max=LIKELY)
    lowest_B1 = values_BN.gather(-1, last_B1)
    kept_BV = logits_BV.masked_fill(logits_BV < lowest_B1, -torch.inf)
    # All are sorted where these do not hold enough, or rounding or equal logits decide which is the last.
    near_B1 = torch.minimum(p_B1 - before_BN.gather(-1, last_B1), before_BN.gather(-1, following_B1) - p_B1) < NEAR
    unsure_B1 = near_B1 | (last_B1 == LIKELY) | (values_BN.gather(-1, following_B1) == lowest_B1)
    rows = unsure_B1[:, 0].nonzero()[:, 0]
    if len(rows):
        kept_BV[rows] = _keep_top_p_sorted(logits_BV[rows], p_B[rows])
    return kept_BV


def _keep_top_p_sorted(logits_BV: Tensor, p_B: Tensor) -> Tensor:
    ascending_BV, order_BV = logits_BV.sort(stable=True)
    # 1 - p in float64: rounded to float32 before, a p of 0.9 would drop a token that lies on the border.
    drop_BV = ascending_BV.softmax(-1).cumsum(-1) <= (1 - p_B.double())[:, None].float()
    drop_BV[:, -1] = False
    return logits_BV.masked_fill(torch.empty_like(drop_BV).scatter(-1, order_BV, drop_BV), -torch.inf)


def keep_min_p(logits_BV: Tensor, p_B: Tensor) -> Tensor:
    """A row's tokens at least p times as likely as its likeliest one."""
    probabilities_BV = logits_BV.softmax(-1)
    floor_B1 = p_B[:, None].float() * probabilities_BV.amax(-1, keepdim=True)
    return logits_BV.masked_fill(probabilities_BV < floor_B1, -torch.inf)


def draw(logits_BV: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """One id of each row at random, by its probability; takes one number from a row's generator, whatever V is."""
    # Strictly below 1, so that the search never runs past the last token with a probability above 0.
    uniform = [min(float(torch.rand((), generator=one, dtype=torch.float64)), 1 - 2**-52) for one in generators]
    cumulative_BV = logits_BV.double().softmax(-1).cumsum(-1)
    threshold_B1 = cumulative_BV[:, -1:] * torch.tensor(uniform, dtype=torch.float64, device=logits_BV.device)[:, None]
    return torch.searchsorted(cumulative_BV, threshold_B1, right=True)[:, 0]


def unpack_mask(mask_BW: Tensor, vocab_size: int) -> Tensor:
    """Bits of int32 words as booleans [B, vocab_size]; bits beyond the vocabulary are dropped.

    >>> unpack_mask(torch.tensor([[5]], dtype=torch.int32), 3).tolist()
    [[True, False, True]]
    """
    shifts = torch.arange(8, dtype=torch.uint8, device=mask_BW.device)
    bits = mask_BW.contiguous().view(torch.uint8)[..., None] >> shifts & 1  # words are little-endian on all we run on
    return bits.flatten(-2)[:, :vocab_size].bool()


def _rows_at_once(logits_BV: Tensor) -> int:
    """All of them, but on a CPU as many as its nearest caches hold: a step reads and writes the rows some ten times."""
    return len(logits_BV) if logits_BV.is_cuda else max(1, CACHED_LOGITS // logits_BV.shape[-1])


def _biased(logits_BV: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    cells = [(row, *pair) for row, sampler in enumerate(samplers) for pair in sampler.options.logit_bias]
    if not cells:
        return logits_BV
    rows, ids, biases = zip(*cells, strict=True)
    place = (_on(logits_BV, rows), _on(logits_BV, ids))
    return logits_BV.index_put(place, logits_BV[place] + _on(logits_BV, biases).float())


def _penalised(logits_BV: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Touches only the cells of seen ids: a few thousand of the 151,936 of a row."""
    some = [(row, sampler.seen, sampler.options) for row, sampler in enumerate(samplers) if sampler.seen is not None]
    if not some:
        return logits_BV
    sizes = torch.tensor([len(seen.ids_N) for _, seen, _ in some])

    def spread(values: Sequence[float]) -> Tensor:
        return torch.tensor(values).repeat_interleave(sizes).to(logits_BV.device)

    place = (spread([row for row, _, _ in some]), torch.cat([seen.ids_N for _, seen, _ in some]).to(logits_BV.device))
    cells_N = penalise_counts(
        penalise_seen(logits_BV[place], spread([options.repetition_penalty for _, _, options in some])),
        torch.cat([seen.counts_N for _, seen, _ in some]).to(logits_BV.device),
        presence_N=spread([options.presence_penalty for _, _, options in some]),
        frequency_N=spread([options.frequency_penalty for _, _, options in some]),
    )
    return logits_BV.index_put(place, cells_N)


def _allowed(logits_BV: Tensor, samplers: Sequence[Sampler], masks: Sequence[Tensor | None]) -> Tensor:
    """-inf wherever an id is banned or ruled out by a grammar; masks may lie on another device than the logits."""
    first = samplers[0].banned_V
    same = all(sampler.banned_V is first for sampler in samplers)
    banned_BV = first[None] if same else torch.stack([sampler.banned_V for sampler in samplers])
    scores_BV = logits_BV.masked_fill(banned_BV, -torch.inf)
    rows = [row for row, mask in enumerate(masks) if mask is not None]
    if rows:
        words = torch.stack([mask for mask in masks if mask is not None]).to(logits_BV.device)
        allowed_BV = unpack_mask(words, logits_BV.shape[-1])
        scores_BV[rows] = scores_BV[rows].masked_fill(~allowed_BV, -torch.inf)
    return scores_BV


def _drawn(scores_BV: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    for wanted, knob, step in _STEPS:
        rows = [row for row, sampler in enumerate(samplers) if wanted(sampler.options)]
        if rows:
            values = _on(scores_BV, [knob(samplers[row].options) for row in rows])
            scores_BV[rows] = step(scores_BV[rows], values)
    return draw(scores_BV, [sampler.generator for sampler in samplers])


def _tempered(logits_BV: Tensor, temperature_B: Tensor) -> Tensor:
    return logits_BV / temperature_B[:, None].float()


_Test = Callable[[SamplingOptions], bool]
_Knob = Callable[[SamplingOptions], float]
_Step = Callable[[Tensor, Tensor], Tensor]
_STEPS: tuple[tuple[_Test, _Knob, _Step], ...] = (
    (lambda options: options.temperature != 1, lambda options: options.temperature, _tempered),
    (lambda options: options.top_k > 0, lambda options: options.top_k, keep_top_k),
    (lambda options: options.top_p < 1, lambda options: options.top_p, keep_top_p),
    (lambda options: options.min_p > 0, lambda options: options.min_p, keep_min_p),
)


def _with_logprobs(logits_BV: Tensor, token_ids: Sequence[int], counts: Sequence[int | None]) -> list[Choice]:
    choices = [Choice(token_id) for token_id in token_ids]
    rows = [row for row, count in enumerate(counts) if count is not None]
    if not rows:
        return choices
    logprobs_BV = logits_BV[rows].log_softmax(-1)
    chosen_B = logprobs_BV.gather(-1, _on(logits_BV, [token_ids[row] for row in rows])[:, None])[:, 0].tolist()
    # Always as many: with equal logits the ones found depend on how many are looked for.
    top = logprobs_BV.topk(min(MOST_LOGPROBS, logits_BV.shape[-1]))
    for row, logprob, values, ids in zip(rows, chosen_B, top.values.tolist(), top.indices.tolist(), strict=True):
        likeliest = sorted(zip(ids, values, strict=True), key=lambda pair: (-pair[1], pair[0]))
        choices[row] = Choice(token_ids[row], logprob, tuple(likeliest[: counts[row]]))
    return choices


def _on(logits_BV: Tensor, values: Sequence[float]) -> Tensor:
    """Values beside the logits: whole numbers as int64, others as float64."""
    dtype = torch.int64 if all(isinstance(value, int) for value in values) else torch.float64
    return torch.tensor(values, dtype=dtype).to(logits_BV.device)
