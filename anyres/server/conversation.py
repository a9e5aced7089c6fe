"""A request's messages: what is said, and which media are to be opened for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from anyres import chat
from anyres.server import parts
from anyres.server.errors import ApiError
from anyres.server.media import ImageOptions, MediaRequest, VideoOptions
from anyres.server.schema import ChatRequest, Turn

__all__ = ["Conversation", "read_conversation"]

DETAIL_TOKENS = {"low": 256, "auto": 1280, "high": 16384, "original": 16384}
TOKEN_PIXELS = 28 * 28
DASHSCOPE_FRAMES = 4  # the fewest of a list of frames


@dataclass(frozen=True)
class Conversation:
    """Turns whose parts are text, or the number of an item of `media`. `params` says where in the request each is."""

    turns: tuple[tuple[Turn, tuple[chat.TextPart | int, ...]], ...]
    media: tuple[MediaRequest, ...] = ()
    params: tuple[str, ...] = ()

    def filled(self, opened: Sequence[Sequence[chat.Part]]) -> list[tuple[Turn, tuple[chat.Part, ...]]]:
        """The turns with what each item was opened to: one picture or clip, or the pages of a document."""
        return [(turn, tuple(_filled(content, opened))) for turn, content in self.turns]


def read_conversation(request: ChatRequest, *, before: str = "") -> Conversation:
    """Raises ApiError for parts that are not taken over HTTP. `before` is what a single turn is called in errors."""
    reader = _Reader(request, before)
    turns = tuple((turn, tuple(reader.content(turn, number))) for number, turn in enumerate(request.messages))
    return Conversation(turns, tuple(reader.media), tuple(reader.params))


class _Reader:
    def __init__(self, request: ChatRequest, before: str) -> None:
        self._asked = request
        self._before = before
        self.media: list[MediaRequest] = []
        self.params: list[str] = []

    def content(self, turn: Turn, number: int) -> Iterator[chat.TextPart | int]:
        _check_turn(turn, f"messages[{number}]")
        if isinstance(turn.content, str):
            yield chat.TextPart(turn.content)
            return
        before = self._before or f"messages[{number}].content"
        for place, part in enumerate(turn.content or ()):
            yield self._part(part, f"{before}[{place}]", turn)

    def _part(self, part: parts.Part, param: str, turn: Turn) -> chat.TextPart | int:
        match part:
            case parts.TextPart() | parts.InputTextPart() | parts.OutputTextPart():
                return chat.TextPart(part.text)
            case parts.RefusalPart():
                return chat.TextPart(part.refusal)
            case parts.EmbedsPart():
                raise _refused(param, f"type {part.type!r}", "pictures as image_url; tensors are not taken over HTTP")
            case parts.AudioPart():
                raise _refused(param, f"type {part.type!r}", "text, pictures and clips; the model hears nothing")
        if turn.role in ("system", "developer"):
            raise _refused(param, f"a part of type {part.type!r} in a {turn.role} message", "text")
        self.params.append(param)
        self.media.append(self._request_of(part, param, len(self.media)))
        return len(self.media) - 1

    def _request_of(self, part: parts.Part, param: str, index: int) -> MediaRequest:
        match part:
            case parts.ImageUrlPart():
                url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
                detail = None if isinstance(part.image_url, str) else part.image_url.detail
                return MediaRequest("image", url, index, self._image(part, detail))
            case parts.ImagePart():
                return MediaRequest("image", part.image, index, self._image(part, None))
            case parts.InputImagePart():
                source = _one_of(param, image_url=part.image_url, file_id=part.file_id)
                return MediaRequest("image", source, index, self._image(part, part.detail))
            case parts.FilePart():
                file = part.file
                source = _one_of(
                    f"{param}.file", file_id=file.file_id, file_data=file.file_data, file_url=file.file_url
                )
                return MediaRequest("file", _as_data_url(source, file), index, self._image(part, part.detail))
            case parts.VideoUrlPart():
                url = part.video_url if isinstance(part.video_url, str) else part.video_url.url
                return MediaRequest("video", url, index, self._video(part))
            case parts.VideoPart():
                return MediaRequest("video", _frames(part.video, param), index, self._video(part))
        raise AssertionError(part)

    def _image(
        self, part: parts.ImageUrlPart | parts.ImagePart | parts.InputImagePart | parts.FilePart, detail: str | None
    ) -> ImageOptions:
        kwargs = self._asked.mm_processor_kwargs
        high = "high" if self._asked.vl_high_resolution_images else None
        pixels = DETAIL_TOKENS.get(detail or high or "", 0) * TOKEN_PIXELS or None
        asked = part.max_pixels or (kwargs.max_pixels if kwargs else None) or pixels
        least = part.min_pixels or (kwargs.min_pixels if kwargs else None)
        return ImageOptions(least, asked, part.resized_height, part.resized_width)

    def _video(self, part: parts.VideoUrlPart | parts.VideoPart) -> VideoOptions:
        knobs = VideoOptions(
            fps=part.fps,
            nframes=part.nframes,
            start=part.video_start,
            end=part.video_end,
            min_frames=part.min_frames,
            max_frames=part.max_frames,
            min_pixels=part.min_pixels,
            max_pixels=part.max_pixels,
            total_pixels=part.total_pixels,
            resized_height=part.resized_height,
            resized_width=part.resized_width,
        )
        return knobs if part.fps is not None or part.nframes is not None else self._sampled(knobs)

    def _sampled(self, knobs: VideoOptions) -> VideoOptions:
        """As vLLM's fields of the whole request say; the last named of `fps` and `num_frames` holds."""
        kwargs, media = self._asked.mm_processor_kwargs, self._asked.media_io_kwargs
        video = media.video if media else None
        if video is not None and video.num_frames is not None and video.num_frames > 0:
            return replace(knobs, nframes=video.num_frames)
        fps = video.fps if video is not None and video.fps is not None else kwargs.fps if kwargs else None
        return replace(knobs, fps=fps)


def _filled(content: Sequence[chat.TextPart | int], opened: Sequence[Sequence[chat.Part]]) -> Iterator[chat.Part]:
    for part in content:
        if isinstance(part, int):
            yield from opened[part]
        else:
            yield part


def _check_turn(turn: Turn, param: str) -> None:
    if turn.role == "tool" and turn.tool_call_id is None:
        raise _refused(f"{param}.tool_call_id", "not given", "the id of the call that this is the result of")
    if turn.tool_calls and turn.role != "assistant":
        raise _refused(f"{param}.tool_calls", f"in a message of role {turn.role}", "in messages of role assistant")
    if turn.content is None and not (turn.role == "assistant" and (turn.tool_calls or turn.refusal)):
        raise _refused(f"{param}.content", "null", "a string or a list of parts; null beside tool_calls alone")
    for number, call in enumerate(turn.tool_calls or ()):
        if not call.function.name:
            raise _refused(f"{param}.tool_calls[{number}].function.name", "empty", "a name")


def _frames(video: str | list[str], param: str) -> str | tuple[str, ...]:
    if isinstance(video, list) and len(video) < DASHSCOPE_FRAMES:
        raise _refused(f"{param}.video", f"{len(video)} frames", f"at least {DASHSCOPE_FRAMES}")
    return video if isinstance(video, str) else tuple(video)


def _one_of(param: str, **sources: str | None) -> str:
    given = [source for source in sources.values() if source is not None]
    if len(given) != 1:
        raise _refused(param, f"{len(given)} of {', '.join(sources)}", "one of them")
    return given[0]


def _as_data_url(source: str, file: parts.FileSource) -> str:
    """OpenAI's `file_data` is a data URL, or base64 alone."""
    if file.file_data is None or source.startswith("data:"):
        return source
    return f"data:application/octet-stream;base64,{source}"


def _refused(param: str, seen: str, allowed: str) -> ApiError:
    return ApiError(400, f"{param}: {seen}; allowed: {allowed}", code="invalid_value", param=param)
