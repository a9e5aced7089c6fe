"""The teachers of version 1 on packs of the real loader."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anyres.model.qwen2vl import Qwen2VL
from anyres.processing.image import normalise_table
from anyres.processing.tokenizer import Tokenizer
from anyres.training.loss import StepTotals, pack_loss
from anyres.training.packing import Budget, PackedBatch, collate
from anyres.training.preparing import Preparer, Recipe
from anyres.training.supervision import TrainingSample
from recipes.tiny.assets import FOLDER
from recipes.tiny.levels import Levels
from recipes.tiny.mixture import GROUPS, TASKS, Mixture, Task, answer_ids, opened_assets
from recipes.tiny.pointers import IN_CELL, IN_PICTURE, IN_WORD
from recipes.tiny.scale import MAX_PIXELS, SCALES, new_model, write_start
from recipes.tiny.targets import asked_tokens, places_of_tokens, targets_of
from recipes.tiny.taught import IGNORED, LETTER_SLOTS, NOTHING, Item, Taught, build_classes
from recipes.tiny.teachers import (
    BANDS,
    LONGEST_WORD,
    MOST_CELLS,
    MOST_COUNTED,
    WEIGHTS,
    Teachers,
    _of_first_answer,
)

CHECKPOINT = Path("anyres/checkpoints/tiny")
UNPACKED = FOLDER.parent
"""Whatever packs were built: the samples are those of the committed texts and the installed faces."""
BY_MAKER = {task.maker: task for task in TASKS}


class Bench:
    """A model, its teachers, and samples of any task that needs no pack."""

    def __init__(self, folder: Path) -> None:
        write_start(folder / "start", SCALES["smoke"], tokenizer=CHECKPOINT)
        self.folder = folder
        self.classes = build_classes(
            opened_assets(UNPACKED), Tokenizer.from_folder(CHECKPOINT), folder / "classes.json"
        )
        Levels(folder / "levels.csv", tuple(GROUPS)).add(dict.fromkeys(GROUPS, 0.2))

    def samples(self, task: Task, count: int) -> list[TrainingSample]:
        source = Mixture((task,), self.folder / "levels.csv", self.folder / "classes.json", block=1000, assets=UNPACKED)
        recipe = Recipe(self.folder / "start", source, Budget(4096, 4400), MAX_PIXELS, False, answer_ids)
        self.prepare = Preparer(recipe)
        made = [self.prepare(index) for index in range(count)]
        assert all(isinstance(one, TrainingSample) for one in made)
        return [one for one in made if isinstance(one, TrainingSample)]

    def pack(self, *makers: str, count: int = 6) -> PackedBatch:
        samples = [one for maker in makers for one in self.samples(BY_MAKER[maker], count)]
        return collate(samples, normalise_CV=normalise_table(self.prepare.processor.image_config))

    def model(self) -> tuple[Qwen2VL, Teachers]:
        model = new_model(self.folder / "start")
        return model, Teachers(model, self.classes, Tokenizer.from_folder(CHECKPOINT), groups=len(GROUPS))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def loss_of(model: Qwen2VL, teachers: Teachers, pack: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
    found = pack_loss(model, pack, StepTotals.of((pack,)), auxiliary=teachers)
    return found.total, dict(found.figures)


def test_every_head_learns_from_a_mixed_pack(bench: Bench) -> None:
    model, teachers = bench.model()
    total, figures = loss_of(model, teachers, bench.pack("make_line", "make_shapes", "make_shape_clip", "make_receipt"))
    assert torch.isfinite(total)
    assert set(WEIGHTS) <= set(figures)
    total.backward()
    silent = [name for name, p in teachers.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_print_alone_teaches_letters_and_their_order(bench: Bench) -> None:
    model, teachers = bench.model()
    _, figures = loss_of(model, teachers, bench.pack("make_line"))
    assert set(figures) == {
        "own", "letters", "letters right", "order", "order right", "begun", "begun right",
        "pointer", "pointer right", "slot", "slot right", "spelled", "pieces",
    }  # fmt: skip


def test_shares_follow_the_visual_tokens(bench: Bench) -> None:
    """A pack a quarter full of things learns half as much of them as a pack that is full."""
    model, teachers = bench.model()
    things, lines = bench.pack("make_shapes"), bench.pack("make_line")
    both = collate([*things.samples, *lines.samples], normalise_CV=things.normalise_CV)
    share = len(things.visual_at_M) / len(both.visual_at_M)
    alone, mixed = (loss_of(model, teachers, pack)[1] for pack in (things, both))
    for name in ("names", "box", "centres", "absolute", "size", "asked", "bands", "there"):
        assert mixed[name] == pytest.approx(share**0.5 * alone[name], rel=1e-4), name
    line_figures = loss_of(model, teachers, lines)[1]
    assert mixed["letters"] == pytest.approx((1 - share) ** 0.5 * line_figures["letters"], rel=1e-4)


def test_order_of_samples_does_not_matter(bench: Bench) -> None:
    model, teachers = bench.model()
    pack = bench.pack("make_shapes", "make_line", "make_shape_clip")
    turned = collate(pack.samples[::-1], normalise_CV=pack.normalise_CV)
    one, other = (loss_of(model, teachers, each) for each in (pack, turned))
    assert one[0].item() == pytest.approx(other[0].item(), rel=1e-5)
    assert one[1] == pytest.approx(other[1], rel=1e-4)


def test_cells_that_are_not_the_visual_tokens_teach_nothing(bench: Bench) -> None:
    model, teachers = bench.model()
    pack = bench.pack("make_line", count=2)
    cut = []
    for sample in pack.samples:
        taught = sample.extras
        assert isinstance(taught, Taught)
        item = taught.items[0]
        assert item is not None
        assert item.letters is not None
        short = Item(item.letters[:-1], None, None, None)
        cut.append(replace(sample, extras=taught._replace(items=(short,))))
    total, figures = loss_of(model, teachers, collate(cut, normalise_CV=pack.normalise_CV))
    assert set(figures) == {"own", "pieces"}
    total.backward()


def test_right_letters_cost_little(bench: Bench) -> None:
    """Heads that are fitted to one pack tell its letters, names and boxes."""
    torch.manual_seed(0)
    model, teachers = bench.model()
    pack = bench.pack("make_line", "make_shapes", count=2)
    optimiser = torch.optim.AdamW([*model.parameters(), *teachers.parameters()], lr=2e-3)
    first = loss_of(model, teachers, pack)[1]
    for _ in range(60):
        optimiser.zero_grad()
        total, figures = loss_of(model, teachers, pack)
        total.backward()
        optimiser.step()
    assert figures["letters"] < 0.3 * first["letters"]
    assert figures["names"] < 0.3 * first["names"]
    assert figures["box"] < 0.5 * first["box"]


def test_the_tokens_before_an_answer_count_the_bands(bench: Bench) -> None:
    """A head that reads the right numbers off the late layer has no loss; one band further down, it has."""
    _, teachers = bench.model()
    pack = bench.pack("make_line", "make_shapes", count=8)
    teachers.late_norm = torch.nn.Identity()  # type: ignore[assignment]
    teachers.bands = torch.nn.Identity()  # type: ignore[assignment]
    told = torch.zeros(len(pack.token_ids_T), MOST_COUNTED + 1)
    ends = torch.tensor([0, *pack.lengths]).cumsum(0)
    for number, sample in enumerate(pack.samples):
        assert isinstance(sample.extras, Taught)
        item = sample.extras.items[0]
        assert item is not None
        if item.counted is None:
            continue
        rows, columns = (side // 2 for side in sample.grids[0][1:])
        first = int(pack.learnt_N[pack.learnt_samples == number][0])
        assert ends[number] <= first < ends[number + 1]
        in_row = item.counted.reshape(rows, columns).sum(axis=1)
        for band in range(BANDS):
            of_band = [row for row in range(rows) if (row if rows <= BANDS else row * BANDS // rows) == band]
            told[first - BANDS + 1 + band, int(in_row[of_band].sum())] = 100.0
    targets = targets_of(pack, torch.device("cpu"))
    assert int(targets.counted_M.clamp(min=0).sum()) > 2
    assert float(teachers._bands_loss(told, targets, pack)) < 1e-5
    assert float(teachers._bands_loss(told.roll(1, 0), targets, pack)) > 1


def test_letters_of_cells_and_words_are_told_where_they_are_copied(bench: Bench) -> None:
    """Heads that read the right numbers off their own layers have no loss; one letter later, or off the other, they
    have."""
    _, teachers = bench.model()
    pack = bench.pack("make_line", "make_receipt", count=4)
    targets = targets_of(pack, torch.device("cpu"))
    copied = places_of_tokens(pack, targets, teachers.byte_lengths_V)[pack.learnt_N + 1]
    for name in ("norm", "early_norm", "late_norm", "begun", "spelled", "slot"):
        setattr(teachers, name, torch.nn.Identity())
    in_word, in_cell = (torch.zeros(len(pack.token_ids_T), classes) for classes in (LONGEST_WORD, LETTER_SLOTS))
    for at, (_, slot, letter) in zip(pack.learnt_N, copied, strict=True):
        in_cell[at, slot.clamp(0, LETTER_SLOTS - 1)] = in_word[at, letter.clamp(0, LONGEST_WORD - 1)] = 100.0
    right: dict[str, float] = {}
    losses = teachers._reading_losses((in_word, in_cell), copied, pack, right)
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx({"spelled": 0, "slot": 0}, abs=1e-5)
    assert right == {"slot right": 1.0}
    assert int((copied[:, IN_CELL] == IGNORED).sum()) > 10, "ends and blanks"
    assert copied[:, IN_WORD].unique().numel() > 8
    late = teachers._reading_losses((in_word.roll(1, 0), in_cell.roll(1, 0)), copied, pack, {})
    assert min(map(float, late.values())) > 1
    other = teachers._reading_losses((in_cell, in_word), copied, pack, {})
    assert min(map(float, other.values())) > 1


def test_cells_are_taught_how_much_of_their_word_came_before(bench: Bench) -> None:
    """Each cell of a line but the first of a word goes on with it: told from the letters of the cells alone."""
    pack = bench.pack("make_line", count=8)
    begun, shapes = targets_of(pack, torch.device("cpu")).begun_M, [sample.grids[0] for sample in pack.samples]
    begun_words = gone_on = 0
    for cells, (_, rows, _), sample in zip(
        begun.split([r * c // 4 for _, r, c in shapes]), shapes, pack.samples, strict=True
    ):
        assert isinstance(sample.extras, Taught)
        item = sample.extras.items[0]
        assert item is not None
        assert item.letters is not None
        assert item.begun is not None
        assert cells.tolist() == item.begun.tolist()
        before = 0
        for slots, told in zip(item.letters, item.begun, strict=True) if rows == 2 else ():
            if told != IGNORED:
                begun_words, gone_on = begun_words + (told == 0), gone_on + (told > 0)
                assert told in {0, before}, "a new word, or all letters of this one so far"
                before = int(told) + int((slots != NOTHING).sum())
    assert begun_words > 5
    assert gone_on > 15


def test_empty_slots_are_a_class_of_their_own(bench: Bench) -> None:
    """The first of them tells that a cell holds no more; those behind it are not asked."""
    _, teachers = bench.model()
    slots = torch.full((2, 6), NOTHING)
    slots[1, :2] = torch.tensor([4, 7])
    slots = torch.cat([slots, torch.arange(6)[None]])
    logits, wanted = teachers._slots("letters", torch.zeros(3, 128), slots)
    nothing = bench.classes.letter_count
    assert wanted.tolist() == [nothing, 4, 7, nothing, 0, 1, 2, 3, 4, 5]
    assert logits.shape == (10, nothing + 1)


def test_further_questions_have_pointers_and_leave_the_first_ones_referent(bench: Bench) -> None:
    pack = bench.pack("make_shapes", "make_arithmetic", count=12)
    answers = [int((sample.targets_T == sample.targets_T[sample.targets_T >= 0][-1]).sum()) for sample in pack.samples]
    assert max(answers) > 1, "several answers end"
    first = _of_first_answer(pack)
    for number, ends in enumerate(answers):
        of_sample = first[pack.learnt_samples == number]
        assert of_sample[0]
        assert of_sample.all() == (ends == 1)
        assert (of_sample.long().diff() <= 0).all(), "one run from the beginning"
    _, teachers = bench.model()
    targets = targets_of(pack, torch.device("cpu"))
    copied = places_of_tokens(pack, targets, teachers.byte_lengths_V)[pack.learnt_N + 1]
    tokenizer = Tokenizer.from_folder(CHECKPOINT)
    there, exact = [], 0
    for number, sample in enumerate(pack.samples):
        assert isinstance(sample.extras, Taught)
        (item,) = sample.extras.items
        assert item is not None
        answer = first & (pack.learnt_samples == number)
        if sample.extras.printed is not None and (teachers.byte_lengths_V[pack.targets_N[answer]][:-1] == 1).all():
            question = (sample.visual_T.nonzero()[0][-1] + 2, (sample.targets_T >= 0).nonzero()[0][0] + 1)
            before = len(tokenizer.decode(sample.ids_T[slice(*question)].tolist(), skip_special=False).encode())
            wanted = sample.extras.printed[before:][: int(answer.sum()) - 1].tolist()
            assert copied[answer].tolist() == [*wanted, [IGNORED] * 3], "a token a byte, and the end"
            exact += 1
        told = zip(pack.targets_N[pack.learnt_samples == number], copied[pack.learnt_samples == number], strict=True)
        for token, (cell, slot, letter) in told:
            char = tokenizer.decode([int(token)])
            if letter != IGNORED and char in bench.classes.letters:
                assert item.letters is not None
                near = item.letters[max(0, int(cell) - 1) : int(cell) + 2]
                there.append(bench.classes.letters[char] in near)
                if 0 <= slot < LETTER_SLOTS:
                    assert item.letters[int(cell), int(slot)] == bench.classes.letters[char]
    assert exact > 2
    assert len(there) > 50
    assert sum(there) > 0.93 * len(there), "a slanted scan puts a few letters into the next row"


def test_numbers_of_boxes_are_read_off_the_things(bench: Bench) -> None:
    """Each is where a cell lies whose own box, told by another part of the factory, is that of the answer; a head that
    points there has no loss."""
    _, teachers = bench.model()
    pack = bench.pack("make_shapes", "make_line", count=16)
    targets, tokenizer = targets_of(pack, torch.device("cpu")), Tokenizer.from_folder(CHECKPOINT)
    copied = places_of_tokens(pack, targets, teachers.byte_lengths_V)[pack.learnt_N + 1]
    located_N = (copied[:, IN_PICTURE] != IGNORED) & (copied[:, IN_WORD] == IGNORED)
    first_M = torch.tensor([int((targets.samples_M == number).nonzero()[0]) for number in range(len(pack.samples))])
    visual_N = first_M[pack.learnt_samples] + copied[:, IN_PICTURE]
    boxes, at = 0, located_N.nonzero().flatten()
    for run in at.tensor_split((at.diff() > 1).nonzero()[:, 0] + 1):
        numbers = re.fullmatch(r"\((\d+),(\d+)\),\((\d+),(\d+)\)", tokenizer.decode(pack.targets_N[run].tolist()))
        assert numbers is not None
        (visual,) = visual_N[run].unique().tolist()
        column, row, columns, rows = targets.cells_M4[visual].tolist()
        own = targets.places_MX[visual, :4] + torch.tensor([column, row, column, row]) + 0.5
        told = torch.tensor([int(one) for one in numbers.groups()]) / 1000 * torch.tensor([columns, rows] * 2)
        assert float((own - told).abs().max()) < 0.06
        boxes += 1
    assert boxes > 8
    for name in ("middle_norm", "pointer_query", "pointer_key"):
        setattr(teachers, name, torch.nn.Identity())
    middle = torch.zeros(len(pack.token_ids_T), len(pack.visual_at_M))
    middle[pack.visual_at_M] = 1000.0 * torch.eye(len(pack.visual_at_M))
    middle[pack.learnt_N[located_N], visual_N[located_N]] = 1.0
    figures: dict[str, float] = {}
    assert float(teachers._pointer_losses(middle, copied, targets, pack, figures)["located"]) < 1e-5
    assert figures["located right"] == 1.0
    middle[pack.visual_at_M] = middle[pack.visual_at_M].roll(1, 1)
    assert float(teachers._pointer_losses(middle, copied, targets, pack, {})["located"]) > 1


def test_visual_tokens_are_told_their_places_and_answers_the_size(bench: Bench) -> None:
    """Heads that say what is so have no loss: each token's column and row, and the last one's at the answer."""
    model, teachers = bench.model()
    pack = bench.pack("make_shapes", count=4)
    targets = targets_of(pack, torch.device("cpu"))
    width = model.config.text.hidden_size
    places = [
        (column, row) for _, rows, columns in pack.grids for row in range(rows // 2) for column in range(columns // 2)
    ]
    sizes = [(rows // 2, columns // 2) for _, rows, columns in pack.grids]
    hidden_TD = torch.zeros(len(pack.token_ids_T), width)
    begin = pack.learnt_N[[int((pack.learnt_samples == number).nonzero()[0]) for number in range(len(pack.samples))]]
    for at, pair in zip([*pack.visual_at_M.tolist(), *begin.tolist()], [*places, *sizes], strict=True):
        for half, value in enumerate(pair):
            hidden_TD[at, 2 * value + half] = 1.0
    with torch.no_grad():
        for head in (teachers.own, teachers.sizes):
            head.weight.zero_()
            head.bias.zero_()
            for half in (0, 1):
                for value in range(24):
                    head.weight[half * MOST_CELLS + value, 2 * value + half] = 100.0
        for name in ("early_norm", "middle_norm"):
            setattr(teachers, name, torch.nn.Identity())
        for loss in (teachers._own_loss, teachers._size_loss):
            assert loss(hidden_TD, targets, pack) < 1e-3
            assert loss(hidden_TD.roll(1, 0), targets, pack) > 1


def test_questions_find_their_words_in_print(bench: Bench) -> None:
    """Letters of a question's token lie in the cell that it is told, whatever their case, or next to it."""
    _, teachers = bench.model()
    pack = bench.pack("make_receipt", "make_table", count=12)
    targets, tokenizer = targets_of(pack, torch.device("cpu")), Tokenizer.from_folder(CHECKPOINT)
    asked = asked_tokens(pack, targets)
    assert not asked[pack.learnt_N + 1].any()
    letters = {number: letter for letter, number in bench.classes.letters.items()}
    cells = targets.letters_MS.split([columns * rows // 4 for _, rows, columns in pack.grids])
    places = places_of_tokens(pack, targets, teachers.byte_lengths_V)
    found = near = 0
    for at in (asked & (places[:, 0] != IGNORED)).nonzero().flatten().tolist():
        piece = tokenizer.token_bytes(int(pack.token_ids_T[at])).strip().lower()  # of Chinese, a byte alone
        cell, of_sample = int(places[at, 0]), cells[int(pack.token_samples[at])]
        there = of_sample[max(0, cell - 1) : cell + 2].flatten().tolist()
        found += 1
        near += piece[:1] in "".join(letters.get(one, "") for one in there).lower().encode()
    assert found > 25
    assert near > 0.9 * found


def test_pieces_of_questions_are_spelled(bench: Bench) -> None:
    _, teachers = bench.model()
    tokenizer, letters = Tokenizer.from_folder(CHECKPOINT), bench.classes.letters
    for text in (" the", "T", "ust", "."):
        (token,) = tokenizer.encode_text(text)
        spelled = [letters[one] for one in text.strip()]
        assert teachers.pieces_VS[token].tolist() == [*spelled, *[NOTHING] * (LETTER_SLOTS - len(spelled))]
    for token in (tokenizer.special_id("<|im_end|>"), *tokenizer.encode_text("\n")):
        assert teachers.pieces_VS[token].tolist() == [NOTHING] * LETTER_SLOTS


def test_pointing_at_the_words_of_a_question_costs_nothing_where_it_is_right(bench: Bench) -> None:
    _, teachers = bench.model()
    pack = bench.pack("make_receipt", count=6)
    targets = targets_of(pack, torch.device("cpu"))
    printed = places_of_tokens(pack, targets, teachers.byte_lengths_V)[:, 0]
    for name in ("early_norm", "found_query", "found_key"):
        setattr(teachers, name, torch.nn.Identity())
    teachers.pieces_VS.fill_(NOTHING)
    early = torch.zeros(len(pack.token_ids_T), len(pack.visual_at_M))
    early[pack.visual_at_M] = 1000.0 * torch.eye(len(pack.visual_at_M))
    first = 0
    for number, sample in enumerate(pack.samples):
        of_sample = (pack.token_samples == number) & (printed != IGNORED)
        early[of_sample, first + printed[of_sample]] = 1.0
        first += int(sample.visual_T.sum())
    figures: dict[str, float] = {}
    losses = teachers._asked_losses(early, printed, targets, pack, figures)
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx({"found": 0.0}, abs=1e-5)
    assert figures == {"found right": 1.0}
    early[pack.visual_at_M] = early[pack.visual_at_M].roll(1, 1)
    astray = teachers._asked_losses(early, printed, targets, pack, {})
    assert float(astray["found"]) > 1


def test_levels_travel_with_the_teachers(bench: Bench) -> None:
    _, teachers = bench.model()
    teachers.levels_G[2] = 0.7
    _, other = bench.model()
    other.load_state_dict(teachers.state_dict())
    assert other.levels_G.tolist() == teachers.levels_G.tolist()
