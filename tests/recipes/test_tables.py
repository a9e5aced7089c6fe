"""Tables: what the answers say is parsed back and compared with the cells that were printed."""

import json
import lzma
import re
from collections import Counter
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import grids, pack_tables
from recipes.tiny.assets import Assets
from recipes.tiny.example import Example
from recipes.tiny.grids import Grid, Wish, balance, kept, make_grid, plain, records, scores
from recipes.tiny.table_layout import choose_style, lay_out, set_table
from recipes.tiny.tables import (
    CALCULATED,
    KINDS,
    calculated_task,
    html_of,
    make_table,
    markdown_of,
    part_task,
    sum_chain,
    whole_task,
)
from tests.recipes.samples import letters, question, same

ASSETS = Assets.open()
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1)
few = settings(max_examples=25, deadline=None)
SMALL = Grid(
    "",
    (),
    ("Town", "Qty", "Price"),
    (("Bern", "3", "1.50"), ("Ulm", "12", "0.25"), ("Rom", "7", "10")),
    (False, True, True),
    "en",
)
DEEP = Grid(
    "",
    (("", 1), ("Read", 2), ("Math", 1)),
    ("Model", "val", "test", "val"),
    (("A-1B", "1.0", "-", "3.5*"),),
    (False,) * 4,
    "en",
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(seed: int, difficulty: float, split: str = "train", assets: Assets = ASSETS) -> Example:
    return make_table(generator(seed), split=split, difficulty=difficulty, assets=assets)


def parsed_markdown(text: str) -> list[list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n")]
    assert set("".join(lines[1])) == {"-"}
    return [lines[0], *lines[2:]]


class Cells(HTMLParser):
    """The rows of a table as (text, colspan, rowspan)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, int, int]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            given = dict(attrs)
            self.rows[-1].append(("", int(given.get("colspan") or 1), int(given.get("rowspan") or 1)))

    def handle_data(self, data: str) -> None:
        text, columns, rows = self.rows[-1][-1]
        self.rows[-1][-1] = (text + data, columns, rows)


def parsed_html(text: str) -> list[list[tuple[str, int, int]]]:
    parser = Cells()
    parser.feed(text)
    return parser.rows


def wish(**changes: object) -> Wish:
    return Wish(5, 4, 10, "train", "en", ASSETS)._replace(**changes)


# ---- answers ----


def test_markdown_holds_every_cell() -> None:
    assert parsed_markdown(markdown_of(SMALL)) == [list(SMALL.header), *map(list, SMALL.rows)]


def test_two_levels_become_full_names() -> None:
    assert parsed_markdown(markdown_of(DEEP))[0] == ["Model", "Read val", "Read test", "Math val"]


def test_html_spans_cover_all_columns() -> None:
    rows = parsed_html(html_of(DEEP))
    assert rows[0] == [("Model", 1, 2), ("Read", 2, 1), ("Math", 1, 1)]
    assert [text for text, _, _ in rows[1]] == ["val", "test", "val"]
    assert [text for text, _, _ in rows[2]] == list(DEEP.rows[0])
    assert parsed_html(html_of(SMALL))[1] == [(cell, 1, 1) for cell in SMALL.rows[0]]


def test_html_escapes() -> None:
    odd = SMALL._replace(rows=(("a<b", "1", "&"),))
    assert [text for text, _, _ in parsed_html(html_of(odd))[1]] == ["a<b", "1", "&"]


@given(st.lists(st.decimals(0, 9999, places=2), min_size=2, max_size=8))
def test_sums_are_exact_at_every_step(numbers: list[Decimal]) -> None:
    steps = sum_chain([str(number) for number in numbers]).split(" = ")
    assert {sum(map(Decimal, step.split("+"))) for step in steps} == {sum(numbers)}
    assert len(steps) == len(numbers)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("sum", {"3+12+7 = 15+7 = 22", "1.50+0.25+10 = 1.75+10 = 11.75"}),
        ("max", {"Ulm", "Rom"}),
        ("min", {"Bern", "Ulm"}),
        ("order", {'["Ulm", "Rom", "Bern"]', '["Rom", "Bern", "Ulm"]'}),
        ("count", {"0", "1", "2"}),
    ],
)
def test_calculated_answers(kind: str, answers: set[str]) -> None:
    found = {task.answer for seed in range(40) if (task := calculated_task(generator(seed), kind, SMALL))}
    assert found == answers


def test_counts_are_those_above_the_limit() -> None:
    for seed in range(20):
        task = calculated_task(generator(seed), "count", SMALL)
        assert task is not None
        limit = Decimal(re.findall(r"[\d.]+", task.question)[-1].rstrip("."))
        column = 1 if "Qty" in task.question else 2
        assert int(task.answer) == sum(Decimal(row[column]) > limit for row in SMALL.rows)


def test_no_extreme_is_asked_for_among_equals() -> None:
    even = SMALL._replace(rows=(("a", "1", "2"), ("b", "1", "2")))
    assert all(
        calculated_task(generator(seed), kind, even) is None for seed in range(9) for kind in ("max", "min", "order")
    )


def test_cells_are_looked_up() -> None:
    for seed in range(30):
        task = part_task(generator(seed), "cell", SMALL, "")
        row = next(row for row in SMALL.rows if row[0] in task.question)
        column = next(name for name in SMALL.header[1:] if name in task.question)
        assert task.answer == row[SMALL.header.index(column)]


def test_rows_and_columns_are_json() -> None:
    for seed in range(10):
        row = json.loads(part_task(generator(seed), "row", SMALL, "").answer)
        assert tuple(row.values()) in SMALL.rows
        assert tuple(row) == SMALL.header
        column = json.loads(part_task(generator(seed), "column", SMALL, "").answer)
        assert tuple(column) in list(zip(*SMALL.rows, strict=True))


def test_absent_rows_are_said_to_be_absent() -> None:
    assert part_task(generator(), "absent", SMALL, "Oslo").answer == "There is no row Oslo."
    for seed in range(300):
        example = made(seed, 0.3)
        if example.task == "table-absent":
            name = example.answer.removeprefix("There is no row ").removesuffix(".")
            assert name in question(example)


def test_whole_tables() -> None:
    assert json.loads(whole_task(generator(), "json", SMALL).answer) == [
        dict(zip(SMALL.header, r, strict=True)) for r in SMALL.rows
    ]
    assert whole_task(generator(), "size", SMALL).answer == "3 rows, 3 columns"


# ---- contents ----


@few
@given(seeds, st.integers(2, 12), st.integers(2, 7))
def test_records_are_whole_and_unique(seed: int, rows: int, columns: int) -> None:
    grid = records(generator(seed), wish(rows=rows, columns=columns))
    check_grid(grid)
    assert len(grid.rows) <= rows
    assert len(grid.header) <= columns


def check_grid(grid: Grid) -> None:
    assert all(len(row) == len(grid.header) == len(grid.numbers) for row in grid.rows)
    assert len({row[0] for row in grid.rows}) == len(grid.rows)
    assert len(set(grid.names)) == len(grid.names)
    assert all(cell.strip() == cell and cell and "|" not in cell for row in (grid.header, *grid.rows) for cell in row)
    for index, numeric in enumerate(grid.numbers):
        assert not numeric or all(plain(row[index]) for row in grid.rows)


@few
@given(seeds, st.integers(2, 20), st.integers(3, 14), st.sampled_from(["train", "held_out"]))
def test_dense_tables_have_two_levels(seed: int, rows: int, columns: int, split: str) -> None:
    grid = scores(generator(seed), wish(rows=rows, columns=columns, split=split))
    check_grid(grid)
    assert sum(span for _, span in grid.groups) == len(grid.header)
    assert all(re.fullmatch(r"-|\d{1,2}\.\d\*?", cell) for row in grid.rows for cell in row[1:])


@few
@given(seeds, st.integers(2, 14))
def test_balance_sheets_keep_their_order(seed: int, rows: int) -> None:
    grid = balance(generator(seed), wish(rows=rows, columns=4, language="zh"))
    check_grid(grid)
    lines = [int(row[1]) for row in grid.rows]
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"[\d,]+\.\d\d", cell) for row in grid.rows for cell in row[2:])


def test_splits_share_no_headers() -> None:
    for options in (*grids.HEADERS.values(), *grids.KEYS.values(), grids.SUITES):
        train, held = kept(options, "train"), kept(options, "held_out")
        assert set(train).isdisjoint(held)
        assert train
        assert held


# ---- pictures ----


@few
@given(seeds, levels)
def test_every_cell_is_printed(seed: int, difficulty: float) -> None:
    rng = generator(seed)
    grid = make_grid(rng, wish(), difficulty)
    style = choose_style(rng, grid.text, ASSETS.families("latin", "train"), difficulty)
    assert style is not None
    size, frame = lay_out(rng, grid, style)
    paper = set_table(grid, style, size, frame)
    words = Counter(word.text for word in paper.words)
    wanted = Counter(
        part
        for text in (grid.title, *grid.header, *(n for n, _ in grid.groups), *(c for r in grid.rows for c in r))
        for part in text.split()
    )
    assert words == wanted
    for word in paper.words:
        assert word.box[0] >= 0
        assert word.box[2] <= size[1]
    boxes = [word.box for word in paper.words]
    lean = 1 if style.pen.face.plain else 3
    apart = [
        a[2] <= b[0] + lean or b[2] <= a[0] + lean or a[3] <= b[1] + 2 or b[3] <= a[1] + 2
        for i, a in enumerate(boxes)
        for b in boxes[:i]
    ]
    assert all(apart), "words overlap, by more than slanted letters lean over"


@few
@given(seeds, levels, st.sampled_from(["train", "held_out"]))
def test_answers_follow_from_the_picture(seed: int, difficulty: float, split: str) -> None:
    example = made(seed, difficulty, split)
    kind = example.task.removeprefix("table-")
    seen, answer = letters(example), example.answer
    if kind == "markdown":
        texts = [cell for row in parsed_markdown(answer)[1:] for cell in row]
    elif kind == "html":
        texts = [text for row in parsed_html(answer) for text, _, _ in row]
    elif kind in ("json", "row"):
        rows = json.loads(answer) if kind == "json" else [json.loads(answer)]
        texts = [cell for row in rows for cell in row.values()]
    elif kind in ("column", "order"):
        texts = json.loads(answer)
    else:
        texts = [answer] if kind in ("cell", "max", "min") else []
    missing = Counter("".join(texts).replace(" ", "")) - seen
    assert not missing, (kind, answer, missing)


@few
@given(seeds, levels)
def test_shapes(seed: int, difficulty: float) -> None:
    example = made(seed, difficulty)
    height, width, _ = example.messages[0].parts[0].image.shape  # type: ignore[union-attr]
    dense = example.dense[0]
    assert (height % 28, width % 28) == (0, 0)
    assert height * width <= 784 * 1000
    assert dense is not None
    assert dense.letters is not None
    assert len(dense.letters) == height * width // 784
    assert example.task.removeprefix("table-") in KINDS


def test_easy_tables_are_small() -> None:
    sizes = [made(seed, 0.0).messages[0].parts[0].image.size // 3 // 784 for seed in range(30)]  # type: ignore[union-attr]
    assert max(sizes) <= 30


def test_same_seed_same_table() -> None:
    for seed in range(8):
        assert same(made(seed, 0.5), made(seed, 0.5))


def test_all_kinds_are_asked() -> None:
    kinds = {made(seed, 0.4).task.removeprefix("table-") for seed in range(200)}
    assert set(KINDS) - set(CALCULATED) <= kinds <= set(KINDS)
    assert len(kinds & set(CALCULATED)) >= 2


def test_answers_cannot_be_guessed() -> None:
    for kind in ("table-cell", "table-max", "table-markdown", "table-row"):
        answers = [e.answer for seed in range(150) if (e := made(seed, 0.1)).task == kind]
        assert not answers or Counter(answers).most_common(1)[0][1] <= max(2, len(answers) // 4)


# ---- real tables ----


def test_csv_is_cleaned() -> None:
    table = pack_tables.parsed(
        "set/one", '"","Sepal.Length","note"\n"1",5.10001,"x|y"\n"2",4.9,"z"\n"3",4.7,"z"\n"4",4,"z"\n'
    )
    assert table is not None
    assert table.header == ["No", "Sepal Length"]
    assert table.rows[0] == ["1", "5.100"]
    assert pack_tables.parsed("set/two", "a,b\n1,2\n") is None
    assert pack_tables.parsed("set/three", "a,b\n1,2\n1,2\n1,2\n1,2\n1,2\n") is None, "rows are not named"


def test_tables_with_the_same_columns_share_a_split() -> None:
    one = pack_tables.Table("a", ["No.", "age", "sex"], [["1", "2", "F"]])
    two = pack_tables.Table("b", ["Name", "Age", "Sex"], [["x", "9", "M"]])
    assert one.split == two.split
    assert len(pack_tables.unlike(iter([one, one, two]))) == 2
    splits = Counter(pack_tables.Table("c", ["No.", f"column {i}"], []).split for i in range(200))
    assert 20 <= splits["held_out"] <= 65


def test_packed_tables_are_used(tmp_path: Path) -> None:
    rows = [[f"r{index}", str(index * 7), "zz"] for index in range(9)]
    lines = [
        json.dumps({"name": split, "split": split, "header": ["Key", f"Own {split}", "More"], "rows": rows})
        for split in ("train", "held_out")
    ]
    (tmp_path / grids.ASSET).write_bytes(lzma.compress("\n".join(lines).encode()))
    packed = Assets.open(tmp_path)
    for split in ("train", "held_out"):
        grid = grids.real(generator(), wish(rows=4, columns=2, split=split, assets=packed))
        check_grid(grid)
        assert len(grid.rows) == 4
        assert grid.header in (("Key", f"Own {split}"), ("Key", "More"))
        start = rows.index([grid.rows[0][0], *rows[int(grid.rows[0][0][1:])][1:]])
        assert [row[0] for row in grid.rows] == [row[0] for row in rows[start : start + 4]]


def test_without_a_pack_real_tables_are_made_up(tmp_path: Path) -> None:
    check_grid(grids.real(generator(), wish(assets=Assets.open(tmp_path))))
