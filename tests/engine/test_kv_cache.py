"""The cache against one pass without a cache, in every way a sequence can be cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.engine.kv_cache import KVCache
from anyres.model.layers import packed_attention
from tests.oracle import tiny_config

HEADS, CPU = 4, torch.device("cpu")


class Stream:
    """Queries, keys and values of one sequence, layer by layer, and what full causal attention makes of them."""

    def __init__(self, length: int, kv_heads: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.q, self.k, self.v = (
            torch.randn(length, heads, 16, generator=generator) for heads in (HEADS, kv_heads, kv_heads)
        )
        self.expected = packed_attention(self.q, self.k, self.v, [length], causal=True)


def new_cache(kv_heads: int, **sizes: int) -> KVCache:
    config = tiny_config(heads=HEADS, kv_heads=kv_heads, layers=1).text
    return KVCache(config, device=CPU, dtype=torch.float32, **sizes)


def step(cache: KVCache, names: list[int], streams: list[Stream], spans: list[slice]) -> list[Tensor]:
    cache.begin(names, [span.stop - span.start for span in spans])
    packed = [
        torch.cat([getattr(stream, part)[span] for stream, span in zip(streams, spans, strict=True)]) for part in "qkv"
    ]
    out_THC = cache.attend(0, *packed)
    again_THC = cache.attend(0, *packed)
    assert torch.equal(out_THC, again_THC), "a pass can be run again"
    cache.advance()
    return list(out_THC.split([span.stop - span.start for span in spans]))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), kv_heads=st.sampled_from([1, 2, 4]), places=st.integers(1, 8), rows=st.integers(1, 3))
def test_any_way_to_cut_gives_the_same(data: st.DataObject, kv_heads: int, places: int, rows: int) -> None:
    """Sequences join, run for any number of tokens a pass, sit passes out, and are dropped when they end."""
    cache = new_cache(kv_heads, sequences=rows, places=places)
    lengths = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    streams = [Stream(length, kv_heads, seed) for seed, length in enumerate(lengths)]
    waiting, live = list(range(len(streams))), {}
    done = dict.fromkeys(waiting, 0)
    while waiting or live:
        if waiting and (not live or data.draw(st.booleans())):
            live[waiting.pop(0)] = cache.add()
        chosen = data.draw(st.lists(st.sampled_from(sorted(live)), min_size=1, unique=True))
        one_each = data.draw(st.booleans())
        spans = []
        for i in chosen:
            count = 1 if one_each else data.draw(st.integers(1, lengths[i] - done[i]))
            spans.append(slice(done[i], done[i] + count))
        outs = step(cache, [live[i] for i in chosen], [streams[i] for i in chosen], spans)
        for i, span, out_LHC in zip(chosen, spans, outs, strict=True):
            torch.testing.assert_close(out_LHC, streams[i].expected[span], atol=2e-6, rtol=1e-5)
            done[i] = span.stop
            assert cache.length(live[i]) == done[i]
        for i in [i for i in live if done[i] == lengths[i]]:
            cache.drop(live.pop(i))


def test_nothing_is_kept_before_advance() -> None:
    cache, stream = new_cache(2), Stream(6, 2, 0)
    name = cache.add()
    step(cache, [name], [stream], [slice(0, 4)])
    cache.begin([name], [2])
    cache.attend(0, stream.q[4:], -stream.k[4:], -stream.v[4:])  # a pass that goes wrong and is given up
    assert cache.length(name) == 4
    (out_LHC,) = step(cache, [name], [stream], [slice(4, 6)])
    torch.testing.assert_close(out_LHC, stream.expected[4:])


def test_places_double_and_hold_what_they_held() -> None:
    cache, stream = new_cache(2, places=4), Stream(9, 2, 0)
    name = cache.add()
    step(cache, [name], [stream], [slice(0, 4)])
    assert cache.places == 4
    for at in range(4, 9):
        (out_LHC,) = step(cache, [name], [stream], [slice(at, at + 1)])
        torch.testing.assert_close(out_LHC, stream.expected[at : at + 1])
    assert cache.places == 16


def test_a_dropped_row_is_used_again() -> None:
    cache = new_cache(2, sequences=2)
    names = [cache.add(), cache.add()]
    cache.drop(names[0])
    third = cache.add()
    assert len({third, *names}) == 3
    assert cache._keys_BKSC[0].shape[0] == 2
    with pytest.raises(KeyError):
        cache.length(names[0])


def test_no_key_is_copied_for_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every row in the pass, attention reads the cache itself, for one head of queries as for four."""
    cache, streams = new_cache(1, sequences=2), [Stream(3, 1, seed) for seed in range(2)]
    names = [cache.add(), cache.add()]
    step(cache, names, streams, [slice(0, 2), slice(0, 2)])
    seen: list[Tensor] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor, **options: Tensor | None) -> Tensor:
        seen.extend([k, v])
        return real(q, k, v, **options)

    monkeypatch.setattr("anyres.engine.kv_cache.F.scaled_dot_product_attention", watched)
    step(cache, names[::-1], streams[::-1], [slice(2, 3), slice(2, 3)])
    stores = {cache._keys_BKSC[0].data_ptr(), cache._values_BKSC[0].data_ptr()}
    assert {x.data_ptr() for x in seen} == stores
    assert {x.shape for x in seen} == {(2, 1, 3, 16)}
