"""Pictures of the cases: the same in every process, with every letter in the font, readable by a reader of print."""

import hashlib
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from anyres.chat import ImagePart
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.benchmarks import BENCHMARKS
from anyres.evaluation.cases.balance_sheet import COLUMNS, PUBLISHED, balance_sheet, lines
from anyres.evaluation.cases.drawn import DrawnPicture
from anyres.evaluation.cases.invoice import FIELDS, invoice, invoice_fields
from anyres.evaluation.cases.leaderboard import GROUPS, columns, leaderboard, rows
from anyres.evaluation.cases.sheet import FONT
from anyres.evaluation.cases.worksheet import EXPRESSIONS, expressions, worksheet
from anyres.evaluation.data.rows import picture_cluster
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.metrics.arithmetic import evaluate
from anyres.evaluation.run.key import Digests
from anyres.processing.media import open_image

PUBLISHED_RESULTS = (125, 520, 363, 8, 6, 169, 347, 1105, 10098, 258, 220, 18900, 13800, 60, 1000, 27, 5800, 8300)
CASES = [one for one in BENCHMARKS.values() if one.drawn]
DRAWN = {"worksheet": worksheet, "invoice": invoice, "balance_sheet": balance_sheet, "leaderboard": leaderboard}


def test_the_published_worksheet() -> None:
    values = [evaluate(text) for row in EXPRESSIONS for text in row]
    assert values == [*PUBLISHED_RESULTS, 20400, 54000]


@pytest.mark.parametrize("number", range(1, 30))
def test_other_worksheets(number: int) -> None:
    """Whole numbers only, also on the way: what is divided leaves nothing."""
    for text in (text for row in expressions(number) for text in row):
        value = evaluate(text)
        assert value is not None
        assert value == int(value) >= 0
    assert expressions(number) == expressions(number) != expressions(number + 1)


def test_the_published_balance_sheet() -> None:
    assert len(lines(0)) == 14
    assert sum(float(line.opening.replace(",", "")) for line in lines(0)[:-1]) == pytest.approx(90675.17)
    assert sum(float(line.closing.replace(",", "")) for line in lines(0)[:-1]) == pytest.approx(90683.72)
    for number in range(1, 10):
        amounts = [[float(amount.replace(",", "")) for amount in line[2:]] for line in lines(number)]
        assert [sum(column[:-1]) for column in zip(*amounts, strict=True)] == pytest.approx(amounts[-1])


def test_invoices_add_up() -> None:
    for number in range(10):
        fields = invoice_fields(number)
        assert tuple(fields) == FIELDS
        subtotal, tax, total = (float(fields[name].replace(",", "")) for name in ("subtotal", "tax", "total"))
        assert total == pytest.approx(subtotal + tax)


def test_leaderboards() -> None:
    for number in range(10):
        assert {len(row) for row in rows(number)} == {len(columns())} == {15}
        assert len({row[0] for row in rows(number)}) == 20
    cells = [cell for row in rows(0) for cell in row]
    assert "-" in cells
    assert any(cell.endswith("*") for cell in cells)


def test_the_font_has_every_letter() -> None:
    held = TTFont(FONT).getBestCmap()
    texts = [*COLUMNS, "资产负债表", "金额单位：元", *(cell for line in PUBLISHED for cell in line)]
    texts += [name for group, names in GROUPS for name in (group, *names)]
    for number in range(10):
        texts += [cell for row in rows(number) for cell in row] + list(invoice_fields(number).values())
        texts += [text for row in expressions(number) for text in row]
    assert {letter for text in texts for letter in text if ord(letter) not in held} == set()


def test_reading_and_grading_draw_nothing_and_a_picture_is_drawn_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second process, which here forgets its files, finds it in the cache."""
    monkeypatch.setenv("ANYRES_CACHE", str(tmp_path))
    drawn: list[int] = []

    def draw(number: int) -> bytes:
        drawn.append(number)
        return leaderboard(number)

    picture = DrawnPicture("counted", 3, draw)
    assert picture_cluster([ImagePart(picture)]) == "counted-3"
    assert drawn == []
    for _ in range(2):
        assert open_image(picture).picture.size == Image.open(io.BytesIO(leaderboard(3))).size
        Path(picture).unlink()
    assert drawn == [3]
    monkeypatch.setenv("ANYRES_CACHE", "off")
    assert Path(picture).read_bytes() == leaderboard(3)
    assert drawn == [3, 3]
    Path(picture).unlink()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_pictures_of_samples_are_those_that_are_drawn(case: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    """By key and by path; until then none is drawn, whatever is read and graded."""
    monkeypatch.setenv("ANYRES_CACHE", "off")
    samples = read_samples(case, Path("nowhere")).samples
    sources = [part.image for sample in samples for part in sample.media if isinstance(part, ImagePart)]
    assert [type(source) for source in sources] == [DrawnPicture] * len(samples)
    assert len({str(source) for source in sources}) == len(samples)
    first = DRAWN[sources[0].name](0)
    assert Digests().digest(sources[0]) == hashlib.sha256(first).hexdigest()
    assert pickle.loads(pickle.dumps(sources[0])) == sources[0]


@pytest.mark.parametrize("name", DRAWN)
def test_pictures_differ_by_number_and_nothing_else(name: str) -> None:
    first = DRAWN[name](0)
    assert Image.open(io.BytesIO(first)).size > (700, 400)
    assert first != DRAWN[name](1)
    code = (
        f"import hashlib; from anyres.evaluation.cases.{name} import {name}; "
        f"print(hashlib.sha256({name}(0)).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(first).hexdigest()
