"""Families that read flattened patches as Qwen-VL does, with vision towers or decoders of their own."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    PATCH_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_image_processor,
    make_processor,
    make_tokenizer,
    text_settings,
    token_ids,
    vision_settings,
)
from tools.families.qwen import (
    FLATTENED_SIZE,
    ROTARY_SECTIONS,
    qwen_processor,
    qwen_token_ids,
    vision_tower,
)


def any_size(**settings: Any) -> dict[str, Any]:
    """A tower that takes any image size."""
    return {**{key: value for key, value in vision_settings().items() if key != "image_size"}, **settings}


def cohere_compass() -> Pair:
    """As Qwen3-VL, with Cohere's decoder: attention and feed-forward side by side, a layer of it without positions."""
    tokens = {
        "image_token_id": "<|IMAGE_PAD|>",
        "video_token_id": "<|VIDEO_PAD|>",
        "vision_start_token_id": "<|VISION_START|>",
        "vision_end_token_id": "<|VISION_END|>",
    }
    processor = make_processor(
        transformers.CohereCompassProcessor,
        video_processor="CohereCompassVideoProcessor",
        image_processor=make_image_processor(
            "CohereCompassImageProcessorPil", size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=make_tokenizer(extra=list(tokens.values())),
        chat_template=make_chat_template("<|VISION_START|><|IMAGE_PAD|><|VISION_END|>"),
    )
    config = transformers.CohereCompassConfig(
        text_config={
            **text_settings(processor.tokenizer),
            "head_dim": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "sliding_window": 24,
            "rope_parameters": {"sliding_attention": dict(ROTARY_SECTIONS), "full_attention": None},
        },
        vision_config=vision_tower(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        **token_ids(processor.tokenizer, **tokens),
    )
    return transformers.CohereCompassForConditionalGeneration(config), processor


def cosmos3_omni() -> Pair:
    """Qwen3-VL under another name; it has no processor of its own and is used with Qwen3-VL's."""
    processor = qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Cosmos3OmniConfig(
        text_config={
            **text_settings(processor.tokenizer),
            "head_dim": 16,
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True},
            "model_type": "qwen3_vl_text",
        },
        vision_config=vision_tower(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Cosmos3OmniForConditionalGeneration(config), processor


def cosmos3_edge() -> Pair:
    """Patches whose features are merged two by two after the vision tower; rotary positions in three axes."""
    processor = make_processor(
        transformers.Cosmos3EdgeProcessor,
        video_processor="Cosmos3EdgeVideoProcessor",
        image_processor=make_image_processor(
            "Cosmos3EdgeImageProcessorPil", size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=make_tokenizer(extra=["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]),
        chat_template=make_chat_template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    config = transformers.Cosmos3EdgeConfig(
        text_config={
            **text_settings(processor.tokenizer),
            "head_dim": 16,
            "rope_parameters": dict(ROTARY_SECTIONS),
        },
        vision_config=any_size(num_patches=36),
        projector_hidden_size=2 * WIDTH,
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Cosmos3EdgeForConditionalGeneration(config), processor


def hyperclovax_vision_v2() -> Pair:
    """Qwen2.5-VL's tower, and a decoder with scaled residuals and one axis of positions."""
    processor = qwen_processor(transformers.HyperCLOVAXVisionV2Processor, "Qwen2VLVideoProcessor")
    config = transformers.HyperCLOVAXVisionV2Config(
        text_config={**text_settings(processor.tokenizer), "model_type": "hyperclovax"},
        vision_config={
            **vision_tower(window_size=32, fullatt_block_indexes=[1]),
            "model_type": "qwen2_5_vl_vision",
        },
        **token_ids(processor.tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    return transformers.HyperCLOVAXVisionV2ForConditionalGeneration(config), processor


def lfm3_vl() -> Pair:
    """Convolutions beside attention, in the vision tower and in the decoder."""
    processor = qwen_processor(transformers.Lfm3VlProcessor, "Qwen3VLVideoProcessor")
    config = transformers.Lfm3VlConfig(
        text_config={
            **text_settings(processor.tokenizer, layers=4),
            "model_type": "lfm3",
            "head_dim": 16,
            "sliding_window": 64,
            "layer_types": ["conv", "sliding_attention", "full_attention", "full_attention"],
        },
        vision_config=any_size(patch_size=PATCH_SIDE, num_key_value_heads=1, layer_types=["conv", "full_attention"]),
        projector_hidden_size=2 * WIDTH,
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Lfm3VlForConditionalGeneration(config), processor


def hunyuan_vl() -> Pair:
    """Rows of merged patches with a newline after each, between a begin and an end of their own; four axes."""
    named = {"image_token": "<|image|>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"}
    tokenizer = make_tokenizer(named=named, extra=["<|image_newline|>"])
    processor = transformers.HunYuanVLProcessor(
        image_processor=make_image_processor(
            "HunYuanVLImageProcessorPil", size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image_start|><|image|><|image_end|>"),
    )
    config = transformers.HunYuanVLConfig(
        text_config={
            **text_settings(tokenizer),
            "head_dim": 16,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2, 2]},
        },
        vision_config=any_size(
            patch_size=PATCH_SIDE, out_hidden_size=WIDTH, img_max_token_num=36, max_image_size=96, min_image_size=32
        ),
        **token_ids(
            tokenizer,
            image_token_id="<|image|>",
            im_start_id="<|image_start|>",
            im_end_id="<|image_end|>",
            im_newline_id="<|image_newline|>",
        ),
    )
    return transformers.HunYuanVLForConditionalGeneration(config), processor


MUSE_TOKENS = ["<|patch|>", "<|image_start|>", "<|image_end|>", "<|video|>", "<|vid_frame_separator|>", "<|vid_start|>"]


def muse_glimmer() -> Pair:
    """Attention in windows inside the vision tower; a layer of the decoder without positions."""
    processor = make_processor(
        transformers.MuseGlimmerProcessor,
        video_processor="MuseGlimmerVideoProcessor",
        image_processor=_muse_image_processor(),
        tokenizer=make_tokenizer(extra=[*MUSE_TOKENS, "<|vid_end|>"]),
        chat_template=make_chat_template(MUSE_TOKENS[0]),
    )
    config = transformers.MuseGlimmerConfig(
        **_muse_settings(processor.tokenizer),
    )
    return transformers.MuseGlimmerForConditionalGeneration(config), processor


def muse_spark() -> Pair:
    """As Muse Glimmer, with experts, and an encoder of sound that images do not use."""
    audio = ["<|audio|>", "<|soft_audio_start|>", "<|soft_audio_end|>"]
    processor = make_processor(
        transformers.MuseSparkProcessor,
        video_processor="MuseGlimmerVideoProcessor",
        image_processor=_muse_image_processor(),
        feature_extractor=transformers.MuseSparkFeatureExtractor(),
        tokenizer=make_tokenizer(extra=[*MUSE_TOKENS, "<|vid_end|>", *audio]),
        chat_template=make_chat_template(MUSE_TOKENS[0]),
    )
    settings = _muse_settings(processor.tokenizer)
    experts = {
        "moe_hidden_size": WIDTH,
        "moe_intermediate_size": WIDTH,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    }
    config = transformers.MuseSparkConfig(
        **{**settings, "text_config": {**settings["text_config"], **experts}},
        audio_config={
            "hidden_sizes": [8, 8, 8, 8],
            "depths": [1, 1, 1, 1],
            "conv_kernel_size": 3,
            "out_hidden_size": WIDTH,
        },
        **token_ids(processor.tokenizer, audio_token_id=audio[0]),
    )
    return transformers.MuseSparkForConditionalGeneration(config), processor


def _muse_image_processor() -> Any:
    return make_image_processor("MuseGlimmerImageProcessor", patch_size=PATCH_SIDE, merge_size=2, max_image_tokens=36)


def _muse_settings(tokenizer: Any) -> dict[str, Any]:
    return {
        "text_config": {
            **text_settings(tokenizer, layers=4),
            "head_dim": 16,
            "qk_scale_factor": 1.0,
            "output_multiplier": 1.0,
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention", "full_attention", "full_attention"],
        },
        "vision_config": any_size(
            patch_size=PATCH_SIDE,
            pos_emb_height=4,
            pos_emb_width=4,
            max_position_embeddings=16,
            layer_types=["window_attention", "full_attention"],
        ),
        "out_hidden_size": 4 * WIDTH,
        "projector_hidden_size": WIDTH,
        **token_ids(tokenizer, image_token_id=MUSE_TOKENS[0], video_token_id=MUSE_TOKENS[3]),
    }
