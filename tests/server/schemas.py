"""Bodies held against the types that openai-python generates from OpenAI's published schema."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter

OURS = {
    "boxes",
    "media",
    "timings",
    "stop_reason",
    "cache_write_tokens",
    "image_tokens",
    "text_tokens",
    "video_tokens",
    "max_model_len",
    "architecture",
    "pixel_limits",
    "store",
}
"""Fields beside OpenAI's types; `store` is in OpenAI's own replies, though not in their type."""


def validated(kind: Any, body: Any) -> Any:
    """The body as that type, every field checked. Fields that OpenAI's type lacks are ours by intent."""
    made = TypeAdapter(kind).validate_python(body)
    extra = set(extras(made)) - OURS
    assert not extra, f"fields nobody knows: {sorted(extra)}"
    return made


def extras(value: Any) -> Iterator[str]:
    """Names of fields that a type does not have, at any depth."""
    if isinstance(value, BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from extras(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from extras(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from extras(one)
