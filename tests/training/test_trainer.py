"""Steps of a run: what they add up to, what they change, and what stops them."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import anyres
from anyres.errors import DatasetError, NumericsError, OptionError
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.training.loader import LoaderState, Step
from anyres.training.loss import StepTotals, pack_loss
from anyres.training.packing import PackedBatch
from anyres.training.supervision import TrainingSample
from anyres.training.trainer import Trainer
from tests.training.conftest import Squares, run_of, weights_hash

Make = Callable[..., Trainer]
Pack = Callable[..., PackedBatch]
GOLDEN = Path(__file__).parent / "golden_loss.txt"


def gradients(model: Qwen2VL, packs: list[PackedBatch]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a step of these packs."""
    model.zero_grad()
    totals = StepTotals.of(tuple(packs))
    losses = [pack_loss(model, one, totals).total for one in packs]
    for loss in losses:
        loss.backward()
    named = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return sum(loss.item() for loss in losses), named


def assert_same(left: tuple[float, dict[str, Tensor]], right: tuple[float, dict[str, Tensor]]) -> None:
    assert left[0] == pytest.approx(right[0], rel=1e-5)
    assert left[1].keys() == right[1].keys()
    for name, gradient in left[1].items():
        error = float((gradient - right[1][name]).norm() / (right[1][name].norm() + 1e-12))
        assert error < 1e-5, name


def test_packed_equals_unpacked(model: Qwen2VL, samples: list[TrainingSample], pack: Pack) -> None:
    together = gradients(model, [pack(*samples)])
    assert_same(together, gradients(model, [pack(one) for one in samples]))
    assert_same(together, gradients(model, [pack(*samples[::-1])]))
    assert_same(together, gradients(model, [pack(*samples[:2]), pack(*samples[2:])]))


def test_a_pack_without_cut_edges_is_found_out(model: Qwen2VL, samples: list[TrainingSample], pack: Pack) -> None:
    """The tests above can fail: targets across edges, positions that go on, and one long sequence change them."""
    whole = pack(*samples)
    right = gradients(model, [whole])
    edge = whole.lengths[0] - 1
    crossed = replaced(
        whole,
        learnt_N=torch.cat([whole.learnt_N, torch.tensor([edge])]),
        targets_N=torch.cat([whole.targets_N, whole.token_ids_T[edge + 1 : edge + 2]]),
        weights_N=torch.cat([whole.weights_N, torch.ones(1)]),
    )
    running_on = torch.arange(len(whole.token_ids_T)).expand(3, -1)
    for wrong in (crossed, replaced(whole, positions_3T=running_on)):
        with pytest.raises(AssertionError):
            assert_same(right, gradients(model, [wrong]))


def replaced(batch: PackedBatch, **changes: Any) -> PackedBatch:
    from dataclasses import replace

    return replace(batch, **changes)


def test_loss_is_the_sum_over_tokens_and_not_a_mean_of_means(
    model: Qwen2VL, samples: list[TrainingSample], pack: Pack
) -> None:
    alone = [gradients(model, [pack(one)])[0] for one in samples]
    counts = [int((one.targets_T >= 0).sum()) for one in samples]
    assert len(set(counts)) > 2
    expected = sum(a * n for a, n in zip(alone, counts, strict=True)) / sum(counts)
    assert gradients(model, [pack(*samples)])[0] == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(sum(alone) / len(alone), rel=1e-3)


def test_weights_of_examples_count_their_tokens_more_often(
    model: Qwen2VL, samples: list[TrainingSample], pack: Pack
) -> None:
    twice = replaced_sample(samples[0], weight=2.0)
    heavy = gradients(model, [pack(twice, samples[1])])
    assert_same(heavy, gradients(model, [pack(samples[0], samples[0], samples[1])]))


def test_first_tokens_of_answers_count_more_often(samples: list[TrainingSample], pack: Pack) -> None:
    """Of each answer: the last of these samples has two."""
    batch = pack(*(replaced_sample(one, weight=0.5, first_weight=4.0) for one in samples))
    after = batch.learnt_N.diff(prepend=torch.tensor([-9])) == 1
    same = batch.learnt_samples.diff(prepend=torch.tensor([-1])) == 0
    expected = torch.where(after & same, 0.5, 2.0)
    assert int((expected == 2.0).sum()) == 6
    assert torch.equal(batch.weights_N, expected)


def test_share_of_each_sample_that_is_told_right(model: Qwen2VL, samples: list[TrainingSample], pack: Pack) -> None:
    told = pack_loss(model, pack(*samples), StepTotals(1.0, 1)).told_B
    alone = [pack_loss(model, pack(one), StepTotals(1.0, 1)).told_B for one in samples]
    assert told.tolist() == torch.cat(alone).tolist()
    assert ((told >= 0) & (told <= 1)).all()
    batch = pack(samples[0])
    hidden_TD = model(model.embed(batch.token_ids_T), batch.positions_3T, CausalAttention(batch.lengths))
    right = model.head(hidden_TD[batch.learnt_N]).argmax(-1) == batch.targets_N
    assert alone[0].item() == pytest.approx(right.float().mean().item())


def replaced_sample(sample: TrainingSample, **changes: Any) -> TrainingSample:
    from dataclasses import replace

    return replace(sample, **changes)


@pytest.mark.parametrize("threads", [0, 2])
def test_accumulation_1x8_is_8x1(make_trainer: Make, samples: list[TrainingSample], pack: Pack, threads: int) -> None:
    eight = [samples[i % len(samples)] for i in range(8)]
    one_pack, eight_packs = [pack(*eight)], [pack(one) for one in eight]
    whole = make_trainer(out="a", threads=0)
    parts = make_trainer(out="b", threads=threads)
    from anyres.training.trainer import _pool

    with _pool(threads) as pool:
        for _ in range(2):
            left = whole.train_step(step_of(one_pack))
            right = parts.train_step(step_of(eight_packs), pool)
            assert left.loss == pytest.approx(right.loss, rel=1e-5)
            assert left.norm == pytest.approx(right.norm, rel=1e-5)
    # AdamW divides gradients by their size, so rounding shows where a gradient is almost 0.
    for (name, a), b in zip(whole.model.named_parameters(), parts.model.parameters(), strict=True):
        assert float((a - b).detach().abs().max()) < 2e-4, name


def step_of(packs: list[PackedBatch]) -> Step:
    return Step(tuple(packs), (), LoaderState())


def test_threads_give_the_bits_of_one_thread(make_trainer: Make) -> None:
    runs = [make_trainer(out=f"threads{n}", threads=n, packs=3, steps=3) for n in (1, 2)]
    for trainer in runs:
        trainer.run()
    assert weights_hash(runs[0].model) == weights_hash(runs[1].model)


def test_golden_loss_curve(make_trainer: Make) -> None:
    """Twenty steps with Muon, an average and a schedule, against numbers in a text file.

    `python -m pytest` never writes it; after a change that is meant to change training, delete the file's numbers,
    run this test and take those of its message.
    """
    trainer = make_trainer(steps=20, kind="muon", ema=0.9, weight_decay=0.1, warmup_steps=2, packs=2, vision_lr=5e-4)
    curve = [figures.loss for figures in run_of(trainer)]
    golden = [float(line) for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    shown = "\n".join(f"{loss:.6f}" for loss in curve)
    assert curve == pytest.approx(golden, rel=2e-4), shown


def test_training_learns_a_picture_task(make_trainer: Make, tmp_path: Path) -> None:
    """Colours of squares: from chance to right, through the checkpoint that the run saves."""
    trainer = make_trainer(
        source=Squares(length=None, sizes=(28,)), steps=60, lr=4e-3, tokens=500, patches=600, look_ahead=24
    )
    curve = [figures.loss for figures in run_of(trainer)]
    assert sum(curve[-5:]) / 5 < 0.2 * curve[0]
    chat = anyres.load(tmp_path / "run" / "step-00000060", device="cpu", dtype="float32")
    for index in range(1000, 1008):
        *asked, answer = Squares(length=None, sizes=(28,)).example(index).messages
        assert chat.chat(asked).text == answer.content


def test_bf16_trains_too(make_trainer: Make) -> None:
    trainer = make_trainer(steps=3, precision="bf16", kind="muon")
    exact = make_trainer(out="exact", steps=3, kind="muon")
    curves = [[one.loss for one in run_of(each)] for each in (trainer, exact)]
    assert curves[0] == pytest.approx(curves[1], rel=0.05)
    assert curves[0] != curves[1]
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_auto_precision_is_measured_on_a_cpu(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in (torch.bfloat16, torch.float32):
        monkeypatch.setattr("anyres.training.trainer.faster_cpu_dtype", lambda dtype=dtype: dtype)
        assert make_trainer(precision="auto").bf16 == (dtype == torch.bfloat16)


@pytest.mark.parametrize("part", ["vision", "merger", "language"])
def test_frozen_parts_do_not_change(make_trainer: Make, part: str) -> None:
    from anyres.training.optimiser import part_of

    trainer = make_trainer(steps=2, freeze=(part,), weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run()
    changed = {part_of(name) for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"vision", "merger", "language"} - {part}


class Cells(nn.Module):
    """A teacher of a number per visual token; sees the decoder as well, and what travels with the examples."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.out = nn.Linear(width, 1)
        self.seen: list[tuple[object, ...]] = []

    def loss(self, visual_MD: Tensor, tapped_TD: Tensor | None, batch: PackedBatch) -> tuple[Tensor, dict[str, float]]:
        assert tapped_TD is not None
        assert tapped_TD.shape[0] == len(batch.token_ids_T)
        self.seen.append(batch.extras)
        of_sample = [batch.extras[index] for index in batch.item_samples]
        wanted = [
            float(one % 4) for one, (t, h, w) in zip(of_sample, batch.grids, strict=True) for _ in range(t * h * w // 4)
        ]
        told = self.out(visual_MD + tapped_TD[batch.visual_at_M])[:, 0]
        loss = nn.functional.mse_loss(told, torch.tensor(wanted))
        return loss, {"cells": loss.item()}


def test_auxiliary_teacher_sees_the_batch_and_learns(make_trainer: Make, tmp_path: Path) -> None:
    torch.manual_seed(1)
    teacher = Cells()
    trainer = make_trainer(steps=30, lr=3e-3, auxiliary=teacher, tapped_layer=1, source=Squares(length=None))
    steps = run_of(trainer)
    assert [one for seen in teacher.seen for one in seen] == [int(n[6:]) for one in steps for n in one.names]
    assert sum(one.others["cells"] for one in steps[-5:]) < 0.6 * sum(one.others["cells"] for one in steps[:5])
    assert "cells" in (tmp_path / "run" / "curve.csv").read_text().splitlines()[0]
    saved = anyres.load(tmp_path / "run" / "step-00000030", device="cpu")
    assert saved.config == trainer.model.config


def test_an_auxiliary_teacher_learns_alone_at_first(make_trainer: Make) -> None:
    teacher = Cells()
    changes = {"auxiliary": teacher, "tapped_layer": 1, "auxiliary_steps": 2, "warmup_steps": 2, "weight_decay": 0.1}
    trainer = make_trainer(steps=2, lr=3e-3, **changes)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    fresh = teacher.out.weight.detach().clone()
    steps = run_of(trainer)
    assert all(torch.equal(p, before[name]) for name, p in trainer.model.named_parameters())
    assert not torch.equal(teacher.out.weight, fresh)
    assert [one.factor for one in steps] == [0.0, 0.0]
    rates = [one.factor for one in run_of(make_trainer(steps=6, out="long", **(changes | {"auxiliary": Cells()})))]
    assert rates[:5] == [0.0, 0.0, 0.0, 0.5, 1.0]


def test_auxiliary_loss_counts_by_visual_tokens(model: Qwen2VL, samples: list[TrainingSample], pack: Pack) -> None:
    from anyres.training.loss import Tap

    teacher, tap = Cells(), Tap(model, 0)
    numbered = [one for one in samples if one.grids]

    def total(packs: list[PackedBatch]) -> float:
        totals = StepTotals.of(tuple(packs))
        return sum(pack_loss(model, one, totals, auxiliary=teacher, tap=tap).total.item() for one in packs)

    assert total([pack(*numbered)]) == pytest.approx(total([pack(one) for one in numbered]), rel=1e-5)
    text_alone = total([pack(samples[0])])
    assert math.isfinite(text_alone)


@pytest.mark.parametrize("threads", [0, 2])
def test_nan_stops_before_the_step_and_names_the_sample(make_trainer: Make, tmp_path: Path, threads: int) -> None:
    trainer = make_trainer(steps=5, threads=threads, packs=2, source=Squares(length=None))
    hit = poison(trainer.model, at_call=5)
    before = weights_hash(trainer.model)
    with pytest.raises(NumericsError) as caught:
        trainer.run(on_step=lambda figures: hit.append(weights_hash(trainer.model)))
    assert "step 3: loss nan" in str(caught.value) or "step 2: loss nan" in str(caught.value)
    assert "square" in caught.value.seen
    assert weights_hash(trainer.model) == (hit[-1] if hit else before)
    assert not list((tmp_path / "run").glob("step-*"))


def poison(model: Qwen2VL, *, at_call: int) -> list[str]:
    """From its n-th pass on the vision encoder gives NaN for its first picture."""
    calls = [0]

    def spoil(module: nn.Module, given: object, visual_MD: Tensor) -> Tensor:
        calls[0] += 1
        return visual_MD * (math.nan if calls[0] >= at_call else 1.0)

    model.visual.register_forward_hook(spoil)
    return []


def test_only_the_samples_whose_loss_is_not_finite_are_named(
    make_trainer: Make, samples: list[TrainingSample], pack: Pack
) -> None:
    trainer = make_trainer()
    poison(trainer.model, at_call=1)
    with pytest.raises(NumericsError) as caught:
        trainer.train_step(step_of([pack(*samples)]))
    assert "mixed0" not in caught.value.seen  # text alone does not pass the vision encoder
    assert all(f"mixed{i}" in caught.value.seen for i in range(1, 5))
    assert trainer.progress.step == 0


def test_too_many_bad_rows_stop_the_run(make_trainer: Make, tmp_path: Path) -> None:
    class HalfBad(Squares):
        def example(self, index: int) -> Any:
            if index % 2:
                raise anyres.MessageError(f"row{index}", "empty", "words")
            return super().example(index)

    trainer = make_trainer(source=HalfBad(length=None), steps=500, max_rejected=0.1)
    with pytest.raises(DatasetError, match=r"11 of \d+ rows cannot be used, see .*rejected.jsonl; the last: row"):
        trainer.run()
    assert len((tmp_path / "run" / "rejected.jsonl").read_text().splitlines()) == 11
    assert trainer.progress.step < 20


def test_a_source_of_bad_rows_alone_ends(make_trainer: Make) -> None:
    class Bad(Squares):
        def example(self, index: int) -> Any:
            raise anyres.MessageError(f"row{index}", "empty", "words")

    with pytest.raises(DatasetError, match="6 of 6 rows"):
        make_trainer(source=Bad(length=3)).run()


def test_epochs_use_every_sample_so_often(make_trainer: Make) -> None:
    trainer = make_trainer(epochs=2, source=Squares(length=10, broken=3), packs=2)
    names = [name for figures in run_of(trainer) for name in figures.names]
    assert sorted(names) == sorted(f"square{i}" for i in range(10) if i != 3 for _ in range(2))
    assert trainer.finished
    assert run_of(trainer) == []


def test_epochs_of_an_endless_source_are_refused(make_trainer: Make) -> None:
    with pytest.raises(OptionError, match="without end"):
        make_trainer(epochs=1, source=Squares(length=None)).run()


def test_minutes_are_a_limit_and_set_the_schedule(make_trainer: Make) -> None:
    seconds = iter(range(0, 10_000, 10))
    trainer = make_trainer(minutes=2, source=Squares(length=None), log_every=5)
    trainer.clock = lambda: float(next(seconds))
    steps = run_of(trainer)
    assert trainer.finished
    assert 10 <= len(steps) <= 13
    assert steps[0].factor > 0.9
    assert steps[-1].factor < 0.1


def test_curve_has_a_row_for_each_step(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer(steps=5, log_every=2)
    steps = run_of(trainer)
    with (tmp_path / "run" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4", "5"]
    assert float(rows[0]["loss"]) == pytest.approx((steps[0].loss + steps[1].loss) / 2, rel=1e-4)
    assert float(rows[2]["loss"]) == pytest.approx(steps[4].loss, rel=1e-4)
    assert int(rows[2]["samples"]) == sum(len(one.names) for one in steps)
    assert float(rows[1]["rate language matrices"]) > float(rows[2]["rate language matrices"])
    assert {"learnt_tokens", "patches", "seconds", "samples_per_s", "gradient_norm"} <= rows[0].keys()


def test_stop_saves_what_was_done(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer(steps=50)
    trainer.run(stop=lambda: trainer.progress.step == 3)
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == ["step-00000003"]


def test_averaged_weights_are_those_of_the_save(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer(steps=6, ema=0.9, lr=1e-2)
    trainer.run()
    last = weights_hash(trainer.model)
    saved = anyres.load(tmp_path / "run" / "step-00000006", device="cpu", dtype="float32").model
    with trainer.averaged():
        assert weights_hash(trainer.model) == weights_hash(saved) != last
    assert weights_hash(trainer.model) == last
