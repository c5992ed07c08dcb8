"""Families that cut an image into tiles and add a global view."""

from __future__ import annotations

import transformers

from .parts import (
    BEGIN_OF_TEXT,
    PATCH_SIDE,
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


def _tile_marker_tokenizer() -> transformers.PreTrainedTokenizerFast:
    cells = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    extra = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", "<video>", *cells]
    return make_tokenizer(extra=extra, adds_begin=True)


def idefics3() -> Pair:
    """Tiles of 32 x 32 row by row plus a global view, each four placeholders after a row and column marker."""
    tokenizer = _tile_marker_tokenizer()
    processor = transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessorPil(
            size={"longest_edge": 3 * TILE_SIDE}, max_image_size={"longest_edge": TILE_SIDE}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.Idefics3Config(
        vision_config=vision_settings(),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
        scale_factor=2,
    )
    return transformers.Idefics3ForConditionalGeneration(config), processor


def smolvlm() -> Pair:
    """As Idefics3."""
    tokenizer = _tile_marker_tokenizer()
    processor = make_processor(
        transformers.SmolVLMProcessor,
        video_processor="SmolVLMVideoProcessor",
        image_processor=transformers.SmolVLMImageProcessorPil(
            size={"longest_edge": 3 * TILE_SIDE}, max_image_size={"longest_edge": TILE_SIDE}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.SmolVLMConfig(
        vision_config=vision_settings(),
        text_config=transformers.LlamaConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
        scale_factor=2,
    )
    return transformers.SmolVLMForConditionalGeneration(config), processor


def internvl() -> Pair:
    """Up to six tiles and a thumbnail as separate rows of the pixel tensor, four placeholders each."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = make_tokenizer(named=named)
    processor = make_processor(
        transformers.InternVLProcessor,
        video_processor="InternVLVideoProcessor",
        image_processor=transformers.GotOcr2ImageProcessorPil(
            size=square(TILE_SIDE), crop_to_patches=True, max_patches=6
        ),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=make_chat_template("<IMG_CONTEXT>\n"),
    )
    config = transformers.InternVLConfig(
        vision_config=vision_settings(),
        text_config=transformers.Qwen2Config(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
        image_seq_length=4,
    )
    return transformers.InternVLForConditionalGeneration(config), processor


def aya_vision() -> Pair:
    """As InternVL, with text between the tiles."""
    markers = [
        "<|START_OF_IMG|>",
        "<|END_OF_IMG|>",
        "<|IMG_LINE_BREAK|>",
        "TILE",
        "TILE_GLOBAL",
        "<|IMG_PATCH|>",
    ]
    tokenizer = make_tokenizer(extra=["<image>", *markers], adds_begin=True)
    processor = transformers.AyaVisionProcessor(
        image_processor=transformers.GotOcr2ImageProcessorPil(
            size=square(TILE_SIDE), crop_to_patches=True, max_patches=6
        ),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        img_size=TILE_SIDE,
        downsample_factor=2,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.AyaVisionConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        text_config=transformers.Cohere2Config(**text_settings(tokenizer)),
        image_token_index=processor.image_token_id,
    )
    return transformers.AyaVisionForConditionalGeneration(config), processor


def ovis2() -> Pair:
    """Tiles and a global view; patches become distributions over a visual vocabulary."""
    markers = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = make_tokenizer(extra=["<image>", *markers, "<IMG_ATOM>"])
    processor = transformers.Ovis2Processor(
        image_processor=transformers.Ovis2ImageProcessorPil(
            size=square(TILE_SIDE), crop_to_patches=True, max_patches=6
        ),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=make_chat_template("<image>\n"),
    )
    config = transformers.Ovis2Config(
        vision_config={**vision_settings(), "hidden_stride": 2, "vocab_size": 64},
        text_config=transformers.Qwen2Config(**text_settings(tokenizer)),
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(markers),
    )
    return transformers.Ovis2ForConditionalGeneration(config), processor


def mllama() -> Pair:
    """Up to four padded tiles read through cross-attention; one image token, for which there is no logit."""
    tokenizer = make_tokenizer(extra=["<|python_tag|>", "<|image|>"], adds_begin=True)
    processor = transformers.MllamaProcessor(
        image_processor=transformers.MllamaImageProcessorPil(size=square(TILE_SIDE), max_image_tiles=4),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image|>", begin=BEGIN_OF_TEXT),
    )
    vision = {key: value for key, value in vision_settings().items() if key != "num_attention_heads"}
    config = transformers.MllamaConfig(
        vision_config={
            **vision,
            "attention_heads": 2,
            "num_global_layers": 1,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 2 * WIDTH,
            "max_num_tiles": 4,
        },
        text_config={
            **text_settings(tokenizer, layers=3),
            "vocab_size": processor.image_token_id,
            "cross_attention_layers": [1],
        },
        image_token_index=processor.image_token_id,
    )
    return transformers.MllamaForConditionalGeneration(config), processor
