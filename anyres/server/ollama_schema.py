"""Requests and replies of Ollama's API."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from anyres.server.parts import Model
from anyres.server.replies import TokenLogprob

__all__ = [
    "OllamaChat",
    "OllamaEmbed",
    "OllamaEmbedded",
    "OllamaGenerate",
    "OllamaModel",
    "OllamaModels",
    "OllamaOptions",
    "OllamaReply",
    "OllamaShow",
    "OllamaShown",
]

Text = Annotated[str, Field(max_length=256)]


class OllamaOptions(Model):
    """Those that mean something here; others are passed over, as Ollama does."""

    seed: int | None = None
    num_predict: Annotated[int, Field(ge=-2, le=2**31 - 1)] | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    temperature: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | str | None = None


class OllamaFunction(Model):
    name: Annotated[str, Field(max_length=64)]
    arguments: dict[str, Any]


class OllamaCall(Model):
    function: OllamaFunction


class OllamaMessage(Model):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: Annotated[list[str], Field(fail_fast=True, max_length=256)] | None = None
    tool_calls: Annotated[list[OllamaCall], Field(fail_fast=True, max_length=128)] | None = None
    tool_name: Text | None = None


class _Common(Model):
    model_config = ConfigDict(extra="allow")

    model: Text
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: OllamaOptions | None = None
    keep_alive: float | str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class OllamaChat(_Common):
    messages: Annotated[list[OllamaMessage], Field(fail_fast=True, max_length=4096)]
    tools: list[dict[str, Any]] | None = None


class OllamaGenerate(_Common):
    prompt: str = ""
    system: str | None = None
    images: Annotated[list[str], Field(fail_fast=True, max_length=256)] | None = None


class OllamaEmbed(Model):
    model: Text
    input: str | Annotated[list[str], Field(fail_fast=True, max_length=2048)]
    keep_alive: float | str | None = None


class OllamaShow(Model):
    model: Text | None = None
    name: Text | None = None


class OllamaReply(BaseModel):
    """One line of `/api/chat`, or with `response` of `/api/generate`."""

    model: str
    created_at: str
    message: dict[str, Any] | None = None
    response: str | None = None
    logprobs: list[TokenLogprob] | None = None
    done: bool
    done_reason: str | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class OllamaDetails(BaseModel):
    parent_model: str = ""
    format: str = "safetensors"
    family: str = "qwen2vl"
    families: list[str] = ["qwen2vl"]
    parameter_size: str
    quantization_level: str


class OllamaModel(BaseModel):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: OllamaDetails


class OllamaModels(BaseModel):
    models: list[OllamaModel]


class OllamaShown(BaseModel):
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class OllamaEmbedded(BaseModel):
    model: str
    embeddings: list[list[float]]
    prompt_eval_count: int
