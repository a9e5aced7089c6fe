"""Ctrl-C and SIGTERM as a wish to end, which long commands grant when the step at hand is done."""

import signal
from types import FrameType

__all__ = ["Signals"]


class Signals:
    """They ask for an end once; a second Ctrl-C does not wait for the step."""

    came = False

    def __enter__(self) -> "Signals":
        self._before = {one: signal.signal(one, self._note) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.came and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.came = True
