"""Passes of the model: pictures of several requests through the encoder, tokens of several through the decoder."""

import logging
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Run
from dataclasses import dataclass
from itertools import accumulate
from threading import RLock
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyres.engine.heap import give_back
from anyres.engine.kv_cache import KVCache
from anyres.errors import NumericsError
from anyres.model.language import TokenTable
from anyres.model.layers import packed_attention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import Grid, ModelInput, VisualInput
from anyres.quant.linear import widen

__all__ = ["Feed", "Passed", "Progress", "Report", "Runner", "VisualPart"]

logger = logging.getLogger(__name__)

ROW_STEP = 8
"""Rows of a pass are padded to a multiple of it: MKL sums a row in another order where a product has few or odd rows,
and then an answer would depend on who shares the pass. docs/decisions.md has what was measured."""
ENCODE_PATCHES = 16_384  # patches in one pass of the vision encoder: bounds its memory, about 1 GB in the 2B size

LARGE_PASS = 2048  # patches that take the encoder so long that giving their memory back is nothing beside it


class Progress(NamedTuple):
    """How far the work before the first token is.

    While pictures are encoded `item` of `items` is the picture or clip under way, and `done` of `total` visual tokens
    are made; while prompts are read they count prompts and their tokens.
    """

    stage: Literal["encode", "prefill"]
    item: int
    items: int
    done: int
    total: int


Report = Callable[[Progress], None]


class VisualPart(NamedTuple):
    """Frame pairs `start` to `stop` of an item."""

    visual: VisualInput
    start: int
    stop: int

    def __len__(self) -> int:
        """In patches."""
        return (self.stop - self.start) * self.visual.grid_thw[1] * self.visual.grid_thw[2]

    def patches(self) -> Tensor:
        """float32 [P, X]."""
        area = self.visual.grid_thw[1] * self.visual.grid_thw[2]
        return self.visual.patches(self.start * area, self.stop * area)


@dataclass(frozen=True)
class Feed:
    """Tokens of one sequence for a pass: `ids` behind the `start` that its blocks hold.

    `visuals` are (place in ids, visual_MD) to put over placeholders. `ends`: the logits of the last one are wanted. The
    last `guesses` of the ids are guesses: the logits before the first are wanted, and those after each.
    """

    ids: Run[int]
    positions_3T: Tensor
    table: Run[int]
    start: int = 0
    visuals: tuple[tuple[int, Tensor], ...] = ()
    ends: bool = True
    guesses: int = 0

    def __len__(self) -> int:
        return len(self.ids)


class Passed(NamedTuple):
    """logits_V by feed, for those that end, and what went wrong by feed; logits_LV after guesses by feed."""

    logits: dict[int, Tensor]
    failed: dict[int, NumericsError]
    guessed: Mapping[int, Tensor] = MappingProxyType({})


class Runner:
    """The model, and how much of it runs at once. A pass that gives NaN or infinity raises NumericsError.

    Several threads may use it; one pass runs at a time.
    """

    def __init__(self, model: Qwen2VL, *, encode_patches: int = ENCODE_PATCHES) -> None:
        self.model = model
        self._encode_patches = encode_patches
        head = model.model.embed_tokens if model.config.text.tie_word_embeddings else model.lm_head
        self.row_step, self._head_step = _row_step(model.model.layers), _row_step(head)
        self._patch_step = _row_step(model.visual) * model.config.vision.merge_area
        self._lock = RLock()

    @torch.no_grad()
    def encode(self, visuals: Run[VisualInput], *, report: Report | None = None) -> list[Tensor]:
        """visual_MD of each item, all packed; items that are encoded already pass through."""
        raw = [visual for visual in visuals if visual.visual_MD is None]
        merge_area = self.model.config.vision.merge_area
        totals = [_patches(visual.grid_thw) // merge_area for visual in raw]
        parts: list[Tensor] = []
        for pack in _packs(raw, self._encode_patches):
            done, item = sum(map(len, parts)), next(i for i, one in enumerate(raw) if one is pack[0].visual)
            _tell(report, Progress("encode", item + 1, len(raw), done, sum(totals)))
            with self._lock:
                parts.append(self._encode_pack(pack))
        if raw:
            _tell(report, Progress("encode", len(raw), len(raw), sum(totals), sum(totals)))
        made = iter(torch.cat(parts).split(totals)) if raw else iter(())
        return [next(made) if visual.visual_MD is None else visual.visual_MD for visual in visuals]

    @torch.no_grad()
    def encode_parts(self, parts: Run[VisualPart]) -> list[Tensor]:
        """visual_MD of each part, all in one pass."""
        with self._lock:
            visual_MD = self._encode_pack(parts)
        if sum(map(len, parts)) >= LARGE_PASS:
            give_back()  # before the decoder needs its own: the two together would be the peak
        return list(visual_MD.split([len(part) // self.model.config.vision.merge_area for part in parts]))

    @torch.no_grad()
    def forward(self, cache: KVCache, feeds: Run[Feed]) -> Passed:
        """One pass of the decoder over tokens of several sequences. The cache keeps them, whatever comes out."""
        with self._lock:
            cache.begin([feed.table for feed in feeds], [feed.start for feed in feeds], [len(feed) for feed in feeds])
            return self._pass(cache, feeds)

    @torch.no_grad()
    def hidden(self, prompt: ModelInput, visual_MD: Tensor | None = None) -> Tensor:
        """The last hidden states of a prompt, in one pass of its own that leaves nothing behind: hidden_TD."""
        ids_T, positions_3T = prompt.token_ids_T.to(self.model.device), prompt.positions_3T.to(self.model.device)

        def attend(layer: int, q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor) -> Tensor:
            del layer
            return packed_attention(q_THC, k_TKC, v_TKC, [len(q_THC)], causal=True)

        def again() -> Tensor:
            hidden_TD: Tensor = self.model(self.model.embed(ids_T, visual_MD), positions_3T, attend)
            return hidden_TD

        with self._lock:
            hidden_TD = again()
            while not _finite(hidden_TD):
                self._widen_or_raise(again, otherwise="norm")
                hidden_TD = again()
        return hidden_TD

    def _encode_pack(self, parts: Run[VisualPart]) -> Tensor:
        grids = [(part.stop - part.start, *part.visual.grid_thw[1:]) for part in parts]
        pixels_PX = torch.cat([part.patches() for part in parts]).to(self.model.device)
        merge, wanted = (
            self.model.config.vision.spatial_merge_size,
            len(pixels_PX) // self.model.config.vision.merge_area,
        )
        padding = -len(pixels_PX) % self._patch_step
        if padding:  # a picture of nothing, which no other sees
            pixels_PX, grids = F.pad(pixels_PX, (0, 0, 0, padding)), [*grids, (1, merge, padding // merge)]

        def again() -> Tensor:
            return self.model.encode(pixels_PX, grids)[:wanted]

        visual_MD = again()
        while not _finite(visual_MD):
            self._widen_or_raise(again, otherwise="visual")
            visual_MD = again()
        return visual_MD

    def _pass(self, cache: KVCache, feeds: Run[Feed]) -> Passed:
        device = self.model.device
        ids_T = torch.tensor([one for feed in feeds for one in feed.ids], device=device)
        positions_3T = torch.cat([feed.positions_3T for feed in feeds], dim=1).to(device)
        ends = list(accumulate(map(len, feeds)))
        rows = [row for feed, end in zip(feeds, ends, strict=True) if feed.ends for row in _last(feed, end)]
        rows_B = torch.tensor(rows, dtype=torch.long, device=device)
        padding, wanted = -len(ids_T) % self.row_step, len(rows_B)
        ids_T, positions_3T = F.pad(ids_T, (0, padding)), F.pad(positions_3T, (0, padding))
        rows_B = F.pad(rows_B, (0, -wanted % self._head_step))

        def again() -> tuple[Tensor, Tensor]:
            embeds_TD = _spliced(self.model.embed(ids_T), feeds)
            hidden_TD: Tensor = self.model(embeds_TD, positions_3T, cache.attend)
            return hidden_TD[: ends[-1]], self.model.head(hidden_TD[rows_B])[:wanted]

        hidden_TD, logits_BV = again()
        while not (_finite(hidden_TD) and _finite(logits_BV)):
            error = self._numerics_error(again, otherwise="lm_head")
            if not self._widen(error):
                return _passed(feeds, logits_BV, _blamed(feeds, hidden_TD, logits_BV, error))
            hidden_TD, logits_BV = again()
        return _passed(feeds, logits_BV, {})

    def _widen_or_raise(self, again: Callable[[], object], *, otherwise: str) -> None:
        """Gives the layer to blame float32 weights for good, where it was quantised; else raises NumericsError."""
        error = self._numerics_error(again, otherwise=otherwise)
        if not self._widen(error):
            raise error

    def _widen(self, error: NumericsError) -> bool:
        widened = widen(self.model, error.item)
        if widened:
            logger.warning("%s: %s; this layer runs with float32 weights from now on", error.item, error.seen)
        return widened

    def _numerics_error(self, again: Callable[[], object], *, otherwise: str) -> NumericsError:
        """Runs the pass once more and watches every layer. `otherwise` is to blame when none of them is."""
        bad: list[str] = []
        layers = [(name, layer) for name, layer in self.model.named_modules() if name]
        hooks = [layer.register_forward_hook(_watch(name, bad)) for name, layer in layers]
        try:
            again()
        finally:
            for hook in hooks:
                hook.remove()
        return _error(bad[0] if bad else otherwise, self.model.dtype)


def _packs(visuals: Run[VisualInput], budget: int) -> Iterator[list[VisualPart]]:
    """Cuts items between frame pairs, which see nothing of each other, into passes of about `budget` patches."""
    pack: list[VisualPart] = []
    room = budget
    for visual in visuals:
        t, h, w = visual.grid_thw
        start = 0
        while start < t:
            if room < h * w and pack:
                yield pack
                pack, room = [], budget
            stop = min(t, start + max(1, room // (h * w)))
            pack.append(VisualPart(visual, start, stop))
            start, room = stop, room - (stop - start) * h * w
    if pack:
        yield pack


def _patches(grid: Grid) -> int:
    t, h, w = grid
    return t * h * w


def _tell(report: Report | None, progress: Progress) -> None:
    if report is not None:
        report(progress)


def _row_step(module: nn.Module) -> int:
    """Quantised layers compute each row by itself."""
    dense = any(isinstance(layer, nn.Linear | TokenTable) for layer in module.modules())
    on_cpu = all(weight.device.type == "cpu" for weight in module.state_dict().values())
    return ROW_STEP if dense and on_cpu else 1


def _spliced(embeds_TD: Tensor, feeds: Run[Feed]) -> Tensor:
    """Visual tokens over their placeholders, in place."""
    first = 0
    for feed in feeds:
        for at, visual_MD in feed.visuals:
            embeds_TD[first + at : first + at + len(visual_MD)] = visual_MD.to(embeds_TD)
        first += len(feed)
    return embeds_TD


def _last(feed: Feed, end: int) -> range:
    """Rows of a pass whose logits a feed wants, which ends before row `end`."""
    return range(end - 1 - feed.guesses, end)


def _passed(feeds: Run[Feed], logits_BV: Tensor, failed: dict[int, NumericsError]) -> Passed:
    each = _by_feed(feeds, logits_BV)
    guessed = {number: logits_LV[1:] for number, logits_LV in each.items() if feeds[number].guesses}
    return Passed({number: logits_LV[0] for number, logits_LV in each.items()}, failed, guessed)


def _by_feed(feeds: Run[Feed], logits_BV: Tensor) -> dict[int, Tensor]:
    """logits_LV: before the first guess, and after each."""
    numbers = [number for number, feed in enumerate(feeds) if feed.ends]
    return dict(zip(numbers, logits_BV.split([1 + feeds[number].guesses for number in numbers]), strict=True))


def _blamed(feeds: Run[Feed], hidden_TD: Tensor, logits_BV: Tensor, error: NumericsError) -> dict[int, NumericsError]:
    """Sequences see nothing of each other: only those whose own numbers went wrong fail, each with its own error."""
    logits = _by_feed(feeds, logits_BV)
    bad = [
        not _finite(hidden_LD) or (number in logits and not _finite(logits[number]))
        for number, hidden_LD in enumerate(hidden_TD.split([len(feed) for feed in feeds]))
    ]
    return {number: NumericsError(error.item, error.seen, error.allowed) for number, one in enumerate(bad) if one}


def _finite(x: Tensor) -> bool:
    return bool(x.isfinite().all())


def _watch(name: str, bad: list[str]) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    """A hook that notes the layer when its output is not finite, or its parent when its input was not already."""

    def hook(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        del module
        if not bad and isinstance(output, Tensor) and not _finite(output):
            spoilt = any(isinstance(x, Tensor) and x.is_floating_point() and not _finite(x) for x in inputs)
            bad.append(name.rpartition(".")[0] or name if spoilt else name)

    return hook


def _error(layer: str, dtype: torch.dtype) -> NumericsError:
    named = str(dtype).removeprefix("torch.")
    wider = "the weights may be damaged" if dtype == torch.float32 else "try dtype=float32"
    wider = "try dtype=float32 or bfloat16" if dtype == torch.float16 else wider
    return NumericsError(layer, f"NaN or infinite values in {named}", f"finite values; {wider}")
