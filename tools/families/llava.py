"""LLaVA and its successors with tiles."""

from __future__ import annotations

import transformers
from tools.families.parts import (
    PATCH_SIDE,
    TILE_GRIDS,
    TILE_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_processor,
    make_tokenizer,
    square,
    text_settings,
    vision_settings,
)

CROP_SIDE = 48


def _llava_processor() -> transformers.LlavaProcessor:
    return transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(
            size={"shortest_edge": CROP_SIDE}, crop_size=square(CROP_SIDE)
        ),
        tokenizer=make_tokenizer(extra=["<image>"], adds_begin=True),
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=make_chat_template("<image>\n"),
    )


def llava() -> Pair:
    """One center crop; 36 placeholders for a CLIP grid of 6 x 6 (class token dropped)."""
    processor = _llava_processor()
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision_settings(image_side=CROP_SIDE), projection_dim=WIDTH),
        text_config=transformers.LlamaConfig(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        image_seq_length=36,
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def llava_next() -> Pair:
    """Tiles of the best grid plus a thumbnail; features of padding removed, a newline after each row."""
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": TILE_SIDE}, crop_size=square(TILE_SIDE), image_grid_pinpoints=TILE_GRIDS
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=make_chat_template("<image>\n"),
    )
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**vision_settings(), projection_dim=WIDTH),
        text_config=transformers.MistralConfig(**text_settings(tokenizer)),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=TILE_GRIDS,
        image_seq_length=16,
    )
    return transformers.LlavaNextForConditionalGeneration(config), processor


def llava_onevision() -> Pair:
    """As LLaVA-NeXT, and grids of more than four tiles have their features resized to fewer."""
    tokenizer = make_tokenizer(extra=["<video>", "<image>"])
    processor = make_processor(
        transformers.LlavaOnevisionProcessor,
        video_processor="LlavaOnevisionVideoProcessor",
        video={"size": square(TILE_SIDE)},
        image_processor=transformers.LlavaOnevisionImageProcessorPil(
            size=square(TILE_SIDE), image_grid_pinpoints=TILE_GRIDS
        ),
        tokenizer=tokenizer,
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_4",
        chat_template=make_chat_template("<image>\n", video="<video>\n"),
    )
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        text_config=transformers.Qwen2Config(**text_settings(tokenizer)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=TILE_GRIDS,
        vision_aspect_ratio="anyres_max_4",
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


def vipllava() -> Pair:
    """As LLaVA, with the features of several vision layers side by side."""
    processor = _llava_processor()
    config = transformers.VipLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision_settings(image_side=CROP_SIDE), projection_dim=WIDTH),
        text_config=transformers.LlamaConfig(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        vision_feature_layer=[-1, -2],
        image_seq_length=36,
    )
    return transformers.VipLlavaForConditionalGeneration(config), processor


def llava_next_video() -> Pair:
    """LLaVA-NeXT that also takes videos."""
    tokenizer = make_tokenizer(extra=["<video>", "<image>"], adds_begin=True)
    processor = make_processor(
        transformers.LlavaNextVideoProcessor,
        video_processor="LlavaNextVideoVideoProcessor",
        video={"size": {"shortest_edge": TILE_SIDE}, "crop_size": square(TILE_SIDE)},
        image_processor=transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": TILE_SIDE}, crop_size=square(TILE_SIDE), image_grid_pinpoints=TILE_GRIDS
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=make_chat_template("<image>\n", video="<video>\n"),
    )
    config = transformers.LlavaNextVideoConfig(
        vision_config=transformers.CLIPVisionConfig(**vision_settings(), projection_dim=WIDTH),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=TILE_GRIDS,
        image_seq_length=16,
    )
    return transformers.LlavaNextVideoForConditionalGeneration(config), processor


def video_llava() -> Pair:
    """One center crop under another name, `pixel_values_images`; a second tower for videos."""
    side = 48
    tokenizer = make_tokenizer(extra=["<video>", "<image>"], adds_begin=True)
    processor = make_processor(
        transformers.VideoLlavaProcessor,
        video_processor="VideoLlavaVideoProcessor",
        video={"size": {"shortest_edge": side}, "crop_size": square(side)},
        image_processor=transformers.VideoLlavaImageProcessor(size={"shortest_edge": side}, crop_size=square(side)),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=make_chat_template("<image>\n", video="<video>\n"),
    )
    config = transformers.VideoLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision_settings(image_side=side), projection_dim=WIDTH),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_seq_length=36,
    )
    return transformers.VideoLlavaForConditionalGeneration(config), processor


def granite4_vision() -> Pair:
    """As LLaVA-NeXT, with queries that ask windows of features, and features added inside the decoder."""
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = transformers.Granite4VisionProcessor(
        image_processor=transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": TILE_SIDE}, crop_size=square(TILE_SIDE), image_grid_pinpoints=TILE_GRIDS
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="full",
        downsample_rate="1/2",
        chat_template=make_chat_template("<image>\n"),
    )
    vision = {**vision_settings(), "hidden_size": 64}  # a head of its queries has 64 channels
    config = transformers.Granite4VisionConfig(
        vision_config=transformers.SiglipVisionConfig(**vision, vision_use_head=False),
        text_config={**text_settings(tokenizer, layers=3), "attention_multiplier": 0.25},
        qformer_config={"num_hidden_layers": 1, "intermediate_size": 2 * WIDTH, "vocab_size": 512},
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=TILE_GRIDS,
        image_seq_length=4,
        vision_feature_select_strategy="full",
        downsample_rate="1/2",
        deepstack_layer_map=[[-2, 0]],
        spatial_target_layers=[1, 1, 2, 2],
    )
    return transformers.Granite4VisionForConditionalGeneration(config), processor


def fast_vlm() -> Pair:
    """One padded square through a tower of timm; it has no processor of its own and is used with LLaVA's."""
    side = 64
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square(side)),
        tokenizer=make_tokenizer(extra=["<image>"], adds_begin=True),
        patch_size=32,
        vision_feature_select_strategy="full",
        chat_template=make_chat_template("<image>\n"),
    )
    config = transformers.FastVlmConfig(
        vision_config={
            "architecture": "test_convnext",
            "hidden_size": 64,
            "do_pooling": False,
            "model_args": {},
        },
        text_config=transformers.Qwen2Config(**text_settings(processor.tokenizer)),
        image_token_index=processor.image_token_id,
        image_seq_length=4,
    )
    return transformers.FastVlmForConditionalGeneration(config), processor
