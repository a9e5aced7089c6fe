"""Every keyword is obeyed or refused by name."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from anyres.engine.json_schema import ANNOTATIONS, KEYWORDS, check_schema
from anyres.errors import ConstraintError
from tests.engine.random_constraints import random_schema

UNSUPPORTED = (
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "uniqueItems",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "additionalItems",
    "nullable",
    "divisibleBy",
    "minlength",
    "x-guidance",
)


def places(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The schema wherever a schema may stand, with the name of that place."""
    return [
        ("schema", schema),
        ("schema.properties.a", {"properties": {"a": schema}}),
        ("schema.patternProperties.^a", {"patternProperties": {"^a": schema}}),
        ("schema.additionalProperties", {"additionalProperties": schema}),
        ("schema.items", {"items": schema}),
        ("schema.prefixItems[1]", {"prefixItems": [True, schema]}),
        ("schema.anyOf[0]", {"anyOf": [schema]}),
        ("schema.oneOf[0]", {"oneOf": [schema]}),
        ("schema.allOf[2]", {"allOf": [{}, {}, schema]}),
        ("schema.$defs.a", {"$defs": {"a": schema}}),
        ("schema.definitions.a.items", {"definitions": {"a": {"items": schema}}}),
    ]


@pytest.mark.parametrize("keyword", UNSUPPORTED)
def test_unsupported_keywords_are_named_wherever_they_stand(keyword: str) -> None:
    for item, schema in places({keyword: {}}):
        with pytest.raises(ConstraintError) as caught:
            check_schema(schema)
        assert caught.value.item == item
        assert repr(keyword) in caught.value.seen


def test_no_keyword_of_the_draft_is_forgotten() -> None:
    """Every keyword that the draft's judge acts on is supported or refused."""
    judged = set(Draft202012Validator.VALIDATORS)
    assert judged - set(KEYWORDS) <= set(UNSUPPORTED)
    assert not set(KEYWORDS) & set(UNSUPPORTED)
    assert not set(ANNOTATIONS) & judged


def test_annotations_and_extensions_say_nothing() -> None:
    check_schema({keyword: {} for keyword in ANNOTATIONS if keyword not in ("$defs", "definitions")} | {"x-order": 3})


def test_what_only_looks_like_a_keyword_is_none() -> None:
    """Names of properties, and values."""
    check_schema({"properties": {"not": {"const": {"if": 1}}, "nullable": {"enum": [{"contains": 2}]}}})
    check_schema({"default": {"not": {}}, "examples": [{"not": {}}]})


@pytest.mark.parametrize("seed", range(40))
def test_supported_schemas_pass(seed: int) -> None:
    check_schema(random_schema(seed))


@pytest.mark.parametrize(
    ("schema", "item"),
    [
        (3, "schema"),
        ([], "schema"),
        (None, "schema"),
        ({"items": [{}]}, "schema.items"),
        ({"properties": []}, "schema.properties"),
        ({"properties": {"a": 3}}, "schema.properties.a"),
        ({"anyOf": {}}, "schema.anyOf"),
        ({"allOf": [3]}, "schema.allOf[0]"),
        ({"exclusiveMinimum": True}, "schema.exclusiveMinimum"),
        ({"maximum": "3"}, "schema.maximum"),
        ({"multipleOf": None}, "schema.multipleOf"),
    ],
)
def test_schemas_that_are_none_are_named(schema: Any, item: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        check_schema(schema)
    assert caught.value.item == item


@pytest.mark.parametrize(
    ("low", "high", "fine"),
    [
        ({"exclusiveMinimum": 3}, {"maximum": 3.5}, False),
        ({"exclusiveMinimum": 0}, {"exclusiveMaximum": 0.125}, False),
        ({"minimum": -0.5}, {"exclusiveMaximum": 0}, False),
        ({"exclusiveMinimum": 3}, {"maximum": 4}, True),
        ({"minimum": 3}, {"maximum": 3.5}, True),
        ({"exclusiveMinimum": 2.5}, {"maximum": 2.75}, True),
        ({"exclusiveMinimum": 3}, {}, True),
    ],
)
def test_spans_that_the_library_gets_wrong_are_refused(low: dict[str, Any], high: dict[str, Any], fine: bool) -> None:
    check_schema({"type": "integer", **low, **high})
    if fine:
        check_schema({"type": "number", **low, **high})
    else:
        with pytest.raises(ConstraintError, match="span"):
            check_schema({"type": "number", **low, **high})
