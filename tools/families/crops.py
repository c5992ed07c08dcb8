"""Families that read crops of an image that overlap, or come from a sliding window, and a small view."""

from __future__ import annotations

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


def molmo2() -> Pair:
    """A small view and overlapping crops as rows of patches; features are pooled two by two by attention."""
    markers = ["<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<frame_start>", "<im_end>", "<frame_end>"]
    tokenizer = make_tokenizer(extra=[*markers, "<im_low>", "<|image|>", "<|video|>"])
    processor = make_processor(
        transformers.Molmo2Processor,
        video_processor="Molmo2VideoProcessor",
        image_processor=make_image_processor(
            "Molmo2ImageProcessor",
            size=square(6 * PATCH_SIDE),
            max_crops=6,
            overlap_margins=[1, 1],
            patch_size=PATCH_SIDE,
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image|>"),
    )
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    config = transformers.Molmo2Config(
        vision_config={
            **vision_settings(),
            **heads,
            "image_size": [6 * PATCH_SIDE, 6 * PATCH_SIDE],
        },
        adapter_config={
            **heads,
            "vision_feature_layer": [-1, -2],
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "text_hidden_size": WIDTH,
        },
        text_config={**text_settings(tokenizer), "head_dim": 16, "additional_vocab_size": 8},
        **token_ids(
            tokenizer,
            image_start_token_id="<im_start>",
            low_res_image_start_token_id="<low_res_im_start>",
            image_end_token_id="<im_end>",
            image_patch_id="<im_patch>",
            frame_start_token_id="<frame_start>",
            frame_end_token_id="<frame_end>",
        ),
    )
    return transformers.Molmo2ForConditionalGeneration(config), processor


def step3p7() -> Pair:
    """A stretched global view and crops of a sliding window, as two tensors; experts in the decoder."""
    markers = ["<im_patch>", "<im_start>", "<im_end>", "<patch_start>", "<patch_end>", "<patch_newline>"]
    tokenizer = make_tokenizer(extra=markers)
    processor = transformers.Step3p7Processor(
        image_processor=make_image_processor(
            "Step3p7ImageProcessor", size=square(3 * TILE_SIDE), patch_size=2 * TILE_SIDE, vision_patch_size=PATCH_SIDE
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<im_patch>"),
    )
    config = transformers.Step3p7Config(
        vision_config={**vision_settings(image_side=3 * TILE_SIDE), "mlp_ratio": 2.0, "max_position_embeddings": 144},
        text_config={
            **text_settings(tokenizer),
            "head_dim": 16,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": WIDTH,
            "share_expert_dim": WIDTH,
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
            "mlp_layer_types": ["dense", "sparse"],
        },
        **token_ids(tokenizer, image_token_id="<im_patch>"),
    )
    return transformers.Step3p7ForConditionalGeneration(config), processor
