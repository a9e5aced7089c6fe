"""Random JSON schemas and regular expressions, of every keyword and form that a constraint may use."""

import random
from typing import Any

Schema = dict[str, Any]

FORMATS = ("date", "ipv4", "ipv6", "uuid", "email")
PATTERNS = ("^[a-z]{2,5}$", r"^\d{3}-\d{2}$", "^(red|green)$", "[0-9]+", r"^\w+@\w+\.org$", "^$")
NAMES = ("id", "name", "total", "naïve", "a b", "日期", 'quo"te', "x<|im_end|>", "", "back\\slash", "e\u0301")
VALUES = ("red", 'a "b"', "日本", "<|im_end|>", "\n\t", 0, -3, 2.5, 10**12, True, None, [1, "a"], {"k": [None]}, "")


def random_schema(seed: int) -> Schema:
    """A schema that something obeys, three levels deep at most, with a definition that may refer to itself."""
    rng = random.Random(seed)
    schema = _schema(rng, 3)
    if rng.random() < 0.3:
        link = {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}
        tree = {
            "type": "object",
            "properties": {"left": link, "value": _scalar(rng)},
            "required": ["value"],
            "additionalProperties": False,
        }
        schema = {
            "$defs": {"tree": tree},
            "type": "object",
            "properties": {"tree": {"$ref": "#/$defs/tree"}, "rest": schema},
            "required": ["tree", "rest"],
            "additionalProperties": False,
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"number {seed}", **schema}


def _schema(rng: random.Random, depth: int) -> Schema:
    if depth == 0 or rng.random() < 0.25:
        return _scalar(rng)
    return rng.choice([_object, _object, _array, _tuple, _either, _all])(rng, depth - 1)


def _scalar(rng: random.Random) -> Schema:
    return rng.choice([_text, _text, _whole, _number, _enum, _const, _simple])(rng)


def _simple(rng: random.Random) -> Schema:
    return {"type": rng.choice(["boolean", "null", ["integer", "null"], ["string", "boolean"], "number"])}


def _text(rng: random.Random) -> Schema:
    kind = rng.randrange(4)
    if kind == 0:
        return {"type": "string", "format": rng.choice(FORMATS)}
    if kind == 1:
        return {"type": "string", "pattern": rng.choice(PATTERNS)}
    shortest = rng.randrange(4)
    bounds = {"minLength": shortest, "maxLength": shortest + rng.randrange(9)}
    return {"type": "string", **(bounds if kind == 2 else {}), "description": "free text"}


def _whole(rng: random.Random) -> Schema:
    low = rng.randint(-1000, 1000)
    high = low + rng.randint(10, 10**6)
    schema: Schema = {"type": "integer"}
    if rng.random() < 0.7:
        schema[rng.choice(["minimum", "exclusiveMinimum"])] = low
    if rng.random() < 0.7:
        schema[rng.choice(["maximum", "exclusiveMaximum"])] = high
    if rng.random() < 0.3:
        schema["multipleOf"] = rng.choice([1, 2, 5, 7])
    return schema


def _number(rng: random.Random) -> Schema:
    low = rng.choice([-2.5, 0, 0.125, 3, -1000])
    return {
        "type": "number",
        rng.choice(["minimum", "exclusiveMinimum"]): low,
        rng.choice(["maximum", "exclusiveMaximum"]): low + rng.choice([1, 2.5, 99.75]),
    }


def _enum(rng: random.Random) -> Schema:
    return {"enum": rng.sample(VALUES, rng.randint(1, 6))}


def _const(rng: random.Random) -> Schema:
    return {"const": rng.choice(VALUES)}


def _object(rng: random.Random, depth: int) -> Schema:
    names = rng.sample(NAMES, rng.randint(1, 5))
    schema: Schema = {
        "type": "object",
        "properties": {name: _schema(rng, depth) for name in names},
        "required": [name for name in names if rng.random() < 0.6],
        "additionalProperties": rng.choice([False, False, _scalar(rng)]),
    }
    if rng.random() < 0.15:
        schema["patternProperties"] = {"^x_[a-z]{1,3}$": _scalar(rng)}
    if rng.random() < 0.1:
        return {"type": "object", "additionalProperties": _scalar(rng), "minProperties": 1, "maxProperties": 3}
    return schema


def _array(rng: random.Random, depth: int) -> Schema:
    fewest = rng.randrange(3)
    return {
        "type": "array",
        "items": _schema(rng, depth),
        "minItems": fewest,
        "maxItems": fewest + rng.randrange(4),
    }


def _tuple(rng: random.Random, depth: int) -> Schema:
    parts = [_schema(rng, depth) for _ in range(rng.randint(1, 3))]
    return {"type": "array", "prefixItems": parts, "minItems": len(parts), "items": rng.choice([False, _scalar(rng)])}


def _either(rng: random.Random, depth: int) -> Schema:
    if rng.random() < 0.3:
        return {"oneOf": [_object(rng, depth), {"type": "string", "maxLength": 5}, {"type": "null"}]}
    return {"anyOf": [_schema(rng, depth) for _ in range(rng.randint(1, 3))]}


def _all(rng: random.Random, depth: int) -> Schema:
    common = {"type": "object", "properties": {"id": {"type": "integer", "minimum": 0}}, "required": ["id"]}
    other = {"type": "object", "properties": {"more": _schema(rng, depth)}, "required": ["more"]}
    return {"allOf": [common, other], "maxProperties": 2} if rng.random() < 0.5 else {"allOf": [common], **other}


def random_regex(seed: int) -> str:
    """A pattern that Python's `re` reads alike: no lookaround, no backreference, no possessive repetition."""
    rng = random.Random(seed)
    pattern = _pattern(rng, 3)
    return f"^{pattern}$" if rng.random() < 0.2 else pattern


CLASSES = (
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    r"\S",
    ".",
    "[a-f]",
    "[^a-z]",
    r"[\w.-]",
    r"[^\d\s]",
    "[äöü]",
    "[一-龥]",
    r"[\]\\^-]",
)
LETTERS = ("a", "Z", "0", "é", "中", r"\.", r"\*", r"\\", "/", '"', " ", "-", r"\t", r"\x41", "<", "e\u0301")


def _pattern(rng: random.Random, depth: int) -> str:
    pieces = [_piece(rng, depth) for _ in range(rng.randint(1, 4))]
    if depth and rng.random() < 0.25:
        return "|".join([*pieces, _pattern(rng, depth - 1)])
    return "".join(pieces)


def _piece(rng: random.Random, depth: int) -> str:
    low = rng.randrange(4)
    if depth and rng.random() < 0.35:
        # Python's re tries every way to split a text among repetitions inside repetitions, which takes for ever.
        atom = rng.choice(["({})", "(?:{})", f"(?P<n{rng.randrange(10**9)}>{{}})"]).format(_pattern(rng, depth - 1))
        return atom + rng.choice(["", "", "", "?", "{0,2}", "{2}"])
    atom = rng.choice(CLASSES if rng.random() < 0.5 else LETTERS)
    atom = atom if len(atom) == 1 or atom[0] in "[\\" else f"(?:{atom})"
    return atom + rng.choice(
        ["", "", "", "?", "*", "+", f"{{{low}}}", f"{{{low},{low + 3}}}", "*?", "+?", f"{{{low},}}"]
    )
