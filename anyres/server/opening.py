"""From bytes to what the model takes, in a thread beside a process that decodes: sized and cut as everywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from anyres.chat import ImagePart, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.model_input import Grid, VisualInput
from anyres.processing.image import Size, image_to_visual, shrunk_note
from anyres.processing.media import MediaLimits as LocalLimits
from anyres.processing.media import OpenedImage
from anyres.processing.video import FPS_MAX_FRAMES, check_video_options, grid_of, take_frames, take_list, visual_of
from anyres.server.decoder import Decoder
from anyres.server.media_limits import FLAGS, MediaLimits
from anyres.server.media_requests import ImageOptions, VideoOptions
from anyres.server.refusal import Kind, refusal

__all__ = ["MOST_FRAME_PIXELS", "Budget", "Opener", "check_pages"]

MOST_FRAME_PIXELS = 8192 * 4320  # of a clip, as in the library
PAGE_PIXELS = 4_000_000  # of a drawn page; A4 at 200 dots an inch has 3.9 million


@dataclass
class Budget:
    """Visual tokens that the media of one request may become, of which `taken` are."""

    most: int
    merge_size: int
    taken: int = 0

    def take(self, kind: Kind, grid_thw: Grid) -> None:
        """RefusedMediaError when it is too much."""
        t, h, w = grid_thw
        self.taken += t * h * w // self.merge_size**2
        if self.taken > self.most:
            seen = f"{self.taken:,} visual tokens with the media before it"
            raise refusal(kind, "tokens", seen, f"at most {self.most:,} in a request ({FLAGS['visual_tokens']})")


@dataclass(frozen=True)
class Opener:
    """Each method wants a decoder that nobody else uses meanwhile. Raises RefusedMediaError, MediaError, OptionError
    and what decoders raise."""

    limits: MediaLimits
    config: ImageProcessorConfig
    default_max_pixels: int

    def picture(self, decoder: Decoder, data: bytes, options: ImageOptions, name: str) -> VisualInput:
        """The first picture of an animated file."""
        pixels_HWC = decoder.picture(data, max_pixels=self.limits.image_pixels)
        return self._visual(Image.fromarray(pixels_HWC), options, name)

    def clip(self, decoder: Decoder, data: bytes, options: VideoOptions, name: str, budget: Budget) -> VisualInput:
        """Frames are resized as they are decoded; none is when all of them together would be too much."""
        part = self._clip_part(options)
        check_video_options(part)
        with decoder.clip(data, max_pixels=min(self.limits.image_pixels, MOST_FRAME_PIXELS)) as clip:
            clip.name = name
            taken = take_frames(part, clip, self.config)
            budget.take("video", grid_of(taken, self.config))
            return visual_of(part, taken, self.config)

    def frame_list(
        self, decoder: Decoder, frames: Sequence[bytes], options: VideoOptions, name: str, budget: Budget
    ) -> VisualInput:
        """A clip given as pictures, of which one is decoded at a time."""

        def open_frame(data: object) -> OpenedImage:
            assert isinstance(data, bytes), "what the sources gave"
            pixels_HWC = decoder.picture(data, max_pixels=self.limits.image_pixels)
            return OpenedImage(name, Image.fromarray(pixels_HWC))

        part = VideoPart(frames, **vars(options))
        check_video_options(part)
        taken = take_list(
            part,
            frames,
            config=self.config,
            limits=LocalLimits(max_list_frames=self.limits.frames),
            default_max_pixels=self.default_max_pixels,
            open_frame=open_frame,
        )
        budget.take("video", grid_of(taken, self.config))
        return visual_of(part, taken, self.config)

    def pages(self, decoder: Decoder, data: bytes, options: ImageOptions, name: str, most: int) -> list[VisualInput]:
        """Each page of a document as a picture, at most so many."""
        count = decoder.pages(data)
        check_pages(count, most)
        most_pixels = min(PAGE_PIXELS, self.limits.image_pixels)
        drawn = (decoder.page(number, max_pixels=most_pixels) for number in range(count))
        return [
            self._visual(Image.fromarray(pixels_HWC), options, f"{name}, page {number}")
            for number, pixels_HWC in enumerate(drawn, start=1)
        ]

    def _visual(self, picture: Image.Image, options: ImageOptions, name: str) -> VisualInput:
        part = ImagePart(picture, **vars(options))
        visual = image_to_visual(part, config=self.config, default_max_pixels=self.default_max_pixels)
        note = shrunk_note(name, Size(*visual.original_size), Size(*visual.resized_size)) if visual.note else ""
        return replace(visual, name=name, note=note)

    def _clip_part(self, options: VideoOptions) -> VideoPart:
        """Never more frames than allowed: those asked for by number are refused, those that a rate gives are fewer."""
        most = self.limits.frames
        if options.nframes is not None and options.nframes > most:
            raise refusal("video", "frames", f"nframes of {options.nframes:,}", f"at most {most} ({FLAGS['frames']})")
        wanted = FPS_MAX_FRAMES if options.max_frames is None else options.max_frames
        return VideoPart(None, **vars(replace(options, max_frames=min(wanted, most))))


def check_pages(count: int, most: int) -> None:
    """Before any is drawn."""
    if count > most:
        allowed = f"at most {most} (pictures and pages of one request, {FLAGS['images']})"
        raise refusal("file", "count", f"{count} pages", allowed)
