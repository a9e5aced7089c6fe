"""The same benchmark in another way: without looking, options in another order, at another resolution.

Controls tell what a score is worth: how much is answered blind, and how much by the place of an option. Sweeps give
the curve of accuracy over visual tokens or frames.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from anyres.chat import ImagePart, Message, Part, TextPart, VideoPart
from anyres.errors import OptionError
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["CONTROLS", "PLAIN", "Variant", "parse_sweep", "variant_of"]

Control = Literal["", "blind", "shuffled", "circular"]
CONTROLS: tuple[Control, ...] = ("blind", "shuffled", "circular")
KNOBS = ("pixels", "min_pixels", "max_pixels", "nframes", "fps")
MARK = "#"  # between a sample's id and what a control made of it


@dataclass(frozen=True)
class Variant:
    """A control, or one knob at one value. `pixels` is a budget that holds from both sides, as the paper's fixed ones;
    pixel knobs are for pictures and for frames of clips, the others for clips."""

    control: Control = ""
    knob: str = ""
    value: float = 0

    def __str__(self) -> str:
        return f"{self.knob}={self.value:g}" if self.knob else self.control

    def samples(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Those it is about: only choices have options to shuffle, and only what shows something can be asked blind."""
        for sample in samples:
            if self.control == "blind" and sample.media:
                yield _marked(sample, "blind")
            elif self.control == "shuffled" and len(sample.options) > 1:
                yield _reordered(sample, _shuffled(sample), "shuffled")
            elif self.control == "circular" and len(sample.options) > 1:
                yield from _rotations(sample)
            elif not self.control and (not self.knob or _concerns(self.knob, sample)):
                yield sample

    def messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The prompt, its pictures and clips with the knob, or without them."""
        return tuple(replace(one, content=tuple(self._parts(one))) for one in messages)

    def _parts(self, message: Message) -> Iterator[Part]:
        for part in message.parts:
            if isinstance(part, TextPart):
                yield part
            elif self.control != "blind":
                yield with_knobs(part, self._knobs())

    def _knobs(self) -> dict[str, Any]:
        if self.knob == "pixels":
            return {"min_pixels": int(self.value), "max_pixels": int(self.value)}
        return {self.knob: self.value if self.knob == "fps" else int(self.value)} if self.knob else {}


PLAIN = Variant()


def parse_sweep(text: str) -> tuple[Variant, ...]:
    """One variant for each value.

    >>> [str(one) for one in parse_sweep("max_pixels=50176,200704")]
    ['max_pixels=50176', 'max_pixels=200704']
    """
    knob, _, values = text.partition("=")
    knob = knob.strip().replace("-", "_")
    try:
        numbers = [float(value.replace("_", "")) for value in values.split(",")]
    except ValueError:
        numbers = []
    whole = knob == "fps" or all(number.is_integer() for number in numbers)
    if knob not in KNOBS or not numbers or not whole or not all(0 < number < 2**53 for number in numbers):
        raise OptionError("--sweep", repr(text), f"{' or '.join(KNOBS)}, = and numbers, as max_pixels=50176,200704")
    return tuple(Variant(knob=knob, value=number) for number in dict.fromkeys(numbers))


def variant_of(text: str) -> Variant:
    """The variant that is written so.

    >>> variant_of("blind") == Variant("blind"), variant_of("") == PLAIN, variant_of("nframes=8").value
    (True, True, 8.0)
    """
    if "=" in text:
        (one,) = parse_sweep(text)
        return one
    for control in ("", *CONTROLS):
        if text == control:
            return Variant(control)
    raise OptionError("--control", repr(text), " or ".join(CONTROLS))


def with_knobs(part: ImagePart | VideoPart, knobs: dict[str, Any]) -> ImagePart | VideoPart:
    """Those of the knobs that this kind of part has; frames asked for in one way are not asked for in the other, and a
    limit that the part had gives way to one that is asked for beyond it."""
    given = {name: value for name, value in knobs.items() if hasattr(part, name)}
    low, high = given.get("min_pixels", part.min_pixels), given.get("max_pixels", part.max_pixels)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        given.setdefault(*("min_pixels", high) if "max_pixels" in given else ("max_pixels", low))
    if "nframes" in given:
        given.setdefault("fps", None)
    if "fps" in given and given["fps"] is not None:
        given.setdefault("nframes", None)
    return replace(part, **given)


def _concerns(knob: str, sample: Sample) -> bool:
    clips = [part for part in sample.media if isinstance(part, VideoPart)]
    return bool(clips if knob in ("nframes", "fps") else sample.media)


def _marked(sample: Sample, mark: str) -> Sample:
    return replace(sample, id=f"{sample.id}{MARK}{mark}")


def _rotations(sample: Sample) -> Iterator[Sample]:
    """Rotation k shows as option i what was option i + k; the first is the sample itself."""
    places = list(range(len(sample.options)))
    for k in places:
        yield _reordered(sample, places[k:] + places[:k], f"circular{k}")


def _shuffled(sample: Sample) -> list[int]:
    """An order that only its id decides, and that is never the original one: whoever runs it asks the same."""
    places = list(range(len(sample.options)))
    drawn = sorted(places, key=lambda place: hashlib.sha256(f"{sample.id} {place}".encode()).digest())
    return drawn if drawn != places else places[1:] + places[:1]


def _reordered(sample: Sample, order: Sequence[int], mark: str) -> Sample:
    """Option i is what was option `order[i]`; a gold that is a letter moves along."""
    letters = sample.letters
    moved = {letters[old]: LETTERS[new] for new, old in enumerate(order)}
    return replace(
        _marked(sample, mark),
        options=tuple(sample.options[old] for old in order),
        golds=tuple(moved.get(gold, gold) for gold in sample.golds),
        cluster=sample.cluster or sample.id,
    )
