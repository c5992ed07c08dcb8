"""Cambrian: four encoders, an aggregator before the language model and more of them inside it."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    WIDTH,
    Pair,
    make_chat_template,
    make_tokenizer,
    text_settings,
    vision_settings,
)

from wherelook.models.ports.cambrian.configuration import CambrianConfig
from wherelook.models.ports.cambrian.modeling import CambrianForConditionalGeneration
from wherelook.models.ports.cambrian.processing import PUBLISHED_VIEWS, CambrianImageProcessor, CambrianProcessor

SIDES = {"siglip": 48, "clip": 40, "dinov2": 40, "convnext": 64}
"""Of each encoder's square in pixels. In patches: 6 x 6, 5 x 5, 5 x 5; 16 x 16 down to 2 x 2 in ConvNeXt's stages."""

GRID = 6


def cambrian() -> Pair:
    """Four padded squares; padding unpadded, a newline after each row; the placeholder lies beyond the vocabulary."""
    return _cambrian(transformers.LlamaConfig, language_start=0, language_aggregators=2)


def cambrian_phi3() -> Pair:
    """As Cambrian, on a Phi-3, with an aggregator before the last layer alone."""
    return _cambrian(transformers.Phi3Config, language_start=1, language_aggregators=1)


def _cambrian(text: type, *, language_start: int, language_aggregators: int) -> Pair:
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    views = {tower: {**view, "side": SIDES[tower]} for tower, view in PUBLISHED_VIEWS.items()}
    image_processor: Any = CambrianImageProcessor
    processor = CambrianProcessor(
        image_processor=image_processor(views=views, image_grid=GRID),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<image>\n"),
    )
    dinov2 = {key: value for key, value in vision_settings().items() if key != "intermediate_size"}
    config = CambrianConfig(
        siglip_config=transformers.SiglipVisionConfig(**vision_settings(image_side=SIDES["siglip"])),
        clip_config=transformers.CLIPVisionConfig(**vision_settings(image_side=SIDES["clip"]), projection_dim=WIDTH),
        # Position embeddings of 4 x 4 patches, resized to 5 x 5, as the published encoder resizes its own.
        dinov2_config=transformers.Dinov2Config(**dinov2, mlp_ratio=2, use_swiglu_ffn=True),
        convnext_config=transformers.ConvNextConfig(
            hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_norm_eps=1e-5
        ),
        text_config=text(**{**text_settings(tokenizer, layers=3), "vocab_size": len(tokenizer) - 1}),
        image_token_id=processor.image_token_id,
        vision_grids=(GRID, GRID, GRID, 2 * GRID),
        image_grid=GRID,
        vision_hidden_size=WIDTH,
        aggregator_heads=4,
        connector_layers=2,
        language_start=language_start,
        language_stride=1,
        language_aggregators=language_aggregators,
    )
    return CambrianForConditionalGeneration(config), processor
