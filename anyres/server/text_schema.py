"""Bodies of `/v1/completions` and `/v1/embeddings`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from anyres.server.parts import Model
from anyres.server.replies import FinishReason, UsageReply
from anyres.server.schema import Sampling

__all__ = [
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionReply",
    "CompletionRequest",
    "EmbeddingItem",
    "EmbeddingReply",
    "EmbeddingRequest",
    "EmbeddingUsage",
]

TokenIds = Annotated[
    list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(fail_fast=True, min_length=1, max_length=1 << 17)
]
Texts = Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=2048)]


class CompletionRequest(Sampling):
    prompt: (
        str | TokenIds | Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=1)]
        | Annotated[list[TokenIds], Field(fail_fast=True, min_length=1, max_length=1)]
    )  # fmt: skip
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool = False
    best_of: Literal[1] | None = None
    suffix: None = None


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason


class CompletionReply(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: UsageReply


class EmbeddingRequest(Model):
    """`input` is a text, token ids, or a list of texts, of token ids, or of lists of message parts (ours)."""

    model_config = ConfigDict(extra="allow")

    input: (
        str
        | TokenIds
        | Texts
        | Annotated[list[TokenIds], Field(fail_fast=True, min_length=1, max_length=2048)]
        | Annotated[list[list[dict[str, Any]]], Field(fail_fast=True, min_length=1, max_length=64)]
    )
    model: Annotated[str, Field(max_length=256)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    pooling: Literal["mean", "last"] = "mean"
    user: Annotated[str, Field(max_length=256)] | None = None


class EmbeddingItem(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingReply(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage
