"""Rules that the page repeats in JavaScript, against those they repeat and against programs nobody here wrote."""

import csv
import io
import random
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from anyres.config import ImageProcessorConfig
from anyres.grounding import parse_grounding
from anyres.processing.image import Size, target_size
from anyres.processing.video import clip_size, smart_nframes

pytestmark = pytest.mark.usefixtures("browser")
CHECKPOINTS = {
    "published": ImageProcessorConfig(),
    "embedded": ImageProcessorConfig(min_pixels=3136, max_pixels=28224, video_min_pixels=3136, video_max_pixels=12544),
}
Rules = Callable[[str, str, list[Any]], Any]


@pytest.fixture(scope="module")
def rules(browser: Any, address: str) -> Any:
    """`rules(file, function, calls)` gives what the function gives for each list of arguments."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)

    def run(file: str, function: str, calls: list[Any]) -> Any:
        code = (
            "async ([file, name, calls]) => { const m = await import(file); return calls.map((a) => m[name](...a)); }"
        )
        return page.evaluate(code, [f"{address}static/js/{file}.js", function, calls])

    yield run
    context.close()


def limits_of(config: ImageProcessorConfig) -> dict[str, int | None]:
    names = ("min_pixels", "max_pixels", "video_min_pixels", "video_max_pixels")
    return {name: getattr(config, name) for name in names}


@pytest.mark.parametrize("config", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_sizes_of_pictures_are_the_library_s(rules: Rules, config: ImageProcessorConfig) -> None:
    draw = random.Random(1)
    cases = [
        (draw.randint(1, 4000), draw.randint(20, 4000), draw.choice([16, 36, 256, 1280, 16384]) * 784)
        for _ in range(2000)
    ]
    cases = [case for case in cases if max(case[:2]) <= 200 * min(case[:2])]
    seen = rules("sizes", "imageSize", [[*case, limits_of(config)] for case in cases])
    expected = [
        [*target_size(Size(height, width), config=config, min_pixels=config.min_pixels, max_pixels=most)]
        for height, width, most in cases
    ]
    assert seen == expected


@pytest.mark.parametrize("config", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_sizes_of_frames_are_the_library_s(rules: Rules, config: ImageProcessorConfig) -> None:
    from anyres.chat import VideoPart

    draw = random.Random(2)
    cases = [(draw.randint(28, 2000), draw.randint(28, 2000), draw.randrange(2, 768, 2)) for _ in range(1000)]
    seen = rules("sizes", "frameSize", [[*case, limits_of(config)] for case in cases])
    part = VideoPart("clip.mp4")
    assert seen == [[*clip_size(part, Size(h, w), count=count, config=config)] for h, w, count in cases]


def test_counts_of_frames_are_the_library_s(rules: Rules) -> None:
    draw = random.Random(3)
    cases = [
        (draw.randint(4, 20000), draw.choice([10, 24, 29.97, 60]), draw.choice([0.5, 1, 2, 8])) for _ in range(1000)
    ]
    expected = [smart_nframes(total, rate, fps=fps) for total, rate, fps in cases]
    assert rules("sizes", "frameCount", [list(case) for case in cases]) == expected


ANSWERS = [
    "<|object_ref_start|>a cat<|object_ref_end|><|box_start|>(9,8),(70,60)<|box_end|>",
    "<|object_ref_start|>cat<|object_ref_end|> <|box_start|>(1,2),(3,4)<|box_end|> <|box_start|>(5,6),(7,8)<|box_end|>",
    "<|box_start|>(70,60),(9,8)<|box_end|>",
    "<|box_start|>(12,34)<|box_end|>",
    "<|quad_start|>(1,2),(9,3),(10,12),(2,11)<|quad_end|>",
    "cats (1,2),(30,40) and (5,6), (70,80)",
    "<|object_ref_start|>dog<|object_ref_end|>(1,2),(3,4)",
    "<|box_start|>(1,2),(3000,4)<|box_end|>",
    "nothing here (1) and f(x, y)",
    "",
]


@pytest.mark.parametrize("text", ANSWERS)
def test_places_are_those_the_library_reads(rules: Rules, text: str) -> None:
    [pieces] = rules("grounding", "placesIn", [[text]])
    seen = [piece["place"] for piece in pieces if "place" in piece]
    found = parse_grounding(text)
    boxes = [(one["label"], one["x1"], one["y1"], one["x2"], one["y2"]) for one in seen if not one["point"]]
    assert boxes == [(box.label, *box.edges) for box in found.boxes]
    assert [(one["x1"], one["y1"]) for one in seen if one["point"]] == [(point.x, point.y) for point in found.points]


def test_marks_that_have_only_begun_are_held_back(rules: Rules) -> None:
    whole = "See <|object_ref_start|>a cat<|object_ref_end|><|box_start|>(9,8),(70,60)<|box_end|> there"
    begun = rules("grounding", "withoutUnfinished", [[whole[:end]] for end in range(len(whole) + 1)])
    assert all("<" not in text.split("<|object_ref_start|>a cat")[0] for text in begun)
    before, after = whole.index("<"), whole.rindex(">") + 1
    assert begun[before : after - 1] == ["See "] * (after - 1 - before)
    assert begun[after] == whole[:after]
    assert begun[-1] == whole
    kept = ["<|object_ref_start|>a dog<|object_ref_end|> is", "1 < 2", "a <b", "<|im_end|>."]
    assert rules("grounding", "withoutUnfinished", [[text] for text in kept]) == kept


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
    {"type": "array", "items": {"enum": ["red", 1, None]}, "minItems": 1, "uniqueItems": True},
    {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "number", "minimum": 3, "exclusiveMaximum": 5}]},
    {"oneOf": [{"type": "integer"}, {"type": "number", "multipleOf": 2}]},
    {"$defs": {"n": {"type": ["null", "boolean"]}}, "type": "array", "prefixItems": [{"$ref": "#/$defs/n"}]},
    {"not": {"const": {"a": 1}}, "type": ["object", "string"]},
    {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": {"type": "number"}, "maxProperties": 2},
    {"type": "string", "pattern": "^[a-c]+$", "minLength": 2},
]
VALUES: list[Any] = [
    {"a": 1}, {"a": 1.5}, {"a": "1"}, {}, {"a": 1, "b": 2}, [], ["red"], ["red", "red"], [1, None], ["blue"], "a", "ab",
    "abc", "abz", 3, 4, 4.5, 5, 2, None, True, [True], [None, 1], [3], {"x": "s"}, {"x": 1}, {"y": 1},
    {"y": 1, "z": 2, "x": "s"},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_schemas_are_checked_as_jsonschema_does(rules: Rules, schema: dict[str, Any]) -> None:
    seen = rules("schema", "problemsOf", [[value, schema] for value in VALUES])
    validator = jsonschema.Draft202012Validator(schema)
    assert [not problems for problems in seen] == [validator.is_valid(value) for value in VALUES]
    assert 0 < sum(not problems for problems in seen) < len(VALUES)


def test_a_schema_may_be_the_names_of_fields(rules: Rules) -> None:
    [schema] = rules("schema", "readSchema", [["name, total: number,\npaid: boolean"]])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["name", "total", "paid"]
    assert schema["properties"]["total"] == {"type": "number"}


def test_tables_come_back_out_of_csv(rules: Rules) -> None:
    rows = [["item", 'the "price"'], ["tea, green", "-3.50"], ["two\nlines", "+1 %"], ["=SUM(A1)", "@x"]]
    [text] = rules("tables", "toCsv", [[rows]])
    back = list(csv.reader(io.StringIO(text, newline="")))
    assert back[:3] == rows[:3]
    assert back[3] == ["'=SUM(A1)", "'@x"]


def test_events_are_read_wherever_the_stream_is_cut(rules: Rules, browser: Any, address: str) -> None:
    page = browser.contexts[-1].pages[0]
    code = """async ([file, text]) => {
      const { eventsOf } = await import(file);
      const bytes = new TextEncoder().encode(text);
      const all = [];
      for (let size = 1; size <= bytes.length; size += 3) {
        const chunks = [];
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
        const found = [];
        for await (const one of eventsOf(new Blob(chunks).stream())) found.push(one.x);
        const slow = new ReadableStream({ start(to) { chunks.forEach((chunk) => to.enqueue(chunk)); to.close(); } });
        for await (const one of eventsOf(slow)) found.push(one.x);
        all.push(found.join());
      }
      return [...new Set(all)];
    }"""
    text = (
        ': ping\n\ndata: {"x": "é"}\r\n\r\ndata:{"x":"猫"}\n\n: ping\ndata: {"x":3}\n\ndata: [DONE]\n\ndata: {"x":4}\n'
    )
    assert page.evaluate(code, [f"{address}static/js/sse.js", text]) == ["é,猫,3,é,猫,3"]
