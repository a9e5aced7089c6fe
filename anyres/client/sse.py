"""Server-sent events out of bytes as they come: lines cut anywhere, any line end, comments, several data lines."""

from typing import NamedTuple

__all__ = ["Event", "EventReader"]

MOST_BYTES = 16 << 20  # of one event


class Event(NamedTuple):
    """`name` is the event's own, or the field that held the data where a server writes `error:` instead of `data:`."""

    name: str
    data: str


class EventReader:
    r"""Give it bytes, take the events that are complete.

    >>> reader = EventReader()
    >>> reader.feed(b'data: {"a"'), reader.feed(b': 1}\n\n: ping\n\n')
    ([], [Event(name='', data='{"a": 1}')])
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._rest = b""
        self._data: list[str] = []
        self._name = ""
        self._size = 0
        self._first = True

    def feed(self, data: bytes) -> list[Event]:
        """OverflowError where an event is larger than `most_bytes`."""
        *lines, self._rest = _lines(self._rest + data)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + self._size > self._most_bytes:
            raise OverflowError(f"an event of more than {self._most_bytes} bytes")
        return events

    def finish(self) -> list[Event]:
        """What has come when nothing more will: some servers leave out the last empty line."""
        lines = [self._rest.removesuffix(b"\r"), b""]
        self._rest = b""
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> Event | None:
        if self._first:
            line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
        if not line:
            return self._end()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field in ("data", "error"):  # llama-server has written its errors as a field of their own
            self._data.append(value)
            self._size += len(line)
        if field == "error":
            self._name = "error"
        elif field == "event":
            self._name = value
        if self._size > self._most_bytes:
            raise OverflowError(f"an event of more than {self._most_bytes} bytes")
        return None

    def _end(self) -> Event | None:
        event = Event(self._name, "\n".join(self._data)) if self._data else None
        self._data, self._name, self._size = [], "", 0
        return event


def _lines(data: bytes) -> list[bytes]:
    """Whole lines, and last what is not one yet. A final CR stays with it: an LF may follow."""
    held = b"\r" if data.endswith(b"\r") else b""
    body = data[: len(data) - len(held)]
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [*lines[:-1], lines[-1] + held]
