"""What goes through the pipes between the server and a process that decodes: a line of JSON, then bytes.

Nothing that comes out of that process is run or unpickled: a hostile file may have taken it over. The server checks
every number it says, and how many bytes follow, before it makes room for them.
"""

import json
from collections.abc import Mapping
from typing import IO, Any

__all__ = ["WireError", "receive", "receive_into", "send"]

MOST_WORDS = 1 << 20  # bytes of one line of JSON; the numbers of a clip's frames go in one


class WireError(Exception):
    """The other side is gone, or says what it cannot say."""


def send(pipe: IO[bytes], words: Mapping[str, Any], payload: "bytes | memoryview" = b"") -> None:
    """One message; `words["size"]` becomes the number of bytes that follow them."""
    size = memoryview(payload).nbytes
    line = json.dumps({**words, "size": size}).encode()
    try:
        pipe.write(len(line).to_bytes(4, "big") + line)
        pipe.write(payload)
        pipe.flush()
    except (OSError, ValueError):  # ValueError: the pipe was closed here
        raise WireError("the pipe is closed") from None


def receive(pipe: IO[bytes]) -> dict[str, Any]:
    """The words of a message, with its `size`; the bytes themselves are still to be read."""
    length = int.from_bytes(_exactly(pipe, 4), "big")
    if length > MOST_WORDS:
        raise WireError(f"{length} bytes of words")
    try:
        words = json.loads(_exactly(pipe, length))
    except ValueError:
        raise WireError("no JSON") from None
    if not isinstance(words, dict) or type(words.get("size")) is not int or words["size"] < 0:
        raise WireError("no message")
    return words


def receive_into(pipe: IO[bytes], room: memoryview) -> None:
    """Fills `room`."""
    done = 0
    try:
        while done < len(room):
            count = pipe.readinto(room[done:])  # type: ignore[attr-defined]
            if not count:
                raise WireError("the pipe ended")
            done += count
    except (OSError, ValueError):
        raise WireError("the pipe is closed") from None


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    room = bytearray(count)
    receive_into(pipe, memoryview(room))
    return bytes(room)
