"""The body of a chat request, field by field."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from anyres.server.parts import Model, Part

__all__ = ["ChatRequest", "Function", "ReplyFormat", "Sampling", "StreamOptions", "ToolCall", "ToolSpec", "Turn"]

NAME = r"^[A-Za-z0-9_-]{1,64}$"
MOST_ID = 2**31 - 1

Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
TokenId = Annotated[int, Field(ge=0, le=MOST_ID)]
Stop = Annotated[str, Field(min_length=1, max_length=1024)]
Metadata = Annotated[dict[str, str], Field(max_length=16)]


class CalledFunction(Model):
    name: Annotated[str, Field(pattern=NAME)]
    arguments: str


class ToolCall(Model):
    id: Annotated[str, Field(max_length=256)]
    type: Literal["function"] = "function"
    function: CalledFunction


class Turn(Model):
    """One message of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Field(fail_fast=True, max_length=4096)] | None = None
    name: Annotated[str, Field(max_length=256)] | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True, max_length=128)] | None = None
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None


class Function(Model):
    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(Model):
    type: Literal["function"]
    function: Function


class NamedFunction(Model):
    name: Annotated[str, Field(pattern=NAME)]


class NamedTool(Model):
    type: Literal["function"]
    function: NamedFunction


class SchemaFormat(Model):
    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    schema_: Annotated[dict[str, Any] | bool, Field(alias="schema")] = True
    strict: bool | None = None


class TextReply(Model):
    type: Literal["text"]


class ObjectReply(Model):
    type: Literal["json_object"]


class SchemaReply(Model):
    type: Literal["json_schema"]
    json_schema: SchemaFormat


class BoxesReply(Model):
    """Ours: boxes or points in Qwen2-VL's marks; `anyres.Boxes` says what the keys mean."""

    type: Literal["boxes"]
    kind: Literal["box", "point", "any"] = "box"
    named: bool = False
    least: Annotated[int, Field(ge=0, le=1000)] = 1
    most: Annotated[int, Field(ge=1, le=1000)] = 100


class RegexReply(Model):
    """Ours: a text that the whole pattern matches."""

    type: Literal["regex"]
    pattern: Annotated[str, Field(max_length=65_536)]


ReplyFormat = Annotated[TextReply | ObjectReply | SchemaReply | BoxesReply | RegexReply, Field(discriminator="type")]


class StreamOptions(Model):
    include_usage: bool = False
    continuous_usage_stats: bool = False
    include_obfuscation: bool | None = None


class VideoKwargs(Model):
    num_frames: Annotated[int, Field(ge=-1, le=1 << 20)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None


class MediaKwargs(Model):
    """vLLM's `media_io_kwargs`."""

    video: VideoKwargs | None = None


class ProcessorKwargs(Model):
    """`mm_processor_kwargs`, as vLLM passes it to the processor."""

    model_config = ConfigDict(extra="forbid")

    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    do_sample_frames: bool | None = None
    min_pixels: Annotated[int, Field(ge=1)] | None = None
    max_pixels: Annotated[int, Field(ge=1)] | None = None


class TemplateKwargs(Model):
    """Keys of the chat template that a request may set."""

    model_config = ConfigDict(extra="forbid")

    add_vision_id: bool | None = None


class Sampling(Model):
    """What chat and completion requests have in common. Fields that are not known are passed over, and named in the
    response header `x-ignored-fields`."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(max_length=256)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, Field(ge=-1, le=MOST_ID)] | None = None
    min_p: Probability | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True, max_length=4)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    logit_bias: Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=100)] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=MOST_ID)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(fail_fast=True, max_length=128)] | None = None
    ignore_eos: bool | None = None
    user: Annotated[str, Field(max_length=256)] | None = None
    cache_salt: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    stop_loops: bool = True

    @field_validator("logit_bias")
    @classmethod
    def _ids(cls, biases: dict[str, float] | None) -> dict[str, float] | None:
        for key in biases or {}:
            if not (key.isascii() and key.isdigit() and len(key) <= 10):
                raise ValueError(f"{key[:40]!r} is no token id")
        return biases


class ChatRequest(Sampling):
    """OpenAI's request with vLLM's, DashScope's and our own fields."""

    messages: Annotated[list[Turn], Field(fail_fast=True, min_length=1, max_length=4096)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ReplyFormat | None = None
    tools: Annotated[list[ToolSpec], Field(fail_fast=True, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    mm_processor_kwargs: ProcessorKwargs | None = None
    media_io_kwargs: MediaKwargs | None = None
    vl_high_resolution_images: bool | None = None
    chat_template_kwargs: TemplateKwargs | None = None
    return_boxes: bool = False
    # Checked and then without effect.
    metadata: Metadata | None = None
    store: Literal[False] | None = None
    service_tier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: Annotated[str, Field(max_length=256)] | None = None
    safety_identifier: Annotated[str, Field(max_length=256)] | None = None
    reasoning_effort: Annotated[str, Field(max_length=64)] | None = None
    verbosity: Annotated[str, Field(max_length=64)] | None = None
    include_obfuscation: bool | None = None
    modalities: Annotated[list[Literal["text"]], Field(fail_fast=True, max_length=4)] | None = None
    # Refused by name.
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    functions: None = None
    function_call: None = None
    chat_template: None = None
