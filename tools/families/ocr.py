"""Families made for documents: tiles and a padded global view, through a SAM encoder and a second one after it."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    WIDTH,
    Pair,
    make_chat_template,
    make_image_processor,
    make_tokenizer,
    square,
    text_settings,
    vision_settings,
)

GLOBAL_SIDE, LOCAL_SIDE, PATCH_SIDE = 128, 96, 2
"""Small patches: DeepSeek-OCR 2 asks 256 queries about the global view and 144 about a tile, whatever their size."""

EXPERTS: dict[str, Any] = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": WIDTH,
    "mlp_layer_types": ["dense", "sparse"],
    "num_key_value_heads": 2,
}


def _sam() -> dict[str, Any]:
    settings = vision_settings(image_side=GLOBAL_SIDE)
    del settings["intermediate_size"]
    return {
        **settings,
        "patch_size": PATCH_SIDE,
        "mlp_dim": 2 * WIDTH,
        "output_channels": 16,
        "downsample_channels": [16, WIDTH],
        "num_hidden_layers": 1,
        "window_size": 8,
        "global_attn_indexes": [],
    }


def _processor(family: str, image_processor: str) -> Any:
    processor: Any = getattr(transformers, f"{family}Processor")(
        image_processor=make_image_processor(image_processor, size=square(GLOBAL_SIDE), tile_size=LOCAL_SIDE),
        tokenizer=make_tokenizer(extra=["<image>"], adds_begin=True),
        patch_size=PATCH_SIDE,
        downsample_ratio=4,
        chat_template=make_chat_template("<image>\n"),
    )
    processor.images_kwargs = {**getattr(processor, "images_kwargs", {}), "min_patches": 2, "max_patches": 2}
    return processor


def deepseek_ocr2() -> Pair:
    """The second encoder is a language model whose queries ask the first one's features."""
    processor = _processor("DeepseekOcr2", "DeepseekOcr2ImageProcessorPil")
    text = text_settings(processor.tokenizer)
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    config = transformers.DeepseekOcr2Config(
        vision_config={"sam_config": _sam(), "encoder_config": {name: text[name] for name in names}},
        text_config={**text, **EXPERTS},
        image_token_id=processor.image_token_id,
    )
    return transformers.DeepseekOcr2ForConditionalGeneration(config), processor


def unlimited_ocr() -> Pair:
    """The second encoder is CLIP's, on the first one's features; a newline after each row of tokens."""
    processor = _processor("UnlimitedOcr", "UnlimitedOcrImageProcessor")
    config = transformers.UnlimitedOcrConfig(
        vision_config={"sam_config": _sam(), "encoder_config": vision_settings(image_side=GLOBAL_SIDE)},
        text_config={**text_settings(processor.tokenizer), **EXPERTS},
        image_token_id=processor.image_token_id,
    )
    return transformers.UnlimitedOcrForConditionalGeneration(config), processor
