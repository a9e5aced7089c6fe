"""Loops that models really made are ended; real tables, receipts and forms never are.

`loops.json.gz` has PubTabNet's example tables, and answers of Qwen-VL on MMMU, told apart by how well gzip packs them.
"""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.engine.loops import LoopDetector, repetition_at_end

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[1] / "goldens" / "loops.json.gz").read_bytes()))


def stopped_at(text: str, *, seed: int = 0) -> int | None:
    """After how many letters an answer is ended, fed in pieces as long as tokens are."""
    detector, pieces = LoopDetector(), random.Random(seed)
    place = 0
    while place < len(text):
        step = pieces.randint(1, 8)
        place += step
        if detector.push(text[place - step : place]):
            return place
    return None


@pytest.mark.parametrize("place", range(len(GOLDEN["loops"])))
def test_loops_of_a_real_model_are_ended(place: int) -> None:
    text = GOLDEN["loops"][place]
    end = stopped_at(text)
    assert end is not None
    assert end < len(text)


def test_prose_of_a_real_model_is_not() -> None:
    assert len(GOLDEN["prose"]) > 30
    assert [text[:80] for text in GOLDEN["prose"] if stopped_at(text) is not None] == []


def test_real_tables_are_not_ended() -> None:
    """As HTML, and with every cell that holds something emptied: blank forms."""
    assert len(GOLDEN["tables"]) > 35
    tables = [*GOLDEN["tables"], *map(emptied, GOLDEN["tables"])]
    assert [text[:80] for text in tables if stopped_at(text) is not None] == []


def emptied(html: str) -> str:
    parts = html.split("<")
    return "<".join(part.partition(">")[0] + ">" if ">" in part else part for part in parts)


LOOPS = {
    "a word": "the " * 200,
    "a line": "The quick brown fox jumps over the lazy dog.\n" * 60,
    "a block": "Name: ____\nDate: 12/03/2021\nThe undersigned agrees to all of the terms above.\n\n" * 30,
    "a long block": ("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod. " * 3 + "End.\n") * 12,
    "noughts": "0" * 3000,
    "a decimal": "0.3333" + "3" * 3000,
    "numbers": "12.50 " * 400,
    "dots": "." * 3000,
    "a rule": "-" * 3000,
    "blanks": "\n" * 3000,
    "chinese": "的" * 500,
    "a chinese line": "本公司保留一切权利。" * 200,
    "a count": "".join(f"{number}. " for number in range(1, 400)),
    "a list": "".join(f"{number}. See above.\n" for number in range(1, 400)),
    "pages": "".join(f"Page {number} of 900\n" for number in range(1, 400)),
    "years down": " ".join(str(year) for year in range(2024, 1500, -1)),
    "one box": "<|box_start|>(12,40),(300,412)<|box_end|>" * 60,
    "a json list": '["' + 'blue", "' * 300,
    "a row": "| yes | no | no |\n" * 200,
}


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("before", ["", "Total 12.50\nThank you for your visit!\n"])
def test_loops_are_ended(kind: str, before: str) -> None:
    ends = [stopped_at(before + LOOPS[kind], seed=seed) for seed in range(3)]
    assert all(end is not None for end in ends)
    assert all(end is not None and end < 2600 for end in ends), ends


DOCUMENTS = {
    "contents": "\n".join(
        f"{number} Chapter {number * 7 % 13} {'.' * (90 - number)} {number * 3}" for number in range(1, 60)
    ),
    "dotted leader": "Introduction " + "." * 300 + " 4",
    "spaced leader": "Introduction " + ". " * 150 + "4",
    "form": "Name: " + "_" * 200 + "\nDate: " + "_" * 100 + "\n",
    "rules": ("=" * 120 + "\nTotals\n" + "-" * 120 + "\n") * 3,
    "markdown rule": "|" + " --- |" * 40 + "\n" + "| 1 | 2 |" * 3,
    "zeros": "\n".join(" ".join(["0"] * 20) for _ in range(20)),
    "identity": "\n".join(" ".join("1" if row == column else "0" for column in range(20)) for row in range(20)),
    "column of one word": json.dumps(["yes"] * 80),
    "lines of one word": "Misoprostol\n" * 70,
    "round of beer": "1 x Beer 0.5l          4.20\n" * 30 + "TOTAL 126.00",
    "attendance": "\n".join(f"| Pupil {chr(65 + row)} | present | present | present |" for row in range(26)),
    "blank form": "<table>" + ("<tr>" + "<td></td>" * 8 + "</tr>") * 25 + "</table>",
    "markdown blank rows": "|   |   |   |   |\n" * 60,
    "refrain": "Na na na nananana, nananana, hey Jude\n" * 18,
    "calendar": " ".join(str(day) for month in range(12) for day in range(1, 31)),
    "ruler": " ".join(str(number) for number in range(101)),
    "years": "\n".join(f"| {year} | 0 | 0 |" for year in range(1900, 2025)),
    "hex": "00 " * 256,
    "bars": "|" * 200,
    "laughter": "ha " * 60,
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_documents_that_repeat_themselves_are_not_ended(kind: str) -> None:
    for seed in range(3):
        assert stopped_at(DOCUMENTS[kind], seed=seed) is None


def receipts() -> Iterator[str]:
    """Receipts, invoices and numeric tables, drawn at random."""
    for seed in range(60):
        rng = random.Random(seed)
        names = [rng.choice(["Coffee", "Milk 1L", "Bread", "Beer", "Water"]) for _ in range(rng.randint(3, 40))]
        lines = [f"{rng.randint(1, 3)} x {name:<14}{rng.choice([1.5, 2.0, 4.2]):>8.2f}" for name in names]
        yield "\n".join([*lines, "-" * 32, "TOTAL", "." * 32])
        cells = [[str(rng.choice([0, 0, 0, 1])) for _ in range(rng.randint(3, 12))] for _ in range(60)]
        yield "\n".join("| " + " | ".join(row) + " |" for row in cells)
        yield json.dumps([{"item": name, "paid": True} for name in names])


def test_receipts_and_sparse_tables_are_not_ended() -> None:
    assert [text[:100] for text in receipts() if stopped_at(text) is not None] == []


@settings(deadline=None, max_examples=60)
@given(unit=st.text(min_size=1, max_size=40), times=st.integers(3, 60), before=st.text(max_size=50))
def test_the_end_is_as_periodic_as_it_says(unit: str, times: int, before: str) -> None:
    text = before + unit * times
    found = repetition_at_end(text)
    if len(unit) * (times - 1) >= 32 and len(text) > 32:
        assert found is not None
        assert len(found.unit) <= len(unit)
    if found is not None:
        period = len(found.unit)
        assert text.endswith(found.unit)
        tail = text[-found.letters :]
        assert tail[period:] == tail[:-period] if found.letters > period else True


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=9), max_size=40))
def test_what_pieces_a_loop_comes_in_changes_little(pieces: list[str]) -> None:
    """Whatever went before, a word that never stops is ended within as many letters."""
    detector = LoopDetector()
    assert not any(detector.push(piece) for piece in pieces)
    assert any(detector.push("same ") for _ in range(110))


def test_nothing_is_no_loop() -> None:
    detector = LoopDetector()
    assert not any(detector.push("") for _ in range(10_000))
