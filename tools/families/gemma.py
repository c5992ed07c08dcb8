"""Google's families: PaliGemma, Gemma 3 and its kin, Gemma 4."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    BEGIN_OF_TEXT,
    PATCH_SIDE,
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


def gemma3() -> Pair:
    """One stretched square; attention in both directions inside the image; a template with the begin token."""
    return _gemma3(transformers.Gemma3Config)


def shieldgemma2() -> Pair:
    """Gemma 3 under another name; its own processor asks for a policy, Gemma 3's does not."""
    return _gemma3(transformers.ShieldGemma2Config)


def _gemma3(config_class: type) -> Pair:
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
    config = config_class(
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


GEMMA4_TOKENS: dict[str, str] = {
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "image_token": "<|image|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
    "audio_token": "<|audio|>",
}


def gemma4_unified() -> Pair:
    """No vision tower: the decoder reads projected patches of 24 x 24 pixels with their positions."""
    tokenizer = make_tokenizer(named=GEMMA4_TOKENS, extra=["<|video|>"], adds_begin=True)
    processor = make_processor(
        transformers.Gemma4UnifiedProcessor,
        video_processor="Gemma4UnifiedVideoProcessor",
        video={"patch_size": PATCH_SIDE, "max_soft_tokens": 70, "pooling_kernel_size": 3},
        feature_extractor=transformers.Gemma4UnifiedAudioFeatureExtractor(),
        image_processor=make_image_processor(
            "Gemma4UnifiedImageProcessor", patch_size=PATCH_SIDE, max_soft_tokens=70, pooling_kernel_size=3
        ),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<|image|>", video="<|video|>", begin=BEGIN_OF_TEXT),
    )
    config = transformers.Gemma4UnifiedConfig(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "global_head_dim": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
        },
        vision_config={
            "patch_size": PATCH_SIDE,
            "mm_embed_dim": WIDTH,
            "mm_posemb_size": 16,
            "output_proj_dims": WIDTH,
        },
        audio_config=None,
        **_gemma4_ids(tokenizer),
        video_token_id=processor.video_token_id,
    )
    return transformers.Gemma4UnifiedForConditionalGeneration(config), processor


def diffusion_gemma() -> Pair:
    """Gemma 4's tower and processor; the decoder writes all words of an answer at once, in several rounds."""
    processor = _gemma4_processor()
    tokenizer = processor.tokenizer
    config = transformers.DiffusionGemmaConfig(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "global_head_dim": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "num_experts": 4,
            "top_k_experts": 2,
            "moe_intermediate_size": WIDTH,
        },
        vision_config={**_gemma4_vision(), "model_type": "gemma4_vision"},
        **_gemma4_ids(tokenizer),
        canvas_length=8,
    )
    return transformers.DiffusionGemmaForBlockDiffusion(config), processor


def gemma3n() -> Pair:
    """One stretched square through a convolutional tower of timm; several streams in the decoder."""
    named = {**GEMMA4_TOKENS, "boi_token": "<start_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = make_tokenizer(named=named, adds_begin=True)
    processor = transformers.Gemma3nProcessor(
        image_processor=transformers.SiglipImageProcessorPil(size=square(64), do_normalize=False),
        feature_extractor=transformers.Gemma3nAudioFeatureExtractor(),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=make_chat_template("<image_soft_token>", begin=BEGIN_OF_TEXT),
    )
    vocabulary = len(tokenizer)
    config = transformers.Gemma3nConfig(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "vocab_size_per_layer_input": vocabulary,
            "hidden_size_per_layer_input": 8,
            "altup_num_inputs": 2,
            "num_kv_shared_layers": 0,
            "laurel_rank": 8,
        },
        vision_config={
            "architecture": "test_convnext",
            "hidden_size": 64,
            "vocab_size": 8,
            "vocab_offset": vocabulary,
            "model_args": {},
        },
        audio_config={
            "hidden_size": WIDTH,
            "conf_num_hidden_layers": 1,
            "conf_num_attention_heads": 2,
            "vocab_size": 8,
            "vocab_offset": vocabulary + 8,
        },
        vision_soft_tokens_per_image=4,
        **_gemma4_ids(tokenizer),
        audio_token_id=tokenizer.audio_token_id,
    )
    return transformers.Gemma3nForConditionalGeneration(config), processor


def _gemma4_ids(tokenizer: Any) -> dict[str, Any]:
    return {
        "boi_token_id": tokenizer.boi_token_id,
        "eoi_token_id": tokenizer.eoi_token_id,
        "image_token_id": tokenizer.image_token_id,
    }


def _gemma4_processor() -> Any:
    return make_processor(
        transformers.Gemma4Processor,
        video_processor="Gemma4VideoProcessor",
        video={"patch_size": PATCH_SIDE, "max_soft_tokens": 70, "pooling_kernel_size": 3},
        feature_extractor=transformers.Gemma4AudioFeatureExtractor(),
        image_processor=transformers.Gemma4ImageProcessorPil(
            patch_size=PATCH_SIDE, max_soft_tokens=70, pooling_kernel_size=3
        ),
        tokenizer=make_tokenizer(named=GEMMA4_TOKENS, extra=["<|video|>"], adds_begin=True),
        chat_template=make_chat_template("<|image|>", video="<|video|>", begin=BEGIN_OF_TEXT),
    )


def _gemma4_vision() -> dict[str, Any]:
    return {
        **{key: value for key, value in vision_settings().items() if key != "image_size"},
        "num_key_value_heads": 2,
        "head_dim": 16,
        "pooling_kernel_size": 3,
        "position_embedding_size": 256,
    }


def gemma4() -> Pair:
    """Flattened patches with their positions, pooled three by three; padding to a fixed number of patches."""
    processor = _gemma4_processor()
    tokenizer = processor.tokenizer
    config = transformers.Gemma4Config(
        text_config={
            **text_settings(tokenizer, layers=3),
            "head_dim": 16,
            "global_head_dim": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "vocab_size_per_layer_input": len(tokenizer),
            "hidden_size_per_layer_input": 8,
        },
        vision_config=_gemma4_vision(),
        audio_config=None,
        **_gemma4_ids(tokenizer),
        video_token_id=processor.video_token_id,
    )
    return transformers.Gemma4ForConditionalGeneration(config), processor
