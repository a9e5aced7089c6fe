"""Speeds by a clock that is made up; when they are measured, when remembered, and when believed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyres.disk_cache import DiskCache
from anyres.engine import speed as speed_module
from anyres.engine.estimate import Pace, Speed, count_work, estimate
from anyres.engine.speed import kept_of, known_speed, measure_speed, slowed
from anyres.kernels.reference import exact_linear
from tests.oracle import tiny_config

CPU = torch.device("cpu")
CONFIG = tiny_config()


def ticking(step_s: float) -> Callable[[], float]:
    """Every reading of this clock is later by so much."""
    now: Iterator[int] = iter(range(10**9))
    return lambda: next(now) * step_s


def measured(clock: Callable[[], float], cache: DiskCache | None = None, dtype: torch.dtype = torch.float32) -> Speed:
    return known_speed(CONFIG, device=CPU, dtype=dtype, compute=exact_linear, cache=cache, clock=clock)


@pytest.fixture(autouse=True)
def small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic is the same, and the clock is made up anyway."""
    for name, value in (("LONG", 32), ("READ_ROWS", 64), ("REFERENCE_SIDE", 8), ("LARGE_PROMPT", 64)):
        monkeypatch.setattr(speed_module, name, value)
    monkeypatch.setattr(speed_module, "LARGE_GRID", (1, 8, 8))


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One for each time that the machine is measured."""
    seen: list[str] = []
    plain = speed_module.measure_speed
    monkeypatch.setattr(
        speed_module, "measure_speed", lambda *args, **knobs: (seen.append("measured"), plain(*args, **knobs))[1]
    )
    return seen


@pytest.mark.parametrize("kept", [None, "int8", "int4"])
def test_the_speed_of_this_machine_is_plausible(kept: speed_module.Kept) -> None:
    config = replace(CONFIG, text=replace(CONFIG.text, hidden_size=128, intermediate_size=256, num_attention_heads=4))
    config = replace(config, text=replace(config.text, mrope_section=(4, 6, 6)))
    config = replace(config, vision=replace(config.vision, hidden_size=128))
    found = measure_speed(config, device=CPU, dtype=torch.float32, kept=kept, compute=exact_linear)
    for pace in (found.vision, found.text):
        assert 0 <= pace.start_s < 10
        assert 1e3 < pace.flops_per_s < 1e16
        assert 1e3 < pace.attention_flops_per_s < 1e16
    assert 0 < found.token_s < 10
    assert 1e3 < found.bytes_per_s < 1e14


def test_a_clock_twice_as_slow_gives_half_the_speed() -> None:
    once, twice = (
        measure_speed(CONFIG, device=CPU, dtype=torch.float32, compute=exact_linear, clock=ticking(s))
        for s in (1e-3, 2e-3)
    )
    assert twice.token_s == pytest.approx(2 * once.token_s)
    assert twice.vision.flops_per_s == pytest.approx(once.vision.flops_per_s / 2)
    assert twice.text.attention_flops_per_s == pytest.approx(once.text.attention_flops_per_s / 2)


def test_a_probe_of_fewer_layers_speaks_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this clock every pass takes a millisecond, so a token takes as many as there are layers in the model."""
    monkeypatch.setattr(speed_module, "PROBE_BYTES", 1)
    found = measure_speed(CONFIG, device=CPU, dtype=torch.float32, compute=exact_linear, clock=ticking(1e-3))
    assert found.token_s == pytest.approx(1e-3 * CONFIG.text.num_hidden_layers)


def test_no_random_number_is_used_up() -> None:
    state = torch.random.get_rng_state()
    measured(ticking(1e-3))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_speed_is_remembered(tmp_path: Path, probes: list[str]) -> None:
    first = measured(ticking(1e-3), DiskCache(tmp_path))
    assert measured(ticking(1e-3), DiskCache(tmp_path)) == first
    assert len(probes) == 1
    measured(ticking(1e-3))
    assert len(probes) == 2  # without a cache


def test_another_model_dtype_or_machine_is_measured(
    tmp_path: Path, probes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(tmp_path)
    measured(ticking(1e-3), cache)
    measured(ticking(1e-3), cache, torch.bfloat16)
    known_speed(
        CONFIG, device=CPU, dtype=torch.float32, kept="int8", compute=exact_linear, cache=cache, clock=ticking(1e-3)
    )
    other = replace(CONFIG, text=replace(CONFIG.text, vocab_size=CONFIG.text.vocab_size + 1))
    known_speed(other, device=CPU, dtype=torch.float32, compute=exact_linear, cache=cache, clock=ticking(1e-3))
    assert len(probes) == 4
    monkeypatch.setattr(speed_module, "_processor", lambda: "another one")
    measured(ticking(1e-3), cache)
    assert len(probes) == 5


def test_a_busy_machine_takes_longer(tmp_path: Path, probes: list[str]) -> None:
    quiet = measured(ticking(1e-3), DiskCache(tmp_path))
    busy = measured(ticking(3e-3), DiskCache(tmp_path))
    assert busy == slowed(quiet, 3.0000000000000004) or busy.token_s == pytest.approx(3 * quiet.token_s)
    assert measured(ticking(1.1e-3), DiskCache(tmp_path)) == quiet  # noise
    assert len(probes) == 1


def test_what_was_measured_on_a_busy_machine_is_measured_again(tmp_path: Path, probes: list[str]) -> None:
    measured(ticking(3e-3), DiskCache(tmp_path))
    quiet = measured(ticking(1e-3), DiskCache(tmp_path))
    assert len(probes) == 2
    assert measured(ticking(1e-3), DiskCache(tmp_path)) == quiet


def test_a_damaged_speed_is_measured_again(tmp_path: Path, probes: list[str]) -> None:
    cache = DiskCache(tmp_path)
    measured(ticking(1e-3), cache)
    (entry,) = cache.entries()
    entry.path.write_bytes(entry.path.read_bytes()[:-3])
    measured(ticking(1e-3), cache)
    assert len(probes) == 2


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (None, None),
        ({"quant_method": "anyres", "bits": {"a": 4, "b": 8}}, "int4"),
        ({"quant_method": "anyres", "bits": {"a": 8}}, "int8"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4"}, "int4"),
    ],
)
def test_what_weights_are_kept_in(raw: dict[str, object] | None, kept: str | None) -> None:
    assert kept_of(raw) == kept


@given(st.floats(1e6, 1e15), st.floats(1e6, 1e15), st.floats(0, 1), st.floats(1.01, 100))
def test_slower_is_slower(rate: float, attention_rate: float, start_s: float, times: float) -> None:
    pace = Pace(start_s, rate, attention_rate)
    speed = Speed(pace, pace, 0.5, 1e9)
    work = count_work(CONFIG, [(1, 4, 4)], 100, dtype=torch.float32)
    fast, slow = estimate(work, speed), estimate(work, slowed(speed, times))
    for name in ("encode_s", "prefill_s", "token_s"):
        assert getattr(slow, name) == pytest.approx(times * getattr(fast, name))
