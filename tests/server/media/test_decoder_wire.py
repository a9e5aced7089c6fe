"""The language of the pipes: what is said comes out, and nothing else does."""

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.server.decoder_wire import MOST_WORDS, WireError, receive, receive_into, send

words = st.dictionaries(
    st.text(max_size=9), st.integers() | st.text() | st.floats(allow_nan=False) | st.none(), max_size=5
)


@given(words, st.binary(max_size=2000))
def test_there_and_back(said: dict[str, object], payload: bytes) -> None:
    pipe = io.BytesIO()
    send(pipe, said, payload)
    pipe.seek(0)
    heard = receive(pipe)
    assert heard == {**said, "size": len(payload)}
    room = bytearray(heard["size"])
    receive_into(pipe, memoryview(room))
    assert bytes(room) == payload
    assert pipe.read() == b""


def test_a_view_is_counted_in_bytes() -> None:
    pipe = io.BytesIO()
    send(pipe, {}, memoryview(bytes(24)).cast("d"))
    pipe.seek(0)
    assert receive(pipe)["size"] == 24


def line(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        line(b'{"size":0}')[:-1],
        (MOST_WORDS + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        line(b""),
        line(b"[]"),
        line(b"\xff\xfe"),
        line(b"{}"),
        line(b'{"size":-1}'),
        line(b'{"size":1.0}'),
        line(b'{"size":true}'),
        line(b'{"size":"1"}'),
        line(b"cos\nsystem\n(S'id'\ntR."),
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(WireError):
        receive(io.BytesIO(data))


@given(st.binary(max_size=100))
def test_noise_is_no_message(data: bytes) -> None:
    try:
        assert receive(io.BytesIO(data))["size"] >= 0
    except WireError:
        return


def test_a_payload_that_ends_early() -> None:
    with pytest.raises(WireError, match="ended"):
        receive_into(io.BytesIO(b"123"), memoryview(bytearray(4)))


def test_pipes_whose_other_end_is_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sink = os.fdopen(writing, "wb")
    with pytest.raises(WireError):
        send(sink, {}, bytes(10))
    with pytest.raises(OSError, match="Broken pipe"):
        sink.close()
    with pytest.raises(WireError):
        send(sink, {})


def test_more_than_a_pipe_holds() -> None:
    reading, writing = os.pipe()
    payload = os.urandom(3_000_000)

    def say() -> None:
        with os.fdopen(writing, "wb") as sink:
            send(sink, {"a": 1}, payload)

    thread = threading.Thread(target=say)
    thread.start()
    with os.fdopen(reading, "rb") as source:
        room = bytearray(receive(source)["size"])
        receive_into(source, memoryview(room))
    thread.join()
    assert bytes(room) == payload
