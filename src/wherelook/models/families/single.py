"""Families with one view of the image: a stretched or padded square, or the image's own shape."""

from __future__ import annotations

import transformers

from .parts import (
    BEGIN_OF_TEXT,
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


def gemma3() -> Pair:
    """One stretched square; attention in both directions inside the image; a template with the begin token."""
    side, placeholders = 64, 16
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = make_tokenizer(named=named, adds_begin=True)
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessorPil(size=square(side)),
        tokenizer=tokenizer,
        image_seq_length=placeholders,
        chat_template=make_chat_template("<start_of_image>", begin=BEGIN_OF_TEXT),
    )
    config = transformers.Gemma3Config(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
        },
        vision_config=transformers.SiglipVisionConfig(**vision_settings(image_side=side), vision_use_head=False),
        mm_tokens_per_image=placeholders,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    return transformers.Gemma3ForConditionalGeneration(config), processor


def paligemma() -> Pair:
    """One stretched square; no chat template; attention in both directions in the prompt, not in the answer."""
    side = 48
    tokenizer = make_tokenizer(named={"image_token": "<image>"})
    processor = transformers.PaliGemmaProcessor(
        image_processor=transformers.SiglipImageProcessorPil(size=square(side), image_seq_length=36),
        tokenizer=tokenizer,
    )
    config = transformers.PaliGemmaConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(image_side=side), vision_use_head=False),
        text_config=transformers.GemmaConfig(**text_settings(tokenizer), head_dim=16),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        image_token_index=processor.image_token_id,
    )
    return transformers.PaliGemmaForConditionalGeneration(config), processor


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


def _pixtral_processor(spatial_merge_size: int) -> transformers.ProcessorMixin:
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
