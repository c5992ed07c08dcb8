"""Large families whose decoders leave most of themselves out at a time: experts, latent or indexed attention."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.flattened import any_size
from tools.families.glm import TOKENS as GLM_TOKENS
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
    EXPERTS,
    FLATTENED_SIZE,
    FLATTENED_VIDEO,
    ROTARY_SECTIONS,
    qwen_processor,
    qwen_token_ids,
    vision_tower,
)

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
        image_processor=make_image_processor(
            "Kimi_K25ImageProcessor", max_patches=144, patch_size=PATCH_SIDE, merge_size=2
        ),
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
        vision_config=any_size(patch_size=PATCH_SIDE, pos_emb_height=8, pos_emb_width=8),
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
        image_processor=make_image_processor(
            "MiniMaxM3VLImageProcessor", size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2
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


def glm5_next() -> Pair:
    """Linear attention beside sparse latent attention, several residual streams, experts."""
    processor = make_processor(
        transformers.Glm5NextProcessor,
        video_processor="Glm5NextVideoProcessor",
        video={"patch_size": PATCH_SIDE, "merge_size": 2},
        image_processor=make_image_processor(
            "Glm5NextImageProcessorPil", patch_size=PATCH_SIDE, merge_size=2, min_image_tokens=4, max_image_tokens=36
        ),
        tokenizer=make_tokenizer(extra=list(GLM_TOKENS.values())),
        chat_template=make_chat_template(
            "<|begin_of_image|><|image|><|end_of_image|>", video="<|begin_of_video|><|video|><|end_of_video|>"
        ),
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
        video={**FLATTENED_VIDEO, "temporal_patch_size": 1},
        image_processor=transformers.Qwen2VLImageProcessorPil(
            size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2, temporal_patch_size=1
        ),
        feature_extractor=transformers.Dots3NoteFeatureExtractor(),
        tokenizer=make_tokenizer(extra=list(tokens.values())),
        chat_template=make_chat_template("<|imgpad|>", video="<|video_pad|>"),
    )
    sliding = dict.fromkeys(("swa_q_lora_rank", "swa_kv_lora_rank", "swa_qk_nope_head_dim", "swa_v_head_dim"), 8)
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
        vision_config=any_size(
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
        image_processor=make_image_processor(
            "InklingImageProcessor", size={"height": 16, "width": 16}, rescale_image_frac=0.4
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
        image_processor=make_image_processor("Inkling2ImageProcessor", size={"height": 40, "width": 40}),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image|>"),
    )
    settings = {key: value for key, value in _inkling_text(tokenizer).items() if key != "intermediate_size"}
    config = transformers.Inkling2Config(
        text_config={**settings, "n_layers_per_attn_res_block": 2, "route_scale": 1.0},
        vision_config=any_size(patch_size=20, posemb_grid_size=8, projection_hidden_dim=WIDTH, text_hidden_size=WIDTH),
        image_token_id=processor.image_token_id,
    )
    return transformers.Inkling2ForConditionalGeneration(config), processor
