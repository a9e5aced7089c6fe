"""Questions about a running camera or screen: what was seen before is not computed again."""

from collections.abc import Sequence
from typing import Any

from anyres.chat import Answer, AnswerStream, GenerationOptions, Message, PixelLimit, TextPart, VideoPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.runner import Report
from anyres.model_input import PairedClip
from anyres.processing.live_frames import LiveFrames
from anyres.processing.video import FPS

__all__ = ["LiveVideo"]


class LiveVideo:
    """A clip that grows: `add` frames as they come, `ask` at any time about those that are kept.

    The answer is that of a fresh pass over the kept frames. Each frame pair is encoded once, and keys and values of
    earlier pairs are read from the engine's prefix cache, where pairs that are new only go on. When the window is full
    the `leave` oldest pairs go, and the keys and values of all others, which had seen them and stood behind them, are
    computed anew with the next question; their visual tokens are not, as long as the vision cache has them. So a
    larger `leave` means that this happens more rarely.
    """

    def __init__(
        self,
        model: LocalChatModel,
        *,
        before: Sequence[Message] = (),
        max_pairs: int = 64,
        leave: int | None = None,
        fps: float = FPS,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        total_pixels: int | None = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
    ) -> None:
        self.model = model
        self._before = tuple(before)
        self._frames = LiveFrames(
            model.processor.image_config,
            max_pairs=max_pairs,
            leave=leave,
            fps=fps,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            resized_height=resized_height,
            resized_width=resized_width,
            limits=model.processor.limits,
        )

    @property
    def clip(self) -> PairedClip:
        """What is kept, to stand in a VideoPart of any conversation."""
        return self._frames.clip

    def add(self, frame: Any, *, time_s: float | None = None, read_ahead: bool = False) -> bool:
        """A picture as ImagePart takes them; False where it comes too soon after the last one taken (see `fps`).

        With `read_ahead` it goes through the model now, so that the next question begins at once.
        """
        taken = self._frames.add(frame, time_s=time_s)
        if taken and read_ahead:
            self.read_ahead()
        return taken

    def read_ahead(self) -> Answer:
        """Brings what is kept into the caches; the answer of one token says what that took."""
        message = Message("user", (VideoPart(self.clip),))
        return self.model.chat([*self._before, message], options=GenerationOptions(max_tokens=1, temperature=0.0))

    def ask(self, question: str, *, options: GenerationOptions | None = None, report: Report | None = None) -> Answer:
        """The answer to a question about what is kept."""
        return self.model.chat(self._asked(question), options=options or GenerationOptions(), report=report)

    def stream(
        self, question: str, *, options: GenerationOptions | None = None, report: Report | None = None
    ) -> AnswerStream:
        """Like `ask`, in pieces of text as they are made."""
        return self.model.stream_chat(self._asked(question), options=options or GenerationOptions(), report=report)

    def _asked(self, question: str) -> list[Message]:
        return [*self._before, Message("user", (VideoPart(self.clip), TextPart(question)))]
