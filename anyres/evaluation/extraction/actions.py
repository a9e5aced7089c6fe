"""What an answer does on a phone's screen: an action as anyres.evaluation.metrics.actions takes it."""

import re
from collections.abc import Mapping
from typing import Any

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.calls import calls_in
from anyres.evaluation.extraction.places import box_or_list_of, point_of
from anyres.evaluation.sample import Reply, Sample

__all__ = ["action_of"]

NAMES = {
    "tap": "tap",
    "click": "tap",
    "touch": "tap",
    "scroll": "scroll",
    "swipe": "scroll",
    "type": "type",
    "input": "type",
    "input_text": "type",
    "press": "press",
    "press_home": "press",
    "press_back": "press",
    "press_enter": "press",
    "stop": "stop",
    "complete": "stop",
    "finish": "stop",
    "done": "stop",
    "impossible": "stop",
}
BUTTONS = ("home", "back", "enter")
DIRECTIONS = ("up", "down", "left", "right")
PLACES = ("box", "bbox", "point", "coordinate", "position")
WORDS = re.compile(
    r"\b(?P<press>press(?:es|ing)?)\W+(?:the\W+)?(?P<button>home|back|enter)"
    r"|\b(?:scroll|swipe)(?:s|ing)?\W+(?:the\W+screen\W+)?(?P<direction>up|down|left|right)"
    r"|\b(?:type|input|enter)(?:s|ing)?\W+(?:text\W+|in\W+)?[\"“'](?P<text>[^\"”']*)[\"”']"
    r"|\b(?P<tap>tap|click)(?:s|ping|ing)?\b"
    r"|\b(?P<stop>stop|task (?:is )?completed?)\b",
    re.IGNORECASE,
)


def action_of(reply: Reply, sample: Sample) -> Extraction:
    """The first action: a call of tap, scroll, type, press or stop, or words like "scroll up" and "press home".

    Places are in pixels of the screen, from the coordinates that the reply declares. None where there is no action, or
    one without what it needs.

    >>> sample = Sample("1", "?", facts={"width": 100, "height": 200})
    >>> action_of(Reply('{"name": "tap", "arguments": {"box": [100, 100, 300, 200]}}'), sample).value
    {'type': 'tap', 'box': [10.0, 20.0, 30.0, 40.0]}
    >>> action_of(Reply("I press the home button."), sample)
    Extraction(value={'type': 'press', 'button': 'home'}, rule='words')
    """
    found = calls_in(reply.text)
    for call in found.value or ():
        name = str(call["name"]).lower()
        if name in NAMES and isinstance(call["arguments"], Mapping):
            action = _of_call(name, call["arguments"], reply, sample)
            return Extraction(action, found.rule if action else f"{found.rule}: {name} without what it needs")
    return _of_words(reply, sample)


def _of_call(name: str, arguments: Mapping[str, Any], reply: Reply, sample: Sample) -> dict[str, Any] | None:
    kind = NAMES[name]
    match kind:
        case "tap":
            places = [arguments[key] for key in PLACES if key in arguments] or [arguments]
            return _tap(reply._replace(text=str(places[0])), sample)
        case "scroll":
            direction = str(arguments.get("direction", "")).lower()
            return {"type": kind, "direction": direction} if direction in DIRECTIONS else None
        case "press":
            button = name.partition("_")[2] or str(arguments.get("button", arguments.get("key", ""))).lower()
            return {"type": kind, "button": button} if button in BUTTONS else None
        case "type":
            text = arguments.get("text", arguments.get("content"))
            return {"type": kind, "text": text} if isinstance(text, str) else None
    return {"type": kind}


def _of_words(reply: Reply, sample: Sample) -> Extraction:
    said = WORDS.search(reply.text)
    if said is None:
        tap = _tap(reply, sample)
        return Extraction(tap, "a place alone" if tap else "no action")
    if said["button"]:
        return Extraction({"type": "press", "button": said["button"].lower()}, "words")
    if said["direction"]:
        return Extraction({"type": "scroll", "direction": said["direction"].lower()}, "words")
    if said["text"] is not None:
        return Extraction({"type": "type", "text": said["text"]}, "words")
    if said["stop"]:
        return Extraction({"type": "stop"}, "words")
    tap = _tap(reply, sample)
    return Extraction(tap, "words" if tap else "a tap without a place")


def _tap(reply: Reply, sample: Sample) -> dict[str, Any] | None:
    if box := box_or_list_of(reply, sample).value:
        return {"type": "tap", "box": box}
    point = point_of(reply, sample).value
    return {"type": "tap", "point": point} if point else None
