"""Families that also hear or act: the part that sees, with the other encoders as small as they go."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    PATCH_SIDE,
    TILE_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_image_processor,
    make_processor,
    make_tokenizer,
    square,
    text_settings,
    token_ids,
    vision_settings,
)
from tools.families.qwen import EXPERTS, FLATTENED_SIZE, FLATTENED_VIDEO, ROTARY_SECTIONS, vision_tower

OMNI_TOKENS: dict[str, str] = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
HEARING: dict[str, Any] = {
    "d_model": WIDTH,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": WIDTH,
    "output_dim": WIDTH,
}


def _omni_processor(processor_class: type) -> Any:
    return make_processor(
        processor_class,
        video_processor="Qwen2VLVideoProcessor",
        video=FLATTENED_VIDEO,
        image_processor=transformers.Qwen2VLImageProcessorPil(size=FLATTENED_SIZE, patch_size=PATCH_SIDE, merge_size=2),
        feature_extractor=transformers.WhisperFeatureExtractor(feature_size=128),
        tokenizer=make_tokenizer(named=OMNI_TOKENS),
        chat_template=make_chat_template(
            "<|vision_bos|><|IMAGE|><|vision_eos|>", video="<|vision_bos|><|VIDEO|><|vision_eos|>"
        ),
    )


def qwen2_5_omni_thinker() -> Pair:
    """Qwen2.5-VL that also hears."""
    processor = _omni_processor(transformers.Qwen2_5OmniProcessor)
    config: Any = transformers.Qwen2_5OmniThinkerConfig(
        text_config={**text_settings(processor.tokenizer), "rope_parameters": dict(ROTARY_SECTIONS)},
        vision_config=vision_tower(window_size=32, fullatt_block_indexes=[1]),
        audio_config=HEARING,
        **token_ids(
            processor.tokenizer,
            image_token_index="<|IMAGE|>",
            video_token_index="<|VIDEO|>",
            audio_token_index="<|AUDIO|>",
            audio_start_token_id="<|audio_bos|>",
            audio_end_token_id="<|audio_eos|>",
        ),
    )
    config.vision_start_token_id = processor.tokenizer.vision_bos_token_id  # the whole model's, which the thinker reads
    return transformers.Qwen2_5OmniThinkerForConditionalGeneration(config), processor


def qwen3_omni_moe_thinker() -> Pair:
    """Qwen3-VL with experts that also hears."""
    processor = _omni_processor(transformers.Qwen3OmniMoeProcessor)
    config: Any = transformers.Qwen3OmniMoeThinkerConfig(
        text_config={
            **text_settings(processor.tokenizer),
            **EXPERTS,
            "head_dim": 16,
            "rope_parameters": {**ROTARY_SECTIONS, "mrope_interleaved": True},
        },
        vision_config=vision_tower(num_position_embeddings=36, deepstack_visual_indexes=[0]),
        audio_config={**HEARING, "downsample_hidden_size": 8},
        **token_ids(
            processor.tokenizer,
            image_token_id="<|IMAGE|>",
            video_token_id="<|VIDEO|>",
            audio_token_id="<|AUDIO|>",
            audio_start_token_id="<|audio_bos|>",
        ),
    )
    config.vision_start_token_id = processor.tokenizer.vision_bos_token_id
    return transformers.Qwen3OmniMoeThinkerForConditionalGeneration(config), processor


def nemotron_h_omni() -> Pair:
    """Flattened patches through RADIO; a decoder of state space, attention, feed-forward and experts in turn."""
    named = {"image_token": "<image>", "video_token": "<video>", "audio_token": "<so_embedding>"}
    tokenizer = make_tokenizer(named=named, extra=["<img>", "</img>", "<so_start>", "<so_end>"])
    processor = make_processor(
        transformers.NemotronH_Omni_Reasoning_V3Processor,
        video_processor="NemotronH_Omni_Reasoning_V3VideoProcessor",
        image_processor=make_image_processor(
            "NemotronH_Omni_Reasoning_V3ImageProcessor", patch_size=PATCH_SIDE, min_num_patches=16, max_num_patches=144
        ),
        feature_extractor=transformers.ParakeetFeatureExtractor(),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<image>"),
    )
    settings = {key: value for key, value in text_settings(tokenizer).items() if key != "num_hidden_layers"}
    config = transformers.NemotronH_Omni_Reasoning_V3_Config(
        vision_config={
            "model_type": "radio",
            "hidden_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": PATCH_SIDE,
            "image_size": 96,
            "max_img_size": 128,
            "video_temporal_patch_size": 2,
        },
        text_config={
            "model_type": "nemotron_h",
            **settings,
            "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
            "head_dim": 16,
            "ssm_state_size": 8,
            "mamba_num_heads": 4,
            "mamba_head_dim": 16,
            "n_groups": 1,
            "chunk_size": 16,
            "n_routed_experts": 4,
            "moe_intermediate_size": WIDTH,
            "moe_shared_expert_intermediate_size": WIDTH,
        },
        projector_hidden_size=WIDTH,
        vision_hidden_size=WIDTH,
        **token_ids(tokenizer, image_token_id="<image>", video_token_id="<video>", audio_token_id="<so_embedding>"),
    )
    return transformers.NemotronH_Omni_Reasoning_V3(config), processor


def pi0() -> Pair:
    """A policy of a robot: PaliGemma, and a second transformer that makes actions of what it sees and of its state."""
    tokenizer = make_tokenizer()
    processor = transformers.PI0Processor(
        image_processor=make_image_processor("PI0ImageProcessor", size=square(TILE_SIDE), image_seq_length=16),
        tokenizer=tokenizer,
        max_state_dim=4,
        chunk_size=4,
    )
    decoder = {**text_settings(tokenizer), "head_dim": 16}
    config = transformers.PI0Config(
        vlm_config={
            "model_type": "paligemma",
            "vision_config": {**vision_settings(), "model_type": "siglip_vision_model", "vision_use_head": False},
            "text_config": {**decoder, "model_type": "gemma"},
            "projection_dim": WIDTH,
            "image_token_index": processor.image_token_id,
        },
        dit_config={**decoder, "model_type": "gemma"},
        chunk_size=4,
        max_state_dim=4,
        max_action_dim=4,
    )
    return transformers.PI0ForConditionalGeneration(config), processor


def perception_lm() -> Pair:
    """Tiles and a thumbnail through a transformer of timm, whose features are pooled two by two."""
    tokenizer = make_tokenizer(named={"image_token": "<|image|>", "video_token": "<|video|>"}, adds_begin=True)
    processor = make_processor(
        transformers.PerceptionLMProcessor,
        video_processor="PerceptionLMVideoProcessor",
        video={"size": square(TILE_SIDE)},
        image_processor=make_image_processor("PerceptionLMImageProcessor", tile_size=TILE_SIDE, max_num_tiles=6),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        pooling_ratio=2,
        chat_template=make_chat_template("<|image|>", video="<|video|>"),
    )
    config = transformers.PerceptionLMConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_large_patch14_336",
            "do_pooling": False,
            "model_args": {
                "embed_dim": WIDTH,
                "depth": 2,
                "num_heads": 2,
                "img_size": [TILE_SIDE, TILE_SIDE],
                "patch_size": PATCH_SIDE,
                "global_pool": "",
                "use_post_transformer_norm": False,
                "ref_feat_shape": [4, 4],
            },
        },
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        vision_use_cls_token=True,
        projector_pooling_ratio=2,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
    )
    return transformers.PerceptionLMForConditionalGeneration(config), processor


def evolla() -> Pair:
    """A model of proteins, which Transformers lists among those of images; it reads a sequence of amino acids."""
    tokenizer = make_tokenizer(extra=["<|reserved_special_token_0|>"])
    processor = transformers.EvollaProcessor(protein_tokenizer=make_tokenizer(), tokenizer=tokenizer)
    config = transformers.EvollaConfig(
        **text_settings(tokenizer, layers=2),
        protein_encoder_config={
            "vocab_size": 340,
            "hidden_size": WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": WIDTH,
            "pad_token_id": 1,
        },
        aligner_num_add_layers=1,
        resampler_depth=1,
        resampler_dim_head=16,
        resampler_heads=2,
        resampler_num_latents=4,
    )
    return transformers.EvollaForProteinText2Text(config), processor
