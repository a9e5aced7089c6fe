"""Bodies of chat answers, whole and in chunks, as OpenAI's clients read them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

__all__ = [
    "ChatChunk",
    "ChatReply",
    "Choice",
    "ErrorReply",
    "FoundBox",
    "Health",
    "InputTokens",
    "Logprobs",
    "ModelCard",
    "ModelList",
    "OllamaError",
    "PixelLimits",
    "PromptDetails",
    "ReplyMessage",
    "SeenMedia",
    "Timings",
    "TokenLogprob",
    "UsageReply",
    "Version",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    error: ErrorBody


class OllamaError(BaseModel):
    error: str


class PromptDetails(BaseModel):
    """Tokens of the prompt by kind; `cached_tokens` were not computed again, of whatever kind."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    video_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(BaseModel):
    reasoning_tokens: int = 0
    text_tokens: int = 0


class UsageReply(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Timings(BaseModel):
    """llama-server's names; ours are `vision_ms` and `queue_ms`."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float
    vision_ms: float
    queue_ms: float


class TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    content: list[TokenLogprob]
    refusal: None = None


class CalledFunction(BaseModel):
    name: str
    arguments: str


class ReplyToolCall(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class FoundBox(BaseModel):
    """A box or point in pixels of the picture as it was sent, upright; `image` numbers the pictures of the request."""

    image: int
    label: str | None
    box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    point: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None


class ReplyMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[ReplyToolCall] | None = None
    boxes: list[FoundBox] | None = None


class Choice(BaseModel):
    index: int
    message: ReplyMessage
    logprobs: Logprobs | None = None
    finish_reason: FinishReason
    stop_reason: str | None = None


class SeenMedia(BaseModel):
    """A picture or clip as the model saw it; sizes in pixels."""

    kind: Literal["image", "video"]
    width: int
    height: int
    resized_width: int
    resized_height: int
    frames: int
    tokens: int
    note: str


class ChatReply(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: UsageReply
    timings: Timings
    media: list[SeenMedia] | None = None


class InputTokens(BaseModel):
    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
    input_tokens_details: PromptDetails
    media: list[SeenMedia] | None = None


class ChatChunk(BaseModel):
    """One event of a stream; `delta` holds what is new."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[dict[str, Any]]
    usage: UsageReply | None = None
    timings: Timings | None = None
    media: list[SeenMedia] | None = None


class Architecture(BaseModel):
    input_modalities: list[str] = ["text", "image", "video"]
    output_modalities: list[str] = ["text"]


class PixelLimits(BaseModel):
    """Pixels that the checkpoint gives a picture, and a frame of a clip where it states those itself."""

    min_pixels: int
    max_pixels: int
    video_min_pixels: int | None
    video_max_pixels: int | None


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "anyres"
    max_model_len: int
    architecture: Architecture = Architecture()
    pixel_limits: PixelLimits | None = None


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Version(BaseModel):
    version: str
