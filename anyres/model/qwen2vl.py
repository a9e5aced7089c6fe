"""Qwen2-VL: the vision encoder, the decoder, and the splice between them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anyres.config import Qwen2VLConfig
from anyres.model.language import Attend, LanguageModel
from anyres.model.vision import VisionEncoder
from anyres.model_input import Grid

__all__ = ["Qwen2VL"]


class Qwen2VL(nn.Module):
    """The whole model. Keys of `state_dict()` are the names in the published checkpoints.

    A prompt runs as `visual_MD = encode(...)`, `embeds_TD = embed(ids, visual_MD)`,
    `hidden_TD = model(embeds_TD, positions_3T, attend)`, `logits_NV = head(hidden rows that matter)`.
    """

    def __init__(
        self, config: Qwen2VLConfig, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.config = config
        with torch.device(device or "cpu"):
            self.visual = VisionEncoder(config.vision)
            self.model = LanguageModel(config.text)
            if not config.text.tie_word_embeddings:
                self.lm_head = nn.Linear(config.text.hidden_size, config.text.vocab_size, bias=False)
        if dtype is not None:
            self.to(dtype)

    @property
    def device(self) -> torch.device:
        return self.model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations; weights may be kept in fewer bits."""
        return self.model.norm.weight.dtype

    def encode(self, pixels_PX: Tensor, grids: Sequence[Grid]) -> Tensor:
        """Visual tokens of packed pictures and clips: visual_MD."""
        visual_MD: Tensor = self.visual(pixels_PX, grids)
        return visual_MD

    def embed(self, token_ids_T: Tensor, visual_MD: Tensor | None = None) -> Tensor:
        """Embeddings of the prompt, with visual tokens in place of the placeholders, in order."""
        embeds_TD: Tensor = self.model.embed_tokens(token_ids_T)
        if visual_MD is None:
            return embeds_TD
        is_visual_T = (token_ids_T == self.config.image_token_id) | (token_ids_T == self.config.video_token_id)
        assert int(is_visual_T.sum()) == len(visual_MD), "placeholders and visual tokens differ in number"
        return embeds_TD.masked_scatter(is_visual_T[:, None], visual_MD.to(embeds_TD.dtype))

    def forward(self, embeds_TD: Tensor, positions_3T: Tensor, attend: Attend) -> Tensor:
        hidden_TD: Tensor = self.model(embeds_TD, positions_3T, attend)
        return hidden_TD

    def head(self, hidden_ND: Tensor) -> Tensor:
        """logits_NV, float32."""
        tied = self.config.text.tie_word_embeddings
        logits_NV: Tensor = self.model.embed_tokens.logits(hidden_ND) if tied else self.lm_head(hidden_ND)
        return logits_NV.float()
