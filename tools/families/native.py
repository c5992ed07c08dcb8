"""Families that the package brings itself."""

from __future__ import annotations

import transformers
from tools.families.parts import (
    PATCH_SIDE,
    TILE_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_tokenizer,
    square,
    text_settings,
    vision_settings,
)

from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig
from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration
from wherelook.models.ports.minigemini.processing import MiniGeminiImageProcessor, MiniGeminiProcessor


def mini_gemini() -> Pair:
    """One padded square for two encoders: 16 tokens of CLIP, each with 8 x 8 cells of ConvNeXt's map."""
    return _mini_gemini(transformers.LlamaConfig, image_grid=1, image_global=False, beyond_vocabulary=True)


def mini_gemini_hd() -> Pair:
    """The whole image and 2 x 2 crops for the low-resolution encoder, the whole image for the other one."""
    return _mini_gemini(transformers.MistralConfig, image_grid=2, image_global=True, beyond_vocabulary=False)


def _mini_gemini(text: type, *, image_grid: int, image_global: bool, beyond_vocabulary: bool) -> Pair:
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = MiniGeminiProcessor(
        image_processor=MiniGeminiImageProcessor(
            size=square(4 * TILE_SIDE), crop_size=square(TILE_SIDE), image_grid=image_grid, image_global=image_global
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        chat_template=make_chat_template("<image>\n"),
    )
    config = MiniGeminiConfig(
        vision_config=transformers.CLIPVisionConfig(**vision_settings(), projection_dim=WIDTH),
        high_resolution_config=transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1]),
        text_config=text(**{**text_settings(tokenizer), "vocab_size": len(tokenizer) - int(beyond_vocabulary)}),
        image_token_id=processor.image_token_id,
        image_grid=image_grid,
        image_global=image_global,
    )
    return MiniGeminiForConditionalGeneration(config), processor
