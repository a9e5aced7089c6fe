"""Token ids to text, one at a time: whole characters only, and nothing that may yet become a stop string."""

import codecs
from collections.abc import Callable, Collection

__all__ = ["GROUNDING_TOKENS", "Detokenizer"]

# The special tokens an answer's text keeps: boxes and the names of what they hold are read from them.
GROUNDING_TOKENS = (
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
)


class Detokenizer:
    """The text of one answer under way.

    `token_bytes` gives the UTF-8 bytes of an id, `silent_ids` have no text. `push` and `finish` return the text
    that has become certain since the last call. What the text is does not depend on where tokens begin and end.

    >>> spell = Detokenizer(lambda number: bytes([number]), stop=("END",))
    >>> [spell.push(number) for number in "caféE".encode()], spell.finish()
    (['c', 'a', 'f', '', 'é', ''], 'E')
    """

    def __init__(
        self, token_bytes: Callable[[int], bytes], *, silent_ids: Collection[int] = (), stop: tuple[str, ...] = ()
    ) -> None:
        self._token_bytes = token_bytes
        self._silent_ids = silent_ids
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def push(self, token_id: int) -> str:
        """Takes the next id. After a stop string `stopped` is true and there is no more text."""
        if self.stopped or token_id in self._silent_ids:
            return ""
        text = self._held + self._decoder.decode(self._token_bytes(token_id))
        end = _stop_start(text, self._stop)
        self.stopped = end is not None
        certain = len(text) - _possible_stop(text, self._stop) if end is None else end
        self._held = "" if self.stopped else text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """The text still held back. Bytes of a character that was never completed are left out."""
        text, self._held = self._held, ""
        return text


def _stop_start(text: str, stop: tuple[str, ...]) -> int | None:
    """Where the stop string that is complete first begins; of several that end together, the longest."""
    ends = [(text.find(word) + len(word), text.find(word)) for word in stop if word in text]
    return min(ends)[1] if ends else None


def _possible_stop(text: str, stop: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that begins a stop string."""
    longest = min(len(text), max(map(len, stop), default=1) - 1)
    return next((n for n in range(longest, 0, -1) if any(word.startswith(text[-n:]) for word in stop)), 0)
