"""Records go through a line of JSON unchanged, and what is no record is told by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.errors import DatasetError
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Reply

texts = st.text(max_size=40)


@given(
    st.builds(
        Record,
        id=texts,
        benchmark=texts,
        model=texts,
        key=texts,
        prompt=texts,
        raw=texts,
        judged=st.none() | texts,
        media_sha256=st.lists(texts, max_size=2).map(tuple),
        grids_thw=st.lists(st.tuples(*[st.integers(1, 9)] * 3), max_size=2).map(tuple),
        notes=st.lists(texts, max_size=2).map(tuple),
        settings=st.dictionaries(texts, st.integers() | st.none() | texts, max_size=2),
    )
)
def test_a_record_comes_back_from_its_line(record: Record) -> None:
    line = record.to_line()
    assert "\n" not in line
    assert Record.from_line(line, "records.jsonl:1") == record


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", '{"id": "1"}', '{"id": "1", "other": 2}', '{"grids_thw": [1]}']
)
def test_what_is_no_record_is_told_by_name(line: str) -> None:
    with pytest.raises(DatasetError, match=r"records.jsonl:7: not a record"):
        Record.from_line(line, "records.jsonl:7")


def test_raw_answer_and_judgement_are_read_apart() -> None:
    record = Record("1", "mmvet", "tiny", "k", "p", raw="a cat", finish_reason="length", coordinates="pixels")
    assert record.reply == Reply("a cat", "length", "pixels")
    assert record.judgement is None
    judged = Record("1", "mmvet", "tiny", "k", "p", raw="a cat", judge="gpt", judged="0.5")
    assert (judged.reply.text, judged.judgement) == ("a cat", Reply("0.5"))
