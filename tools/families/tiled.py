"""Families that cut an image into tiles and add a global view."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    BEGIN_OF_TEXT,
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
    vision_settings,
)


def _tile_marker_tokenizer() -> Any:
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
        video={"size": {"longest_edge": TILE_SIDE}, "max_image_size": {"longest_edge": TILE_SIDE}},
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
        video={"size": square(TILE_SIDE)},
        image_processor=transformers.GotOcr2ImageProcessorPil(
            size=square(TILE_SIDE), crop_to_patches=True, max_patches=6
        ),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=make_chat_template("<IMG_CONTEXT>\n", video="<video>\n"),
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


def cohere2_vision() -> Pair:
    """As Aya Vision, with a line break after each tile."""
    named = {
        "boi_token": "<|START_OF_IMG|>",
        "eoi_token": "<|END_OF_IMG|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
        "image_token": "<|IMG_PATCH|>",
    }
    tokenizer = make_tokenizer(named=named, adds_begin=True)
    image_processor: Any = transformers.Cohere2VisionImageProcessor(size=square(TILE_SIDE), max_patches=6)
    image_processor.patch_size = 2  # the side of a tile in tokens
    processor = transformers.Cohere2VisionProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|IMG_PATCH|>"),
    )
    config = transformers.Cohere2VisionConfig(
        vision_config=transformers.SiglipVisionConfig(**vision_settings(), vision_use_head=False),
        text_config=transformers.Cohere2Config(**text_settings(tokenizer)),
        alignment_intermediate_size=2 * WIDTH,
        image_token_id=tokenizer.image_token_id,
    )
    return transformers.Cohere2VisionForConditionalGeneration(config), processor


def llama4() -> Pair:
    """Tiles of the best grid, padded, then a thumbnail; experts in the decoder."""
    markers = ["<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>", "<|image|>"]
    tokenizer = make_tokenizer(extra=[*markers, "<|patch|>"], adds_begin=True)
    processor = transformers.Llama4Processor(
        image_processor=transformers.Llama4ImageProcessor(size=square(TILE_SIDE), max_patches=6),
        tokenizer=tokenizer,
        patch_size=PATCH_SIDE,
        chat_template=make_chat_template("<|image|>", begin=BEGIN_OF_TEXT),
    )
    config = transformers.Llama4Config(
        vision_config={
            **vision_settings(),
            "intermediate_size": 4 * WIDTH,
            "vision_output_dim": WIDTH,
            "projector_input_dim": WIDTH,
            "projector_output_dim": WIDTH,
        },
        text_config={
            **text_settings(tokenizer),
            "head_dim": 16,
            "intermediate_size_mlp": 2 * WIDTH,
            "num_local_experts": 2,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
    )
    return transformers.Llama4ForConditionalGeneration(config), processor


def lfm2_vl() -> Pair:
    """Tiles and a thumbnail as flattened patches with masks; a decoder with convolutions."""
    cells = [f"<|img_row_{row}_col_{column}|>" for row in range(1, 7) for column in range(1, 7)]
    markers = ["<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", "<image>"]
    tokenizer = make_tokenizer(extra=[*cells, *markers], adds_begin=True)
    processor = transformers.Lfm2VlProcessor(
        image_processor=transformers.Lfm2VlImageProcessor(
            size=square(TILE_SIDE),
            tile_size=TILE_SIDE,
            encoder_patch_size=PATCH_SIDE,
            min_image_tokens=4,
            max_image_tokens=8,
            max_tiles=6,
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<image>"),
    )
    vision = {key: value for key, value in vision_settings().items() if key != "image_size"}
    config = transformers.Lfm2VlConfig(
        vision_config=transformers.Siglip2VisionConfig(**vision, num_patches=16, vision_use_head=False),
        text_config=transformers.Lfm2Config(
            **text_settings(tokenizer),
            layer_types=["conv", "full_attention"],
            block_auto_adjust_ff_dim=False,
        ),
        image_token_id=processor.image_token_id,
        projector_hidden_size=2 * WIDTH,
    )
    return transformers.Lfm2VlForConditionalGeneration(config), processor


def got_ocr2() -> Pair:
    """Tiles and a thumbnail through a SAM encoder whose neck keeps a sixteenth of the patches."""
    return _got_ocr2(transformers.GotOcr2Config)


def pp_chart2table() -> Pair:
    """GOT-OCR 2 under another name."""
    return _got_ocr2(transformers.PPChart2TableConfig)


def _got_ocr2(config_class: type) -> Pair:
    tokenizer = make_tokenizer(extra=["<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>"])
    processor: Any = transformers.GotOcr2Processor(
        image_processor=transformers.GotOcr2ImageProcessorPil(size=square(2 * TILE_SIDE)),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<img><imgpad></img>"),
    )
    processor.num_image_tokens = 4
    processor.images_kwargs = {"crop_to_patches": True, "min_patches": 1, "max_patches": 6}
    settings = vision_settings(image_side=2 * TILE_SIDE)
    del settings["intermediate_size"]
    config = config_class(
        vision_config={
            **settings,
            "mlp_dim": 2 * WIDTH,
            "output_channels": 16,
            "window_size": 4,
            "global_attn_indexes": [1],
        },
        text_config=transformers.Qwen2Config(**text_settings(tokenizer)),
        image_token_index=processor.image_token_id,
        image_seq_length=4,
    )
    return transformers.GotOcr2ForConditionalGeneration(config), processor


def qianfan_ocr() -> Pair:
    """As InternVL, with Qwen3 as its language model."""
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = make_tokenizer(named=named, extra=["<image>"])
    processor = transformers.QianfanOCRProcessor(
        image_processor=transformers.GotOcr2ImageProcessorPil(
            size=square(TILE_SIDE), crop_to_patches=True, max_patches=6
        ),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=make_chat_template("<image>\n"),
    )
    settings = vision_settings()
    config = transformers.QianfanOCRConfig(
        vision_config={**settings, "image_size": [TILE_SIDE, TILE_SIDE], "patch_size": [PATCH_SIDE, PATCH_SIDE]},
        text_config=transformers.Qwen3Config(**text_settings(tokenizer), head_dim=16),
        image_token_id=processor.image_token_id,
        image_seq_length=4,
    )
    return transformers.QianfanOCRForConditionalGeneration(config), processor


def granite_docling() -> Pair:
    """As Idefics3, with four times as many tokens a tile, and features added inside the decoder."""
    tokenizer = _tile_marker_tokenizer()
    processor = transformers.GraniteDoclingProcessor(
        image_processor=make_image_processor("GraniteDoclingImageProcessorPil", size=square(TILE_SIDE), max_patches=6),
        tokenizer=tokenizer,
        image_seq_len=1,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.GraniteDoclingConfig(
        vision_config={
            **vision_settings(),
            "out_hidden_size": WIDTH,
            "scale_factor": 4,
            "deepstack_visual_indexes": [0],
        },
        text_config={
            **text_settings(tokenizer),
            "attention_multiplier": 0.25,
            "embedding_multiplier": 1.0,
            "logits_scaling": 1.0,
            "residual_multiplier": 1.0,
        },
        image_token_id=processor.image_token_id,
        tie_word_embeddings=False,
    )
    return transformers.GraniteDoclingForConditionalGeneration(config), processor
