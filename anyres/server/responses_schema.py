"""The body of a `/v1/responses` request."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from anyres.server.parts import Model
from anyres.server.schema import NAME, Count, Metadata, Probability

__all__ = ["ResponsesRequest"]

Id = Annotated[str, Field(max_length=256)]


class MessageItem(Model):
    """A turn; its content is text, or parts as `input_text`, `input_image`, `input_file` and those of chat."""

    type: Literal["message"] = "message"
    role: Literal["developer", "system", "user", "assistant"]
    content: str | list[dict[str, JsonValue]]


class CallItem(Model):
    type: Literal["function_call"]
    call_id: Id
    name: Annotated[str, Field(pattern=NAME)]
    arguments: str


class CallOutputItem(Model):
    type: Literal["function_call_output"]
    call_id: Id
    output: str | list[dict[str, JsonValue]]


class ReasoningItem(Model):
    """What another model thought; passed over."""

    type: Literal["reasoning"]


class FunctionTool(Model):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedTool(Model):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=NAME)]


class TextOptions(Model):
    """`format` is that of chat's `response_format`, with name and schema beside the type."""

    format: dict[str, JsonValue] | None = None
    verbosity: Annotated[str, Field(max_length=64)] | None = None


class ResponsesRequest(Model):
    """Nothing is kept between requests: a conversation is sent whole."""

    model_config = ConfigDict(extra="allow")

    input: (
        str
        | Annotated[
            list[MessageItem | CallItem | CallOutputItem | ReasoningItem], Field(fail_fast=True, max_length=4096)
        ]
    )
    model: Id | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Probability | None = None
    seed: int | None = None
    tools: Annotated[list[FunctionTool], Field(fail_fast=True, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    return_boxes: bool = False
    metadata: Metadata | None = None
    user: Id | None = None
    # Checked and then without effect.
    store: bool | None = None
    reasoning: dict[str, JsonValue] | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: Id | None = None
    safety_identifier: Id | None = None
    # Refused by name.
    previous_response_id: None = None
    conversation: None = None
    background: Literal[False] | None = None
    prompt: None = None
