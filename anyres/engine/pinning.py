"""Puts documents on disk and takes them away: what LocalChatModel's `pin` and `unpin` do."""

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import PurePath

from anyres.chat import Message, TextPart
from anyres.engine.listen import listen
from anyres.engine.loop import EngineLoop
from anyres.engine.pin_file import Pin
from anyres.engine.pinned import Keeper, Pins
from anyres.engine.prefix import PrefixNames
from anyres.engine.runner import Report
from anyres.engine.ticket import Ticket
from anyres.errors import OptionError

__all__ = ["pin_prompt", "unpin_prompt"]


def pin_prompt(
    loop: EngineLoop, pins: Pins | None, ticket: Ticket, messages: Sequence[Message], report: Report | None = None
) -> Pin | None:
    """Reads a prompt and keeps what was computed; one that is kept already is checked. None where the disk is full.

    Raises OptionError without a folder.
    """
    pins, names = _prepared(loop, pins, ticket)
    if (known := pins.whole(names, ticket.prompt_length)) is not None:
        return known
    ticket.keeper = keeper = Keeper(ticket.prompt_length, size=pins.block_size, step=pins.chunk_blocks)
    with closing(listen(loop, [ticket], report)) as events:
        deque(events, maxlen=0)
    return pins.keep(_title(ticket, messages), names, keeper)


def unpin_prompt(loop: EngineLoop, pins: Pins | None, ticket: Ticket) -> bool:
    """Whether there was a pin of just this prompt; OptionError as for `pin_prompt`."""
    pins, names = _prepared(loop, pins, ticket)
    return pins.remove(names, ticket.prompt_length)


def _prepared(loop: EngineLoop, pins: Pins | None, ticket: Ticket) -> tuple[Pins, PrefixNames]:
    if pins is None:
        raise OptionError("pin", "a model without a cache folder", "anyres.load(cache=True), or a folder")
    loop.engine.prepare(ticket)
    return pins, loop.engine.names_of(ticket)


def _title(ticket: Ticket, messages: Sequence[Message]) -> str:
    """Names of the pictures and clips without their folders; of a prompt without any its words."""
    names = [PurePath(visual.name).name for visual in ticket.sequence.prompt.visuals]
    words = [part.text for message in messages for part in message.parts if isinstance(part, TextPart)]
    return ", ".join(names) if names else " ".join(words)
