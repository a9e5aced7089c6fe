"""The mixture: shares, levels and their file, examples by number, spelled answers."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import ImagePart, Message, TextPart
from anyres.processing.processor import Processor
from anyres.processing.tokenizer import Tokenizer
from anyres.training.supervision import IGNORED, supervise
from recipes.tiny import mixture
from recipes.tiny.conversation import about_clip, about_pictures
from recipes.tiny.example import Dense, asked_further, question_of
from recipes.tiny.levels import Levels, block_size
from recipes.tiny.mixture import (
    GROUPS,
    TASKS,
    Mixture,
    Task,
    answer_ids,
    example_of,
    group_of,
    missing,
    opened_assets,
    shares_at,
)
from recipes.tiny.regions import Region, dense_of
from recipes.tiny.scale import MAX_PIXELS, SCALES, write_start
from recipes.tiny.taught import NOTHING, Classes, Taught, build_classes, named_in, read_classes, reading_order, taught

CHECKPOINT = Path("anyres/checkpoints/tiny")
EASY = tuple(task for task in TASKS if task.group in ("line", "shape"))
LETTERS = {one: number for number, one in enumerate("abcdefgh")}
CLASSES = Classes(LETTERS, {"red star": 0, "star": 1, "blue ring": 2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: a start, classes and levels."""
    out = tmp_path_factory.mktemp("run")
    write_start(out / "start", SCALES["smoke"], tokenizer=CHECKPOINT)
    build_classes(opened_assets(None), Tokenizer.from_folder(CHECKPOINT), out / "classes.json")
    levels = Levels(out / "levels.csv", tuple(GROUPS))
    for level in (0.0, 0.3):
        levels.add(dict.fromkeys(GROUPS, level))
    return out


def mixture_of(folder: Path, tasks: tuple[Task, ...] = EASY, seed: int = 0) -> Mixture:
    return Mixture(tasks, folder / "levels.csv", folder / "classes.json", block=64, seed=seed)


# ---- tasks ----


@given(st.floats(0, 1))
def test_shares_add_up_and_no_task_is_ever_gone(reading: float) -> None:
    shares = shares_at(TASKS, reading)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_documents_come_in_as_reading_gets_better() -> None:
    late = [number for number, task in enumerate(TASKS) if task.opens]
    early, grown = shares_at(TASKS, 0.0), shares_at(TASKS, 1.0)
    assert sum(early[i] for i in late) < 0.01
    assert sum(grown[i] for i in late) > 0.5
    assert grown == pytest.approx([task.share / sum(one.share for one in TASKS) for task in TASKS])


def test_every_task_belongs_to_a_group_and_is_listed_once() -> None:
    assert {task.group for task in TASKS} == set(GROUPS)
    assert len({(task.module, task.maker) for task in TASKS}) == len(TASKS)


def test_what_cannot_be_made_is_told() -> None:
    absent = Task("line", "no_such_module", "make_line", 0.1)
    nameless = Task("line", "shapes", "make_nothing", 0.1)
    told = missing((*EASY, absent, nameless), opened_assets(None))
    assert set(told) == {absent, nameless}
    assert "no_such_module" in told[absent]
    assert "make_nothing" in told[nameless]


# ---- examples ----


def test_an_example_depends_on_its_number_alone(folder: Path) -> None:
    first, again = (mixture_of(folder).example(7) for _ in range(2))
    other, unlike = mixture_of(folder, seed=1).example(7), mixture_of(folder).example(8)
    assert first.name == again.name
    assert first.messages[-1] == again.messages[-1]
    pictures = [np.asarray(part.image) for one in (first, again) for part in one.messages[0].parts[:1]
                if isinstance(part, ImagePart)]  # fmt: skip
    assert len(pictures) == 0 or np.array_equal(*pictures)
    assert (first.messages[-1], first.name) != (other.messages[-1], other.name)
    assert (first.messages[-1], first.name) != (unlike.messages[-1], unlike.name)


def test_names_weights_and_first_tokens(folder: Path) -> None:
    for index in range(40):
        one = mixture_of(folder).example(index)
        assert one.name.endswith(f"#{index}")
        assert group_of(one.name) in ("line", "shape")
        assert one.first_weight == (mixture.FIRST_TOKEN if group_of(one.name) == "shape" else 1.0)
        answers = [str(turn.content) for turn in one.messages if turn.role == "assistant"]
        length = sum(map(len, answers)) / len(answers)
        assert one.weight == pytest.approx(min(1.0, mixture.LONG / length) ** 0.5)


@pytest.mark.parametrize("maker", ["make_page", "make_table", "make_receipt", "make_arithmetic", "make_shapes"])
def test_further_questions_are_new_and_within_the_characters(maker: str) -> None:
    task = next(one for one in TASKS if one.maker == maker)
    turns = []
    for number in range(25):
        rng = np.random.default_rng([4, number])
        example = example_of(task, rng, split="train", difficulty=0.4, assets=opened_assets(None), languages=("en",))
        more = asked_further(example, rng, 3, 300)
        assert more.messages[:2] == example.messages
        asked = [question_of(one) for one in more.messages if one.role == "user"]
        assert len(set(asked)) == len(asked) == len(more.answers)
        long = [one for one in more.answers if len(one) > 8]
        assert len(set(long)) == len(long)
        assert sum(map(len, more.answers[1:])) <= max(0, 300 - len(example.answer))
        assert asked_further(example, rng, 0, 300).messages == example.messages
        turns.append(len(more.answers))
    assert max(turns) >= 2


def test_visual_tokens_are_the_cells(folder: Path) -> None:
    """Of every task that can be made here, easy and not so easy."""
    assets = opened_assets(None)
    tasks = tuple(task for task in TASKS if task not in missing(TASKS, assets))
    processor = Processor.from_folder(folder / "start", default_max_pixels=MAX_PIXELS)
    checked = 0
    for task in tasks:
        sample = supervise(mixture_of(folder, (task,)).example(65), processor, answer_ids=answer_ids)
        assert isinstance(sample.extras, Taught)
        assert len(sample.extras.items) == len(sample.grids)
        for item, (t, h, w) in zip(sample.extras.items, sample.grids, strict=True):
            lengths = {len(told) for told in item or () if told is not None}
            assert lengths <= {t * h * w // 4}, task
            checked += len(lengths)
    assert checked >= len(EASY)


def test_spelled_answers_decode_to_the_same_text() -> None:
    tokenizer = Tokenizer.from_folder(CHECKPOINT)
    text = "the <|box_start|>(1,2)<|box_end|> là 中"
    ids = {spelled: answer_ids(text, tokenizer, Taught(spelled, (), 0, (0,) * 5)) for spelled in (True, False)}
    assert len(ids[True]) > len(ids[False])
    assert {tokenizer.decode(one) for one in ids.values()} == {"the (1,2) là 中"}
    assert tokenizer.special_id("<|box_start|>") in ids[True]


def test_print_is_spelled_at_every_level(folder: Path) -> None:
    for spelled in (True, False):
        task = EASY[0]._replace(spelled=spelled)
        for index in (0, 64):
            extras = mixture_of(folder, (task,)).example(index).extras
            assert isinstance(extras, Taught)
            assert extras.spelled == spelled


# ---- what is taught ----


def test_classes_are_kept(folder: Path, tmp_path: Path) -> None:
    classes = read_classes(folder / "classes.json")
    assert classes.letters["e"] != classes.letters["a"]
    assert {"red star", "button"} <= set(classes.names)
    (tmp_path / "classes.json").write_text('{"letters": {"x": 0}, "names": ["y"]}')
    kept = build_classes(opened_assets(None), Tokenizer.from_folder(CHECKPOINT), tmp_path / "classes.json")
    assert kept == Classes({"x": 0}, {"y": 0})


def test_letters_and_names_fill_slots() -> None:
    frame = np.zeros((28, 84, 3), np.uint8)
    dense = Dense(letters=("abz", "", "h"), names=(("star", "unknown"), (), ("blue ring",)))
    told = taught(about_pictures("x", [frame], ("Read.", "ab h"), dense=[dense]), CLASSES, spelled=True, ordered=True)
    item = told.items[0]
    assert item is not None
    assert item.letters is not None
    assert item.letters[0].tolist()[:4] == [0, 1, NOTHING, NOTHING]
    assert item.letters[2].tolist()[:2] == [7, NOTHING]
    assert item.names is not None
    assert item.names[:, 0].tolist() == [1, NOTHING, 2]
    assert item.order is not None
    assert item.order.tolist() == [0, IGNORED, 3]
    assert told.asked == len(CLASSES.names)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("How many red stars are there?", ["red star"]),
        ("Is there a star?", ["star"]),
        ("Read it.", []),
        ("The star or the blue ring, which?", ["star", "blue ring"]),
    ],
)
def test_names_in_questions(question: str, names: list[str]) -> None:
    assert named_in(question, CLASSES.names) == names


def test_where_the_thing_is_that_is_asked_for() -> None:
    size, frame = (56, 84), np.zeros((56, 84, 3), np.uint8)
    things = [Region("red star", (0, 0, 50, 50)), Region("blue ring", (56, 28, 84, 56))]

    def referent(question: str, regions: list[Region]) -> tuple[float, ...]:
        example = about_pictures("x", [frame], (question, "yes"), dense=[dense_of(regions, size)])
        return taught(example, CLASSES, spelled=False, ordered=False).referent

    assert referent("Where is the blue ring?", things) == (2, 1, 3, 2, 1)
    assert referent("Where is the blue ring?", things[:1])[4] == 0
    assert np.isnan(referent("Where is the blue ring?", things[:1])[0])
    assert np.isnan(referent("What is this?", things)[4])
    twins = [*things, Region("blue ring", (0, 28, 28, 56))]
    assert np.isnan(referent("Where is a blue ring?", twins)[0])
    assert referent("Where is a blue ring?", twins)[4] == 1


def test_things_of_clips() -> None:
    size, frame = (28, 56), np.zeros((28, 56, 3), np.uint8)
    pair = [dense_of([Region("star", (x, 0, x + 28, 28))], size) for x in (0, 28)]
    dense = Dense(names=(*(pair[0].names or ()), *(pair[1].names or ())),
                  places=np.concatenate([one.places for one in pair if one.places is not None]))  # fmt: skip
    example = about_clip("x", [frame] * 4, ("Where does the star go?", "right"), dense=dense)
    told = taught(example, CLASSES, spelled=False, ordered=False).referent
    assert np.isnan(told[0])
    assert told[4] == 1


def test_order_of_tall_lines() -> None:
    assert reading_order(("", "b", "a", ""), "ab", 2) == [IGNORED, 1, 0, IGNORED]
    assert reading_order(("x",), "ab", 1) == [IGNORED]


# ---- levels ----


@given(st.integers(64, 20_000), st.integers(1, 8), st.integers(1, 512), st.integers(0, 128))
def test_a_block_is_more_than_what_is_under_way(tokens: int, packs: int, look_ahead: int, ahead: int) -> None:
    block = block_size(tokens=tokens, packs=packs, look_ahead=look_ahead, workers_ahead=ahead)
    assert block > look_ahead + ahead + 3 * packs * tokens / 30
    assert block % 1024 == 0


def test_levels_are_read_as_they_are_decided(tmp_path: Path) -> None:
    writer, reader = (Levels(tmp_path / "levels.csv", ("a", "b")) for _ in range(2))
    assert reader.decided == 0
    writer.add({"a": 0.1, "b": 0.2})
    assert reader.of_block(0) == {"a": 0.1, "b": 0.2}
    threading.Timer(0.2, writer.add, [{"a": 0.3, "b": 0.4}]).start()
    began = time.monotonic()
    assert reader.of_block(1)["b"] == 0.4
    assert time.monotonic() - began >= 0.1
    writer.keep(1)
    assert writer.decided == 1
    writer.add({"a": 0.5, "b": 0.6})
    assert Levels(tmp_path / "levels.csv", ("a", "b", "new")).of_block(1) == {"a": 0.5, "b": 0.6, "new": 0.0}


def test_a_block_that_nobody_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.tiny.levels.PATIENCE_S", 0.1)
    with pytest.raises(TimeoutError, match="block 0"):
        Levels(tmp_path / "levels.csv", ("a",)).of_block(0)


def test_questions_are_texts() -> None:
    """What `named_in` reads is the text of a turn, pictures or not."""
    example = about_pictures("x", [np.zeros((28, 28, 3), np.uint8)], ("a star?", "no"), dense=[None])
    assert isinstance(example.messages[0].parts[-1], TextPart)
    assert taught(example, CLASSES, spelled=False, ordered=False).asked == 1
    assert isinstance(example.messages[-1], Message)
