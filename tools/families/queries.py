"""Families whose language model reads a fixed number of tokens, asked for by learned queries."""

from __future__ import annotations

from typing import Any

import transformers
from tools.families.parts import (
    TILE_SIDE,
    WIDTH,
    Pair,
    make_chat_template,
    make_tokenizer,
    square,
    text_settings,
    vision_settings,
)


def idefics2() -> Pair:
    """The image's own shape with a pixel mask; a fixed number of tokens asked for by learned queries."""
    tokenizer = make_tokenizer(extra=["<fake_token_around_image>", "<image>", "<end_of_utterance>"], adds_begin=True)
    processor = transformers.Idefics2Processor(
        image_processor=transformers.Idefics2ImageProcessorPil(
            size={"shortest_edge": 32, "longest_edge": 96}, do_image_splitting=False
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=make_chat_template("<image>"),
    )
    config = transformers.Idefics2Config(
        vision_config=vision_settings(image_side=96),
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        text_config=transformers.MistralConfig(**text_settings(tokenizer)),
        image_token_id=processor.image_token_id,
    )
    return transformers.Idefics2ForConditionalGeneration(config), processor


def aria() -> Pair:
    """One image padded to a square of 490 pixels (it takes no smaller one); experts; learned queries."""
    side, patch, queries = 490, 70, 8
    tokenizer = make_tokenizer(named={"image_token": "<|img|>"})
    processor: Any = transformers.AriaProcessor(
        image_processor=transformers.AriaImageProcessorPil(max_image_size=side, min_image_size=98),
        tokenizer=tokenizer,
        size_conversion={side: queries},
        chat_template=make_chat_template("<|img|>"),
    )
    processor.images_kwargs = {**processor.images_kwargs, "max_image_size": side}
    config = transformers.AriaConfig(
        vision_config={**vision_settings(image_side=side), "patch_size": patch, "model_type": "idefics3_vision"},
        text_config={
            **text_settings(tokenizer),
            "moe_num_experts": 4,
            "moe_topk": 2,
            "moe_num_shared_experts": 1,
        },
        projector_patch_to_query_dict={(side // patch) ** 2: queries},
        image_token_index=tokenizer.image_token_id,
    )
    return transformers.AriaForConditionalGeneration(config), processor


def _query_tower() -> dict[str, Any]:
    """A Q-Former: learned queries that ask the vision tower."""
    return {
        "vocab_size": 512,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "encoder_hidden_size": WIDTH,
        "cross_attention_frequency": 1,
    }


def _opt(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "word_embed_proj_dim": WIDTH,
        "ffn_dim": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def blip_2() -> Pair:
    """One stretched square; learned queries; the processor puts the image tokens before the text by itself."""
    queries = 8
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = transformers.Blip2Processor(
        image_processor=transformers.BlipImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        num_query_tokens=queries,
    )
    config = transformers.Blip2Config(
        vision_config=vision_settings(),
        qformer_config=_query_tower(),
        text_config=_opt(tokenizer),
        num_query_tokens=queries,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return transformers.Blip2ForConditionalGeneration(config), processor


def instructblip() -> Pair:
    """As BLIP-2, and the queries read the question too."""
    queries = 8
    tokenizer = make_tokenizer(extra=["<image>"], adds_begin=True)
    processor = transformers.InstructBlipProcessor(
        image_processor=transformers.BlipImageProcessorPil(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        qformer_tokenizer=make_tokenizer(),
        num_query_tokens=queries,
    )
    config = transformers.InstructBlipConfig(
        vision_config=vision_settings(),
        qformer_config=_query_tower(),
        text_config=_opt(tokenizer),
        num_query_tokens=queries,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return transformers.InstructBlipForConditionalGeneration(config), processor


def instructblipvideo() -> Pair:
    """As InstructBLIP, of a video of four frames; its processor has no part for images."""
    queries = 8
    tokenizer = make_tokenizer(adds_begin=True)
    processor = transformers.InstructBlipVideoProcessor(
        video_processor=transformers.InstructBlipVideoVideoProcessor(size=square(TILE_SIDE)),
        tokenizer=tokenizer,
        qformer_tokenizer=make_tokenizer(),
        num_query_tokens=queries,
    )
    config = transformers.InstructBlipVideoConfig(
        vision_config=vision_settings(),
        qformer_config=_query_tower(),
        text_config=_opt(tokenizer),
        num_query_tokens=queries,
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
    )
    return transformers.InstructBlipVideoForConditionalGeneration(config), processor
