"""Android in the Zoo (AITZ): the next action on a phone's screen, step by step through recorded episodes.

Paper: Zhang et al., arXiv 2403.02713. Test split: 4,724 screens of 506 episodes. Each step is asked with the recorded
steps before it, in words; a model's own earlier mistakes do not follow it. What the authors' script has
wrong is told in anyres.evaluation.metrics.actions. Qwen2-VL's prompt was never published; the one here is ours.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, Message
from anyres.constraints import Tool
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Scoring, Settings, Target
from anyres.evaluation.benchmarks.function_calling import tool_messages
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.picture_size import picture_size
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import each_of
from anyres.evaluation.extraction.actions import action_of
from anyres.evaluation.metrics.actions import gesture, is_right_action, is_right_action_of_aitw, summarise_actions
from anyres.evaluation.sample import Sample

__all__ = ["AITZ"]

TEXT, GESTURE, BACK, HOME, ENTER, COMPLETE, IMPOSSIBLE = 3, 4, 5, 6, 7, 10, 11
BUTTONS = {BACK: "back", HOME: "home", ENTER: "enter"}
NEWEST = 8  # earlier steps that are told
TOOLS = (
    Tool(
        "tap",
        {
            "type": "object",
            "properties": {"box": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}},
            "required": ["box"],
        },
        "Tap the element in this box.",
    ),
    Tool(
        "scroll",
        {
            "type": "object",
            "properties": {"direction": {"enum": ["up", "down", "left", "right"]}},
            "required": ["direction"],
        },
        "Move a finger over the screen in this direction.",
    ),
    Tool(
        "type",
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "Enter this text.",
    ),
    Tool(
        "press",
        {"type": "object", "properties": {"button": {"enum": ["home", "back", "enter"]}}, "required": ["button"]},
        "Press a button of the phone.",
    ),
    Tool("stop", {"type": "object", "properties": {}}, "The task is done, or cannot be done."),
)


def read_aitz(path: Path) -> Iterable[Sample]:
    """A folder of the published layout (one JSON list an episode, pictures beside it), one such file, or JSONL."""
    files = [path] if path.is_file() else _files(path)
    return each_of(_Steps(file) for file in files)


def _files(folder: Path) -> list[Path]:
    found = sorted(file for ending in ("*.json", "*.jsonl") for file in folder.rglob(ending))
    if not found:
        raise DatasetError(str(folder), "no episodes", "files of .json or .jsonl in it")
    return found


class _Steps(Iterator[Sample]):
    """The steps of a file, each with what was done before it; a broken one does not end it."""

    def __init__(self, file: Path) -> None:
        self._rows = read_rows(file)
        self._done: dict[str, list[str]] = {}

    def __next__(self) -> Sample:
        row = next(self._rows)
        done = self._done.setdefault(row.text("episode_id"), [])
        before = tuple(done[-NEWEST:])
        done.append(row.optional("coat_action_desc") or "a step that was not recorded")
        return _sample(row, before)


def _sample(row: Row, before: tuple[str, ...]) -> Sample:
    picture = ImagePart(_picture(row))
    width, height = picture_size(row, picture)
    episode, step = row.text("episode_id"), row.whole("step_id")
    action = _action(row, width, height)
    return Sample(
        id=f"{episode}/{step}",
        question=row.text("instruction"),
        media=(picture,),
        golds=(json.dumps(action, ensure_ascii=False),),
        cluster=episode,
        categories={"category": action["type"], "l2-category": row.optional("subset")},
        facts={
            "action": action,
            "elements": [_edges(row, box) for box in _numbers(row, "ui_positions")],
            "width": width,
            "height": height,
            "step": step,
            "before": list(before),
        },
    )


def _picture(row: Row) -> Path:
    """The published files hold paths of the authors' machine: then the file of that name beside the episode."""
    named = Path(row.text("image", "image_full_path", "image_path"))
    place = row.folder / named
    return place if place.exists() else row.folder / re.split(r"[/\\]", str(named))[-1]


def _numbers(row: Row, column: str) -> list[Any]:
    """A list, or as in the published files the JSON of one."""
    value = row.value(column)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list):
        raise row.wrong("no list", "a list, or a list in JSON", columns=(column,))
    return value


def _edges(row: Row, box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(number, (int, float)) for number in box):
        raise row.wrong(repr(box)[:80], "[y, x, height, width] in pixels", columns=("ui_positions",))
    y, x, high, wide = box
    return [x, y, x + max(0, wide), y + max(0, high)]


def _action(row: Row, width: int, height: int) -> Mapping[str, Any]:
    kind = row.whole("result_action_type")
    if kind == TEXT:
        return {"type": "type", "text": row.optional("result_action_text")}
    if kind in BUTTONS:
        return {"type": "press", "button": BUTTONS[kind]}
    if kind in (COMPLETE, IMPOSSIBLE):
        return {"type": "stop"}
    touch, lift = _numbers(row, "result_touch_yx"), _numbers(row, "result_lift_yx")
    numbers = [one for one in (*touch, *lift) if isinstance(one, (int, float))]
    if kind != GESTURE or len(touch) != 2 or len(lift) != 2 or not all(0 <= one <= 1 for one in numbers):
        seen = f"type {kind}, touch {touch}, lift {lift}"
        raise row.wrong(seen, "3, 4, 5, 6, 7, 10 or 11; points from 0 to 1", columns=("result_action_type",))
    return gesture(touch, lift, width=width, height=height)


def aitz_prompt(sample: Sample) -> tuple[Message, ...]:
    """The actions as tools, the screen, the instruction, the steps before."""
    steps = "".join(f"\n{number}. {step}" for number, step in enumerate(sample.facts["before"], 1))
    told = f"Done so far:{steps}" if steps else "Nothing has been done so far."
    return tool_messages(TOOLS, replace(sample, question=f"Task: {sample.question}\n{told}\nWhat is the next action?"))


AITZ = Benchmark(
    name="AITZ",
    title="Android in the Zoo: the next action on a phone",
    paper="https://arxiv.org/abs/2403.02713",
    read=read_aitz,
    prompt=aitz_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            action_of,
            is_right_action,
            summarise_actions,
            about="The authors' rules with their faults put right; a tap told as a point must lie in the element.",
        ),
        Scoring(
            "lenient",
            1,
            action_of,
            is_right_action_of_aitw,
            summarise_actions,
            about="Taps as in Android in the Wild: within 0.14 of the screen, or in the same element.",
        ),
    ),
    settings=Settings(max_tokens=256),
    targets=tuple(
        Target("Qwen2-VL-72B", value, "arXiv 2409.12191v2, table 5", figure=figure, split="test", n=4724)
        for figure, value in (("TM", 89.6), ("EM", 72.1))
    ),
    official_rows=4724,
)
