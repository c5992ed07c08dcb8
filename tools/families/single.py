"""Families with one view of the image: a stretched or padded square, or the image's own shape."""

from __future__ import annotations

from typing import Any

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


def deepseek_vl_hybrid() -> Pair:
    """Two pixel tensors of different sizes, padded to squares, for a SigLIP and a SAM encoder."""
    tokenizer = make_tokenizer(named={"image_token": "<image_placeholder>"}, adds_begin=True)
    processor = transformers.DeepseekVLHybridProcessor(
        image_processor=transformers.DeepseekVLHybridImageProcessorPil(
            size=square(TILE_SIDE), high_res_size=square(2 * TILE_SIDE)
        ),
        tokenizer=tokenizer,
        num_image_tokens=16,
        chat_template=make_chat_template("<image_placeholder>"),
    )
    config = transformers.DeepseekVLHybridConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        high_res_vision_config=transformers.SamVisionConfig(
            **{
                key: value
                for key, value in vision_settings(image_side=2 * TILE_SIDE).items()
                if key != "intermediate_size"
            },
            mlp_dim=2 * WIDTH,
            output_channels=16,
            window_size=4,
            global_attn_indexes=[1],
        ),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.DeepseekVLHybridForConditionalGeneration(config), processor


def _pixtral_processor(spatial_merge_size: int) -> Any:
    return transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessorPil(
            size={"longest_edge": 96}, patch_size=square(2 * PATCH_SIDE)
        ),
        tokenizer=make_tokenizer(extra=["[IMG_BREAK]", "[IMG_END]", "[IMG]"], adds_begin=True),
        patch_size=2 * PATCH_SIDE // spatial_merge_size,
        spatial_merge_size=spatial_merge_size,
        chat_template=make_chat_template("[IMG]"),
    )


def pixtral() -> Pair:
    """Any size up to 96 pixels in patches of 16; a break token after each row; LLaVA's model class."""
    processor = _pixtral_processor(spatial_merge_size=1)
    config = transformers.LlavaConfig(
        vision_config=transformers.PixtralVisionConfig(
            **{**vision_settings(image_side=96), "patch_size": 2 * PATCH_SIDE}
        ),
        text_config=transformers.MistralConfig(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def mistral3() -> Pair:
    """As Pixtral, with patches of 8 merged two by two."""
    processor = _pixtral_processor(spatial_merge_size=2)
    config = transformers.Mistral3Config(
        vision_config=transformers.PixtralVisionConfig(**vision_settings(image_side=96)),
        text_config=transformers.MistralConfig(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        spatial_merge_size=2,
    )
    return transformers.Mistral3ForConditionalGeneration(config), processor


def mistral_large4() -> Pair:
    """As Mistral 3, with a decoder of latent attention, experts and a choice of the keys that are read."""
    processor = _pixtral_processor(spatial_merge_size=2)
    config = transformers.MistralLarge4Config(
        vision_config=transformers.PixtralVisionConfig(**vision_settings(image_side=96)),
        text_config={
            **text_settings(processor.tokenizer),
            "num_key_value_heads": 2,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 16,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": WIDTH,
            "index_topk": 256,
            "index_head_dim": 16,
            "index_n_heads": 2,
        },
        image_token_index=processor.image_token_id,
        spatial_merge_size=2,
    )
    return transformers.MistralLarge4ForConditionalGeneration(config), processor


def mistral4() -> Pair:
    """The decoder alone, which Transformers lists; with Pixtral's processor it is given no pixels."""
    processor = _pixtral_processor(spatial_merge_size=2)
    config = transformers.Mistral4Config(
        **{**text_settings(processor.tokenizer), "num_key_value_heads": 2},
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=WIDTH,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )
    return transformers.Mistral4ForCausalLM(config), processor


def lighton_ocr() -> Pair:
    """As Mistral 3, with one token per merged patch and none between rows."""
    tokenizer = make_tokenizer(
        named={
            "image_break_token": "<|vision_pad|>",
            "image_end_token": "<|vision_end|>",
            "image_token": "<|image_pad|>",
        }
    )
    processor = transformers.LightOnOcrProcessor(
        image_processor=transformers.PixtralImageProcessorPil(
            size={"longest_edge": 96}, patch_size=square(2 * PATCH_SIDE)
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        spatial_merge_size=2,
        chat_template=make_chat_template("<|image_pad|>"),
    )
    config = transformers.LightOnOcrConfig(
        vision_config=transformers.PixtralVisionConfig(**vision_settings(image_side=96)),
        text_config=transformers.Qwen3Config(**text_settings(tokenizer), head_dim=16),
        image_token_id=processor.image_token_id,
        spatial_merge_size=2,
    )
    return transformers.LightOnOcrForConditionalGeneration(config), processor


def deepseek_vl() -> Pair:
    """One image padded to a square."""
    tokenizer = make_tokenizer(named={"image_token": "<image_placeholder>"}, adds_begin=True)
    processor = transformers.DeepseekVLProcessor(
        image_processor=transformers.DeepseekVLImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        num_image_tokens=16,
        chat_template=make_chat_template("<image_placeholder>"),
    )
    config = transformers.DeepseekVLConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.DeepseekVLForConditionalGeneration(config), processor


def janus() -> Pair:
    """One image padded to a square; a second, discrete encoder that only makes images."""
    named = {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = make_tokenizer(named=named, adds_begin=True)
    processor = transformers.JanusProcessor(
        image_processor=transformers.JanusImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        num_image_tokens=16,
        chat_template=make_chat_template("<image_placeholder>\n"),
    )
    vision = {key: value for key, value in vision_settings().items() if key != "intermediate_size"}
    config = transformers.JanusConfig(
        vision_config={**vision, "mlp_ratio": 2.0, "projection_dim": WIDTH, "num_image_tokens": 16},
        vq_config={
            "embed_dim": 4,
            "num_embeddings": 16,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1],
            "num_res_blocks": 1,
            "projection_dim": WIDTH,
            "image_token_embed_dim": WIDTH,
        },
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=tokenizer.image_token_id,
    )
    return transformers.JanusForConditionalGeneration(config), processor


def git() -> Pair:
    """One square crop, read before the text and beside it: there is no image token."""
    tokenizer = make_tokenizer()
    processor = transformers.GitProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square(TILE_SIDE)),
        tokenizer=tokenizer,
    )
    settings = {key: value for key, value in text_settings(tokenizer).items() if key != "num_key_value_heads"}
    config = transformers.GitConfig(vision_config=vision_settings(), **settings)
    return transformers.GitForCausalLM(config), processor


def chameleon() -> Pair:
    """One square crop whose cells become words of a codebook."""
    named = {
        "image_token": "<image>",
        "boi_token": "<racm3:break>",
        "eoi_token": "<eoss>",
        "sep_token": "<reserved08706>",
    }
    words = [f"IMGIMG{tens}{ones}Z" for tens in "ABCD" for ones in "ABCD"]
    tokenizer = make_tokenizer(named=named, extra=words)
    processor = transformers.ChameleonProcessor(
        image_processor=transformers.ChameleonImageProcessorPil(
            size={"shortest_edge": TILE_SIDE}, crop_size=square(TILE_SIDE)
        ),
        tokenizer=tokenizer,
        image_seq_length=16,
    )
    config = transformers.ChameleonConfig(
        **text_settings(tokenizer),
        vq_config={
            "embed_dim": 8,
            "num_embeddings": len(words),
            "latent_channels": 8,
            "resolution": TILE_SIDE,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
        },
        vocabulary_map=tokenizer.get_vocab(),
    )
    return transformers.ChameleonForConditionalGeneration(config), processor
