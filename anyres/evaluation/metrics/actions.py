"""Actions on a phone's screen: whether a predicted one is of the right type, and whether it is the right one.

An action is a JSON object: {"type": "tap", "box": [x1, y1, x2, y2]} or {"type": "tap", "point": [x, y]} in pixels,
{"type": "scroll", "direction": "up"}, {"type": "type", "text": "..."}, {"type": "press", "button": "home"} or
{"type": "stop"}. The rules are those of Android in the Zoo (arXiv 2403.02713, coat/evaluate.py), put right in three
places, which makes figures higher than its own: it compares taps with the corner (0, 0), takes an empty text for right,
and scales boxes by the size of an element. AITW's rule for taps is in arXiv 2307.10088.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.metrics.groups import groups_of, mean, percent, share_of_full_groups
from anyres.evaluation.sample import Sample
from anyres.grounding import Box, Point

__all__ = ["gesture", "is_right_action", "is_right_action_of_aitw", "is_right_type", "summarise_actions"]

Action = Mapping[str, Any]

STILL = 0.04
"""A finger that moves less, in parts of the screen, taps."""
VERTICAL = 0.9
GROWTH, AITW_GROWTH = 1.2, 1.4
HALF = 0.5
ALIKE = 0.8
AITW_REACH = 0.14


def gesture(touch_yx: Sequence[float], lift_yx: Sequence[float], *, width: int, height: int) -> dict[str, Any]:
    """What a finger did between two points, given as parts of the screen: a tap or a scroll.

    A tap is where the finger is lifted, as in the authors' action_utils.py. The direction is where the
    finger goes, that of the content: "up" when it is lifted higher than it touched.

    >>> gesture((0.5, 0.5), (0.1, 0.55), width=100, height=200)
    {'type': 'scroll', 'direction': 'up'}
    """
    down, right = lift_yx[0] - touch_yx[0], lift_yx[1] - touch_yx[1]
    if (down * down + right * right) ** 0.5 <= STILL:
        return {"type": "tap", "point": [lift_yx[1] * width, lift_yx[0] * height]}
    if abs(down) >= VERTICAL * abs(right):
        return {"type": "scroll", "direction": "up" if down < 0 else "down"}
    return {"type": "scroll", "direction": "left" if right < 0 else "right"}


def is_right_type(extraction: Extraction, sample: Sample) -> float:
    """TM: 1 if the action is of the gold's type."""
    return float(extraction.value is not None and extraction.value["type"] == sample.facts["action"]["type"])


def is_right_action(extraction: Extraction, sample: Sample) -> float:
    """EM: 1 if it is the gold's action.

    A tap's box, enlarged 1.2 times, must hold the gold's point, or overlap by more than half an element (enlarged 1.2
    times) that holds it; a tap told as a point must lie in such an element. Texts may contain each other or be alike by
    more than 0.8; a stop is a stop.
    """
    return _is_right(extraction, sample, taps=_is_right_tap)


def is_right_action_of_aitw(extraction: Extraction, sample: Sample) -> float:
    """As `is_right_action`, but taps are right within 0.14 of the screen, or in one element enlarged 1.4 times."""
    return _is_right(extraction, sample, taps=_is_right_tap_of_aitw)


def summarise_actions(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent: EM, TM, episodes with every step right, mean progress to the first miss, EM by type, and answers that
    are no action. An episode is a cluster; its steps follow their fact `step`."""
    types = sorted({one.sample.facts["action"]["type"] for one in graded})
    episodes = groups_of(graded, lambda sample: sample.cluster)
    return {
        "EM": percent(graded),
        "TM": 100 * mean([is_right_type(one.extraction, one.sample) for one in graded]),
        "success": share_of_full_groups(episodes),
        "progress": 100 * mean([_progress(episode.members) for episode in episodes for _ in range(episode.times)]),
        **{f"EM {name}": percent(_of_type(graded, name)) for name in types},
        "no action": 100 * mean([float(one.extraction.value is None) for one in graded]),
    }


def _of_type(graded: Sequence[Graded], name: str) -> list[Graded]:
    return [one for one in graded if one.sample.facts["action"]["type"] == name]


def _is_right(extraction: Extraction, sample: Sample, *, taps: Callable[[Action, Point, Sample], bool]) -> float:
    if not is_right_type(extraction, sample):
        return 0.0
    told: Action = extraction.value
    gold: Action = sample.facts["action"]
    match gold["type"]:
        case "tap":
            return float(taps(told, Point(*gold["point"]), sample))
        case "scroll":
            return float(told.get("direction") == gold["direction"])
        case "press":
            return float(told.get("button") == gold["button"])
        case "type":
            return float(_is_same_text(str(told.get("text", "")), str(gold["text"])))
    return 1.0


def _is_right_tap(told: Action, gold: Point, sample: Sample) -> bool:
    holding = [element for element in _elements(sample, GROWTH) if element.contains(gold)]
    if "box" not in told:
        return any(element.contains(Point(*told["point"])) for element in holding)
    box = Box(*told["box"])
    return _grown(box, GROWTH).contains(gold) or any(box.iou(element) > HALF for element in holding)


def _is_right_tap_of_aitw(told: Action, gold: Point, sample: Sample) -> bool:
    point = Box(*told["box"]).centre if "box" in told else Point(*told["point"])
    width, height = sample.facts["width"], sample.facts["height"]
    apart = (((point.x - gold.x) / width) ** 2 + ((point.y - gold.y) / height) ** 2) ** 0.5
    together = (element.contains(point) and element.contains(gold) for element in _elements(sample, AITW_GROWTH))
    return apart <= AITW_REACH or any(together)


def _elements(sample: Sample, growth: float) -> list[Box]:
    return [_grown(Box(*edges), growth) for edges in sample.facts["elements"]]


def _grown(box: Box, growth: float) -> Box:
    """`growth` times as wide and high about the same middle."""
    wide, high = (box.x2 - box.x1) * (growth - 1) / 2, (box.y2 - box.y1) * (growth - 1) / 2
    return Box(box.x1 - wide, box.y1 - high, box.x2 + wide, box.y2 + high)


def _is_same_text(told: str, gold: str) -> bool:
    told, gold = told.strip().lower(), gold.strip().lower()
    if not told or not gold:
        return told == gold
    return told in gold or gold in told or _likeness(told, gold) > ALIKE


def _likeness(first: str, second: str) -> float:
    """Characters in common, in order, over the mean length: the ratio of the package Levenshtein.

    >>> round(_likeness("clock app", "clok apps"), 3)
    0.889
    """
    common = [0] * (len(second) + 1)
    for one in first:
        before = 0
        for place, other in enumerate(second, 1):
            before, common[place] = common[place], before + 1 if one == other else max(common[place], common[place - 1])
    return 2 * common[-1] / (len(first) + len(second))


def _progress(steps: Sequence[Graded]) -> float:
    """Steps before the first miss over all of them."""
    ordered = sorted(steps, key=lambda one: one.sample.facts.get("step", 0))
    done = next((number for number, one in enumerate(ordered) if one.score < 1), len(ordered))
    return done / len(ordered)
