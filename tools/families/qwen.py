"""Families that keep the aspect ratio and emit flattened patches: Qwen-VL, and what is made like it."""

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
    vision_settings,
)

# At most 36 merged cells of 16 x 16 pixels.
FLATTENED_SIZE: dict[str, int] = {"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
FLATTENED_VIDEO: dict[str, Any] = {"size": FLATTENED_SIZE, "patch_size": PATCH_SIDE, "merge_size": 2}
# A head of 16 channels has 8 rotary frequency pairs: for time, height and width.
ROTARY_SECTIONS: dict[str, Any] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}


def qwen_processor(processor_class: type, video_processor: str) -> Any:
    return make_processor(
        processor_class,
        video_processor=video_processor,
        video=FLATTENED_VIDEO,
        image_processor=transformers.Qwen2VLImageProcessorPil(size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2),
        tokenizer=make_tokenizer(extra=["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]),
        chat_template=make_chat_template(
            "<|vision_start|><|image_pad|><|vision_end|>", video="<|vision_start|><|video_pad|><|vision_end|>"
        ),
    )


EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": WIDTH}
"""A feed-forward part of four experts, of which two are asked."""


def qwen_token_ids(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return token_ids(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )


def vision_tower(**settings: Any) -> dict[str, Any]:
    return {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "patch_size": PATCH_SIDE,
        **settings,
    }


def qwen2_vl() -> Pair:
    """Any size, rounded to multiples of 16 pixels; flattened patches; rotary positions in three axes."""
    processor = qwen_processor(transformers.Qwen2VLProcessor, "Qwen2VLVideoProcessor")
    config = transformers.Qwen2VLConfig(
        text_config={**text_settings(processor.tokenizer), "rope_parameters": dict(ROTARY_SECTIONS)},
        vision_config={
            "depth": 2,
            "embed_dim": WIDTH,
            "hidden_size": WIDTH,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": PATCH_SIDE,
        },
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen2VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> Pair:
    """As Qwen2-VL, with attention inside windows of 32 pixels in the first layer: patches change order there."""
    processor = qwen_processor(transformers.Qwen2_5_VLProcessor, "Qwen2VLVideoProcessor")
    config = transformers.Qwen2_5_VLConfig(
        text_config={**text_settings(processor.tokenizer), "rope_parameters": dict(ROTARY_SECTIONS)},
        vision_config=vision_tower(window_size=32, fullatt_block_indexes=[1]),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen3_text(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        **text_settings(tokenizer),
        "head_dim": 16,
        "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True},
    }


def qwen3_vl() -> Pair:
    """As Qwen2-VL, with resized position embeddings, and image features added inside the decoder too."""
    processor = qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Qwen3VLConfig(
        text_config=_qwen3_text(processor.tokenizer),
        vision_config=vision_tower(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def qwen3_vl_moe() -> Pair:
    """As Qwen3-VL, with experts."""
    processor = qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Qwen3VLMoeConfig(
        text_config={**_qwen3_text(processor.tokenizer), **EXPERTS},
        vision_config=vision_tower(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen3VLMoeForConditionalGeneration(config), processor


def qwen3_5_text(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        **text_settings(tokenizer),
        "head_dim": 16,
        "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
        "layer_types": ["linear_attention", "full_attention"],
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
    }


def qwen3_5() -> Pair:
    """As Qwen3-VL, with a decoder of one linear (recurrent) and one full attention layer."""
    processor = qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Qwen3_5Config(
        text_config=qwen3_5_text(processor.tokenizer),
        vision_config=vision_tower(num_position_embeddings=36),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen3_5ForConditionalGeneration(config), processor


def qwen3_5_moe() -> Pair:
    """As Qwen3.5, with experts, one of them always asked."""
    processor = qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Qwen3_5MoeConfig(
        text_config={**qwen3_5_text(processor.tokenizer), **EXPERTS, "shared_expert_intermediate_size": WIDTH},
        vision_config=vision_tower(num_position_embeddings=36),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen3_5MoeForConditionalGeneration(config), processor


def exaone4_5() -> Pair:
    """As Qwen2.5-VL, with fewer heads for keys than for queries in the vision tower, and one axis of positions."""
    processor = qwen_processor(transformers.Exaone4_5_Processor, "Qwen2VLVideoProcessor")
    config = transformers.Exaone4_5_Config(
        text_config={
            **text_settings(processor.tokenizer),
            "model_type": "exaone4",
            "layer_types": ["full_attention", "full_attention"],
        },
        vision_config=vision_tower(window_size=32, fullatt_block_indexes=[1], num_key_value_heads=1),
        **token_ids(processor.tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    return transformers.Exaone4_5_ForConditionalGeneration(config), processor


def video_llama_3() -> Pair:
    """Flattened patches whose features are merged two by two after the vision tower, without positions of their own."""
    processor = make_processor(
        transformers.VideoLlama3Processor,
        video_processor="VideoLlama3VideoProcessor",
        video=FLATTENED_VIDEO,
        image_processor=transformers.VideoLlama3ImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=make_tokenizer(extra=["<|image_pad|>", "<|video_pad|>"]),
        chat_template=make_chat_template("<|image_pad|>\n", video="<|video_pad|>\n"),
    )
    settings = {key: value for key, value in vision_settings().items() if key != "image_size"}
    config = transformers.VideoLlama3Config(
        text_config=transformers.Qwen2Config(**text_settings(processor.tokenizer)),
        vision_config=settings,
        **token_ids(processor.tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    return transformers.VideoLlama3ForConditionalGeneration(config), processor


def paddleocr_vl() -> Pair:
    """Flattened patches, rotary positions in three axes, position embeddings resized to the image."""
    tokenizer = make_tokenizer(
        named={"image_token": "<|IMAGE_PLACEHOLDER|>"}, extra=["<|IMAGE_START|>", "<|IMAGE_END|>", "<|video_pad|>"]
    )
    processor = transformers.PaddleOCRVLProcessor(
        image_processor=transformers.PaddleOCRVLImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>"),
    )
    config = transformers.PaddleOCRVLConfig(
        text_config={**text_settings(tokenizer), "head_dim": 16, "rope_parameters": dict(ROTARY_SECTIONS)},
        vision_config=vision_settings(),
        **token_ids(
            tokenizer,
            image_token_id="<|IMAGE_PLACEHOLDER|>",
            video_token_id="<|video_pad|>",
            vision_start_token_id="<|IMAGE_START|>",
            vision_end_token_id="<|IMAGE_END|>",
        ),
    )
    return transformers.PaddleOCRVLForConditionalGeneration(config), processor


def ernie4_5_vl_moe() -> Pair:
    """Flattened patches; experts of their own for image and for text tokens."""
    named = {
        "image_token": "<|IMAGE_PLACEHOLDER|>",
        "image_start_token": "<|IMAGE_START|>",
        "image_end_token": "<|IMAGE_END|>",
        "video_token": "<|VIDEO_PLACEHOLDER|>",
        "video_start_token": "<|VIDEO_START|>",
        "video_end_token": "<|VIDEO_END|>",
    }
    tokenizer = make_tokenizer(named=named)
    processor = make_processor(
        transformers.Ernie4_5_VLMoeProcessor,
        video_processor="Ernie4_5_VLMoeVideoProcessor",
        image_processor=transformers.Ernie4_5_VLMoeImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>"),
    )
    config = transformers.Ernie4_5_VLMoeConfig(
        text_config={
            **text_settings(tokenizer),
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_section": [3, 3, 2]},
            "moe_intermediate_size": [WIDTH, WIDTH],
            "moe_k": 2,
            "moe_num_experts": 4,
            "moe_num_shared_experts": 1,
            "mlp_layer_types": ["dense", "sparse"],
        },
        vision_config={key: value for key, value in vision_tower().items() if key != "out_hidden_size"},
        **token_ids(
            tokenizer,
            **{f"{name}_id": token for name, token in named.items()},
        ),
    )
    return transformers.Ernie4_5_VLMoeForConditionalGeneration(config), processor
