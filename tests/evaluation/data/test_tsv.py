"""VLMEvalKit's tables: the shipped one with 78 rows and references, and everything that may be wrong with one."""

import base64
import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.errors import DatasetError
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.tsv import read_tsv

SHARED = Path(__file__).parents[3] / "../shared/data/mmbench-samples"
PICTURE = bytes(range(256)) * 2
BASE64 = base64.b64encode(PICTURE).decode()


def written(folder: Path, *lines: str, name: str = "a.tsv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def image(row: Row) -> object:
    (part,) = row.pictures("image")
    return part.image


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_the_shipped_table_gives_each_row_the_picture_it_names() -> None:
    rows = list(read_tsv(SHARED / "mmbench_en_circular.tsv"))
    golden = [json.loads(line) for line in (SHARED / "mmbench.jsonl").read_text(encoding="utf-8").splitlines()]
    pictures = {one["index"]: (SHARED / one["image"]).read_bytes() for one in golden if one["language"] == "en"}
    options = {one["index"]: list(one["options"].values()) for one in golden if one["language"] == "en"}
    assert len(rows) == 78
    for row in rows:
        turn, base = divmod(row.whole("index"), 1_000_000)
        assert image(row) == pictures[base]
        given_ = options[base]
        assert list(row.options()) == given_[turn:] + given_[:turn]
    assert len({row.name for row in rows}) == 78


def test_a_later_row_may_be_named_and_a_list_holds_several(tmp_path: Path) -> None:
    path = written(tmp_path, "index\timage\tquestion", "1\t2\tq", f"2\t{BASE64}\tq", f"3\t['{BASE64}', '2']\tq")
    first, second, third = read_tsv(path)
    assert image(first) == image(second) == PICTURE
    assert [part.image for part in third.pictures("image")] == [PICTURE, PICTURE]


def test_a_name_of_a_file_is_taken_too(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PICTURE)
    (row,) = read_tsv(written(tmp_path, "index\timage", "1\tcat.png"))
    assert image(row) == tmp_path / "cat.png"
    (row,) = read_tsv(written(tmp_path, "index\timage_path", "1\t['a.png', 'b.png']"))
    assert [part.image for part in row.pictures("image", "image_path")] == [tmp_path / "a.png", tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2\t7\tq", "'7' is neither the index of a row nor a file"),
        ("2\tnothing.png\tq", "neither the index of a row nor a file"),
        (f"2\t{BASE64}!!\tq", "image: "),
        ("2\t3\tq", "3 is the index of a row without one picture"),
        ("2\tq", "another number of cells"),
        ("2\t1\tq\tmore", "another number of cells"),
    ],
)
def test_a_broken_row_is_told_and_the_next_one_read(tmp_path: Path, line: str, told: str) -> None:
    heading, first, last = "index\timage\tquestion", f"1\t{BASE64}\tq", "3\t1\tlast"
    rows = list(read_tsv(written(tmp_path, heading, first, line, last)))
    assert [rows[0].text("question"), rows[2].text("question")] == ["q", "last"]
    with pytest.raises(DatasetError, match=f"a.tsv:3: .*{told}"):
        rows[1].text("question")


def test_lines_are_counted_where_cells_hold_line_breaks(tmp_path: Path) -> None:
    path = written(tmp_path, "index\tquestion", '1\t"two\nlines, ""quoted"""', "2\tone")
    assert [(row.name, row.text("question")) for row in read_tsv(path)] == [
        ("a.tsv:2", 'two\nlines, "quoted"'),
        ("a.tsv:4", "one"),
    ]


def test_words_that_pandas_takes_for_nothing_are_words(tmp_path: Path) -> None:
    (row,) = read_tsv(written(tmp_path, "index\tA\tB\tC\tD", "1\tNone\tNA\tnull\tnan"))
    assert row.options() == ("None", "NA", "null", "nan")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the heading"),
        (b"index\tindex\n", "each once"),
        (b"index\n\xff\xfe\n", "not a table"),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=told):
        list(read_tsv(path))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        list(read_tsv(tmp_path / "a.tsv"))


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=20)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_what_a_writer_of_tables_writes_is_read(tmp_path_factory: pytest.TempPathFactory, pairs: list[object]) -> None:
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([("index", "question", "answer"), *((n, *pair) for n, pair in enumerate(pairs))])  # type: ignore[misc]
    read = [(row.values["question"], row.values["answer"]) for row in read_tsv(path)]
    assert read == pairs
