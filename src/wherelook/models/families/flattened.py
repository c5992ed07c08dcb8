"""Families that keep the aspect ratio and emit flattened patches: Qwen-VL and GLM-4V."""

from __future__ import annotations

import transformers

from .parts import (
    PATCH_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_processor,
    make_tokenizer,
    text_settings,
    token_ids,
)

# At most 36 merged cells of 16 x 16 pixels.
FLATTENED_SIZE = {"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
# A head of 16 channels has 8 rotary frequency pairs: for time, height and width.
ROTARY_SECTIONS = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}


def _qwen_processor(processor_class: type, video_processor: str) -> transformers.ProcessorMixin:
    return make_processor(
        processor_class,
        video_processor=video_processor,
        image_processor=transformers.Qwen2VLImageProcessorPil(size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2),
        tokenizer=make_tokenizer(extra=["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]),
        chat_template=make_chat_template("<|vision_start|><|image_pad|><|vision_end|>"),
    )


def _qwen_token_ids(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, int]:
    return token_ids(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )


def _qwen_vision(**settings: object) -> dict[str, object]:
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
    processor = _qwen_processor(transformers.Qwen2VLProcessor, "Qwen2VLVideoProcessor")
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
        **_qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen2VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> Pair:
    """As Qwen2-VL, with attention inside windows of 32 pixels in the first layer: patches change order there."""
    processor = _qwen_processor(transformers.Qwen2_5_VLProcessor, "Qwen2VLVideoProcessor")
    config = transformers.Qwen2_5_VLConfig(
        text_config={**text_settings(processor.tokenizer), "rope_parameters": dict(ROTARY_SECTIONS)},
        vision_config=_qwen_vision(window_size=32, fullatt_block_indexes=[1]),
        **_qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3_vl() -> Pair:
    """As Qwen2-VL, with resized position embeddings, and image features added inside the decoder too."""
    processor = _qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Qwen3VLConfig(
        text_config={
            **text_settings(processor.tokenizer),
            "head_dim": 16,
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True},
        },
        vision_config=_qwen_vision(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        **_qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def qwen3_5() -> Pair:
    """As Qwen3-VL, with a decoder of one linear (recurrent) and one full attention layer."""
    processor = _qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Qwen3_5Config(
        text_config={
            **text_settings(processor.tokenizer),
            "head_dim": 16,
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
            "layer_types": ["linear_attention", "full_attention"],
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
        },
        vision_config=_qwen_vision(num_position_embeddings=36),
        **_qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen3_5ForConditionalGeneration(config), processor


def glm4v() -> Pair:
    """Flattened patches as in Qwen2-VL with another resizing rule; one token for images and video frames."""
    tokens = [
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
        "<|video|>",
        "<|image|>",
    ]
    tokenizer = make_tokenizer(extra=tokens)
    processor = make_processor(
        transformers.Glm4vProcessor,
        video_processor="Glm4vVideoProcessor",
        # Its pixel counts include the two frames that a still image is repeated to.
        image_processor=transformers.Glm4vImageProcessorPil(
            size={"shortest_edge": 32 * 32, "longest_edge": 2 * 96 * 96}, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|begin_of_image|><|image|><|end_of_image|>"),
    )
    config = transformers.Glm4vConfig(
        text_config={
            **text_settings(tokenizer),
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5},
        },
        vision_config=_qwen_vision(image_size=48),
        **token_ids(
            tokenizer,
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            image_start_token_id="<|begin_of_image|>",
            image_end_token_id="<|end_of_image|>",
            video_start_token_id="<|begin_of_video|>",
            video_end_token_id="<|end_of_video|>",
        ),
    )
    return transformers.Glm4vForConditionalGeneration(config), processor
