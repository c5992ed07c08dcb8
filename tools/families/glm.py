"""GLM-4V and its successors: flattened patches as in Qwen2-VL, resized by another rule."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    PATCH_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_processor,
    make_tokenizer,
    text_settings,
    token_ids,
)
from tools.families.qwen import ROTARY_SECTIONS, vision_tower

# Glm4v's pixel counts include the two frames that a still image is repeated to.
FLATTENED_SIZE: dict[str, int] = {"shortest_edge": 32 * 32, "longest_edge": 2 * 96 * 96}
ROTARY: dict[str, Any] = {**ROTARY_SECTIONS, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
TOKENS: dict[str, str] = {
    "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>",
    "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
    "video_token_id": "<|video|>",
    "image_token_id": "<|image|>",
}


def _glm_processor(generation: str) -> Any:
    """The processor of generation "Glm4v" or "Glm46V"."""
    return make_processor(
        getattr(transformers, f"{generation}Processor"),
        video_processor=f"{generation}VideoProcessor",
        video={"size": FLATTENED_SIZE, "patch_size": PATCH_SIDE, "merge_size": 2},
        image_processor=getattr(transformers, f"{generation}ImageProcessorPil")(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=make_tokenizer(extra=list(TOKENS.values())),
        chat_template=make_chat_template(
            "<|begin_of_image|><|image|><|end_of_image|>", video="<|begin_of_video|><|video|><|end_of_video|>"
        ),
    )


def glm4v() -> Pair:
    """The first one: rotary positions in three axes, of half of each head."""
    processor = _glm_processor("Glm4v")
    config = transformers.Glm4vConfig(
        text_config={**text_settings(processor.tokenizer), "rope_parameters": dict(ROTARY)},
        vision_config=vision_tower(image_size=48),
        **token_ids(processor.tokenizer, **TOKENS),
    )
    return transformers.Glm4vForConditionalGeneration(config), processor


def glm4v_moe() -> Pair:
    """As GLM-4V, with experts from the second layer on."""
    processor = _glm_processor("Glm4v")
    config = transformers.Glm4vMoeConfig(
        text_config={
            **text_settings(processor.tokenizer),
            "rope_parameters": dict(ROTARY),
            "head_dim": 16,
            "moe_intermediate_size": WIDTH,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
        },
        vision_config=vision_tower(image_size=48),
        **token_ids(processor.tokenizer, **TOKENS),
    )
    return transformers.Glm4vMoeForConditionalGeneration(config), processor


def glm46v() -> Pair:
    """As GLM-4V, with a processor of its own."""
    return _glm46v(transformers.Glm46VConfig)


def glmga() -> Pair:
    """GLM-4.6V under another name."""
    return _glm46v(transformers.GlmgaConfig)


def _glm46v(config_class: type) -> Pair:
    processor = _glm_processor("Glm46V")
    config = config_class(
        text_config={
            **text_settings(processor.tokenizer),
            "model_type": "glm4v_text",
            "rope_parameters": dict(ROTARY),
        },
        vision_config={**vision_tower(image_size=48), "model_type": "glm4v_vision"},
        **token_ids(processor.tokenizer, **TOKENS),
    )
    return transformers.Glm46VForConditionalGeneration(config), processor


def glm_ocr() -> Pair:
    """As GLM-4.6V, with a normalized vision tower."""
    processor = _glm_processor("Glm46V")
    config = transformers.GlmOcrConfig(
        text_config={**text_settings(processor.tokenizer), "rope_parameters": dict(ROTARY), "head_dim": 16},
        vision_config=vision_tower(),
        **token_ids(processor.tokenizer, **TOKENS),
    )
    return transformers.GlmOcrForConditionalGeneration(config), processor
