"""Parts of a message, as clients send them: text, pictures, clips, files, in OpenAI's, Qwen's and DashScope's forms."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AudioPart",
    "EmbedsPart",
    "FilePart",
    "ImagePart",
    "ImageUrlPart",
    "InputImagePart",
    "InputTextPart",
    "Model",
    "OutputTextPart",
    "Part",
    "RefusalPart",
    "TextPart",
    "VideoPart",
    "VideoUrlPart",
]

Detail = Literal["auto", "low", "high", "original"]
MOST_PIXELS = 1 << 40  # of one knob; what a picture may have is another limit


class Model(BaseModel):
    """Types are those of JSON: "1" is no number and 1 is no text. Nothing is NaN or infinite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore", protected_namespaces=())


class Strict(Model):
    """Keys that are not known are refused: a knob with a typing error in its name would be passed over."""

    model_config = ConfigDict(extra="forbid")


Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
Side = Annotated[int, Field(ge=1, le=1 << 20)]
Fps = Annotated[float, Field(gt=0, le=1000)]
Frames = Annotated[int, Field(ge=1, le=1 << 20)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Uuid = Annotated[str, Field(max_length=256)]


class TextPart(Strict):
    type: Literal["text"]
    text: str


class InputTextPart(Strict):
    type: Literal["input_text"]
    text: str


class OutputTextPart(Model):
    type: Literal["output_text"]
    text: str


class RefusalPart(Strict):
    type: Literal["refusal"]
    refusal: str


class _ImageKnobs(Strict):
    min_pixels: Pixels | None = None
    max_pixels: Pixels | None = None
    resized_height: Side | None = None
    resized_width: Side | None = None
    uuid: Uuid | None = None


class ImageUrl(Strict):
    url: str
    detail: Detail | None = None


class ImageUrlPart(_ImageKnobs):
    type: Literal["image_url"]
    image_url: ImageUrl | str


class ImagePart(_ImageKnobs):
    type: Literal["image"]
    image: str


class InputImagePart(_ImageKnobs):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class _VideoKnobs(Strict):
    fps: Fps | None = None
    nframes: Frames | None = None
    min_frames: Frames | None = None
    max_frames: Frames | None = None
    video_start: Seconds | None = None
    video_end: Seconds | None = None
    min_pixels: Pixels | None = None
    max_pixels: Pixels | None = None
    total_pixels: Pixels | None = None
    resized_height: Side | None = None
    resized_width: Side | None = None
    uuid: Uuid | None = None


class VideoUrl(Strict):
    url: str


class VideoUrlPart(_VideoKnobs):
    type: Literal["video_url"]
    video_url: VideoUrl | str


class VideoPart(_VideoKnobs):
    type: Literal["video"]
    video: str | Annotated[list[str], Field(fail_fast=True)]


class FileSource(Strict):
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: Annotated[str, Field(max_length=512)] | None = None


class FilePart(_ImageKnobs):
    type: Literal["file"]
    file: FileSource
    detail: Detail | None = None


class EmbedsPart(Model):
    """Named so that its refusal can say why."""

    type: Literal["image_embeds", "image_pil", "audio_embeds"]


class AudioPart(Model):
    type: Literal["input_audio", "audio_url"]


Part = Annotated[
    TextPart
    | InputTextPart
    | OutputTextPart
    | RefusalPart
    | ImageUrlPart
    | ImagePart
    | InputImagePart
    | VideoUrlPart
    | VideoPart
    | FilePart
    | EmbedsPart
    | AudioPart,
    Field(discriminator="type"),
]
JsonObject = dict[str, Any]
