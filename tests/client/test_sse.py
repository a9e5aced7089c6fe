"""Events come out the same however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.client.sse import Event, EventReader


def events_of(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("", "a")]),
        (b"data:a\n\n", [("", "a")]),
        (b"data:  a\n\n", [("", " a")]),
        (b"data\n\n", [("", "")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("", "a"), ("", "b"), ("", "c")]),
        (b"data: a\ndata: b\n\n", [("", "a\nb")]),
        (b": ping\n\n: pong\n\ndata: a\n\n", [("", "a")]),
        (b"event: x\nid: 3\nretry: 10\ndata: a\n\ndata: b\n\n", [("x", "a"), ("", "b")]),
        (b"event: x\n\ndata: b\n\n", [("", "b")]),
        (b"error: {}\n\n", [("error", "{}")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
        (b"\n\n\n", []),
        (b"data: a", [("", "a")]),
        (b"data: a\n", [("", "a")]),
        (b"data: a\r", [("", "a")]),
        (b"data: \xff\n\n", [("", "\ufffd")]),
        (b"nonsense: a\n\n", []),
        (b"", []),
    ],
)
def test_the_rules_of_the_format(stream: bytes, events: list[tuple[str, str]]) -> None:
    assert events_of(stream) == events


LINES = st.lists(
    st.sampled_from(["data: a", "data: größe 字 🙂", "", ": ping", "event: e", "data: \x0b\u2028", "data:"])
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(LINES, ENDS, st.data())
def test_cuts_anywhere_change_nothing(lines: list[str], end: str, data: st.DataObject) -> None:
    stream = "".join(f"{line}{end}" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events_of(*pieces) == events_of(stream)


@given(LINES)
def test_line_ends_change_nothing(lines: list[str]) -> None:
    forms = [events_of("".join(f"{line}{end}" for line in lines).encode()) for end in ("\n", "\r\n", "\r")]
    assert forms[0] == forms[1] == forms[2]


@given(st.binary(max_size=200))
def test_anything_at_all_is_read(stream: bytes) -> None:
    assert all(isinstance(event, Event) for event in events_of(stream))


def test_an_event_without_an_end_is_not_kept_for_ever() -> None:
    for piece in (b"x" * 300, b"data: " + b"x" * 200 + b"\n"):
        reader = EventReader(most_bytes=1000)
        with pytest.raises(OverflowError):
            [reader.feed(piece) for _ in range(20)]


def test_small_events_without_end_are_fine() -> None:
    reader = EventReader(most_bytes=100)
    assert sum(len(reader.feed(b"data: " + b"x" * 50 + b"\n\n")) for _ in range(1000)) == 1000
