"""Answers of the engine in the words of OpenAI's replies."""

import secrets
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from anyres.chat import Answer, Usage
from anyres.chat import TokenLogprob as Logprob
from anyres.grounding import parse_grounding
from anyres.model_input import VisualInput
from anyres.server.answering import Prompt
from anyres.server.replies import (
    CompletionDetails,
    FinishReason,
    FoundBox,
    Logprobs,
    PromptDetails,
    SeenMedia,
    Timings,
    TokenLogprob,
    TopLogprob,
    UsageReply,
)

__all__ = [
    "boxes_of",
    "dumped",
    "finish_of",
    "logprobs_of",
    "media_of",
    "new_id",
    "stop_reason_of",
    "timings_of",
    "usage_of",
]

_OPTIONAL = frozenset({"tool_calls", "boxes", "media", "timings", "stop_reason"})


def new_id(prefix: str) -> str:
    """An id that nobody can guess, as `chatcmpl-` and 24 letters."""
    return f"{prefix}{secrets.token_hex(12)}"


def dumped(reply: BaseModel) -> dict[str, Any]:
    """As JSON; fields that OpenAI's replies lack where there is nothing in them are left out."""
    made: dict[str, Any] = _without_empty(reply.model_dump(mode="json"))
    return made


def usage_of(prompt: Usage, answers: Sequence[Usage]) -> UsageReply:
    """Of one prompt and all its answers; cached tokens are those of the first, which was read before the others."""
    completion = sum(one.completion_tokens for one in answers)
    cached = answers[0].cached_tokens if answers else 0
    return UsageReply(
        prompt_tokens=prompt.prompt_tokens,
        completion_tokens=completion,
        total_tokens=prompt.prompt_tokens + completion,
        prompt_tokens_details=PromptDetails(
            cached_tokens=cached,
            cache_write_tokens=prompt.prompt_tokens - cached,
            text_tokens=prompt.text_tokens,
            image_tokens=prompt.image_tokens,
            video_tokens=prompt.video_tokens,
        ),
        completion_tokens_details=CompletionDetails(text_tokens=completion),
    )


def timings_of(prompt: Prompt, answer: Answer) -> Timings:
    """Of the first answer."""
    seconds, usage = answer.timings, answer.usage
    read_n = usage.prompt_tokens - usage.cached_tokens
    return Timings(
        cache_n=usage.cached_tokens,
        prompt_n=read_n,
        prompt_ms=1000 * seconds.prefill_s,
        prompt_per_second=_rate(read_n, seconds.prefill_s),
        predicted_n=usage.completion_tokens,
        predicted_ms=1000 * seconds.decode_s,
        predicted_per_second=_rate(usage.completion_tokens - 1, seconds.decode_s),
        vision_ms=1000 * seconds.encode_s,
        queue_ms=1000 * (prompt.queue_s + seconds.wait_s),
    )


def finish_of(answer: Answer, *, called: bool) -> FinishReason:
    """An answer that went in circles counts as stopped; `stop_reason_of` tells."""
    if answer.finish_reason == "length":
        return "length"
    return "tool_calls" if called else "stop"


def stop_reason_of(answer: Answer) -> str | None:
    return "repetition" if answer.finish_reason == "repetition" else None


def logprobs_of(logprobs: Sequence[Logprob] | None) -> Logprobs | None:
    if logprobs is None:
        return None
    return Logprobs(content=[_token(one) for one in logprobs])


def media_of(visuals: Sequence[VisualInput], merge: int) -> list[SeenMedia] | None:
    return [_seen(one, merge) for one in visuals] or None


def boxes_of(text: str, visuals: Sequence[VisualInput]) -> list[FoundBox]:
    """What the answer places, in pixels of the last picture, upright and not resized; [] without a picture."""
    numbers = [number for number, one in enumerate(visuals) if one.kind == "image"]
    if not numbers:
        return []
    found, last = parse_grounding(text), numbers[-1]
    height, width = visuals[last].original_size
    boxes = [box.to_pixels(width=width, height=height) for box in found.boxes]
    points = [point.to_pixels(width=width, height=height) for point in found.points]
    image = len(numbers) - 1
    return [
        *(FoundBox(image=image, label=box.label or None, box=list(box.edges)) for box in boxes),
        *(FoundBox(image=image, label=point.label or None, point=[point.x, point.y]) for point in points),
    ]


def _rate(count: int, seconds: float) -> float:
    return count / seconds if count > 0 and seconds > 0 else 0.0


def _token(one: Logprob) -> TokenLogprob:
    top = [TopLogprob(token=text, logprob=logprob, bytes=_bytes(text)) for text, logprob in one.top]
    return TokenLogprob(token=one.text, logprob=one.logprob, bytes=_bytes(one.text), top_logprobs=top)


def _bytes(text: str) -> list[int] | None:
    """None for a part of a character."""
    return None if "\ufffd" in text else list(text.encode())


def _seen(visual: VisualInput, merge: int) -> SeenMedia:
    (height, width), (resized_height, resized_width) = visual.original_size, visual.resized_size
    frames, rows, columns = visual.grid_thw
    return SeenMedia(
        kind=visual.kind,
        width=width,
        height=height,
        resized_width=resized_width,
        resized_height=resized_height,
        frames=1 if visual.kind == "image" else len(visual.frame_times_s) or 2 * frames,
        tokens=frames * rows * columns // merge**2,
        note=visual.note,
    )


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(one) for key, one in value.items() if one is not None or key not in _OPTIONAL}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
