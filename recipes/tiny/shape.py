"""Shape of the embedded checkpoint, version 0: the real architecture at about 5.6 million parameters."""

from anyres.config import ImageProcessorConfig, Qwen2VLConfig, TextConfig, VisionConfig
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.vocabulary import with_token_ids

__all__ = ["image_config", "model_config"]

WIDTH = 192
VISUAL_TOKEN_AREA = 28 * 28
# M-RoPE gives columns the slowest frequencies. With 16 of them and a base of 10,000 a column would turn a head by
# 0.003 rad at most, and the decoder could not tell neighbours apart; with 10 it is 0.12 to 0.24 rad.
ROPE_THETA = 10.0
MAX_VISUAL_TOKENS = 36  # pictures in training have no more; what is larger gets shrunk


def model_config(tokenizer: Tokenizer) -> Qwen2VLConfig:
    """Vision: 6 layers, 6 heads of 32. Decoder: 4 layers, 6 query and 2 key/value heads of 32, tied head."""
    return with_token_ids(
        tokenizer,
        vision=VisionConfig(depth=6, embed_dim=WIDTH, num_heads=6, mlp_ratio=4, hidden_size=WIDTH),
        text=TextConfig(
            hidden_size=WIDTH,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            vocab_size=tokenizer.vocab_size,
            max_position_embeddings=2048,
            rope_theta=ROPE_THETA,
            mrope_section=(4, 6, 6),
            tie_word_embeddings=True,
        ),
    )


def image_config() -> ImageProcessorConfig:
    """Pixel limits of the pictures it was trained on; a frame of a clip may cover 4 to 16 visual tokens."""
    return ImageProcessorConfig(
        min_pixels=4 * VISUAL_TOKEN_AREA,
        max_pixels=MAX_VISUAL_TOKENS * VISUAL_TOKEN_AREA,
        video_min_pixels=4 * VISUAL_TOKEN_AREA,
        video_max_pixels=16 * VISUAL_TOKEN_AREA,
    )
