"""The card of a quantised checkpoint: how far its next tokens are from the source's, measured on real pictures.

For every position of a text the source and the quantised model each give probabilities of the next token. Two figures
compare them: the Kullback-Leibler divergence, in nats, and how often both have the same likeliest token.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.config import read_json
from anyres.errors import CheckpointError
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput

__all__ = ["Card", "Loss", "Probe", "compare", "log_probabilities", "read_card", "warning_of", "write_card"]

CARD_FILE, PAGE_FILE = "quantization_card.json", "QUANTIZATION.md"
MAX_POSITIONS = 32  # of one answer that are compared
WORST_KL, WORST_TOP1 = 0.1, 0.9  # a card beyond either is bad


@dataclass(frozen=True)
class Loss:
    """Over `positions` next tokens: mean KL divergence in nats, its 95th percentile, how often the likeliest agree."""

    positions: int
    kl_mean: float
    kl_p95: float
    top1: float

    @property
    def bad(self) -> bool:
        return not (self.kl_mean <= WORST_KL and self.top1 >= WORST_TOP1)


@dataclass(frozen=True)
class Card:
    """What was made of what, and how it fares. `parts` are the trials that decided how each part is kept."""

    source: str
    method: str
    bits: dict[str, int]
    bytes: int
    source_bytes: int
    questions: int
    calibrated: bool
    loss: Loss
    parts: dict[str, Loss] = field(default_factory=dict)


class Probe(NamedTuple):
    """A text to measure on: a question and the source's answer, which is foretold from token `start` on."""

    prompt: ModelInput
    start: int


def log_probabilities(model: Qwen2VL, probe: Probe) -> Tensor:
    """Of the token at each position of the answer and of the one after it, [positions, V] float32."""
    prompt = probe.prompt
    device = model.device
    visuals = [
        model.encode(visual.patches(0, _patches(visual.grid_thw)).to(device), [visual.grid_thw])
        if visual.visual_MD is None
        else visual.visual_MD
        for visual in prompt.visuals
    ]
    embeds_TD = model.embed(prompt.token_ids_T.to(device), torch.cat(visuals) if visuals else None)
    hidden_TD = model(embeds_TD, prompt.positions_3T.to(device), CausalAttention([len(embeds_TD)]))
    rows_PD = hidden_TD[probe.start - 1 : probe.start - 1 + MAX_POSITIONS]
    return torch.log_softmax(model.head(rows_PD).float(), -1).cpu()


@torch.no_grad()
def compare(
    model: Qwen2VL,
    probes: Sequence[Probe],
    reference: Iterable[Tensor],
    *,
    step: Callable[[], None] = lambda: None,
) -> Loss:
    """Of `model` against `reference`, the log probabilities that the source gave for the same texts."""
    divergences, agreed = [], []
    for probe, source_PV in zip(probes, reference, strict=True):
        own_PV = log_probabilities(model, probe)
        divergences.append((source_PV.exp() * (source_PV - own_PV)).sum(-1).clamp(min=0))
        agreed.append(source_PV.argmax(-1) == own_PV.argmax(-1))
        step()
    kl, same = torch.cat(divergences), torch.cat(agreed).float()
    return Loss(len(kl), float(kl.mean()), float(kl.quantile(0.95)), float(same.mean()))


def write_card(card: Card, folder: Path) -> None:
    """JSON for programs, Markdown for people."""
    (folder / CARD_FILE).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
    (folder / PAGE_FILE).write_text(page(card), encoding="utf-8")


def read_card(folder: Path) -> Card | None:
    """None where the folder has none; CheckpointError for one that cannot be read."""
    path = folder / CARD_FILE
    if not path.exists():
        return None
    raw = read_json(path)
    try:
        loss = Loss(**raw.pop("loss"))
        parts = {name: Loss(**part) for name, part in raw.pop("parts").items()}
        return Card(**raw, loss=loss, parts=parts)
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(str(path), f"no card ({error})", "what `anyres quantize` writes") from None


def warning_of(card: Card | None, name: str) -> str | None:
    """What is to be said when such a checkpoint is opened; None when all is well."""
    if card is None:
        return f"{name}: quantised, and nobody measured what that cost: no {CARD_FILE} beside the weights"
    if not card.loss.bad:
        return None
    return (
        f"{name}: quantised at a loss: KL {card.loss.kl_mean:.3f} nats from its source, the same likeliest token "
        f"{card.loss.top1:.1%} of the time; good ones stay below {WORST_KL} and above {WORST_TOP1:.0%}"
    )


def page(card: Card) -> str:
    """The card in Markdown."""
    kept = ", ".join(f"{part} {bits} bits" for part, bits in card.bits.items())
    rows = [("**whole model**", card.loss), *card.parts.items()]
    calibrated = "with" if card.calibrated else "without"
    lines = [
        f"# {card.source} in {card.method}",
        "",
        f"Made by `anyres quantize`, {calibrated} calibration. Kept: {kept}.",
        "",
        f"{card.bytes / 1e6:,.1f} MB of weights; the source, as it was measured, {card.source_bytes / 1e6:,.1f} MB.",
        "",
        f"Next tokens compared with the source's, in its own answers to {card.questions} questions about pictures:",
        "",
        "| what is quantised | positions | KL mean, nats | KL 95th percentile | same likeliest token |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {loss.positions} | {loss.kl_mean:.5f} | {loss.kl_p95:.5f} | {loss.top1:.1%} |"
            for name, loss in rows
        ),
        "",
    ]
    return "\n".join(lines)


def _patches(grid: tuple[int, int, int]) -> int:
    t, h, w = grid
    return t * h * w
