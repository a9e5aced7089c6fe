"""Which keywords of JSON Schema a grammar can hold an answer to; every other one is refused by name."""

from collections.abc import Callable, Mapping
from typing import Any

from anyres.errors import ConstraintError

__all__ = ["ANNOTATIONS", "KEYWORDS", "check_schema"]

# Draft 2020-12, what llguidance 1.9 turns into a grammar (its docs/json_schema.md).
KEYWORDS = (
    "$ref",
    "type",
    "const",
    "enum",
    "anyOf",
    "oneOf",
    "allOf",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
)
# They say something about values and rule none out. Keywords that begin with x- are taken as such too.
ANNOTATIONS = (
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "discriminator",  # pydantic writes it beside oneOf
    "example",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
)
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
LLGUIDANCE_KEY = "x-guidance"  # with it a schema could switch checks off


def check_schema(schema: object, *, item: str = "schema") -> None:
    """ConstraintError that names the first keyword which would not be obeyed, with its place in the schema.

    >>> check_schema({"properties": {"a": {"not": {}}}})
    Traceback (most recent call last):
    anyres.errors.ConstraintError: schema.properties.a: keyword 'not'; allowed: those of docs/constrained-output.md
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ConstraintError(item, f"a {type(schema).__name__}", "a schema: an object, true or false")
    for keyword, value in schema.items():
        known = keyword in KEYWORDS or keyword in ANNOTATIONS or keyword.startswith("x-")
        if not known or keyword == LLGUIDANCE_KEY:
            raise ConstraintError(item, f"keyword {keyword!r}"[:80], "those of docs/constrained-output.md")
        if keyword in NUMBERS and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ConstraintError(f"{item}.{keyword}", repr(value)[:80], "a number")
        if keyword in _INNER:
            _INNER[keyword](value, item=f"{item}.{keyword}")
    _check_span(schema, item)


def _check_span(schema: Mapping[str, Any], item: str) -> None:
    """llguidance 1.9.1 lets 3 pass for a number above 3 and below 3.5: a whole exclusive bound in too short a span."""
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    least, most = schema.get("minimum", low), schema.get("maximum", high)
    whole = [bound for bound in (low, high) if bound is not None and float(bound).is_integer()]
    if schema.get("type") != "integer" and whole and least is not None and most is not None and most - least < 1:
        seen = f"whole exclusive bound {whole[0]} of a span below 1"
        raise ConstraintError(item, seen, "an inclusive bound there, or a span of 1 and more")


def _check_named(schemas: Any, *, item: str) -> None:
    if not isinstance(schemas, Mapping):
        raise ConstraintError(item, f"a {type(schemas).__name__}", "an object of schemas")
    for name, schema in schemas.items():
        check_schema(schema, item=f"{item}.{name}")


def _check_list(schemas: Any, *, item: str) -> None:
    if not isinstance(schemas, (list, tuple)):
        raise ConstraintError(item, f"a {type(schemas).__name__}", "a list of schemas")
    for place, schema in enumerate(schemas):
        check_schema(schema, item=f"{item}[{place}]")


_INNER: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions"), _check_named),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), _check_list),
    **dict.fromkeys(("items", "additionalProperties"), check_schema),
}
