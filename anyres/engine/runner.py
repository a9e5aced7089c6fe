"""Runs the model for a set of sequences: encodes their pictures, prefills their prompts, decodes one token of each."""

import logging
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Run
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from anyres.engine.kv_cache import KVCache
from anyres.engine.request import Sequence
from anyres.errors import NumericsError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import Grid, VisualInput
from anyres.quant.linear import widen

__all__ = ["Progress", "Report", "Runner"]

logger = logging.getLogger(__name__)

ENCODE_PATCHES = 16_384  # patches in one pass of the vision encoder: bounds its memory, about 1 GB in the 2B size
PREFILL_TOKENS = 4_096  # prompt tokens in one pass of the decoder


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


class Runner:
    """The model, and how much of it runs at once. A pass that gives NaN or infinity raises NumericsError."""

    def __init__(
        self, model: Qwen2VL, *, encode_patches: int = ENCODE_PATCHES, prefill_tokens: int = PREFILL_TOKENS
    ) -> None:
        self.model = model
        self._encode_patches = encode_patches
        self._prefill_tokens = prefill_tokens

    def new_cache(self, *, sequences: int = 1, places: int = 256) -> KVCache:
        """An empty cache on the model's device."""
        text = self.model.config.text
        return KVCache(text, device=self.model.device, dtype=self.model.dtype, sequences=sequences, places=places)

    @torch.no_grad()
    def encode(self, visuals: Run[VisualInput], *, report: Report | None = None) -> list[Tensor]:
        """visual_MD of each item, all packed; items that are encoded already pass through."""
        raw = [visual for visual in visuals if visual.visual_MD is None]
        merge_area = self.model.config.vision.merge_area
        totals = [_patches(visual.grid_thw) // merge_area for visual in raw]
        parts: list[Tensor] = []
        for pack in _packs([visual.grid_thw for visual in raw], self._encode_patches):
            done = sum(map(len, parts))
            _tell(report, Progress("encode", pack[0].item + 1, len(raw), done, sum(totals)))
            parts.append(self._encode_pack(raw, pack))
        if raw:
            _tell(report, Progress("encode", len(raw), len(raw), sum(totals), sum(totals)))
        made = iter(torch.cat(parts).split(totals)) if raw else iter(())
        return [next(made) if visual.visual_MD is None else visual.visual_MD for visual in visuals]

    @torch.no_grad()
    def prefill(
        self, cache: KVCache, sequences: Run[Sequence], visuals: Run[Tensor], *, report: Report | None = None
    ) -> Tensor:
        """Reads the prompts into the cache. `visuals` are those of all prompts, in order. Returns logits_BV."""
        rest = iter(visuals)
        embeds = [self._embed(sequence, [next(rest) for _ in sequence.prompt.visuals]) for sequence in sequences]
        for sequence in sequences:
            sequence.cache_name = cache.add()
        lengths = [len(embeds_TD) for embeds_TD in embeds]
        logits: dict[int, Tensor] = {}
        done = 0
        for chunks in _chunks(lengths, self._prefill_tokens):
            _tell(report, Progress("prefill", chunks[0].item + 1, len(lengths), done, sum(lengths)))
            logits |= self._prefill_chunks(cache, sequences, embeds, chunks)
            done += sum(chunk.stop - chunk.start for chunk in chunks)
        _tell(report, Progress("prefill", len(lengths), len(lengths), done, done))
        return torch.stack([logits[item] for item in range(len(lengths))])

    @torch.no_grad()
    def decode(self, cache: KVCache, sequences: Run[Sequence]) -> Tensor:
        """One more token of each: feeds the last of every answer. Returns logits_BV."""
        device = self.model.device
        ids_B = torch.tensor([sequence.answer_ids[-1] for sequence in sequences], device=device)
        positions_B = torch.tensor([sequence.last_position for sequence in sequences], device=device)
        names = [sequence.cache_name for sequence in sequences]
        cache.begin(names, [1] * len(names))
        return self._pass(cache, self.model.embed(ids_B), positions_B.expand(3, -1), range(len(names)))

    def _encode_pack(self, visuals: Run[VisualInput], pack: "Run[_Chunk]") -> Tensor:
        grids = [_slices(visuals[chunk.item].grid_thw, chunk) for chunk in pack]
        pixels_PX = torch.cat([_rows(visuals[chunk.item], chunk) for chunk in pack]).to(self.model.device)

        def again() -> Tensor:
            return self.model.encode(pixels_PX, grids)

        visual_MD = again()
        while not _finite(visual_MD):
            self._widen_or_raise(again, otherwise="visual")
            visual_MD = again()
        return visual_MD

    def _embed(self, sequence: Sequence, visuals: list[Tensor]) -> Tensor:
        ids_T = sequence.prompt.token_ids_T.to(self.model.device)
        visual_MD = torch.cat([visual.to(ids_T.device) for visual in visuals]) if visuals else None
        embeds_TD = self.model.embed(ids_T, visual_MD)
        if not _finite(embeds_TD):
            raise _error("model.embed_tokens", self.model.dtype)
        return embeds_TD

    def _prefill_chunks(
        self, cache: KVCache, sequences: Run[Sequence], embeds: Run[Tensor], chunks: "Run[_Chunk]"
    ) -> dict[int, Tensor]:
        """One pass; logits_V of the prompts that end in it, by item."""
        counts = [chunk.stop - chunk.start for chunk in chunks]
        cache.begin([sequences[chunk.item].cache_name for chunk in chunks], counts)
        embeds_TD = torch.cat([embeds[chunk.item][chunk.start : chunk.stop] for chunk in chunks])
        positions = [sequences[chunk.item].prompt.positions_3T[:, chunk.start : chunk.stop] for chunk in chunks]
        positions_3T = torch.cat(positions, dim=1).to(embeds_TD.device)
        ends = {
            chunk.item: sum(counts[: i + 1]) - 1
            for i, chunk in enumerate(chunks)
            if chunk.stop == len(embeds[chunk.item])
        }
        logits_BV = self._pass(cache, embeds_TD, positions_3T, ends.values())
        return dict(zip(ends, logits_BV, strict=True))

    def _pass(self, cache: KVCache, embeds_TD: Tensor, positions_3T: Tensor, rows: Iterable[int]) -> Tensor:
        """Through the decoder; logits of the given rows. The cache keeps the tokens only when all went well."""
        rows_B = torch.tensor(list(rows), dtype=torch.long, device=embeds_TD.device)

        def again() -> Tensor:
            hidden_TD: Tensor = self.model(embeds_TD, positions_3T, cache.attend)
            return hidden_TD

        hidden_TD = again()
        logits_BV = self.model.head(hidden_TD[rows_B])
        while not (_finite(hidden_TD) and _finite(logits_BV)):
            self._widen_or_raise(again, otherwise="lm_head")
            hidden_TD = again()
            logits_BV = self.model.head(hidden_TD[rows_B])
        cache.advance()
        return logits_BV

    def _widen_or_raise(self, again: Callable[[], object], *, otherwise: str) -> None:
        """Gives the layer to blame float32 weights for good, where it was quantised; else raises NumericsError."""
        error = self._numerics_error(again, otherwise=otherwise)
        if not widen(self.model, error.item):
            raise error
        logger.warning("%s: %s; this layer runs with float32 weights from now on", error.item, error.seen)

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


class _Chunk(NamedTuple):
    """A run of an item's tokens, or of its frame pairs."""

    item: int
    start: int
    stop: int


def _chunks(lengths: Run[int], budget: int) -> Iterator[list[_Chunk]]:
    """Cuts sequences, in order, into passes of at most `budget` tokens.

    >>> [[tuple(chunk) for chunk in chunks] for chunks in _chunks([3, 2], 4)]
    [[(0, 0, 3), (1, 0, 1)], [(1, 1, 2)]]
    """
    chunks: list[_Chunk] = []
    room = budget
    for item, length in enumerate(lengths):
        start = 0
        while start < length:
            stop = min(length, start + room)
            chunks.append(_Chunk(item, start, stop))
            start, room = stop, room - (stop - start)
            if room == 0:
                yield chunks
                chunks, room = [], budget
    if chunks:
        yield chunks


def _packs(grids: Run[Grid], budget: int) -> Iterator[list[_Chunk]]:
    """Cuts items between frame pairs, which see nothing of each other, into passes of about `budget` patches.

    >>> [[tuple(chunk) for chunk in pack] for pack in _packs([(1, 2, 2), (5, 2, 4)], 16)]
    [[(0, 0, 1), (1, 0, 1)], [(1, 1, 3)], [(1, 3, 5)]]
    """
    pack: list[_Chunk] = []
    room = budget
    for item, (t, h, w) in enumerate(grids):
        start = 0
        while start < t:
            if room < h * w and pack:
                yield pack
                pack, room = [], budget
            stop = min(t, start + max(1, room // (h * w)))
            pack.append(_Chunk(item, start, stop))
            start, room = stop, room - (stop - start) * h * w
    if pack:
        yield pack


def _patches(grid: Grid) -> int:
    t, h, w = grid
    return t * h * w


def _slices(grid: Grid, chunk: _Chunk) -> Grid:
    return (chunk.stop - chunk.start, grid[1], grid[2])


def _rows(visual: VisualInput, chunk: _Chunk) -> Tensor:
    area = visual.grid_thw[1] * visual.grid_thw[2]
    return visual.patches(chunk.start * area, chunk.stop * area)


def _tell(report: Report | None, progress: Progress) -> None:
    if report is not None:
        report(progress)


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
