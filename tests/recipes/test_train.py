"""The trainer of version 0: its optimiser against torch's, losses against their definitions, a run and its resume."""

import argparse
import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from anyres.model.qwen2vl import Qwen2VL
from anyres.processing.tokenizer import Tokenizer
from anyres.training.muon import Muon, orthogonalised
from recipes.tiny import auxiliary, batches, train
from recipes.tiny.auxiliary import AuxiliaryHead, Tapped
from recipes.tiny.batches import IGNORED, Batch, Plan, collate
from recipes.tiny.factory import make_sample
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.scenes import FURTHER
from recipes.tiny.shape import model_config

CHECKPOINT = Path("anyres/checkpoints/tiny")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(CHECKPOINT)


def batch_of(task: str, tokenizer: Tokenizer, count: int = 3) -> Batch:
    """A batch of samples of one task, set in the built-in face."""
    size = (28, 224) if task == "line" else (84, 84)
    fonts = builtin_fonts()
    samples = [
        make_sample(task, split="train", seed=seed, difficulty=0.3, size=size, fonts=fonts) for seed in range(count)
    ]
    return collate(samples, tokenizer)


# ---- optimiser ----


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_singular_values_come_close_to_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


def test_updates_are_those_of_torch() -> None:
    """torch.optim.Muon iterates in bfloat16, so the two differ by its rounding."""
    start = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    mine = Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    reference = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, weight_decay=0.1)
    for step in range(4):
        gradient = torch.randn(12, 8, generator=torch.Generator().manual_seed(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    assert not torch.allclose(ours, start, atol=0.01)
    torch.testing.assert_close(ours, theirs, atol=3e-3, rtol=0.0)


def test_parameters_without_a_gradient_stay() -> None:
    matrix = torch.nn.Parameter(torch.eye(3))
    Muon([matrix], lr=0.1).step()
    assert torch.equal(matrix, torch.eye(3))


# ---- losses ----


@pytest.mark.parametrize("task", ["line", "box", "motion"])
def test_a_batch_gives_a_gradient_to_all_that_it_uses(task: str, tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    model = Qwen2VL(model_config(tokenizer))
    train.initialise(model)
    head = AuxiliaryHead(model.config.text.hidden_size)
    batch = batch_of(task, tokenizer)
    loss, seen = train.answer_losses(model, head, batch, 1.0, train.taps_of(model))
    assert math.isfinite(loss.item())
    assert seen["loss"] == pytest.approx(math.log(tokenizer.vocab_size), rel=0.2), "untrained: all ids alike"
    loss.backward()
    unused = {name for name, p in [*model.named_parameters(), *head.named_parameters()] if p.grad is None}
    modules = {name.split(".")[0] for name in unused}
    rows = {"row_cells", "row_counts", "row_number"}
    no_use = {
        "line": {"places", "centred", "decoder_norm", "absolute", "sizes", "asked", "late_norm", "referent", *rows},
        "box": {"order"},
        "motion": {"order", *rows},
    }
    assert modules == no_use[task]
    wanted = {
        "line": {"order"},
        "box": {
            "box",
            "centres",
            "centred",
            "absolute",
            "size",
            "asked",
            "there",
            "referent",
            "parts",
            "spread",
            "rows",
        },
        "motion": {"motion", "referent"},
    }
    assert wanted[task] <= seen.keys()


def test_the_box_in_the_whole_picture(tokenizer: Tokenizer) -> None:
    """A head that tells every cell's true box from the corner, and the picture's size, has no loss."""
    batch = batch_of("box", tokenizer)
    assert batch.places_MX is not None
    head = AuxiliaryHead(4)
    head.decoder_norm, head.absolute = torch.nn.Identity(), torch.nn.Identity()  # type: ignore[assignment]
    head.sizes = torch.nn.Linear(4, 2 * auxiliary.MOST_CELLS)
    torch.nn.init.zeros_(head.sizes.weight)
    with torch.no_grad():
        head.sizes.bias.copy_(100 * F.one_hot(torch.tensor([3, 3]), auxiliary.MOST_CELLS).flatten())
    cells = torch.arange(len(batch.places_MX)) % 9
    middle = torch.stack([cells % 3, cells // 3, cells % 3, cells // 3], dim=-1) + 0.5
    boxes = batch.places_MX[:, :4] + middle
    assert float(boxes[boxes.isfinite()].min()) >= 0
    assert float(boxes[boxes.isfinite()].max()) <= 3
    before = torch.zeros(5, auxiliary.SIDE, 4)
    right = head._position_losses(Tapped(boxes, before, before, before[:, 0], torch.arange(5)), batch)
    assert {name: float(value.detach()) for name, value in right.items()} == pytest.approx(
        {"absolute": 0.0, "size": 0.0}, abs=1e-6
    )
    wrong = head._position_losses(Tapped(boxes + 0.3, before, before, before[:, 0], torch.arange(5)), batch)
    assert float(wrong["absolute"].detach()) > 0.1


def test_the_referent_in_cells_and_in_parts(tokenizer: Tokenizer) -> None:
    """A head that tells the box of the answer has no loss, in every token of it."""
    batch = batch_of("box", tokenizer)
    head = AuxiliaryHead(9)
    head.late_norm, head.referent = torch.nn.Identity(), torch.nn.Identity()  # type: ignore[assignment]
    told_B9 = torch.stack([
        torch.tensor([*(float(n) * 3 / 1000 for n in numbers), 100.0, *(float(n) / 1000 for n in numbers)])
        for numbers in (re.findall(r"\d+", answer) for answer in batch.answers)
    ])  # fmt: skip
    sample_N = torch.tensor([0, 0, 1, 2, 2])
    before = torch.zeros(3, auxiliary.SIDE, 9)
    right = head._question_losses(Tapped(told_B9, before, before, told_B9[sample_N], sample_N), batch)
    assert float(right["referent"].detach()) < 1e-4
    assert float(right["parts"].detach()) < 1e-4
    assert float(right["there"].detach()) < 1e-4
    wrong = head._question_losses(Tapped(told_B9, before, before, told_B9[sample_N.flip(0)], sample_N), batch)
    assert float(wrong["parts"].detach()) > 0.01


def test_heads_that_know_what_each_row_holds_have_no_loss(tokenizer: Tokenizer) -> None:
    batch = batch_of("count", tokenizer)
    assert batch.spread_BM is not None
    questions, kinds = len(batch.answers), auxiliary.MOST_CENTRES + 1
    in_cells = batch.spread_BM.unflatten(1, (3, 3))
    widths = (auxiliary.SIDE * kinds, auxiliary.MOST + 1, 1)
    told = torch.zeros(questions, auxiliary.SIDE, sum(widths))
    cells, counts, numbers = told.split(widths, dim=-1)
    cells[:, :3, : 3 * kinds] = 100.0 * F.one_hot(in_cells.clamp(max=auxiliary.MOST_CENTRES), kinds).flatten(2)
    counts[..., 0] = 100.0
    counts[:, :3] = 100.0 * F.one_hot(in_cells.sum(-1), auxiliary.MOST + 1)
    numbers[:, :3, 0] = in_cells.sum(-1).float()
    head = AuxiliaryHead(4)
    head.late_norm = torch.nn.Identity()  # type: ignore[assignment]
    head.row_cells = Part(0, auxiliary.SIDE * kinds)  # type: ignore[assignment]
    head.row_counts = Part(widths[0], widths[0] + widths[1])  # type: ignore[assignment]
    head.row_number = Part(widths[0] + widths[1], told.shape[-1])  # type: ignore[assignment]
    nothing = torch.zeros(0)
    right = head._count_losses(Tapped(nothing, nothing, told, nothing, nothing), batch.spread_BM, batch)
    assert {name: float(loss) for name, loss in right.items()} == pytest.approx(
        {"spread": 0.0, "rows": 0.0, "numbers": 0.0, "total": 0.0}, abs=1e-4
    )
    shifted = Tapped(nothing, nothing, told.roll(1, dims=1), nothing, nothing)
    wrong = {name: float(one) for name, one in head._count_losses(shifted, batch.spread_BM, batch).items()}
    assert wrong.pop("total") == pytest.approx(0.0, abs=1e-4)  # in other rows, and as many
    assert min(wrong.values()) > 0.5
    more = Tapped(nothing, nothing, told + torch.eye(told.shape[-1])[-1], nothing, nothing)
    assert float(head._count_losses(more, batch.spread_BM, batch)["total"]) == pytest.approx(auxiliary.SIDE - 0.05)
    assert [int(counts.sum()) for counts in batch.spread_BM] == [int(answer) for answer in batch.answers]


def test_every_prompt_has_a_token_for_each_row_between_its_question_and_its_answer(tokenizer: Tokenizer) -> None:
    """They follow the question's last word, so that each of them can know what is asked for."""
    batch = batch_of("count", tokenizer)
    for ids, labels in zip(batch.ids_BL, batch.labels_BL, strict=True):
        first = int((labels != IGNORED).nonzero()[0, 0])
        between = [int(one) for one in ids[first - auxiliary.SIDE + 1 : first + 1]]
        assert tokenizer.decode(between, skip_special=False) == "<|im_end|>\n<|im_start|>assistant\n"


class Part(torch.nn.Module):
    """Columns `start` to `stop` of what it is given."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.columns = slice(start, stop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., self.columns]


def test_labels_are_the_next_tokens_of_the_answer(tokenizer: Tokenizer) -> None:
    batch = batch_of("colour", tokenizer)
    for ids, labels, answer in zip(batch.ids_BL, batch.labels_BL, batch.answers, strict=True):
        wanted = labels != batches.IGNORED
        assert tokenizer.decode(labels[wanted].tolist()[:-1]) == answer
        at = int(wanted.nonzero()[0, 0])
        assert torch.equal(labels[at:-1][wanted[at:-1]], ids[at + 1 :][wanted[at:-1]])


def test_further_questions_see_the_picture_that_they_are_about(tokenizer: Tokenizer) -> None:
    """A batch with further questions says the same as its questions one by one, each beside its picture."""
    plan = batches.Plan(("count",), (112, 112), 1, 3, further=True)
    batch = batches.make_batch(plan, split="train", seed=3, difficulty=0.6, tokenizer=tokenizer)
    assert (batch.pictures, batch.questions, len(batch.answers)) == (3, 1 + FURTHER, 3 * (1 + FURTHER))
    model = Qwen2VL(model_config(tokenizer))
    train.initialise(model)
    logits_NV, _, _, sample_N = train.answer_logits(model, batch)
    for at in range(len(batch.answers)):
        frames = batch.frames_PFHW3[at // batch.questions][None]
        rows = (batch.ids_BL[at : at + 1], batch.labels_BL[at : at + 1], batch.positions_3BL[:, at : at + 1])
        one = replace(
            batch, frames_PFHW3=frames, ids_BL=rows[0], labels_BL=rows[1], positions_3BL=rows[2], answers=[""]
        )
        alone_NV = train.answer_logits(model, one)[0]
        assert torch.allclose(logits_NV[sample_N == at], alone_NV, atol=1e-4)


def test_batches_cost_about_the_same() -> None:
    for plan in train.plans():
        patches = plan.size[0] * plan.size[1] // 196 * ((plan.frames + 1) // 2)
        questions = 1 + FURTHER if plan.further else 1
        cost = plan.samples * (2.65 * patches + 1.6 * (patches / 4 + 60) * questions)
        assert 0.8 < cost / train.BATCH_COST < 1.6, plan


# ---- a run ----


class FewBatches:
    """Stands for the pool: three batches, over and over."""

    made = reused = 0

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.batches = [batch_of(task, tokenizer, 2) for task in ("line", "box", "motion")]
        self.turn = 0
        self.difficulty = argparse.Namespace(value=0.0)

    def next(self, *, max_uses: int) -> Batch:
        assert max_uses == 6
        self.turn += 1
        return self.batches[self.turn % 3]


def trainer(folder: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, *more: str) -> train.Trainer:
    """A trainer of `folder` on FewBatches, which validates on one batch."""
    monkeypatch.setattr(train, "BatchPool", lambda *_, **__: FewBatches(tokenizer))
    monkeypatch.setattr(train, "validation_batches", lambda _: {"box": [batch_of("box", tokenizer)]})
    return train.Trainer(train.parser().parse_args(["--out", str(folder), "--minutes", "1", *more]))


def test_the_loss_falls_and_a_run_resumes_where_it_was(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trainer(tmp_path, tokenizer, monkeypatch, "--batches", "3", "--lr", "0.003")
    losses = []
    for _ in range(12):
        first.set_rates(math.inf)
        losses.append(first.step()["line_loss"])
    assert losses[-1] < losses[0] - 0.5
    first.save()
    first.validate()
    with (tmp_path / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["12"]

    second = trainer(tmp_path, tokenizer, monkeypatch, "--batches", "3", "--lr", "0.003")
    assert second.progress.step == 12
    for one in (first, second):
        one.pool.turn = 0  # type: ignore[attr-defined]
        one.set_rates(math.inf)
        one.step()
    for (name, ours), theirs in zip(first.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_last_layer_learns_alone(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(tmp_path, tokenizer, monkeypatch, "--batches", "2", "--stage", "last", "--start", str(CHECKPOINT))
    before = {name: p.clone() for name, p in (*one.model.named_parameters(), *one.auxiliary.named_parameters())}
    for _ in range(2):
        one.set_rates(math.inf)
        one.step()
    changed = {name for name, p in one.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if name.startswith(f"model.layers.{len(one.model.model.layers) - 1}.")}
    assert all(torch.equal(p, before[name]) for name, p in one.auxiliary.named_parameters())


def test_a_gradient_that_is_no_number_stops_before_the_step(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(tmp_path, tokenizer, monkeypatch, "--batches", "1")
    with torch.no_grad():
        one.model.model.norm.weight.fill_(math.nan)
    before = one.model.model.embed_tokens.weight.clone()
    with pytest.raises(SystemExit, match="gradient norm nan in step 0"):
        one.step()
    assert torch.equal(one.model.model.embed_tokens.weight, before)


def test_whole_answers_and_single_tokens(tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    model = Qwen2VL(model_config(tokenizer))
    train.initialise(model)
    batch = batch_of("count", tokenizer)
    whole, tokens = train.answer_right(model, batch)
    assert whole.shape == (3,)
    assert len(tokens) == int((batch.labels_BL != batches.IGNORED).sum())
    logits_NV, targets_N, _, sample_N = train.answer_logits(model, batch)
    assert torch.equal(tokens, logits_NV.argmax(-1) == targets_N)
    assert [bool(tokens[sample_N == i].all()) for i in range(3)] == whole.tolist()
    assert F.cross_entropy(logits_NV, targets_N).isfinite()


def test_kinds(tokenizer: Tokenizer) -> None:
    assert [train.kind_of(batch_of(task, tokenizer)) for task in ("line", "box", "motion")] == ["line", "scene", "clip"]
    assert {plan.frames for plan in train.plans()} == {1, 4}
    assert all(isinstance(plan, Plan) for plan in train.plans())
