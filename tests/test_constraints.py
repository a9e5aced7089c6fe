"""What can be told about a constraint without a tokenizer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import GenerationOptions
from anyres.constraints import Boxes, Choices, JsonObject, JsonSchema, Lark, Regex, Tool, ToolCalls
from anyres.errors import ConstraintError, OptionError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def doubled(depth: int) -> dict[str, Any]:
    """As much as 2 ** depth schemas in the memory of `depth`."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"anyOf": [schema, schema]}
    return schema


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_schema_is_the_same_as_a_dict_and_as_text(schema: dict[str, Any]) -> None:
    as_dict = JsonSchema(schema)
    assert json.loads(as_dict.text) == schema == as_dict.value
    assert JsonSchema(as_dict.text).text == as_dict.text


def test_properties_keep_their_order() -> None:
    names = ["zeta", "alpha", "mid"]
    schema = JsonSchema({"properties": dict.fromkeys(names, True)})
    assert list(json.loads(schema.text)["properties"]) == names


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        "x" * 300_000,
        '{"a": "\\ud800"}',
        None,
        [],
        3,
        {"a": {1, 2}},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\ud800"},
        {"enum": ["x" * 300_000]},
        nested(101),
        nested(100_000),
        doubled(60),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, dict) or len(value) > 1 else None,
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ConstraintError) as caught:
        JsonSchema(schema)
    assert caught.value.item == "schema"
    assert len(str(caught.value)) < 400


def test_schemas_of_every_allowed_depth_are_taken() -> None:
    assert JsonSchema(nested(99)).value == nested(99)
    assert JsonSchema(True).text == "true"
    assert JsonSchema("false").value is False


@pytest.mark.parametrize("kind", [Regex, Lark])
@pytest.mark.parametrize("text", [None, 3, b"a", "\udc00", "a" * 262_145])
def test_patterns_and_grammars_are_text(kind: Any, text: Any) -> None:
    with pytest.raises(ConstraintError):
        kind(text)


@pytest.mark.parametrize("options", [(), ("",), ["a"], ("a", 3), "ab", ("\ud800",), ("x" * 200_000, "y" * 100_000)])
def test_choices_are_texts(options: Any) -> None:
    with pytest.raises(ConstraintError, match="choices"):
        Choices(options)


@pytest.mark.parametrize(
    ("knobs", "item"),
    [
        ({"kind": "quad"}, "boxes: kind"),
        ({"least": -1}, "boxes: least and most"),
        ({"least": 3, "most": 2}, "boxes: least and most"),
        ({"least": 0, "most": 0}, "boxes: least and most"),
        ({"most": 1001}, "boxes: least and most"),
        ({"least": 1.0}, "boxes: least and most"),
        ({"least": True}, "boxes: least and most"),
    ],
)
def test_wrong_knobs_of_boxes_are_named(knobs: dict[str, Any], item: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        Boxes(**knobs)
    assert caught.value.item == item


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "é", "a\n", None])
def test_names_of_tools(name: Any) -> None:
    with pytest.raises(ConstraintError, match="tool"):
        Tool(name)


@pytest.mark.parametrize("parameters", [True, {"type": "array"}, "{", 3, nested(200)])
def test_arguments_of_tools_are_objects(parameters: Any) -> None:
    with pytest.raises(ConstraintError, match="save: parameters"):
        Tool("save", parameters)


@pytest.mark.parametrize(
    ("tools", "knobs", "item"),
    [
        ((), {}, "tools"),
        ([Tool("a")], {}, "tools"),
        (("a",), {}, "tools"),
        ((Tool("a"), Tool("a")), {}, "tools"),
        (tuple(Tool(f"t{number}") for number in range(129)), {}, "tools"),
        ((Tool("a"),), {"choice": "b"}, "tools: choice"),
        ((Tool("a"),), {"choice": None}, "tools: choice"),
        ((Tool("a"),), {"dialect": "xml"}, "tools: dialect"),
        (tuple(Tool(name, {"enum": [name * 200_000]}) for name in "ab"), {}, "tools"),
    ],
)
def test_wrong_tools_are_named(tools: Any, knobs: dict[str, Any], item: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        ToolCalls(tools, **knobs)
    assert caught.value.item == item


def test_options_take_constraints_and_nothing_else() -> None:
    for constraint in (JsonObject(), JsonSchema({}), Regex("a"), Choices(("a",)), Lark("x"), Boxes()):
        assert GenerationOptions(constraint=constraint).constraint is constraint
    for wrong in ({"type": "object"}, "json", Regex):
        with pytest.raises(OptionError, match="constraint"):
            GenerationOptions(constraint=wrong)  # type: ignore[arg-type]
