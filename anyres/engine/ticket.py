"""A request on its way through the engine."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from anyres.chat import Answer, Piece
from anyres.engine.options import Turn
from anyres.engine.pinned import Keeper, PinReader
from anyres.engine.request import Sequence
from anyres.engine.runner import Progress
from anyres.engine.scheduler import Item, Job, Span
from anyres.engine.speculation import Guesser
from anyres.model_input import VisualInput

__all__ = ["Event", "Ticket"]

Event = Progress | Piece | Answer | Exception
"""What a request sends: how far it is, pieces of text, and at its end the answer or what went wrong."""


def _to_nobody(event: Event) -> None:
    del event


@dataclass(eq=False)
class Ticket:
    """What is asked, where its events go, and when it runs.

    `siblings` are further answers to the same prompt, which is read once. `send` is called in the engine's thread;
    where it raises RuntimeError, nobody listens any longer. With a `keeper` the prompt is read for the blocks that it
    takes, and the answer is empty. The rest is the engine's.
    """

    sequence: Sequence
    turn: Turn = field(default_factory=Turn)
    send: Callable[[Event], None] = _to_nobody
    reports: bool = False
    siblings: tuple["Ticket", ...] = ()
    keeper: Keeper | None = None
    pinned: PinReader | None = None
    job: Job | None = None
    items: tuple[Item, ...] = ()
    visuals: dict[bytes, VisualInput] = field(default_factory=dict)
    added_at: float = 0.0
    begun: bool = False
    ended: bool = False
    deaf: bool = False  # nobody listens any longer
    told: dict[str, Progress] = field(default_factory=dict)  # the latest of each stage
    cached: set[bytes] = field(default_factory=set)
    guesser: Guesser | None = None

    @property
    def prompt_length(self) -> int:
        return len(self.sequence.prompt.token_ids_T)

    def needs(self, keys: Collection[bytes]) -> bool:
        """Whether it has yet to read some of these items."""
        computed = 0 if self.job is None else max(self.job.computed, self.job.loadable)
        return any(item.key in keys and item.stop > computed for item in self.items)

    def say(self, event: Event) -> None:
        """Sends it, as long as somebody listens."""
        try:
            self.send(event)
        except RuntimeError:  # the event loop it was for is closed; the next step lets the request go
            self.deaf = True

    def tell(self, progress: Progress) -> None:
        """To who wants to know, and does not know yet."""
        if self.reports and progress != self.told.get(progress.stage):
            self.told[progress.stage] = progress
            self.say(progress)

    def begin(self, now: float, reused: int) -> None:
        """It runs for the first time, and finds that many tokens of its prompt in the cache."""
        self.begun = True
        self.sequence.spend(wait_s=now - self.added_at)
        self.sequence.usage = replace(self.sequence.usage, cached_tokens=reused)

    def join(self, parent: "Ticket") -> None:
        """Goes on from where another has read the same prompt."""
        self.items, self.visuals, self.added_at, self.begun = parent.items, parent.visuals, parent.added_at, True
        self.pinned = parent.pinned
        self.sequence.usage, self.sequence.timings = parent.sequence.usage, parent.sequence.timings

    def note_loaded(self, span: Span, seconds: float) -> None:
        """Blocks came from a pin; those that come again, because the request had to stop, are counted once."""
        self.sequence.spend(prefill_s=seconds)
        if span.start == self.sequence.usage.cached_tokens:
            self.sequence.usage = replace(self.sequence.usage, cached_tokens=span.stop)

    def note_cached(self, item: Item, start: int) -> None:
        """The visual tokens of an item came from the vision cache, those before `start` from the KV cache."""
        if item.key in self.cached:
            return
        self.cached.add(item.key)
        more = self.sequence.usage.cached_visual_tokens + item.stop - max(item.start, start)
        self.sequence.usage = replace(self.sequence.usage, cached_visual_tokens=more)
