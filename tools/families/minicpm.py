"""MiniCPM-V: an overview and slices as strips of patches, merged twice, inside the vision tower and after it."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    PATCH_SIDE,
    TILE_SIDE,
    Pair,
    make_chat_template,
    make_image_processor,
    make_processor,
    make_tokenizer,
    token_ids,
    vision_settings,
)
from tools.families.qwen import qwen3_5_text

SLICE_SIDE = 2 * TILE_SIDE
TOKENS: dict[str, str] = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}


def minicpmv4_6() -> Pair:
    """Sixteen patches become a token."""
    tokenizer = make_tokenizer(named=TOKENS)
    return _minicpm("MiniCPMV4_6", tokenizer, image_processor="MiniCPMV4_6ImageProcessorPil", downsample_mode="16x")


def minicpmv4_7() -> Pair:
    """As MiniCPM-V 4.6, with positions in three axes that follow the slices."""
    tokenizer = make_tokenizer(named=TOKENS)
    return _minicpm(
        "MiniCPMV4_7",
        tokenizer,
        image_processor="MiniCPMV4_6ImageProcessorPil",
        downsample_mode="16x",
        newline_id=tokenizer.convert_tokens_to_ids("Ċ"),
        **token_ids(
            tokenizer,
            image_start_id="<image>",
            image_end_id="</image>",
            slice_start_id="<slice>",
            slice_end_id="</slice>",
        ),
    )


def minicpm_ocr() -> Pair:
    """As MiniCPM-V 4.6, with four patches to a token."""
    tokenizer = make_tokenizer(named=TOKENS)
    return _minicpm("MiniCPMOcr", tokenizer, image_processor="MiniCPMOcrImageProcessor", downsample_mode="4x")


def _minicpm(generation: str, tokenizer: Any, *, image_processor: str, downsample_mode: str, **settings: Any) -> Pair:
    video_processor = "MiniCPMV4_6VideoProcessor" if generation == "MiniCPMV4_7" else f"{generation}VideoProcessor"
    processor = make_processor(
        getattr(transformers, f"{generation}Processor"),
        video_processor=video_processor,
        video={"scale_resolution": SLICE_SIDE, "patch_size": PATCH_SIDE, "downsample_mode": downsample_mode},
        image_processor=make_image_processor(
            image_processor,
            scale_resolution=SLICE_SIDE,
            patch_size=PATCH_SIDE,
            max_slice_nums=6,
            downsample_mode=downsample_mode,
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image_pad|>\n", video="<|video_pad|>\n"),
    )
    config = getattr(transformers, f"{generation}Config")(
        text_config={
            **qwen3_5_text(tokenizer),
            "model_type": "qwen3_5_text",
            "num_hidden_layers": 3,
            "layer_types": ["linear_attention", "full_attention", "full_attention"],
        },
        vision_config=vision_settings(image_side=SLICE_SIDE),
        insert_layer_id=0,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        downsample_mode=downsample_mode,
        tie_word_embeddings=False,
        **settings,
    )
    return getattr(transformers, f"{generation}ForConditionalGeneration")(config), processor
