"""Messages to the model's input: the only door from what users write to what the model reads."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from anyres.chat import ImagePart, Message, Usage, VideoPart
from anyres.config import ImageProcessorConfig, Qwen2VLConfig
from anyres.disk_cache import DiskCache
from anyres.errors import CheckpointError, ContextLengthError, MessageError, OptionError
from anyres.model_input import ModelInput, PairedClip, VisualInput
from anyres.processing.image import DEFAULT_MAX_PIXELS, image_to_visual
from anyres.processing.media import DEFAULT_LIMITS, MediaLimits
from anyres.processing.positions import merged_grid, rope_positions, visual_tokens
from anyres.processing.streaming import stream_clip
from anyres.processing.template import SpecialToken, render
from anyres.processing.tokenizer import Tokenizer
from anyres.processing.video import as_list, video_to_visual

__all__ = ["MediaPart", "Processor", "Run", "prompt_usage"]

MediaPart = ImagePart | VideoPart
Run = list[int] | ImagePart | VideoPart  # token ids, or the picture or clip between two runs of them


@dataclass(frozen=True)
class Processor:
    """Template, tokenizer, pictures, clips and positions of one checkpoint.

    `default_max_pixels` is the budget of pictures that name no `max_pixels` of their own: 1,280 visual tokens.
    A prompt must end within the checkpoint's `max_position_embeddings`; a clip of 46,080 tokens does, as it takes only
    384 positions. `max_prompt_tokens` bounds the tokens as well.
    With `stream_clips` clips are decoded when their patches are asked for, in a thread; `cache` keeps their frames.
    """

    tokenizer: Tokenizer
    image_config: ImageProcessorConfig
    config: Qwen2VLConfig
    default_max_pixels: int = DEFAULT_MAX_PIXELS
    max_prompt_tokens: int | None = None
    limits: MediaLimits = DEFAULT_LIMITS
    stream_clips: bool = False
    cache: DiskCache | None = None

    def __post_init__(self) -> None:
        """CheckpointError when the checkpoint's files do not agree with each other."""
        for token, number in _placeholder_ids(self.config).items():
            _agree(f"id of {token}", tokenizer=self.tokenizer.special_id(token), config=number)
        ours, vision = self.image_config, self.config.vision
        _agree("patch_size", preprocessor_config=ours.patch_size, config=vision.patch_size)
        _agree("merge_size", preprocessor_config=ours.merge_size, config=vision.spatial_merge_size)
        _agree("temporal_patch_size", preprocessor_config=ours.temporal_patch_size, config=vision.temporal_patch_size)
        if self.tokenizer.vocab_size > self.config.text.vocab_size:
            seen = f"{self.tokenizer.vocab_size} tokens"
            raise CheckpointError("tokenizer", seen, f"at most vocab_size = {self.config.text.vocab_size}")

    @staticmethod
    def from_folder(
        folder: Path,
        *,
        default_max_pixels: int = DEFAULT_MAX_PIXELS,
        max_prompt_tokens: int | None = None,
        limits: MediaLimits = DEFAULT_LIMITS,
    ) -> "Processor":
        """Reads a checkpoint's config and tokenizer files; CheckpointError when one is missing or damaged."""
        return Processor(
            Tokenizer.from_folder(folder),
            ImageProcessorConfig.from_folder(folder),
            Qwen2VLConfig.from_folder(folder),
            default_max_pixels=default_max_pixels,
            max_prompt_tokens=max_prompt_tokens,
            limits=limits,
        )

    def prepare(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True, add_vision_id: bool = False
    ) -> ModelInput:
        """The prompt of a conversation.

        A part may hold a VisualInput instead of a picture or clip: one that was prepared or encoded before.
        Raises MessageError, MediaError and OptionError for bad content, and ContextLengthError for a prompt that does
        not fit, before pictures are opened where the text alone is too long.
        """
        segments = render(messages, add_generation_prompt=add_generation_prompt, add_vision_id=add_vision_id)
        return self.assemble([one if isinstance(one, MediaPart) else self.ids(one) for one in segments])

    def assemble(self, runs: Sequence[Run]) -> ModelInput:
        """The prompt of runs of token ids with pictures and clips between them; `prepare` for those who have ids."""
        return self._assemble(runs, self._open(runs))

    def ids(self, segment: SpecialToken | str) -> list[int]:
        """Token ids of a piece of the template."""
        if isinstance(segment, SpecialToken):
            return [self.tokenizer.special_id(segment.token)]
        return self.tokenizer.encode_text(segment)

    def _open(self, runs: Sequence[Run]) -> tuple[VisualInput, ...]:
        """The pictures and clips among the runs; stops at the first that makes the prompt too long."""
        parts = [run for run in runs if isinstance(run, MediaPart)]
        text_tokens = sum(len(run) for run in runs if isinstance(run, list))
        visuals: list[VisualInput] = []
        self._check_length(text_tokens, visuals, unread=len(parts))
        for number, part in enumerate(parts, 1):
            visuals.append(self._visual(part))
            self._check_length(text_tokens, visuals, unread=len(parts) - number)
        return tuple(visuals)

    def _visual(self, part: ImagePart | VideoPart) -> VisualInput:
        source = part.image if isinstance(part, ImagePart) else part.video
        if isinstance(source, VisualInput):
            return _prepared(part, source)
        if self.stream_clips and isinstance(part, VideoPart) and as_list(part.video) is None:
            return stream_clip(part, config=self.image_config, limits=self.limits, cache=self.cache)
        if isinstance(part, VideoPart):
            return video_to_visual(
                part, config=self.image_config, limits=self.limits, default_max_pixels=self.default_max_pixels
            )
        return image_to_visual(
            part, config=self.image_config, limits=self.limits, default_max_pixels=self.default_max_pixels
        )

    def _check_length(self, text_tokens: int, visuals: Sequence[VisualInput], *, unread: int) -> None:
        merge, allowed = self.config.vision.spatial_merge_size, self.config.text.max_position_embeddings
        usage = _usage(text_tokens, visuals, merge)
        positions = text_tokens + sum(max(merged_grid(visual.grid_thw, merge)) for visual in visuals)
        seen = f"{text_tokens} text + {usage.image_tokens} image + {usage.video_tokens} video tokens"
        seen += f" at {positions} positions" + (f" (and {unread} pictures or clips not read)" if unread else "")
        if positions > allowed:
            raise ContextLengthError("prompt", seen, f"at most {allowed} positions (max_position_embeddings)")
        if self.max_prompt_tokens is not None and usage.prompt_tokens > self.max_prompt_tokens:
            raise ContextLengthError("prompt", seen, f"at most {self.max_prompt_tokens} tokens")

    def _assemble(self, runs: Sequence[Run], visuals: tuple[VisualInput, ...]) -> ModelInput:
        rest = iter(visuals)
        spans = [run if isinstance(run, list) else next(rest) for run in runs]
        ids = [torch.tensor(span) if isinstance(span, list) else self._placeholders(span) for span in spans]
        layout = [len(span) if isinstance(span, list) else span.grid_thw for span in spans]
        positions = rope_positions(layout, spatial_merge_size=self.config.vision.spatial_merge_size)
        items = [item for one in visuals for item in (one.pairs if isinstance(one, PairedClip) else (one,))]
        return ModelInput(torch.cat(ids), *positions, tuple(items))

    def _placeholders(self, visual: VisualInput) -> Tensor:
        number = self.config.image_token_id if visual.kind == "image" else self.config.video_token_id
        return torch.full((visual_tokens(visual.grid_thw, self.config.vision.spatial_merge_size),), number)


def prompt_usage(prompt: ModelInput, *, spatial_merge_size: int = 2) -> Usage:
    """Tokens of a prompt by kind: text (with special tokens), image and video."""
    visual = sum(visual_tokens(one.grid_thw, spatial_merge_size) for one in prompt.visuals)
    return _usage(prompt.token_ids_T.numel() - visual, prompt.visuals, spatial_merge_size)


def _usage(text_tokens: int, visuals: Sequence[VisualInput], merge: int) -> Usage:
    counts = {"image": 0, "video": 0}
    for visual in visuals:
        counts[visual.kind] += visual_tokens(visual.grid_thw, merge)
    return Usage(text_tokens, counts["image"], counts["video"])


def _prepared(part: ImagePart | VideoPart, visual: VisualInput) -> VisualInput:
    kind = "image" if isinstance(part, ImagePart) else "video"
    if visual.kind != kind:
        raise MessageError(visual.name, f"a prepared {visual.kind} in a part for {kind}s", f"a prepared {kind}")
    for field in fields(part)[1:]:
        if getattr(part, field.name) is not None:
            raise OptionError(f"{visual.name}: {field.name}", "set for an item that is prepared already", "none")
    return visual


def _agree(item: str, **values: int) -> None:
    if len(set(values.values())) > 1:
        seen = ", ".join(f"{value} in the {name}" for name, value in values.items())
        raise CheckpointError(item, seen, "the same in both")


def _placeholder_ids(config: Qwen2VLConfig) -> dict[str, int]:
    return {
        "<|vision_start|>": config.vision_start_token_id,
        "<|vision_end|>": config.vision_end_token_id,
        "<|image_pad|>": config.image_token_id,
        "<|video_pad|>": config.video_token_id,
    }
