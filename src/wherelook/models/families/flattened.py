"""Families that read flattened patches as Qwen-VL does, with vision towers or decoders of their own."""

from __future__ import annotations

from typing import Any

import transformers

from wherelook.models.families.glm import TOKENS as GLM_TOKENS
from wherelook.models.families.parts import (
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
from wherelook.models.families.qwen import (
    EXPERTS,
    FLATTENED_SIZE,
    ROTARY_SECTIONS,
    qwen_processor,
    qwen_token_ids,
    vision_tower,
)


def _vision(**settings: Any) -> dict[str, Any]:
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
        image_processor=transformers.CohereCompassImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
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
        image_processor=transformers.Cosmos3EdgeImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
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
        vision_config=_vision(num_patches=36),
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
        vision_config=_vision(patch_size=PATCH_SIDE, num_key_value_heads=1, layer_types=["conv", "full_attention"]),
        projector_hidden_size=2 * WIDTH,
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Lfm3VlForConditionalGeneration(config), processor


def qwen4_exp() -> Pair:
    """As Qwen3.5 with experts, and several residual streams in the decoder."""
    processor = qwen_processor(transformers.Qwen3VLProcessor, "Qwen3VLVideoProcessor")
    settings = {key: value for key, value in text_settings(processor.tokenizer).items() if key != "intermediate_size"}
    config = transformers.Qwen4ExpConfig(
        text_config={
            **settings,
            **EXPERTS,
            "shared_expert_intermediate_size": WIDTH,
            "head_dim": 16,
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
            "layer_types": ["linear_attention", "indexed_attention"],
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "hc_count": 2,
            "hc_lowrank": 8,
            "indexer_n_heads": 2,
            "indexer_kv_heads": 1,
            "indexer_head_dim": 16,
            "indexer_budget": 256,
            "indexer_compress_ratio": 4,
        },
        vision_config=vision_tower(num_position_embeddings=36),
        **qwen_token_ids(processor.tokenizer),
    )
    return transformers.Qwen4ExpForConditionalGeneration(config), processor


def hunyuan_vl() -> Pair:
    """Rows of merged patches with a newline after each, between a begin and an end of their own; four axes."""
    named = {"image_token": "<|image|>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"}
    tokenizer = make_tokenizer(named=named, extra=["<|image_newline|>"])
    processor = transformers.HunYuanVLProcessor(
        image_processor=transformers.HunYuanVLImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
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
        vision_config=_vision(
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


LATENT_ATTENTION: dict[str, Any] = {
    "num_key_value_heads": 2,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
}
"""Keys and values from a vector that all heads share, as DeepSeek-V3's."""
ROUTED_EXPERTS: dict[str, Any] = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": WIDTH,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
"""A dense layer, then layers of four experts, of which two are asked, and one that is always asked."""


def kimi_k25() -> Pair:
    """Patches of the image as it is, padded to whole cells; a decoder with latent attention and experts."""
    tokens = {
        "image_token_id": "<|media_pad|>",
        "video_token_id": "<|kimi_k25_video_placeholder|>",
        "vision_start_token_id": "<|media_begin|>",
        "vision_end_token_id": "<|media_end|>",
    }
    processor = make_processor(
        transformers.Kimi_K25Processor,
        video_processor="Kimi_K25VideoProcessor",
        image_processor=transformers.Kimi_K25ImageProcessor(max_patches=144, patch_size=PATCH_SIDE, merge_size=2),
        tokenizer=make_tokenizer(extra=list(tokens.values())),
        chat_template=make_chat_template("<|media_begin|><|media_pad|><|media_end|>"),
    )
    config = transformers.Kimi_K25Config(
        text_config={
            **text_settings(processor.tokenizer),
            **LATENT_ATTENTION,
            **ROUTED_EXPERTS,
            "model_type": "deepseek_v3",
        },
        vision_config=_vision(patch_size=PATCH_SIDE, pos_emb_height=8, pos_emb_width=8),
        projection_hidden_size=WIDTH,
        tie_word_embeddings=False,
        **token_ids(processor.tokenizer, **tokens),
    )
    return transformers.Kimi_K25ForConditionalGeneration(config), processor


def minimax_m3_vl() -> Pair:
    """Flattened patches, merged two by two after the vision tower; a decoder with sparse attention and experts."""
    tokens = ["]<]image[>[", "]<]video[>[", "]<]start of image[>[", "]<]end of image[>["]
    processor = make_processor(
        transformers.MiniMaxM3VLProcessor,
        video_processor="MiniMaxM3VLVideoProcessor",
        image_processor=transformers.MiniMaxM3VLImageProcessor(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
        ),
        tokenizer=make_tokenizer(extra=tokens),
        chat_template=make_chat_template(tokens[0]),
    )
    config = transformers.MiniMaxM3VLConfig(
        text_config={
            **text_settings(processor.tokenizer),
            "head_dim": 16,
            "rotary_dim": 8,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "dense_intermediate_size": 2 * WIDTH,
            "shared_intermediate_size": WIDTH,
            "mlp_layer_types": ["dense", "sparse"],
            "layer_types": ["full_attention", "minimax_m3_sparse"],
            "index_n_heads": 1,
            "index_head_dim": 16,
            "index_block_size": 16,
        },
        vision_config=vision_settings(image_side=96),
        projector_hidden_size=WIDTH,
        **token_ids(processor.tokenizer, image_token_index=tokens[0], video_token_index=tokens[1]),
    )
    return transformers.MiniMaxM3SparseForConditionalGeneration(config), processor


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
    return transformers.MuseGlimmerImageProcessor(patch_size=PATCH_SIDE, merge_size=2, max_image_tokens=36)


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
        "vision_config": _vision(
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


def glm5_next() -> Pair:
    """Linear attention beside sparse latent attention, several residual streams, experts."""
    processor = make_processor(
        transformers.Glm5NextProcessor,
        video_processor="Glm5NextVideoProcessor",
        image_processor=transformers.Glm5NextImageProcessorPil(
            patch_size=PATCH_SIDE, merge_size=2, min_image_tokens=4, max_image_tokens=36
        ),
        tokenizer=make_tokenizer(extra=list(GLM_TOKENS.values())),
        chat_template=make_chat_template("<|begin_of_image|><|image|><|end_of_image|>"),
    )
    config = transformers.Glm5NextConfig(
        text_config={
            **text_settings(processor.tokenizer),
            **LATENT_ATTENTION,
            **{name: value for name, value in ROUTED_EXPERTS.items() if name != "first_k_dense_replace"},
            "qk_rope_head_dim": 0,
            "mlp_layer_types": ["dense", "sparse"],
            "layer_types": ["linear_attention", "indexed_attention"],
            "index_topk": 256,
            "index_head_dim": 16,
            "index_n_heads": 2,
            "index_kpool": 4,
            "linear_head_dim": 16,
            "linear_num_heads": 2,
            "hc_mult": 2,
        },
        vision_config=vision_tower(image_size=48, projection_intermediate_size=2 * WIDTH),
        **token_ids(processor.tokenizer, **GLM_TOKENS),
    )
    return transformers.Glm5NextForConditionalGeneration(config), processor


def dots3_note() -> Pair:
    """Latent attention in windows and over all, experts in the vision tower and in the decoder; an encoder of sound."""
    tokens = {"image_token_id": "<|imgpad|>", "video_token_id": "<|video_pad|>", "audio_token_id": "<|audio_comp_pad|>"}
    processor = make_processor(
        transformers.Dots3NoteProcessor,
        video_processor="Qwen2VLVideoProcessor",
        image_processor=transformers.Qwen2VLImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2, temporal_patch_size=1
        ),
        feature_extractor=transformers.Dots3NoteFeatureExtractor(),
        tokenizer=make_tokenizer(extra=list(tokens.values())),
        chat_template=make_chat_template("<|imgpad|>"),
    )
    sliding = {name: 8 for name in ("swa_q_lora_rank", "swa_kv_lora_rank", "swa_qk_nope_head_dim", "swa_v_head_dim")}
    config = transformers.Dots3NoteConfig(
        text_config={
            **text_settings(processor.tokenizer, layers=3),
            **LATENT_ATTENTION,
            **ROUTED_EXPERTS,
            **sliding,
            "swa_num_attention_heads": 2,
            "swa_num_key_value_heads": 2,
            "swa_head_dim": 16,
            "head_dim": 16,
            "shared_experts_intermediate_size": WIDTH,
            "index_topk": 256,
            "index_head_dim": 16,
            "index_n_heads": 2,
            "sliding_window": 64,
            "layer_types": ["indexed_attention", "sliding_attention", "indexed_attention"],
        },
        vision_config=_vision(
            patch_size=PATCH_SIDE,
            adapter_in_dim=WIDTH,
            adapter_out_dim=WIDTH,
            pyramid_num_routed=[-1, 4],
            moe_intermediate_size=WIDTH,
        ),
        audio_config={
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "downsample_hidden_size": 8,
            "adapter_input_size": WIDTH,
            "adapter_out_dim": WIDTH,
        },
        **token_ids(processor.tokenizer, **tokens),
    )
    return transformers.Dots3NoteForConditionalGeneration(config), processor


def _inkling_text(tokenizer: Any) -> dict[str, Any]:
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    return {
        **text_settings(tokenizer),
        **heads,
        **{f"swa_{name}": value for name, value in heads.items()},
        "d_rel": 8,
        "rel_extent": 64,
        "sliding_window_size": 64,
        "layer_types": ["hybrid_sliding", "hybrid"],
        "moe_intermediate_size": WIDTH,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "unpadded_vocab_size": len(tokenizer),
    }


def inkling_mm_model() -> Pair:
    """Squares of the image as it is, each folded into one token; convolutions beside attention in the decoder."""
    tokenizer = make_tokenizer(
        named={"image_token": "<|image|>", "audio_token": "<|audio|>"}, extra=["<|content_image|>", "<|content_audio|>"]
    )
    processor = transformers.InklingProcessor(
        feature_extractor=transformers.InklingFeatureExtractor(),
        image_processor=transformers.InklingImageProcessor(
            size={"height": 16, "width": 16}, rescale_image_frac=0.4
        ),
        tokenizer=tokenizer,
        image_bos_token="<|content_image|>",
        audio_bos_token="<|content_audio|>",
        chat_template=make_chat_template("<|content_image|><|image|>"),
    )
    config = transformers.InklingConfig(
        text_config={
            **_inkling_text(tokenizer),
            "n_shared_experts": 1,
            "logits_mup_width_multiplier": 1.0,
            "mlp_layer_types": ["dense", "sparse"],
        },
        vision_config={"num_hidden_layers": 3, "patch_size": 16},
        audio_config={"n_mel_bins": 8, "mel_vocab_size": 8},
        **token_ids(
            tokenizer,
            image_token_id="<|image|>",
            audio_token_id="<|audio|>",
            image_bos_token_id="<|content_image|>",
            audio_bos_token_id="<|content_audio|>",
        ),
    )
    return transformers.InklingForConditionalGeneration(config), processor


def inkling2() -> Pair:
    """Squares of the padded image, each cut into four patches for the vision tower and merged again."""
    tokenizer = make_tokenizer(named={"image_token": "<|image|>"})
    processor = transformers.Inkling2Processor(
        image_processor=transformers.Inkling2ImageProcessor(size={"height": 40, "width": 40}),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image|>"),
    )
    settings = {key: value for key, value in _inkling_text(tokenizer).items() if key != "intermediate_size"}
    config = transformers.Inkling2Config(
        text_config={**settings, "n_layers_per_attn_res_block": 2, "route_scale": 1.0},
        vision_config=_vision(patch_size=20, posemb_grid_size=8, projection_hidden_dim=WIDTH, text_hidden_size=WIDTH),
        image_token_id=processor.image_token_id,
    )
    return transformers.Inkling2ForConditionalGeneration(config), processor
